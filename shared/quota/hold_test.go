package quota_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"keyless/shared/quota"
	"keyless/shared/registry"
)

// metered is a call under limits of model tokens and money alone.
func (w *world) metered(id string, tokens, spend int64) quota.Call {
	c := bare(w.call(id))
	c.Tokens, c.Spend = tokens, spend
	c.API.Limits = &registry.Limits{TokensPerDay: 1000}
	c.Consumer = &registry.Consumer{Name: consumerName, Version: w.version,
		Limits: &registry.Limits{TokensPerMonth: 5000, SpendPerMonth: "0.0025"}}
	return c
}

func (w *world) settle(t testing.TB, a quota.Admission, tokens, spend int64) {
	t.Helper()
	if err := w.Settle(t.Context(), a, quota.Used{Tokens: tokens, Spend: spend}, nil); err != nil {
		t.Fatal(err)
	}
}

func (w *world) giveBack(t testing.TB, a quota.Admission) {
	t.Helper()
	if err := w.GiveBack(t.Context(), a); err != nil {
		t.Fatal(err)
	}
}

func usage(api, month, spend int64) string {
	var parts []string
	for _, one := range []struct {
		key string
		n   int64
	}{
		{"kg:{a:a}:n:tokens_per_day", api}, {"kg:{c:c1}:n:spend_per_month", spend},
		{"kg:{c:c1}:n:tokens_per_month", month},
	} {
		if one.n != 0 {
			parts = append(parts, fmt.Sprint(one.key, ":", one.n))
		}
	}
	return strings.Join(parts, " ")
}

func TestHoldAndSettle(t *testing.T) {
	eachServer(t, func(t *testing.T, address string) {
		w := newWorld(t, address, time.Now)
		a := w.admit(t, w.metered("r1", 600, 1500))
		if !a.Admitted {
			t.Fatalf("admission %+v", a)
		}
		w.wantCounts(t, "held", usage(600, 600, 1500))
		again := w.admit(t, w.metered("r1", 600, 1500))
		w.wantCounts(t, "the same request again", usage(600, 600, 1500))
		if s := again.Standings[0]; s.Name != "api-day-tokens" || s.Kind != quota.Tokens || s.Remaining != 400 {
			t.Errorf("standing %+v", s)
		}
		for range 2 {
			w.settle(t, a, 250, 700)
			w.wantCounts(t, "settled", usage(250, 250, 700))
		}
		w.settle(t, again, 999, 999)
		w.giveBack(t, a)
		w.wantCounts(t, "settled stays settled", usage(250, 250, 700))
		if replay := w.admit(t, w.metered("r1", 600, 1500)); !replay.Admitted {
			t.Errorf("a late copy of the admission: %+v", replay)
		}
		w.wantCounts(t, "a late copy of the admission", usage(250, 250, 700))

		b := w.admit(t, w.metered("r2", 750, 1800))
		w.wantCounts(t, "exactly what is left", usage(1000, 1000, 2500))
		for range 2 {
			w.giveBack(t, b)
			w.wantCounts(t, "given back", usage(250, 250, 700))
		}
		w.settle(t, b, 10, 10)
		w.wantCounts(t, "given back is not settled", usage(250, 250, 700))
	})
}

// What an upstream used beyond what was asked counts in full, and nonsense spoils no counter.
func TestUsedMoreThanHeld(t *testing.T) {
	eachServer(t, func(t *testing.T, address string) {
		w := newWorld(t, address, time.Now)
		w.settle(t, w.admit(t, w.metered("r1", 100, 100)), 1700, 9000)
		w.wantCounts(t, "more than held, more than the limit", usage(1700, 1700, 9000))
		if a := w.admit(t, w.metered("r2", 0, 0)); a.Admitted || a.Refusal == nil {
			t.Errorf("beyond the limit: %+v", a)
		}
		w = newWorld(t, address, time.Now)
		c := w.metered("r3", 10, 10)
		c.API.Name = "b"
		c.Consumer = nil
		w.settle(t, w.admit(t, c), -5, -5)
		if n := w.counts(t)["kg:{a:b}:n:tokens_per_day"]; n != 0 {
			t.Errorf("negative usage counts %d", n)
		}
		for i := range 20 {
			c.RequestID = fmt.Sprint("huge", i)
			c.API.Limits.TokensPerDay = 1 << 62
			w.settle(t, w.admit(t, c), 1<<63-1, 0)
		}
		if n := w.counts(t)["kg:{a:b}:n:tokens_per_day"]; n <= 0 || n > 1<<53 {
			t.Errorf("the counter is spoilt: %d", n)
		}
	})
}

func TestUsageThatDoesNotFit(t *testing.T) {
	eachServer(t, func(t *testing.T, address string) {
		w := newWorld(t, address, time.Now)
		w.admit(t, w.metered("first", 600, 1500))
		tests := map[string]struct {
			tokens, spend  int64
			subject, limit string
			kind           quota.Kind
			tooLarge       bool
			fits           int64
		}{
			"one model token too much":          {401, 0, "API", "tokens_per_day", quota.Tokens, false, 400},
			"a millionth too much":              {1, 1001, "CONSUMER", "spend_per_month", quota.Spend, false, 1000},
			"more tokens than the whole limit":  {1001, 0, "API", "tokens_per_day", quota.Tokens, true, 400},
			"more money than the whole limit":   {1, 2501, "CONSUMER", "spend_per_month", quota.Spend, true, 1000},
			"too much for one, far for another": {401, 2501, "CONSUMER", "spend_per_month", quota.Spend, true, 1000},
			"beyond every number":               {1<<63 - 1, 0, "CONSUMER", "tokens_per_month", quota.Tokens, true, 4400},
		}
		for name, test := range tests {
			a := w.admit(t, w.metered("r-"+strings.ReplaceAll(name, " ", "-"), test.tokens, test.spend))
			if a.Admitted || a.Refusal == nil {
				t.Errorf("%s: %+v", name, a)
				continue
			}
			got := *a.Refusal
			got.RetryAfter = 0
			want := quota.Refusal{Subject: test.subject, Limit: test.limit, Kind: test.kind,
				TooLarge: test.tooLarge, Fits: test.fits}
			if got != want && name != "beyond every number" || got.TooLarge != want.TooLarge {
				t.Errorf("%s: %+v, want %+v", name, got, want)
			}
			w.wantCounts(t, name, usage(600, 600, 1500))
		}
		if a := w.admit(t, w.metered("r-fits", 400, 1000)); !a.Admitted {
			t.Errorf("what fits: %+v", a)
		}
		if a := w.admit(t, w.metered("r-nothing", 0, 0)); a.Admitted {
			t.Error("a call that meters nothing passes a limit that is full")
		}
	})
}

func TestNothingMeteredPassesWhatIsNotFull(t *testing.T) {
	eachServer(t, func(t *testing.T, address string) {
		w := newWorld(t, address, time.Now)
		w.admit(t, w.metered("r1", 999, 0))
		a := w.admit(t, w.metered("r2", 0, 0))
		if !a.Admitted {
			t.Fatalf("admission %+v", a)
		}
		w.wantCounts(t, "nothing metered", usage(999, 999, 0))
		w.settle(t, a, 7, 0)
		w.wantCounts(t, "and used all the same", usage(1006, 1006, 0))
	})
}

// A limit that is changed holds in the window that runs.
func TestChangedLimitHoldsAtOnce(t *testing.T) {
	eachServer(t, func(t *testing.T, address string) {
		w := newWorld(t, address, time.Now)
		w.admit(t, w.metered("r1", 900, 0))
		for _, step := range []struct {
			limit int64
			fits  bool
		}{{1099, false}, {1100, true}, {500, false}, {1300, true}} {
			c := w.metered(fmt.Sprint("r", step.limit), 200, 0)
			c.API.Limits.TokensPerDay = step.limit
			if a := w.admit(t, c); a.Admitted != step.fits {
				t.Errorf("a limit of %d: %+v", step.limit, a)
			}
		}
	})
}

// T4: what is settled or given back after the window's end changes the window in which it was held.
func TestT4SettledInTheWindowOfTheHold(t *testing.T) {
	t.Parallel()
	c := newClocked(t, moment(t, "2026-11-25T23:59:59.9Z"))
	call := func(id string) quota.Call {
		one := c.one(id, "", registry.Limits{TokensPerMinute: 1000, TokensPerDay: 1000})
		one.Tokens = 400
		return one
	}
	settled, kept := c.admit(t, call("r1")), c.admit(t, call("r2"))
	c.set(moment(t, "2026-11-26T00:00:05Z"))
	today := c.admit(t, call("r3"))
	c.settle(t, settled, 150, 0)
	c.giveBack(t, kept)
	minute, day := today.Standings[0], today.Standings[1]
	if minute.Remaining != 600 || day.Remaining != 600 {
		t.Errorf("standings %+v", today.Standings)
	}
	stamp := func(text string) string { return fmt.Sprint(moment(t, text).Unix()) }
	for key, want := range map[string]string{
		"kg:{a:a}:n:tokens_per_minute:" + stamp("2026-11-25T23:59:00Z"): "150",
		"kg:{a:a}:n:tokens_per_day:" + stamp("2026-11-25T00:00:00Z"):    "150",
		"kg:{a:a}:n:tokens_per_minute:" + stamp("2026-11-26T00:00:00Z"): "400",
		"kg:{a:a}:n:tokens_per_day:" + stamp("2026-11-26T00:00:00Z"):    "400",
	} {
		if got, _ := c.server.Get(key); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
}

// A process that dies leaves its call charged with what it held; a settlement that comes a day late is heard.
func TestCrashStaysCharged(t *testing.T) {
	t.Parallel()
	began := moment(t, "2026-11-25T12:00:00Z")
	c := newClocked(t, began)
	call := c.one("r1", "", registry.Limits{TokensPerMonth: 1000})
	call.Tokens = 400
	late := c.admit(t, call)
	call.RequestID = "r2"
	tooLate := c.admit(t, call)
	c.set(began.Add(24 * time.Hour))
	c.wantCounts(t, "a day after the crash", "kg:{a:a}:n:tokens_per_month:800")
	c.settle(t, late, 100, 0)
	c.wantCounts(t, "settled a day late", "kg:{a:a}:n:tokens_per_month:500")
	c.set(began.Add(25 * time.Hour))
	c.settle(t, tooLate, 100, 0)
	c.wantCounts(t, "settled too late", "kg:{a:a}:n:tokens_per_month:500")
}

// Of several subjects one refuses: what the others held is theirs again.
func TestUsageIsGivenBackWhereAnotherRefuses(t *testing.T) {
	eachServer(t, func(t *testing.T, address string) {
		w := newWorld(t, address, time.Now)
		c := w.metered("r1", 600, 0)
		c.Groups = []*registry.Group{{Name: "g", Limits: &registry.Limits{TokensPerHour: 599}}}
		a := w.admit(t, c)
		if a.Refusal == nil || a.Refusal.Subject != "GROUP" || a.Refusal.Limit != "tokens_per_hour" {
			t.Fatalf("admission %+v", a)
		}
		w.wantCounts(t, "refused", nothing)
		if s := a.Standings[0]; s.Remaining != 1000 || s.Exceeded || !a.Standings[1].Exceeded {
			t.Errorf("standings %+v", a.Standings)
		}
	})
}

// A number that a Lua would write as 9.0072e+15 is counted exactly.
func TestLargeAmountsAreExact(t *testing.T) {
	eachServer(t, func(t *testing.T, address string) {
		w := newWorld(t, address, time.Now)
		c := w.metered("r1", 999_999_999_999_998, 0)
		c.Consumer, c.API.Limits.TokensPerDay = nil, 1<<62
		a := w.admit(t, c)
		w.wantCounts(t, "held", usage(999_999_999_999_998, 0, 0))
		w.settle(t, a, 999_999_999_999_997, 0)
		w.wantCounts(t, "settled", usage(999_999_999_999_997, 0, 0))
		c.RequestID, c.Tokens = "r2", 2
		if a := w.admit(t, c); !a.Admitted || a.Standings[0].Remaining != 0 {
			t.Errorf("the last two: %+v", a)
		}
	})
}

func TestMoneyThatIsNotANumber(t *testing.T) {
	t.Parallel()
	c := newClocked(t, moment(t, "2026-11-25T12:00:00Z"))
	for _, text := range []string{"1e3", "-1", "1,5", " 1", "1.", ".5", "0.0000001", "1000000000"} {
		if a, err := c.Admit(t.Context(), c.one("r", "", registry.Limits{SpendPerDay: text})); err == nil {
			t.Errorf("%q: %+v", text, a)
		}
	}
}

// An operator who sets a counter back does not make a settlement take more off than there is.
func TestNeverBelowZero(t *testing.T) {
	eachServer(t, func(t *testing.T, address string) {
		w := newWorld(t, address, time.Now)
		settled, back := w.admit(t, w.metered("r1", 300, 0)), w.admit(t, w.metered("r2", 300, 0))
		for _, key := range w.keys(t, ":n:tokens_") {
			if err := w.client.Set(t.Context(), key, 100, time.Hour).Err(); err != nil {
				t.Fatal(err)
			}
		}
		w.settle(t, settled, 50, 0)
		w.wantCounts(t, "settled", nothing)
		w.giveBack(t, back)
		w.wantCounts(t, "given back", nothing)
	})
}
