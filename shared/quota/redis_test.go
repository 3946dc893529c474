package quota_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	_ "time/tzdata" // a test must not depend on the machine's zones

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"keyless/shared/quota"
	"keyless/shared/registry"
	"keyless/shared/registry/storetest"
)

// world is one Redis with a registry in it, seen by one process.
type world struct {
	*quota.Quota
	client   redis.UniversalClient
	store    registry.Store
	revision string
	version  string
}

const consumerName = "c1"

func connect(t testing.TB, address string) redis.UniversalClient {
	t.Helper()
	client, err := registry.Connect("redis://" + address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func newWorld(t testing.TB, address string, now func() time.Time) *world {
	t.Helper()
	client := connect(t, address)
	w := &world{Quota: quota.NewRedis(client, "kg", now), client: client, store: registry.NewRedis(client, "kg")}
	w.change(t, registry.Change{Set: map[string]string{"api:a": "{}"}, Kind: registry.KindConsumer,
		Name: consumerName, Entry: &registry.Entry{Value: "{}"}})
	return w
}

func (w *world) change(t testing.TB, c registry.Change) {
	t.Helper()
	if err := w.store.Write(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	entries, revision, err := w.store.Entries(t.Context(), registry.KindConsumer, consumerName)
	if err != nil {
		t.Fatal(err)
	}
	w.revision, w.version = revision, entries[consumerName].Version
}

// call has limits on everything, none of which a few calls reach.
func (w *world) call(id string) quota.Call {
	daily := int64(1000)
	return quota.Call{
		RequestID: id, Revision: w.revision,
		Domain: &registry.Domain{Name: "default", DailyCallLimit: &daily, TimeZone: "America/New_York"},
		API:    &registry.API{Name: "a", Limits: &registry.Limits{CallsPerMonth: 100}},
		Consumer: &registry.Consumer{Name: consumerName,
			Version: w.version, Limits: &registry.Limits{CallsPerDay: 50}},
		Groups: []*registry.Group{{Name: "g", Limits: &registry.Limits{CallsPerHour: 70}}},
	}
}

func (w *world) admit(t testing.TB, c quota.Call) quota.Admission {
	t.Helper()
	a, err := w.Admit(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// counts adds up the counters of each subject's limit, without their windows.
func (w *world) counts(t testing.TB) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	for _, key := range w.keys(t, ":n:") {
		n, err := w.client.Get(t.Context(), key).Int64()
		if err != nil {
			t.Fatal(err)
		}
		if subject := key[:strings.LastIndexByte(key, ':')]; n != 0 {
			found[subject] += n
		}
	}
	return found
}

func (w *world) keys(t testing.TB, part string) []string {
	t.Helper()
	all, err := w.client.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(key string) bool { return !strings.Contains(key, part) })
}

func (w *world) wantCounts(t testing.TB, what, want string) {
	t.Helper()
	if got := fmt.Sprint(w.counts(t)); got != "map["+want+"]" {
		t.Errorf("%s: counted %s, want map[%s]", what, got, want)
	}
}

const (
	oneEach = "kg:{a:a}:n:calls_per_month:1 kg:{c:c1}:n:calls_per_day:1 kg:{d:default}:n:calls_per_day:1 " +
		"kg:{g:g}:n:calls_per_hour:1"
	nothing = ""
)

// eachServer runs a test over miniredis and over a real server.
func eachServer(t *testing.T, test func(t *testing.T, address string)) {
	t.Parallel()
	t.Run("miniredis", func(t *testing.T) { t.Parallel(); test(t, miniredis.RunT(t).Addr()) })
	t.Run("redis-server", func(t *testing.T) { t.Parallel(); test(t, storetest.Redis(t)) })
}

func TestExactlyTheLimit(t *testing.T) {
	eachServer(t, func(t *testing.T, address string) {
		const limit, offered, clients = 1000, 1500, 8
		w := newWorld(t, address, time.Now)
		var admitted, refused atomic.Int64
		var group sync.WaitGroup
		for n := range clients {
			process := quota.NewRedis(connect(t, address), "kg", time.Now)
			group.Go(func() {
				for i := n; i < offered; i += clients {
					c := quota.Call{RequestID: fmt.Sprint("r", i), Revision: w.revision,
						Domain: &registry.Domain{Name: registry.DefaultDomain}, API: &registry.API{Name: "a"}}
					a, err := process.Admit(t.Context(), c)
					switch {
					case err != nil:
						t.Error(err)
					case a.Admitted:
						admitted.Add(1)
					case a.Refusal != nil && a.Refusal.Subject == "DOMAIN" && a.Refusal.Limit == "daily_call_limit":
						refused.Add(1)
					}
				}
			})
		}
		group.Wait()
		if admitted.Load() != limit || refused.Load() != offered-limit {
			t.Errorf("%d admitted, %d refused", admitted.Load(), refused.Load())
		}
		w.wantCounts(t, "after all", "kg:{d:default}:n:calls_per_day:1000")
	})
}

func TestAdmission(t *testing.T) {
	eachServer(t, func(t *testing.T, address string) {
		w := newWorld(t, address, time.Now)
		a := w.admit(t, w.call("r1"))
		if !a.Admitted || a.Stale || a.Refusal != nil {
			t.Fatalf("admission %+v", a)
		}
		var got []string
		for _, s := range a.Standings {
			if s.Reset <= 0 || s.Reset > 32*24*time.Hour {
				t.Errorf("%s ends in %v", s.Name, s.Reset)
			}
			got = append(got, fmt.Sprint(s.Name, " ", s.Remaining, "/", s.Limit))
		}
		want := []string{"domain-day 999/1000", "api-month 99/100", "group-g-hour 69/70", "consumer-day 49/50"}
		if !slices.Equal(got, want) {
			t.Errorf("standings %v, want %v", got, want)
		}
		w.wantCounts(t, "one call", oneEach)

		again := w.admit(t, w.call("r1"))
		if !again.Admitted || again.Standings[0].Remaining != 999 {
			t.Errorf("the same request id: %+v", again)
		}
		w.wantCounts(t, "the same request id", oneEach)

		for range 2 {
			if err := w.GiveBack(t.Context(), again); err != nil {
				t.Fatal(err)
			}
			w.wantCounts(t, "given back", nothing)
		}
		if len(w.keys(t, ":r:")) != 0 {
			t.Errorf("reservations stay: %v", w.keys(t, ":r:"))
		}
		if a := w.admit(t, w.call("r1")); !a.Admitted {
			t.Errorf("admitted anew: %+v", a)
		}
		w.wantCounts(t, "admitted anew", oneEach)
	})
}

func TestRefusalTakesNothing(t *testing.T) {
	eachServer(t, func(t *testing.T, address string) {
		w := newWorld(t, address, time.Now)
		first := w.call("r1")
		first.Groups[0].Limits.CallsPerHour = 1
		if a := w.admit(t, first); !a.Admitted {
			t.Fatalf("admission %+v", a)
		}
		second := w.call("r2")
		second.Groups[0].Limits.CallsPerHour = 1
		a := w.admit(t, second)
		if a.Admitted || a.Stale || a.Refusal == nil || a.Refusal.Subject != "GROUP" ||
			a.Refusal.Limit != "calls_per_hour" || a.Refusal.RetryAfter <= 0 || a.Refusal.RetryAfter > time.Hour {
			t.Fatalf("admission %+v, refusal %+v", a, a.Refusal)
		}
		w.wantCounts(t, "refused", oneEach)
		var remaining []int64
		for _, s := range a.Standings {
			remaining = append(remaining, s.Remaining)
		}
		if !slices.Equal(remaining, []int64{999, 99, 0, 49}) {
			t.Errorf("remaining %v", remaining)
		}
		if err := w.GiveBack(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		w.wantCounts(t, "a refusal given back", oneEach)

		second.Groups[0].Limits.CallsPerHour = 2
		if a := w.admit(t, second); !a.Admitted {
			t.Errorf("the limit is raised: %+v", a)
		}
		third := w.call("r3")
		third.Consumer.Limits.CallsPerDay = 1
		if a := w.admit(t, third); a.Refusal == nil || a.Refusal.Subject != "CONSUMER" ||
			a.Standings[3].Remaining != 0 {
			t.Errorf("the limit is lowered below the count: %+v", a)
		}
	})
}

// Of several full limits the caller is told the one that opens last: before it a call cannot succeed.
func TestLongestWaitIsTold(t *testing.T) {
	eachServer(t, func(t *testing.T, address string) {
		w := newWorld(t, address, time.Now)
		call := func(id string) quota.Call {
			c := w.call(id)
			c.API.Limits = &registry.Limits{CallsPerMinute: 1, CallsPerMonth: 1}
			c.Consumer.Limits = &registry.Limits{CallsPerMinute: 1}
			return c
		}
		w.admit(t, call("r1"))
		a := w.admit(t, call("r2"))
		if a.Refusal == nil || a.Refusal.Subject != "API" || a.Refusal.Limit != "calls_per_month" {
			t.Errorf("refusal %+v", a.Refusal)
		}
	})
}

func TestStaleCountsNothing(t *testing.T) {
	eachServer(t, func(t *testing.T, address string) {
		w := newWorld(t, address, time.Now)
		tests := map[string]struct {
			spoil func(*quota.Call)
			stale bool
		}{
			"all as believed": {func(*quota.Call) {}, false},
			"an old revision": {func(c *quota.Call) { c.Revision = "0123456789abcdef" }, true},
			"no revision":     {func(c *quota.Call) { c.Revision = "" }, true},
			"an old version": {
				func(c *quota.Call) { c.Consumer.Version = "0123456789abcdef" }, true,
			},
			"no version":              {func(c *quota.Call) { c.Consumer.Version = "" }, true},
			"a consumer that is gone": {func(c *quota.Call) { c.Consumer.Name = "gone" }, true},
			"an old version of one without limits": {
				func(c *quota.Call) { c.Consumer = &registry.Consumer{Name: "c1"} }, true,
			},
			"the version of one without limits":    {func(c *quota.Call) { c.Consumer.Limits = nil }, false},
			"an old revision on an open API":       {func(c *quota.Call) { c.Revision, c.Consumer = "x", nil }, true},
			"an open API":                          {func(c *quota.Call) { c.Consumer = nil }, false},
			"an old revision where nothing limits": {func(c *quota.Call) { *c = bare(*c); c.Revision = "x" }, true},
			"the right revision, nothing to count": {func(c *quota.Call) { *c = bare(*c) }, false},
			"an old version behind a full limit": {
				func(c *quota.Call) { c.Consumer.Version = "x"; full(w, t, c) }, true,
			},
			"an old revision behind a full limit": {func(c *quota.Call) { c.Revision = "x"; full(w, t, c) }, true},
		}
		for name, test := range tests {
			c := w.call("r-" + strings.ReplaceAll(name, " ", "-"))
			test.spoil(&c)
			before := fmt.Sprint(w.counts(t))
			a := w.admit(t, c)
			if a.Stale != test.stale || a.Admitted == test.stale || a.Refusal != nil {
				t.Errorf("%s: %+v", name, a)
			}
			if len(a.Standings) != 0 && a.Stale {
				t.Errorf("%s: standings of a stale admission", name)
			}
			if a.Stale && fmt.Sprint(w.counts(t)) != before {
				t.Errorf("%s: counted %v, before %s", name, w.counts(t), before)
			}
			if err := w.GiveBack(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// bare takes every limit away.
func bare(c quota.Call) quota.Call {
	none := int64(0)
	return quota.Call{RequestID: c.RequestID, Revision: c.Revision, API: &registry.API{Name: "a"},
		Domain: &registry.Domain{Name: "default", DailyCallLimit: &none}}
}

// full makes the API's limit one that is already reached.
func full(w *world, t *testing.T, c *quota.Call) {
	t.Helper()
	other := w.call("filler")
	other.API = &registry.API{Name: "full", Limits: &registry.Limits{CallsPerMonth: 1}}
	w.admit(t, other)
	c.API = other.API
}

// A wave that was admitted under an older version, and whose answer was lost, is taken off when the retry
// is stale.
func TestStaleRetryGivesBackTheFirst(t *testing.T) {
	eachServer(t, func(t *testing.T, address string) {
		w := newWorld(t, address, time.Now)
		c := w.call("r1")
		w.admit(t, c)
		w.change(t, registry.Change{Kind: registry.KindConsumer, Name: consumerName,
			Entry: &registry.Entry{Value: "{}"}})
		if a := w.admit(t, c); !a.Stale {
			t.Fatalf("admission %+v", a)
		}
		w.wantCounts(t, "stale", nothing)
	})
}
