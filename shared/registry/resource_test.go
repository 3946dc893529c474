package registry_test

import (
	"testing"
)

func TestAPIOfFindsAnAPIByItsURL(t *testing.T) {
	t.Parallel()
	known := loaded(t, map[string]string{
		"revision": "1", "domain:ai.acme.example": `{"name":"ai.acme.example"}`,
		"api:tools": `{"name":"tools","type":"mcp","base_path":"/mcp"}`,
		"api:here":  `{"name":"here","type":"mcp","base_path":"/here","domains":["ai.acme.example"]}`,
	})
	for resource, want := range map[string]string{
		"https://gw.example/mcp":          "tools",
		"https://gw.example./mcp":         "tools",
		"https://gw.example:8443/mcp":     "", // nobody is there but who says so
		"https://evil.example/mcp":        "",
		"https://localhost/mcp":           "",
		"https://default/mcp":             "",
		"https://ai.acme.example/mcp":     "tools",
		"https://ai.acme.example:443/mcp": "tools",
		"https://ai.acme.example:444/mcp": "",
		"https://gw.example/mcp/":         "tools",
		"HTTPS://GW.example:443/mcp":      "tools",
		"https://ai.acme.example/here":    "here",
		"https://gw.example/here":         "",
		"http://gw.example/mcp":           "",
		"https://gw.example/mcp/more":     "",
		"https://gw.example/mcp?":         "",
		"https://gw.example/mcp?x=1":      "",
		"https://gw.example/mcp#f":        "",
		"https://user@gw.example/mcp":     "",
		"https://gw.example/x/../mcp":     "",
		"cloud:idaas:aigateway:alibaba:1": "",
		"":                                "",
	} {
		got := ""
		if api := known.APIOf("https://gw.example", resource); api != nil {
			got = api.Name
		}
		if got != want {
			t.Errorf("%q finds %q, want %q", resource, got, want)
		}
	}
}

func TestOurHost(t *testing.T) {
	t.Parallel()
	known := loaded(t, map[string]string{
		"revision": "1", "domain:ai.acme.example": `{"name":"ai.acme.example"}`, "domain:*.any.example": `{"name":"*.any.example"}`,
	})
	for name, c := range map[string]struct {
		public string
		yes    []string
		no     []string
	}{
		"a public name": {"https://gw.example",
			[]string{"gw.example", "GW.example:443", "ai.acme.example", "ai.acme.example:443", "x.any.example"},
			[]string{"gw.example:80", "gw.example:8443", "evil.example", "gw.example.evil.example", "ai.acme.example:8443",
				"x.any.example:1", "any.example", "127.0.0.1", "", "default"}},
		"with a port": {"https://gw.example:8443",
			[]string{"gw.example:8443", "ai.acme.example", "ai.acme.example:8443", "ai.acme.example:443"},
			[]string{"gw.example", "gw.example:443", "ai.acme.example:8444"}},
		"on loopback": {"http://127.0.0.1:8080",
			[]string{"127.0.0.1:8080", "localhost:8080", "[::1]:8080", "127.0.0.2:8080", "ai.acme.example", "ai.acme.example:80"},
			[]string{"localhost", "127.0.0.1:8081", "10.0.0.1:8080", "localhost.evil.example:8080", "ai.acme.example:443"}},
		"no public URL": {"", nil, []string{"", "gw.example", "ai.acme.example"}},
	} {
		for _, host := range c.yes {
			if !known.OurHost(c.public, host) {
				t.Errorf("%s: %q is not ours", name, host)
			}
		}
		for _, host := range c.no {
			if known.OurHost(c.public, host) {
				t.Errorf("%s: %q is ours", name, host)
			}
		}
	}
}
