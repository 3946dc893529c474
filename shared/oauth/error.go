package oauth

import "net/http"

// Error is a refusal of the token endpoint, RFC 6749 §5.2. Description is a hand-written sentence of %x20-21 / %x23-5B / %x5D-7E.
// It is a value for the wire, not a Go error: a failure of ours never becomes one.
type Error struct {
	Status      int    `json:"-"`
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
	RequestID   string `json:"request_id,omitempty"` // beyond the RFC, as Alibaba IDaaS sends it
}

// The codes of RFC 6749 §5.2 and RFC 8707 §2.
const (
	InvalidRequest       = "invalid_request"
	InvalidClient        = "invalid_client"
	UnauthorizedClient   = "unauthorized_client"
	UnsupportedGrantType = "unsupported_grant_type"
	InvalidScope         = "invalid_scope"
	InvalidTarget        = "invalid_target"

	// TemporarilyUnavailable and ServerError are borrowed from RFC 6749 §4.1.2.1 for failures of ours.
	TemporarilyUnavailable = "temporarily_unavailable"
	ServerError            = "server_error"
)

// Refuse makes an Error with the status that RFC 6749 §5.2 gives its code.
func Refuse(code, description string) *Error {
	status := http.StatusBadRequest
	switch code {
	case InvalidClient:
		status = http.StatusUnauthorized
	case TemporarilyUnavailable:
		status = http.StatusServiceUnavailable
	case ServerError:
		status = http.StatusInternalServerError
	}
	return &Error{Status: status, Code: code, Description: description}
}

// TokenResponse is RFC 6749 §5.1 with expires_at (Unix seconds), which Alibaba IDaaS clients read.
type TokenResponse struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"`
	ExpiresAt   int64  `json:"expires_at"`
	Scope       string `json:"scope"`

	IssuedTokenType string `json:"issued_token_type,omitempty"` // of a token exchange, RFC 8693 §2.2.1
}

// AccessTokenClaims are the claims of RFC 9068 §2.2, in fixed order; times are Unix seconds.
type AccessTokenClaims struct {
	Issuer    string `json:"iss"`
	Subject   string `json:"sub"`
	Audience  string `json:"aud"`
	ClientID  string `json:"client_id"`
	Scope     string `json:"scope"`
	IssuedAt  int64  `json:"iat"`
	NotBefore int64  `json:"nbf"`
	ExpiresAt int64  `json:"exp"`
	ID        string `json:"jti"`

	Confirmation *Confirmation `json:"cnf,omitempty"`
	Actor        *Actor        `json:"act,omitempty"` // of a token exchange
}

// Metadata is the authorization server's self-description, RFC 8414 §2, served as OpenID discovery too.
type Metadata struct {
	Issuer                            string   `json:"issuer"`
	AuthorizationEndpoint             string   `json:"authorization_endpoint"`
	TokenEndpoint                     string   `json:"token_endpoint"`
	JWKSURI                           string   `json:"jwks_uri"`
	ScopesSupported                   []string `json:"scopes_supported"`
	ResponseTypesSupported            []string `json:"response_types_supported"`
	GrantTypesSupported               []string `json:"grant_types_supported"`
	TokenEndpointAuthMethodsSupported []string `json:"token_endpoint_auth_methods_supported"`
	TokenEndpointAuthSigningAlgs      []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	SubjectTypesSupported             []string `json:"subject_types_supported"`
	IDTokenSigningAlgValuesSupported  []string `json:"id_token_signing_alg_values_supported"`
	ClaimsSupported                   []string `json:"claims_supported"`

	IntrospectionEndpoint            string   `json:"introspection_endpoint"` // RFC 7662
	IntrospectionEndpointAuthMethods []string `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectionEndpointSigningAlgs []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	RevocationEndpoint               string   `json:"revocation_endpoint"` // RFC 7009
	RevocationEndpointAuthMethods    []string `json:"revocation_endpoint_auth_methods_supported"`
	RevocationEndpointSigningAlgs    []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	CertificateBoundAccessTokens     bool     `json:"tls_client_certificate_bound_access_tokens"` // RFC 8705 §3.3
	DPoPSigningAlgs                  []string `json:"dpop_signing_alg_values_supported"`          // RFC 9449 §5.1
	ProtectedResources               []string `json:"protected_resources,omitempty"`              // RFC 9728 §4
}
