package admin_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"keyless/shared/admin"
	"keyless/shared/auth"
	"keyless/shared/oauth"
	"keyless/shared/registry"
	"keyless/shared/seal"
)

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return now }

// Markers stand in credentials; none may ever come out.
const (
	marker     = "MARKER"
	sharedKey  = "VoBG-oyqVoyCr9G56ozmq8n_rlDDyYMQOd_DO4GOkEY"
	apiKey     = "kg_MARKER_api_key_0123456789"
	oldKey     = "kg_MARKER_old_key_0123456789"
	offKey     = "kg_MARKER_off_key_0123456789"
	elseKey    = "kg_MARKER_else_key_0123456789"
	hmacSecret = "MARKER_hmac_secret_0123456789"
	adminToken = "MARKER-admin-token-0123456789"
)

// configuration is what the tests explain requests to.
const configuration = `{
 "version": 1,
 "domains": [{"name": "shop.example"}],
 "groups": [{"name": "batch", "limits": {"calls_per_day": 500}}],
 "upstreams": [{"name": "back", "protocol": "http", "base_url": "https://back.example"},
   {"name": "model", "protocol": "openai", "base_url": "https://model.example/v1", "api_keys": ["sk-MARKER-provider-key"]}],
 "apis": [
  {"name": "orders", "type": "http", "base_path": "/orders", "authentication": {"methods": ["jwt"]}, "upstreams": [{"upstream": "back"}],
   "limits": {"calls_per_minute": 60}},
  {"name": "keyed", "type": "http", "base_path": "/keyed", "authentication": {"methods": ["api_key"]}, "upstreams": [{"upstream": "back"}]},
  {"name": "signed", "type": "http", "base_path": "/signed", "authentication": {"methods": ["hmac"]}, "body_max_bytes": 16,
   "upstreams": [{"upstream": "back"}]},
  {"name": "scoped", "type": "http", "base_path": "/scoped", "authentication": {"methods": ["jwt"]}, "upstreams": [{"upstream": "back"}],
   "scopes": ["tools.call"]},
  {"name": "lonely", "type": "http", "base_path": "/lonely", "upstreams": [{"upstream": "back"}]},
  {"name": "asked", "type": "http", "base_path": "/asked"},
  {"name": "models", "type": "llm", "base_path": "/v1", "authentication": {"methods": ["jwt"]}, "upstreams": [{"upstream": "model"}]},
  {"name": "elsewhere", "type": "http", "base_path": "/elsewhere", "domains": ["shop.example"], "upstreams": [{"upstream": "back"}]},
  {"name": "draft", "type": "http", "base_path": "/draft", "status": "draft", "upstreams": [{"upstream": "back"}]},
  {"name": "open", "type": "http", "base_path": "/open", "authentication": "disabled", "upstreams": [{"upstream": "back"}]}],
 "consumers": [
  {"name": "shop", "groups": ["batch"], "limits": {"calls_per_hour": 9}, "jwt": {"jwks": "JWK", "value": "shop-uid", "issuer": "https://issuer.example", "audience": "orders-aud"},
   "authorizations": [{"api": "orders"}, {"api": "scoped"}, {"api": "models", "models": ["qwen-*"]}]},
  {"name": "idle", "jwt": {"jwks": "JWK", "value": "idle-uid"}, "authorizations": [{"api": "orders", "expires_at": "2026-11-01T00:00:00Z"}]},
  {"name": "asleep", "status": "disabled", "jwt": {"jwks": "JWK", "value": "asleep-uid"}, "authorizations": [{"api": "orders"}]},
  {"name": "apart", "jwt": {"jwks": "JWK", "value": "apart-uid", "header": "X-Apart", "prefix": "Apart "}, "authorizations": [{"api": "orders"}]},
  {"name": "remote", "jwt": {"jwks_url": "https://issuer.example/keys", "value": "remote-uid"}, "authorizations": [{"api": "orders"}]},
  {"name": "keyholder", "api_key": {"source": "bearer", "keys": [{"id": "k1", "value": "` + apiKey + `"},
    {"id": "k2", "value": "` + oldKey + `", "expires_at": "2026-11-01T00:00:00Z"}, {"id": "k3", "value": "` + offKey + `", "status": "disabled"}]},
   "authorizations": [{"api": "keyed"}]},
  {"name": "visitor", "api_key": {"source": {"header": "X-Visitor"}, "keys": [{"id": "k1", "value": "` + elseKey + `"}]}},
  {"name": "signer", "hmac": {"keys": [{"access_key": "signer-ak", "secret_key": "` + hmacSecret + `"},
    {"access_key": "off-ak", "secret_key": "` + hmacSecret + `", "status": "disabled"}]}, "authorizations": [{"api": "signed"}, {"api": "asked"}]},
  {"name": "bystander", "hmac": {"keys": [{"access_key": "by-ak", "secret_key": "` + hmacSecret + `"}]}}]
}`

// noKeys is a source of key sets that nobody can reach.
type noKeys struct{}

func (noKeys) Keys(context.Context, string, string) ([]oauth.Key, error) {
	return nil, errors.New("no route to host")
}

// burnt fails the test where a nonce is looked up.
type burnt struct{ t testing.TB }

func (b burnt) First(context.Context, string, time.Duration) (bool, error) {
	b.t.Error("explain used a nonce up")
	return true, nil
}

// records is a trail in memory.
type records map[string][]byte

func (r records) Find(_ context.Context, id string) ([]byte, error) { return r[id], nil }
func (r records) Keep(_ context.Context, id string, record []byte) error {
	r[id] = record
	return nil
}

type world struct {
	admin.Options
	trail records
	log   *bytes.Buffer
}

func newWorld(t testing.TB) *world {
	t.Helper()
	keys, err := seal.ParseKeys(seal.NewMasterKey())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{trail: records{}, log: &bytes.Buffer{}}
	w.Options = admin.Options{
		Store: registry.NewMemory(), Keys: keys, Token: adminToken, Trail: w.trail, Now: clock,
		Gate: auth.New(noKeys{}, "https://gateway.example", clock).WithNonces(burnt{t}),
		Log:  slog.New(slog.NewTextHandler(w.log, nil)),
	}
	var c registry.Config
	jwk := strings.ReplaceAll(`{"kty":"oct","alg":"HS256","k":"`+sharedKey+`"}`, `"`, `\"`)
	if err := json.Unmarshal([]byte(strings.ReplaceAll(configuration, "JWK\"", jwk+`"`)), &c); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Apply(context.Background(), w.Options, &c, true, false); err != nil {
		t.Fatal(err)
	}
	return w
}

// ask sends a question over HTTP and returns status and body.
func (w *world) ask(question string, headers ...string) (int, string) {
	r := httptest.NewRequest(http.MethodPost, "/_/admin/v1/explain", strings.NewReader(question))
	r.Header.Set("Authorization", "Bearer "+adminToken)
	for i := 0; i+1 < len(headers); i += 2 {
		if r.Header.Del(headers[i]); headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	answer := httptest.NewRecorder()
	admin.New(w.Options).ServeHTTP(answer, r)
	return answer.Code, answer.Body.String()
}

// explain asks about a request and requires an explanation without any marker.
func (w *world) explain(t *testing.T, q admin.Question) admin.Explanation {
	t.Helper()
	text, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	status, body := w.ask(string(text))
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, body)
	}
	if strings.Contains(body, marker) || strings.Contains(w.log.String(), marker) {
		t.Errorf("a secret came out:\n%s\n%s", body, w.log)
	}
	var e admin.Explanation
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatal(err)
	}
	return e
}

// token signs claims with the shared key over those of a good token; nil removes one.
func token(change map[string]any) string {
	claims := map[string]any{"uid": "shop-uid", "iss": "https://issuer.example", "aud": "orders-aud", "jti": marker,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	part := func(v any) string {
		text, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	secret, _ := base64.RawURLEncoding.DecodeString(sharedKey)
	unsigned := part(map[string]string{"alg": "HS256", "kid": marker}) + "." + part(claims)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(unsigned))
	return unsigned + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// get is a question about a GET with headers given as name, value pairs.
func get(path string, headers ...string) admin.Question {
	q := admin.Question{URL: "https://gateway.example" + path, Headers: map[string][]string{}}
	for i := 0; i+1 < len(headers); i += 2 {
		q.Headers[headers[i]] = append(q.Headers[headers[i]], headers[i+1])
	}
	return q
}

func bearer(path, credential string) admin.Question {
	return get(path, "authorization", "Bearer "+credential)
}

// signed is a question about a request that is signed in the x-ca scheme, with a nonce; headers come after the signature.
func signed(path, accessKey string, at time.Time, headers ...string) admin.Question {
	stamp := fmt.Sprint(at.UnixMilli())
	const names = "x-ca-key,x-ca-nonce,x-ca-timestamp"
	digest := ""
	if at := slices.Index(headers, "Content-Md5"); at >= 0 {
		digest = headers[at+1]
	}
	text := "GET\n\n" + digest + "\n\n\nx-ca-key:" + accessKey + "\nx-ca-nonce:" + marker + "\nx-ca-timestamp:" + stamp + "\n" + path
	mac := hmac.New(sha256.New, []byte(hmacSecret))
	mac.Write([]byte(text))
	return get(path, append([]string{"X-Ca-Key", accessKey, "X-Ca-Nonce", marker, "X-Ca-Timestamp", stamp,
		"X-Ca-Signature-Headers", names, "X-Ca-Signature", base64.StdEncoding.EncodeToString(mac.Sum(nil))}, headers...)...)
}
