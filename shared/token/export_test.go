package token

import (
	"encoding/json"
	"time"

	"keyless/shared/registry"
)

// ParseBasic returns the id and the readings of the secret of a Basic header.
func ParseBasic(header string) (string, []string, bool) {
	p, ok := parseBasic(header)
	return p.id, p.secrets, ok
}

// Sentences returns every public sentence by its reason.
func Sentences() map[string]string {
	all := map[string]string{}
	for why, a := range answers {
		all[string(why)] = a.code + ": " + a.sentence
	}
	return all
}

// Matches is the comparison of a federated credential.
func Matches(pattern, value string) bool { return matches(pattern, value) }

// Claim finds a claim by name or pointer.
func Claim(all map[string]json.RawMessage, name string) json.RawMessage { return claim(all, name) }

// DocumentWrong judges a signed document.
func DocumentWrong(f *registry.FederatedCredential, text string, now time.Time) string {
	return documentWrong(f, text, now)
}

// IsBER judges the structure of a signed document.
func IsBER(text []byte) bool { return isBER(text) }
