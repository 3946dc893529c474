package registry_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"keyless/shared/registry"
	"keyless/shared/registry/storetest"
)

// Fifty editors at once, in five processes, lose no update: each saves what it saw plus its own line, and goes on from what stands there
// when it is told of a conflict.
func TestA1FiftyEditorsLoseNoUpdate(t *testing.T) {
	t.Parallel()
	address := "redis://" + storetest.Redis(t)
	shared := registry.NewMemory()
	for name, open := range map[string]func() registry.Store{
		"memory": func() registry.Store { return shared },
		"redis":  func() registry.Store { return registry.NewRedis(connect(t, address), "kg") },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBureau(t, open(), small)
			const processes, editors = 5, 10
			var group sync.WaitGroup
			for p := range processes {
				process := &bureau{t: t, Editor: registry.NewEditor(open(), b.keys, time.Now)}
				for i := range editors {
					group.Go(func() {
						process.addGroup(t, fmt.Sprintf("g%d-%d", p, i))
						_, err := process.Edit(t.Context(), registry.Edit{
							Kind: "consumer", Name: fmt.Sprintf("c%d-%d", p, i), Object: json.RawMessage(`{"api_key":{}}`), Match: registry.MatchNew,
						})
						if err != nil {
							t.Errorf("editor %d of %d: %v", i, p, err)
						}
					})
				}
			}
			group.Wait()
			b.whole()
			var one registry.Consumer
			err := json.Unmarshal(b.object("consumer", "one").Value, &one)
			if err != nil || len(one.Groups) != processes*editors+1 {
				t.Errorf("%d groups, %v", len(one.Groups), err)
			}
			entries, err := b.Audit(t.Context(), 0, 500)
			if err != nil || len(entries) < 3*processes*editors {
				t.Errorf("%d audit entries, %v", len(entries), err)
			}
		})
	}
}

func (b *bureau) addGroup(t *testing.T, name string) {
	if _, err := b.Edit(t.Context(), registry.Edit{Kind: "group", Name: name, Object: json.RawMessage(`{}`), Match: registry.MatchNew}); err != nil {
		t.Errorf("group %s: %v", name, err)
	}
	for {
		seen, err := b.Object(t.Context(), "consumer", "one")
		if err != nil {
			t.Error(err)
			return
		}
		text := strings.Replace(string(seen.Value), `"groups":[`, `"groups":["`+name+`",`, 1)
		_, err = b.Edit(t.Context(), registry.Edit{Kind: "consumer", Name: "one", Object: json.RawMessage(text), Match: seen.Version})
		var conflict *registry.ConflictError
		if errors.As(err, &conflict) {
			continue
		}
		if err != nil {
			t.Errorf("group %s: %v", name, err)
		}
		return
	}
}

// Ten thousand consumers are applied in seconds, and it is told how far it is; a wrong line changes nothing.
func TestTenThousandConsumers(t *testing.T) {
	t.Parallel()
	if testing.Short() && os.Getenv("KEYLESS_TEST_ALL") == "" {
		t.Skip("NOT RUN: in a short run")
	}
	const count = 10_000
	want := &registry.Config{Version: 1}
	for i := range count {
		want.Consumers = append(want.Consumers, registry.Consumer{
			Name: fmt.Sprintf("c%d", i), JWT: &registry.JWTCredential{JWKSURL: "http://h/k", Value: fmt.Sprintf("v%d", i)},
		})
	}
	store, keys := registry.NewRedis(connect(t, "redis://"+storetest.Redis(t)), "kg"), masterKeys(t)
	want.Consumers[count-1].Groups = []string{"nobody"}
	if _, err := registry.Apply(t.Context(), store, keys, want, registry.ApplyOptions{}); err == nil || len(everything(t, store)) != 0 {
		t.Fatalf("a wrong line: %v", err)
	}
	want.Consumers[count-1].Groups = nil
	began, last := time.Now(), 0
	report, err := registry.Apply(t.Context(), store, keys, want, registry.ApplyOptions{Progress: func(done, all int) {
		if done != last+1 || all != count+1 {
			t.Errorf("%d of %d after %d", done, all, last)
		}
		last = done
	}})
	if err != nil || len(report.Changes) != count+1 || last != count+1 {
		t.Fatalf("%d changes, %d told, %v", len(report.Changes), last, err)
	}
	t.Logf("%d consumers in %s", count, time.Since(began))
	b := &bureau{t: t, store: store, keys: keys, Editor: registry.NewEditor(store, keys, time.Now)}
	began = time.Now()
	if _, err := b.put("consumer", "c77", `{"jwt":{"jwks_url":"http://h/k","value":"other"}}`); err != nil {
		t.Error(err)
	}
	t.Logf("an edit among them in %s", time.Since(began))
	list, next, err := b.List(t.Context(), "consumer", registry.ListOptions{Prefix: "c99", Limit: 100})
	if err != nil || len(list) != 100 || next == "" {
		t.Errorf("%d listed, next %q, %v", len(list), next, err)
	}
}
