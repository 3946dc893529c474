package auth

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"

	"keyless/shared/oauth"
)

// confirmed holds a bound token to its binding (RFC 7800 §3, RFC 8705 §3: MUST): the certificate of the connection, as the platform or
// our own listener tells it. A binding of another kind, such as a DPoP key, cannot be proven here, so such a token is no bearer token.
func confirmed(r *http.Request, claims oauth.Claims) bool {
	text, bound := claims.All["cnf"]
	if !bound {
		return true
	}
	members, err := oauth.Object(text)
	if err != nil || len(members) != 1 || r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return false
	}
	want, _ := oauth.String(members["x5t#S256"])
	sum := sha256.Sum256(r.TLS.PeerCertificates[0].Raw)
	return want == base64.RawURLEncoding.EncodeToString(sum[:])
}
