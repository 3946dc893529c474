package token_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"keyless/shared/keyring"
	"keyless/shared/oauth"
	"keyless/shared/registry"
	"keyless/shared/seal"
	"keyless/shared/token"
)

const (
	public  = "https://id.example"
	gateway = "cloud:idaas:aigateway:alibabacloud:1234567890"
	tools   = "https://tools.example/mcp"
	secret  = "0123456789abcdef-of-the-client"
	other   = "the-second-secret-of-the-client"
	awkward = "a:b+c d%2Fe/ü=and more of it"
)

// fixture is a token endpoint on a registry and a keyring in one miniredis.
type fixture struct {
	token.Options
	server *miniredis.Miniredis
	store  registry.Store
	ring   *keyring.Ring
	pepper []byte
	master *seal.Keys
	log    *bytes.Buffer
	http.Handler
}

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func newFixture(t testing.TB) *fixture {
	t.Helper()
	master, err := seal.ParseKeys(seal.NewMasterKey())
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{server: miniredis.RunT(t), pepper: seal.NewPepper(), master: master, log: &bytes.Buffer{}}
	client := redis.NewClient(&redis.Options{Addr: f.server.Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	f.store, f.ring = registry.NewRedis(client, "kg"), keyring.New(keyring.NewRedis(client, "kg"), master)
	sealed, err := master.Seal("pepper", f.pepper)
	if err != nil {
		t.Fatal(err)
	}
	f.set(t, map[string]any{"instance:acme": acme(), "instance:other": acme(), "instance:bare": acme()},
		map[string]string{"pepper": "sealed: " + sealed})
	for instance, algorithm := range map[string]string{"acme": "ES256", "other": "EdDSA"} {
		if _, err := f.ring.Ensure(t.Context(), instance, algorithm); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range clients(f.pepper) {
		f.client(t, "acme", c)
	}
	clock := func() time.Time { return now }
	f.Options = token.Options{
		Reader: registry.NewReader(f.store, master, clock), Signer: f.ring, PublicURL: public, Now: clock,
		Log: slog.New(slog.NewTextHandler(f.log, nil)),
	}
	f.Handler = token.New(f.Options)
	return f
}

func (f *fixture) set(t testing.TB, objects map[string]any, texts map[string]string) {
	t.Helper()
	if texts == nil {
		texts = map[string]string{}
	}
	for field, object := range objects {
		text, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		texts[field] = string(text)
	}
	if err := f.store.Write(t.Context(), registry.Change{Set: texts}); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) client(t testing.TB, instance string, c registry.Client) {
	t.Helper()
	c.Instance = instance
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.store.Write(t.Context(), registry.Change{
		Kind: registry.KindClient, Name: instance + "/" + c.ID, Entry: &registry.Entry{Value: string(text)},
	}); err != nil {
		t.Fatal(err)
	}
}

func acme() registry.Instance {
	return registry.Instance{
		ID: "acme", TokenLifetime: registry.Duration(time.Hour),
		ResourceServers: []registry.ResourceServer{
			{Identifier: gateway, TokenLifetime: registry.Duration(20 * time.Minute), Scopes: []registry.Scope{
				{Value: "model.invoke"}, {Value: "model.list"}, {Value: "shared"}, {Value: "secret.admin"},
			}},
			{Identifier: tools, Scopes: []registry.Scope{{Value: "tools.call"}, {Value: "shared"}}},
			{Identifier: "urn:off", Status: registry.Disabled, Scopes: []registry.Scope{{Value: "off"}}},
		},
	}
}

// hashed makes a stored secret of acme's client.
func hashed(pepper []byte, client, id, value string) registry.ClientSecret {
	place := "client/acme/" + client + "/secret/" + id
	return registry.ClientSecret{ID: id, Hash: seal.Hash(pepper, place, value)}
}

func clients(pepper []byte) []registry.Client {
	onGateway := registry.Permission{
		ResourceServer: gateway, Scopes: []string{"model.invoke", "model.list", "shared", "no.longer.offered"},
	}
	onTools := registry.Permission{ResourceServer: tools, Scopes: []string{"tools.call", "shared"}}
	off := registry.Permission{ResourceServer: "urn:off", Scopes: []string{"off"}}
	expired, disabled := hashed(pepper, "old", "s1", secret), hashed(pepper, "old", "s2", other)
	expired.ExpiresAt, disabled.Status = &now, registry.Disabled
	make := func(id string, permissions ...registry.Permission) registry.Client {
		return registry.Client{
			ID: id, Permissions: permissions,
			Secrets: []registry.ClientSecret{hashed(pepper, id, "s1", secret), hashed(pepper, id, "s2", other)},
		}
	}
	one, both, none := make("one", onGateway, off), make("both", onGateway, onTools, off), make("none")
	dis, basic, federated := make("disabled", onGateway), make("basic", onGateway), make("federated", onGateway)
	dis.Status = registry.Disabled
	basic.Authentication = []string{oauth.ClientSecretBasic}
	federated.Authentication = []string{"federated"}
	old := registry.Client{ID: "old", Secrets: []registry.ClientSecret{expired, disabled}}
	odd := registry.Client{ID: "odd", Permissions: one.Permissions,
		Secrets: []registry.ClientSecret{hashed(pepper, "odd", "s1", awkward)}}
	return []registry.Client{one, both, none, dis, basic, federated, old, odd}
}

// call is a request with its defaults: POST, form, to acme, by Basic of the client one.
type call struct {
	method, path, query, kind, basic, authorization string
	body                                            string // default grant_type=client_credentials
	header                                          http.Header
}

func (f *fixture) do(c call) *httptest.ResponseRecorder {
	if c.method == "" {
		c.method = http.MethodPost
	}
	if c.path == "" {
		c.path = "/acme/oauth2/token"
	}
	if c.body == "" {
		c.body = "grant_type=client_credentials"
	}
	r := httptest.NewRequest(c.method, c.path+c.query, strings.NewReader(c.body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if c.kind != "" {
		r.Header.Set("Content-Type", c.kind)
	}
	switch {
	case c.authorization != "":
		r.Header.Set("Authorization", c.authorization)
	case c.basic == "":
		r.Header.Set("Authorization", basic("one", secret))
	case c.basic != "-":
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(c.basic)))
	}
	r.Header.Set("X-Request-Id", "r-1")
	for name, values := range c.header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

// says is status and code of an answer; "200 scope" of a success, with the audience's last letters before |.
func says(t testing.TB, w *httptest.ResponseRecorder) (int, string) {
	t.Helper()
	var body struct{ Error, Scope string }
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("the answer is not JSON: %s", w.Body)
	}
	return w.Code, body.Error + body.Scope
}
