package proxy_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keyless/shared/proxy"
	"keyless/shared/registry"
)

// deaf is a base URL at which nobody listens.
func deaf(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return "http://" + listener.Addr().String()
}

// TestU17Retries: what is tried again, and what is not. One reservation and one settlement whatever happens.
func TestU17Retries(t *testing.T) {
	t.Parallel()
	fails := func(status int, lines ...string) func(testing.TB) string {
		return func(t testing.TB) string {
			return record(t, answers(status, isJSON, `{"error":{"code":"insufficient_quota"}}`, lines...)).URL
		}
	}
	silent := func(t testing.TB) string { return wire(t.(*testing.T), func(c *net.TCPConn) { until(c) }) }
	broken := func(t testing.TB) string { return wire(t.(*testing.T), reset) }
	early := func(events string) func(testing.TB) string {
		return func(t testing.TB) string { return record(t, answers(200, isEvents, events)).URL }
	}
	for name, row := range map[string]struct {
		first    func(testing.TB) string
		rules    func(*registry.API)
		body     string
		again    bool
		status   int // where it is not tried again
		attempts int
	}{
		"no rules":                         {first: fails(500), status: 500},
		"a status that is named":           {first: fails(503), rules: retrying(2, 503), again: true},
		"another status":                   {first: fails(503), rules: retrying(2, 500), status: 503},
		"one attempt":                      {first: fails(503), rules: retrying(1, 503), status: 503},
		"429, named":                       {first: fails(429), rules: retrying(2, 429), again: true},
		"429, not named":                   {first: fails(429), rules: retrying(2, 500), status: 429},
		"a fault of the caller":            {first: fails(400), rules: retrying(2, 500), status: 400},
		"our key is refused, always":       {first: fails(401), rules: retrying(2, 500), again: true},
		"our key is refused, one attempt":  {first: fails(401), status: 502},
		"nobody listens":                   {first: func(t testing.TB) string { return deaf(t) }, rules: retrying(2, "connect"), again: true},
		"nobody listens, not named":        {first: func(t testing.TB) string { return deaf(t) }, rules: retrying(2, 500), status: 502},
		"silence":                          {first: silent, rules: retrying(2, "first_byte"), again: true},
		"silence, not named":               {first: silent, rules: retrying(2, "connect"), status: 504},
		"it breaks off, as 502":            {first: broken, rules: retrying(2, 502), again: true},
		"it breaks off, not named":         {first: broken, rules: retrying(2, "connect"), status: 502},
		"the default causes":               {first: fails(502), rules: retrying(2), again: true},
		"a stream that begins with error":  {first: early(`data: {"error":{"message":"overloaded","type":"server_error"}}` + "\n\n"), body: streamed, rules: retrying(2, 500), again: true},
		"a stream that ends at once":       {first: func(t testing.TB) string { return wire(t.(*testing.T), says(streamHead+chunk(": hi\n\n"))) }, body: streamed, rules: retrying(2, "first_byte"), again: true},
		"an error after content is passed": {first: early(event("a") + `data: {"error":{"message":"overloaded","type":"server_error"}}` + "\n\n"), body: streamed, rules: retrying(2, 500), status: 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body, good := asked, answers(200, isJSON, whole)
			if row.body != "" {
				body, good = row.body, answers(200, isEvents, event("b")+finish+usage+done)
			}
			second := record(t, good)
			w := open(t, second.URL, llm(row.rules, row.first(t), second.URL),
				func(w *world) { w.patience = proxy.Patience{FirstByte: 100 * time.Millisecond} })
			got := w.chat(t, body)
			if row.again {
				equal(t, "status of "+got.body, got.StatusCode, 200)
				equal(t, "the answer is whole", got.err, nil)
				equal(t, "calls at the second", second.count(), 1)
			} else {
				equal(t, "status of "+got.body, got.StatusCode, row.status)
				equal(t, "calls at the second", second.count(), 0)
			}
			equal(t, "reservations", w.quota.admitted(), 1)
			within(t, "the handler ends", w.ended)
			if name == "nobody listens, not named" {
				equal(t, "given back", w.quota.given(), 1)
				return
			}
			entry := w.quota.only(t).entry
			equal(t, "attempts", entry.Attempts, map[bool]int{true: 2, false: 1}[row.again])
			equal(t, "upstream", entry.Upstream, map[bool]string{true: "up2", false: "up1"}[row.again])
		})
	}
}

// TestU17NeverAfterContent: what has gone out cannot be taken back.
func TestU17NeverAfterContent(t *testing.T) {
	t.Parallel()
	first := wire(t, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, streamHead+chunk(event("a")))
		time.Sleep(20 * time.Millisecond)
		reset(c)
	})
	second := record(t, nil)
	w := open(t, second.URL, llm(retrying(3, 500, 502, "connect", "first_byte"), first, second.URL))
	got := w.chat(t, streamed)
	equal(t, "the cut is seen", got.err, io.ErrUnexpectedEOF)
	equal(t, "calls at the second", second.count(), 0)
	equal(t, "in the caller's words", strings.Contains(got.body, `"code":"upstream_broken"`), true)
}

// TestU17OnlyWhatHarmsNobodyIsRepeated: a POST to a backend that may have had it stays one.
func TestU17OnlyWhatHarmsNobodyIsRepeated(t *testing.T) {
	t.Parallel()
	second := record(t, nil)
	first := record(t, answers(503, "text/plain", "no"))
	plain := func(base string) func(*world) {
		return with(map[string]any{
			"upstream:first":  registry.Upstream{Name: "first", Protocol: registry.HTTP, BaseURL: base},
			"upstream:second": registry.Upstream{Name: "second", Protocol: registry.HTTP, BaseURL: second.URL},
			"api:shop": registry.API{Name: "shop", Type: registry.HTTP, BasePath: "/shop",
				Authentication: &registry.Authentication{Disabled: true},
				Upstreams:      []registry.Target{{Upstream: "first"}, {Upstream: "second"}},
				Retries:        &registry.Retries{Attempts: 2}},
		})
	}
	for method, want := range map[string]int{"GET": 200, "PUT": 200, "POST": 503, "PATCH": 503} {
		w := open(t, first.URL, plain(first.URL))
		equal(t, method, do(t, w.request(method, "/shop/a", "")).StatusCode, want)
		within(t, "the handler ends", w.ended)
		equal(t, method+": nothing is settled that holds nothing", len(w.quota.settled), 0)
	}
	w := open(t, first.URL, plain(deaf(t)))
	equal(t, "POST of which nothing was sent", do(t, w.request("POST", "/shop/a", "x")).StatusCode, 200)
}

// TestSeveralKeys: they share the calls; one that is refused rests and comes back by itself.
func TestSeveralKeys(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex // guards status, seen and clock
	status, seen, clock := map[string]int{}, map[string]int{}, now
	upstream := record(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		seen[key]++
		if s := status[key]; s != 0 {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(s)
			return
		}
		_, _ = io.WriteString(w, whole)
	})
	w := open(t, upstream.URL, llm(retrying(2, 429), upstream.URL), with(map[string]any{
		"upstream:up1": registry.Upstream{Name: "up1", Protocol: registry.OpenAI, BaseURL: upstream.URL,
			APIKeys: []registry.Secret{"key-a", "key-b"}},
	}), func(w *world) {
		w.change = func(o *proxy.Options) {
			o.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return clock }
		}
	})
	calls := func(n int) map[string]int {
		mu.Lock()
		clear(seen)
		mu.Unlock()
		for range n {
			equal(t, "status", w.chat(t, asked).StatusCode, 200)
		}
		mu.Lock()
		defer mu.Unlock()
		return map[string]int{"a": seen["key-a"], "b": seen["key-b"]}
	}
	set := func(key string, s int, pass time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		status[key] = s
		clock = clock.Add(pass)
	}
	got := calls(40)
	equal(t, "both are used", got["a"] > 5 && got["b"] > 5, true)
	set("key-a", 429, 0)
	got = calls(40)
	equal(t, "the one that is throttled was asked once", got["a"], 1)
	equal(t, "the other took all", got["b"], 40)
	set("key-a", 0, 59*time.Second)
	equal(t, "a second too early", calls(10)["a"], 0)
	set("key-a", 0, time.Second)
	equal(t, "as the upstream said, it is back", calls(40)["a"] > 5, true)
	set("key-b", 401, 0)
	equal(t, "refused once", calls(40)["b"], 1)
	set("key-b", 0, 4*time.Minute)
	equal(t, "it rests longer", calls(10)["b"], 0)
	set("key-b", 0, 61*time.Second)
	equal(t, "and comes back", calls(40)["b"] > 5, true)
}

// TestAConsumersOwnKey goes where it belongs, and its failures concern nobody else.
func TestAConsumersOwnKey(t *testing.T) {
	t.Parallel()
	var refuse atomic.Bool
	refuse.Store(true)
	upstream := record(t, func(w http.ResponseWriter, r *http.Request) {
		if refuse.Load() && r.Header.Get("Authorization") == "Bearer shops-own-key" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, "shops-own-key?")
		}
	})
	shop := registry.Consumer{Name: "owner", JWT: &registry.JWTCredential{},
		UpstreamKeys: map[string]registry.Secret{"openai": "shops-own-key"}}
	w := open(t, upstream.URL, func(w *world) { w.consumers = append(w.consumers, shop) })
	got := do(t, w.request(http.MethodPost, "/v1/chat/completions", asked, "Authorization: Bearer "+token("owner")))
	equal(t, "refused", got.StatusCode, 502)
	equal(t, "its key went up", upstream.last().Header.Get("Authorization"), "Bearer shops-own-key")
	refuse.Store(false)
	got = do(t, w.request(http.MethodPost, "/v1/chat/completions", asked, "Authorization: Bearer "+token("owner")))
	equal(t, "it does not rest", upstream.last().Header.Get("Authorization"), "Bearer shops-own-key")
	equal(t, "accepted", got.StatusCode, 200)
	_ = do(t, w.request(http.MethodPost, "/v1/chat/completions", asked))
	equal(t, "others use the operator's", upstream.last().Header.Get("Authorization"), "Bearer "+providerKey)
}

// TestOrderAndWeight: the first of an order is used, and within one order by weight.
func TestOrderAndWeight(t *testing.T) {
	t.Parallel()
	a, b, c := record(t, answers(200, isJSON, whole)), record(t, answers(200, isJSON, whole)), record(t, answers(200, isJSON, whole))
	w := open(t, a.URL, llm(func(api *registry.API) {
		api.Upstreams[0].Order, api.Upstreams[0].Weight = 2, 1
		api.Upstreams[1].Order, api.Upstreams[1].Weight = 1, 3
		api.Upstreams[2].Order, api.Upstreams[2].Weight = 1, 1
	}, a.URL, b.URL, c.URL))
	for i := range 200 {
		w.chat(t, asked, "X-Request-Id: id-"+strings.Repeat("x", i%10)+string(rune('a'+i/10)))
	}
	equal(t, "of a later order", a.count(), 0)
	if b.count() < 120 || b.count() > 180 || b.count()+c.count() != 200 {
		t.Errorf("by weight 3 and 1: %d and %d", b.count(), c.count())
	}
	// What an upstream keeps between calls is found where it was put.
	before := b.count()
	for i := range 20 {
		do(t, w.request(http.MethodGet, "/llm/files/f1", "", "X-Request-Id: f-"+string(rune('a'+i))))
	}
	equal(t, "files are at the first of its order", b.count()-before, 20)
}

// TestModelNames: exact, the longest prefix, the star; the name is spliced, all other bytes stay.
func TestModelNames(t *testing.T) {
	t.Parallel()
	upstream, other := record(t, answers(200, isJSON, whole)), record(t, answers(200, isJSON, whole))
	names := map[string]string{"gpt-4o-mini": "qwen-flash", "gpt-4o*": "qwen-plus", "gpt-*": "qwen-max", "qwen-*": "*"}
	w := open(t, upstream.URL, llm(func(a *registry.API) {
		a.Upstreams[0].Models = names
		a.Upstreams[1].Models = map[string]string{"claude-*": "*"}
	}, upstream.URL, other.URL))
	for model, want := range map[string]string{
		"gpt-4o-mini": "qwen-flash", "gpt-4o": "qwen-plus", "gpt-4o-mini-2": "qwen-plus", "gpt-5": "qwen-max", "qwen-turbo": "qwen-turbo",
	} {
		got := w.chat(t, `{ "x":1e400, "model" : "`+model+`","messages":[]}`)
		equal(t, "status", got.StatusCode, 200)
		equal(t, model, upstream.last().body, `{ "x":1e400, "model" : "`+want+`","messages":[]}`)
	}
	equal(t, "by the model to its own upstream", w.chat(t, `{"model":"claude-3","messages":[]}`).StatusCode, 200)
	equal(t, "there", other.last().body, `{"model":"claude-3","messages":[]}`)
	before := w.quota.admitted()
	got := w.chat(t, `{"model":"llama","messages":[]}`)
	equal(t, "a model that nobody serves", got.StatusCode, 404)
	equal(t, "its code in "+got.body, strings.Contains(got.body, `"code":"model_not_found"`), true)
	equal(t, "costs nothing", w.quota.admitted(), before)
}
