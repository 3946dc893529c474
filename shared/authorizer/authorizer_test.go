package authorizer_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"keyless/shared/auth"
	"keyless/shared/authorizer"
	"keyless/shared/config"
	"keyless/shared/oauth"
	"keyless/shared/quota"
	"keyless/shared/registry"
)

var (
	secret = []byte("0123456789abcdef0123456789abcdef")
	now    = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	clock  = func() time.Time { return now }
)

// token signs claims with HS256.
func token(key []byte, claims string) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." +
		base64.RawURLEncoding.EncodeToString([]byte(claims))
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func claims(uid string, expires time.Duration) string {
	return fmt.Sprintf(`{"uid":%q,"sub":"subject of %s","client_id":"client","exp":%d}`,
		uid, uid, now.Add(expires).Unix())
}

func bearer(uid string) string { return "Bearer " + token(secret, claims(uid, time.Hour)) }

// world is a registry: consumers prove themselves by uid and the secret.
type world struct {
	domains, apis, consumers []string // JSON objects
	keyholders               []keyholder
}

func standard() world {
	return world{
		domains: []string{`{"name":"default"}`, `{"name":"other.example"}`},
		apis: []string{
			`{"name":"reports","type":"http","base_path":"/reports","authentication":{"methods":["jwt"]}}`,
			`{"name":"models","type":"llm","base_path":"/v1","upstreams":[{"upstream":"u"}]}`,
			`{"name":"admin","type":"http","base_path":"/v1/admin"}`,
			`{"name":"open","type":"http","base_path":"/open","authentication":"disabled"}`,
			`{"name":"keys","type":"http","base_path":"/keys","authentication":{"methods":["api_key"]}}`,
			`{"name":"draft","type":"http","base_path":"/draft","status":"draft"}`,
			`{"name":"elsewhere","type":"http","base_path":"/elsewhere","domains":["other.example"]}`,
		},
		consumers: []string{
			consumer("alice", "", "reports", "models", "keys"),
			consumer("bob", "disabled", "reports"),
			consumer("carol", "", "admin"),
		},
	}
}

func consumer(name, status string, apis ...string) string {
	var may []string
	for _, api := range apis {
		may = append(may, fmt.Sprintf(`{"api":%q}`, api))
	}
	jwk := fmt.Sprintf(`{"kty":"oct","k":%q}`, base64.RawURLEncoding.EncodeToString(secret))
	return fmt.Sprintf(`{"name":%q,"status":%q,"authorizations":[%s],"jwt":{"value":%q,"jwks":%q,`+
		`"claims_to_headers":[{"claim":"sub","header":"X-Mapped"},{"claim":"none","header":"X-Nothing"}]}}`,
		name, status, strings.Join(may, ","), name, jwk)
}

func (w world) store(t *testing.T) registry.Store {
	t.Helper()
	store := registry.NewMemory()
	w.fill(t, store)
	return store
}

func (w world) fill(t *testing.T, store registry.Store) {
	t.Helper()
	sealed, err := master.Seal("pepper", pepper)
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{"claim:uid": "1", "jwtplace:header:authorization:Bearer ": "1",
		"pepper": "sealed: " + sealed}
	for kind, objects := range map[string][]string{"domain": w.domains, "api": w.apis} {
		for _, text := range objects {
			fields[kind+":"+nameOf(t, text)] = text
		}
	}
	write(t, store, registry.Change{Set: fields})
	for _, text := range w.consumers {
		name := nameOf(t, text)
		write(t, store, registry.Change{Kind: registry.KindConsumer, Name: name, Revision: true,
			Entry: &registry.Entry{Value: text}, Index: []string{registry.IndexJWT("uid", name)}})
	}
	for _, k := range w.keyholders {
		write(t, store, registry.Change{Kind: registry.KindConsumer, Name: nameOf(t, k.text), Revision: true,
			Entry: &registry.Entry{Value: k.text}, Index: k.index})
		write(t, store, registry.Change{Set: k.fields})
	}
}

func write(t *testing.T, store registry.Store, c registry.Change) {
	t.Helper()
	if err := store.Write(context.Background(), c); err != nil {
		t.Fatal(err)
	}
}

func nameOf(t *testing.T, text string) string {
	t.Helper()
	var object struct{ Name string }
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		t.Fatal(text, err)
	}
	return object.Name
}

// counter admits up to its limit.
type counter struct {
	mu    sync.Mutex // guards all
	limit int
	calls []quota.Call
	used  map[string]bool // nonces
	err   error
	stale int // so many admissions first say that the caller's knowledge is old
}

func (c *counter) Admit(_ context.Context, call quota.Call) (quota.Admission, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return quota.Admission{}, c.err
	}
	if c.stale > 0 {
		c.stale--
		return quota.Admission{Stale: true}, nil
	}
	if len(c.calls) >= c.limit {
		return quota.Admission{Refusal: &quota.Refusal{
			Subject: "DOMAIN", Limit: "calls_per_day", RetryAfter: time.Hour}}, nil
	}
	c.calls = append(c.calls, call)
	return quota.Admission{Admitted: true}, nil
}

// First is the memory for nonces.
func (c *counter) First(_ context.Context, key string, _ time.Duration) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil || c.used[key] {
		return false, c.err
	}
	if c.used == nil {
		c.used = map[string]bool{}
	}
	c.used[key] = true
	return true, nil
}

// down is a store out of reach.
type down struct{ registry.Store }

var errDown = errors.New("dial: connection refused")

func (down) Fields(context.Context) (map[string]string, error) { return nil, errDown }
func (down) Revision(context.Context) (string, error)          { return "", errDown }

// noKeys is a key source that nobody may ask: every key here is inline.
type noKeys struct{}

func (noKeys) Keys(context.Context, string, string) ([]oauth.Key, error) {
	return nil, errors.New("asked for keys at a URL")
}

func open(store registry.Store, counts *counter) *authorizer.Authorizer {
	gate := auth.New(noKeys{}, "https://gateway.example", clock)
	return authorizer.New(authorizer.Options{
		Reader: registry.NewReader(store, master, clock),
		Gate:   gate.WithNonces(counts).WithoutBodies(), Quota: counts,
		Proxies: config.Loopback(), Now: clock, Log: slog.New(slog.DiscardHandler),
	})
}

// L03: events of version 1.0 and 2.0, policies and isAuthorized. L04: without a credential it is unproven, though the platform may say so
// first.
func TestL03L04EveryDialectGivesTheSameRuling(t *testing.T) {
	t.Parallel()
	const plenty, invalid = 100, "jwt_verification_failed"
	alice := bearer("alice")
	for name, c := range map[string]struct {
		call    call
		limit   int
		broken  func(*registry.Store, *counter)
		outcome string
		code    string
	}{
		"L04 no credential": {get("/reports"), plenty, nil, unproven, "jwt_missing"},
		"another scheme":    {get("/reports", "Basic YTpi"), plenty, nil, unproven, "jwt_missing"},
		"no token at all":   {get("/reports", "Bearer x"), plenty, nil, unproven, invalid},
		"signed by somebody else": {get("/reports", "Bearer "+token([]byte(strings.Repeat("x", 32)),
			claims("alice", time.Hour))), plenty, nil, unproven, invalid},
		"expired": {get("/reports", "Bearer "+token(secret, claims("alice", -time.Hour))),
			plenty, nil, unproven, "jwt_expired"},
		"not expired by a second": {get("/reports", "Bearer "+token(secret, claims("alice", time.Second))),
			plenty, nil, allowed, "allowed"},
		"nobody of this name":        {get("/reports", bearer("mallory")), plenty, nil, unproven, invalid},
		"a disabled consumer":        {get("/reports", bearer("bob")), plenty, nil, unproven, invalid},
		"two credentials":            {get("/reports", alice, alice), plenty, nil, unproven, invalid},
		"a consumer that may not":    {get("/reports", bearer("carol")), plenty, nil, refused, "access_denied"},
		"a consumer that may":        {get("/reports", alice), plenty, nil, allowed, "allowed"},
		"a path below":               {get("/reports/2026", alice), plenty, nil, allowed, "allowed"},
		"a path that only begins so": {get("/reportsx", alice), plenty, nil, refused, "api_not_found"},
		"another method": {call{method: "DELETE", path: "/reports", host: "h.example",
			authorization: []string{alice}}, plenty, nil, allowed, "allowed"},
		"an API with upstreams":         {get("/v1/chat", alice), 0, nil, allowed, "allowed"},
		"a denied API within it":        {get("/v1/admin", alice), plenty, nil, refused, "access_denied"},
		"an open API":                   {get("/open"), plenty, nil, allowed, "allowed"},
		"a draft":                       {get("/draft", alice), plenty, nil, refused, "api_not_found"},
		"an API of another domain":      {get("/elsewhere", alice), plenty, nil, refused, "api_not_found"},
		"a path with a second spelling": {get("/reports/../reports", alice), plenty, nil, refused, "bad_request"},
		"the limit is reached":          {get("/reports", alice), 0, nil, refused, "domain_limit"},
		"the limit is not yet reached":  {get("/reports", alice), 1, nil, allowed, "allowed"},
		"the registry is away": {get("/reports", alice), plenty,
			func(s *registry.Store, _ *counter) { *s = down{*s} }, failed, "store_unavailable"},
		"the counters are away": {get("/reports", alice), plenty,
			func(_ *registry.Store, c *counter) { c.err = errDown }, failed, "store_unavailable"},
		"the counters are away and not needed": {get("/v1", alice), plenty,
			func(_ *registry.Store, c *counter) { c.err = errDown }, allowed, "allowed"},
		"knowledge was old once": {get("/reports", alice), plenty,
			func(_ *registry.Store, c *counter) { c.stale = 1 }, allowed, "allowed"},
		"knowledge is always old": {get("/reports", alice), plenty,
			func(_ *registry.Store, c *counter) { c.stale = 99 }, failed, "registry_busy"},
	} {
		for dialect, askIn := range dialects {
			t.Run(dialect+"/"+name, func(t *testing.T) {
				t.Parallel()
				store, counts := standard().store(t), &counter{limit: c.limit}
				if c.broken != nil {
					c.broken(&store, counts)
				}
				outcome, code := askIn(t, open(store, counts), c.call)
				if outcome != c.outcome || code != "" && code != c.code {
					t.Errorf("got %s %s, want %s %s", outcome, code, c.outcome, c.code)
				}
			})
		}
	}
}

func TestExactlyTheLimitIsAdmitted(t *testing.T) {
	t.Parallel()
	for dialect, askIn := range dialects {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			counts := &counter{limit: 3}
			a := open(standard().store(t), counts)
			got := map[string]int{}
			for range 5 {
				outcome, _ := askIn(t, a, get("/reports", bearer("alice")))
				got[outcome]++
				askIn(t, a, get("/v1", bearer("alice")))      // counted by the proxy
				askIn(t, a, get("/reports", bearer("carol"))) // refused
				askIn(t, a, get("/reports"))                  // unproven
			}
			if got[allowed] != 3 || got[refused] != 2 {
				t.Errorf("got %v", got)
			}
			ids := map[string]bool{}
			for _, call := range counts.calls {
				ids[call.RequestID] = true
				if call.API.Name != "reports" || call.Domain.Name != "default" ||
					call.Consumer.Name != "alice" || call.Revision == "" || len(call.RequestID) < 32 {
					t.Errorf("admitted %+v", call)
				}
			}
			if len(ids) != len(counts.calls) {
				t.Error("two calls have one request id")
			}
		})
	}
}

func TestAChangeHoldsOnTheNextRequest(t *testing.T) {
	t.Parallel()
	for dialect, askIn := range dialects {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			store := standard().store(t)
			later := now
			a := authorizer.New(authorizer.Options{
				Reader: registry.NewReader(store, master, func() time.Time { return later }),
				Gate:   auth.New(noKeys{}, "https://gateway.example", clock), Quota: &counter{limit: 9},
				Proxies: config.Loopback(), Now: clock, Log: slog.New(slog.DiscardHandler),
			})
			askIn(t, a, get("/v1", bearer("alice")))
			write(t, store, registry.Change{Kind: registry.KindConsumer, Name: "alice", Revision: true,
				Entry: &registry.Entry{Value: consumer("alice", "disabled", "models")},
				Index: []string{registry.IndexJWT("uid", "alice")}})
			later = later.Add(2 * time.Second)
			if outcome, code := askIn(t, a, get("/v1", bearer("alice"))); outcome != unproven {
				t.Errorf("got %s %s", outcome, code)
			}
		})
	}
}
