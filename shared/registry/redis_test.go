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
		}, 3},
		"an audit entry alone": {func() error {
			return store.Write(ctx, registry.Change{Audit: &registry.AuditEntry{Action: "x"}})
		}, 1},
		"nothing to complete": {func() error { return store.Complete(ctx) }, 1},
		"the audit trail":     {func() error { _, _, err := store.Audited(ctx, 0, 9); return err }, 1},
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

// A change that stops anywhere leaves a registry in which every name and index is old or new once another write has come, also one that
// has nothing to do with it; and a removed object is remembered for a day, and no longer.
func TestHalfDoneChanges(t *testing.T) {
	t.Parallel()
	add := registry.Change{Set: map[string]string{"claim:uid": ""}, Kind: registry.KindConsumer, Name: "c",
		Entry: &registry.Entry{Value: "{}"}, Index: []string{"i"}}
	remove := registry.Change{Kind: registry.KindConsumer, Name: "c", Unindex: []string{"i"},
		Unset: []string{"claim:uid"}}
	for trips := range 6 {
		server := miniredis.RunT(t)
		server.SetTime(time.Now())
		sound := registry.NewRedis(connect(t, "redis://"+server.Addr()), "kg")
		for _, change := range []registry.Change{add, remove} {
			proxy := storetest.NewProxy(t, server.Addr())
			proxy.DieAfter(trips, false)
			err := registry.NewRedis(connect(t, "redis://"+proxy.Address()), "kg").Write(t.Context(), change)
			if err := sound.Write(t.Context(), registry.Change{Revision: true}); err != nil {
				t.Fatal(err)
			}
			names, _ := sound.Names(t.Context(), registry.KindConsumer)
			entries, _, _ := sound.Entries(t.Context(), registry.KindConsumer, "c")
			found, _, _ := sound.Indexed(t.Context(), "i")
			fields, _ := sound.Fields(t.Context())
			if len(names) != len(entries) || len(names) != len(found[0]) || len(fields) != 1+len(names) {
				t.Errorf("died after %d: names %v, entries %v, found %v, fields %v", trips, names, entries, found, fields)
			}
			if added := change.Entry != nil; err == nil && (len(names) == 1) != added {
				t.Errorf("died after %d: written, and not there", trips)
			}
			if err := sound.Write(t.Context(), change); err != nil {
				t.Fatal(err)
			}
		}
		if !server.Exists("kg:{c:c}") || server.TTL("kg:{c:c}") != 24*time.Hour || server.TTL("kg:{i:i}") != 24*time.Hour {
			t.Errorf("a removed object is not remembered: %v", server.Keys())
		}
		server.FastForward(25 * time.Hour)
		if got := server.Keys(); !slices.Equal(got, []string{"kg:{s}"}) {
			t.Errorf("left %v", got)
		}
	}
}

// What a writer sends who was held up on its way comes too late once another has completed his change and gone on.
func TestLateWritesAreNone(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	server.SetTime(time.Now())
	store := registry.NewRedis(connect(t, "redis://"+server.Addr()), "kg")
	change := registry.Change{Kind: registry.KindConsumer, Name: "c", Entry: &registry.Entry{Value: "1"}, Index: []string{"i"}}
	late := &held{open: make(chan struct{}), at: make(chan struct{}, 1)}
	slow := connect(t, "redis://"+server.Addr())
	slow.AddHook(late)
	done := make(chan error)
	go func() { done <- registry.NewRedis(slow, "kg").Write(t.Context(), change) }()
	<-late.at // its first part is written, the second on its way
	if err := store.Write(t.Context(), registry.Change{Kind: registry.KindConsumer, Name: "c", Unindex: []string{"i"}}); err != nil {
		t.Fatal(err)
	}
	close(late.open)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	names, _ := store.Names(t.Context(), registry.KindConsumer)
	entries, _, _ := store.Entries(t.Context(), registry.KindConsumer, "c")
	found, _, err := store.Indexed(t.Context(), "i")
	if err != nil || len(names)+len(entries)+len(found[0]) != 0 {
		t.Errorf("the removed consumer is back: %v %v %v, %v", names, entries, found, err)
	}
	change.Entry.Value = "2"
	if err := store.Write(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	entries, _, _ = store.Entries(t.Context(), registry.KindConsumer, "c")
	if found, _, _ = store.Indexed(t.Context(), "i"); entries["c"].Value != "2" || found[0]["c"] != entries["c"] {
		t.Errorf("a consumer that is added again: %v %v", entries, found)
	}
	if server.TTL("kg:{c:c}") != 0 || server.TTL("kg:{i:i}") != 0 {
		t.Error("a consumer that is added again would be forgotten")
	}
}

// held keeps a client's pipelines until it may go on.
type held struct{ open, at chan struct{} }

func (*held) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (*held) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (h *held) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		h.at <- struct{}{}
		<-h.open
		return next(ctx, commands)
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
