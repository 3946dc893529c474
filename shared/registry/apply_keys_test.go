package registry_test

import (
	"fmt"
	"hash/crc32"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"keyless/shared/registry"
	"keyless/shared/seal"
)

// oneConsumer has a consumer with the credentials C.
const oneConsumer = `version: 1
apis: [{name: p, type: http, base_path: /p}, {name: q, type: http, base_path: /q}]
consumers: [{name: one, C, authorizations: [{api: p}], limits: {calls_per_day: 7}}]
`

func consumerWith(credentials string) string {
	return strings.Replace(oneConsumer, "C", credentials, 1)
}

// keyring is a registry under test.
type keyring struct {
	t     *testing.T
	store registry.Store
	keys  *seal.Keys
}

func newKeyring(t *testing.T) *keyring {
	t.Helper()
	return &keyring{t, registry.NewMemory(), masterKeys(t)}
}

func (k *keyring) apply(text string) registry.Report {
	k.t.Helper()
	return apply(k.t, k.store, k.keys, text, registry.ApplyOptions{Prune: true})
}

// one reads the consumer, found under the index; nil where none is.
func (k *keyring) one(index string) *registry.Consumer {
	k.t.Helper()
	var c *registry.Consumer
	err := registry.NewReader(k.store, k.keys, time.Now).Consult(k.t.Context(), func(v registry.View) (registry.Result, error) {
		list, err := v.Consumers(k.t.Context(), index)
		if len(list) > 0 {
			c = list[0]
		}
		return registry.Final, err
	})
	if err != nil {
		k.t.Fatal(err)
	}
	return c
}

func (k *keyring) snapshot() *registry.Snapshot {
	k.t.Helper()
	s, err := registry.NewReader(k.store, k.keys, time.Now).Snapshot(k.t.Context())
	if err != nil {
		k.t.Fatal(err)
	}
	return s
}

func (k *keyring) hash(value string) string {
	k.t.Helper()
	hash, err := k.snapshot().HashAPIKey(value)
	if err != nil {
		k.t.Fatal(err)
	}
	return hash
}

// holder is the consumer that a key at a place leads to, and that has it.
func (k *keyring) holder(place registry.Place, value string) *registry.Consumer {
	k.t.Helper()
	hash := k.hash(value)
	c := k.one(registry.IndexAPIKey(place, hash))
	if c != nil && (c.APIKey == nil || !c.APIKey.Holds(hash, time.Now())) {
		k.t.Errorf("the index leads to %s, which has not the key", c.Name)
	}
	return c
}

// fields are the names of those that say what consumers use.
func (k *keyring) fields() []string {
	k.t.Helper()
	all, err := k.store.Fields(k.t.Context())
	if err != nil {
		k.t.Fatal(err)
	}
	var names []string
	for name := range all {
		switch kind, _, _ := strings.Cut(name, ":"); kind {
		case "claim", "jwtplace", "keyplace", "authorized":
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

var headerPlace = registry.Place{In: "header", Name: "x-key"}

func TestGeneratedAPIKeys(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^kg_[A-Za-z0-9_-]{43}_[0-9a-z]{7}$`)
	seen := map[string]bool{}
	for range 1000 {
		key := registry.NewAPIKey()
		body, sum := key[:len(key)-8], key[len(key)-7:]
		n, err := strconv.ParseUint(sum, 36, 64)
		if !form.MatchString(key) || seen[key] || err != nil || uint32(n) != crc32.ChecksumIEEE([]byte(body)) || n > 1<<32-1 {
			t.Fatalf("%q, checksum %d, %v", key, n, err)
		}
		seen[key] = true
	}
}

func TestAPIKeyIsGeneratedOnceAndKept(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	first := k.apply(consumerWith("api_key: {}"))
	if len(first.Generated) != 1 || first.Generated[0].Object != "consumer one" || first.Generated[0].ID != "api_key.k1" {
		t.Fatalf("%+v", first.Generated)
	}
	value := first.Generated[0].Secret.Reveal()
	if c := k.holder(registry.BearerPlace, value); c == nil || c.Name != "one" {
		t.Fatalf("found %v", c)
	}
	before := everything(t, k.store)
	for _, text := range []string{"api_key: {}", "api_key: {source: bearer}"} {
		again := k.apply(consumerWith(text))
		if len(again.Generated) > 0 || k.holder(registry.BearerPlace, value) == nil {
			t.Errorf("%s: %+v", text, again)
		}
	}
	if again := k.apply(consumerWith("api_key: {}")); len(again.Changes) > 1 {
		t.Errorf("%+v", again.Changes)
	}
	k.apply(consumerWith("api_key: {}"))
	for name, value := range before {
		if strings.HasPrefix(name, "pepper") && everything(t, k.store)[name] != value {
			t.Error("the pepper has changed")
		}
	}
	dry, err := registry.Apply(t.Context(), registry.NewMemory(), k.keys, config(t, consumerWith("api_key: {}")), registry.ApplyOptions{DryRun: true})
	if err != nil || len(dry.Generated) != 1 || dry.Generated[0].Secret != "" {
		t.Errorf("a dry run: %+v, %v", dry.Generated, err)
	}
}

func TestAPIKeyForms(t *testing.T) {
	t.Parallel()
	const brought = "a-key-that-is-brought"
	for name, row := range map[string]struct {
		keys      string // SEALED and HASH stand for forms of brought
		generated int
		found     bool // by brought
		sealed    bool
	}{
		"brought":                {"[{id: k1, value: " + brought + "}]", 0, true, true},
		"brought, sealed":        {`[{id: k1, value: "SEALED"}]`, 0, true, true},
		"brought, hashed":        {`[{id: k1, value: "HASH"}]`, 0, true, false},
		"brought, and generated": {"[{id: k1, value: " + brought + "}, {id: k2}]", 1, true, true},
		"under another id":       {"[{id: k2, value: " + brought + "}]", 0, true, true},
		"generated":              {"[{id: k2}]", 1, false, true},
		"disabled":               {"[{id: k1, value: " + brought + ", status: disabled}]", 0, true, true},
	} {
		k := newKeyring(t)
		k.apply(consumerWith("api_key: {}"))
		sealed, err := k.keys.Seal("consumer/one/api_key/k1", []byte(brought))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer("SEALED", "sealed: "+sealed, "HASH", "hash: "+k.hash(brought)).Replace(row.keys)
		report := k.apply(consumerWith("api_key: {keys: " + text + "}"))
		if len(report.Generated) != row.generated {
			t.Errorf("%s: generated %+v", name, report.Generated)
		}
		c := k.one(registry.IndexAPIKey(registry.BearerPlace, k.hash(brought)))
		if (c != nil) != row.found {
			t.Errorf("%s: found %v", name, c)
			continue
		}
		if c != nil && strings.HasPrefix(c.APIKey.Keys[0].Value.Reveal(), "sealed: v1:") != row.sealed {
			t.Errorf("%s: kept as %q", name, c.APIKey.Keys[0].Value.Reveal())
		}
		before := everything(t, k.store)
		if again := k.apply(consumerWith("api_key: {keys: " + text + "}")); len(again.Changes)+len(again.Generated) > 0 {
			t.Errorf("%s, again: %+v", name, again)
		}
		if !maps.Equal(before, everything(t, k.store)) {
			t.Errorf("%s, again: something was written", name)
		}
	}
}

// An entry in a registry that is read whole and applied elsewhere under the same master key is the same.
func TestKeysAreReadBack(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	first := k.apply(consumerWith("api_key: {source: {header: X-Key}, keys: [{id: a}, {id: b}]}, hmac: {window: 5m, keys: [{access_key: AK}]}"))
	if len(first.Generated) != 3 {
		t.Fatalf("%+v", first.Generated)
	}
	whole, err := registry.Load(t.Context(), k.store)
	if err != nil {
		t.Fatal(err)
	}
	again, err := registry.Apply(t.Context(), k.store, k.keys, whole, registry.ApplyOptions{Prune: true})
	if err != nil || len(again.Changes)+len(again.Generated) > 0 {
		t.Errorf("%+v, %v", again, err)
	}
	secret := first.Generated[2].Secret.Reveal()
	c := k.one(registry.IndexHMAC("AK"))
	if c == nil || c.HMAC.Keys[0].SecretKey.Reveal() != secret || len(secret) != 43 || c.HMAC.Window.Or(0) != 5*time.Minute {
		t.Errorf("the reader opens %+v", c)
	}
	for _, g := range first.Generated[:2] {
		if k.holder(headerPlace, g.Secret.Reveal()) == nil {
			t.Errorf("%s leads nowhere", g.ID)
		}
	}
	stored := fmt.Sprint(everything(t, k.store))
	for _, g := range first.Generated {
		if strings.Contains(stored, g.Secret.Reveal()) {
			t.Errorf("%s is stored clear", g.ID)
		}
	}
	moved := newKeyring(t)
	moved.keys = k.keys
	if _, err := registry.Apply(t.Context(), moved.store, moved.keys, whole, registry.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	if c := moved.one(registry.IndexHMAC("AK")); c == nil || c.HMAC.Keys[0].SecretKey.Reveal() != secret {
		t.Errorf("elsewhere: %+v", c)
	}
}

func TestHMACSecretIsGeneratedOnceAndKept(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	first := k.apply(consumerWith("hmac: {keys: [{access_key: AK}]}"))
	if len(first.Generated) != 1 || first.Generated[0].ID != "hmac.AK" {
		t.Fatalf("%+v", first.Generated)
	}
	secret := func() string { return k.one(registry.IndexHMAC("AK")).HMAC.Keys[0].SecretKey.Reveal() }
	if secret() != first.Generated[0].Secret.Reveal() {
		t.Error("another secret is kept than is told")
	}
	second := k.apply(consumerWith("hmac: {keys: [{access_key: AK, status: disabled}, {access_key: BK}]}"))
	if len(second.Generated) != 1 || secret() != first.Generated[0].Secret.Reveal() {
		t.Errorf("%+v", second.Generated)
	}
	sealed, err := k.keys.Seal("consumer/one/hmac/AK", []byte("a-sealed-secret-of-it"))
	if err != nil {
		t.Fatal(err)
	}
	if k.apply(consumerWith(`hmac: {keys: [{access_key: AK, secret_key: "sealed: ` + sealed + `"}]}`)); secret() != "a-sealed-secret-of-it" {
		t.Error("a sealed secret does not open")
	}
	k.apply(consumerWith("hmac: {keys: [{access_key: AK, secret_key: a-brought-secret-xx}]}"))
	if secret() != "a-brought-secret-xx" || k.one(registry.IndexHMAC("BK")) != nil {
		t.Error("a brought secret, and a key that was removed")
	}
	_, err = registry.Apply(t.Context(), k.store, k.keys,
		config(t, consumerWith(`hmac: {keys: [{access_key: OTHER, secret_key: "sealed: `+sealed+`"}]}`)), registry.ApplyOptions{})
	if err == nil || !strings.Contains(err.Error(), "consumers[0].hmac.keys[0].secret_key: does not open") {
		t.Errorf("sealed for another access key: %v", err)
	}
}

// What is removed leads nowhere any more, and what moves leads there from its new place alone.
func TestIndexesFollowTheKeys(t *testing.T) {
	t.Parallel()
	const a, b = "a-key-that-is-brought", "b-key-that-is-brought"
	k := newKeyring(t)
	k.apply(consumerWith("api_key: {keys: [{id: a, value: " + a + "}, {id: b, value: " + b + "}]}"))
	want := func(what string, place registry.Place, value string, found bool) {
		t.Helper()
		if (k.holder(place, value) != nil) != found {
			t.Errorf("%s: %v at %s", what, !found, place)
		}
	}
	want("two keys", registry.BearerPlace, a, true)
	want("two keys", registry.BearerPlace, b, true)
	k.apply(consumerWith("api_key: {keys: [{id: b}]}"))
	want("one removed", registry.BearerPlace, a, false)
	want("one kept", registry.BearerPlace, b, true)
	k.apply(consumerWith("api_key: {source: {header: X-KEY}, keys: [{id: b}]}"))
	want("moved from", registry.BearerPlace, b, false)
	want("moved to", headerPlace, b, true)
	k.apply(consumerWith("api_key: {source: {query: k}}"))
	want("moved from", headerPlace, b, false)
	want("moved to", registry.Place{In: "query", Name: "k"}, b, true)
	k.apply("version: 1\n")
	want("removed", registry.Place{In: "query", Name: "k"}, b, false)
	if got := k.fields(); len(got) != 0 {
		t.Errorf("fields left: %v", got)
	}
}

// Holds looks at every key, and at the state and time of the one that fits.
func TestHolds(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	later := now.Add(time.Nanosecond)
	keys := []registry.APIKey{
		{Hash: "first"}, {Hash: "off", Status: registry.Disabled}, {Hash: "ended", ExpiresAt: &now}, {Hash: "ends", ExpiresAt: &later}, {Hash: "last"},
	}
	for hash, want := range map[string]bool{
		"first": true, "last": true, "ends": true, "ended": false, "off": false, "": false, "firs": false, "firstx": false, "First": false,
	} {
		if got := (&registry.APIKeyCredential{Keys: keys}).Holds(hash, now); got != want {
			t.Errorf("%q: %v", hash, got)
		}
	}
	twice := registry.APIKeyCredential{Keys: []registry.APIKey{{Hash: "h", Status: registry.Disabled}, {Hash: "h"}}}
	if !twice.Holds("h", now) {
		t.Error("one of two equal keys is in use")
	}
}

func TestOnceIsOncePerConsultation(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.hire(t, "c", "enabled", "i")
	asked := 0
	use := func() (bool, error) { asked++; return asked == 1, nil }
	attempts := 0
	ask := func(v registry.View) (registry.Result, error) {
		if attempts++; attempts > 3 {
			attempts = 3
		}
		first, err := v.Once("k", use)
		if err != nil || first != (asked == 1) {
			t.Errorf("attempt %d: %v, %v", attempts, first, err)
		}
		if attempts < 3 {
			return registry.Stale, nil
		}
		return registry.Final, nil
	}
	if err := o.consult(t, ask); err != nil || asked != 1 {
		t.Errorf("%d times, %v", asked, err)
	}
	if err := o.consult(t, ask); err != nil || asked != 2 {
		t.Errorf("the next consultation: %d times, %v", asked, err)
	}
}
