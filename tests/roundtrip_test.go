package tests

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// counted stands between a process and its Redis and counts waves: what is sent until the store answers is one.
type counted struct {
	address string
	waves   atomic.Int64
	opened  atomic.Int64
}

func newCounted(t *testing.T, redis string) *counted {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &counted{address: listener.Addr().String()}
	var mu sync.Mutex
	var open []net.Conn
	t.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, conn := range open {
			_ = conn.Close()
		}
	})
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", redis)
			if err != nil {
				_ = client.Close()
				continue
			}
			mu.Lock()
			open = append(open, client, server)
			mu.Unlock()
			c.opened.Add(1)
			c.join(client, server)
		}
	}()
	return c
}

// join copies both ways. A wave begins with the first bytes that the client sends after an answer.
func (c *counted) join(client, server net.Conn) {
	var asking atomic.Bool
	pass := func(to, from net.Conn, seen func()) {
		defer to.Close()
		buffer := make([]byte, 64<<10)
		for {
			n, err := from.Read(buffer)
			if n > 0 {
				seen()
				if _, failed := to.Write(buffer[:n]); failed != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
	go pass(server, client, func() {
		if asking.CompareAndSwap(false, true) {
			c.waves.Add(1)
		}
	})
	go pass(client, server, func() { asking.Store(false) })
}

// during counts the waves of what f does, and of what it leaves behind for a moment.
func (c *counted) during(f func()) int64 {
	before := c.waves.Load()
	f()
	time.Sleep(30 * time.Millisecond)
	return c.waves.Load() - before
}

const roundtripConfig = `
version: 1
instances:
  - id: acme
    description: Machines of Acme
    privacy_agreement: accepted
    resource_servers: [{identifier: urn:models, name: Models, scopes: [{value: invoke, name: Invoke}]}]
    clients: [{id: caller, name: Caller, secrets: [{id: s1, value: "${CLIENT_SECRET}"}], permissions: [{resource_server: "urn:models", scopes: [invoke]}]}]
domains: [{name: default, daily_call_limit: 1000000, time_zone: Asia/Shanghai}]
groups: [{name: batch, limits: {calls_per_hour: 1000000}}]
upstreams: [{name: model, protocol: openai, base_url: "${UPSTREAM}/v1", api_keys: ["${PROVIDER_KEY}"]}, {name: backend, protocol: http, base_url: "${UPSTREAM}"}]
apis:
  - {name: models, type: llm, base_path: /v1, strip_base_path: true, upstreams: [{upstream: model}], limits: {calls_per_minute: 1000000}}
  - {name: own, type: http, base_path: /own}
  - {name: tokens, type: http, base_path: /tokens, authentication: {methods: [jwt]}, upstreams: [{upstream: backend}]}
  - {name: signed, type: http, base_path: /signed, authentication: {methods: [hmac]}, upstreams: [{upstream: backend}]}
consumers:
  - name: own
    groups: [batch]
    limits: {calls_per_day: 1000000, calls_per_month: 1000000}
    jwt: {jwks_url: "${KEYLESS_PUBLIC_URL}/acme/oauth2/jwks", claim: scope, value: invoke}
    authorizations: [{api: models}, {api: own}]
  - {name: alice, jwt: {jwks: "${OCT}", value: alice}, authorizations: [{api: models}]}
  - {name: key, api_key: {keys: [{id: k1, value: "${KEY}-1"}]}, authorizations: [{api: models}, {api: own}]}
  - {name: partner, hmac: {keys: [{access_key: partner, secret_key: "${KEY}-hmac"}]}, authorizations: [{api: signed}]}
`

// What a call costs in round trips to the store, counted on the wire between the built binaries and a real server.
func TestRoundTripsOfACall(t *testing.T) {
	redis, u := redisServer(t), newUpstream(t)
	applyRoundtrip(t, redis, u)
	store := newCounted(t, redis)
	var atUpstream atomic.Int64
	u.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		atUpstream.Store(store.waves.Load())
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		for range 3 {
			_, _ = io.WriteString(w, "data: {}\n\n")
			_ = http.NewResponseController(w).Flush()
		}
	})
	gateway := function(t, "proxy", deployment(store.address))
	own := mintAt(t, function(t, "token", deployment(redis)), "acme")
	post := func(target string, want int, headers ...string) {
		t.Helper()
		if a := ask(t, http.MethodPost, gateway+target, headers, `{"stream":true}`); a.Status != want {
			t.Fatalf("%s: %d %s", target, a.Status, a.Body)
		}
	}
	const chat = "/v1/chat/completions"
	alice := bearer(uid(t, "alice", nil))
	for name, headers := range map[string][]string{
		"a token of our own instance": {bearer(own)}, "a token of an inline key": {alice}, "an API key": {bearer(testKey + "-1")},
	} {
		t.Run("warm: "+name, func(t *testing.T) {
			for range 3 {
				post(chat, 200, headers...)
			}
			for range 3 {
				before := store.waves.Load()
				all := store.during(func() { post(chat, 200, headers...) })
				if first := atUpstream.Load() - before; first != 1 || all != 2 {
					t.Errorf("%d waves before the first byte to the upstream, %d in all; want 1 to admit and 1 to settle", first, all)
				}
			}
		})
	}
	t.Run("warm: an HMAC signature with a nonce", func(t *testing.T) {
		signed := func() []string {
			c := call{method: http.MethodPost, target: "/signed/x", body: `{"stream":true}`}
			return xca(c, "partner", testKey+"-hmac").headers
		}
		post("/signed/x", 200, signed()...)
		if n := store.during(func() { post("/signed/x", 200, signed()...) }); n > 2 {
			t.Errorf("%d waves; want at most 2: the nonce's and the admission's", n)
		}
	})
	t.Run("what the strict door refuses", func(t *testing.T) {
		for name, token := range map[string]string{
			"nonsense": "nonsense", "no JSON": "a.b.c", "alg none": flipLast(uid(t, "alice", nil)) + ".", "too long": strings.Repeat("x", 9000) + ".x.x",
			"no exp": uid(t, "alice", claims{"exp": nil}), "crit": compact(`{"alg":"HS256","crit":["x"]}`, `{"uid":"alice","exp":1}`, hs256([]byte("x"))),
		} {
			most := int64(0)
			if name == "nonsense" {
				most = 1 // it may be an API key, which the API takes by now: asked at most once a second
			}
			if n := store.during(func() { post("/tokens", 401, bearer(token)) }); n > most {
				t.Errorf("%s: %d waves", name, n)
			}
		}
	})
	t.Run("a forged token that names a consumer", func(t *testing.T) {
		for range 5 {
			if n := store.during(func() { post(chat, 401, bearer(flipLast(uid(t, "alice", nil)))) }); n > 1 {
				t.Errorf("%d waves", n)
			}
		}
		if n := store.during(func() {
			for range 50 {
				post(chat, 401, bearer(flipLast(uid(t, "alice", nil))))
			}
		}); n > 2 {
			t.Errorf("50 forgeries in a row cost %d waves; the store is asked at most once a second", n)
		}
	})
	t.Run("a forged token that names nobody", func(t *testing.T) {
		for _, name := range []string{"nobody-1", "nobody-2", "nobody-3"} {
			first := store.during(func() { post(chat, 401, bearer(uid(t, name, nil))) })
			again := store.during(func() { post(chat, 401, bearer(uid(t, name, nil))) })
			if first > 2 || again > 1 {
				t.Errorf("%d waves, then %d; want at most 2 (index, and the revision once a second), then at most 1", first, again)
			}
		}
	})
	t.Run("no credential, and no API", func(t *testing.T) {
		if n := store.during(func() {
			for range 20 {
				post(chat, 401)
				post("/nothing", 404)
			}
		}); n > 2 {
			t.Errorf("40 refusals cost %d waves", n)
		}
	})
	t.Run("cold", func(t *testing.T) {
		colder := newCounted(t, redis)
		cold := function(t, "proxy", deployment(colder.address))
		opened := colder.opened.Load()
		n := colder.during(func() {
			if a := ask(t, http.MethodPost, cold+chat, []string{alice}, `{}`); a.Status != 200 {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
		// Snapshot, consumer, admission; the script's text, which the store may lack; and a greeting on each new connection.
		if greetings := colder.opened.Load() - opened; n > 4+greetings {
			t.Errorf("%d waves, %d of them greetings", n, greetings)
		}
	})
	t.Run("the authorizer, which answers for the call", func(t *testing.T) {
		asked := newCounted(t, redis)
		base := function(t, "authorizer", append(deployment(asked.address), "KEYLESS_TRUSTED_PROXIES=127.0.0.0/8"))
		question := func(want int, authorization string) {
			t.Helper()
			a := ask(t, http.MethodGet, base+"/_/authorize/nginx", []string{"X-Original-Method: GET", "X-Original-URI: /own/x",
				"X-Original-Host: gateway.example", authorization}, "")
			if a.Status != want {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
		}
		for range 3 {
			question(200, bearer(own))
		}
		for range 3 {
			if n := asked.during(func() { question(200, bearer(own)) }); n != 1 {
				t.Errorf("%d waves, want 1", n)
			}
		}
		if n := asked.during(func() { question(401, bearer("x.y.z")) }); n != 0 {
			t.Errorf("nonsense: %d waves", n)
		}
	})
	t.Run("the token endpoint", func(t *testing.T) {
		asked := newCounted(t, redis)
		base := function(t, "token", deployment(asked.address))
		for range 3 {
			mintAt(t, base, "acme")
		}
		for range 3 {
			if n := asked.during(func() { mintAt(t, base, "acme") }); n != 1 {
				t.Errorf("%d waves, want 1", n)
			}
		}
	})
}

func applyRoundtrip(t *testing.T, redis string, u *upstream) {
	t.Helper()
	k, _ := keysOf(t)
	configure(t, redis, roundtripConfig, "UPSTREAM="+u.URL, "PROVIDER_KEY="+provider, "KEY="+testKey, "CLIENT_SECRET="+secretOf,
		"OCT="+octJWK(k.oct, "o1"))
}
