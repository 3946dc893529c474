package proxy_test

import (
	"net/http"
	"strings"
	"testing"

	"keyless/shared/registry"
)

// TestCORS: a preflight is answered by us, uncounted; an answer names the page's origin where it is listed.
func TestCORS(t *testing.T) {
	t.Parallel()
	upstream := record(t, answers(200, isJSON, whole, "Access-Control-Allow-Origin: https://evil.example", "Vary: Accept"))
	jwt := &registry.Authentication{Methods: []string{"jwt"}}
	w := open(t, upstream.URL, llm(func(a *registry.API) {
		a.Authentication = jwt
		a.CORS = &registry.CORS{Origins: []string{"https://app.example"}}
	}, upstream.URL), with(map[string]any{"api:any": registry.API{Name: "any", Type: registry.HTTP, BasePath: "/any",
		Authentication: &registry.Authentication{Disabled: true}, Upstreams: target("plain"),
		CORS: &registry.CORS{Origins: []string{"*"}}}}))
	for name, row := range map[string]struct {
		method, path, origin string
		lines                []string
		status               int
		allow, credentials   string
	}{
		"a preflight": {"OPTIONS", "/llm/chat/completions", "https://app.example",
			[]string{"Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization,x-a"}, 204, "https://app.example", "true"},
		"a preflight of another page": {"OPTIONS", "/llm/chat/completions", "https://evil.example",
			[]string{"Access-Control-Request-Method: POST"}, 204, "", ""},
		"a refusal can be read":       {"POST", "/llm/chat/completions", "https://app.example", []string{"Authorization: "}, 401, "https://app.example", "true"},
		"another page's":              {"POST", "/llm/chat/completions", "https://app.example.evil", []string{"Authorization: "}, 401, "", ""},
		"no page":                     {"POST", "/llm/chat/completions", "", []string{"Authorization: "}, 401, "", ""},
		"any page, without cookies":   {"GET", "/any/x", "https://some.example", nil, 200, "*", ""},
		"any page's preflight":        {"OPTIONS", "/any/x", "https://some.example", []string{"Access-Control-Request-Method: PUT"}, 204, "*", ""},
		"no preflight, just a method": {"OPTIONS", "/any/x", "https://some.example", nil, 200, "*", ""},
	} {
		before, up := w.quota.admitted(), upstream.count()
		lines := append([]string{"Origin: " + row.origin}, row.lines...)
		got := do(t, w.request(row.method, row.path, "", lines...))
		equal(t, name+": status", got.StatusCode, row.status)
		equal(t, name+": allowed", strings.Join(got.Header["Access-Control-Allow-Origin"], "|"), row.allow)
		equal(t, name+": credentials", got.Header.Get("Access-Control-Allow-Credentials"), row.credentials)
		equal(t, name+": varies", strings.HasPrefix(got.Header.Get("Vary"), "Origin"), true)
		counted := 0
		if row.status == 200 {
			counted = 1
			equal(t, name+": the upstream's own Vary stays", strings.Join(got.Header["Vary"], ", "), "Origin, Accept")
			equal(t, name+": what may be read", strings.Contains(got.Header.Get("Access-Control-Expose-Headers"), "RateLimit"), true)
		}
		equal(t, name+": counted", w.quota.admitted()-before, counted)
		equal(t, name+": went up", upstream.count()-up, counted)
		if name == "a preflight" {
			equal(t, "headers", got.Header.Get("Access-Control-Allow-Headers"), "authorization,x-a")
			equal(t, "methods", strings.Contains(got.Header.Get("Access-Control-Allow-Methods"), "POST"), true)
			equal(t, "body", got.body, "")
		}
	}
	// Where an API says nothing of CORS the backend may.
	got := do(t, w.request(http.MethodGet, "/accounts/x", "", "Origin: https://evil.example"))
	equal(t, "the backend's own", got.Header.Get("Access-Control-Allow-Origin"), "https://evil.example")
}
