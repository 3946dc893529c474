package quota_test

import (
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"keyless/shared/quota"
	"keyless/shared/registry"
)

// clocked is a world whose clock the test sets, the process's and the store's.
type clocked struct {
	*world
	server *miniredis.Miniredis
	now    time.Time
}

func newClocked(t testing.TB, now time.Time) *clocked {
	t.Helper()
	c := &clocked{server: miniredis.RunT(t), now: now}
	c.server.SetTime(now)
	c.server.ClockTTL(true)
	c.world = newWorld(t, c.server.Addr(), func() time.Time { return c.now })
	return c
}

// set moves both clocks.
func (c *clocked) set(now time.Time) {
	c.now = now
	c.server.SetTime(now)
}

func (c *clocked) one(id, zone string, limits registry.Limits) quota.Call {
	call := bare(c.call(id))
	limits.TimeZone = zone
	call.API.Limits = &limits
	return call
}

func moment(t testing.TB, text string) time.Time {
	t.Helper()
	m, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Who waits as long as Retry-After says is admitted, and who comes a second earlier is not.
func TestRetryAfterLandsOnMidnight(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		zone, now string
		want      int
	}{
		"a day of 25 hours":            {"America/New_York", "2026-11-01T04:30:00Z", 24*3600 + 1800},
		"a day of 23 hours":            {"America/New_York", "2026-03-08T05:30:00Z", 22*3600 + 1800},
		"a day of 24.5 hours":          {"Australia/Lord_Howe", "2026-04-04T13:30:00Z", 24 * 3600},
		"a midnight that is not":       {"Asia/Beirut", "2026-03-28T21:59:59Z", 1},
		"the same, Santiago":           {"America/Santiago", "2026-09-06T03:30:00Z", 1800},
		"a date that is not":           {"Pacific/Apia", "2011-12-30T09:00:00Z", 3600},
		"Shanghai in the evening":      {"Asia/Shanghai", "2026-11-25T15:59:30Z", 30},
		"half a second before the end": {"UTC", "2026-11-25T23:59:59.5Z", 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClocked(t, moment(t, test.now))
			limits := registry.Limits{CallsPerDay: 1}
			c.admit(t, c.one("r1", test.zone, limits))
			a := c.admit(t, c.one("r2", test.zone, limits))
			header := http.Header{}
			a.SetHeaders(header)
			wait, _ := strconv.Atoi(header.Get("Retry-After"))
			if a.Admitted || wait != test.want {
				t.Fatalf("admitted %t, Retry-After %d, want %d", a.Admitted, wait, test.want)
			}
			began := c.now
			c.set(began.Add(time.Duration(wait-1) * time.Second))
			if a := c.admit(t, c.one("r3", test.zone, limits)); a.Admitted {
				t.Error("a second earlier it is admitted")
			}
			c.set(began.Add(time.Duration(wait) * time.Second))
			if a := c.admit(t, c.one("r4", test.zone, limits)); !a.Admitted {
				t.Error("who waited is refused")
			}
		})
	}
}

func TestClocksThatDiffer(t *testing.T) {
	t.Parallel()
	noon := moment(t, "2026-11-25T12:00:00Z")
	end := moment(t, "2026-11-26T00:00:00Z")
	tests := map[string]struct {
		ours, store time.Time
		fails       bool
	}{
		"equal":                                {noon, noon, false},
		"five minutes apart in one day":        {noon, noon.Add(5 * time.Minute), false},
		"the store 4 s past our day's end":     {end.Add(-time.Second), end.Add(4 * time.Second), false},
		"the store 6 s past our day's end":     {end.Add(-time.Second), end.Add(6 * time.Second), true},
		"the store 4 s before our day's start": {end, end.Add(-4 * time.Second), false},
		"the store 5 s before our day's start": {end, end.Add(-5 * time.Second), false},
		"the store 6 s before our day's start": {end, end.Add(-6 * time.Second), true},
		"a day behind":                         {noon, noon.Add(24 * time.Hour), true},
		"a day ahead":                          {noon, noon.Add(-24 * time.Hour), true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClocked(t, test.ours)
			c.server.SetTime(test.store)
			call := c.call("r1")
			call.Domain.TimeZone = "UTC"
			call.API.Limits, call.Groups = nil, nil
			a, err := c.Admit(t.Context(), call)
			if test.fails != errors.Is(err, quota.ErrClock) || a.Admitted == test.fails {
				t.Errorf("%+v, %v", a, err)
			}
			if test.fails {
				c.wantCounts(t, "clocks differ", nothing)
			}
		})
	}
}

// One subject's window may be right and another's wrong: then neither counts.
func TestClockOfOneWindowOnly(t *testing.T) {
	t.Parallel()
	c := newClocked(t, moment(t, "2026-11-25T12:00:30Z"))
	c.server.SetTime(c.now.Add(2 * time.Minute))
	call := c.call("r1")
	call.API.Limits = &registry.Limits{CallsPerMinute: 10}
	if a, err := c.Admit(t.Context(), call); !errors.Is(err, quota.ErrClock) || a.Admitted {
		t.Errorf("%+v, %v", a, err)
	}
	c.wantCounts(t, "one window is wrong", nothing)
}

func TestGivenBackToTheDayOfTheCall(t *testing.T) {
	t.Parallel()
	c := newClocked(t, moment(t, "2026-11-25T23:59:59.9Z"))
	limits := registry.Limits{CallsPerDay: 10}
	evening := c.admit(t, c.one("r1", "", limits))
	c.set(moment(t, "2026-11-26T00:00:05Z"))
	c.admit(t, c.one("r2", "", limits))
	if err := c.GiveBack(t.Context(), evening); err != nil {
		t.Fatal(err)
	}
	today := strconv.FormatInt(moment(t, "2026-11-26T00:00:00Z").Unix(), 10)
	if n, _ := c.server.Get("kg:{a:a}:n:calls_per_day:" + today); n != "1" {
		t.Errorf("today has %s", n)
	}
	c.wantCounts(t, "both days", "kg:{a:a}:n:calls_per_day:1")
}

// The same request id after midnight is still the call of the day before, and is given back there.
func TestSameRequestAcrossMidnight(t *testing.T) {
	t.Parallel()
	c := newClocked(t, moment(t, "2026-11-25T23:59:59.9Z"))
	limits := registry.Limits{CallsPerDay: 10}
	c.admit(t, c.one("r1", "", limits))
	c.set(moment(t, "2026-11-26T00:00:01Z"))
	again := c.admit(t, c.one("r1", "", limits))
	if !again.Admitted || again.Standings[0].Remaining != 10 {
		t.Errorf("admission %+v", again)
	}
	c.wantCounts(t, "once", "kg:{a:a}:n:calls_per_day:1")
	if err := c.GiveBack(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	c.wantCounts(t, "given back", nothing)
}

func TestWhatIsForgotten(t *testing.T) {
	t.Parallel()
	began := moment(t, "2026-11-25T12:00:00Z")
	c := newClocked(t, began)
	c.admit(t, c.one("r1", "", registry.Limits{CallsPerDay: 10}))
	steps := []struct {
		after        time.Duration
		reservations int
		counters     int
	}{
		{15*time.Minute - time.Second, 1, 1},
		{15 * time.Minute, 0, 1},
		{37*time.Hour - time.Second, 0, 1},
		{37 * time.Hour, 0, 0},
	}
	for _, step := range steps {
		c.set(began.Add(step.after))
		if r, n := len(c.keys(t, ":r:")), len(c.keys(t, ":n:")); r != step.reservations || n != step.counters {
			t.Errorf("after %v: %d reservations, %d counters", step.after, r, n)
		}
	}
}

func TestEachWindowCounts(t *testing.T) {
	t.Parallel()
	c := newClocked(t, moment(t, "2026-11-25T12:00:00Z"))
	limits := registry.Limits{CallsPerMinute: 2, CallsPerHour: 3, CallsPerDay: 4, CallsPerMonth: 5}
	steps := []struct{ at, refusedBy string }{
		{"2026-11-25T12:00:00Z", ""},
		{"2026-11-25T12:00:30Z", ""},
		{"2026-11-25T12:00:59Z", "calls_per_minute"},
		{"2026-11-25T12:01:00Z", ""},
		{"2026-11-25T12:59:59Z", "calls_per_hour"},
		{"2026-11-25T13:00:00Z", ""},
		{"2026-11-25T23:59:59Z", "calls_per_day"},
		{"2026-11-26T00:00:00Z", ""},
		{"2026-11-30T23:59:59Z", "calls_per_month"},
		{"2026-12-01T00:00:00Z", ""},
	}
	for i, step := range steps {
		c.set(moment(t, step.at))
		a := c.admit(t, c.one("r"+strconv.Itoa(i), "", limits))
		if refused := a.Refusal != nil; refused != (step.refusedBy != "") ||
			refused && a.Refusal.Limit != step.refusedBy || refused == a.Admitted {
			t.Errorf("%s: %+v, %+v, want %q", step.at, a, a.Refusal, step.refusedBy)
		}
	}
}
