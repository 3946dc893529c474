package registry

import (
	"encoding/json"
	"math"
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

// DefaultBodyMaxBytes bounds a request's body where the API does not.
const DefaultBodyMaxBytes = 32 << 20

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

// Retries says when and how often another key or upstream is tried. Attempts counts the first; none of On is DefaultRetryOn.
type Retries struct {
	Attempts int64 `json:"attempts,omitempty"`
	On       []any `json:"on,omitempty"` // statuses, and the words connect and first_byte
}

// The words of Retries.On: no connection, and silence until the head's time was over.
const (
	RetryConnect   = "connect"
	RetryFirstByte = "first_byte"
)

// MaxAttempts bounds Retries.Attempts: more only delays the answer.
const MaxAttempts = 10

// DefaultRetryOn is what is retried where an API says how often, and not when.
var DefaultRetryOn = []any{429, 500, 502, 503, 504, 529, RetryConnect, RetryFirstByte}

// Causes returns the words and the statuses of On, which a decoder gives as some kind of number.
func (r *Retries) Causes() (words []string, statuses []int) {
	on := r.On
	if len(on) == 0 {
		on = DefaultRetryOn
	}
	for _, cause := range on {
		switch c := cause.(type) {
		case string:
			words = append(words, c)
		default:
			if n, whole := wholeNumber(c); whole {
				statuses = append(statuses, n)
			}
		}
	}
	return words, statuses
}

func wholeNumber(v any) (int, bool) {
	switch n := v.(type) {
	case int:
		return n, true
	case int64:
		return int(n), true
	case uint64:
		return int(min(n, math.MaxInt32)), true
	case float64:
		return int(n), n == float64(int(n))
	case json.Number:
		whole, err := n.Int64()
		return int(whole), err == nil
	}
	return 0, false
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
