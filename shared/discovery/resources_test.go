package discovery_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"keyless/shared/discovery"
	"keyless/shared/registry"
)

// RFC 9728 §4, RFC 8707 §2: exactly the URLs that a client of the instance may ask a token for.
func TestM03ProtectedResources(t *testing.T) {
	t.Parallel()
	store := registry.NewMemory()
	if err := store.Write(t.Context(), registry.Change{Set: map[string]string{
		"instance:acme":        `{"id":"acme","resource_servers":[{"identifier":"urn:a"},{"identifier":"urn:b"}]}`,
		"instance:half":        `{"id":"half","resource_servers":[{"identifier":"urn:a"},{"identifier":"urn:b","status":"disabled"}]}`,
		"instance:off":         `{"id":"off","m2m":"disabled","resource_servers":[{"identifier":"urn:a"}]}`,
		"instance:bare":        `{"id":"bare"}`,
		"domain:ai.example":    `{"name":"ai.example"}`,
		"domain:*.any.example": `{"name":"*.any.example"}`,
		"api:tools":            `{"name":"tools","base_path":"/mcp","resource_server":"urn:a"}`,
		"api:root":             `{"name":"root","base_path":"/","domains":["ai.example"],"resource_server":"urn:b"}`,
		"api:both": `{"name":"both","base_path":"/both","domains":["default","ai.example","*.any.example"],` +
			`"resource_server":"urn:b"}`,
		"api:wild":      `{"name":"wild","base_path":"/wild","domains":["*.any.example"],"resource_server":"urn:b"}`,
		"api:draft":     `{"name":"draft","status":"draft","base_path":"/draft","resource_server":"urn:a"}`,
		"api:unbound":   `{"name":"unbound","base_path":"/unbound"}`,
		"api:elsewhere": `{"name":"elsewhere","base_path":"/elsewhere","resource_server":"urn:other"}`,
	}}); err != nil {
		t.Fatal(err)
	}
	h := discovery.New(discovery.Options{Reader: registry.NewReader(store, nil, time.Now), PublicURL: "https://id.example:8443"})
	for instance, want := range map[string][]string{
		"acme": {"https://ai.example/", "https://ai.example/both", "https://id.example:8443/both", "https://id.example:8443/mcp"},
		"half": {"https://id.example:8443/mcp"},
		"off":  nil,
		"bare": nil,
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/.well-known/oauth-authorization-server/"+instance+"/oauth2", nil))
		var got struct {
			Resources []string `json:"protected_resources"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || !slices.Equal(got.Resources, want) {
			t.Errorf("%s: %d %s", instance, w.Code, w.Body)
		}
	}
}
