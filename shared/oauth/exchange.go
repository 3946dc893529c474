package oauth

// GrantTokenExchange is the grant type of RFC 8693 §2.1.
const GrantTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"

// The token types of RFC 8693 §3 that are taken.
const (
	TokenTypeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
	TokenTypeIDToken     = "urn:ietf:params:oauth:token-type:id_token"
	TokenTypeJWT         = "urn:ietf:params:oauth:token-type:jwt"
)

// Actor is who acts for the subject of a token: act (RFC 8693 §4.1). An inner one acted before the outer.
type Actor struct {
	Issuer  string `json:"iss,omitempty"` // of the actor's token where that is not the token's own
	Subject string `json:"sub"`
	Actor   *Actor `json:"act,omitempty"`
}

// Introspection is the answer about a token, RFC 7662 §2.2; times are Unix seconds. Of a token that is not
// active the member active stands alone.
type Introspection struct {
	Active    bool   `json:"active"`
	Scope     string `json:"scope,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	TokenType string `json:"token_type,omitempty"`
	ExpiresAt int64  `json:"exp,omitempty"`
	IssuedAt  int64  `json:"iat,omitempty"`
	NotBefore int64  `json:"nbf,omitempty"`
	Subject   string `json:"sub,omitempty"`
	Audience  string `json:"aud,omitempty"`
	Issuer    string `json:"iss,omitempty"`
	ID        string `json:"jti,omitempty"`

	Confirmation *Confirmation `json:"cnf,omitempty"`
	Actor        *Actor        `json:"act,omitempty"`
}
