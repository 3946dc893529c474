package token_test

import (
	"encoding/json"
	"strings"
	"testing"

	"keyless/shared/oauth"
	"keyless/shared/token"
)

func TestC17Patterns(t *testing.T) {
	t.Parallel()
	const main = "repo:acme/report:ref:refs/heads/main"
	for _, row := range []struct {
		pattern, value string
		want           bool
	}{
		{main, main, true}, {main, main + "2", false}, {main, main[:len(main)-1], false}, {main, "", false},
		{main, strings.ToUpper(main), false},
		{"repo:acme/*:ref:refs/heads/main", main, true},
		{"repo:acme/*:ref:refs/heads/main", "repo:acme/:ref:refs/heads/main", true},
		{"repo:acme/*:ref:refs/heads/main", "repo:acme/x:environment:y:ref:refs/heads/main", false},
		{"repo:acme/*:ref:refs/heads/main", "repo:acme2/x:ref:refs/heads/main", false},
		{"repo:acme/*", main, false}, {"repo:acme/*:*:*", main, true}, {"*:acme/report:ref:refs/heads/main", main, true},
		{"repo:*/report:ref:refs/heads/m*n", main, true}, {"repo:*/report:ref:refs/heads/m*x", main, false},
		{"a*b*c", "abc", true}, {"a*b*c", "aXbYc", true}, {"a*b*c", "acb", false}, {"a*b*c", "ab:c", false},
		{"a*a", "a", false}, {"a*a", "aa", true}, {"a*ab*b", "aabb", true}, {"*a", "ba", true}, {"*a", "ab", false},
		{"acme/*/deploy.yml@refs/heads/main", "acme/report/.github/workflows/deploy.yml@refs/heads/main", true},
		{"acme/*/deploy.yml@refs/heads/main", "acme/evil/own.yml@refs/heads/x/deploy.yml@refs/heads/main", false},
		{"CN=job-*,O=Acme", "CN=job-1,O=Acme", true}, {"CN=job-*,O=Acme", "CN=job-1,OU=x,O=Evil,O=Acme", false},
		{"a@*:c", "a:b@c", false}, {"a::*", "a:b:", false}, {"a:*:", "a:b:", true},
		{"*", "", true}, {"*", ":", false}, {"a.c", "abc", false}, {"a?c", "abc", false}, {"[a]", "a", false},
	} {
		if got := token.Matches(row.pattern, row.value); got != row.want {
			t.Errorf("%q on %q: %v", row.pattern, row.value, got)
		}
	}
}

func TestClaimPointer(t *testing.T) {
	t.Parallel()
	all, err := oauth.Object([]byte(`{"a":"1","/b":"2","c":{"d":{"e/f":"3","g~h":"4"}},"i":["5"],"":{"":"6"}}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"a": `"1"`, "/a": `"1"`, "/~1b": `"2"`, "/c/d/e~1f": `"3"`, "/c/d/g~0h": `"4"`, "//": `"6"`,
		"b": "", "/c/d/x": "", "/a/b": "", "/i/0": "", "/c/d/e/f": "", "c.d": "",
	} {
		if got := string(token.Claim(all, name)); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func FuzzClaimPointer(f *testing.F) {
	f.Add(`{"a":{"b":"c"}}`, "/a/b")
	f.Fuzz(func(t *testing.T, text, name string) {
		if all, err := oauth.Object([]byte(text)); err == nil {
			if value := token.Claim(all, name); value != nil && !json.Valid(value) {
				t.Fatalf("%q in %q: %q", name, text, value)
			}
		}
	})
}
