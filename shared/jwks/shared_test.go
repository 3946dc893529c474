package jwks_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"keyless/shared/jwks"
)

func TestJ6InstancesFetchOnce(t *testing.T) {
	t.Parallel()
	const instances = 30
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := start(t)
			i, c, shared := newIssuer(t, set(t, "old")), newClock(), jwks.NewRedis(client, "kg")
			caches := make([]*jwks.Cache, instances)
			all := func(kid, want string) {
				t.Helper()
				var group sync.WaitGroup
				for n := range caches {
					group.Go(func() {
						keys, err := caches[n].Keys(context.Background(), i.URL, kid)
						if err != nil || names(keys) != want {
							t.Errorf("instance %d: %s, error %v", n, names(keys), err)
						}
					})
				}
				group.Wait()
			}
			for n := range caches {
				caches[n] = process(i, c, shared)
			}
			rotated := set(t, "new")
			if all("old", `["old"]`); i.fetches.Load() != 1 {
				t.Fatalf("%d fetches by %d cold instances", i.fetches.Load(), instances)
			}
			i.with(func(w http.ResponseWriter, _ *http.Request) {
				time.Sleep(200 * time.Millisecond) // long enough for the others to find the lease taken
				_, _ = io.WriteString(w, rotated)
			})
			c.Add(11 * time.Second)
			for _, key := range client.Keys(t.Context(), "*:lease").Val() {
				client.Del(t.Context(), key) // the lease of the first fetch is over by then
			}
			if all("new", `["new"]`); i.fetches.Load() != 2 {
				t.Fatalf("%d fetches by %d instances that wait for a kid", i.fetches.Load()-1, instances)
			}
			if all("unknown", `["new"]`); i.fetches.Load() != 2 {
				t.Fatalf("%d fetches within 10 s", i.fetches.Load()-1)
			}
		})
	}
}

func TestF16ColdStartWhileTheIssuerIsAway(t *testing.T) {
	t.Parallel()
	client := mini(t)
	i, c, shared := newIssuer(t, set(t, "a")), newClock(), jwks.NewRedis(client, "kg")
	kids(t, process(i, c, shared), i.URL, "a")
	i.Close()
	c.Add(23 * time.Hour)
	for _, key := range client.Keys(t.Context(), "*:lease").Val() {
		client.Del(t.Context(), key) // the lease of the first fetch is over by then
	}
	if got := kids(t, process(i, c, shared), i.URL, "a"); got != `["a"]` {
		t.Fatalf("cold, the issuer away: %s", got)
	}
	c.Add(time.Hour)
	if got := kids(t, process(i, c, shared), i.URL, "a"); got != "error" {
		t.Fatalf("a day old: %s", got)
	}
}

// broken is a second level that fails in one way.
type broken struct {
	jwks.Shared
	text string
}

func (b broken) Get(context.Context, string) (jwks.Stored, bool, error) {
	if b.text == "" {
		return jwks.Stored{}, false, errors.New("away")
	}
	return jwks.Stored{Text: []byte(b.text), Fetched: time.Now().Add(24 * time.Hour)}, true, nil
}

func (broken) Put(context.Context, string, jwks.Stored) error { return errors.New("away") }

func (broken) Lease(context.Context, string, time.Duration) (time.Duration, error) {
	return 0, errors.New("away")
}

func TestSecondLevelAwayOrSpoilt(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"away": "", "spoilt": "<html>", "empty": `{"keys":[]}`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i, c := newIssuer(t, set(t, "a")), newClock()
			cache := process(i, c, broken{text: text})
			if got := kids(t, cache, i.URL, "a"); got != `["a"]` {
				t.Fatal(got)
			}
			c.Add(11 * time.Second)
			for n := range 10 {
				kids(t, cache, i.URL, fmt.Sprint(n))
			}
			if i.fetches.Load() != 2 {
				t.Errorf("the process forgets the limit: %d fetches", i.fetches.Load())
			}
		})
	}
}

func TestRedisShared(t *testing.T) {
	t.Parallel()
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := start(t)
			shared := jwks.NewRedis(client, "kg")
			const url = "https://issuer.example/jwks?tenant=canary"
			if _, there, err := shared.Get(t.Context(), url); there || err != nil {
				t.Fatalf("there %v, error %v", there, err)
			}
			want := jwks.Stored{Text: []byte("text"), Fetched: time.UnixMilli(1764000000123), MaxAge: time.Minute}
			if err := shared.Put(t.Context(), url, want); err != nil {
				t.Fatal(err)
			}
			got, there, err := shared.Get(t.Context(), url)
			if !there || err != nil || string(got.Text) != "text" || !got.Fetched.Equal(want.Fetched) ||
				got.MaxAge != want.MaxAge {
				t.Fatalf("%+v, there %v, error %v", got, there, err)
			}
			first, err := shared.Lease(t.Context(), url, 10*time.Second)
			if first != 0 || err != nil {
				t.Fatalf("first lease: %v, error %v", first, err)
			}
			second, err := shared.Lease(t.Context(), url, 10*time.Second)
			if second <= 0 || second > 10*time.Second || err != nil {
				t.Fatalf("second lease: %v, error %v", second, err)
			}
			for _, key := range client.Keys(t.Context(), "*").Val() {
				if ttl := client.PTTL(t.Context(), key).Val(); ttl <= 0 || ttl > 24*time.Hour {
					t.Errorf("%s lives for %v", key, ttl)
				}
			}
		})
	}
}
