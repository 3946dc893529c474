package proxy_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"keyless/shared/proxy"
	"keyless/shared/registry"
)

// clock is a time that a test moves.
type clock struct {
	mu sync.Mutex // guards at
	at time.Time
}

func (c *clock) now() time.Time       { c.mu.Lock(); defer c.mu.Unlock(); return c.at }
func (c *clock) pass(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.at = c.at.Add(d) }
func (c *clock) on(o *proxy.Options)  { o.Now = c.now }
func started() *clock                 { return &clock{at: now} }

func circuits(t testing.TB, c *clock) (proxy.Circuits, *miniredis.Miniredis) {
	t.Helper()
	server := miniredis.RunT(t)
	store, err := registry.Connect("redis://" + server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return proxy.NewCircuits(store, "kg", c.now), server
}

// failing answers with 503 while it is told to.
type failing struct {
	*recorder
	mu  sync.Mutex // guards bad
	bad bool
}

func newFailing(t testing.TB) *failing {
	f := &failing{bad: true}
	f.recorder = record(t, func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.bad {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		answers(200, isJSON, whole)(w, r)
	})
	return f
}

func (f *failing) set(bad bool) { f.mu.Lock(); defer f.mu.Unlock(); f.bad = bad }

// TestCircuit opens after failures in a row, lets one try after a pause, and closes when that works.
func TestCircuit(t *testing.T) {
	t.Parallel()
	c, upstream := started(), newFailing(t)
	w := open(t, upstream.URL, llm(nil, upstream.URL), func(w *world) { w.change = c.on })
	for range 5 {
		equal(t, "the upstream's own", w.chat(t, asked).StatusCode, 503)
	}
	got := w.chat(t, asked)
	equal(t, "status", got.StatusCode, 503)
	equal(t, "code in "+got.body, strings.Contains(got.body, `"code":"upstream_circuit"`), true)
	equal(t, "it is left alone", upstream.count(), 5)
	equal(t, "what sent nothing is given back", w.quota.given(), 1)
	c.pass(10 * time.Second)
	_ = w.chat(t, asked)
	equal(t, "one try", upstream.count(), 6)
	_ = w.chat(t, asked)
	equal(t, "in vain", upstream.count(), 6)
	c.pass(10 * time.Second)
	upstream.set(false)
	equal(t, "the next try works", w.chat(t, asked).StatusCode, 200)
	equal(t, "and all are let through", w.chat(t, asked).StatusCode, 200)
}

// TestCircuitNeedsARow: what works in between starts the count anew, and so does time.
func TestCircuitNeedsARow(t *testing.T) {
	t.Parallel()
	c, upstream := started(), newFailing(t)
	w := open(t, upstream.URL, llm(nil, upstream.URL), func(w *world) { w.change = c.on })
	for i := range 12 {
		upstream.set(i%4 != 3)
		_ = w.chat(t, asked)
	}
	upstream.set(true)
	for range 6 {
		_ = w.chat(t, asked)
		c.pass(8 * time.Second)
	}
	equal(t, "all went up", upstream.count() >= 16, true)
}

// TestM6OneConsumersErrorsCloseNothing: a plain 500 may be about what is asked, so it counts from the second consumer on.
func TestM6OneConsumersErrorsCloseNothing(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		status int
		who    []string // in turn
		opens  bool
	}{
		"500 for one":         {500, []string{"one"}, false},
		"500 for two":         {500, []string{"one", "one", "two"}, true},
		"500 for none":        {500, []string{""}, false},
		"500 for one or none": {500, []string{"one", ""}, true},
		"502 for one":         {502, []string{"one"}, true},
		"503 for one":         {503, []string{"one"}, true},
		"504 for one":         {504, []string{"one"}, true},
		"529 for one":         {529, []string{"one"}, true},
		"501 for all":         {501, []string{"one", "two"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := record(t, answers(row.status, isJSON, `{}`))
			w := open(t, upstream.URL, llm(nil, upstream.URL), pair, with(map[string]any{"api:known": registry.API{
				Name: "known", Type: registry.LLM, BasePath: "/known", StripBasePath: true, Upstreams: target("up1"),
				Authentication: &registry.Authentication{Methods: []string{"jwt"}}}}), func(w *world) {
				for i := range w.consumers {
					w.consumers[i].Authorizations = []registry.Authorization{{API: "known"}}
				}
			})
			for i := range 9 {
				path, line := "/known", as(row.who[i%len(row.who)])
				if row.who[i%len(row.who)] == "" {
					path, line = "/llm", "Authorization: "
				}
				_ = do(t, w.request(http.MethodPost, path+"/chat/completions", asked, line))
			}
			equal(t, "attempts", upstream.count(), map[bool]int{true: 5, false: 9}[row.opens])
		})
	}
}

// TestM6ATryThatOneConsumerSpoils does not keep an upstream closed: the next call tries.
func TestM6ATryThatOneConsumerSpoils(t *testing.T) {
	t.Parallel()
	c := started()
	var status atomic.Int64
	status.Store(503)
	upstream := record(t, func(w http.ResponseWriter, r *http.Request) { answers(int(status.Load()), isJSON, whole)(w, r) })
	w := open(t, upstream.URL, llm(nil, upstream.URL), func(w *world) { w.change = c.on })
	for range 6 {
		_ = w.chat(t, asked)
	}
	equal(t, "it is open", upstream.count(), 5)
	c.pass(10 * time.Second)
	status.Store(500)
	equal(t, "the try is spoilt", w.chat(t, asked).StatusCode, 500)
	status.Store(200)
	equal(t, "the next one works", w.chat(t, asked).StatusCode, 200)
}

// TestM6AKeyThatIsForbiddenOneThing rests for half a minute only, where one that is refused rests for five.
func TestM6AKeyThatIsForbiddenOneThing(t *testing.T) {
	t.Parallel()
	for status, tries := range map[int]int64{403: 2, 401: 1} {
		var refused atomic.Int64
		upstream := record(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "Bearer key-a" {
				refused.Add(1)
				w.WriteHeader(status)
				return
			}
			_, _ = io.WriteString(w, whole)
		})
		c := started()
		w := open(t, upstream.URL, llm(retrying(2, 503), upstream.URL), func(w *world) { w.change = c.on },
			with(map[string]any{"upstream:up1": registry.Upstream{
				Name: "up1", Protocol: registry.OpenAI, BaseURL: upstream.URL, APIKeys: []registry.Secret{"key-a", "key-b"}}}))
		for range 2 {
			for range 40 {
				equal(t, "status", w.chat(t, asked).StatusCode, 200)
			}
			c.pass(31 * time.Second)
		}
		equal(t, "calls with the key", refused.Load(), tries)
	}
}

// TestCircuitPassesOver: another upstream takes the calls without an attempt at the one that fails.
func TestCircuitPassesOver(t *testing.T) {
	t.Parallel()
	c, upstream, other := started(), newFailing(t), record(t, answers(200, isJSON, whole))
	w := open(t, upstream.URL, llm(func(a *registry.API) { retrying(2, 503)(a) }, upstream.URL, other.URL),
		func(w *world) { w.change = c.on })
	for range 20 {
		equal(t, "status", w.chat(t, asked).StatusCode, 200)
	}
	equal(t, "attempts at the one that fails", upstream.count(), 5)
	equal(t, "the other took all", other.count(), 20)
}

// TestCircuitIsShared: another process learns with its first failure, and one of them tries.
func TestCircuitIsShared(t *testing.T) {
	t.Parallel()
	c, upstream := started(), newFailing(t)
	shared, server := circuits(t, c)
	process := func() *world {
		return open(t, upstream.URL, llm(nil, upstream.URL), func(w *world) {
			w.change = func(o *proxy.Options) { c.on(o); o.Circuits = shared }
		})
	}
	first, second := process(), process()
	for range 7 {
		_ = first.chat(t, asked)
	}
	equal(t, "attempts of the first", upstream.count(), 5)
	for range 3 {
		_ = second.chat(t, asked)
	}
	equal(t, "the second learns from its first failure", upstream.count(), 6)
	pass := func(d time.Duration) { c.pass(d); server.FastForward(d) }
	pass(10 * time.Second)
	_ = first.chat(t, asked)
	_ = second.chat(t, asked)
	equal(t, "one of them tries", upstream.count(), 7)
	upstream.set(false)
	pass(10 * time.Second)
	equal(t, "it works again", first.chat(t, asked).StatusCode, 200)
	equal(t, "for the other too", second.chat(t, asked).StatusCode, 200)
	equal(t, "nothing stays in the store", len(server.Keys()), 0)
}

// deafCircuits cannot be reached.
type deafCircuits struct{}

var errStore = errors.New("the store is away")

func (deafCircuits) Learn(context.Context, string) (time.Time, error) { return now, errStore }
func (deafCircuits) Tell(context.Context, string, time.Time) error    { return errStore }
func (deafCircuits) Probe(context.Context, string, time.Duration) (bool, error) {
	return false, errStore
}

// TestCircuitWithoutStore works in its process alone.
func TestCircuitWithoutStore(t *testing.T) {
	t.Parallel()
	c, upstream := started(), newFailing(t)
	w := open(t, upstream.URL, llm(nil, upstream.URL), func(w *world) {
		w.change = func(o *proxy.Options) { c.on(o); o.Circuits = deafCircuits{} }
	})
	for range 8 {
		_ = w.chat(t, asked)
	}
	equal(t, "it opens", upstream.count(), 5)
	c.pass(10 * time.Second)
	upstream.set(false)
	equal(t, "and closes", w.chat(t, asked).StatusCode, 200)
}

// TestRetryBudget: an outage is not multiplied.
func TestRetryBudget(t *testing.T) {
	t.Parallel()
	c := started()
	b := proxy.NewBudget(c.now)
	retries := func(calls int) int {
		granted := 0
		for range calls {
			b.Call()
			if b.Retry() {
				granted++
			}
		}
		return granted
	}
	equal(t, "a few calls have the floor", retries(10), 10)
	equal(t, "many a fifth", retries(90), 10+100/5-10)
	c.pass(10 * time.Second)
	equal(t, "the last window counts", retries(50), 50/5)
	c.pass(20 * time.Second)
	equal(t, "an older one does not", retries(5), 5)
}
