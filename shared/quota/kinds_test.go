package quota_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"keyless/shared/quota"
	"keyless/shared/registry"
)

func TestLimitsByModel(t *testing.T) {
	eachServer(t, func(t *testing.T, address string) {
		w := newWorld(t, address, time.Now)
		call := func(id, model string, tokens int64) quota.Call {
			c := bare(w.call(id))
			c.Model, c.Tokens = model, tokens
			c.Consumer = &registry.Consumer{Name: consumerName, Version: w.version, Limits: &registry.Limits{
				TokensPerDay: 10_000, Models: map[string]registry.Limits{
					"qwen-max": {TokensPerDay: 100}, "qwen-*": {TokensPerDay: 200, CallsPerDay: 2},
					"qwen-max*": {TokensPerDay: 300}, "a/b:c d{e}*": {CallsPerDay: 1}, "*": {TokensPerDay: 400},
				},
			}}
			return c
		}
		tests := []struct {
			model string
			limit int64
		}{
			{"qwen-max", 100}, {"qwen-maxi", 300}, {"qwen-plus", 200}, {"qwen", 400}, {"gpt-4o", 400}, {"QWEN-max", 400},
		}
		for i, test := range tests {
			a := w.admit(t, call(fmt.Sprint("r", i), test.model, test.limit+1))
			want := quota.Refusal{Subject: "MODEL", Limit: "tokens_per_day", Kind: quota.Tokens, TooLarge: true,
				Fits: test.limit}
			if a.Refusal == nil || a.Refusal.Subject != want.Subject || a.Refusal.Fits != want.Fits {
				t.Errorf("%s: %+v, %+v", test.model, a, a.Refusal)
			}
		}
		w.wantCounts(t, "refused", nothing)
		if a := w.admit(t, call("none", "", 5000)); !a.Admitted || len(a.Standings) != 1 {
			t.Errorf("a call without a model: %+v", a)
		}
		a := w.admit(t, call("plus", "qwen-plus", 150))
		if !a.Admitted || a.Standings[1].Name != "consumer-model-day" ||
			a.Standings[2].Name != "consumer-model-day-tokens" {
			t.Errorf("admission %+v", a)
		}
		if a := w.admit(t, call("flash", "qwen-flash", 51)); a.Refusal == nil || a.Refusal.Subject != "MODEL" {
			t.Errorf("models of one glob share its limit: %+v", a)
		}
		w.settle(t, a, 60, 0)
		w.wantCounts(t, "in the consumer's slot, under the glob's name",
			"kg:{c:c1}:n:model/qwen-%2A/calls_per_day:1 kg:{c:c1}:n:model/qwen-%2A/tokens_per_day:60 "+
				"kg:{c:c1}:n:tokens_per_day:5060")
		if a := w.admit(t, call("odd", "a/b:c d{e}f", 0)); !a.Admitted {
			t.Errorf("an odd name: %+v", a)
		} else {
			w.giveBack(t, a)
		}
		if n := w.counts(t)["kg:{c:c1}:n:model/a%2Fb%3Ac+d%7Be%7D%2A/calls_per_day"]; n != 0 {
			t.Errorf("an odd name is not given back: %d", n)
		}
	})
}

func TestShadow(t *testing.T) {
	eachServer(t, func(t *testing.T, address string) {
		w := newWorld(t, address, time.Now)
		call := func(id string) quota.Call {
			c := bare(w.call(id))
			c.Tokens = 60
			c.API.Limits = &registry.Limits{CallsPerDay: 1, TokensPerDay: 100, Shadow: true,
				Rate: &registry.Rate{PerSecond: 1, Burst: 1}}
			c.Consumer = &registry.Consumer{Name: consumerName, Version: w.version,
				Limits: &registry.Limits{CallsPerMonth: 2}}
			return c
		}
		first := w.admit(t, call("r1"))
		for _, s := range first.Standings {
			if s.Exceeded || s.Shadow != (s.Name != "consumer-month") {
				t.Errorf("the first call: %+v", s)
			}
		}
		second := w.admit(t, call("r2"))
		if !second.Admitted || second.Refusal != nil {
			t.Fatalf("admission %+v", second)
		}
		for _, s := range second.Standings {
			if s.Exceeded != s.Shadow || s.Remaining != 0 {
				t.Errorf("the second call: %+v", s)
			}
		}
		w.wantCounts(t, "counted all the same", "kg:{a:a}:n:calls_per_day:2 kg:{a:a}:n:tokens_per_day:120 "+
			"kg:{c:c1}:n:calls_per_month:2")
		header := http.Header{}
		second.SetHeaders(header)
		if got := header.Get("RateLimit"); len(got) < 16 || got[:16] != `"consumer-month"` {
			t.Errorf("the caller is told %s", got)
		}
		if a := w.admit(t, call("r3")); a.Refusal == nil || a.Refusal.Limit != "calls_per_month" {
			t.Errorf("a limit beside a shadow: %+v", a)
		}
	})
}

func TestRateSmooths(t *testing.T) {
	t.Parallel()
	began := moment(t, "2026-11-25T12:00:00Z")
	c := newClocked(t, began)
	n := 0
	admitted := func(wait time.Duration, offered int) int {
		c.set(c.now.Add(wait))
		got := 0
		for range offered {
			n++
			a := c.admit(t, c.one(fmt.Sprint("r", n), "",
				registry.Limits{CallsPerDay: 1000, Rate: &registry.Rate{PerSecond: 20, Burst: 40}}))
			if a.Admitted {
				got++
			} else if r := a.Refusal; r.Kind != quota.Rate || r.Subject != "API" || r.Limit != "rate" ||
				r.RetryAfter <= 0 || r.RetryAfter > 50*time.Millisecond {
				t.Errorf("refusal %+v", r)
			}
		}
		return got
	}
	for _, step := range []struct {
		wait          time.Duration
		offered, want int
	}{
		{0, 50, 40}, {49 * time.Millisecond, 5, 0}, {time.Millisecond, 5, 1}, {time.Second, 30, 20},
		{time.Hour, 60, 40}, {-time.Minute, 5, 0}, {50 * time.Millisecond, 5, 1},
	} {
		if got := admitted(step.wait, step.offered); got != step.want {
			t.Errorf("after %v: %d of %d, want %d", step.wait, got, step.offered, step.want)
		}
	}
	c.wantCounts(t, "a call that the rate refuses counts nowhere", "kg:{a:a}:n:calls_per_day:102")
}

func TestRateOfOneAndOfNoBurst(t *testing.T) {
	eachServer(t, func(t *testing.T, address string) {
		w := newWorld(t, address, time.Now)
		for name, test := range map[string]struct {
			rate registry.Rate
			want int
		}{
			"one a second": {registry.Rate{PerSecond: 1}, 1}, "no burst is a second's worth": {registry.Rate{PerSecond: 3}, 3},
			"a burst of one": {registry.Rate{PerSecond: 1, Burst: 1}, 1},
		} {
			got := 0
			for i := range 6 {
				c := bare(w.call(fmt.Sprint("r", i)))
				c.API = &registry.API{Name: fmt.Sprint(len(name)), Limits: &registry.Limits{Rate: &test.rate}}
				if w.admit(t, c).Admitted {
					got++
				}
			}
			if got != test.want && got != test.want+1 { // a slow machine takes another second
				t.Errorf("%s: %d admitted", name, got)
			}
		}
	})
}

func TestCallsAtOnce(t *testing.T) {
	eachServer(t, func(t *testing.T, address string) {
		w := newWorld(t, address, time.Now)
		call := func(id string) quota.Call {
			c := bare(w.call(id))
			c.API.Concurrency = 2
			return c
		}
		first, second := w.admit(t, call("r1")), w.admit(t, call("r2"))
		full := func(what string) {
			t.Helper()
			a := w.admit(t, call("r3"))
			if a.Admitted || a.Refusal == nil || a.Refusal.Kind != quota.Concurrency || a.Refusal.Subject != "API" ||
				a.Refusal.Limit != "concurrency" || a.Refusal.RetryAfter != time.Second {
				t.Fatalf("%s: %+v, %+v", what, a, a.Refusal)
			}
		}
		if s := second.Standings[0]; s.Kind != quota.Concurrency || s.Limit != 2 || s.Remaining != 0 {
			t.Errorf("standing %+v", s)
		}
		full("both slots are taken")
		w.admit(t, call("r2"))
		full("the same request takes no other slot")
		for range 2 {
			w.settle(t, first, 0, 0)
		}
		third := w.admit(t, call("r4"))
		if !third.Admitted {
			t.Fatalf("a slot is free: %+v", third)
		}
		full("settled twice frees one slot")
		w.giveBack(t, second)
		if a := w.admit(t, call("r5")); !a.Admitted {
			t.Errorf("given back: %+v", a)
		}
		full("and is taken again")
	})
}

// The slot of a process that died is free when its longest call would have ended.
func TestLeaseOfACrashedCall(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ longest, lease time.Duration }{
		"as it says":       {10 * time.Minute, 10 * time.Minute},
		"where it is mute": {0, 15 * time.Minute},
		"at most a day":    {300 * time.Hour, 24 * time.Hour},
	} {
		c := newClocked(t, moment(t, "2026-11-25T12:00:00Z"))
		call := func(id string) quota.Call {
			one := c.one(id, "", registry.Limits{})
			one.API.Concurrency, one.Longest = 1, test.longest
			return one
		}
		crashed := c.admit(t, call("r1"))
		c.set(c.now.Add(test.lease - time.Second))
		if a := c.admit(t, call("r2")); a.Admitted {
			t.Errorf("%s: free a second early", name)
		}
		c.set(c.now.Add(time.Second))
		if a := c.admit(t, call("r2")); !a.Admitted {
			t.Errorf("%s: not free: %+v", name, a)
		}
		c.settle(t, crashed, 0, 0)
		if a := c.admit(t, call("r3")); a.Admitted {
			t.Errorf("%s: a late settlement frees another's slot", name)
		}
	}
}

func TestRevoked(t *testing.T) {
	eachServer(t, func(t *testing.T, address string) {
		w := newWorld(t, address, time.Now)
		gone, other := registry.Revocation("https://h/acme/oauth2", "t1"), registry.Revocation("https://h/acme/oauth2", "t2")
		for range 2 {
			if err := w.Revoke(t.Context(), gone, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Revoke(t.Context(), other, 0); err != nil {
			t.Fatal(err)
		}
		got, err := w.Quota.Revoked(t.Context(), other, gone)
		if err != nil || fmt.Sprint(got) != "[false true]" {
			t.Errorf("revoked %v, %v", got, err)
		}
		c := w.call("r1")
		c.Revocation = gone
		if a := w.admit(t, c); !a.Revoked || a.Admitted || a.Stale || a.Refusal != nil {
			t.Errorf("a revoked token: %+v", a)
		}
		w.wantCounts(t, "a revoked token", nothing)
		c.Revocation = other
		if a := w.admit(t, c); a.Revoked || !a.Admitted {
			t.Errorf("another token: %+v", a)
		}
		w.wantCounts(t, "another token", oneEach)
		open := bare(w.call("r2"))
		open.Revocation = gone
		if a := w.admit(t, open); !a.Revoked {
			t.Errorf("where nothing limits: %+v", a)
		}
	})
}

func TestRevocationsWithoutAStore(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	w := newWorld(t, server.Addr(), time.Now)
	server.Close()
	if got, err := w.Quota.Revoked(t.Context(), "d"); err == nil {
		t.Errorf("nobody knows, and it says %v", got)
	}
	if err := w.Revoke(t.Context(), "d", time.Hour); err == nil {
		t.Error("nobody remembers, and it says so not")
	}
}
