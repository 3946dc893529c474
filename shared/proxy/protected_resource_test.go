package proxy_test

import (
	"cmp"
	"net/http"
	"strings"
	"testing"

	"keyless/shared/registry"
)

// TestProtectedResource: a client that knows the URL of an MCP server finds who issues tokens for it.
func TestProtectedResource(t *testing.T) {
	t.Parallel()
	server := []registry.ResourceServer{{Identifier: "urn:tools", Name: "Tools"}}
	off := []registry.ResourceServer{{Identifier: "urn:tools", Name: "Tools", Status: registry.Disabled}}
	upstream := record(t, nil)
	mcp := func(name, path string, change func(*registry.API)) registry.API {
		a := registry.API{Name: name, Type: registry.MCP, BasePath: path, Upstreams: target("tools")}
		if change != nil {
			change(&a)
		}
		return a
	}
	w := open(t, upstream.URL, with(map[string]any{
		"instance:acme":        registry.Instance{ID: "acme", ResourceServers: server},
		"instance:beta":        registry.Instance{ID: "beta", ResourceServers: server},
		"instance:gamma":       registry.Instance{ID: "gamma", ResourceServers: off},
		"instance:delta":       registry.Instance{ID: "delta"},
		"instance:epsilon":     registry.Instance{ID: "epsilon", ResourceServers: server, M2M: registry.Disabled},
		"domain:*.any.example": registry.Domain{Name: "*.any.example"},
		"domain:ai.example":    registry.Domain{Name: "ai.example"},
		"api:bound": mcp("bound", "/bound", func(a *registry.API) {
			a.ResourceServer, a.Scopes = "urn:tools", []string{"tools.call", "tools.list"}
		}),
		"api:elsewhere": mcp("elsewhere", "/elsewhere", func(a *registry.API) { a.Domains = []string{"ai.example"} }),
		"api:hidden":    mcp("hidden", "/hidden", func(a *registry.API) { a.Status = "draft" }),
	}))
	rest := `"bearer_methods_supported":["header"],"dpop_signing_alg_values_supported":`
	for name, row := range map[string]struct {
		method, path, host string
		status             int
		want               string // how the document begins
	}{
		"a bound one": {path: "/bound", status: 200,
			want: `{"resource":"https://gateway.example/bound","authorization_servers":["https://gateway.example/acme/oauth2",` +
				`"https://gateway.example/beta/oauth2"],"scopes_supported":["tools.call","tools.list"],` + rest},
		"one that is not bound": {path: "/mcp", status: 200, want: `{"resource":"https://gateway.example/mcp",` + rest},
		"with a port":           {path: "/mcp", host: "gateway.example:443", status: 200, want: `{"resource":"https://gateway.example:443/mcp",` + rest},
		"with another port":     {path: "/mcp", host: "gateway.example:8443", status: 404},
		"a host of nobody's":    {path: "/mcp", host: "evil.example", status: 404},
		"one of many hosts":     {path: "/mcp", host: "x.any.example", status: 200, want: `{"resource":"https://x.any.example/mcp",` + rest},
		"a slash at the end":    {path: "/mcp/", status: 200, want: `{"resource":"https://gateway.example/mcp",` + rest},
		"on its host":           {path: "/elsewhere", host: "ai.example", status: 200, want: `{"resource":"https://ai.example/elsewhere",` + rest},
		"by HEAD":               {method: http.MethodHead, path: "/mcp", status: 200},
		"on another host":       {path: "/elsewhere", status: 404},
		"a draft":               {path: "/hidden", status: 404},
		"no MCP":                {path: "/v1", status: 404},
		"below one":             {path: "/mcp/sse", status: 404},
		"nothing":               {path: "", status: 404},
		"not canonical":         {path: "/mcp/..", status: 404},
		"by POST":               {method: http.MethodPost, path: "/mcp", status: 405},
		"a preflight":           {method: http.MethodOptions, path: "/mcp", status: 204},
	} {
		r := w.request(cmp.Or(row.method, http.MethodGet), "/.well-known/oauth-protected-resource"+row.path, "", "Authorization: ")
		r.Host = cmp.Or(row.host, "gateway.example")
		got := do(t, r)
		equal(t, name, got.StatusCode, row.status)
		equal(t, name+": body", strings.HasPrefix(got.body, row.want), true)
		equal(t, name+": pages may read it", got.Header.Get("Access-Control-Allow-Origin"), "*")
		switch row.status {
		case 200:
			equal(t, name+": kept", got.Header.Get("Cache-Control"), "public, max-age=300")
			r.Header.Set("If-None-Match", got.Header.Get("ETag"))
			equal(t, name+": unchanged", do(t, r).StatusCode, 304)
		case 405:
			equal(t, name, got.Header.Get("Allow"), "GET, HEAD, OPTIONS")
		case 404:
			equal(t, name+": a problem", got.Header.Get("Content-Type"), toProblem)
		}
	}
	equal(t, "none is a call", w.quota.admitted()+upstream.count(), 0)
	got := do(t, w.request(http.MethodGet, "/.well-known/oauth-protected-resources", "", "Authorization: "))
	equal(t, "another name", strings.Contains(got.body, "api_not_found"), true)
}

// TestChallengeNamesTheResource, on 401 of an MCP API alone.
func TestChallengeNamesTheResource(t *testing.T) {
	t.Parallel()
	w := open(t, record(t, nil).URL)
	for path, names := range map[string]bool{"/mcp": true, "/own": true, "/v1": false} {
		got := do(t, w.request(http.MethodPost, path, "{}", "Authorization: "))
		named := strings.Contains(got.Header.Get("WWW-Authenticate"), `resource_metadata="https://gateway.example`+
			`/.well-known/oauth-protected-resource`+path+`"`)
		equal(t, path, named, names)
	}
}
