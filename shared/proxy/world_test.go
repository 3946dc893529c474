package proxy_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"keyless/shared/accesslog"
	"keyless/shared/auth"
	"keyless/shared/config"
	"keyless/shared/ledger"
	"keyless/shared/oauth"
	"keyless/shared/proxy"
	"keyless/shared/quota"
	"keyless/shared/registry"
)

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

const (
	providerKey = "sk-provider-0123456789abcdef"
	sharedKey   = "VoBG-oyqVoyCr9G56ozmq8n_rlDDyYMQOd_DO4GOkEY"
	requestID   = "req-1"
)

// counter is an Admitter that writes down what it is asked.
type counter struct {
	mu       sync.Mutex // guards all below
	verdict  func() (quota.Admission, error)
	calls    []quota.Call
	givenOf  []error // the state of the context of each GiveBack
	settled  []settlement
	broken   error // of each Settle
	standing []quota.Standing
}

func (c *counter) Admit(_ context.Context, call quota.Call) (quota.Admission, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, call)
	if c.verdict != nil {
		return c.verdict()
	}
	return quota.Admission{Admitted: true, Standings: c.standing}, nil
}

func (c *counter) GiveBack(ctx context.Context, _ quota.Admission) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.givenOf = append(c.givenOf, ctx.Err())
	return nil
}

// settlement is what a call was settled with.
type settlement struct {
	used  quota.Used
	entry *ledger.Entry
	ctx   error // the state of the context
}

func (c *counter) Settle(ctx context.Context, _ quota.Admission, used quota.Used, entry *ledger.Entry) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settled = append(c.settled, settlement{used, entry, ctx.Err()})
	return c.broken
}

// only is the one settlement of the one call.
func (c *counter) only(t testing.TB) settlement {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.settled) != 1 || c.settled[0].entry == nil || c.settled[0].ctx != nil || len(c.givenOf) != 0 {
		t.Fatalf("settled %+v, given back %d times", c.settled, len(c.givenOf))
	}
	return c.settled[0]
}

func (c *counter) admitted() int { c.mu.Lock(); defer c.mu.Unlock(); return len(c.calls) }
func (c *counter) given() int    { c.mu.Lock(); defer c.mu.Unlock(); return len(c.givenOf) }

// noKeys is a source of key sets that nobody can reach.
type noKeys struct{}

func (noKeys) Keys(context.Context, string, string) ([]oauth.Key, error) {
	return nil, errors.New("no route to host")
}

// journal is a log that may be read while it is written.
type journal struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}
func (j *journal) String() string { j.mu.Lock(); defer j.mu.Unlock(); return j.text.String() }

// world is a gateway on a socket before one upstream, on a registry in memory.
type world struct {
	store     registry.Store
	quota     *counter
	log       *journal
	url       string
	ended     chan struct{} // one for each request whose handler has ended
	patience  proxy.Patience
	change    func(*proxy.Options)
	around    func(http.Handler) http.Handler
	consumers []registry.Consumer // more of them
	extra     map[string]any      // more fields of the registry, written last
}

// open starts a gateway whose upstreams all stand at one base URL.
func open(t testing.TB, upstream string, changes ...func(*world)) *world {
	t.Helper()
	w := &world{store: registry.NewMemory(), quota: &counter{}, log: &journal{},
		ended: make(chan struct{}, 4096)}
	for _, change := range changes {
		change(w)
	}
	w.fill(t, upstream)
	log := slog.New(slog.NewTextHandler(w.log, nil))
	clock := func() time.Time { return now }
	o := proxy.Options{
		Reader: registry.NewReader(w.store, nil, clock), Gate: auth.New(noKeys{},
			"https://gateway.example", clock),
		Quota: w.quota, Now: clock, Log: log, PublicURL: "https://gateway.example",
	}
	if w.change != nil {
		w.change(&o)
	}
	h := accesslog.Handler(log, config.Proxies{}, proxy.NewImpatient(o, w.patience))
	if w.around != nil {
		h = w.around(h)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		defer func() { w.ended <- struct{}{} }()
		h.ServeHTTP(rw, r)
	}))
	server.Config.DisableGeneralOptionsHandler = true // as the door has it
	server.Start()
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

func target(name string) []registry.Target { return []registry.Target{{Upstream: name}} }

// fill writes entry by entry what an apply would.
func (w *world) fill(t testing.TB, base string) {
	t.Helper()
	open, jwt := &registry.Authentication{Disabled: true}, &registry.Authentication{Methods: []string{"jwt"}}
	key := []registry.Secret{providerKey}
	for _, u := range []registry.Upstream{
		{Name: "openai", Protocol: registry.OpenAI, BaseURL: base + "/provider/v1/", APIKeys: key,
			Headers: map[string]string{"X-Operator": "set"}},
		{Name: "anthropic", Protocol: registry.Anthropic, BaseURL: base, APIKeys: key},
		{Name: "tools", Protocol: registry.MCP, BaseURL: base + "/mcp", APIKeys: key},
		{Name: "plain", Protocol: registry.HTTP, BaseURL: base},
		{Name: "custom", Protocol: registry.HTTP, BaseURL: base, APIKeys: key,
			Auth: &registry.UpstreamAuth{Header: "X-Backend-Key", Prefix: "Key "}},
		{Name: "keyless-tools", Protocol: registry.MCP, BaseURL: base},
		{Name: "closed", Protocol: registry.OpenAI, BaseURL: "http://127.0.0.1:1", APIKeys: key},
	} {
		w.set(t, "upstream:"+u.Name, u)
	}
	for _, a := range []registry.API{
		{Name: "models", Type: registry.LLM, BasePath: "/v1", StripBasePath: true, Authentication: jwt,
			Upstreams: target("openai")},
		{Name: "claude", Type: registry.LLM, BasePath: "/anthropic", StripBasePath: true,
			Upstreams: target("anthropic")},
		{Name: "tools", Type: registry.MCP, BasePath: "/mcp", StripBasePath: true, Authentication: jwt,
			Upstreams: target("tools")},
		{Name: "chat", Type: registry.LLM, BasePath: "/chat", Authentication: open,
			Upstreams: target("openai"), BodyMaxBytes: 16},
		{Name: "accounts", Type: registry.HTTP, BasePath: "/accounts", Authentication: open,
			Upstreams: target("plain")},
		{Name: "orders", Type: registry.HTTP, BasePath: "/orders", Authentication: jwt,
			Upstreams: target("plain")},
		{Name: "backend", Type: registry.HTTP, BasePath: "/backend", Authentication: open,
			Upstreams: target("custom")},
		{Name: "own", Type: registry.MCP, BasePath: "/own", Authentication: jwt,
			Upstreams: target("keyless-tools")},
		{Name: "private", Type: registry.LLM, BasePath: "/private", Authentication: jwt,
			Upstreams: target("openai")},
		{Name: "closed", Type: registry.LLM, BasePath: "/closed", Authentication: open,
			Upstreams: target("closed")},
		{Name: "reports", Type: registry.HTTP, BasePath: "/reports"},
		{Name: "draft", Type: registry.HTTP, BasePath: "/draft", Status: "draft",
			Upstreams: target("plain")},
	} {
		w.set(t, "api:"+a.Name, a)
	}
	claims := []registry.ClaimToHeader{{Claim: "sub", Header: "X-Client-Id"}, {Claim: "number",
		Header: "X-Number"},
		{Claim: "sub", Header: "X-Consumer"}}
	for _, c := range []registry.Consumer{
		{Name: "shop", Groups: []string{"batch", "gone"},
			JWT: &registry.JWTCredential{ClaimsToHeaders: claims}},
		{Name: "in-query", JWT: &registry.JWTCredential{Query: "jwt"}},
		{Name: "in-cookie", JWT: &registry.JWTCredential{Cookie: "session"}},
		{Name: "in-header", JWT: &registry.JWTCredential{Header: "X-Token"}},
		{Name: "passing", JWT: &registry.JWTCredential{PassToken: true}},
		{Name: "passing-cookie", JWT: &registry.JWTCredential{PassToken: true, Cookie: "session"}},
		{Name: "passing-query", JWT: &registry.JWTCredential{PassToken: true, Query: "jwt"}},
		{Name: "elsewhere", JWT: &registry.JWTCredential{JWKSURL: "https://keys.example/jwks"}},
	} {
		w.add(t, c)
	}
	for _, c := range w.consumers {
		w.add(t, c)
	}
	w.set(t, "group:batch", registry.Group{Name: "batch"})
	for field, value := range w.extra {
		w.set(t, field, value)
	}
}

func (w *world) set(t testing.TB, field string, value any) {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	w.write(t, registry.Change{Set: map[string]string{field: string(text)}})
}

func (w *world) add(t testing.TB, c registry.Consumer) {
	t.Helper()
	c.JWT.Value = c.Name
	if c.JWT.JWKSURL == "" {
		c.JWT.JWKS = registry.Secret(`{"kty":"oct","alg":"HS256","k":"` + sharedKey + `"}`)
	}
	if c.Authorizations == nil {
		for _, api := range []string{"models", "claude", "tools", "orders", "own"} {
			c.Authorizations = append(c.Authorizations, registry.Authorization{API: api})
		}
	}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	w.write(t, registry.Change{
		Set:  map[string]string{"claim:uid": "", "jwtplace:" + c.JWT.Place().String(): ""},
		Kind: registry.KindConsumer, Name: c.Name, Entry: &registry.Entry{Value: string(text)},
		Index: []string{registry.IndexJWT("uid", c.Name)},
	})
}

func (w *world) write(t testing.TB, c registry.Change) {
	t.Helper()
	if err := w.store.Write(context.Background(), c); err != nil {
		t.Fatal(err)
	}
}

// token signs one for a consumer, valid an hour around now.
func token(consumer string) string {
	part := func(v any) string {
		text, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	signed := part(map[string]any{"alg": "HS256"}) + "." + part(map[string]any{
		"uid": consumer, "sub": "subject-of-" + consumer, "number": 7,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	})
	secret, _ := base64.RawURLEncoding.DecodeString(sharedKey)
	sum := hmac.New(sha256.New, secret)
	sum.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(sum.Sum(nil))
}

// client takes what comes as it is.
var client = &http.Client{
	Transport:     &http.Transport{DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// request makes one to the gateway, by default with the shop's token; header lines replace or, with no
// value, remove.
func (w *world) request(method, path, body string, lines ...string) *http.Request {
	r, err := http.NewRequest(method, w.url+path, strings.NewReader(body))
	if err != nil {
		panic(err) // a test's own mistake
	}
	r.Header.Set("Authorization", "Bearer "+token("shop"))
	r.Header.Set("X-Request-Id", requestID)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		if r.Header.Del(name); value != "" {
			r.Header[name] = []string{value}
		}
	}
	return r
}

// reply is an answer, read to its end or to where it broke.
type reply struct {
	*http.Response
	body string
	err  error
}

func do(t testing.TB, r *http.Request) reply {
	t.Helper()
	response, err := client.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return reply{response, string(body), err}
}

// recorder is an upstream that keeps what it saw.
type recorder struct {
	*httptest.Server
	mu   sync.Mutex // guards seen
	seen []sighting
}

type sighting struct {
	*http.Request
	body string
}

// record answers with the handler after writing down the request; nil answers "ok".
func record(t testing.TB, answer http.HandlerFunc) *recorder {
	t.Helper()
	rec := &recorder{}
	rec.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		rec.mu.Lock()
		rec.seen = append(rec.seen, sighting{r, string(body)})
		rec.mu.Unlock()
		if answer != nil {
			answer(w, r)
			return
		}
		_, _ = io.WriteString(w, "ok")
	}))
	t.Cleanup(rec.Close)
	return rec
}

// last returns the newest request seen; its Request is nil if there is none.
func (r *recorder) last() sighting {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.seen) == 0 {
		return sighting{}
	}
	return r.seen[len(r.seen)-1]
}

func (r *recorder) count() int { r.mu.Lock(); defer r.mu.Unlock(); return len(r.seen) }

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s\n got: %v\nwant: %v", what, got, want)
	}
}
