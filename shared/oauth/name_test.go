package oauth_test

import (
	"strings"
	"testing"

	"keyless/shared/oauth"
)

func TestNames(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text           string
		name, instance bool
	}{
		"a word":                 {"acme", true, true},
		"a digit first":          {"1acme", true, true},
		"a hyphen inside":        {"a-b", true, true},
		"a hyphen at the end":    {"a-", true, true},
		"a hyphen first":         {"-a", true, false},
		"all that may be":        {"aZ09._~-", true, false},
		"a capital":              {"Acme", true, false},
		"nothing":                {"", false, false},
		"a space":                {"a b", false, false},
		"a slash":                {"a/b", false, false},
		"a colon":                {"a:b", false, false},
		"a brace":                {"a{b}", false, false},
		"a line feed at the end": {"acme\n", false, false},
		"a letter beyond ASCII":  {"é", false, false},
		"63 characters":          {strings.Repeat("a", 63), true, true},
		"64 characters":          {strings.Repeat("a", 64), true, false},
		"128 characters":         {strings.Repeat("a", 128), true, false},
		"129 characters":         {strings.Repeat("a", 129), false, false},
	}
	for name, test := range tests {
		if got := oauth.ValidName(test.text); got != test.name {
			t.Errorf("%s: a name %t", name, got)
		}
		if got := oauth.ValidInstance(test.text); got != test.instance {
			t.Errorf("%s: an instance %t", name, got)
		}
	}
}
