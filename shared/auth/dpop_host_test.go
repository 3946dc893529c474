package auth_test

import (
	"testing"

	"keyless/shared/auth"
	"keyless/shared/registry"
)

// H6: a call comes in under every host, and the party that a proof was made for must not get in with it by sending its own host along.
func TestTheHostThatAProofIsFor(t *testing.T) {
	t.Parallel()
	mine := ecHolder(t)
	token := mine.token(nil)
	config := orders()
	config.Domains = []registry.Domain{{Name: "ai.acme.example"}, {Name: "*.any.example"}}
	h := newHouse(t, config)
	for name, c := range map[string]struct {
		public, host, htu string
		want              bool
	}{
		"the public URL's own":               {"https://gateway.example", "gateway.example", "https://gateway.example", true},
		"… behind what rewrites Host":        {"https://gateway.example", "internal:8080", "https://gateway.example", true},
		"another party's, and its Host":      {"https://gateway.example", "evil.example", "https://evil.example", false},
		"another port's, and its Host":       {"https://gateway.example", "gateway.example:8443", "https://gateway.example:8443", false},
		"a named domain":                     {"https://gateway.example", "ai.acme.example", "https://ai.acme.example", true},
		"… and the proof is for the public":  {"https://gateway.example", "ai.acme.example", "https://gateway.example", false},
		"… at another port":                  {"https://gateway.example", "ai.acme.example:1", "https://ai.acme.example:1", false},
		"a host of a wildcard domain":        {"https://gateway.example", "x.any.example", "https://x.any.example", true},
		"… and the proof is for another":     {"https://gateway.example", "x.any.example", "https://y.any.example", false},
		"loopback by another name":           {"http://127.0.0.1:8080", "localhost:8080", "http://localhost:8080", true},
		"loopback at another port":           {"http://127.0.0.1:8080", "localhost:9090", "http://localhost:9090", false},
		"loopback, where ours is elsewhere":  {"http://gateway.example:8080", "localhost:8080", "http://localhost:8080", false},
		"the public URL's, in other letters": {"https://gateway.example", "Gateway.Example:443", "https://gateway.example", true},
	} {
		gate := auth.New(h.source, c.public, h.clock).WithNonces(h.nonces)
		r := ask("DPoP ", token, mine.proof(t, token, map[string]any{"htu": c.htu + "/orders"}))
		r.Host = c.host
		if d, err := h.decideBy(gate, r, "orders"); err != nil || d.Allowed != c.want {
			t.Errorf("%s: %v %v", name, d.Trace, err)
		}
	}
}
