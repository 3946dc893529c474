package discovery_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"keyless/shared/discovery"
	"keyless/shared/keyring"
	"keyless/shared/oauth"
	"keyless/shared/registry"
	"keyless/shared/seal"
)

const public = "https://id.example"

type fixture struct {
	http.Handler
	server *miniredis.Miniredis
	reader *registry.Reader
	ring   *keyring.Ring
	now    atomic.Int64 // Unix seconds
}

// newFixture publishes an instance i-es256 and one for each algorithm more, called i-<algorithm>, one without
// keys, and one with M2M off.
func newFixture(t *testing.T, tokenURL string, algorithms ...string) *fixture {
	t.Helper()
	f := &fixture{server: miniredis.RunT(t)}
	client := redis.NewClient(&redis.Options{Addr: f.server.Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	keys, err := seal.ParseKeys(seal.NewMasterKey())
	if err != nil {
		t.Fatal(err)
	}
	ring, store := keyring.New(keyring.NewRedis(client, "kg"), keys), registry.NewRedis(client, "kg")
	fields := map[string]string{
		"instance:bare": `{"id":"bare"}`, "instance:off": `{"id":"off","m2m":"disabled"}`,
	}
	for _, algorithm := range append(algorithms, "ES256") {
		id := name(algorithm)
		fields["instance:"+id] = `{"id":"` + id + `","resource_servers":[
			{"identifier":"urn:a","scopes":[{"value":"write"},{"value":"read"}]},
			{"identifier":"urn:b","scopes":[{"value":"read"}]},
			{"identifier":"urn:c","status":"disabled","scopes":[{"value":"hidden"}]}]}`
		if _, err := ring.Ensure(t.Context(), id, algorithm); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ring.Ensure(t.Context(), "off", "ES256"); err != nil {
		t.Fatal(err)
	}
	if err := store.Write(t.Context(), registry.Change{Set: fields}); err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return time.Unix(f.now.Load(), 0) }
	f.ring = ring.WithClock(clock)
	f.reader = registry.NewReader(store, nil, clock) // this function has no master key
	f.Handler = discovery.New(discovery.Options{Reader: f.reader, PublicURL: public, TokenURL: tokenURL})
	return f
}

func name(algorithm string) string { return "i-" + strings.ToLower(algorithm) }

func (f *fixture) get(method, path, etag string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	if etag != "" {
		r.Header.Set("If-None-Match", etag)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

// K01, RFC 7517 §5, §8.5.1. K02, RFC 7517 §9.2.
func TestK01K02OnlyPublicMembersOfAllAlgorithms(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "", oauth.SigningAlgorithms...)
	for _, algorithm := range oauth.SigningAlgorithms {
		w := f.get(http.MethodGet, "/"+name(algorithm)+"/oauth2/jwks", "")
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/jwk-set+json" {
			t.Fatalf("%s: %d %s", algorithm, w.Code, w.Header().Get("Content-Type"))
		}
		var set map[string][]map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil || len(set) != 1 || len(set["keys"]) != 2 {
			t.Fatalf("%s: %s", algorithm, w.Body)
		}
		for _, member := range slices.Concat(slices.Collect(maps.Keys(set["keys"][0])),
			slices.Collect(maps.Keys(set["keys"][1]))) {
			if !slices.Contains([]string{"kty", "kid", "alg", "use", "n", "e", "crv", "x", "y"}, member) {
				t.Errorf("%s: member %s is published", algorithm, member)
			}
		}
		keys, err := oauth.ParseJWKSet(w.Body.Bytes(), oauth.Fetched)
		if err != nil || !keys[0].Allows(algorithm) || keys[0].ID != keys[0].Thumbprint {
			t.Errorf("K03 %s: %+v, error %v", algorithm, keys, err)
		}
	}
}

// K04, RFC 9111 §5.2.2.1.
func TestK04Caching(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "")
	for _, path := range []string{"/i-es256/oauth2/jwks", "/i-es256/oauth2/.well-known/openid-configuration"} {
		full := f.get(http.MethodGet, path, "")
		etag := full.Header().Get("ETag")
		if len(etag) != 45 || etag[0] != '"' || full.Header().Get("Cache-Control") != "public, max-age=300" {
			t.Fatalf("%s: headers %v", path, full.Header())
		}
		for name, test := range map[string]struct {
			method, etag string
			status, size int
		}{
			"GET":             {http.MethodGet, "", 200, full.Body.Len()},
			"HEAD":            {http.MethodHead, "", 200, 0},
			"the same":        {http.MethodGet, etag, 304, 0},
			"the same, weak":  {http.MethodGet, "W/" + etag, 304, 0},
			"one of several":  {http.MethodGet, `"x", ` + etag, 304, 0},
			"HEAD, the same":  {http.MethodHead, etag, 304, 0},
			"another":         {http.MethodGet, `"x"`, 200, full.Body.Len()},
			"HEAD of another": {http.MethodHead, `"x"`, 200, 0},
		} {
			w := f.get(test.method, path, test.etag)
			if w.Code != test.status || w.Body.Len() != test.size || w.Header().Get("ETag") != etag ||
				w.Header().Get("Cache-Control") != "public, max-age=300" {
				t.Errorf("%s, %s: %d, %d bytes, %v", path, name, w.Code, w.Body.Len(), w.Header())
			}
		}
	}
}

// TestK04K05KeysAreReadInTime walks a key through its states and reads the set as a verifier does that keeps
// it for as long as it is told: whatever signs, it has the key.
func TestK04K05KeysAreReadInTime(t *testing.T) {
	t.Parallel()
	const path, maxAge, rotation = "/i-es256/oauth2/jwks", 300, 24 * time.Hour
	f := newFixture(t, "")
	f.now.Store(time.Now().Unix())
	kids := func(body string) (list []string) {
		keys, err := oauth.ParseJWKSet([]byte(body), oauth.Fetched)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			list = append(list, k.ID)
		}
		return list
	}
	signs := func() string {
		keys, err := f.ring.Keys(t.Context(), "i-es256")
		if err != nil {
			t.Fatal(err)
		}
		return keys[0].ID
	}
	kept, seen := f.get(http.MethodGet, path, ""), map[string]bool{signs(): true}
	for step := range 600 { // 50 hours
		f.now.Add(maxAge)
		changed, err := f.ring.Tend(t.Context(), "i-es256", "ES256", rotation)
		if err != nil {
			t.Fatal(err)
		}
		signing := signs()
		if seen[signing] = true; !slices.Contains(kids(kept.Body.String()), signing) {
			t.Fatalf("step %d: a verifier that asked %d s ago has not the key that signs", step, maxAge)
		}
		now := f.get(http.MethodGet, path, kept.Header().Get("ETag"))
		if changed != (now.Code == http.StatusOK) || !changed && now.Code != http.StatusNotModified {
			t.Fatalf("step %d: changed %v, status %d", step, changed, now.Code)
		}
		if changed {
			kept = now
		}
		if !strings.HasSuffix(kept.Header().Get("Cache-Control"), "max-age=300") {
			t.Fatal(kept.Header())
		}
	}
	if len(seen) != 3 {
		t.Errorf("%d keys signed in 50 hours, want one a day", len(seen))
	}
}

// The authorization endpoint that the metadata names is there, and says that nobody signs in at it.
func TestTheAuthorizationEndpointSaysThatThereIsNone(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	discovery.New(discovery.Options{PublicURL: public}).ServeHTTP(w, httptest.NewRequest(http.MethodGet,
		"/acme/oauth2/authorize?response_type=code&client_id=x&redirect_uri=https%3A%2F%2Fevil.example", nil))
	if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"error":"unsupported_response_type"`) ||
		w.Header().Get("Location") != "" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

// M01, RFC 8414 §3. M02, RFC 8414 §3.3. M03, RFC 8414 §2. M07, RFC 8414 §3.2.
func TestM01M03ToM07Metadata(t *testing.T) {
	t.Parallel()
	const methods = `["client_secret_basic","client_secret_post","client_secret_jwt","private_key_jwt",` +
		`"tls_client_auth","self_signed_tls_client_auth"]`
	const signing = `["HS256","ES256","RS256","EdDSA","ES384","ES512","RS384","RS512","PS256","PS384","PS512"]`
	want := func(id, tokens, grants, scopes, algorithms string) string {
		return `{"issuer":"` + public + `/` + id + `/oauth2",` +
			`"authorization_endpoint":"` + public + `/` + id + `/oauth2/authorize",` +
			`"token_endpoint":"` + tokens + `/` + id + `/oauth2/token",` +
			`"jwks_uri":"` + public + `/` + id + `/oauth2/jwks","scopes_supported":[` + scopes + `],` +
			`"response_types_supported":[],"grant_types_supported":[` + grants + `],` +
			`"token_endpoint_auth_methods_supported":` + methods + `,` +
			`"token_endpoint_auth_signing_alg_values_supported":` + signing + `,` +
			`"subject_types_supported":["public"],"id_token_signing_alg_values_supported":[` + algorithms + `],` +
			`"claims_supported":["iss","sub","aud","client_id","scope","iat","nbf","exp","jti","cnf","act"],` +
			`"introspection_endpoint":"` + tokens + `/` + id + `/oauth2/introspect",` +
			`"introspection_endpoint_auth_methods_supported":` + methods + `,` +
			`"introspection_endpoint_auth_signing_alg_values_supported":` + signing + `,` +
			`"revocation_endpoint":"` + tokens + `/` + id + `/oauth2/revoke",` +
			`"revocation_endpoint_auth_methods_supported":` + methods + `,` +
			`"revocation_endpoint_auth_signing_alg_values_supported":` + signing + `,` +
			`"tls_client_certificate_bound_access_tokens":true,` +
			`"dpop_signing_alg_values_supported":["ES256","RS256","EdDSA","ES384","ES512","RS384","RS512","PS256","PS384","PS512"]}`
	}
	const on = `"client_credentials","urn:ietf:params:oauth:grant-type:token-exchange"`
	for name, test := range map[string]struct{ tokenURL, id, want string }{
		"all on":            {"", "i-es256", want("i-es256", public, on, `"read","write"`, `"ES256"`)},
		"another algorithm": {"", "i-ps512", want("i-ps512", public, on, `"read","write"`, `"PS512"`)},
		"a token URL elsewhere": {
			"https://t.example/prod/", "i-eddsa",
			want("i-eddsa", "https://t.example/prod", on, `"read","write"`, `"EdDSA"`),
		},
		"M2M off":     {"", "off", want("off", public, "", "", `"ES256"`)},
		"no keys yet": {"", "bare", want("bare", public, on, "", "")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, test.tokenURL, "EdDSA", "PS512")
			for requirement, path := range map[string]string{
				"M01, M02 RFC 8414 §3, §3.3":    "/.well-known/oauth-authorization-server/" + test.id + "/oauth2",
				"M04 the same, as OpenID's":     "/.well-known/openid-configuration/" + test.id + "/oauth2",
				"M04 OpenID Connect Disc. §4.1": "/" + test.id + "/oauth2/.well-known/openid-configuration",
			} {
				w := f.get(http.MethodGet, path, "")
				if w.Code != http.StatusOK || w.Body.String() != test.want {
					t.Errorf("%s: %d\n%s\n%s", requirement, w.Code, w.Body, test.want)
				}
				if w.Header().Get("Content-Type") != "application/json" {
					t.Errorf("M07 %s: %s", path, w.Header().Get("Content-Type"))
				}
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "")
	for name, test := range map[string]struct {
		method, path string
		status       int
	}{
		"POST": {http.MethodPost, "/i-es256/oauth2/jwks", 405},
		"OPTIONS": {
			http.MethodOptions, "/.well-known/openid-configuration/i-es256/oauth2", 405,
		},
		"unknown instance": {http.MethodGet, "/nobody/oauth2/jwks", 404},
		"unknown instance, metadata": {
			http.MethodGet, "/.well-known/oauth-authorization-server/nobody/oauth2", 404,
		},
		"upper case":   {http.MethodGet, "/I-ES256/oauth2/jwks", 404},
		"encoded":      {http.MethodGet, "/%69-es256/oauth2/jwks", 404},
		"a slash more": {http.MethodGet, "/i-es256/oauth2/jwks/", 404},
		"two slashes":  {http.MethodGet, "//i-es256/oauth2/jwks", 404},
		"RFC 8414 name behind": {
			http.MethodGet, "/i-es256/oauth2/.well-known/oauth-authorization-server", 404,
		},
		"the token endpoint":           {http.MethodPost, "/i-es256/oauth2/token", 404},
		"K01 an instance without keys": {http.MethodGet, "/bare/oauth2/jwks", 503},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := f.get(test.method, test.path, "")
			var body oauth.Error
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Code == "" || w.Code != test.status {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			h := w.Header()
			if h.Get("Cache-Control") != "no-store" || (h.Get("Allow") == "GET, HEAD") != (w.Code == 405) ||
				(h.Get("Retry-After") == "1") != (w.Code == 503) || h.Get("Location") != "" {
				t.Errorf("headers %v", h)
			}
		})
	}
}

func TestK09StoreAway(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "")
	before := f.get(http.MethodGet, "/i-es256/oauth2/jwks", "")
	cold := discovery.New(discovery.Options{Reader: failing{}, PublicURL: public})
	f.server.Close()
	f.now.Add(1) // the age at which the reader asks the store again
	warm := f.get(http.MethodGet, "/i-es256/oauth2/jwks", "")
	if warm.Code != 200 || warm.Body.String() != before.Body.String() {
		t.Errorf("warm: %d %s", warm.Code, warm.Body)
	}
	w := httptest.NewRecorder()
	cold.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/i-es256/oauth2/jwks", nil))
	if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "canary") {
		t.Errorf("cold: %d %s", w.Code, w.Body)
	}
}

type failing struct{}

func (failing) Current(context.Context) (*registry.Snapshot, error) { return nil, errors.New("canary") }
