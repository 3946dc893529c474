package registry_test

import (
	"strings"
	"testing"

	"keyless/shared/registry"
)

// TestToolsOfAnAuthorizationAreJudged: each valid setting has a neighbour that is not.
func TestToolsOfAnAuthorizationAreJudged(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		api   string
		tools []string
		want  string // in the one fault; "" none
	}{
		"none":             {"http", nil, ""},
		"some":             {"tools", []string{"echo", "get-*", "*"}, ""},
		"an empty list":    {"tools", []string{}, "is an empty list"},
		"an empty name":    {"tools", []string{"echo", ""}, "tools[1]: is not a tool's name"},
		"a space":          {"tools", []string{"get it"}, "is not a tool's name"},
		"as long as it is": {"tools", []string{strings.Repeat("a", 128)}, ""},
		"longer":           {"tools", []string{strings.Repeat("a", 129)}, "is not a tool's name"},
		"twice":            {"tools", []string{"echo", "echo"}, "stands twice"},
		"on another API":   {"http", []string{"echo"}, "only on an API of type mcp"},
		"on no API":        {"gone", []string{"echo"}, "gone"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			faults := registry.Validate(&registry.Config{Version: 1,
				APIs: []registry.API{{Name: "tools", Type: registry.MCP, BasePath: "/mcp"}, {Name: "http", Type: registry.HTTP, BasePath: "/http"}},
				Consumers: []registry.Consumer{{Name: "agent", JWT: &registry.JWTCredential{JWKSURL: "https://keys.example/jwks", Value: "agent"},
					Authorizations: []registry.Authorization{{API: row.api, Tools: row.tools}}}},
			})
			text := ""
			if faults != nil {
				text = faults.Error()
			}
			if row.want == "" && text != "" || !strings.Contains(text, row.want) || strings.Count(text, "\n") > 0 {
				t.Errorf("faults %q, want one with %q", text, row.want)
			}
		})
	}
}
