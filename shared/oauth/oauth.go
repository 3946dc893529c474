// Package oauth holds the words that every room speaks: the names and grammars of OAuth 2.0 on the wire, the verification Key, and the
// strict door that every JSON Web Token passes before a library sees it.
//
// A request meets it three times: the gate and the token endpoint parse a compact token with Parse, they compare what it says with a
// Key from ParseJWKSet, and an edge answers with an Error (RFC 6749 §5.2) or a Challenge (RFC 6750 §3).
//
// The package is pure: no I/O, no clock, no state. Everything in it is safe for concurrent use.
//
// Sources: RFC 6749, 6750, 7515, 7517, 7518, 7519, 7638, 8037, 8414, 8707, 8725, 9068, 9449 (https://www.rfc-editor.org/rfc/rfcNNNN).
package oauth

// Names on the wire.
const (
	GrantClientCredentials = "client_credentials" // RFC 6749 §4.4

	ClientSecretBasic = "client_secret_basic" // RFC 7591 §2
	ClientSecretPost  = "client_secret_post"  // RFC 7591 §2

	TypeAccessToken = "at+jwt" // the typ of an access token, RFC 9068 §2.1
)

// Algorithms are the JWS algorithms that a gate accepts, by the requirement document's list (RFC 7518 §3.1, RFC 8037 §3.1).
var Algorithms = []string{
	"ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "HS256", "HS384", "HS512", "EdDSA",
}

// SigningAlgorithms are the ones that an instance can sign with: all but the symmetric ones, whose key cannot be published.
var SigningAlgorithms = []string{
	"ES256", "RS256", "EdDSA", "ES384", "ES512", "RS384", "RS512", "PS256", "PS384", "PS512",
}
