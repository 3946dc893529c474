package quota_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"keyless/shared/quota"
	"keyless/shared/registry"
	"keyless/shared/registry/storetest"
)

func TestScriptsAreForgotten(t *testing.T) {
	eachServer(t, func(t *testing.T, address string) {
		w := newWorld(t, address, time.Now)
		for n := range 2 {
			a := w.admit(t, w.call("r1"))
			if !a.Admitted {
				t.Fatalf("round %d: %+v", n, a)
			}
			if err := w.client.ScriptFlush(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			w.wantCounts(t, "admitted", oneEach)
			if a := w.admit(t, w.call("r1")); !a.Admitted {
				t.Fatalf("round %d, again: %+v", n, a)
			}
			w.wantCounts(t, "the same after a flush", oneEach)
			if err := w.client.ScriptFlush(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			if err := w.GiveBack(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			w.wantCounts(t, "given back after a flush", nothing)
		}
	})
}

func TestLostReplies(t *testing.T) {
	eachServer(t, func(t *testing.T, address string) {
		proxy := storetest.NewProxy(t, address)
		w := newWorld(t, proxy.Address(), time.Now)
		w.admit(t, w.call("warm"))
		proxy.LoseReplies(1)
		a := w.admit(t, w.call("r1"))
		if !a.Admitted || a.Standings[0].Remaining != 998 {
			t.Errorf("one lost reply: %+v", a)
		}
		proxy.LoseReplies(2)
		if a, err := w.Admit(t.Context(), w.call("r2")); err == nil || a.Admitted || a.Stale {
			t.Errorf("two lost replies: %+v, %v", a, err)
		}
		if n := w.counts(t)["kg:{d:default}:n:calls_per_day"]; n != 2 {
			t.Errorf("%d calls counted for two that were admitted", n)
		}
		proxy.LoseReplies(1)
		if err := w.GiveBack(t.Context(), a); err != nil {
			t.Error(err)
		}
		if n := w.counts(t)["kg:{d:default}:n:calls_per_day"]; n != 1 {
			t.Errorf("%d calls counted after one was given back", n)
		}
	})
}

func TestStoreIsAway(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	w := newWorld(t, server.Addr(), time.Now)
	server.SetError("LOADING Redis is loading the dataset in memory")
	if a, err := w.Admit(t.Context(), w.call("r1")); err == nil || a.Admitted || errors.Is(err, quota.ErrClock) {
		t.Errorf("a server that loads: %+v, %v", a, err)
	}
	server.SetError("")
	a := w.admit(t, w.call("r1"))
	server.Close()
	if a, err := w.Admit(t.Context(), w.call("r2")); err == nil || a.Admitted {
		t.Errorf("no server: %+v, %v", a, err)
	}
	if err := w.GiveBack(t.Context(), a); err == nil {
		t.Error("no server, and it is given back")
	}
	if err := w.GiveBack(t.Context(), quota.Admission{}); err != nil {
		t.Errorf("nothing to give back: %v", err)
	}
}

func TestRoundTrips(t *testing.T) {
	t.Parallel()
	proxy := storetest.NewProxy(t, storetest.Redis(t))
	w := newWorld(t, proxy.Address(), time.Now)
	var taken quota.Admission
	refused := func() quota.Call {
		c := w.call("refused")
		c.Consumer.Limits.CallsPerDay = 1
		return c
	}
	steps := []struct {
		what string
		do   func() error
		want int
	}{
		{"cold: the server learns the script", func() error { w.admit(t, w.call("r0")); return nil }, 2},
		{"warm", func() (err error) { taken, err = w.Admit(t.Context(), w.call("r1")); return err }, 1},
		{"nothing to count", func() error { w.admit(t, bare(w.call("r2"))); return nil }, 1},
		{"cold: the other script", func() error { return w.GiveBack(t.Context(), taken) }, 2},
		{"given back", func() error { return w.GiveBack(t.Context(), taken) }, 1},
		{"nothing to give back", func() error { return w.GiveBack(t.Context(), quota.Admission{}) }, 0},
		{"refused", func() error { w.admit(t, refused()); return nil }, 2},
		{"refused by the only limit", func() error {
			c := bare(w.call("only"))
			c.API.Limits = &registry.Limits{CallsPerMonth: 1}
			w.admit(t, c)
			return nil
		}, 1},
	}
	for _, step := range steps {
		proxy.Reset()
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if proxy.Trips() != step.want || proxy.Writes() != step.want {
			t.Errorf("%s: %d round trips in %d writes, want %d", step.what, proxy.Trips(), proxy.Writes(), step.want)
		}
	}
}

// A cluster refuses a script whose keys stand in two slots, or that touches a key that it did not
// declare.
func TestCluster(t *testing.T) {
	t.Parallel()
	address := storetest.Redis(t, "--cluster-enabled", "yes")
	if err := connect(t, address).ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	client, err := registry.Connect("redis+cluster://" + address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if info := client.ClusterInfo(t.Context()).Val(); strings.Contains(info, "cluster_state:ok") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the cluster does not come up")
		}
	}
	w := &world{Quota: quota.NewRedis(client, "kg", time.Now), client: client,
		store: registry.NewRedis(client, "kg")}
	w.change(t, registry.Change{Set: map[string]string{"api:a": "{}"}, Kind: registry.KindConsumer,
		Name: consumerName, Entry: &registry.Entry{Value: "{}"}, Index: []string{"i", "j"}})
	a := w.admit(t, w.call("r1"))
	w.wantCounts(t, "on a cluster", oneEach)
	if err := w.GiveBack(t.Context(), a); err != nil || !a.Admitted {
		t.Errorf("admission %+v, %v", a, err)
	}
	w.wantCounts(t, "given back on a cluster", nothing)
	if found, _, err := w.store.Indexed(t.Context(), "i", "j", "k"); err != nil || len(found[1]) != 1 {
		t.Errorf("index %v, %v", found, err)
	}
}

// A server that is out of memory counts under all limits or under none.
func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Redis(t), time.Now)
	a := w.admit(t, w.call("r1"))
	if err := w.client.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if a, err := w.Admit(t.Context(), w.call("r2")); err == nil {
		t.Errorf("admission %+v", a)
	}
	w.wantCounts(t, "out of memory", oneEach)
	if err := w.GiveBack(t.Context(), a); err != nil {
		t.Errorf("give back: %v", err)
	}
	w.wantCounts(t, "given back", nothing)
}

func TestUnknownTimeZone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, miniredis.RunT(t).Addr(), time.Now)
	c := w.call("r1")
	c.API.Limits.TimeZone = "Mars/Olympus_Mons"
	if _, err := w.Admit(t.Context(), c); err == nil || !strings.Contains(err.Error(), "Mars/Olympus_Mons") {
		t.Errorf("error %v", err)
	}
	w.wantCounts(t, "an unknown zone", nothing)
}

// A limit beyond what the header's integers hold is as good as none, and still a valid header.
func TestHugeLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, miniredis.RunT(t).Addr(), time.Now)
	c := bare(w.call("r1"))
	c.API.Limits = &registry.Limits{CallsPerDay: 1<<63 - 1}
	header := http.Header{}
	w.admit(t, c).SetHeaders(header)
	if got := header.Get("RateLimit-Policy"); got != `"api-day";q=999999999999999` {
		t.Errorf("policy %s", got)
	}
}
