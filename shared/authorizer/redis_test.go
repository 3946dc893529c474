package authorizer_test

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"keyless/shared/auth"
	"keyless/shared/authorizer"
	"keyless/shared/config"
	"keyless/shared/quota"
	"keyless/shared/registry"
)

// process is an authorizer as one of several processes on a store.
func process(t *testing.T, server *miniredis.Miniredis) *authorizer.Authorizer {
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { client.Close() })
	return authorizer.New(authorizer.Options{
		Reader: registry.NewReader(registry.NewRedis(client, "kg"), master, clock),
		Gate:   auth.New(noKeys{}, "https://gateway.example", clock),
		Quota:  quota.NewRedis(client, "kg", clock), Proxies: config.Loopback(), Now: clock,
		Log: slog.New(slog.DiscardHandler),
	})
}

func TestTheDailyLimitIsExactAcrossProcessesAndDialects(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	server.SetTime(now)
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()
	w := standard()
	w.domains = []string{`{"name":"default","daily_call_limit":7}`}
	w.fill(t, registry.NewRedis(client, "kg"))

	var admitted, denied atomic.Int64
	var all sync.WaitGroup
	for range 2 {
		a := process(t, server)
		for dialect, askIn := range dialects {
			all.Go(func() {
				for range 3 {
					switch outcome, code := askIn(t, a, get("/reports", bearer("alice"))); {
					case outcome == allowed:
						admitted.Add(1)
					case outcome == refused && code == "domain_limit":
						denied.Add(1)
					default:
						t.Errorf("%s: got %s %s", dialect, outcome, code)
					}
					if outcome, code := askIn(t, a, get("/v1", bearer("alice"))); outcome != allowed {
						t.Errorf("%s: a call that the proxy counts: got %s %s", dialect, outcome, code)
					}
				}
			})
		}
	}
	all.Wait()
	if admitted.Load() != 7 || denied.Load() != int64(2*3*len(dialects)-7) {
		t.Errorf("%d admitted, %d refused", admitted.Load(), denied.Load())
	}
}

func TestADisabledConsumerIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	server.SetTime(now)
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()
	store := registry.NewRedis(client, "kg")
	standard().fill(t, store)
	a := process(t, server)
	if outcome, code := dialects["nginx"](t, a, get("/reports", bearer("alice"))); outcome != allowed {
		t.Fatalf("got %s %s", outcome, code)
	}
	write(t, store, registry.Change{Kind: registry.KindConsumer, Name: "alice", Revision: true,
		Entry: &registry.Entry{Value: consumer("alice", "disabled", "reports")},
		Index: []string{registry.IndexJWT("uid", "alice")}})
	if outcome, code := dialects["nginx"](t, a, get("/reports", bearer("alice"))); outcome != unproven {
		t.Errorf("got %s %s", outcome, code)
	}
}
