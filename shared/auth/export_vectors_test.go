package auth

import "keyless/shared/oauth"

// Verifies reports whether a key verifies the signature of a compact JWS, whatever its payload: most vectors of the RFCs are no JWTs.
func Verifies(compact, alg string, key oauth.Key) bool {
	return verifies(&oauth.Token{Compact: compact, Header: oauth.Header{Algorithm: alg}}, key)
}
