package registry_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keyless/shared/registry"
	"keyless/shared/registry/storetest"
	"keyless/shared/seal"
)

// sealing has one of each secret that is kept sealed.
const sealing = `version: 1
instances:
  - {id: a, description: d, privacy_agreement: accepted, clients: [{id: c, name: C}]}
  - {id: h, description: d, privacy_agreement: accepted, secret_storage: hashed, clients: [{id: c, name: C}]}
upstreams:
  - {name: u, protocol: openai, base_url: "http://h", api_keys: ["sk-provider"]}
apis:
  - {name: m, type: llm, base_path: /m, upstreams: [{upstream: u}]}
global_authentication: {jwks: '` + partnerKey + `', mode: blacklist, rules: [{path: /x}]}
consumers:
  - name: n
    jwt: {jwks: '` + partnerKey + `', value: n}
    api_key: {keys: [{id: k1}, {id: k2}]}
    hmac: {keys: [{access_key: ak1}, {access_key: ak2}]}
`

// sealedSecrets are those of sealing: pepper, client, upstream, global, key set, two API keys, two HMAC secrets.
const sealedSecrets = 9

func ring(t testing.TB, texts ...string) *seal.Keys {
	t.Helper()
	keys, err := seal.ParseKeys(strings.Join(texts, ","))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// rewrapStores are the three that must agree.
func rewrapStores(t *testing.T) map[string]registry.Store {
	all := stores(t)
	all["redis-server"] = registry.NewRedis(connect(t, "redis://"+storetest.Redis(t)), "kg")
	return all
}

// stale lists what of a store's texts, its indexes included, is sealed under an older key.
func stale(t testing.TB, store registry.Store, keys *seal.Keys, indexes ...string) int {
	t.Helper()
	texts := everything(t, store)
	copies, _, err := store.Indexed(t.Context(), indexes...)
	if err != nil {
		t.Fatal(err)
	}
	for i, one := range copies {
		for name, entry := range one {
			texts[indexes[i]+name] = entry.Value
		}
	}
	count := 0
	for _, text := range texts {
		for _, part := range strings.Split(text, "sealed: ")[1:] {
			sealed, _, _ := strings.Cut(part, `"`)
			if keys.Stale(sealed) {
				count++
			}
		}
	}
	return count
}

func TestS2RewrapSealsEverythingAnew(t *testing.T) {
	t.Parallel()
	for name, store := range rewrapStores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			older, newer := seal.NewMasterKey(), seal.NewMasterKey()
			apply(t, store, ring(t, older), sealing, registry.ApplyOptions{})
			index := []string{registry.IndexJWT("uid", "n"), registry.IndexHMAC("ak1"), registry.IndexHMAC("ak2")}
			both, before := ring(t, newer, older), everything(t, store)
			if got := stale(t, store, both, index...); got != sealedSecrets+3*5 {
				t.Fatalf("%d secrets are sealed under the older key", got)
			}
			held := consulted(t, store, ring(t, older))
			for _, want := range []int{sealedSecrets, 0} {
				w, err := registry.Rewrap(t.Context(), store, both)
				if err != nil || w.Sealed != want || len(w.Failed) > 0 || w.Missed > 0 {
					t.Fatalf("%+v, error %v; want %d sealed", w, err, want)
				}
			}
			if got := stale(t, store, both, index...); got != 0 {
				t.Errorf("%d secrets are still sealed under the older key", got)
			}
			after := everything(t, store)
			if after["revision"] != before["revision"] {
				t.Error("the revision moved: everybody loads what did not change")
			}
			for key, text := range before { // versions too: who holds an entry holds the same
				if strings.HasPrefix(key, "consumer ") && strings.Fields(after[key])[0] != strings.Fields(text)[0] {
					t.Errorf("%s has another version", key)
				}
			}
			if got := consulted(t, store, ring(t, newer)); got != held {
				t.Errorf("under the newer key alone:\n%s\nbefore:\n%s", got, held)
			}
			again := apply(t, store, ring(t, newer), sealing, registry.ApplyOptions{Prune: true})
			if len(again.Changes) != 0 {
				t.Errorf("applying the same changes %v", lines(again))
			}
		})
	}
}

// consulted is what a process with the keys makes of the secrets.
func consulted(t testing.TB, store registry.Store, keys *seal.Keys) string {
	t.Helper()
	reader := registry.NewReader(store, keys, time.Now)
	var all []string
	err := reader.Consult(t.Context(), func(v registry.View) (registry.Result, error) {
		list, err := v.Consumers(t.Context(), registry.IndexJWT("uid", "n"))
		if err != nil || len(list) != 1 {
			t.Fatalf("%d consumers, %v", len(list), err)
		}
		c := list[0]
		all = append(all, string(v.Pepper), v.Upstreams["u"].APIKeys[0].Reveal(), c.JWT.Keys()[0].Thumbprint)
		for _, key := range c.HMAC.Keys {
			all = append(all, key.SecretKey.Reveal())
		}
		for _, key := range c.APIKey.Keys {
			all = append(all, key.Hash)
		}
		return registry.Final, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "\n")
}

// cutting is a store whose calls fail after a number of them, as a process that is killed ends.
type cutting struct {
	registry.Resealer
	left int
}

var errKilled = errors.New("killed")

func (c *cutting) ResealField(ctx context.Context, field, before, after string) (bool, error) {
	if c.left--; c.left < 0 {
		return false, errKilled
	}
	return c.Resealer.ResealField(ctx, field, before, after)
}

// ResealEntry is killed between the indexes, too.
func (c *cutting) ResealEntry(
	ctx context.Context, kind registry.Kind, name string, before registry.Entry, after string, indexes []string,
) (bool, error) {
	for len(indexes) > 0 {
		if c.left--; c.left < 0 {
			return false, errKilled
		}
		// A version that is nobody's leaves the entry alone and does the index.
		missed := registry.Entry{Version: before.Version, Value: before.Value + " "}
		if _, err := c.Resealer.ResealEntry(ctx, kind, name, missed, after, indexes[:1]); err != nil {
			return false, err
		}
		indexes = indexes[1:]
	}
	if c.left--; c.left < 0 {
		return false, errKilled
	}
	return c.Resealer.ResealEntry(ctx, kind, name, before, after, nil)
}

func TestS2RewrapIsResumed(t *testing.T) {
	t.Parallel()
	for name, store := range rewrapStores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			older, newer := seal.NewMasterKey(), seal.NewMasterKey()
			apply(t, store, ring(t, older), sealing, registry.ApplyOptions{})
			both := ring(t, newer, older)
			held := consulted(t, store, both)
			for left := 0; ; left++ {
				_, err := registry.Rewrap(t.Context(), &cutting{store.(registry.Resealer), left}, both)
				if got := consulted(t, store, both); got != held {
					t.Fatalf("cut after %d writes, something is lost", left)
				}
				if err == nil {
					break
				}
				if !errors.Is(err, errKilled) {
					t.Fatal(err)
				}
			}
			index := []string{registry.IndexJWT("uid", "n"), registry.IndexHMAC("ak1"), registry.IndexHMAC("ak2")}
			if got := stale(t, store, both, index...); got != 0 {
				t.Errorf("%d secrets are left under the older key", got)
			}
			if got := consulted(t, store, ring(t, newer)); got != held {
				t.Error("under the newer key alone something is lost")
			}
		})
	}
}

// A change that comes while a rewrap runs is never undone by it.
func TestS2RewrapUndoesNoChange(t *testing.T) {
	t.Parallel()
	for name, store := range rewrapStores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			older, newer := seal.NewMasterKey(), seal.NewMasterKey()
			apply(t, store, ring(t, older), sealing, registry.ApplyOptions{})
			both := ring(t, newer, older)
			disabled := strings.Replace(sealing, "- name: n\n", "- name: n\n    status: disabled\n", 1)
			var group sync.WaitGroup
			group.Go(func() { apply(t, store, both, disabled, registry.ApplyOptions{}) })
			group.Go(func() {
				for range 5 {
					if _, err := registry.Rewrap(context.WithoutCancel(t.Context()), store, both); err != nil {
						t.Error(err)
					}
				}
			})
			group.Wait()
			if _, err := registry.Rewrap(t.Context(), store, both); err != nil {
				t.Fatal(err)
			}
			entries, _, err := store.Entries(t.Context(), registry.KindConsumer, "n")
			if err != nil || !strings.Contains(entries["n"].Value, `"status":"disabled"`) {
				t.Fatalf("the consumer is enabled again: %v", err)
			}
			copies, _, err := store.Indexed(t.Context(), registry.IndexJWT("uid", "n"))
			if err != nil || !maps.Equal(copies[0], entries) {
				t.Errorf("the index holds another edition than the entry: %v", err)
			}
		})
	}
}

func TestS2RewrapNamesWhatDoesNotOpen(t *testing.T) {
	t.Parallel()
	store, lost, older, newer := registry.NewMemory(), seal.NewMasterKey(), seal.NewMasterKey(), seal.NewMasterKey()
	apply(t, store, ring(t, lost), sealing, registry.ApplyOptions{})
	w, err := registry.Rewrap(t.Context(), store, ring(t, newer, older))
	if err != nil || w.Sealed != 0 || len(w.Failed) != sealedSecrets || !slices.Contains(w.Failed, "upstream/u/api_keys/0") {
		t.Fatalf("%+v, error %v", w, err)
	}
	if _, err := registry.Rewrap(t.Context(), store, nil); err == nil {
		t.Error("without master keys it succeeds")
	}
}
