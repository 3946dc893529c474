package registry_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"keyless/shared/registry"
	"keyless/shared/registry/storetest"
)

// seen is what a registry says about the consumer one and its two credentials, to one who asks now.
func seen(t *testing.T, store registry.Store) string {
	t.Helper()
	entries, _, err := store.Entries(t.Context(), registry.KindConsumer, "one")
	if err != nil {
		t.Fatal(err)
	}
	found, _, err := store.Indexed(t.Context(), registry.IndexJWT("uid", "v"), registry.IndexJWT("sub", "w"))
	if err != nil {
		t.Fatal(err)
	}
	names, err := store.Names(t.Context(), registry.KindConsumer)
	if err != nil {
		t.Fatal(err)
	}
	entry := entries["one"]
	for _, byName := range found {
		if copied, there := byName["one"]; there && copied != entry {
			return "an index has another edition than the entry"
		}
	}
	return fmt.Sprintf("value %s, found %d %d, listed %t", entry.Value, len(found[0]), len(found[1]), slices.Contains(names, "one"))
}

// A2: an edit that dies after any of its round trips, heard by the server or not, leaves a registry that is whole and says the old or
// the new; the next edit of anybody completes what is half done.
func TestA2KilledAnywhere(t *testing.T) {
	t.Parallel()
	address := storetest.Redis(t)
	server := connect(t, "redis://"+address)
	moved := `{"groups":["g"],"jwt":{"jwks_url":"http://h/k","value":"w","claim":"sub"},"authorizations":[{"api":"p"}]}`
	for name, row := range map[string]struct{ kind, name, object string }{
		"a consumer changes its credential": {"consumer", "one", moved},
		"a consumer is removed":             {"consumer", "one", ""},
		"a consumer is added":               {"consumer", "two", strings.Replace(moved, `"w"`, `"x"`, 1)},
		"a client is changed":               {"client", "a/c", `{"name":"D"}`},
		"a client is removed":               {"client", "a/c", ""},
		"a group is changed":                {"group", "g", `{"limits":{"calls_per_day":7}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := 0; ; n++ {
				if n > 40 {
					t.Fatal("the edit never ends")
				}
				outcomes := [2]string{}
				for i, heard := range []bool{false, true} {
					cell := fmt.Sprintf("%s-%d-%t", strings.ReplaceAll(name, " ", "-"), n, heard)
					outcomes[i] = killed(t, registry.NewRedis(server, cell), address, cell, n, heard, row.kind, row.name, row.object)
				}
				if outcomes[0] == "done" {
					return
				}
			}
		})
	}
}

// killed carries out an edit that dies after n round trips, and reports what became of it.
func killed(t *testing.T, sound registry.Store, address, cell string, n int, heard bool, kind, name, object string) string {
	t.Helper()
	b := newBureau(t, sound, small)
	before := seen(t, sound)
	text := func() string {
		o, err := b.Object(t.Context(), kind, name)
		if err != nil && !errors.Is(err, registry.ErrNoObject) {
			t.Fatal(err)
		}
		return string(o.Value)
	}
	old := text()
	proxy := storetest.NewProxy(t, address)
	dying := registry.NewEditor(registry.NewRedis(connect(t, "redis://"+proxy.Address()), cell), b.keys, time.Now)
	edit := registry.Edit{Kind: kind, Name: name, Match: registry.MatchAny, By: someone}
	if object != "" {
		edit.Object = json.RawMessage(object)
	}
	proxy.DieAfter(n, heard)
	_, err := dying.Edit(t.Context(), edit)
	what := fmt.Sprintf("died after %d, heard %t", n, heard)
	if config, err := registry.Load(t.Context(), sound); err != nil || len(registry.Validate(config)) > 0 {
		t.Errorf("%s: a reference does not resolve: %v, %v", what, registry.Validate(config), err)
	}
	now := text()
	b.must("group", "another", `{}`) // the next edit, of anybody
	healed := text()
	if now != old && healed != now {
		t.Errorf("%s: the edit was seen and is gone", what)
	}
	after := seen(t, sound)
	switch {
	case healed == old && (err == nil || after != before):
		t.Errorf("%s: %v; the object is old, and the rest is %q, was %q", what, err, after, before)
	case healed != old && kind == "consumer" && name == "one" && object != "" && !strings.Contains(after, "found 0 1, listed true"),
		healed != old && kind == "consumer" && name == "one" && object == "" && after != "value , found 0 0, listed false":
		t.Errorf("%s: the object is new, and the rest is %q", what, after)
	}
	if err == nil {
		return "done"
	}
	return "killed"
}

// Killed in the middle, an apply leaves a whole registry too, also for the editor who comes next.
func TestA3ApplyKilledAnywhere(t *testing.T) {
	t.Parallel()
	address := storetest.Redis(t)
	server := connect(t, "redis://"+address)
	other := strings.NewReplacer(", {value: y, name: Y}", "", "scopes: [x, y]}]}]", "scopes: [x]}]}]",
		"name: g}", "name: h}", "[g]", "[h]", "value: v}", "value: w, claim: sub}").Replace(small)
	for n := 0; ; n += 3 {
		cell := fmt.Sprintf("apply-%d", n)
		sound := registry.NewRedis(server, cell)
		b := newBureau(t, sound, small)
		proxy := storetest.NewProxy(t, address)
		proxy.DieAfter(n, n%2 == 0)
		dying := registry.NewRedis(connect(t, "redis://"+proxy.Address()), cell)
		_, err := registry.Apply(t.Context(), dying, b.keys, config(t, other), registry.ApplyOptions{Prune: true})
		if config, err := registry.Load(t.Context(), sound); err != nil || len(registry.Validate(config)) > 0 {
			t.Errorf("died after %d: %v, %v", n, registry.Validate(config), err)
		}
		b.must("group", "between", `{}`)
		apply(t, sound, b.keys, other, registry.ApplyOptions{Prune: true})
		b.whole()
		if got := seen(t, sound); !strings.Contains(got, "found 0 1, listed true") {
			t.Errorf("died after %d: %s", n, got)
		}
		if again := apply(t, sound, b.keys, other, registry.ApplyOptions{Prune: true}); len(again.Changes) > 0 {
			t.Errorf("died after %d: %v is not applied", n, lines(again))
		}
		if err == nil {
			return
		}
	}
}

// A reply that is lost is no edit that is lost, and none that is done twice.
func TestR6LostReplies(t *testing.T) {
	t.Parallel()
	address := storetest.Redis(t)
	proxy := storetest.NewProxy(t, address)
	store := registry.NewRedis(connect(t, "redis://"+proxy.Address()), "kg")
	b := newBureau(t, store, small)
	for i := range 4 {
		change := registry.Change{
			Kind: registry.KindConsumer, Name: "c", Entry: &registry.Entry{Value: fmt.Sprintf(`{"name":"c","display_name":"%d"}`, i)},
			Set: map[string]string{"claim:c": "1"}, Audit: &registry.AuditEntry{Action: "test"}, Next: fmt.Sprintf("next-%d", i),
		}
		proxy.LoseReplies(1)
		if err := store.Write(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		if r, err := store.Revision(t.Context()); err != nil || r != change.Next {
			t.Errorf("revision %s, %v", r, err)
		}
	}
	entries, err := b.Audit(t.Context(), 0, 500)
	tests := 0
	for _, e := range entries {
		if e.Action == "test" {
			tests++
		}
	}
	verdict, err2 := b.VerifyAudit(t.Context(), nil)
	if err != nil || err2 != nil || tests != 4 || verdict.Broken != 0 {
		t.Errorf("%d entries, %+v, %v, %v", tests, verdict, err, err2)
	}
}

// Two applies at once end in one of the two, or in both, and never in a registry in which a reference dangles.
func TestTwoAppliesAtOnce(t *testing.T) {
	t.Parallel()
	address := "redis://" + storetest.Redis(t)
	keys := masterKeys(t)
	errs := make(chan error, 2)
	for _, text := range []string{small, strings.ReplaceAll(strings.ReplaceAll(small, "name: u,", "name: w,"), "upstream: u}", "upstream: w}")} {
		store, want := registry.NewRedis(connect(t, address), "kg"), config(t, text)
		go func() {
			_, err := registry.Apply(t.Context(), store, keys, want, registry.ApplyOptions{Prune: true})
			errs <- err
		}()
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Errorf("%v", err)
		}
	}
	b := &bureau{t: t, store: registry.NewRedis(connect(t, address), "kg"), keys: keys}
	b.Editor = registry.NewEditor(b.store, keys, time.Now)
	b.whole()
}
