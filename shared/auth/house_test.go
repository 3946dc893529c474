package auth_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"

	"keyless/shared/auth"
	"keyless/shared/registry"
	"keyless/shared/seal"
)

// house is a registry that Apply has written, read by one process that lives on: what it remembers counts.
type house struct {
	t      testing.TB
	store  *recorder
	keys   *seal.Keys
	config *registry.Config
	reader *registry.Reader
	gate   *auth.Gate
	nonces *once
	source keySource
	public jwk.Key // of an instance of ours; nil: none

	mu  sync.Mutex // guards now
	now time.Time
}

// recorder is a Store that notes the indexes that it is asked for, and can be away.
type recorder struct {
	registry.Store
	mu      sync.Mutex // guards indexes
	indexes []string
}

func (s *recorder) Indexed(ctx context.Context, indexes ...string) ([]map[string]registry.Entry, string, error) {
	s.mu.Lock()
	s.indexes = append(s.indexes, indexes...)
	s.mu.Unlock()
	return s.Store.Indexed(ctx, indexes...)
}

func (s *recorder) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.indexes...)
}

// once is a memory for what may be used once, which can be away.
type once struct {
	mu       sync.Mutex // guards all below
	used     map[string]bool
	remember []time.Duration
	away     bool
}

func (o *once) First(_ context.Context, key string, remember time.Duration) (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.away {
		return false, errors.New("no route to the store")
	}
	o.remember = append(o.remember, remember)
	first := !o.used[key]
	o.used[key] = true
	return first, nil
}

func newHouse(t testing.TB, config *registry.Config) *house {
	t.Helper()
	return newHouseIn(t, registry.NewMemory(), config)
}

func newHouseIn(t testing.TB, store registry.Store, config *registry.Config) *house {
	t.Helper()
	keys, err := seal.ParseKeys(seal.NewMasterKey())
	if err != nil {
		t.Fatal(err)
	}
	h := &house{
		t: t, store: &recorder{Store: store}, keys: keys, config: config,
		nonces: &once{used: map[string]bool{}}, source: keySource{}, now: now,
	}
	h.reader = registry.NewReader(h.store, keys, h.clock)
	h.gate = auth.New(h.source, "https://gateway.example", h.clock).WithNonces(h.nonces)
	h.write()
	return h
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

// at sets the clock.
func (h *house) at(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = now
}

// apply makes the registry equal to the house's Config, a second later: a process asks that often whether a refusal is old.
func (h *house) apply() registry.Report {
	h.t.Helper()
	h.at(h.clock().Add(time.Second))
	return h.write()
}

func (h *house) write() registry.Report {
	h.t.Helper()
	report, err := registry.Apply(h.t.Context(), h.store, h.keys, h.config, registry.ApplyOptions{Prune: true})
	if err != nil {
		h.t.Fatal(err)
	}
	return report
}

// consumer finds one of the Config's, for a change before the next apply.
func (h *house) consumer(name string) *registry.Consumer {
	for i := range h.config.Consumers {
		if h.config.Consumers[i].Name == name {
			return &h.config.Consumers[i]
		}
	}
	h.t.Fatalf("no consumer %s", name)
	return nil
}

// decide judges a request as a door does: what the gate believed is compared with the store before it counts, and where that is old
// the gate decides again.
func (h *house) decide(r *http.Request, api string) (auth.Decision, error) {
	h.t.Helper()
	return h.decideBy(h.gate, r, api)
}

func (h *house) decideBy(gate *auth.Gate, r *http.Request, api string) (auth.Decision, error) {
	var d auth.Decision
	ctx := context.Background()
	err := h.reader.Consult(ctx, func(v registry.View) (registry.Result, error) {
		var err error
		if d, err = gate.Decide(ctx, v, r, v.APIs[api]); err != nil || !d.Allowed {
			return d.Result(), err
		}
		var names []string
		if d.Consumer != nil {
			names = append(names, d.Consumer.Name)
		}
		entries, revision, err := h.store.Entries(ctx, registry.KindConsumer, names...)
		if err != nil {
			return registry.Final, err
		}
		if revision != v.Revision || len(names) > 0 && entries[names[0]].Version != d.Consumer.Version {
			return registry.Stale, nil
		}
		return registry.Final, nil
	})
	return d, err
}

// want decides and compares.
func (h *house) want(what string, r *http.Request, api string, want auth.Reason) auth.Decision {
	h.t.Helper()
	d, err := h.decide(r, api)
	if err != nil || d.Reason != want || d.Allowed != (want == "") {
		h.t.Errorf("%s: reason %q, allowed %v, err %v; want %q\n%v", what, d.Reason, d.Allowed, err, want, d.Trace)
	}
	return d
}

// send makes a request to a target with header lines.
func send(method, target, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	if body != "" {
		r = httptest.NewRequest(method, target, strings.NewReader(body))
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return r
}

func bodyOf(t testing.TB, r *http.Request) string {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// api makes an API that takes the methods; none: it is open.
func api(name string, methods ...string) registry.API {
	return registry.API{Name: name, Type: registry.HTTP, BasePath: "/" + name,
		Authentication: &registry.Authentication{Disabled: len(methods) == 0, Methods: methods}}
}

func may(apis ...string) []registry.Authorization {
	var list []registry.Authorization
	for _, name := range apis {
		list = append(list, registry.Authorization{API: name})
	}
	return list
}
