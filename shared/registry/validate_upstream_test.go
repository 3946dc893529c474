package registry_test

import (
	"strings"
	"testing"
	"time"

	"keyless/shared/registry"
)

// TestUpstreamAuthIsJudged: each valid way has a neighbour that is not.
func TestUpstreamAuthIsJudged(t *testing.T) {
	t.Parallel()
	type secrets = map[string]registry.Secret
	asks := func(change secrets) *registry.UpstreamAuth {
		members := secrets{"token_url": "http://id.example/token", "client_id": "us", "client_secret": "s"}
		for name, value := range change {
			if members[name] = value; value == "-" {
				delete(members, name)
			}
		}
		return &registry.UpstreamAuth{OAuth: members}
	}
	signs := func(pairs ...string) *registry.UpstreamAuth {
		members := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			members[pairs[i]] = pairs[i+1]
		}
		return &registry.UpstreamAuth{SigV4: members}
	}
	for name, row := range map[string]struct {
		auth *registry.UpstreamAuth
		keys []registry.Secret
		want string // path below auth and a part of the text, "" for no fault
	}{
		"a header":                    {&registry.UpstreamAuth{Header: "X-Key"}, []registry.Secret{"k"}, ""},
		"nothing":                     {&registry.UpstreamAuth{}, nil, "auth.header: is required"},
		"a prefix alone":              {&registry.UpstreamAuth{Prefix: "Key "}, nil, "auth.header: is required"},
		"a signature":                 {signs("service", "bedrock", "region", "us-east-1"), nil, ""},
		"the function's own region":   {signs("service", "bedrock"), nil, ""},
		"no service":                  {signs("region", "us-east-1"), nil, "auth.sigv4.service: is required"},
		"an empty object":             {signs(), nil, "auth.sigv4.service: is required"},
		"a service with a slash":      {signs("service", "bed/rock"), nil, "auth.sigv4.service: is no signing name"},
		"a region in capitals":        {signs("service", "s", "region", "US-EAST-1"), nil, "auth.sigv4.region: is no signing name"},
		"a member that nobody knows":  {signs("service", "s", "profile", "x"), nil, "auth.sigv4.profile: is not known"},
		"a signature and keys":        {signs("service", "s"), []registry.Secret{"k"}, "auth: stands beside api_keys"},
		"a signature and a header":    {&registry.UpstreamAuth{Header: "X-Key", SigV4: map[string]string{"service": "s"}}, nil, "auth: has more than one"},
		"a signature and a prefix":    {&registry.UpstreamAuth{Prefix: "Key ", SigV4: map[string]string{"service": "s"}}, nil, "auth: has more than one"},
		"a signature and OAuth":       {&registry.UpstreamAuth{OAuth: asks(nil).OAuth, SigV4: map[string]string{"service": "s"}}, nil, "auth: has more than one"},
		"OAuth":                       {asks(nil), nil, ""},
		"OAuth, with all":             {asks(secrets{"scope": "a b", "audience": "x", "resource": "https://r.example/x"}), nil, ""},
		"a sealed secret":             {asks(secrets{"client_secret": "sealed: v1:x"}), nil, ""},
		"OAuth and keys":              {asks(nil), []registry.Secret{"k"}, "auth: stands beside api_keys"},
		"no token_url":                {asks(secrets{"token_url": "-"}), nil, "auth.oauth.token_url: is required"},
		"a token_url with a password": {asks(secrets{"token_url": "https://u:p@id.example"}), nil, "auth.oauth.token_url: has a user"},
		"no client_id":                {asks(secrets{"client_id": "-"}), nil, "auth.oauth.client_id: is required"},
		"a client_id beyond ASCII":    {asks(secrets{"client_id": "ü"}), nil, "auth.oauth.client_id: has a character"},
		"no client_secret":            {asks(secrets{"client_secret": "-"}), nil, "auth.oauth.client_secret: is required"},
		"a hash":                      {asks(secrets{"client_secret": "hash: v1:x"}), nil, "auth.oauth.client_secret: is a hash"},
		"sealed by another form":      {asks(secrets{"client_secret": "sealed: v9:x"}), nil, "auth.oauth.client_secret: is not a sealed"},
		"a scope with two spaces":     {asks(secrets{"scope": "a  b"}), nil, "auth.oauth.scope: is no list"},
		"a relative resource":         {asks(secrets{"resource": "/x"}), nil, "auth.oauth.resource: is no absolute"},
		"a resource with a fragment":  {asks(secrets{"resource": "https://r.example/#x"}), nil, "auth.oauth.resource: is no absolute"},
		"an audience of two lines":    {asks(secrets{"audience": "a\nb"}), nil, "auth.oauth.audience: has a line break"},
		"a member of another grant":   {asks(secrets{"username": "x"}), nil, "auth.oauth.username: is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			faults := registry.Validate(&registry.Config{Version: 1, Upstreams: []registry.Upstream{{
				Name: "u", Protocol: registry.OpenAI, BaseURL: "https://u.example", APIKeys: row.keys, Auth: row.auth,
			}}})
			one := len(faults) == 1 && strings.HasPrefix(faults[0].Path+": "+faults[0].Text, "upstreams[0]."+row.want)
			if row.want == "" && len(faults) > 0 || row.want != "" && !one {
				t.Errorf("%v; want %q", faults, row.want)
			}
		})
	}
}

// TestCacheIsJudged: models only, and for a while.
func TestCacheIsJudged(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for name, row := range map[string]struct {
		kind  string
		cache *registry.Cache
		want  string
	}{
		"none":               {registry.HTTP, nil, ""},
		"ten minutes":        {registry.LLM, &registry.Cache{TTL: registry.Duration(10 * time.Minute), Shared: true}, ""},
		"a week":             {registry.LLM, &registry.Cache{TTL: registry.Duration(7 * day)}, ""},
		"more than a week":   {registry.LLM, &registry.Cache{TTL: registry.Duration(7*day + time.Second)}, "apis[0].cache.ttl: is above 7d"},
		"no ttl":             {registry.LLM, &registry.Cache{Shared: true}, "apis[0].cache.ttl: is required"},
		"answers of a tool":  {registry.MCP, &registry.Cache{TTL: registry.Duration(day)}, "apis[0].cache: keeps the answers of models"},
		"of a plain backend": {registry.HTTP, &registry.Cache{TTL: registry.Duration(day)}, "apis[0].cache: keeps the answers of models"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			faults := registry.Validate(&registry.Config{Version: 1, APIs: []registry.API{
				{Name: "a", Type: row.kind, BasePath: "/a", Cache: row.cache},
			}})
			one := len(faults) == 1 && strings.HasPrefix(faults[0].Path+": "+faults[0].Text, row.want)
			if row.want == "" && len(faults) > 0 || row.want != "" && !one {
				t.Errorf("%v; want %q", faults, row.want)
			}
		})
	}
}
