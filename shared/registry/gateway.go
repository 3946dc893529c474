package registry

import (
	"time"

	"keyless/shared/oauth"
)

// DefaultDomain is the domain that every host belongs to which no other domain claims. It always exists.
const DefaultDomain = "default"

// DefaultDailyCallLimit bounds the default domain, which is for testing only, as the console guide says.
const DefaultDailyCallLimit = 1000

// Domain is a host name, exact or "*.suffix", with its own daily limit of admitted calls.
type Domain struct {
	Name           string `json:"name"`
	DailyCallLimit *int64 `json:"daily_call_limit,omitempty"` // 0: none; absent: 1000 on the default domain, else none
	TimeZone       string `json:"time_zone,omitempty"`        // whose day it is; default UTC
}

// CallsPerDay returns the daily limit, 0 for none.
func (d *Domain) CallsPerDay() int64 {
	switch {
	case d.DailyCallLimit != nil:
		return *d.DailyCallLimit
	case d.Name == DefaultDomain:
		return DefaultDailyCallLimit
	}
	return 0
}

// The protocols of an Upstream and the types of an API.
const (
	OpenAI    = "openai"
	Anthropic = "anthropic"
	MCP       = "mcp"
	HTTP      = "http"
	LLM       = "llm"
)

// Upstream is where a call goes.
type Upstream struct {
	Name     string            `json:"name"`
	Protocol string            `json:"protocol"` // openai, anthropic, mcp or http
	BaseURL  string            `json:"base_url"`
	APIKeys  []Secret          `json:"api_keys,omitempty"` // stored "sealed: v1:…"; opened in a Snapshot
	Auth     *UpstreamAuth     `json:"auth,omitempty"`
	Headers  map[string]string `json:"headers,omitempty"`
	Timeouts Timeouts          `json:"timeouts,omitzero"`
}

// UpstreamAuth says how the provider's key is sent, where the protocol's own way does not fit.
type UpstreamAuth struct {
	Header string            `json:"header,omitempty"`
	Prefix string            `json:"prefix,omitempty"`
	SigV4  map[string]string `json:"sigv4,omitempty"`
	OAuth  map[string]Secret `json:"oauth,omitempty"`
}

// Timeouts bound a call to an upstream; defaults 3s, 60s, 60s, 10m.
type Timeouts struct {
	Connect   Duration `json:"connect,omitempty"`
	FirstByte Duration `json:"first_byte,omitempty"`
	Idle      Duration `json:"idle,omitempty"`
	Total     Duration `json:"total,omitempty"`
}

// API is what may be called.
type API struct {
	Name             string          `json:"name"`
	Type             string          `json:"type"`             // llm, mcp or http
	Status           string          `json:"status,omitempty"` // published (default) or draft
	Domains          []string        `json:"domains,omitempty"`
	BasePath         string          `json:"base_path"`
	StripBasePath    bool            `json:"strip_base_path,omitempty"`
	Authentication   *Authentication `json:"authentication,omitempty"`
	ResourceServer   string          `json:"resource_server,omitempty"`
	Scopes           []string        `json:"scopes,omitempty"`
	Upstreams        []Target        `json:"upstreams,omitempty"`
	Retries          *Retries        `json:"retries,omitempty"`
	OnClientGone     string          `json:"on_client_gone,omitempty"`
	MaxTokensDefault int64           `json:"max_tokens_default,omitempty"`
	BodyMaxBytes     int64           `json:"body_max_bytes,omitempty"`
	Concurrency      int64           `json:"concurrency,omitempty"`
	Cache            *Cache          `json:"cache,omitempty"`
	CORS             *CORS           `json:"cors,omitempty"`
	Limits           *Limits         `json:"limits,omitempty"`
}

// Published reports whether the API answers at all.
func (a *API) Published() bool { return a.Status != "draft" }

// Open reports whether the API asks for no credential of its own.
func (a *API) Open() bool { return a.Authentication != nil && a.Authentication.Disabled }

// The methods by which a consumer proves itself.
const (
	MethodJWT    = "jwt"
	MethodAPIKey = "api_key"
	MethodHMAC   = "hmac"
)

// Methods returns the ways in which a consumer of the API may prove itself, in order; none where it is open.
func (a *API) Methods() []string {
	switch {
	case a.Open():
		return nil
	case a.Authentication == nil || len(a.Authentication.Methods) == 0:
		return []string{MethodJWT, MethodAPIKey, MethodHMAC}
	}
	return a.Authentication.Methods
}

// AuthorizerOnly reports whether the API stands in front of nothing of ours: a user's own gateway forwards its calls.
func (a *API) AuthorizerOnly() bool { return len(a.Upstreams) == 0 }

// Authentication is `disabled`, or the methods that an API takes; in JSON "disabled" or {"methods":[…]}.
type Authentication struct {
	Disabled bool
	Methods  []string
}

// Target is an upstream of an API with its place in the order and the names that models have there.
type Target struct {
	Upstream string            `json:"upstream"`
	Order    int64             `json:"order,omitempty"`
	Weight   int64             `json:"weight,omitempty"`
	Models   map[string]string `json:"models,omitempty"`
}

// Retries says when and how often another upstream is tried.
type Retries struct {
	Attempts int64 `json:"attempts,omitempty"`
	On       []any `json:"on,omitempty"`
}

// Cache keeps equal answers.
type Cache struct {
	TTL    Duration `json:"ttl,omitempty"`
	Shared bool     `json:"shared,omitempty"`
}

// CORS names the origins whose pages may call the API.
type CORS struct {
	Origins []string `json:"origins,omitempty"`
}

// Limits bound what a subject may use in calendar windows of its time zone. Zero means no limit.
type Limits struct {
	TimeZone        string            `json:"time_zone,omitempty"`
	CallsPerMinute  int64             `json:"calls_per_minute,omitempty"`
	CallsPerHour    int64             `json:"calls_per_hour,omitempty"`
	CallsPerDay     int64             `json:"calls_per_day,omitempty"`
	CallsPerMonth   int64             `json:"calls_per_month,omitempty"`
	TokensPerMinute int64             `json:"tokens_per_minute,omitempty"`
	TokensPerHour   int64             `json:"tokens_per_hour,omitempty"`
	TokensPerDay    int64             `json:"tokens_per_day,omitempty"`
	TokensPerMonth  int64             `json:"tokens_per_month,omitempty"`
	SpendPerDay     string            `json:"spend_per_day,omitempty"`
	SpendPerMonth   string            `json:"spend_per_month,omitempty"`
	Rate            *Rate             `json:"rate,omitempty"`
	Shadow          bool              `json:"shadow,omitempty"`
	Models          map[string]Limits `json:"models,omitempty"`
}

// Rate smooths calls.
type Rate struct {
	PerSecond int64 `json:"per_second"`
	Burst     int64 `json:"burst,omitempty"`
}

// Group is a set of consumers that share limits.
type Group struct {
	Name   string  `json:"name"`
	Limits *Limits `json:"limits,omitempty"`
}

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
	return Place{In: InHeader, Name: "authorization", Prefix: prefixOr(j.Prefix, DefaultPrefix)}
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

// KeySource is "bearer", {"header": NAME} or {"query": NAME}.
type KeySource struct {
	Header string
	Query  string
}

// APIKey is one key of a consumer.
type APIKey struct {
	ID        string     `json:"id"`
	Value     Secret     `json:"value,omitempty"`
	Status    Status     `json:"status,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// HMACCredential proves a consumer by a signature over the request.
type HMACCredential struct {
	Window Duration  `json:"window,omitempty"`
	Keys   []HMACKey `json:"keys,omitempty"`
}

// HMACKey is an access key with its secret.
type HMACKey struct {
	AccessKey string `json:"access_key"`
	SecretKey Secret `json:"secret_key,omitempty"`
	Status    Status `json:"status,omitempty"`
	AllowSHA1 bool   `json:"allow_sha1,omitempty"`
}

// GlobalAuthentication is one issuer for everybody, on every API whose own authentication is disabled.
type GlobalAuthentication struct {
	Status          Status          `json:"status,omitempty"`
	JWKSURL         string          `json:"jwks_url,omitempty"`
	JWKS            Secret          `json:"jwks,omitempty"`
	Issuer          string          `json:"issuer,omitempty"`
	Subject         string          `json:"subject,omitempty"`
	Audience        Strings         `json:"audience,omitempty"`
	Header          string          `json:"header,omitempty"`
	Prefix          *string         `json:"prefix,omitempty"`
	MaxLifetime     Duration        `json:"max_lifetime,omitempty"`
	PassToken       bool            `json:"pass_token,omitempty"`
	ClaimsToHeaders []ClaimToHeader `json:"claims_to_headers,omitempty"`
	Mode            string          `json:"mode,omitempty"`
	Rules           []Rule          `json:"rules,omitempty"`
}

// Rule selects requests by domain and path.
type Rule struct {
	Domain string `json:"domain,omitempty"`
	Path   string `json:"path,omitempty"`
	Match  string `json:"match,omitempty"` // prefix (default), exact, suffix or regex
}

// Price is what usage costs, in the Config's currency per million model tokens.
type Price struct {
	Upstream    string `json:"upstream,omitempty"`
	Model       string `json:"model,omitempty"`
	Input       string `json:"input,omitempty"`
	Output      string `json:"output,omitempty"`
	CachedInput string `json:"cached_input,omitempty"`
	PerCall     string `json:"per_call,omitempty"`
	PerImage    string `json:"per_image,omitempty"`
	Tiers       []Tier `json:"tiers,omitempty"`
}

// Tier is a price up to a size of prompt.
type Tier struct {
	UpTo        int64  `json:"up_to,omitempty"`
	Input       string `json:"input,omitempty"`
	Output      string `json:"output,omitempty"`
	CachedInput string `json:"cached_input,omitempty"`
}
