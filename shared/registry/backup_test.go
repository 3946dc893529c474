package registry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"keyless/shared/registry"
	"keyless/shared/registry/storetest"
	"keyless/shared/seal"
)

// vault is a Redis with a registry that has everything, signing keys too, and its backup.
type vault struct {
	*bureau
	cell   string
	backup []byte
	dumped registry.Dumped
}

var made = time.Unix(1_900_000_000, 0)

func newVault(t *testing.T, address string) *vault {
	t.Helper()
	client := connect(t, "redis://"+address)
	v := &vault{cell: "from-" + strings.ReplaceAll(t.Name(), "/", "-")}
	v.bureau = newBureau(t, registry.NewRedis(client, v.cell), marks)
	set := `{"active":"k","jwks":{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","alg":"EdDSA","use":"sig","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}}`
	change := registry.Change{Set: map[string]string{registry.FieldKeySet("a"): set}}
	if err := v.store.Write(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	if err := client.HSet(t.Context(), registry.Space(v.cell).Keyring("a"), "k", "v1:sealed-private-key").Err(); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	var err error
	if v.dumped, err = registry.Dump(t.Context(), v.store, made, &b); err != nil {
		t.Fatal(err)
	}
	v.backup = b.Bytes()
	return v
}

func (v *vault) restore(t *testing.T, store registry.Store, o registry.RestoreOptions) (registry.Restored, error) {
	t.Helper()
	o.Now = func() time.Time { return made.Add(90*time.Minute + 300*time.Millisecond) }
	o.By = someone
	return registry.Restore(t.Context(), store, v.keys, bytes.NewReader(v.backup), o)
}

// exported is a registry as a file, without what differs between two registries.
func exported(t *testing.T, store registry.Store) string {
	t.Helper()
	config, err := registry.Export(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(config, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestA8BackupAndRestore(t *testing.T) {
	t.Parallel()
	address := storetest.Redis(t)
	v := newVault(t, address)
	if v.dumped.Instances != 2 || v.dumped.Clients != 2 || v.dumped.Consumers != 3 || v.dumped.Keys != 1 || v.dumped.Audit == 0 {
		t.Errorf("dumped %+v", v.dumped)
	}
	if holdsMark(string(v.backup)) {
		t.Error("the backup holds a clear secret")
	}
	client := connect(t, "redis://"+address)
	to := registry.NewRedis(client, "to")
	done, err := v.restore(t, to, registry.RestoreOptions{})
	if err != nil || done.Replaced || done.KeptAudit || done.Consumers != 3 || done.Revision == v.dumped.Revision ||
		!done.NotBefore.Equal(made.Add(90*time.Minute+time.Second)) || !done.MadeAt.Equal(made) {
		t.Fatalf("%+v, %v", done, err)
	}
	if exported(t, to) != exported(t, v.store) {
		t.Error("the restored registry is another")
	}
	restored := &bureau{t: t, store: to, keys: v.keys, Editor: registry.NewEditor(to, v.keys, time.Now)}
	if restored.secrets() != v.secrets() {
		t.Error("the secrets are others")
	}
	restored.whole()
	if key := client.HGet(t.Context(), registry.Space("to").Keyring("a"), "k").Val(); key != "v1:sealed-private-key" {
		t.Errorf("signing key %q", key)
	}
	snapshot, err := registry.NewReader(to, v.keys, time.Now).Snapshot(t.Context())
	if err != nil || !snapshot.NotBefore.Equal(done.NotBefore) || snapshot.Revision != done.Revision ||
		snapshot.Edition("u") == "u" || snapshot.KeySets["a"].Active != "k" {
		t.Errorf("%+v, %v", snapshot, err)
	}
	entries, err := restored.Audit(t.Context(), int64(v.dumped.Audit), 9)
	if err != nil || len(entries) != 1 || entries[0].Action != "restore" || entries[0].Who != "ann" ||
		!strings.Contains(entries[0].Note, "2030-03-17") {
		t.Errorf("%+v, %v", entries, err)
	}
	restored.must("consumer", "m", string(restored.object("consumer", "m").Value))
	restored.must("consumer", "k", "")
}

// A store that holds a registry is replaced only by force: nothing of it is left, and its audit trail goes on.
func TestRestoreByForce(t *testing.T) {
	t.Parallel()
	address := storetest.Redis(t)
	v := newVault(t, address)
	before := everything(t, v.store)
	if _, err := v.restore(t, v.store, registry.RestoreOptions{}); !errors.Is(err, registry.ErrNotEmpty) ||
		!maps.Equal(before, everything(t, v.store)) {
		t.Fatalf("%v", err)
	}
	old := exported(t, v.store)
	v.must("consumer", "late", `{"jwt":{"jwks_url":"http://h/k","value":"late"}}`)
	v.must("consumer", "j", `{"jwt":{"jwks_url":"http://h/k","value":"moved"}}`)
	v.must("client", "a/late", `{"name":"L"}`)
	v.must("client", "h/c", "")
	done, err := v.restore(t, v.store, registry.RestoreOptions{Force: true})
	if err != nil || !done.Replaced || !done.KeptAudit {
		t.Fatalf("%+v, %v", done, err)
	}
	v.whole()
	if exported(t, v.store) != old {
		t.Error("the restored registry is another")
	}
	found, _, err := v.store.Indexed(t.Context(), registry.IndexJWT("uid", "late"), registry.IndexJWT("uid", "moved"), registry.IndexJWT("uid", "v"))
	if err != nil || len(found[0])+len(found[1]) != 0 || len(found[2]) != 1 {
		t.Errorf("found %v, %v", found, err)
	}
	entries, err := v.Audit(t.Context(), int64(v.dumped.Audit), 9)
	if err != nil || len(entries) != 5 || entries[0].Name != "late" || entries[4].Action != "restore" {
		t.Errorf("%+v, %v", entries, err)
	}
}

// A restore that died anywhere is run again, and the registry was never open half restored.
func TestRestoreKilledAnywhere(t *testing.T) {
	t.Parallel()
	address := storetest.Redis(t)
	v := newVault(t, address)
	for n := 0; ; n++ {
		cell := fmt.Sprintf("to-%d", n)
		sound := registry.NewRedis(connect(t, "redis://"+address), cell)
		apply(t, sound, v.keys, small, registry.ApplyOptions{})
		proxy := storetest.NewProxy(t, address)
		proxy.DieAfter(n, n%2 == 0)
		_, first := v.restore(t, registry.NewRedis(connect(t, "redis://"+proxy.Address()), cell), registry.RestoreOptions{Force: true})
		reader := registry.NewReader(sound, v.keys, time.Now)
		snapshot, err := reader.Snapshot(t.Context())
		if !errors.Is(err, registry.ErrEmpty) {
			if err != nil || len(snapshot.Instances) != 1 && exported(t, sound) != exported(t, v.store) {
				t.Errorf("died after %d: %v, %v", n, snapshot, err)
			}
		}
		if _, err := v.restore(t, sound, registry.RestoreOptions{Force: true}); err != nil {
			t.Fatalf("died after %d: %v", n, err)
		}
		if exported(t, sound) != exported(t, v.store) {
			t.Errorf("died after %d: the restored registry is another", n)
		}
		b := &bureau{t: t, store: sound, keys: v.keys, Editor: registry.NewEditor(sound, v.keys, time.Now)}
		b.whole()
		if found, _, err := sound.Indexed(t.Context(), registry.IndexJWT("uid", "v")); err != nil || found[0]["one"].Value != "" || found[0]["j"].Value == "" {
			t.Errorf("died after %d: found %v, %v", n, found, err)
		}
		if first == nil {
			return
		}
	}
}

func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	address := storetest.Redis(t)
	v := newVault(t, address)
	lines := strings.SplitAfter(strings.TrimSuffix(string(v.backup), "\n"), "\n")
	for name, row := range map[string]struct {
		backup string
		keys   *seal.Keys
		want   error
	}{
		"another master key":  {string(v.backup), masterKeys(t), registry.ErrMasterKey},
		"no master key":       {string(v.backup), nil, registry.ErrMasterKey},
		"a cut file":          {strings.Join(lines[:len(lines)-1], ""), v.keys, registry.ErrBackup},
		"a line less":         {strings.Join(append(lines[:3:3], lines[4:]...), ""), v.keys, registry.ErrBackup},
		"a byte changed":      {strings.Replace(string(v.backup), `"C`, `"D`, 1), v.keys, registry.ErrBackup},
		"a field changed":     {strings.Replace(string(v.backup), "http:", "ftp::", 1), v.keys, registry.ErrBackup},
		"something behind it": {string(v.backup) + "{}\n", v.keys, registry.ErrBackup},
		"nothing":             {"", v.keys, registry.ErrBackup},
		"another file":        {"version: 1\n", v.keys, registry.ErrBackup},
		"a newer format":      {strings.Replace(string(v.backup), `"backup":1`, `"backup":2`, 1), v.keys, registry.ErrBackup},
	} {
		store := registry.NewRedis(connect(t, "redis://"+address), "refused-"+strings.ReplaceAll(name, " ", "-"))
		_, err := registry.Restore(t.Context(), store, row.keys, strings.NewReader(row.backup), registry.RestoreOptions{})
		if same := row.backup == string(v.backup) && errors.Is(row.want, registry.ErrBackup); same || !errors.Is(err, row.want) ||
			len(everything(t, store)) != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := registry.Dump(t.Context(), registry.NewMemory(), made, &bytes.Buffer{}); !errors.Is(err, registry.ErrNoArchive) {
		t.Errorf("a store without backups: %v", err)
	}
	empty := registry.NewRedis(connect(t, "redis://"+address), "empty")
	if _, err := registry.Dump(t.Context(), empty, made, &bytes.Buffer{}); !errors.Is(err, registry.ErrEmpty) {
		t.Errorf("an empty store: %v", err)
	}
}

// Export → apply on an empty store → export gives the same bytes, and the same secrets.
func TestExportAppliesToTheSameBytes(t *testing.T) {
	t.Parallel()
	extra := marks + "currency: EUR\ngroups: [{name: g, limits: {calls_per_day: 7, time_zone: Asia/Shanghai}}]\n" +
		"apis: [{name: p, type: http, base_path: /p, upstreams: [{upstream: u}], authentication: {methods: [jwt]}}]\n" +
		"domains: [{name: h.example, daily_call_limit: 0}]\n"
	for name, store := range stores(t) {
		b := newBureau(t, store, extra)
		b.must("consumer", "generated", `{"jwt":{"jwks_url":"http://h/k"},"api_key":{},"hmac":{"keys":[{"access_key":"g"}]}}`)
		b.must("client", "h/", `{"name":"Generated"}`)
		first := exported(t, store)
		if holdsMark(first) || !strings.Contains(first, `"hash: v1:`) || !strings.Contains(first, `"sealed: v1:`) ||
			strings.Contains(first, `"hash":`) || strings.Contains(first, `privacy_agreement_by`) {
			t.Errorf("%s: %s", name, first)
		}
		var config registry.Config
		if err := json.Unmarshal([]byte(first), &config); err != nil {
			t.Fatal(err)
		}
		empty := registry.NewMemory()
		if _, err := registry.Apply(t.Context(), empty, b.keys, &config, registry.ApplyOptions{Prune: true}); err != nil {
			t.Fatal(err)
		}
		if second := exported(t, empty); second != first {
			t.Errorf("%s: exported %s\nand then %s", name, first, second)
		}
		again := &bureau{t: t, store: empty, keys: b.keys, Editor: registry.NewEditor(empty, b.keys, time.Now)}
		again.whole()
		if again.secrets() != b.secrets() {
			t.Errorf("%s: the secrets are others: %s\n%s", name, again.secrets(), b.secrets())
		}
		report, err := registry.Apply(t.Context(), store, b.keys, &config, registry.ApplyOptions{Prune: true})
		if err != nil || len(report.Changes) != 0 {
			t.Errorf("%s: applied where it comes from: %v, %v", name, lines(report), err)
		}
		other := newBureau(t, registry.NewMemory(), small)
		other.keys = b.keys
		_, err = registry.Apply(t.Context(), newBureauWith(t, b.keys).store, b.keys, &config, registry.ApplyOptions{})
		if err == nil || !strings.Contains(err.Error(), "pepper: is that of another registry") {
			t.Errorf("%s: hashes of one registry are taken by another: %v", name, err)
		}
		if _, err := registry.Apply(t.Context(), registry.NewMemory(), masterKeys(t), &config, registry.ApplyOptions{}); err == nil {
			t.Errorf("%s: another master key opens an export", name)
		}
	}
}

func newBureauWith(t *testing.T, keys *seal.Keys) *bureau {
	b := &bureau{t: t, store: registry.NewMemory(), keys: keys}
	apply(t, b.store, keys, small, registry.ApplyOptions{})
	return b
}
