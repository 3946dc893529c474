package jwks_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"keyless/shared/jwks"
)

// faults are the ways in which an issuer's answer is bad.
func faults(t *testing.T) map[string]http.HandlerFunc {
	text := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) }
	}
	many := make([]string, 33)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	symmetric := `{"keys":[{"kty":"oct","kid":"o","k":"` + strings.Repeat("A", 86) + `"}]}`
	private := strings.Replace(set(t, "p"), `"use"`, `"d":"AAAA","use"`, 1)
	return map[string]http.HandlerFunc{
		"J1 500":                    status(http.StatusInternalServerError),
		"J2 HTML":                   text("<!doctype html><title>Log in</title>"),
		"J2 wrong JSON":             text(`{"error":"x"}`),
		"J3 empty set":              text(`{"keys":[]}`),
		"F12 no usable key":         text(`{"keys":[{"kty":"XYZ","kid":"x"}]}`),
		"J4 huge":                   huge,
		"J4 many keys":              text(set(t, many...)),
		"F15 J5 one kid twice":      text(set(t, "d", "d")),
		"J5 private member":         text(private),
		"F15 J5 symmetric":          text(symmetric),
		"F04 J8 redirect":           http.RedirectHandler("/other", http.StatusFound).ServeHTTP,
		"cut":                       cut,
		"F05 slow to the last byte": slow,
		"204 without content":       status(http.StatusNoContent),
		"a second value behind it":  text(set(t, "x") + `{}`),
		"a mebibyte of header":      header,
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func header(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }

// huge streams until the reader hangs up.
func huge(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, `{"keys":["`)
	block := []byte(strings.Repeat("a", 64<<10))
	for range 1024 {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

func cut(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, `{"keys":[`)
	panic(http.ErrAbortHandler)
}

func slow(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, `{"keys":[`)
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// F10, RFC 5861 §4: the last good set serves for a day. F12: a bad answer is none. F13: without a set, tried again in three seconds.
func TestF10F12F13F15BadAnswersNeverReplaceAGoodSet(t *testing.T) {
	t.Parallel()
	for name, answer := range faults(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i, c := newIssuer(t, ""), newClock()
			i.with(answer)
			cache := process(i, c, nil)
			if strings.Contains(name, "slow") && cache.Hurry(time.Second) != 3*time.Second {
				t.Error("J8: a fetch is not bounded by 3 s")
			}
			if _, err := cache.Keys(t.Context(), i.URL, ""); !errors.Is(err, jwks.ErrUnavailable) {
				t.Fatalf("without a set: %v", err)
			}
			if got := kids(t, cache, i.URL, "x"); got != "error" || i.fetches.Load() != 1 {
				t.Fatalf("F13: %s after %d fetches, tried again at once", got, i.fetches.Load())
			}
			i.serve(set(t, "good"))
			c.Add(3 * time.Second)
			if got := kids(t, cache, i.URL, ""); got != `["good"]` {
				t.Fatalf("F13: %s when the issuer is back", got)
			}
			i.with(answer)
			c.Add(time.Hour)
			if got := kids(t, cache, i.URL, "good"); got != `["good"]` || i.fetches.Load() != 3 {
				t.Fatalf("F10: %s after %d fetches", got, i.fetches.Load())
			}
			c.Add(23*time.Hour - time.Second)
			if got := kids(t, cache, i.URL, "good"); got != `["good"]` {
				t.Fatalf("F10: %s a second before the day is over", got)
			}
			c.Add(time.Second)
			if got := kids(t, cache, i.URL, "good"); got != "error" {
				t.Fatalf("F10: %s after a day", got)
			}
		})
	}
}

// F07, RFC 9111 §5.2.2.1: an age between a minute and an hour.
func TestF07Age(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		header string
		age    time.Duration
	}{
		"none":                        {"", 10 * time.Minute},
		"between the bounds":          {"public, max-age=300", 5 * time.Minute},
		"letter case and quotes":      {`Max-Age="300"`, 5 * time.Minute},
		"longer than an hour":         {"max-age=86400", time.Hour},
		"shorter than a minute":       {"max-age=5", time.Minute},
		"zero":                        {"max-age=0", time.Minute},
		"not to be stored":            {"private, no-cache, no-store", time.Minute},
		"not a number":                {"max-age=soon", 10 * time.Minute},
		"more than a number can hold": {"max-age=99999999999999999999", 10 * time.Minute},
		"another directive":           {"s-maxage=300", 10 * time.Minute},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i, c := newIssuer(t, ""), newClock()
			text := set(t, "a")
			i.with(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Cache-Control", test.header)
				_, _ = io.WriteString(w, text)
			})
			cache := process(i, c, nil)
			kids(t, cache, i.URL, "a")
			c.Add(test.age - time.Second)
			if kids(t, cache, i.URL, "a"); i.fetches.Load() != 1 {
				t.Fatalf("fetched again a second before its age")
			}
			c.Add(time.Second)
			if kids(t, cache, i.URL, "a"); i.fetches.Load() != 2 {
				t.Fatalf("%d fetches at its age", i.fetches.Load())
			}
		})
	}
}

// F06: who looks for a kid asks past the caches between.
func TestF06J6Rotation(t *testing.T) {
	t.Parallel()
	i, c := newIssuer(t, set(t, "old")), newClock()
	cache := process(i, c, nil)
	kids(t, cache, i.URL, "old")
	var header string
	rotated := set(t, "new")
	i.with(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header.Get("Cache-Control")
		_, _ = io.WriteString(w, rotated)
	})
	if got := kids(t, cache, i.URL, "new"); got != `["old"]` || i.fetches.Load() != 1 {
		t.Fatalf("within 10 s of a fetch: %s after %d", got, i.fetches.Load())
	}
	c.Add(30 * time.Second) // the kid was looked for in vain, and is forgotten after this
	if got := kids(t, cache, i.URL, "new"); got != `["new"]` || i.fetches.Load() != 2 {
		t.Fatalf("after it: %s after %d", got, i.fetches.Load())
	}
	if header != "no-cache" {
		t.Errorf("F06: Cache-Control %q", header)
	}
}

func TestF14AKidLookedForInVainIsNotLookedForAgain(t *testing.T) {
	t.Parallel()
	i, c := newIssuer(t, set(t, "a")), newClock()
	cache := process(i, c, nil)
	kids(t, cache, i.URL, "a")
	for _, step := range []struct {
		wait    time.Duration
		kid     string
		fetches int64
	}{
		{11 * time.Second, "x", 2},
		{11 * time.Second, "x", 2}, // known to be missing
		{0, "y", 3},                // another is looked for
		{19 * time.Second, "x", 4}, // forgotten after 30 s
	} {
		c.Add(step.wait)
		if kids(t, cache, i.URL, step.kid); i.fetches.Load() != step.fetches {
			t.Fatalf("%+v: %d fetches", step, i.fetches.Load())
		}
	}
}

func TestJ7FloodOfKids(t *testing.T) {
	t.Parallel()
	i, c := newIssuer(t, set(t, "a")), newClock()
	cache := process(i, c, nil)
	kids(t, cache, i.URL, "a")
	c.Add(11 * time.Second)
	var group sync.WaitGroup
	for n := range 1000 {
		group.Go(func() {
			keys, err := cache.Keys(context.Background(), i.URL, fmt.Sprint("random ", n))
			if err != nil || names(keys) != `["a"]` {
				t.Errorf("%v, error %v", keys, err)
			}
		})
	}
	group.Wait()
	if got := i.fetches.Load(); got != 2 {
		t.Fatalf("%d fetches for 1000 random kids, want 1 beside the first", got-1)
	}
}

func TestF08TheRequestWaitsForItsKid(t *testing.T) {
	t.Parallel()
	i, c := newIssuer(t, set(t, "old")), newClock()
	cache := process(i, c, nil)
	kids(t, cache, i.URL, "old")
	c.Add(11 * time.Second)
	arrived, release, rotated := make(chan struct{}), make(chan struct{}), set(t, "new")
	i.with(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		_, _ = io.WriteString(w, rotated)
	})
	got := make(chan string, 2)
	for range 2 {
		go func() {
			keys, _ := cache.Keys(context.Background(), i.URL, "new")
			got <- names(keys)
		}()
	}
	<-arrived
	if now := kids(t, cache, i.URL, "old"); now != `["old"]` {
		t.Fatalf("F11: a known kid waits: %s", now)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := cache.Keys(ctx, i.URL, "new"); !errors.Is(err, context.Canceled) {
		t.Errorf("a request that is gone waits on: %v", err)
	}
	close(release)
	for range 2 {
		if kids := <-got; kids != `["new"]` {
			t.Errorf("waited for %s", kids)
		}
	}
}

func TestF11OnlyOneRequestRefreshesAnAgedSet(t *testing.T) {
	t.Parallel()
	i, c := newIssuer(t, set(t, "a")), newClock()
	cache := process(i, c, nil)
	kids(t, cache, i.URL, "a")
	c.Add(time.Hour)
	arrived, release, next := make(chan struct{}), make(chan struct{}), set(t, "a", "b")
	i.with(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		_, _ = io.WriteString(w, next)
	})
	leader := make(chan string)
	go func() {
		keys, _ := cache.Keys(context.Background(), i.URL, "a")
		leader <- names(keys)
	}()
	<-arrived
	for range 100 { // each would hang if it waited, for nobody has let the issuer answer
		if got := kids(t, cache, i.URL, "a"); got != `["a"]` {
			t.Fatal(got)
		}
	}
	close(release)
	if got := <-leader; got != `["a","b"]` || i.fetches.Load() != 2 {
		t.Fatalf("%s after %d fetches", got, i.fetches.Load())
	}
}

// F01, RFC 8725 §3.10: https, without userinfo; any port. F03: private networks and this machine by a switch each.
func TestF01F03J8URLsThatAreRefusedLookUnreachable(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, set(t, "a"))
	plain := httptest.NewServer(i.Config.Handler)
	t.Cleanup(plain.Close)
	closed := httptest.NewServer(nil)
	closed.Close()
	port := i.URL[strings.LastIndexByte(i.URL, ':'):]
	none, loopback := jwks.Options{}, jwks.Options{AllowLoopback: true}
	private := jwks.Options{AllowPrivate: true}
	tests := map[string]struct {
		options jwks.Options
		url     string
		reached bool
	}{
		"F03 loopback, allowed":         {loopback, i.URL, true},
		"F03 loopback, not allowed":     {none, i.URL, false},
		"F03 loopback, private allowed": {private, i.URL, false},
		"localhost by name":             {none, "https://localhost" + port, false},
		"unspecified":                   {loopback, "https://0.0.0.0" + port, false},
		"unspecified, IPv6":             {loopback, "https://[::]" + port, false},
		"v4-mapped":                     {none, "https://[::ffff:127.0.0.1]" + port, false},
		"a short form":                  {none, "https://127.1" + port, false},
		"decimal":                       {none, "https://2130706433" + port, false},
		"metadata":                      {private, "https://169.254.169.254/", false},
		"F01 http to loopback, allowed": {loopback, plain.URL, true},
		"F01 http to loopback":          {none, plain.URL, false},
		"F01 http to a public address":  {loopback, "http://192.0.2.1/", false},
		"nobody listens":                {loopback, closed.URL, false},
		"F01 userinfo":                  {loopback, strings.Replace(i.URL, "//", "//user:canary@", 1), false},
		"F01 another scheme":            {loopback, "file:///etc/passwd", false},
		"F01 no scheme":                 {loopback, "127.0.0.1" + port, false},
		"no host":                       {loopback, "https:///x", false},
		"nothing":                       {loopback, "", false},
		"not a URL":                     {loopback, "https://a b/%zz", false},
		"a secret in a refused query":   {none, i.URL + "/?key=canary", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log strings.Builder
			test.options.RootCAs, test.options.Log = i.roots(), slog.New(slog.NewTextHandler(&log, nil))
			_, err := jwks.New(test.options).Keys(t.Context(), test.url, "a")
			if test.reached {
				if err != nil {
					t.Fatalf("%v\n%s", err, log.String())
				}
				return
			}
			if !errors.Is(err, jwks.ErrUnavailable) ||
				!strings.HasSuffix(err.Error(), ": the key set is not available") {
				t.Fatalf("error %v", err)
			}
			if strings.Contains(err.Error()+log.String(), "canary") {
				t.Fatalf("a secret is shown: %v\n%s", err, log.String())
			}
		})
	}
}

func TestJ8EnvironmentProxyIsNotAsked(t *testing.T) {
	i := newIssuer(t, set(t, "a"))
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("NO_PROXY", "")
	if got := kids(t, process(i, newClock(), nil), i.URL, "a"); got != `["a"]` {
		t.Fatal(got)
	}
}

func TestSourcesAreBounded(t *testing.T) {
	t.Parallel()
	i, c := newIssuer(t, set(t, "a")), newClock()
	cache := process(i, c, nil)
	kids(t, cache, i.URL, "a")
	for n := range 3000 {
		kids(t, cache, fmt.Sprint("refused:", n), "a")
		if n%100 == 0 {
			kids(t, cache, i.URL, "a") // in use all the time
		}
	}
	if held := cache.Sources(); held > 1024 {
		t.Errorf("%d sources are held", held)
	}
	if i.fetches.Load() != 1 {
		t.Errorf("a source in use fell out: %d fetches", i.fetches.Load())
	}
}
