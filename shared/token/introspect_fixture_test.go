package token_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"keyless/shared/keyring"
	"keyless/shared/registry"
	"keyless/shared/token"
)

const (
	introspectPath = "/acme/oauth2/introspect"
	revokePath     = "/acme/oauth2/revoke"
)

// revocations is a memory of them.
type revocations struct {
	mu   sync.Mutex
	kept map[string]time.Duration
	err  error
}

func (r *revocations) Revoke(_ context.Context, digest string, keep time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.kept[digest] = keep
	}
	return r.err
}

func (r *revocations) Revoked(_ context.Context, digests ...string) ([]bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]bool, len(digests))
	for i, digest := range digests {
		_, list[i] = r.kept[digest]
	}
	return list, r.err
}

// newRevoking is a fixture with a memory of revocations, a client of each resource server that only asks, a clock, and
// another instance that has a client of the same name.
func newRevoking(t testing.TB) (*fixture, *revocations, *time.Time) {
	t.Helper()
	f, kept, clock := newFixture(t), &revocations{kept: map[string]time.Duration{}}, now
	asks := func(id string, permissions ...registry.Permission) registry.Client {
		return registry.Client{ID: id, Permissions: permissions,
			Secrets: []registry.ClientSecret{hashed(f.pepper, id, "s1", secret)}}
	}
	f.client(t, "acme", asks("gate", registry.Permission{ResourceServer: gateway, Scopes: []string{"shared"}}))
	f.client(t, "acme", asks("toolbox", registry.Permission{ResourceServer: tools, Scopes: []string{"shared"}}))
	one := asks("one", registry.Permission{ResourceServer: gateway, Scopes: []string{"model.list"}})
	one.Secrets[0].Hash = sealHash(f.pepper, "client/other/one/secret/s1", secret)
	f.client(t, "other", one)
	f.Now = func() time.Time { return clock }
	f.Reader, f.Revocations = registry.NewReader(f.store, f.master, f.Now), kept
	f.Handler = token.New(f.Options)
	return f, kept, &clock
}

// mint gets a token of acme's client one.
func (f *fixture) mint(t testing.TB, c call) string {
	t.Helper()
	w := f.do(c)
	if w.Code != 200 {
		t.Fatalf("%d %s\n%s", w.Code, w.Body, f.log)
	}
	return answerOf(t, w.Body.Bytes()).AccessToken
}

// ask introspects a token as a client by Basic; more are further parameters.
func (f *fixture) ask(client, text string, more ...string) *httptest.ResponseRecorder {
	return f.at(introspectPath, client, text, more...)
}

func (f *fixture) giveBack(client, text string, more ...string) *httptest.ResponseRecorder {
	return f.at(revokePath, client, text, more...)
}

func (f *fixture) at(path, client, text string, more ...string) *httptest.ResponseRecorder {
	values := url.Values{"token": {text}}
	for i := 0; i < len(more); i += 2 {
		values.Set(more[i], more[i+1])
	}
	return f.do(call{path: path, authorization: basic(client, secret), body: values.Encode()})
}

// resign signs claims with an instance's own key, as nobody but its keyring can.
func (f *fixture) resign(t testing.TB, instance string, claims object) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := f.Reader.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	compact, err := f.ring.Sign(t.Context(), instance, snapshot.KeySets[instance].Active, payload)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

var _ token.Signer = (*keyring.Ring)(nil)

// access are the claims of a token of acme's client one, with changes; nil takes one off.
func access(changes object) object {
	claims := object{
		"iss": issuerURL, "sub": "one", "aud": gateway, "client_id": "one", "scope": "model.list", "jti": "j-1",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Unix() + 600,
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return claims
}
