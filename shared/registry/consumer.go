package registry

import (
	"crypto/subtle"
	"time"

	"keyless/shared/oauth"
)

// Consumer is who calls the gateway; Name is also the value of X-Consumer.
type Consumer struct {
	Name           string            `json:"name"`
	DisplayName    string            `json:"display_name,omitempty"`
	Description    string            `json:"description,omitempty"`
	Status         Status            `json:"status,omitempty"`
	Groups         []string          `json:"groups,omitempty"`
	JWT            *JWTCredential    `json:"jwt,omitempty"`
	APIKey         *APIKeyCredential `json:"api_key,omitempty"`
	HMAC           *HMACCredential   `json:"hmac,omitempty"`
	Authorizations []Authorization   `json:"authorizations,omitempty"`
	Limits         *Limits           `json:"limits,omitempty"`
	UpstreamKeys   map[string]Secret `json:"upstream_keys,omitempty"`

	// Version names this edition of the stored entry; equal versions mean equal entries. Set by the Store.
	Version string `json:"-"`
}

// Authorized returns the authorization of the consumer on an API that holds at the time; nil if there is none.
func (c *Consumer) Authorized(api string, now time.Time) *Authorization {
	for i := range c.Authorizations {
		a := &c.Authorizations[i]
		if a.API == api && (a.ExpiresAt == nil || now.Before(*a.ExpiresAt)) {
			return a
		}
	}
	return nil
}

// JWTCredential proves a consumer by a token of some issuer: the claim's value names the consumer, the key set verifies.
type JWTCredential struct {
	JWKSURL         string          `json:"jwks_url,omitempty"`
	JWKS            Secret          `json:"jwks,omitempty"` // a JWK Set or one JWK; stored sealed, opened by the Reader
	Claim           string          `json:"claim,omitempty"`
	Value           string          `json:"value,omitempty"` // absent: generated
	Issuer          string          `json:"issuer,omitempty"`
	Audience        Strings         `json:"audience,omitempty"`
	Algorithms      []string        `json:"algorithms,omitempty"`
	Type            string          `json:"typ,omitempty"`
	Header          string          `json:"header,omitempty"`
	Query           string          `json:"query,omitempty"`
	Cookie          string          `json:"cookie,omitempty"`
	Prefix          *string         `json:"prefix,omitempty"` // default "Bearer " in a header, else ""
	MaxLifetime     Duration        `json:"max_lifetime,omitempty"`
	Skew            *Duration       `json:"skew,omitempty"`
	PassToken       bool            `json:"pass_token,omitempty"`
	RequireDPoP     bool            `json:"require_dpop,omitempty"`
	ClaimsToHeaders []ClaimToHeader `json:"claims_to_headers,omitempty"`

	keys []oauth.Key // of JWKS, parsed when the Reader loads the consumer
}

// Keys returns the verification keys of an inline JWK Set; none where the keys stand at a URL.
func (j *JWTCredential) Keys() []oauth.Key { return j.keys }

// Defaults of a JWTCredential.
const (
	DefaultClaim       = "uid"
	DefaultPrefix      = "Bearer "
	DefaultMaxLifetime = 7 * 24 * time.Hour
	DefaultSkew        = 30 * time.Second
)

// ClaimName returns the claim that names the consumer.
func (j *JWTCredential) ClaimName() string {
	if j.Claim == "" {
		return DefaultClaim
	}
	return j.Claim
}

// SkewOr returns the tolerance between clocks.
func (j *JWTCredential) SkewOr() time.Duration {
	if j.Skew == nil {
		return DefaultSkew
	}
	return time.Duration(*j.Skew)
}

// Place returns where the token stands in a request.
func (j *JWTCredential) Place() Place {
	switch {
	case j.Query != "":
		return Place{In: InQuery, Name: j.Query, Prefix: prefixOr(j.Prefix, "")}
	case j.Cookie != "":
		return Place{In: InCookie, Name: j.Cookie, Prefix: prefixOr(j.Prefix, "")}
	case j.Header != "":
		return Place{In: InHeader, Name: lower(j.Header), Prefix: prefixOr(j.Prefix, DefaultPrefix)}
	}
	return Place{In: InHeader, Name: BearerPlace.Name, Prefix: prefixOr(j.Prefix, DefaultPrefix)}
}

func prefixOr(prefix *string, other string) string {
	if prefix == nil {
		return other
	}
	return *prefix
}

// ClaimToHeader copies a string claim of a verified token into a header that the upstream sees.
type ClaimToHeader struct {
	Claim  string `json:"claim"`
	Header string `json:"header"`
}

// Authorization lets a consumer call an API.
type Authorization struct {
	API       string     `json:"api"`
	Models    []string   `json:"models,omitempty"`
	Tools     []string   `json:"tools,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// APIKeyCredential proves a consumer by a shared key.
type APIKeyCredential struct {
	Source *KeySource `json:"source,omitempty"`
	Keys   []APIKey   `json:"keys,omitempty"`
}

// Place returns where the key stands in a request.
func (a *APIKeyCredential) Place() Place {
	switch {
	case a.Source == nil || *a.Source == KeySource{}:
		return BearerPlace
	case a.Source.Query != "":
		return Place{In: InQuery, Name: a.Source.Query}
	}
	return Place{In: InHeader, Name: lower(a.Source.Header)}
}

// Holds reports whether one of the keys, in use at the time, has the hash of Snapshot.HashAPIKey. The comparison takes the same time
// wherever the hashes differ.
func (a *APIKeyCredential) Holds(hash string, now time.Time) bool {
	holds := 0
	for _, k := range a.Keys {
		same := subtle.ConstantTimeCompare([]byte(k.Hash), []byte(hash))
		if k.Status.On() && (k.ExpiresAt == nil || now.Before(*k.ExpiresAt)) {
			holds |= same
		}
	}
	return holds == 1
}

// KeySource is "bearer", {"header": NAME} or {"query": NAME}.
type KeySource struct {
	Header string
	Query  string
}

// APIKey is one key of a consumer. In a Config, Value is clear, "sealed: v1:…", "hash: v1:…" or empty (generate, or keep). Stored,
// Hash is Snapshot.HashAPIKey of it, and Value is "sealed: v1:…" unless it came as a hash.
type APIKey struct {
	ID        string     `json:"id"`
	Value     Secret     `json:"value,omitempty"`
	Hash      string     `json:"hash,omitempty" file:"-"`
	Status    Status     `json:"status,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// HMACCredential proves a consumer by a signature over the request.
type HMACCredential struct {
	Window Duration  `json:"window,omitempty"`
	Keys   []HMACKey `json:"keys,omitempty"`
}

// DefaultHMACWindow is how far a signed time may lie from ours.
const DefaultHMACWindow = 15 * time.Minute

// HMACKey is an access key with its secret, which is stored sealed and opened by the Reader: a verifier needs it clear.
type HMACKey struct {
	AccessKey string `json:"access_key"`
	SecretKey Secret `json:"secret_key,omitempty"`
	Status    Status `json:"status,omitempty"`
	AllowSHA1 bool   `json:"allow_sha1,omitempty"`
}
