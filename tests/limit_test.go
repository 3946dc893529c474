package tests

import (
	"net/http"
	"strings"
	"sync"
	"testing"
)

// Calls beyond the thousand of the default domain give exactly a thousand answers, from fifty processes at once.
func TestDailyLimitIsExactOverFiftyProcesses(t *testing.T) {
	const processes, limit, calls = 50, 1000, 1100
	redis, u := redisServer(t), newUpstream(t)
	configureGateway(t, redis, u, limit)
	token := mint(t, function(t, "token", deployment(redis)), "caller", secretOf, "grant_type=client_credentials")
	var gateways [processes]string
	var begun sync.WaitGroup
	for i := range gateways {
		begun.Go(func() { gateways[i] = function(t, "proxy", deployment(redis)) })
	}
	begun.Wait()
	var mu sync.Mutex
	statuses := map[int]int{}
	var refused answer
	work := make(chan int)
	var workers sync.WaitGroup
	for w := range 2 * processes {
		workers.Go(func() {
			for range work {
				a := ask(t, http.MethodPost, gateways[w%processes]+"/v1/chat/completions", []string{bearer(token)}, `{}`)
				mu.Lock()
				statuses[a.Status]++
				if a.Status == http.StatusTooManyRequests {
					refused = a
				}
				mu.Unlock()
			}
		})
	}
	for i := range calls {
		work <- i
	}
	close(work)
	workers.Wait()
	if statuses[200] != limit || statuses[429] != calls-limit || u.count() != limit {
		t.Fatalf("statuses %v, upstream saw %d; want %d times 200 and %d times 429", statuses, u.count(), limit, calls-limit)
	}
	if !strings.Contains(refused.Body, "Throttled by DOMAIN Flow Control") || !strings.Contains(refused.Body, "domain_limit") {
		t.Errorf("body %s", refused.Body)
	}
	for _, name := range []string{"Retry-After", "RateLimit", "RateLimit-Policy"} {
		if refused.Header.Get(name) == "" {
			t.Errorf("no %s: %v", name, refused.Header)
		}
	}
	if refused.Header.Get("X-Should-Retry") != "false" {
		t.Errorf("x-should-retry %q", refused.Header.Get("X-Should-Retry"))
	}
}

// What is refused costs nothing, and what is not reached is given back.
func TestRefusalsAndUnreachedUpstreamsDoNotCount(t *testing.T) {
	redis, u := redisServer(t), newUpstream(t)
	configureGateway(t, redis, u, 3)
	issuer, gateway := function(t, "token", deployment(redis)), function(t, "proxy", deployment(redis))
	token := mint(t, issuer, "caller", secretOf, "grant_type=client_credentials")
	stranger := mint(t, issuer, "stranger", secretOf, "grant_type=client_credentials")
	call := func(token string, want int) {
		t.Helper()
		if a := ask(t, http.MethodPost, gateway+"/v1/x", []string{bearer(token)}, `{}`); a.Status != want {
			t.Fatalf("status %d, want %d: %s", a.Status, want, a.Body)
		}
	}
	for range 5 {
		call("nonsense", 401)
		call(stranger, 403)
	}
	address := u.Listener.Addr().String()
	u.Close()
	call(token, 502)
	call(token, 502)
	call(token, 502)
	call(token, 502)
	again := newUpstreamAt(t, address)
	call(token, 200)
	call(token, 200)
	call(token, 200)
	call(token, 429)
	if again.count() != 3 {
		t.Errorf("upstream saw %d calls", again.count())
	}
}

// Changes hold on the next request, on a process that has everything in memory.
func TestChangesHoldOnTheNextRequest(t *testing.T) {
	redis, u := redisServer(t), newUpstream(t)
	configureGateway(t, redis, u, 1000)
	gateways := []string{function(t, "proxy", deployment(redis)), function(t, "proxy", deployment(redis))}
	token := mint(t, function(t, "token", deployment(redis)), "caller", secretOf, "grant_type=client_credentials")
	expect := func(want int) {
		t.Helper()
		for _, g := range gateways {
			if a := ask(t, http.MethodPost, g+"/v1/x", []string{bearer(token)}, `{}`); a.Status != want {
				t.Fatalf("status %d, want %d: %s", a.Status, want, a.Body)
			}
		}
	}
	change := func(from, to string) {
		t.Helper()
		text := strings.NewReplacer("@LIMIT@", "1000", "@LIFETIME@", "2400d", from, to).Replace(gateway)
		configure(t, redis, text, "CLIENT_SECRET="+secretOf, "PROVIDER_KEY="+provider, "UPSTREAM="+u.URL)
	}
	const entry = "  - name: caller\n    jwt:"
	expect(200)
	change(entry, "  - name: caller\n    status: disabled\n    jwt:")
	expect(401)
	change("", "")
	expectSoon(t, func() int {
		return ask(t, http.MethodPost, gateways[0]+"/v1/x", []string{bearer(token)}, `{}`).Status
	}, 200)
	expectSoon(t, func() int {
		return ask(t, http.MethodPost, gateways[1]+"/v1/x", []string{bearer(token)}, `{}`).Status
	}, 200)
	change("[{api: models}, {api: reports}]", "[{api: reports}]")
	expect(403)
	change("  - {name: models, type: llm,", "  - {name: models, type: llm, status: draft,")
	for _, g := range gateways {
		expectSoon(t, func() int { return ask(t, http.MethodPost, g+"/v1/x", []string{bearer(token)}, `{}`).Status }, 404)
	}
}

// Which methods an API takes is knowledge too: a refusal by the one that is not the caller's does not outlive the change.
func TestAChangeOfMethodsHolds(t *testing.T) {
	redis, u := redisServer(t), newUpstream(t)
	change := func(methods string) {
		t.Helper()
		configure(t, redis, strings.Replace(`version: 1
upstreams: [{name: backend, protocol: http, base_url: "${UPSTREAM}"}]
apis: [{name: a, type: http, base_path: /a, authentication: {methods: [@METHODS@]}, upstreams: [{upstream: backend}]}]
consumers:
  - {name: key, api_key: {keys: [{id: k1, value: "${KEY}"}]}, authorizations: [{api: a}]}
  - {name: token, jwt: {jwks: "${OCT}", value: token}, authorizations: [{api: a}]}
`, "@METHODS@", methods, 1), "UPSTREAM="+u.URL, "KEY="+testKey, "OCT="+octJWK(honestKey(t), "o1"))
	}
	change("jwt")
	base := function(t, "proxy", deployment(redis))
	for methods, credential := range map[string]string{"jwt": testKey, "api_key": uid(t, "token", claims{"more": strings.Repeat("x", 800)})} {
		status := func() int { return ask(t, http.MethodGet, base+"/a", []string{bearer(credential)}, "").Status }
		change(methods)
		expectSoon(t, status, 401)
		change("jwt, api_key")
		expectSoon(t, status, 200)
	}
}

func honestKey(t *testing.T) []byte {
	k, _ := keysOf(t)
	return k.oct
}

// Store away: 503, never 429, never a free pass; the process recovers by itself.
func TestStoreAwayIs503(t *testing.T) {
	u := newUpstream(t)
	program, port := need(t, "redis-server"), freePort(t)
	start := func() *child {
		c := spawn(t, nil, program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
		c.waitFor(t, "Ready to accept connections")
		return c
	}
	first := start()
	redis := "127.0.0.1:" + port
	configureGateway(t, redis, u, 1000)
	gateway := function(t, "proxy", deployment(redis))
	issuer := function(t, "token", deployment(redis))
	token := mint(t, issuer, "caller", secretOf, "grant_type=client_credentials")
	if a := ask(t, http.MethodPost, gateway+"/v1/x", []string{bearer(token)}, `{}`); a.Status != 200 {
		t.Fatalf("warm up: %d %s", a.Status, a.Body)
	}
	first.stop(t)
	served := u.count()
	for range 3 {
		a := ask(t, http.MethodPost, gateway+"/v1/x", []string{bearer(token)}, `{}`)
		if a.Status != 503 || !strings.Contains(a.Body, "store_unavailable") || a.Header.Get("Retry-After") == "" {
			t.Fatalf("store away: %d %s", a.Status, a.Body)
		}
	}
	if a := ask(t, http.MethodGet, gateway+"/_/readyz", nil, ""); a.Status != 503 {
		t.Errorf("readyz %d", a.Status)
	}
	if a := ask(t, http.MethodGet, gateway+"/_/healthz", nil, ""); a.Status != 200 {
		t.Errorf("healthz %d", a.Status)
	}
	if u.count() != served {
		t.Error("a call reached the upstream without admission")
	}
	start()
	configureGateway(t, redis, u, 1000)
	token = mint(t, issuer, "caller", secretOf, "grant_type=client_credentials")
	expectSoon(t, func() int {
		return ask(t, http.MethodPost, gateway+"/v1/x", []string{bearer(token)}, `{}`).Status
	}, 200)
}

// expectSoon allows for the second in which a refusal may rest on what a process remembers.
func expectSoon(t *testing.T, status func() int, want int) {
	t.Helper()
	got := 0
	for range 30 {
		if got = status(); got == want {
			return
		}
		pause()
	}
	t.Fatalf("status %d, want %d", got, want)
}
