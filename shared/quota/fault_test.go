package quota_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"keyless/shared/ledger"
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
		// A copy of the admission may yet be on its way, for its reply was lost: it is remembered as given up.
		mark := w.client.Get(t.Context(), "kg:{d:default}:r:r1").Val()
		if !strings.HasPrefix(mark, "void:") || len(mark) < 10 {
			t.Errorf("what is known of the request is %q", mark)
		}
		if n := w.counts(t)["kg:{d:default}:n:calls_per_day"]; n != 1 {
			t.Errorf("%d calls counted after one was given back", n)
		}
	})
}

// A copy of what was refused may find later that it fits: it is remembered as given up too.
func TestLostReplyOfARefusal(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	proxy := storetest.NewProxy(t, server.Addr())
	w := newWorld(t, proxy.Address(), time.Now)
	w.admit(t, w.metered("warm", 600, 0))
	proxy.LoseReplies(1)
	if a := w.admit(t, w.metered("r1", 600, 0)); a.Refusal == nil {
		t.Fatalf("admission %+v", a)
	}
	for _, subject := range []string{"{a:a}", "{c:c1}"} {
		if mark, _ := server.Get("kg:" + subject + ":r:r1"); !strings.HasPrefix(mark, "void:") {
			t.Errorf("%s remembers %q", subject, mark)
		}
	}
	w.wantCounts(t, "refused", usage(600, 600, 0))
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
		{"settled, nothing metered", func() error {
			return w.Settle(t.Context(), taken, quota.Used{}, nil)
		}, 0},
		{"metered, a revocation looked up", func() (err error) {
			c := w.metered("r3", 10, 10)
			c.Revocation = "digest"
			taken, err = w.Admit(t.Context(), c)
			return err
		}, 1},
		{"cold: the ledger's scripts", func() error {
			return w.Settle(t.Context(), taken, quota.Used{Tokens: 5}, &ledger.Entry{API: "a", Consumer: consumerName})
		}, 2},
		{"settled with an entry", func() error {
			return w.Settle(t.Context(), taken, quota.Used{Tokens: 5}, &ledger.Entry{API: "a", Consumer: consumerName})
		}, 1},
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
	c := w.metered("r2", 600, 1500)
	c.Model, c.Revocation, c.API.Concurrency = "m", "digest", 5
	c.Consumer.Limits.Models = map[string]registry.Limits{"*": {Rate: &registry.Rate{PerSecond: 1}, TokensPerDay: 600}}
	entry := &ledger.Entry{API: "a", Consumer: consumerName, Status: 200}
	if err := w.Settle(t.Context(), w.admit(t, c), quota.Used{Tokens: 100, Spend: 10}, entry); err != nil {
		t.Error(err)
	}
	w.wantCounts(t, "settled on a cluster", usage(100, 0, 0)+" kg:{c:c1}:n:model/%2A/tokens_per_day:100 "+
		usage(0, 100, 10))
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

// Where the operator says open, a call passes uncounted while the store is away, and only then.
func TestOpenStore(t *testing.T) {
	t.Parallel()
	says := func(text string) func(*miniredis.Miniredis, *quota.Call) {
		return func(s *miniredis.Miniredis, _ *quota.Call) { s.SetError(text) }
	}
	gone := func(s *miniredis.Miniredis, _ *quota.Call) { s.Close() }
	goneFor := func(change func(*quota.Call)) func(*miniredis.Miniredis, *quota.Call) {
		return func(s *miniredis.Miniredis, c *quota.Call) { s.Close(); change(c) }
	}
	thereFor := func(change func(*quota.Call)) func(*miniredis.Miniredis, *quota.Call) {
		return func(_ *miniredis.Miniredis, c *quota.Call) { change(c) }
	}
	tests := map[string]struct {
		spoil  func(*miniredis.Miniredis, *quota.Call)
		closed bool
		passes bool
	}{
		"no server":              {gone, false, true},
		"no server, closed":      {gone, true, false},
		"a server that loads":    {says("LOADING Redis is loading"), false, true},
		"a replica":              {says("READONLY You can't write against a read only replica."), false, true},
		"out of memory":          {says("OOM command not allowed"), false, true},
		"a wrong password":       {says("NOAUTH Authentication required."), false, false},
		"a denied script":        {says("NOPERM no permissions"), false, false},
		"a token may be revoked": {goneFor(func(c *quota.Call) { c.Revocation = "d" }), false, false},
		"an unknown time zone":   {goneFor(func(c *quota.Call) { c.Domain.TimeZone = "Mars/X" }), false, false},
		"the clocks differ": {func(s *miniredis.Miniredis, _ *quota.Call) {
			s.SetTime(time.Now().Add(72 * time.Hour))
		}, false, false},
		"the store is there":      {thereFor(func(*quota.Call) {}), false, true},
		"there, and it is stale":  {thereFor(func(c *quota.Call) { c.Revision = "old" }), false, false},
		"there, and nothing fits": {thereFor(func(c *quota.Call) { c.Tokens = 1 << 40 }), false, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := miniredis.RunT(t)
			w := newWorld(t, server.Addr(), time.Now)
			w.Open = !test.closed
			c := w.call("r1")
			c.API.Limits.TokensPerDay = 1000
			test.spoil(server, &c)
			a, err := w.Admit(t.Context(), c)
			if a.Admitted != test.passes || a.Bypassed != (test.passes && name != "the store is there") {
				t.Fatalf("%+v, %v", a, err)
			}
			if !a.Bypassed {
				return
			}
			if err := w.Settle(t.Context(), a, quota.Used{Tokens: 5}, &ledger.Entry{API: "a"}); err != nil {
				t.Errorf("settle: %v", err)
			}
			if err := w.GiveBack(t.Context(), a); err != nil {
				t.Errorf("give back: %v", err)
			}
		})
	}
}

// R6: a settlement whose reply is lost is sent again, and settles and is written once.
func TestR6LostReplyOfASettlement(t *testing.T) {
	eachServer(t, func(t *testing.T, address string) {
		proxy := storetest.NewProxy(t, address)
		w := newWorld(t, proxy.Address(), time.Now)
		a := w.admit(t, w.metered("r1", 600, 1500))
		entry := ledger.Entry{RequestID: "r1", At: time.Now(), API: "a", Consumer: consumerName, Status: 200,
			Usage: ledger.Usage{Input: 100, Output: 50}, Cost: 700}
		settle := func() error {
			return w.Settle(t.Context(), a, quota.Used{Tokens: 150, Spend: 700}, &entry)
		}
		if err := settle(); err != nil {
			t.Fatal(err)
		}
		proxy.LoseReplies(1)
		if err := settle(); err != nil {
			t.Fatal(err)
		}
		b := w.admit(t, w.metered("r2", 600, 1500))
		a, entry.RequestID = b, "r2"
		proxy.LoseReplies(2)
		if err := settle(); err == nil {
			t.Error("two lost replies, and nobody notices")
		}
		if err := settle(); err != nil {
			t.Error(err)
		}
		w.wantCounts(t, "settled once each", usage(300, 300, 1400))
		today := time.Now().UTC().Format("2006-01-02")
		rows, err := ledger.New(w.client, "kg", time.Now).Report(t.Context(), ledger.Question{From: today, To: today})
		if err != nil || len(rows) != 1 || rows[0].Calls != 2 || rows[0].Input != 200 || rows[0].Cost != 1400 {
			t.Errorf("ledger %+v, %v", rows, err)
		}
	})
}

// A server without memory does not settle by half.
func TestSettleOutOfMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Redis(t), time.Now)
	a := w.admit(t, w.metered("r1", 600, 1500))
	entry := &ledger.Entry{RequestID: "r1", At: time.Now(), API: "a", Consumer: consumerName}
	if err := w.client.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if err := w.Settle(t.Context(), a, quota.Used{Tokens: 100, Spend: 10}, entry); err == nil {
		t.Error("the ledger is full, and nobody notices")
	}
	w.wantCounts(t, "out of memory", usage(100, 100, 10))
	if err := w.client.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	if err := w.Settle(t.Context(), a, quota.Used{Tokens: 100, Spend: 10}, entry); err != nil {
		t.Error(err)
	}
	w.wantCounts(t, "tried again", usage(100, 100, 10))
}
