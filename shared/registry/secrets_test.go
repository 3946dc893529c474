package registry_test

import (
	"strings"
	"testing"
	"time"

	"keyless/shared/registry"
	"keyless/shared/seal"
)

const oneClient = `version: 1
instances:
  - {id: a, description: d, privacy_agreement: accepted, clients: [{id: c, name: C, secrets: SECRETS}]}
`

// client is the one of oneClient as it is stored, with the pepper.
func client(t *testing.T, store registry.Store, keys *seal.Keys) (*registry.Client, []byte) {
	t.Helper()
	c, snapshot, err := registry.NewReader(store, keys, time.Now).Client(t.Context(), "a", "c")
	if err != nil || c == nil {
		t.Fatalf("client %v, %v", c, err)
	}
	return c, snapshot.Pepper
}

// Each row is applied on top of a client with the generated secret s1.
func TestClientSecrets(t *testing.T) {
	t.Parallel()
	const brought = "sixteen-letters!"
	place := registry.PlaceClientSecret("a", "c", "s1")
	for name, row := range map[string]struct {
		secrets   string // SEALED and HASH stand for forms of brought
		generated int
		matches   string // "": the first one
		sealed    bool
	}{
		"none written: kept":      {"", 0, "", true},
		"an id alone: kept":       {"[{id: s1}]", 0, "", true},
		"a second id: generated":  {"[{id: s1}, {id: s2}]", 1, "", true},
		"brought":                 {"[{id: s1, value: " + brought + "}]", 0, brought, true},
		"brought, in sealed form": {`[{id: s1, value: "SEALED"}]`, 0, brought, true},
		"brought, in hashed form": {`[{id: s1, value: "HASH"}]`, 0, brought, false},
		"with a state of its own": {"[{id: s1, status: disabled}]", 0, "", true},
		"the instance hashes only": {
			"[{id: s1}]}], secret_storage: hashed, resource_servers: [{identifier: r, name: R", 0, "", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, keys := registry.NewMemory(), masterKeys(t)
			first := apply(t, store, keys, strings.Replace(oneClient, ", secrets: SECRETS", "", 1),
				registry.ApplyOptions{})
			if len(first.Generated) != 1 || first.Generated[0].ID != "s1" {
				t.Fatalf("generated %+v", first.Generated)
			}
			_, pepper := client(t, store, keys)
			sealed, err := keys.Seal(place, []byte(brought))
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Replace(oneClient, ", secrets: SECRETS", "", 1)
			if row.secrets != "" {
				text = strings.Replace(oneClient, "SECRETS", row.secrets, 1)
			}
			text = strings.NewReplacer("SEALED", "sealed: "+sealed,
				"HASH", "hash: "+seal.Hash(pepper, place, brought)).Replace(text)
			for _, generated := range []int{row.generated, 0} { // again: nothing new
				report := apply(t, store, keys, text, registry.ApplyOptions{Prune: true})
				if len(report.Generated) != generated {
					t.Errorf("generated %+v", report.Generated)
				}
			}
			want := row.matches
			if want == "" {
				want = first.Generated[0].Secret.Reveal()
			}
			c, after := client(t, store, keys)
			if string(after) != string(pepper) || !seal.Matches(pepper, place, want, c.Secrets[0].Hash) {
				t.Error("the pepper changed, or the secret does not match")
			}
			if got := strings.HasPrefix(c.Secrets[0].Value.Reveal(), "sealed: "); got != row.sealed {
				t.Errorf("sealed: %v", got)
			}
		})
	}
}

func TestSealedElsewhereIsRefused(t *testing.T) {
	t.Parallel()
	keys := masterKeys(t)
	elsewhere, err := keys.Seal(registry.PlaceClientSecret("a", "other", "s1"), []byte("sixteen-letters!"))
	if err != nil {
		t.Fatal(err)
	}
	store := registry.NewMemory()
	text := strings.Replace(oneClient, "SECRETS", `[{id: s1, value: "sealed: `+elsewhere+`"}]`, 1)
	_, err = registry.Apply(t.Context(), store, keys, config(t, text), registry.ApplyOptions{})
	const want = "instances[0].clients[0].secrets[0].value: does not open: it was sealed under another master " +
		"key or for another object; write it clear"
	if err == nil || err.Error() != want || len(everything(t, store)) != 0 {
		t.Fatalf("%v", err)
	}
}

func TestClientWithoutIDIsFoundByName(t *testing.T) {
	t.Parallel()
	store, keys := registry.NewMemory(), masterKeys(t)
	const text = `version: 1
instances: [{id: a, description: d, privacy_agreement: accepted, clients: [{name: Some client}]}]
`
	first := apply(t, store, keys, text, registry.ApplyOptions{})
	if len(first.Generated) != 2 || first.Generated[0].ID != "client_id" || first.Generated[1].ID != "s1" {
		t.Fatalf("generated %+v", first.Generated)
	}
	id := first.Generated[0].Secret.Reveal()
	if first.Generated[1].Object != "client a/"+id {
		t.Errorf("the secret is of %s", first.Generated[1].Object)
	}
	again := apply(t, store, keys, strings.Replace(text, "{name", "{status: disabled, name", 1),
		registry.ApplyOptions{Prune: true})
	if got := lines(again); len(got) != 1 || got[0] != "change client a/"+id || len(again.Generated) != 0 {
		t.Errorf("%v %v", got, again.Generated)
	}
}

func TestAnotherMasterKeyIsRefused(t *testing.T) {
	t.Parallel()
	store := registry.NewMemory()
	apply(t, store, masterKeys(t), small, registry.ApplyOptions{})
	before := everything(t, store)
	_, err := registry.Apply(t.Context(), store, masterKeys(t), config(t, small), registry.ApplyOptions{})
	if err == nil || len(before) != len(everything(t, store)) {
		t.Fatal(err)
	}
}
