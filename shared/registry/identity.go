package registry

import (
	"encoding/json"
	"time"
)

// Instance is one issuer with its own keys and clients. Its issuer URL is {public URL}/{id}/oauth2.
type Instance struct {
	ID               string           `json:"id"`
	Description      string           `json:"description"`
	PrivacyAgreement string           `json:"privacy_agreement"` // "accepted"
	M2M              Status           `json:"m2m,omitempty"`     // disabled: no token is issued, keys stay published
	TokenLifetime    Duration         `json:"token_lifetime,omitempty"`
	SigningAlgorithm string           `json:"signing_algorithm,omitempty"` // default ES256
	KeyRotation      Duration         `json:"key_rotation,omitempty"`
	SecretStorage    string           `json:"secret_storage,omitempty"` // sealed (default) or hashed
	ResourceServers  []ResourceServer `json:"resource_servers,omitempty"`
	Clients          []Client         `json:"clients,omitempty"` // in a Config only; stored as entries of their own

	// Who accepted the privacy agreement, and when: what Apply and Edit note; see Accepted.
	PrivacyAgreementBy string     `json:"privacy_agreement_by,omitempty" file:"-"`
	PrivacyAgreementAt *time.Time `json:"privacy_agreement_at,omitempty" file:"-"`
}

// accepted is the one value of privacy_agreement.
const accepted = "accepted"

// Accepted notes who accepts the privacy agreement of an instance that is being written, and when; had is the stored
// instance, nil where there is none. What was accepted before stays as it was noted then, also by nobody.
func (i *Instance) Accepted(had *Instance, who string, now time.Time) {
	i.PrivacyAgreementBy, i.PrivacyAgreementAt = "", nil
	switch {
	case i.PrivacyAgreement != accepted:
	case had != nil && had.PrivacyAgreement == accepted:
		i.PrivacyAgreementBy, i.PrivacyAgreementAt = had.PrivacyAgreementBy, had.PrivacyAgreementAt
	default:
		at := now.UTC().Truncate(time.Second)
		i.PrivacyAgreementBy, i.PrivacyAgreementAt = who, &at
	}
}

// DefaultTokenLifetime is what an instance without token_lifetime issues.
const DefaultTokenLifetime = time.Hour

// Algorithm returns the JWS algorithm that the instance signs with.
func (i *Instance) Algorithm() string {
	if i.SigningAlgorithm == "" {
		return "ES256"
	}
	return i.SigningAlgorithm
}

// ResourceServer finds a resource server by its identifier, also the built-in one; nil if there is none.
func (i *Instance) ResourceServer(identifier string) *ResourceServer {
	if identifier == AdminServer {
		return &builtin
	}
	for n := range i.ResourceServers {
		if i.ResourceServers[n].Identifier == identifier {
			return &i.ResourceServers[n]
		}
	}
	return nil
}

// Lifetime is how long a token for the resource server lives.
func (i *Instance) Lifetime(rs *ResourceServer) time.Duration {
	return rs.TokenLifetime.Or(i.TokenLifetime.Or(DefaultTokenLifetime))
}

// ResourceServer is what a token is for (an "M2M server application"); Identifier is the token's aud.
type ResourceServer struct {
	Identifier    string   `json:"identifier"`
	Name          string   `json:"name"`
	Status        Status   `json:"status,omitempty"`
	TokenLifetime Duration `json:"token_lifetime,omitempty"`
	Scopes        []Scope  `json:"scopes,omitempty"`
}

// Scope is one permission that a resource server offers.
type Scope struct {
	Value string `json:"value"`
	Name  string `json:"name"`
}

// Client is a machine that asks for tokens (an "M2M client application"); ID is its client_id.
type Client struct {
	Instance             string                `json:"instance,omitempty" file:"-"` // set when stored
	ID                   string                `json:"id,omitempty"`
	Name                 string                `json:"name"`
	Status               Status                `json:"status,omitempty"`
	Authentication       []string              `json:"authentication,omitempty"` // default client_secret_basic, client_secret_post
	Secrets              []ClientSecret        `json:"secrets,omitempty"`
	FederatedCredentials []FederatedCredential `json:"federated_credentials,omitempty"`
	DPoP                 string                `json:"dpop,omitempty"`
	JWKSURL              string                `json:"jwks_url,omitempty"`
	JWKS                 json.RawMessage       `json:"jwks,omitempty"`
	PublicKeys           []string              `json:"public_keys,omitempty"`
	AssertionAudience    string                `json:"assertion_audience,omitempty"` // any (default) or issuer
	Certificate          *CertificateName      `json:"certificate,omitempty"`        // of tls_client_auth
	// Certificates are, for tls_client_auth, the authorities one of which issued the client's certificate, and for
	// self_signed_tls_client_auth the client's own. PEM.
	Certificates []string     `json:"certificates,omitempty"`
	Permissions  []Permission `json:"permissions,omitempty"`
	// TokenExchange are those whose tokens the client may exchange for ours (RFC 8693); none: it may not.
	TokenExchange []SubjectIssuer `json:"token_exchange,omitempty"`
}

// ClientSecret is one of at most two. In a Config, Value is clear, "sealed: v1:…", "hash: v1:…" or empty
// (generate, or keep). Stored, Hash is seal.Hash under the pepper, and Value is "sealed: v1:…" where the
// instance's secret_storage is sealed. A field tagged file:"-" is stored, and an unknown key in a file.
type ClientSecret struct {
	ID        string     `json:"id"`
	Value     Secret     `json:"value,omitempty"`
	Hash      string     `json:"hash,omitempty" file:"-"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	Status    Status     `json:"status,omitempty"`
}

// Live reports whether the secret may be used at the time.
func (s ClientSecret) Live(now time.Time) bool {
	return s.Status.On() && (s.ExpiresAt == nil || now.Before(*s.ExpiresAt))
}

// The values of assertion_audience.
const (
	AudienceAny    = "any"    // the issuer or the token endpoint, which is what Alibaba IDaaS clients send
	AudienceIssuer = "issuer" // the issuer alone
)

// CertificateName is what a certificate of tls_client_auth must be called: exactly one of these (RFC 8705 §2.1.2).
type CertificateName struct {
	SubjectDN string `json:"subject_dn,omitempty"` // as RFC 4514 writes it, the last RDN first
	SANDNS    string `json:"san_dns,omitempty"`
	SANURI    string `json:"san_uri,omitempty"`
	SANIP     string `json:"san_ip,omitempty"`
	SANEmail  string `json:"san_email,omitempty"`
}

// The values of a federated credential's type.
const (
	FederatedOIDC      = "oidc"       // an identity token of an issuer
	FederatedPKCS7     = "pkcs7"      // a signed instance-identity document
	FederatedPrivateCA = "private_ca" // an assertion signed by the key of a certificate of one's own authority
)

// FederatedCredential trusts an identity that somebody else issues as proof of the client.
type FederatedCredential struct {
	Name     string          `json:"name"`
	Status   Status          `json:"status,omitempty"`
	Type     string          `json:"type,omitempty"`     // default oidc
	Issuer   string          `json:"issuer,omitempty"`   // of oidc: compared exactly; its keys by discovery, or
	JWKS     json.RawMessage `json:"jwks,omitempty"`     // from here, or
	JWKSURL  string          `json:"jwks_url,omitempty"` // from there
	Audience string          `json:"audience,omitempty"` // of oidc and pkcs7: one of aud
	// Subject is compared exactly unless it has *, which matches any characters but ":".
	Subject string `json:"subject,omitempty"`
	// Claims are further conditions, as Subject. A name that begins with / is a JSON pointer (RFC 6901).
	Claims map[string]string `json:"claims,omitempty"`
	// Certificates are those that signed documents and certificates are trusted by. PEM.
	Certificates []string `json:"certificates,omitempty"`
	// MaxAge bounds the age of a token or document. Default: none for oidc, 20m for pkcs7.
	MaxAge Duration `json:"max_age,omitempty"`
}

// Kind is the credential's type.
func (f *FederatedCredential) Kind() string {
	if f.Type == "" {
		return FederatedOIDC
	}
	return f.Type
}

// Permission lets a client ask for scopes of a resource server.
type Permission struct {
	ResourceServer string   `json:"resource_server"`
	Scopes         []string `json:"scopes"`
}

// IssuerSelf is the issuer of a SubjectIssuer that stands for the client's own instance.
const IssuerSelf = "self"

// SubjectIssuer trusts somebody's tokens as the subject or actor of a token exchange (RFC 8693 §2.1).
type SubjectIssuer struct {
	Name     string          `json:"name"`
	Status   Status          `json:"status,omitempty"`
	Issuer   string          `json:"issuer"`             // compared exactly, or self; its keys by discovery, or
	JWKS     json.RawMessage `json:"jwks,omitempty"`     // from here, or
	JWKSURL  string          `json:"jwks_url,omitempty"` // from there
	Audience string          `json:"audience"`           // one of aud; of self: a resource server of the instance
	// Subject and Claims are conditions as those of a FederatedCredential; without Subject anybody of the issuer.
	Subject string            `json:"subject,omitempty"`
	Claims  map[string]string `json:"claims,omitempty"`
	MaxAge  Duration          `json:"max_age,omitempty"` // bounds the age of a token; default none
	// Scopes bound what a token may be exchanged for. Another issuer's that has no scopes of its own (scope, scp) has these.
	Scopes []string `json:"scopes,omitempty"`
}

// Credential is what a SubjectIssuer has in common with a federated credential.
func (s *SubjectIssuer) Credential() *FederatedCredential {
	return &FederatedCredential{
		Name: s.Name, Status: s.Status, Issuer: s.Issuer, JWKS: s.JWKS, JWKSURL: s.JWKSURL, Audience: s.Audience,
		Subject: s.Subject, Claims: s.Claims, MaxAge: s.MaxAge,
	}
}
