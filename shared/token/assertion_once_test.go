package token_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"keyless/shared/quota"
	"keyless/shared/registry"
	"keyless/shared/token"
)

// TestC9FiftyPostsTenProcesses: what may be used once is used once on any number of instances (Hydra CVE-2020-5300).
func TestC9FiftyPostsTenProcesses(t *testing.T) {
	t.Parallel()
	f := newSigners(t)
	processes := make([]http.Handler, 10)
	for i := range processes {
		client := redis.NewClient(&redis.Options{Addr: f.server.Addr(), MaxRetries: -1})
		t.Cleanup(func() { _ = client.Close() })
		o := f.Options
		o.Reader = registry.NewReader(registry.NewRedis(client, "kg"), f.master, o.Now)
		o.Nonces = quota.NewRedis(client, "kg", o.Now)
		processes[i] = token.New(o)
	}
	for range 3 {
		body := asserted(jwtBearer, signedBy("P-256", "ES256", object{"alg": "ES256"}, own("ec", nil)))
		var tokens, refused atomic.Int64
		var group sync.WaitGroup
		for n := range 50 {
			group.Go(func() {
				g := *f
				g.Handler = processes[n%10]
				switch w := g.send(body); w.Code {
				case 200:
					tokens.Add(1)
				case 401:
					refused.Add(1)
				default:
					t.Errorf("%d %s", w.Code, w.Body)
				}
			})
		}
		group.Wait()
		if tokens.Load() != 1 || refused.Load() != 49 {
			t.Fatalf("%d tokens, %d refusals", tokens.Load(), refused.Load())
		}
	}
	jti := object{"jti": "shared"}
	for id, pair := range map[string]string{"ec": "P-256", "inline": "P-256"} {
		body := asserted(jwtBearer, signedBy(pair, "ES256", object{"alg": "ES256"}, own(id, jti)))
		if w := f.send(body); w.Code != 200 {
			t.Errorf("two clients may use one jti: %s %d", id, w.Code)
		}
	}
}

type nonces func() (bool, error)

func (n nonces) First(context.Context, string, time.Duration) (bool, error) { return n() }

func TestC9MemoryAway(t *testing.T) {
	t.Parallel()
	f := newSigners(t)
	for name, memory := range map[string]token.Nonces{
		"away":                    nonces(func() (bool, error) { return false, errors.New("away") }),
		"away, and it says first": nonces(func() (bool, error) { return true, errors.New("away") }),
		"none":                    nil,
	} {
		o := f.Options
		o.Nonces = memory
		g := *f
		g.Handler = token.New(o)
		w := g.send(asserted(jwtBearer, signedBy("P-256", "ES256", object{"alg": "ES256"}, own("ec", nil))))
		if w.Code != 503 || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	w := f.send(asserted(jwtBearer, signedBy("another", "ES256", object{"alg": "ES256"}, own("ec", nil))))
	if w.Code != 401 {
		t.Errorf("a forgery uses nothing up: %d", w.Code)
	}
}
