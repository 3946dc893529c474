package token_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"keyless/shared/quota"
	"keyless/shared/token"
)

// counted counts how often failures are.
type counted struct {
	token.Failures
	calls int
}

func (c *counted) ClientFailed(ctx context.Context, client, address string) (time.Duration, error) {
	c.calls++
	return c.Failures.ClientFailed(ctx, client, address)
}

// C18, RFC 6749 §2.3.1, RFC 6585 §4.
func TestC18FailuresAreLimited(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.server.SetTime(now)
	client := redis.NewClient(&redis.Options{Addr: f.server.Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	failures, clock := &counted{Failures: quota.NewRedis(client, "kg", f.Now)}, now
	o := f.Options
	o.Failures, o.Now = failures, func() time.Time { return clock }
	f.Handler = token.New(o)
	wrong := func() int { return f.do(call{authorization: basic("one", "wrong")}).Code }
	right := func(id string) int { return f.do(call{authorization: basic(id, secret)}).Code }
	if right("one") != 200 || failures.calls != 0 {
		t.Fatalf("a success costs %d calls", failures.calls)
	}
	for n := range 10 {
		if code := wrong(); code != 401 {
			t.Fatalf("failure %d: %d", n+1, code)
		}
	}
	w := f.do(call{authorization: basic("one", "wrong")})
	wait, err := strconv.Atoi(w.Header().Get("Retry-After"))
	if w.Code != 429 || err != nil || wait != 6 || w.Header().Get("WWW-Authenticate") != "" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	if _, code := says(t, w); code != "temporarily_unavailable" {
		t.Errorf("code %s", code)
	}
	A01Headers(t, w)
	calls := failures.calls
	if code := wrong(); code != 429 || failures.calls != calls {
		t.Errorf("while it waits: %d, after %d calls", code, failures.calls-calls)
	}
	if code := right("one"); code != 429 {
		t.Errorf("a right guess while the guesser waits: %d", code)
	}
	if code := right("basic"); code != 200 {
		t.Errorf("another client at the same address: %d", code)
	}
	elsewhere := token.New(o) // a process that has not seen it, or another address
	g := *f
	g.Handler = elsewhere
	if code := g.do(call{}).Code; code != 200 {
		t.Errorf("C18 the success path is unaffected: %d", code)
	}
	clock = clock.Add(6 * time.Second)
	f.server.SetTime(clock)
	if code := right("one"); code != 200 {
		t.Errorf("after the wait: %d", code)
	}
	if code := wrong(); code != 401 {
		t.Errorf("after the wait one may fail: %d", code)
	}
	for range 20 {
		if w := f.do(call{basic: "-", body: grantType}); w.Code != 401 {
			t.Fatalf("no credential is no guess: %d", w.Code)
		}
	}
}

func TestC18UnknownClientsAreLimitedAlike(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.server.SetTime(now)
	client := redis.NewClient(&redis.Options{Addr: f.server.Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	o := f.Options
	o.Failures = quota.NewRedis(client, "kg", f.Now)
	f.Handler = token.New(o)
	for _, id := range []string{"one", "nobody", "no name"} {
		for n := range 11 {
			want := map[bool]int{true: http.StatusUnauthorized, false: http.StatusTooManyRequests}[n < 10]
			if w := f.do(call{authorization: basic(id, "wrong")}); w.Code != want {
				t.Errorf("%s, failure %d: %d", id, n+1, w.Code)
			}
		}
	}
}

type uncounted struct{}

func (uncounted) ClientFailed(context.Context, string, string) (time.Duration, error) {
	return 0, errors.New("away")
}

func TestC18CountingAway(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	o := f.Options
	o.Failures = uncounted{}
	f.Handler = token.New(o)
	if w := f.do(call{authorization: basic("one", "wrong")}); w.Code != 401 {
		t.Errorf("a refusal stands: %d", w.Code)
	}
}
