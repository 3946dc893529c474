package auth

import (
	"crypto/sha256"
	"net/http"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// StringToSign is the server's text for a request and its body, or what is wrong with what the request says of its signature.
func StringToSign(r *http.Request, body []byte) (string, Reason) {
	sent, problem := parseSigned(r)
	if problem != "" {
		return "", problem
	}
	return sent.stringToSign(r, body), ""
}

// Found is the method of each credential that a request has.
func Found(r *http.Request, s *registry.Snapshot, api *registry.API) []string {
	var methods []string
	for _, one := range find(r, s, api) {
		methods = append(methods, one.method)
	}
	return methods
}

// Asks is what global authentication says of a domain and path.
func Asks(global *registry.GlobalAuthentication, domain, path string) bool {
	return asks(global, domain, path)
}

// MaxVerified bounds a generation of remembered signatures.
const MaxVerified = maxVerified

// Remember makes the gate believe that a token's signature was verified under a key.
func (g *Gate) Remember(compact, thumbprint string) {
	g.verified.remember(fact{sha256.Sum256([]byte(compact)), thumbprint})
}

// Remembered counts the signatures that the gate remembers.
func (g *Gate) Remembered() int {
	g.verified.mu.Lock()
	defer g.verified.mu.Unlock()
	return len(g.verified.young) + len(g.verified.old)
}

// Signatures is the memory alone.
type Signatures struct{ *signatures }

// NewSignatures makes one.
func NewSignatures() Signatures { return Signatures{newSignatures()} }

// Verifies asks it.
func (s Signatures) Verifies(token *oauth.Token, k oauth.Key) bool { return s.verifies(token, k) }

// Remember makes it believe that a token's signature was verified under a key.
func (s Signatures) Remember(compact, thumbprint string) {
	s.remember(fact{sha256.Sum256([]byte(compact)), thumbprint})
}

// Len counts what it remembers.
func (s Signatures) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.young) + len(s.old)
}
