package auth

import (
	"net/http"
	"strings"

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

	ModelNotAllowed Reason = "model_not_allowed"

	APIKeyMissing        Reason = "api_key_missing"
	APIKeyMultiple       Reason = "api_key_multiple"
	APIKeyInvalid        Reason = "api_key_invalid"
	ConsumerUnauthorized Reason = "consumer_unauthorized"

	HMACInvalidKey       Reason = "hmac_invalid_key"
	HMACEmptySignature   Reason = "hmac_empty_signature"
	HMACInvalidSignature Reason = "hmac_invalid_signature"
	HMACInvalidDate      Reason = "hmac_invalid_date"
	HMACInvalidDigest    Reason = "hmac_invalid_content_md5"
	HMACReplayedNonce    Reason = "hmac_replayed_nonce"
	HMACBodyNeeded       Reason = "hmac_body_needed"
	HMACUnauthorized     Reason = "hmac_consumer_unauthorized"

	BodyTooLarge Reason = "body_too_large"
)

// Reasons lists them all, so that a test can walk every one through every table.
var Reasons = []Reason{
	JWTMissing, JWTExpired, JWTInvalid, AccessDenied, ModelNotAllowed,
	APIKeyMissing, APIKeyMultiple, APIKeyInvalid, ConsumerUnauthorized,
	HMACInvalidKey, HMACEmptySignature, HMACInvalidSignature, HMACInvalidDate, HMACInvalidDigest, HMACReplayedNonce, HMACBodyNeeded,
	HMACUnauthorized, BodyTooLarge,
}

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

	ModelNotAllowed: {http.StatusForbidden, "Access Denied", string(ModelNotAllowed), ""},

	APIKeyMissing:        {http.StatusUnauthorized, keyAuth + "No API key found in request.", string(APIKeyMissing), "ApiKey"},
	APIKeyMultiple:       {http.StatusUnauthorized, keyAuth + "Multiple API keys found in request.", string(APIKeyMultiple), "ApiKey"},
	APIKeyInvalid:        {http.StatusUnauthorized, keyAuth + "Invalid API key.", string(APIKeyInvalid), "ApiKey"},
	ConsumerUnauthorized: {http.StatusForbidden, keyAuth + "Unauthorized consumer.", string(ConsumerUnauthorized), ""},

	HMACInvalidKey:       {http.StatusUnauthorized, "Invalid Key", string(HMACInvalidKey), "HMAC"},
	HMACEmptySignature:   {http.StatusUnauthorized, "Empty Signature", string(HMACEmptySignature), "HMAC"},
	HMACInvalidSignature: {http.StatusUnauthorized, "Invalid Signature", string(HMACInvalidSignature), "HMAC"},
	HMACInvalidDate:      {http.StatusUnauthorized, "Invalid Date", string(HMACInvalidDate), "HMAC"},
	HMACInvalidDigest:    {http.StatusUnauthorized, "Invalid Content-MD5", string(HMACInvalidDigest), "HMAC"},
	HMACReplayedNonce:    {http.StatusUnauthorized, "Replayed Nonce", string(HMACReplayedNonce), "HMAC"},
	HMACBodyNeeded:       {http.StatusUnauthorized, "Request Body Needed", string(HMACBodyNeeded), "HMAC"},
	HMACUnauthorized:     {http.StatusForbidden, "Unauthorized Consumer", string(ConsumerUnauthorized), ""},

	BodyTooLarge: {http.StatusRequestEntityTooLarge, "Request Body Too Large", string(BodyTooLarge), ""},
}

// keyAuth begins the requirement document's sentences on API keys.
const keyAuth = "Request denied by Key Auth check. "

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

// several is the refusal where more than one credential was found: that of API keys where all are, else the first other method's.
func several(found []credential) Reason {
	for _, one := range found {
		switch one.method {
		case registry.MethodJWT:
			return JWTInvalid
		case registry.MethodHMAC:
			return HMACInvalidSignature
		}
	}
	return APIKeyMultiple
}

// missing is the refusal where no credential was found: that of the first method that the API lists.
func missing(method string) Reason {
	switch method {
	case registry.MethodAPIKey:
		return APIKeyMissing
	case registry.MethodHMAC:
		return HMACInvalidKey
	}
	return JWTMissing
}

// CaErrorMessage is the value of X-Ca-Error-Message on a signature that does not fit: the server's string to sign, line feeds as #, so
// that a developer can lay it beside the client's. "" on any other decision. It holds what the caller sent, and no secret.
func (d *Decision) CaErrorMessage() string {
	if d.StringToSign == "" || d.Reason != HMACInvalidSignature {
		return ""
	}
	const most = 2 << 10 // a header's worth
	text := strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return '#'
		case r < 0x20 || r > 0x7e:
			return '?'
		}
		return r
	}, d.StringToSign[:min(len(d.StringToSign), most)])
	return "Server StringToSign:`" + text + "`"
}
