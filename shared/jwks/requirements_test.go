package jwks_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

// F09. Diverges: a fetch that failed keeps its place, three seconds where there is no set to serve and ten where there is, so that an issuer
// in trouble is asked no more often than a healthy one; and no longer than that.
func TestF09AFailedFetchKeepsItsPlaceForSecondsOnly(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		first string // the set at first, "" for none
		place time.Duration
	}{
		"without a set": {"", 3 * time.Second},
		"with one":      {set(t, "old"), 10 * time.Second},
	} {
		i, c := newIssuer(t, row.first), newClock()
		cache := process(i, c, nil)
		if row.first != "" {
			kids(t, cache, i.URL, "old")
		}
		c.Add(time.Minute)
		before := i.fetches.Load()
		i.with(status(http.StatusInternalServerError))
		for _, kid := range []string{"x", "y", "z"} {
			kids(t, cache, i.URL, kid)
		}
		if got := i.fetches.Load() - before; got != 1 {
			t.Fatalf("%s: %d fetches at once", name, got)
		}
		i.serve(set(t, "old", "new"))
		c.Add(row.place - time.Millisecond)
		if kids(t, cache, i.URL, "first"); i.fetches.Load()-before != 1 {
			t.Errorf("%s: fetched before its time", name)
		}
		c.Add(time.Millisecond)
		if got := kids(t, cache, i.URL, "new"); got != `["new","old"]` {
			t.Errorf("%s: %s when its time has come", name, got)
		}
	}
}

// F17. Diverges: there is nothing to close. No goroutine and no connection outlives a fetch, whatever becomes of it. It runs beside no other
// test, for it looks at all goroutines.
func TestF17NothingIsLeftAfterAFetch(t *testing.T) {
	for name, answer := range faults(t) {
		i, c := newIssuer(t, ""), newClock()
		i.with(answer)
		cache := process(i, c, nil)
		cache.Hurry(200 * time.Millisecond)
		for n := range 3 {
			kids(t, cache, i.URL, fmt.Sprint(n))
			c.Add(time.Minute)
		}
		i.serve(set(t, "good"))
		if got := kids(t, cache, i.URL, "good"); got != `["good"]` {
			t.Errorf("%s: then %s", name, got)
		}
	}
	var left string
	for range 100 {
		if left = ours(); left == "" {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("left: %s", left)
}

// ours is the stack of a goroutine of a cache or of its client's connections.
func ours() string {
	text := make([]byte, 4<<20)
	text = text[:runtime.Stack(text, true)]
	for _, stack := range strings.Split(string(text), "\n\n") {
		if strings.Contains(stack, "shared/jwks.(*") || strings.Contains(stack, "http.(*persistConn)") {
			return stack
		}
	}
	return ""
}
