package quota_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"keyless/shared/quota"
	"keyless/shared/registry"
	"keyless/shared/registry/storetest"
)

// What may be used once is used once, on any number of instances, in the embedded store and in Redis.
func TestFirst(t *testing.T) {
	t.Parallel()
	for name, address := range map[string]func(*testing.T) string{
		"miniredis": func(t *testing.T) string { return miniredis.RunT(t).Addr() },
		"redis":     func(t *testing.T) string { return storetest.Redis(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := address(t)
			client := connect(t, at)
			one, two := quota.NewRedis(client, "kg", time.Now), quota.NewRedis(connect(t, at), "kg", time.Now)
			key := registry.NonceKey("partner", "n")
			first := func(q *quota.Quota, key string) bool {
				t.Helper()
				got, err := q.First(t.Context(), key, time.Hour)
				if err != nil {
					t.Fatal(err)
				}
				return got
			}
			if !first(one, key) || first(one, key) || first(two, key) {
				t.Error("used more than once")
			}
			if !first(two, registry.NonceKey("partner", "m")) || !first(two, registry.NonceKey("partnern", "")) {
				t.Error("another is not new")
			}
			if !first(quota.NewRedis(client, "other", time.Now), key) {
				t.Error("another cell is another memory")
			}
			ttl, err := client.PTTL(t.Context(), "kg:{o:"+key+"}").Result()
			if err != nil || ttl <= 59*time.Minute || ttl > time.Hour {
				t.Errorf("lives %v, %v", ttl, err)
			}
			var firsts atomic.Int64
			var group sync.WaitGroup
			for range 50 {
				group.Go(func() {
					if got, err := one.First(t.Context(), "raced", time.Hour); err == nil && got {
						firsts.Add(1)
					}
				})
			}
			group.Wait()
			if firsts.Load() != 1 {
				t.Errorf("%d at once were the first", firsts.Load())
			}
		})
	}
}

func TestFirstIsForgotten(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	q := quota.NewRedis(connect(t, server.Addr()), "kg", time.Now)
	for _, step := range []struct {
		wait time.Duration
		want bool
	}{{0, true}, {time.Minute - time.Millisecond, false}, {time.Millisecond, true}} {
		server.FastForward(step.wait)
		if got, err := q.First(t.Context(), "k", time.Minute); err != nil || got != step.want {
			t.Errorf("after %v: %v, %v", step.wait, got, err)
		}
	}
}

// Nobody knows: that is an error, no yes and no no. A reply that is lost is not asked for again, or the answer would be a replay.
func TestFirstWithoutAStore(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	proxy := storetest.NewProxy(t, server.Addr())
	q := quota.NewRedis(connect(t, proxy.Address()), "kg", time.Now)
	if got, err := q.First(t.Context(), "warm", time.Minute); err != nil || !got {
		t.Fatal(err)
	}
	proxy.LoseReplies(1)
	if got, err := q.First(t.Context(), "lost", time.Minute); err == nil || got {
		t.Errorf("a lost reply: %v, %v", got, err)
	}
	if !server.Exists("kg:{o:lost}") {
		t.Error("the store did not hear of it")
	}
	server.Close()
	if got, err := q.First(t.Context(), "k", time.Minute); err == nil || got {
		t.Errorf("no store: %v, %v", got, err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := q.First(cancelled, "k", time.Minute); err == nil || got {
		t.Errorf("a caller who has gone: %v, %v", got, err)
	}
}

func TestFirstIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	proxy := storetest.NewProxy(t, miniredis.RunT(t).Addr())
	q := quota.NewRedis(connect(t, proxy.Address()), "kg", time.Now)
	if _, err := q.First(t.Context(), "warm", time.Minute); err != nil {
		t.Fatal(err)
	}
	proxy.Reset()
	if _, err := q.First(t.Context(), "k", time.Minute); err != nil || proxy.Trips() != 1 {
		t.Errorf("%d round trips, %v", proxy.Trips(), err)
	}
}
