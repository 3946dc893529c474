package registry_test

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/alicebob/miniredis/v2"

	"keyless/shared/registry"
	"keyless/shared/registry/file"
	"keyless/shared/seal"
)

const partnerKey = `{"kty":"oct","alg":"HS256","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`

// config reads a text of the file's form, so that a test says what an operator would write.
func config(t testing.TB, text string) *registry.Config {
	t.Helper()
	config, _, err := file.Read("gateway.yaml", []byte(text), func(name string) (string, bool) {
		value, ok := map[string]string{
			"KEYLESS_PUBLIC_URL": "http://127.0.0.1:8080", "NIGHTLY_REPORT_SECRET": "a-secret-of-the-night",
			"DASHSCOPE_API_KEY": "sk-dashscope", "PARTNER_JWK": partnerKey,
		}[name]
		return value, ok
	})
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func built(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("file/testdata/built.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func masterKeys(t testing.TB) *seal.Keys {
	t.Helper()
	keys, err := seal.ParseKeys(seal.NewMasterKey())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func apply(
	t testing.TB, store registry.Store, keys *seal.Keys, text string, o registry.ApplyOptions,
) registry.Report {
	t.Helper()
	report, err := registry.Apply(t.Context(), store, keys, config(t, text), o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// stores are what Apply writes to.
func stores(t *testing.T) map[string]registry.Store {
	t.Helper()
	server := miniredis.RunT(t)
	client, err := registry.Connect("redis://" + server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return map[string]registry.Store{"memory": registry.NewMemory(), "redis": registry.NewRedis(client, "kg")}
}

// everything is a store's whole content, for comparing two moments.
func everything(t testing.TB, store registry.Store) map[string]string {
	t.Helper()
	all, err := store.Fields(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []registry.Kind{registry.KindClient, registry.KindConsumer} {
		names, err := store.Names(t.Context(), kind)
		if err != nil {
			t.Fatal(err)
		}
		entries, _, err := store.Entries(t.Context(), kind, names...)
		if err != nil {
			t.Fatal(err)
		}
		for name, entry := range entries {
			all[string(kind)+" "+name] = entry.Version + " " + entry.Value
		}
	}
	return all
}

func lines(report registry.Report) []string {
	var list []string
	for _, c := range report.Changes {
		list = append(list, strings.TrimSpace(c.Action+" "+c.Kind+" "+c.Name))
	}
	return list
}

func TestApplyIsReadBack(t *testing.T) {
	t.Parallel()
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			keys := masterKeys(t)
			report := apply(t, store, keys, built(t), registry.ApplyOptions{Prune: true})
			if len(report.Generated) != 5 || len(report.Changes) != 24 || report.Revision == "" {
				t.Fatalf("report %+v", report)
			}
			reader := registry.NewReader(store, keys, time.Now)
			snapshot, err := reader.Snapshot(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if snapshot.Revision != report.Revision || len(snapshot.Pepper) != 32 {
				t.Errorf("revision %s, pepper of %d bytes", snapshot.Revision, len(snapshot.Pepper))
			}
			if key := snapshot.Upstreams["model-studio"].APIKeys[0].Reveal(); key != "sk-dashscope" {
				t.Errorf("the upstream's key is %q", key)
			}
			if got := snapshot.Claims; !slices.Equal(got, []string{"scope", "uid"}) {
				t.Errorf("claims %v", got)
			}
			if got := snapshot.Domain("ai.acme.example:443").Name; got != "ai.acme.example" {
				t.Errorf("domain %s", got)
			}
			if len(snapshot.JWTPlaces) != 2 || snapshot.Global == nil || snapshot.Instances["acme"].Clients != nil {
				t.Errorf("snapshot %+v", snapshot)
			}
			checkConsumers(t, reader, report)
			checkClient(t, reader, snapshot)
		})
	}
}

func checkConsumers(t *testing.T, reader *registry.Reader, report registry.Report) {
	t.Helper()
	i := slices.IndexFunc(report.Generated, func(g registry.GeneratedSecret) bool {
		return g.Object == "consumer partner-shared-key" && g.ID == "jwt.value"
	})
	if i < 0 || len(report.Generated[i].Secret) != 32 {
		t.Fatalf("generated %+v", report.Generated)
	}
	err := reader.Consult(t.Context(), func(v registry.View) (registry.Result, error) {
		found, err := v.Consumers(t.Context(), registry.IndexJWT("scope", "model.invoke"),
			registry.IndexJWT("uid", report.Generated[i].Secret.Reveal()))
		if err != nil || len(found) != 2 {
			t.Fatalf("found %v, %v", found, err)
		}
		if c := found[0]; c.Name != "nightly-report" || c.JWT.Skew == nil || *c.JWT.Skew != 0 {
			t.Errorf("first %+v", c)
		}
		if c := found[1]; len(c.JWT.Keys()) != 1 || strings.Contains(c.JWT.JWKS.Reveal(), "AAAA") {
			t.Errorf("the shared key is not sealed, or does not open: %d keys", len(c.JWT.Keys()))
		}
		return registry.Final, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkClient(t *testing.T, reader *registry.Reader, snapshot *registry.Snapshot) {
	t.Helper()
	client, _, err := reader.Client(t.Context(), "acme", "nightly-report")
	if err != nil || client == nil || len(client.Secrets) != 2 {
		t.Fatalf("client %+v, %v", client, err)
	}
	place := registry.PlaceClientSecret("acme", "nightly-report", "s1")
	s := client.Secrets[0]
	if !seal.Matches(snapshot.Pepper, place, "a-secret-of-the-night", s.Hash) {
		t.Error("the secret does not match its hash")
	}
	if !strings.HasPrefix(s.Value.Reveal(), "sealed: v1:") {
		t.Error("the secret is not sealed")
	}
	hashed, _, err := reader.Client(t.Context(), "hashed", "c1")
	if err != nil || hashed.Secrets[0].Value != "" || hashed.Secrets[0].Hash == "" {
		t.Errorf("an instance that keeps hashes only keeps %+v, %v", hashed.Secrets, err)
	}
}

func TestNoClearSecretIsStored(t *testing.T) {
	t.Parallel()
	store := registry.NewMemory()
	report := apply(t, store, masterKeys(t), built(t), registry.ApplyOptions{})
	secrets := []string{"a-secret-of-the-night", "sk-dashscope", "AAAAAAAA", "k-1"}
	for _, g := range report.Generated {
		if g.ID != "jwt.value" && g.ID != "client_id" {
			secrets = append(secrets, g.Secret.Reveal())
		}
	}
	for place, value := range everything(t, store) {
		for _, secret := range secrets {
			if strings.Contains(value, `"`+secret) || strings.Contains(value, `\"`+secret) {
				t.Errorf("%s holds a secret", place)
			}
		}
	}
}

func TestApplyTwiceWritesNothing(t *testing.T) {
	t.Parallel()
	for name, store := range stores(t) {
		keys := masterKeys(t)
		first := apply(t, store, keys, built(t), registry.ApplyOptions{})
		before := everything(t, store)
		for _, o := range []registry.ApplyOptions{{}, {Prune: true}, {DryRun: true}} {
			again := apply(t, store, keys, built(t), o)
			if len(again.Changes)+len(again.Generated)+len(again.Extra) > 0 || again.Revision != first.Revision {
				t.Errorf("%s %+v: %+v", name, o, again)
			}
		}
		if !maps.Equal(before, everything(t, store)) {
			t.Errorf("%s: something was written", name)
		}
	}
}

func TestDryRunWritesNothing(t *testing.T) {
	t.Parallel()
	store := registry.NewMemory()
	report := apply(t, store, masterKeys(t), built(t), registry.ApplyOptions{DryRun: true})
	if len(report.Changes) != 24 || len(everything(t, store)) != 0 {
		t.Fatalf("%d changes, store %v", len(report.Changes), everything(t, store))
	}
	for _, g := range report.Generated {
		if g.Secret != "" {
			t.Error("a dry run shows a secret that nobody keeps")
		}
	}
}

func TestFaultsWriteNothing(t *testing.T) {
	t.Parallel()
	store := registry.NewMemory()
	_, err := registry.Apply(t.Context(), store, masterKeys(t), &registry.Config{}, registry.ApplyOptions{})
	var faults registry.Faults
	if !errors.As(err, &faults) || len(everything(t, store)) != 0 {
		t.Fatalf("%v, store %v", err, everything(t, store))
	}
}

const small = `version: 1
instances:
  - id: a
    description: d
    privacy_agreement: accepted
    resource_servers: [{identifier: rs, name: n, scopes: [{value: x, name: X}, {value: y, name: Y}]}]
    clients: [{id: c, name: C, permissions: [{resource_server: rs, scopes: [x, y]}]}]
upstreams: [{name: u, protocol: http, base_url: "http://127.0.0.1:1", api_keys: ["key"]}]
apis: [{name: p, type: http, base_path: /p, upstreams: [{upstream: u}]}]
groups: [{name: g}]
consumers: [{name: one, groups: [g], jwt: {jwks_url: http://h/k, value: v}, authorizations: [{api: p}]}]
`

func TestPrune(t *testing.T) {
	t.Parallel()
	for name, store := range stores(t) {
		keys := masterKeys(t)
		apply(t, store, keys, small, registry.ApplyOptions{})
		kept := apply(t, store, keys, "version: 1\n", registry.ApplyOptions{})
		want := []string{"instance a", "client a/c", "upstream u", "api p", "group g", "consumer one"}
		if len(kept.Changes) != 0 || !slices.Equal(kept.Extra, want) {
			t.Errorf("%s: %+v", name, kept)
		}
		pruned := apply(t, store, keys, "version: 1\n", registry.ApplyOptions{Prune: true})
		wantLines := []string{"remove consumer one", "remove client a/c", "remove api p", "remove group g",
			"remove upstream u", "remove instance a"}
		if !slices.Equal(lines(pruned), wantLines) || len(pruned.Extra) != 0 {
			t.Errorf("%s: %v", name, lines(pruned))
		}
		left := slices.Sorted(maps.Keys(everything(t, store)))
		if !slices.Equal(left, []string{"domain:default", "format", "pepper", "revision"}) {
			t.Errorf("%s: left %v", name, left)
		}
		found, _, err := store.Indexed(t.Context(), registry.IndexJWT("uid", "v"))
		if err != nil || len(found[0]) != 0 {
			t.Errorf("%s: an index still leads to %v, %v", name, found, err)
		}
	}
}

// What stays in the registry is judged together with the file.
func TestExtrasAreJudged(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ text, want string }{
		"a base path that another API has": {
			"version: 1\napis: [{name: q, type: http, base_path: /p}]\n",
			`apis[1].base_path: of the api p, which the registry has and the file lacks: is the base path of the ` +
				`API "q" on the same domain too; write another path or domain (or remove it: --prune)`,
		},
		"a scope that another client needs": {
			strings.Replace(strings.Replace(small, ", {value: y, name: Y}", "", 1), "    clients:", "    #", 1),
			`instances[0].clients[0].permissions[0].scopes[1]: of the client a/c, which the registry has and the ` +
				`file lacks: "y" is not a scope of that resource server; write one of: x (or remove it: --prune)`,
		},
	} {
		store, keys := registry.NewMemory(), masterKeys(t)
		apply(t, store, keys, small, registry.ApplyOptions{})
		before := everything(t, store)
		_, err := registry.Apply(t.Context(), store, keys, config(t, row.text), registry.ApplyOptions{})
		if err == nil || err.Error() != row.want {
			t.Errorf("%s: %v", name, err)
		}
		if !maps.Equal(before, everything(t, store)) {
			t.Errorf("%s: something was written", name)
		}
		if _, err := registry.Apply(t.Context(), store, keys, config(t, row.text),
			registry.ApplyOptions{Prune: true}); err != nil {
			t.Errorf("%s, pruned: %v", name, err)
		}
	}
}

func TestIndexFollowsTheClaim(t *testing.T) {
	t.Parallel()
	store, keys := registry.NewMemory(), masterKeys(t)
	apply(t, store, keys, small, registry.ApplyOptions{})
	report := apply(t, store, keys, strings.Replace(small, "value: v}", "value: w, claim: sub}", 1),
		registry.ApplyOptions{})
	if !slices.Equal(lines(report), []string{"change consumer one"}) {
		t.Errorf("changes %v", lines(report))
	}
	found, _, err := store.Indexed(t.Context(), registry.IndexJWT("uid", "v"), registry.IndexJWT("sub", "w"))
	if err != nil || len(found[0]) != 0 || len(found[1]) != 1 {
		t.Errorf("found %v, %v", found, err)
	}
	fields, err := store.Fields(t.Context())
	if err != nil || fields["claim:sub"] == "" || fields["claim:uid"] != "" {
		t.Errorf("fields %v, %v", fields, err)
	}
}

func TestNewerStoreIsRefused(t *testing.T) {
	t.Parallel()
	store := registry.NewMemory()
	if err := store.Write(t.Context(), registry.Change{Set: map[string]string{"format": "2"}}); err != nil {
		t.Fatal(err)
	}
	_, err := registry.Apply(t.Context(), store, masterKeys(t), config(t, small), registry.ApplyOptions{})
	if err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Fatal(err)
	}
}

// A stored registry, read whole, is a Config that changes nothing.
func TestLoadAppliesAgain(t *testing.T) {
	t.Parallel()
	store, keys := registry.NewMemory(), masterKeys(t)
	first := apply(t, store, keys, built(t), registry.ApplyOptions{})
	whole, err := registry.Load(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	again, err := registry.Apply(t.Context(), store, keys, whole, registry.ApplyOptions{Prune: true})
	if err != nil || len(again.Changes) != 0 || again.Revision != first.Revision {
		t.Fatalf("%+v, %v", again, err)
	}
}
