package auth

import (
	"net/http"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// Reason is why a request is refused: a closed list, and the code that the caller reads.
type Reason string

// The reasons.
const (
	JWTMissing   Reason = "jwt_missing"
	JWTExpired   Reason = "jwt_expired"
	JWTInvalid   Reason = "jwt_verification_failed"
	AccessDenied Reason = "access_denied"

	APIKeyMissing Reason = "api_key_missing"
	HMACMissing   Reason = "hmac_invalid_key"
)

// Reasons lists them all, so that a test can walk every one through every table.
var Reasons = []Reason{JWTMissing, JWTExpired, JWTInvalid, AccessDenied, APIKeyMissing, HMACMissing}

// Refusal is how a Reason looks on the wire: the requirement document's status and sentence, word for word.
type Refusal struct {
	Status  int
	Message string
	Code    string
	scheme  string
}

var refusals = map[Reason]Refusal{
	JWTMissing:   {http.StatusUnauthorized, "JWT missing", string(JWTMissing), "Bearer"},
	JWTExpired:   {http.StatusUnauthorized, "JWT expired", string(JWTExpired), "Bearer"},
	JWTInvalid:   {http.StatusUnauthorized, "JWT verification fails", string(JWTInvalid), "Bearer"},
	AccessDenied: {http.StatusForbidden, "Access Denied", string(AccessDenied), ""},
	APIKeyMissing: {http.StatusUnauthorized,
		"Request denied by Key Auth check. No API key found in request.", string(APIKeyMissing), "ApiKey"},
	HMACMissing: {http.StatusUnauthorized, "Invalid Key", string(HMACMissing), "HMAC"},
}

// Refusal returns the Reason's look. A Reason without one is our own mistake and looks like a failure.
func (r Reason) Refusal() Refusal {
	if f, ok := refusals[r]; ok {
		return f
	}
	return Refusal{http.StatusInternalServerError, "Internal error", "internal", ""}
}

// Challenge returns the WWW-Authenticate value of a refusal by 401, "" of any other. A bad token is named as such, a missing one is
// not (RFC 6750 §3.1).
func (d *Decision) Challenge() string {
	f := d.Reason.Refusal()
	if f.Status != http.StatusUnauthorized {
		return ""
	}
	fault := ""
	if d.Sent && f.scheme == "Bearer" {
		fault = "invalid_token"
	}
	return oauth.Challenge(f.scheme, "realm", d.API.Name, "error", fault)
}

// missing is the refusal where no credential was found: that of the first method that the API lists.
func missing(method string) Reason {
	switch method {
	case registry.MethodAPIKey:
		return APIKeyMissing
	case registry.MethodHMAC:
		return HMACMissing
	}
	return JWTMissing
}
