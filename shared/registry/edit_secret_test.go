package registry_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"keyless/shared/registry"
	"keyless/shared/seal"
)

// marks are secrets that must be found nowhere.
const marks = `version: 1
instances:
  - id: a
    description: d
    privacy_agreement: accepted
    clients: [{id: c, name: C, secrets: [{id: s1, value: marker-client-secret-1}]}]
  - id: h
    description: d
    privacy_agreement: accepted
    secret_storage: hashed
    clients: [{id: c, name: C, secrets: [{id: s1, value: marker-client-secret-2}]}]
upstreams: [{name: u, protocol: http, base_url: "http://127.0.0.1:1", api_keys: [marker-upstream-key]}]
consumers:
  - {name: k, api_key: {keys: [{id: k1, value: marker-api-key-of-k}]}}
  - {name: m, hmac: {keys: [{access_key: ak, secret_key: marker-hmac-secret}]}}
  - {name: j, jwt: {value: v, jwks: '{"kty":"oct","alg":"HS256","k":"bWFya2VyLXNoYXJlZC1rZXktb2YtdGhpcnR5LXR3by0hIQ"}'}}
global_authentication: {jwks: '{"kty":"oct","alg":"HS256","k":"bWFya2VyLXNoYXJlZC1rZXktb2YtdGhpcnR5LXR3by0hIQ"}'}
`

var editable = [][2]string{{"instance", "a"}, {"client", "a/c"}, {"client", "h/c"}, {"upstream", "u"}, {"consumer", "k"}, {"consumer", "m"},
	{"consumer", "j"}, {"global_authentication", ""}}

// holdsMark reports whether a text holds a planted secret in one of the forms in which texts hold bytes.
func holdsMark(text string) bool {
	for _, form := range []string{"marker", "bWFya2Vy", base64.StdEncoding.EncodeToString([]byte("marker-"))[:8],
		hex.EncodeToString([]byte("marker"))} {
		if strings.Contains(text, form) {
			return true
		}
	}
	return false
}

// What is read can be sent back, with a change elsewhere: every secret stays, and none was seen.
func TestKeptSecretsStay(t *testing.T) {
	t.Parallel()
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			b := newBureau(t, store, marks)
			before := b.secrets()
			for _, at := range editable {
				o := b.object(at[0], at[1])
				if holdsMark(string(o.Value)) || strings.Contains(string(o.Value), "v1:") || strings.Contains(string(o.Value), "hash\"") {
					t.Errorf("%v shows a secret: %s", at, o.Value)
				}
				if at[0] != "instance" && !strings.Contains(string(o.Value), registry.Kept) {
					t.Errorf("%v does not say that a secret is set: %s", at, o.Value)
				}
				if again := b.must(at[0], at[1], string(o.Value)); again.Change.Action != "" || len(again.Generated) != 0 {
					t.Errorf("%v: sent back it changes: %+v", at, again)
				}
				changed := strings.Replace(string(o.Value), "{", `{"status":"disabled",`, 1)
				if at[0] == "upstream" {
					changed = strings.Replace(string(o.Value), `:1"`, `:1/v2"`, 1)
				}
				if at[0] == "instance" {
					changed = strings.Replace(string(o.Value), `"d"`, `"e"`, 1)
				}
				if done := b.must(at[0], at[1], changed); done.Change.Action != registry.ActionChange || len(done.Generated) != 0 {
					t.Errorf("%v: %+v", at, done)
				}
			}
			if after := b.secrets(); after != before {
				t.Errorf("secrets were %s and are %s", before, after)
			}
			err := b.Record(t.Context(), registry.AuditEvent{Action: "x"})
			entries, err2 := b.Audit(t.Context(), 0, 500)
			text, err3 := json.Marshal(entries)
			if err != nil || err2 != nil || err3 != nil || holdsMark(string(text)) || strings.Contains(string(text), "v1:") {
				t.Errorf("the audit trail holds a secret: %s", text)
			}
			for place, text := range everything(t, store) {
				if holdsMark(text) {
					t.Errorf("%s holds a clear secret", place)
				}
			}
		})
	}
}

// secrets are all secrets of marks as those who need them read them.
func (b *bureau) secrets() string {
	b.t.Helper()
	reader := registry.NewReader(b.store, b.keys, time.Now)
	snapshot, err := reader.Snapshot(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	list := []string{snapshot.Upstreams["u"].APIKeys[0].Reveal()}
	for _, in := range []string{"a", "h"} {
		c, _, err := reader.Client(b.t.Context(), in, "c")
		if err != nil {
			b.t.Fatal(err)
		}
		clear, err := reader.ClientSecret(c, c.Secrets[0])
		if err != nil {
			b.t.Fatal(err)
		}
		list = append(list, c.Secrets[0].Hash, clear.Reveal())
	}
	config, err := registry.Load(b.t.Context(), b.store)
	if err != nil {
		b.t.Fatal(err)
	}
	for i := range config.Consumers {
		switch c := &config.Consumers[i]; {
		case c.HMAC != nil:
			list = append(list, c.HMAC.Keys[0].SecretKey.Reveal())
		case c.APIKey != nil:
			list = append(list, c.APIKey.Keys[0].Value.Reveal(), c.APIKey.Keys[0].Hash)
		case c.JWT != nil:
			list = append(list, c.JWT.JWKS.Reveal())
		}
	}
	return strings.Join(append(list, config.GlobalAuthentication.JWKS.Reveal()), "\n")
}

func TestNothingIsKeptWhereNothingIs(t *testing.T) {
	t.Parallel()
	b := newBureau(t, registry.NewMemory(), marks)
	for _, row := range [][4]string{
		{"consumer", "new", `{"api_key":{"keys":[{"id":"k1","value":"[kept]"}]}}`, "api_key.keys[k1].value: is kept, but nothing"},
		{"consumer", "k", `{"api_key":{"keys":[{"id":"k2","value":"[kept]"}]}}`, "api_key.keys[k2].value: is kept, but nothing"},
		{"upstream", "w", `{"protocol":"http","base_url":"http://127.0.0.1:1","api_keys":["[kept]"]}`, "api_keys[0]: is kept, but nothing"},
		{"client", "a/d", `{"name":"D","secrets":[{"id":"s1","value":"[kept]"}]}`, "secrets[s1].value: is kept, but nothing"},
		{"client", "a/c", `{"name":"D","secrets":[{"id":"s1","value":"[kept:0]"}]}`, "secrets[s1].value: is kept, but nothing"},
	} {
		b.refused(row[0], row[1], row[2], row[3])
	}
	text := strings.Replace(marks, "marker-upstream-key", "'[kept]'", 1)
	_, err := registry.Apply(t.Context(), b.store, b.keys, config(t, text), registry.ApplyOptions{})
	if err == nil || !strings.Contains(err.Error(), "is the mark of a secret that is kept") {
		t.Errorf("an apply takes the mark for a secret: %v", err)
	}
}

func TestRevealIsAudited(t *testing.T) {
	t.Parallel()
	b := newBureau(t, registry.NewMemory(), marks)
	secret, err := b.Reveal(t.Context(), someone, "a", "c", "s1")
	if err != nil || secret != "marker-client-secret-1" {
		t.Fatalf("%q, %v", secret, err)
	}
	verdict, err := b.VerifyAudit(t.Context(), nil)
	if err != nil || verdict.Broken != 0 {
		t.Fatalf("%+v, %v", verdict, err)
	}
	last, err := b.Audit(t.Context(), verdict.Entries-1, 1)
	if err != nil || len(last) != 1 || last[0].Action != "show" || last[0].Name != "a/c" || last[0].Who != "ann" ||
		last[0].RequestID != "r-1" || last[0].Note != "secret s1" {
		t.Errorf("%+v, %v", last, err)
	}
	for _, row := range [][3]string{{"a", "c", "s2"}, {"a", "d", "s1"}, {"x", "c", "s1"}, {"h", "c", "s1"}} {
		if _, err := b.Reveal(t.Context(), someone, row[0], row[1], row[2]); !errors.Is(err, registry.ErrNoObject) {
			t.Errorf("%v: %v", row, err)
		}
	}
	unwritable := registry.NewEditor(deaf{b.store}, b.keys, time.Now)
	if secret, err := unwritable.Reveal(t.Context(), someone, "a", "c", "s1"); err == nil || secret != "" {
		t.Error("a secret is shown that nobody wrote down")
	}
}

// deaf is a store that takes no writes.
type deaf struct{ registry.Store }

func (deaf) Write(context.Context, registry.Change) error { return errors.New("deaf") }

// The secrets of an upstream's OAuth and of a consumer's own provider keys are sealed and opened like all others.
func TestOtherSecretsAreSealed(t *testing.T) {
	t.Parallel()
	store, keys := registry.NewMemory(), masterKeys(t)
	want := &registry.Config{
		Version: 1,
		Upstreams: []registry.Upstream{{Name: "u", Protocol: "http", BaseURL: "http://127.0.0.1:1", Auth: &registry.UpstreamAuth{
			OAuth: map[string]registry.Secret{"client_secret": "marker-oauth-secret", "client_id": "me", "token_url": "http://127.0.0.1:1/t"},
		}}},
		Consumers: []registry.Consumer{{Name: "k", APIKey: &registry.APIKeyCredential{},
			UpstreamKeys: map[string]registry.Secret{"u": "marker-own-key"}}},
	}
	oauth := len(registry.Validate(want)) == 0 // this version takes an upstream's OAuth
	if !oauth {
		want.Upstreams[0].Auth = nil
		want.Upstreams[0].APIKeys = []registry.Secret{"marker-key"}
	}
	if _, err := registry.Apply(t.Context(), store, keys, want, registry.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	for place, text := range everything(t, store) {
		if holdsMark(text) {
			t.Errorf("%s holds a clear secret", place)
		}
	}
	fresh := ring(t, seal.NewMasterKey())
	if _, err := registry.NewReader(store, fresh, time.Now).Snapshot(t.Context()); err == nil {
		t.Error("another master key opens an upstream")
	}
	reader := registry.NewReader(store, keys, time.Now)
	snapshot, err := reader.Snapshot(t.Context())
	if err != nil || oauth && snapshot.Upstreams["u"].Auth.OAuth["client_secret"] != "marker-oauth-secret" {
		t.Errorf("%v", err)
	}
	err = reader.Consult(t.Context(), func(v registry.View) (registry.Result, error) {
		index := registry.IndexAPIKey(registry.BearerPlace, storedHash(t, store))
		found, err := v.Consumers(t.Context(), index)
		if err != nil || len(found) != 1 || found[0].UpstreamKeys["u"] != "marker-own-key" {
			t.Errorf("found %v, %v", found, err)
		}
		return registry.Final, nil
	})
	if err != nil {
		t.Error(err)
	}
	b := &bureau{t: t, store: store, keys: keys, Editor: registry.NewEditor(store, keys, time.Now)}
	if o := b.object("upstream", "u"); holdsMark(string(o.Value)) || oauth && !strings.Contains(string(o.Value), `"client_id":"me"`) {
		t.Errorf("%s", o.Value)
	}
	if o := b.object("consumer", "k"); holdsMark(string(o.Value)) || b.must("consumer", "k", string(o.Value)).Change.Action != "" {
		t.Errorf("%s", o.Value)
	}
}

// storedHash is that of the one API key of the consumer k.
func storedHash(t *testing.T, store registry.Store) string {
	t.Helper()
	config, err := registry.Load(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	return config.Consumers[0].APIKey.Keys[0].Hash
}
