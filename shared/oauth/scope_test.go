package oauth_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"keyless/shared/oauth"
)

func TestParseScope(t *testing.T) {
	t.Parallel()
	many := make([]string, oauth.MaxScopes)
	for i := range many {
		many[i] = fmt.Sprint("s", i)
	}
	tests := map[string]struct {
		text string
		want []string
		ok   bool
	}{
		"nothing":            {"", nil, true},
		"one":                {"a", []string{"a"}, true},
		"two":                {"b a", []string{"b", "a"}, true},
		"one twice":          {"a b a", []string{"a", "b"}, true},
		"letter case counts": {"a A", []string{"a", "A"}, true},
		"IDaaS form": {
			"cloud:idaas:gw|model.invoke", []string{"cloud:idaas:gw|model.invoke"}, true,
		},
		"first and last character":     {"! ~", []string{"!", "~"}, true},
		"beside the quote":             {"!#[]", []string{"!#[]"}, true},
		"as many as may be":            {strings.Join(many, " "), many, true},
		"more by one":                  {strings.Join(many, " ") + " x", nil, false},
		"two spaces":                   {"a  b", nil, false},
		"a space before":               {" a", nil, false},
		"a space after":                {"a ", nil, false},
		"only a space":                 {" ", nil, false},
		"a tab":                        {"a\tb", nil, false},
		"a line feed":                  {"a\nb", nil, false},
		"a quote":                      {`a"b`, nil, false},
		"a backslash":                  {`a\b`, nil, false},
		"a delete":                     {"a\x7f", nil, false},
		"a letter beyond ASCII":        {"é", nil, false},
		"a comma is a plain character": {"a,b", []string{"a,b"}, true},
	}
	for name, test := range tests {
		got, err := oauth.ParseScope(test.text)
		if (err == nil) != test.ok || !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestChallenge(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		got, want string
	}{
		"the scheme alone": {oauth.Challenge("Bearer"), `Bearer`},
		"a parameter":      {oauth.Challenge("Bearer", "realm", "a"), `Bearer realm="a"`},
		"several": {
			oauth.Challenge("Bearer", "realm", "a", "error", "e"), `Bearer realm="a", error="e"`,
		},
		"an empty one is left out": {oauth.Challenge("Bearer", "realm", "", "error", "e"), `Bearer error="e"`},
		"no way out of the quotes": {oauth.Challenge("Bearer", "realm", "a\"\\\r\nX: 1é"), `Bearer realm="aX: 1"`},
		"a name without a value":   {oauth.Challenge("Bearer", "realm"), `Bearer`},
	}
	for name, test := range tests {
		if test.got != test.want {
			t.Errorf("%s: %s, want %s", name, test.got, test.want)
		}
	}
}

func TestRefuse(t *testing.T) {
	t.Parallel()
	for code, status := range map[string]int{
		oauth.InvalidRequest: http.StatusBadRequest, oauth.InvalidClient: http.StatusUnauthorized,
		oauth.UnauthorizedClient: http.StatusBadRequest, oauth.UnsupportedGrantType: http.StatusBadRequest,
		oauth.InvalidScope: http.StatusBadRequest, oauth.InvalidTarget: http.StatusBadRequest,
		oauth.TemporarilyUnavailable: http.StatusServiceUnavailable,
		oauth.ServerError:            http.StatusInternalServerError,
	} {
		if got := oauth.Refuse(code, "why"); got.Status != status || got.Code != code || got.Description != "why" {
			t.Errorf("%s: %+v", code, got)
		}
	}
}
