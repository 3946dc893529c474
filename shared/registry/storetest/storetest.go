// Package storetest is the contract of a registry.Store: one set of tests that memory, miniredis and a
// real redis-server must pass alike, and what tests over a real server need (Redis, Proxy). Only tests
// import it.
package storetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"keyless/shared/registry"
)

// Run holds a Store to the contract. newStore makes an empty one for each test.
func Run(t *testing.T, newStore func(t *testing.T) registry.Store) {
	tests := map[string]func(*testing.T, registry.Store){
		"an empty store answers with nothing":                  empty,
		"fields are set and removed":                           fields,
		"the revision moves with what a reader must see":       revisions,
		"the revision is the store's own":                      ownRevision,
		"an object stands under its name and its indexes":      object,
		"a version names one edition of an object":             versions,
		"kinds do not mix":                                     kinds,
		"an index holds several consumers":                     sharedIndex,
		"a removed object leaves nothing behind":               removal,
		"any text is kept as it is":                            texts,
		"a change that was carried out twice is the same":      twice,
		"what is handed out is a copy":                         copies,
		"a cancelled call fails":                               cancelled,
		"changes of many writers are all there":                writers,
		"what was removed from an index comes back with a set": reindex,
		"a change holds only on the revision that it expects":  expects,
		"a change leaves the revision that it names":           leaves,
		"an audit entry stands with its change, or neither":    audited,
		"audit entries of many writers are one chain":          chained,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newStore(t))
		})
	}
}

const consumer, client = registry.KindConsumer, registry.KindClient

func write(t *testing.T, s registry.Store, c registry.Change) {
	t.Helper()
	if err := s.Write(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func revision(t *testing.T, s registry.Store) string {
	t.Helper()
	r, err := s.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// entries reads objects and checks that the revision in the same answer is the store's.
func entries(t *testing.T, s registry.Store, kind registry.Kind, names ...string) map[string]registry.Entry {
	t.Helper()
	found, seen, err := s.Entries(t.Context(), kind, names...)
	if err != nil || seen != revision(t, s) {
		t.Fatalf("revision %q, error %v", seen, err)
	}
	return found
}

func indexed(t *testing.T, s registry.Store, indexes ...string) []map[string]registry.Entry {
	t.Helper()
	found, seen, err := s.Indexed(t.Context(), indexes...)
	if err != nil || seen != revision(t, s) || len(found) != len(indexes) {
		t.Fatalf("%d results for %d indexes, revision %q, error %v", len(found), len(indexes), seen, err)
	}
	return found
}

func names(t *testing.T, s registry.Store, kind registry.Kind) []string {
	t.Helper()
	list, err := s.Names(t.Context(), kind)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

func all(t *testing.T, s registry.Store) map[string]string {
	t.Helper()
	f, err := s.Fields(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func put(name, value string, indexes ...string) registry.Change {
	return registry.Change{Kind: consumer, Name: name, Entry: &registry.Entry{Value: value}, Index: indexes}
}

func empty(t *testing.T, s registry.Store) {
	if f := all(t, s); f == nil || len(f) != 0 {
		t.Errorf("fields %v", f)
	}
	if r := revision(t, s); r != "" {
		t.Errorf("revision %q", r)
	}
	if e := entries(t, s, consumer, "a", "b"); e == nil || len(e) != 0 {
		t.Errorf("entries %v", e)
	}
	for _, found := range indexed(t, s, "x", "y") {
		if found == nil || len(found) != 0 {
			t.Errorf("indexed %v", found)
		}
	}
	if n := names(t, s, client); len(n) != 0 {
		t.Errorf("names %v", n)
	}
}

func fields(t *testing.T, s registry.Store) {
	write(t, s, registry.Change{Set: map[string]string{"api:a": "1", "api:b": "2"}})
	write(t, s, registry.Change{Set: map[string]string{"api:b": "3", "api:c": "4"}, Unset: []string{"api:a",
		"api:x"}})
	want := map[string]string{"api:b": "3", "api:c": "4", registry.FieldRevision: revision(t, s)}
	if got := all(t, s); !maps.Equal(got, want) {
		t.Errorf("fields %v, want %v", got, want)
	}
}

func revisions(t *testing.T, s registry.Store) {
	write(t, s, registry.Change{Revision: true})
	steps := []struct {
		what   string
		change registry.Change
		moves  bool
	}{
		{"a field", registry.Change{Set: map[string]string{"api:a": "1"}}, true},
		{"the same field again", registry.Change{Set: map[string]string{"api:a": "1"}}, true},
		{"an object alone", put("c", "1", "i"), true},
		{"an object with a field", registry.Change{Set: map[string]string{"claim:uid": ""}, Kind: consumer,
			Name: "c", Entry: &registry.Entry{Value: "2"}}, true},
		{"an object, asked for", registry.Change{Kind: consumer, Name: "c", Entry: &registry.Entry{Value: "2"},
			Revision: true}, true},
		{"the end of an object alone", registry.Change{Kind: consumer, Name: "c", Unindex: []string{"i"}}, true},
		{"a removed field", registry.Change{Unset: []string{"api:a"}}, true},
		{"nothing", registry.Change{}, false},
	}
	for _, step := range steps {
		before := revision(t, s)
		write(t, s, step.change)
		if after := revision(t, s); after == "" || (after != before) != step.moves {
			t.Errorf("%s: from %q to %q, want moved=%t", step.what, before, after, step.moves)
		}
	}
}

func ownRevision(t *testing.T, s registry.Store) {
	write(t, s, registry.Change{Set: map[string]string{registry.FieldRevision: "mine", "api:a": "1"}})
	if r := revision(t, s); r == "mine" || r == "" {
		t.Errorf("revision %q", r)
	}
}

func object(t *testing.T, s registry.Store) {
	write(t, s, put("c", "value", "i", "j"))
	entry := entries(t, s, consumer, "c", "d")["c"]
	if entry.Value != "value" || entry.Version == "" {
		t.Errorf("entry %+v", entry)
	}
	for i, found := range indexed(t, s, "i", "j", "k") {
		want := map[string]registry.Entry{"c": entry}
		if i == 2 {
			want = map[string]registry.Entry{}
		}
		if !maps.Equal(found, want) {
			t.Errorf("index %d holds %v, want %v", i, found, want)
		}
	}
	if n := names(t, s, consumer); !slices.Equal(n, []string{"c"}) {
		t.Errorf("names %v", n)
	}
}

func versions(t *testing.T, s registry.Store) {
	seen := map[string]bool{}
	for range 3 {
		change := put("c", "same", "i")
		change.Entry.Version = "the caller's"
		write(t, s, change)
		version := entries(t, s, consumer, "c")["c"].Version
		if seen[version] || version == "the caller's" || version != indexed(t, s, "i")[0]["c"].Version {
			t.Errorf("version %q", version)
		}
		seen[version] = true
	}
}

func kinds(t *testing.T, s registry.Store) {
	write(t, s, put("acme/x", "consumer"))
	write(t, s, registry.Change{Kind: client, Name: "acme/x", Entry: &registry.Entry{Value: "client"}})
	write(t, s, registry.Change{Kind: consumer, Name: "acme/x"})
	if e := entries(t, s, client, "acme/x")["acme/x"]; e.Value != "client" {
		t.Errorf("client %+v", e)
	}
	if e := entries(t, s, consumer, "acme/x"); len(e) != 0 {
		t.Errorf("consumer %+v", e)
	}
	if n := names(t, s, client); !slices.Equal(n, []string{"acme/x"}) {
		t.Errorf("names %v", n)
	}
}

func sharedIndex(t *testing.T, s registry.Store) {
	write(t, s, put("a", "1", "i"))
	write(t, s, put("b", "2", "i"))
	found := indexed(t, s, "i")[0]
	if len(found) != 2 || found["a"].Value != "1" || found["b"].Value != "2" {
		t.Errorf("found %v", found)
	}
	write(t, s, registry.Change{Kind: consumer, Name: "a", Unindex: []string{"i"}})
	if found := indexed(t, s, "i")[0]; len(found) != 1 || found["b"].Value != "2" {
		t.Errorf("found %v", found)
	}
}

func removal(t *testing.T, s registry.Store) {
	write(t, s, put("c", "1", "i", "j"))
	write(t, s, registry.Change{Kind: consumer, Name: "c", Index: []string{"i"}, Unindex: []string{"i", "j"}})
	if e := entries(t, s, consumer, "c"); len(e) != 0 {
		t.Errorf("entry %v", e)
	}
	for _, found := range indexed(t, s, "i", "j") {
		if len(found) != 0 {
			t.Errorf("index %v", found)
		}
	}
	if n := names(t, s, consumer); len(n) != 0 {
		t.Errorf("names %v", n)
	}
}

func texts(t *testing.T, s registry.Store) {
	for _, text := range []string{"", "\n", "a\nb\n", "\x00\xff", "{}", "日本", "0", "*1\r\n$4\r\n"} {
		write(t, s, registry.Change{Set: map[string]string{"f:" + text: text}, Kind: consumer, Name: "c",
			Entry: &registry.Entry{Value: text}, Index: []string{"i"}})
		field, there := all(t, s)["f:"+text]
		entry, copied := entries(t, s, consumer, "c")["c"], indexed(t, s, "i")[0]["c"]
		if !there || field != text || entry.Value != text || copied != entry {
			t.Errorf("%q: field %q, entry %q, copy %q", text, field, entry.Value, copied.Value)
		}
	}
}

func twice(t *testing.T, s registry.Store) {
	add := registry.Change{Set: map[string]string{"claim:uid": ""}, Kind: consumer, Name: "c",
		Entry: &registry.Entry{Value: "1"}, Index: []string{"i"}, Unindex: []string{"j"}, Unset: []string{"x"}}
	write(t, s, add)
	write(t, s, add)
	if found := indexed(t, s, "i")[0]; len(found) != 1 || len(names(t, s, consumer)) != 1 {
		t.Errorf("found %v", found)
	}
	remove := registry.Change{Kind: consumer, Name: "c", Unindex: []string{"i"}, Unset: []string{"claim:uid"}}
	write(t, s, remove)
	write(t, s, remove)
	if f := all(t, s); len(f) != 1 {
		t.Errorf("fields %v", f)
	}
}

func copies(t *testing.T, s registry.Store) {
	write(t, s, registry.Change{Set: map[string]string{"api:a": "1"}})
	write(t, s, put("c", "1", "i"))
	clear(all(t, s))
	clear(entries(t, s, consumer, "c"))
	clear(indexed(t, s, "i")[0])
	if len(all(t, s)) != 2 || len(entries(t, s, consumer, "c")) != 1 || len(indexed(t, s, "i")[0]) != 1 {
		t.Error("a caller's change of an answer changed the store")
	}
}

func cancelled(t *testing.T, s registry.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, errFields := s.Fields(ctx)
	_, errRevision := s.Revision(ctx)
	_, _, errEntries := s.Entries(ctx, consumer, "c")
	_, _, errIndexed := s.Indexed(ctx, "i")
	_, errNames := s.Names(ctx, consumer)
	errWrite := s.Write(ctx, put("c", "1", "i"))
	errComplete := s.Complete(ctx)
	_, _, errAudited := s.Audited(ctx, 0, 1)
	for i, err := range []error{errFields, errRevision, errEntries, errIndexed, errNames, errWrite, errComplete, errAudited} {
		if err == nil {
			t.Errorf("call %d succeeds", i)
		}
	}
	if n := names(t, s, consumer); len(n) != 0 {
		t.Errorf("names %v", n)
	}
}

func writers(t *testing.T, s registry.Store) {
	const count, each = 8, 10
	var group sync.WaitGroup
	for w := range count {
		group.Go(func() {
			for n := range each {
				name := fmt.Sprintf("c%d-%d", w, n)
				change := put(name, name, "shared", name)
				change.Set = map[string]string{"claim:" + name: ""}
				if err := s.Write(t.Context(), change); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	got := []int{len(names(t, s, consumer)), len(indexed(t, s, "shared")[0]), len(all(t, s)) - 1}
	if want := []int{count * each, count * each, count * each}; !slices.Equal(got, want) {
		t.Errorf("names, index and fields: %v, want %v", got, want)
	}
}

func reindex(t *testing.T, s registry.Store) {
	write(t, s, put("c", "1", "i"))
	moved := put("c", "2", "j")
	moved.Unindex = []string{"i"}
	write(t, s, moved)
	found := indexed(t, s, "i", "j")
	if len(found[0]) != 0 || found[1]["c"].Value != "2" {
		t.Errorf("moved away: %v", found)
	}
	write(t, s, put("c", "3", "i", "j"))
	found = indexed(t, s, "i", "j")
	if found[0]["c"].Value != "3" || found[0]["c"] != found[1]["c"] {
		t.Errorf("moved back: %v", found)
	}
}
