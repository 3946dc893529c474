package token_test

import (
	"net/url"
	"strings"
	"testing"

	"keyless/shared/registry"
)

// S05, S06, RFC 8707 §2, RFC 9068 §3, RFC 9728 §1.2: resource is the URL of an API that is bound to a resource server; the token is for
// that URL, as it was asked for.
func TestS05S06ResourceIsTheURLOfAnAPI(t *testing.T) {
	t.Parallel()
	f, _, _ := newRevoking(t)
	f.set(t, map[string]any{
		"api:mcp":     registry.API{Name: "mcp", BasePath: "/mcp", ResourceServer: gateway},
		"api:inner":   registry.API{Name: "inner", BasePath: "/mcp/inner", ResourceServer: tools},
		"api:unbound": registry.API{Name: "unbound", BasePath: "/unbound"},
		"api:draft":   registry.API{Name: "draft", Status: "draft", BasePath: "/draft", ResourceServer: gateway},
		"api:other":   registry.API{Name: "other", BasePath: "/other", ResourceServer: "urn:of-another-instance"},
		"api:off":     registry.API{Name: "off", BasePath: "/off", ResourceServer: "urn:off"},
		"api:claimed": registry.API{Name: "claimed", BasePath: "/claimed", ResourceServer: tools},
	}, nil)
	in := acme()
	in.ResourceServers = append(in.ResourceServers, registry.ResourceServer{
		Identifier: public + "/claimed", Scopes: []registry.Scope{{Value: "mine"}},
	})
	f.set(t, map[string]any{"instance:acme": in}, nil)
	both := clients(f.pepper)[1]
	both.Permissions = append(both.Permissions, registry.Permission{ResourceServer: public + "/claimed", Scopes: []string{"mine"}})
	f.client(t, "acme", both)
	const all = "model.invoke model.list shared"
	for name, test := range map[string]struct {
		client   string
		ask      []string // parameters
		want     string   // scope, or the error's code
		audience string
	}{
		"the URL":                        {"one", []string{"resource", public + "/mcp"}, all, public + "/mcp"},
		"as asked, with a slash":         {"one", []string{"resource", public + "/mcp/"}, all, public + "/mcp/"},
		"host in capitals":               {"one", []string{"resource", "https://ID.example/mcp"}, all, "https://ID.example/mcp"},
		"as audience":                    {"one", []string{"audience", public + "/mcp"}, all, public + "/mcp"},
		"with a scope":                   {"one", []string{"resource", public + "/mcp", "scope", "shared"}, "shared", public + "/mcp"},
		"with the identifier's scope":    {"one", []string{"resource", public + "/mcp", "scope", gateway + "|shared"}, "shared", public + "/mcp"},
		"with another identifier":        {"both", []string{"resource", public + "/mcp", "scope", tools + "|shared"}, "invalid_target", ""},
		"and the identifier":             {"one", []string{"resource", public + "/mcp", "audience", gateway}, "invalid_target", ""},
		"an API below it":                {"both", []string{"resource", public + "/mcp/inner"}, "tools.call shared", public + "/mcp/inner"},
		"an API below it, not granted":   {"one", []string{"resource", public + "/mcp/inner"}, "invalid_target", ""},
		"a path below it":                {"one", []string{"resource", public + "/mcp/x"}, "invalid_target", ""},
		"a path beside it":               {"one", []string{"resource", public + "/mcpx"}, "invalid_target", ""},
		"another scheme":                 {"one", []string{"resource", "http://id.example/mcp"}, "invalid_target", ""},
		"a query":                        {"one", []string{"resource", public + "/mcp?a=1"}, "invalid_target", ""},
		"a fragment":                     {"one", []string{"resource", public + "/mcp#a"}, "invalid_target", ""},
		"a user":                         {"one", []string{"resource", "https://u@id.example/mcp"}, "invalid_target", ""},
		"climbing":                       {"one", []string{"resource", public + "/x/../mcp"}, "invalid_target", ""},
		"an API without resource server": {"one", []string{"resource", public + "/unbound"}, "invalid_target", ""},
		"a draft":                        {"one", []string{"resource", public + "/draft"}, "invalid_target", ""},
		"of another instance":            {"one", []string{"resource", public + "/other"}, "invalid_target", ""},
		"of a disabled resource server":  {"one", []string{"resource", public + "/off"}, "invalid_target", ""},
		"an identifier comes first":      {"both", []string{"resource", public + "/claimed"}, "mine", public + "/claimed"},
		"a scope that is not granted":    {"one", []string{"resource", public + "/mcp", "scope", "secret.admin"}, "invalid_scope", ""},
	} {
		values := url.Values{"grant_type": {"client_credentials"}}
		for i := 0; i < len(test.ask); i += 2 {
			values.Set(test.ask[i], test.ask[i+1])
		}
		w := f.do(call{authorization: basic(test.client, secret), body: values.Encode()})
		if _, got := says(t, w); got != test.want {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
			continue
		}
		if test.audience == "" {
			continue
		}
		if claims := claimsOf(t, w.Body.Bytes()); claims.Audience != test.audience {
			t.Errorf("S06 %s: aud %s", name, claims.Audience)
		}
		if w := f.ask(test.client, answerOf(t, w.Body.Bytes()).AccessToken); !strings.Contains(w.Body.String(), test.audience) {
			t.Errorf("X01 %s: %s", name, w.Body)
		}
	}
	text := f.mint(t, call{body: "grant_type=client_credentials&resource=" + public + "/mcp"})
	for client, sees := range map[string]bool{"gate": true, "toolbox": false} {
		if w := f.ask(client, text); strings.Contains(w.Body.String(), `"active":true`) != sees {
			t.Errorf("X01: the resource server %s is told %s", client, w.Body)
		}
	}
}
