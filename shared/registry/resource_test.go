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
