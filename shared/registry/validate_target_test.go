package registry_test

import (
	"encoding/json"
	"strings"
	"testing"

	"keyless/shared/registry"
)

// TestForwardingIsJudged: each valid setting has a neighbour that is not.
func TestForwardingIsJudged(t *testing.T) {
	t.Parallel()
	many := map[string]string{}
	for i := range 1001 {
		many[strings.Repeat("m", i+1)] = "x"
	}
	for name, row := range map[string]struct {
		change func(*registry.API)
		want   string // in the one fault; "" none
	}{
		"two upstreams":              {func(*registry.API) {}, ""},
		"names of models":            {func(a *registry.API) { a.Upstreams[0].Models = map[string]string{"a": "b", "c*": "d", "*": "*"} }, ""},
		"a star within":              {func(a *registry.API) { a.Upstreams[0].Models = map[string]string{"a*b": "c"} }, "is no name of a model"},
		"no upstream's name":         {func(a *registry.API) { a.Upstreams[0].Models = map[string]string{"a": ""} }, "is no name of a model"},
		"a star at the upstream":     {func(a *registry.API) { a.Upstreams[0].Models = map[string]string{"a": "b*"} }, "is no name of a model"},
		"no caller's name":           {func(a *registry.API) { a.Upstreams[0].Models = map[string]string{"": "b"} }, "is no name of a model"},
		"too many names":             {func(a *registry.API) { a.Upstreams[0].Models = many }, "more than 1000"},
		"a weight":                   {func(a *registry.API) { a.Upstreams[0].Weight = 1_000_000 }, ""},
		"a weight below zero":        {func(a *registry.API) { a.Upstreams[0].Weight = -1 }, "is negative"},
		"an order below zero":        {func(a *registry.API) { a.Upstreams[0].Order = -1 }, "is negative"},
		"a weight too large":         {func(a *registry.API) { a.Upstreams[0].Weight = 1_000_001 }, "above 1000000"},
		"retries":                    {func(a *registry.API) { a.Retries = on(3, 429, 500, 599, "connect", "first_byte") }, ""},
		"retries, as JSON numbers":   {func(a *registry.API) { a.Retries = on(3, 429.0, json.Number("503")) }, ""},
		"retries on success":         {func(a *registry.API) { a.Retries = on(3, 200) }, "nothing to retry on"},
		"retries on a caller's":      {func(a *registry.API) { a.Retries = on(3, 400) }, "nothing to retry on"},
		"retries on a word":          {func(a *registry.API) { a.Retries = on(3, "timeout") }, "nothing to retry on"},
		"retries on half a status":   {func(a *registry.API) { a.Retries = on(3, 500.5) }, "nothing to retry on"},
		"retries on a list":          {func(a *registry.API) { a.Retries = on(3, []any{500}) }, "nothing to retry on"},
		"ten attempts":               {func(a *registry.API) { a.Retries = on(10) }, ""},
		"eleven attempts":            {func(a *registry.API) { a.Retries = on(11) }, "is above 10"},
		"drain":                      {func(a *registry.API) { a.OnClientGone = "drain" }, ""},
		"neither cancel nor drain":   {func(a *registry.API) { a.OnClientGone = "stay" }, "one of: cancel, drain"},
		"origins":                    {func(a *registry.API) { a.CORS = origins("https://a.example", "http://localhost:3000", "*") }, ""},
		"no origins":                 {func(a *registry.API) { a.CORS = origins() }, "is empty"},
		"an origin with a path":      {func(a *registry.API) { a.CORS = origins("https://a.example/") }, "is no origin"},
		"an origin in capitals":      {func(a *registry.API) { a.CORS = origins("https://A.example") }, "is no origin"},
		"an origin without a scheme": {func(a *registry.API) { a.CORS = origins("a.example") }, "is no origin"},
		"the null origin":            {func(a *registry.API) { a.CORS = origins("null") }, "is no origin"},
		"an origin twice":            {func(a *registry.API) { a.CORS = origins("*", "*") }, "twice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := registry.API{Name: "models", Type: registry.LLM, BasePath: "/v1",
				Upstreams: []registry.Target{{Upstream: "a"}, {Upstream: "b"}}}
			row.change(&api)
			faults := registry.Validate(&registry.Config{Version: 1, APIs: []registry.API{api}, Upstreams: []registry.Upstream{
				{Name: "a", Protocol: registry.OpenAI, BaseURL: "https://a.example", APIKeys: []registry.Secret{"one", "two"}},
				{Name: "b", Protocol: registry.Anthropic, BaseURL: "https://b.example"},
			}})
			switch {
			case row.want == "" && len(faults) > 0:
				t.Errorf("%v", faults)
			case row.want != "" && (len(faults) != 1 || !strings.Contains(faults[0].Text, row.want)):
				t.Errorf("%v; want %q", faults, row.want)
			}
		})
	}
}

func on(attempts int64, causes ...any) *registry.Retries {
	return &registry.Retries{Attempts: attempts, On: causes}
}

func origins(list ...string) *registry.CORS { return &registry.CORS{Origins: list} }

// TestOwnUpstreamKeysAreJudged: they name upstreams that exist.
func TestOwnUpstreamKeysAreJudged(t *testing.T) {
	t.Parallel()
	for upstream, want := range map[string]int{"a": 0, "b": 1} {
		faults := registry.Validate(&registry.Config{Version: 1,
			Upstreams: []registry.Upstream{{Name: "a", Protocol: registry.OpenAI, BaseURL: "https://a.example"}},
			Consumers: []registry.Consumer{{Name: "c", APIKey: &registry.APIKeyCredential{},
				UpstreamKeys: map[string]registry.Secret{upstream: "sk"}}}})
		if len(faults) != want {
			t.Errorf("%s: %v", upstream, faults)
		}
	}
}
