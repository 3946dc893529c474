package auth

import "keyless/shared/oauth"

// VerifiesCompact reports whether a key verifies the signature of a compact JWS, whatever its payload: most vectors of the RFCs are no JWTs.
func VerifiesCompact(compact, alg string, key oauth.Key) bool {
	return Verifies(&oauth.Token{Compact: compact, Header: oauth.Header{Algorithm: alg}}, key)
}
