package registry_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"keyless/shared/registry"
	"keyless/shared/registry/storetest"
)

func connect(t testing.TB, url string) redis.UniversalClient {
	t.Helper()
	client, err := registry.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestStores(t *testing.T) {
	t.Parallel()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, func(*testing.T) registry.Store { return registry.NewMemory() })
	})
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, func(t *testing.T) registry.Store {
			return registry.NewRedis(connect(t, "redis://"+miniredis.RunT(t).Addr()), "kg")
		})
	})
	t.Run("redis-server", func(t *testing.T) {
		t.Parallel()
		client := connect(t, "redis://"+storetest.Redis(t))
		storetest.Run(t, func(t *testing.T) registry.Store {
			return registry.NewRedis(client, strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")))
		})
	})
}

// Keys are a contract: another version of the program reads what this one wrote.
func TestRedisKeys(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	store := registry.NewRedis(connect(t, "redis://"+server.Addr()), "cell7")
	for _, change := range []registry.Change{
		{Set: map[string]string{"api:a": "{}"}, Kind: registry.KindConsumer, Name: "c",
			Entry: &registry.Entry{Value: "{}"}, Index: []string{"d1"}},
		{Kind: registry.KindClient, Name: "acme/x", Entry: &registry.Entry{Value: "{}"}},
	} {
		if err := store.Write(t.Context(), change); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"cell7:{c:c}", "cell7:{i:d1}", "cell7:{k:acme/x}", "cell7:{s}", "cell7:{s}:names:client",
		"cell7:{s}:names:consumer",
	}
	if got := server.Keys(); !slices.Equal(got, want) {
		t.Errorf("keys %v, want %v", got, want)
	}
	version := server.HGet("cell7:{c:c}", "version")
	if got := server.HGet("cell7:{i:d1}", "c"); len(version) != 16 || got != version+"\n{}" {
		t.Errorf("version %q, index %q", version, got)
	}
}

func TestRoundTripsOfTheStore(t *testing.T) {
	t.Parallel()
	proxy := storetest.NewProxy(t, storetest.Redis(t))
	store := registry.NewRedis(connect(t, "redis://"+proxy.Address()), "kg")
	change := registry.Change{Set: map[string]string{"claim:uid": ""}, Kind: registry.KindConsumer, Name: "c",
		Entry: &registry.Entry{Value: "{}"}, Index: []string{"i", "j"}}
	if err := store.Write(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	tests := map[string]struct {
		call func() error
		want int
	}{
		"fields":   {func() error { _, err := store.Fields(ctx); return err }, 1},
		"revision": {func() error { _, err := store.Revision(ctx); return err }, 1},
		"entries": {func() error {
			_, _, err := store.Entries(ctx, registry.KindConsumer, "c", "d", "e")
			return err
		}, 1},
		"indexed": {func() error { _, _, err := store.Indexed(ctx, "i", "j", "k"); return err }, 1},
		"names":   {func() error { _, err := store.Names(ctx, registry.KindConsumer); return err }, 1},
		"nothing": {func() error { return store.Write(ctx, registry.Change{}) }, 0},
		"fields written": {func() error {
			return store.Write(ctx, registry.Change{Set: map[string]string{"a": "", "b": ""}})
		}, 1},
		"a change of all parts": {func() error {
			all := change
			all.Unindex, all.Unset = []string{"x", "y"}, []string{"a", "b"}
			return store.Write(ctx, all)
		}, 5},
	}
	for name, test := range tests {
		proxy.Reset()
		if err := test.call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := proxy.Trips(); got != test.want {
			t.Errorf("%s: %d round trips, want %d", name, got, test.want)
		}
	}
}

// failing fails every wave from the nth on, as if the process died there.
type failing struct{ left int }

var errDied = errors.New("died")

func (*failing) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (*failing) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (f *failing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		if f.left--; f.left < 0 {
			return errDied
		}
		return next(ctx, commands)
	}
}

// A change that stops anywhere leaves no name that leads to nothing, no removed object that still stands,
// and no index entry without its object; the same change again completes it.
func TestHalfDoneChanges(t *testing.T) {
	t.Parallel()
	add := registry.Change{Set: map[string]string{"claim:uid": ""}, Kind: registry.KindConsumer, Name: "c",
		Entry: &registry.Entry{Value: "{}"}, Index: []string{"i"}}
	remove := registry.Change{Kind: registry.KindConsumer, Name: "c", Unindex: []string{"i"},
		Unset: []string{"claim:uid"}}
	for waves := range 6 {
		server := miniredis.RunT(t)
		client := connect(t, "redis://"+server.Addr())
		sound := registry.NewRedis(client, "kg")
		half := connect(t, "redis://"+server.Addr())
		half.AddHook(&failing{left: waves})
		err := registry.NewRedis(half, "kg").Write(t.Context(), add)
		if err != nil && !errors.Is(err, errDied) {
			t.Fatal(err)
		}
		if server.Exists("kg:{i:i}") && !server.Exists("kg:{c:c}") || !server.Exists("kg:{s}") && waves > 0 {
			t.Errorf("added, died after %d waves: %v", waves, server.Keys())
		}
		if err := sound.Write(t.Context(), add); err != nil || len(server.Keys()) != 4 {
			t.Errorf("completed after %d waves: %v, %v", waves, server.Keys(), err)
		}
		half = connect(t, "redis://"+server.Addr())
		half.AddHook(&failing{left: waves})
		_ = registry.NewRedis(half, "kg").Write(t.Context(), remove)
		if waves > 0 && server.Exists("kg:{c:c}") {
			t.Errorf("removed, died after %d waves: %v", waves, server.Keys())
		}
		if listed, _ := server.SIsMember("kg:{s}:names:consumer", "c"); !listed && server.Exists("kg:{i:i}") {
			t.Errorf("after %d waves an index leads to what is not listed", waves)
		}
		if err := sound.Write(t.Context(), remove); err != nil || !slices.Equal(server.Keys(), []string{"kg:{s}"}) {
			t.Errorf("completed after %d waves: %v, %v", waves, server.Keys(), err)
		}
	}
}

func TestStoreIsAway(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0") // accepts by its backlog, never answers
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	gone := miniredis.RunT(t)
	guarded := miniredis.RunT(t)
	guarded.RequireAuth("right")
	address := gone.Addr()
	gone.Close()
	for name, url := range map[string]string{
		"nothing listens":  "redis://:hunter2@" + address,
		"a black hole":     "redis://:hunter2@" + listener.Addr().String(),
		"a wrong password": "redis://:hunter2@" + guarded.Addr(),
	} {
		t.Run(name, func(t *testing.T) {
			store := registry.NewRedis(connect(t, url), "kg")
			began := time.Now()
			_, err := store.Fields(t.Context())
			if err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %v", err)
			}
			if time.Since(began) > 5*time.Second {
				t.Error("the call has no deadline of its own")
			}
		})
	}
	guardedStore := registry.NewRedis(connect(t, "redis://:right@"+guarded.Addr()), "kg")
	if err := guardedStore.Write(t.Context(), registry.Change{Revision: true}); err != nil {
		t.Errorf("the right password: %v", err)
	}
}

// A deadline of the caller that is shorter than the store's own holds.
func TestCallersDeadline(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	store := registry.NewRedis(connect(t, "redis://"+server.Addr()), "kg")
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if _, err := store.Revision(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestWrongTypeIsAnError(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	store := registry.NewRedis(connect(t, "redis://"+server.Addr()), "kg")
	_ = server.Set("kg:{i:i}", "a string")
	if _, _, err := store.Indexed(t.Context(), "none", "i"); err == nil {
		t.Error("an index of another type is read as empty")
	}
}

func TestConnectMakesTheRightClient(t *testing.T) {
	t.Parallel()
	if _, ok := connect(t, "redis+cluster://127.0.0.1:1,127.0.0.1:2").(*redis.ClusterClient); !ok {
		t.Error("a cluster URL gives no cluster client")
	}
	single, ok := connect(t, "rediss://u:p%40w@example.test:7000/3").(*redis.Client)
	if !ok {
		t.Fatal("a redis URL gives no single client")
	}
	o := single.Options()
	if o.Addr != "example.test:7000" || o.DB != 3 || o.Username != "u" || o.Password != "p@w" ||
		o.TLSConfig == nil {
		t.Errorf("options %s %d %s %t", o.Addr, o.DB, o.Username, o.TLSConfig != nil)
	}
	if o.MaxRetries != 0 || !o.ContextTimeoutEnabled || o.MinIdleConns != 0 || !o.DisableIdentity {
		t.Error("the client repeats writes, ignores deadlines, or dials by itself")
	}
	if _, ok := connect(t, "redis+sentinel://127.0.0.1:1,127.0.0.1:2/main/1").(*redis.Client); !ok {
		t.Error("a Sentinel URL gives no failover client")
	}
}
