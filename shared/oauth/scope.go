package oauth

import (
	"errors"
	"slices"
	"strings"
)

// MaxScopes bounds the members of one scope parameter: one resource server has few scopes, and each is looked up.
const MaxScopes = 64

// ParseScope reads a scope parameter: tokens of %x21 / %x23-5B / %x5D-7E separated by exactly one space, order-free, duplicates folded
// (RFC 6749 §3.3). An empty text has no members.
func ParseScope(text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	var scopes []string
	for s := range strings.SplitSeq(text, " ") {
		if !ValidScope(s) {
			return nil, errors.New("scope is not a list of scope tokens separated by one space")
		}
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
		if len(scopes) > MaxScopes {
			return nil, errors.New("scope has too many members")
		}
	}
	return scopes, nil
}

// ValidScope reports whether s is one scope token of RFC 6749 §3.3.
func ValidScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}
