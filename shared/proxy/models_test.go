package proxy_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"keyless/shared/registry"
)

const upstreamsList = `{"object":"list","data":[{"id":"gpt-4o","object":"model","owned_by":"them","extra":1},{"id":"qwen-max","object":"model"},{"id":"o3","object":"model"}]}`

// listed are the ids of a list of models.
func listed(t testing.TB, body string) string {
	t.Helper()
	var page struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(body), &page); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	var ids []string
	for _, one := range page.Data {
		ids = append(ids, one.ID)
	}
	return strings.Join(ids, " ")
}

// TestModelsThatMayBeCalled: what the maps name, as far as the consumer may; else the upstream's list, filtered.
func TestModelsThatMayBeCalled(t *testing.T) {
	t.Parallel()
	closed := map[string]string{"gpt-4o": "a", "gpt-4o-mini": "b", "claude": "c", "qwen-*": "*"}
	openMap := map[string]string{"own": "a", "*": "b"}
	for name, row := range map[string]struct {
		names   map[string]string
		models  []string // of the authorization
		want    string
		counted int
	}{
		"all of a map":                     {closed, nil, "claude gpt-4o gpt-4o-mini", 0},
		"those that the consumer may call": {closed, []string{"gpt-*"}, "gpt-4o gpt-4o-mini", 0},
		"and those that it names in full":  {closed, []string{"gpt-4o", "qwen-plus", "llama"}, "gpt-4o qwen-plus", 0},
		"none":                             {closed, []string{"llama"}, "", 0},
		"no map: the upstream's":           {nil, nil, "gpt-4o qwen-max o3", 1},
		"no map: the upstream's, filtered": {nil, []string{"gpt-*", "o3"}, "gpt-4o o3", 1},
		"any model: both":                  {openMap, nil, "own gpt-4o qwen-max o3", 1},
		"any model: both, filtered":        {openMap, []string{"o*"}, "own o3", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := record(t, answers(200, isJSON, upstreamsList))
			jwt := &registry.Authentication{Methods: []string{"jwt"}}
			w := open(t, upstream.URL, llm(func(a *registry.API) {
				a.Authentication, a.Upstreams[0].Models = jwt, row.names
			}, upstream.URL), func(w *world) {
				w.consumers = append(w.consumers, registry.Consumer{Name: "lister", JWT: &registry.JWTCredential{},
					Authorizations: []registry.Authorization{{API: "llm", Models: row.models}}})
			})
			for _, path := range []string{"/llm/models", "/llm/v1/models"} {
				before := w.quota.admitted()
				got := do(t, w.request(http.MethodGet, path, "", "Authorization: Bearer "+token("lister")))
				equal(t, "status of "+got.body, got.StatusCode, 200)
				equal(t, path, listed(t, got.body), row.want)
				equal(t, "counted", w.quota.admitted()-before, row.counted)
				equal(t, "OpenAI's shape", strings.Contains(got.body, `"object":"list"`), true)
			}
			got := do(t, w.request(http.MethodGet, "/llm/models", "", "Authorization: Bearer "+token("lister"), "Anthropic-Version: 2023-06-01"))
			equal(t, "Anthropic's shape, of "+got.body, listed(t, got.body), row.want)
			equal(t, "its end", strings.Contains(got.body, `"has_more":false`), row.counted == 0 || row.names != nil || row.models != nil)
			got = do(t, w.request(http.MethodGet, "/llm/models", "", "Authorization: "))
			equal(t, "a stranger", got.StatusCode, 401)
		})
	}
}
