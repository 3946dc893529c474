package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"keyless/shared/admin"
	"keyless/shared/auth"
	"keyless/shared/keyring"
	"keyless/shared/ledger"
	"keyless/shared/quota"
	"keyless/shared/registry"
	"keyless/shared/seal"
)

const publicURL = "https://gateway.example"

// acme is the registry that the API's tests begin with. Client root has every right, the others one each.
const acme = `{
 "version": 1, "currency": "USD",
 "instances": [
  {"id": "acme", "description": "Machines", "privacy_agreement": "accepted",
   "resource_servers": [{"identifier": "urn:models/v1", "name": "Models", "scopes": [{"value": "model.invoke", "name": "Invoke"}]}],
   "clients": [
    {"id": "worker", "name": "Worker", "secrets": [{"id": "s1", "value": "MARKER-worker-secret-0123"}],
     "permissions": [{"resource_server": "urn:models/v1", "scopes": ["model.invoke"]}]},
    {"id": "root", "name": "Root", "secrets": [{"id": "s1", "value": "MARKER-root-secret-012345"}],
     "permissions": [{"resource_server": "keyless:admin",
      "scopes": ["identity.read", "identity.write", "gateway.read", "gateway.write", "admin.read", "admin.write"]}]},
    {"id": "clerk", "name": "Clerk", "secrets": [{"id": "s1", "value": "MARKER-clerk-secret-01234"}],
     "permissions": [{"resource_server": "keyless:admin", "scopes": ["identity.read", "identity.write"]}]}]},
  {"id": "other", "description": "Others", "privacy_agreement": "accepted",
   "clients": [
    {"id": "clerk", "name": "Clerk", "secrets": [{"id": "s1", "value": "MARKER-other-secret-01234"}],
     "permissions": [{"resource_server": "keyless:admin", "scopes": ["identity.read", "identity.write"]}]}]}],
 "domains": [{"name": "ai.example"}],
 "groups": [{"name": "batch", "limits": {"calls_per_day": 500}}],
 "upstreams": [{"name": "model", "protocol": "openai", "base_url": "https://model.example/v1", "api_keys": ["sk-MARKER-provider-key"]}],
 "apis": [{"name": "models", "type": "llm", "base_path": "/v1", "upstreams": [{"upstream": "model"}]},
  {"name": "idle", "type": "llm", "base_path": "/idle", "upstreams": [{"upstream": "model"}]}],
 "consumers": [
  {"name": "jay", "groups": ["batch"], "jwt": {"jwks": {"kty": "oct", "alg": "HS256", "k": "VoBG-oyqVoyCr9G56ozmq8n_rlDDyYMQOd_DO4GOkEY"},
    "value": "jay-uid"}, "authorizations": [{"api": "models", "models": ["qwen-*"]}]},
  {"name": "kay", "api_key": {"keys": [{"id": "k1", "value": "kg_MARKER_api_key_0123456789"}]}, "authorizations": [{"api": "models"}]},
  {"name": "hal", "hmac": {"keys": [{"access_key": "hal-ak", "secret_key": "MARKER_hmac_secret_0123456789"}]}}],
 "global_authentication": {"status": "disabled", "jwks_url": "https://login.example/jwks", "issuer": "https://login.example", "mode": "whitelist"},
 "prices": [{"upstream": "model", "model": "qwen-flash", "input": "0.05", "output": "0.40"}]}`

// api is an admin API over miniredis with everything that is real.
type api struct {
	testing.TB
	admin.Options
	handler http.Handler
	ring    *keyring.Ring
	counts  *quota.Quota
	server  *miniredis.Miniredis
	log     *bytes.Buffer
}

func newAPI(t testing.TB) *api {
	t.Helper()
	a := &api{TB: t, server: miniredis.RunT(t), log: &bytes.Buffer{}}
	a.server.SetTime(now)
	client := redis.NewClient(&redis.Options{Addr: a.server.Addr(), MaxRetries: -1, DialerRetries: 1, PoolSize: 64})
	t.Cleanup(func() { _ = client.Close() })
	keys, err := seal.ParseKeys(seal.NewMasterKey())
	if err != nil {
		t.Fatal(err)
	}
	a.ring = keyring.New(keyring.NewRedis(client, "kg"), keys).WithClock(clock)
	a.counts = quota.NewRedis(client, "kg", clock)
	a.Options = admin.Options{
		Store: registry.NewRedis(client, "kg"), Keys: keys, Ring: a.ring, Gate: auth.New(noKeys{}, publicURL, clock), Trail: records{},
		Ledger: ledger.New(client, "kg", clock), Revocations: a.counts, Probe: admin.NewProbe(client), Token: adminToken,
		PublicURL: publicURL, Failure: "closed", Region: "here", Now: clock, Log: slog.New(slog.NewTextHandler(lock(a.log), nil)),
	}
	a.handler = admin.New(a.Options)
	return a
}

// newAcme is one with the registry above.
func newAcme(t testing.TB) *api {
	t.Helper()
	a := newAPI(t)
	a.must(http.StatusOK, a.call("POST", "/apply?prune=true", acme))
	return a
}

// answer is what the API answered.
type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

func (a answer) str(name string) string { s, _ := a.body[name].(string); return s }

// version is the ETag without its quotes.
func (a answer) version() string { return strings.Trim(a.header.Get("ETag"), `"`) }

// call calls with the admin token; headers are name, value pairs, an empty value removes one.
func (a *api) call(method, path, body string, headers ...string) answer {
	return a.callIn(a.Context(), method, path, body, headers...)
}

func (a *api) callIn(ctx context.Context, method, path, body string, headers ...string) answer {
	r := httptest.NewRequestWithContext(ctx, method, admin.Prefix+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+adminToken)
	r.Header.Set("X-Request-Id", "req-1")
	for i := 0; i+1 < len(headers); i += 2 {
		if r.Header.Del(headers[i]); headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	recorder := httptest.NewRecorder()
	a.handler.ServeHTTP(recorder, r)
	result := recorder.Result()
	text, _ := io.ReadAll(result.Body)
	got := answer{status: result.StatusCode, header: result.Header, text: string(text)}
	_ = json.Unmarshal(text, &got.body)
	return got
}

func (a *api) must(status int, got answer) answer {
	a.Helper()
	if got.status != status {
		a.Fatalf("want %d, got %d %s", status, got.status, got.text)
	}
	return got
}

// refused requires a problem of a code.
func (a *api) refused(status int, code string, got answer) answer {
	a.Helper()
	if got.status != status || got.str("code") != code || got.header.Get("Content-Type") != "application/problem+json" ||
		got.header.Get("Cache-Control") != "no-store" || got.str("request_id") != "req-1" || got.str("detail") == "" {
		a.Fatalf("want %d %s, got %d %s %v", status, code, got.status, got.text, got.header)
	}
	return got
}

// put replaces an object whatever its version.
func (a *api) ifMatch(path string) []string {
	a.Helper()
	return []string{"If-Match", a.must(http.StatusOK, a.call("GET", path, "")).header.Get("ETag")}
}

// token mints an access token of an instance as the token endpoint does.
func (a *api) token(instance, client, scope string, change map[string]any) string {
	a.Helper()
	keys, err := a.ring.Keys(a.Context(), instance)
	if err != nil || len(keys) == 0 {
		a.Fatal("no signing key", err)
	}
	claims := map[string]any{
		"iss": publicURL + "/" + instance + "/oauth2", "sub": client, "client_id": client, "aud": "keyless:admin", "scope": scope,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(), "jti": "jti-" + client,
	}
	for name, value := range change {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		a.Fatal(err)
	}
	compact, err := a.ring.Sign(a.Context(), instance, keys[0].ID, payload)
	if err != nil {
		a.Fatal(err)
	}
	return compact
}

func bearing(token string) []string { return []string{"Authorization", "Bearer " + token} }

// locked is a writer that many may use.
type locked struct {
	turn chan struct{}
	w    io.Writer
}

func lock(w io.Writer) locked { return locked{make(chan struct{}, 1), w} }

func (l locked) Write(b []byte) (int, error) {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	return l.w.Write(b)
}
