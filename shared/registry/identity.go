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

// ResourceServer finds a resource server by its identifier; nil if there is none.
func (i *Instance) ResourceServer(identifier string) *ResourceServer {
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
	AssertionAudience    string                `json:"assertion_audience,omitempty"`
	Permissions          []Permission          `json:"permissions,omitempty"`
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

// FederatedCredential trusts an identity token of somebody else's issuer as proof of the client.
type FederatedCredential struct {
	Name     string            `json:"name"`
	Type     string            `json:"type,omitempty"`
	Issuer   string            `json:"issuer,omitempty"`
	JWKS     json.RawMessage   `json:"jwks,omitempty"`
	JWKSURL  string            `json:"jwks_url,omitempty"`
	Audience string            `json:"audience,omitempty"`
	Subject  string            `json:"subject,omitempty"`
	Claims   map[string]string `json:"claims,omitempty"`
}

// Permission lets a client ask for scopes of a resource server.
type Permission struct {
	ResourceServer string   `json:"resource_server"`
	Scopes         []string `json:"scopes"`
}
