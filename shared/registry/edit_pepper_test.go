package registry_test

import (
	"testing"
	"time"

	"keyless/shared/registry"
)

// Signing keys are published before the instance that they are of, so that the first edit finds a registry that is not empty: it has
// the pepper all the same, and every later edit hashes under that one.
func TestTheFirstEditBringsThePepperAlsoBehindPublishedKeys(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]func(*bureau){
		"an instance": func(b *bureau) {
			b.must(registry.EditInstance, "acme", `{"id":"acme","description":"d","privacy_agreement":"accepted"}`)
		},
		"a consumer": func(b *bureau) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBureau(t, registry.NewMemory(), "")
			published := registry.Change{Set: map[string]string{"keys_edition": "1"}} // any field will do
			if err := b.store.Write(t.Context(), published); err != nil {
				t.Fatal(err)
			}
			first(b)
			done := b.must(registry.EditConsumer, "c", `{"name":"c","api_key":{}}`)
			snapshot, err := registry.NewReader(b.store, b.keys, time.Now).Snapshot(t.Context())
			if err != nil || len(snapshot.Pepper) == 0 {
				t.Fatalf("no pepper: %v", err)
			}
			stored, err := registry.Load(t.Context(), b.store)
			if err != nil {
				t.Fatal(err)
			}
			hash, err := snapshot.HashAPIKey(done.Generated[0].Secret.Reveal())
			if err != nil || stored.Consumers[0].APIKey.Keys[0].Hash != hash {
				t.Errorf("the generated key is hashed under another pepper: %v", err)
			}
		})
	}
}
