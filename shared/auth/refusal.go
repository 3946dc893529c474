package auth

import (
	"cmp"
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

	TokenRevoked Reason = "token_revoked"

	ModelNotAllowed   Reason = "model_not_allowed"
	ToolNotAllowed    Reason = "tool_not_allowed"
	InsufficientScope Reason = "insufficient_scope"

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
	JWTMissing, JWTExpired, JWTInvalid, TokenRevoked, AccessDenied, ModelNotAllowed, ToolNotAllowed, InsufficientScope,
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
	JWTMissing:   {http.StatusUnauthorized, "JWT missing", string(JWTMissing), bearerScheme},
	JWTExpired:   {http.StatusUnauthorized, "JWT expired", string(JWTExpired), bearerScheme},
	JWTInvalid:   {http.StatusUnauthorized, "JWT verification fails", string(JWTInvalid), bearerScheme},
	AccessDenied: {http.StatusForbidden, "Access Denied", string(AccessDenied), ""},

	TokenRevoked: {http.StatusUnauthorized, "JWT verification fails", string(JWTInvalid), bearerScheme},

	ModelNotAllowed:   {http.StatusForbidden, "Access Denied", string(ModelNotAllowed), ""},
	ToolNotAllowed:    {http.StatusForbidden, "Access Denied", string(ToolNotAllowed), ""},
	InsufficientScope: {http.StatusForbidden, "Access Denied", string(InsufficientScope), bearerScheme},

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

const bearerScheme = "Bearer"

// keyAuth begins the requirement document's sentences on API keys.
const keyAuth = "Request denied by Key Auth check. "

// Refusal returns the Reason's look. A Reason without one is our own mistake and looks like a failure.
func (r Reason) Refusal() Refusal {
	if f, ok := refusals[r]; ok {
		return f
	}
	return Refusal{http.StatusInternalServerError, "Internal error", "internal", ""}
}

// Challenge returns the WWW-Authenticate value of a refusal by 401, and of a token that lacks a scope; "" of any other. A bad token is
// named as such, a missing one is not (RFC 6750 §3.1); a token that is bound to a DPoP key, or should be, is challenged by that scheme
// (RFC 9449 §7.1). On an MCP API a client learns where to find out who issues tokens (RFC 9728 §5.1).
func (d *Decision) Challenge() string {
	f := d.Reason.Refusal()
	switch {
	case f.scheme == "":
		return ""
	case f.scheme != bearerScheme:
		return oauth.Challenge(f.scheme, "realm", d.API.Name)
	}
	fault, scope := "", ""
	switch {
	case d.Reason == InsufficientScope:
		fault, scope = "insufficient_scope", strings.Join(d.API.Scopes, " ")
	case d.Sent:
		fault = cmp.Or(d.dpopFault, "invalid_token")
	}
	scheme, algorithms := f.scheme, ""
	if d.dpop {
		scheme, algorithms = oauth.SchemeDPoP, strings.Join(oauth.DPoPAlgorithms, " ")
	}
	return oauth.Challenge(scheme, "realm", d.API.Name, "error", fault, "scope", scope, "algs", algorithms,
		"resource_metadata", d.metadata)
}

// metadataOf is the URL of the metadata of an MCP API as a protected resource (RFC 9728 §3.1).
func (g *Gate) metadataOf(v registry.View, r *http.Request, api *registry.API) string {
	if api.Type != registry.MCP {
		return ""
	}
	return g.origin(v, r) + "/.well-known/oauth-protected-resource" + strings.TrimSuffix(api.BasePath, "/")
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
