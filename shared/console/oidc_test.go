package console_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"keyless/shared/console"
	"keyless/shared/oauth"
)

// issuer is an identity provider that signs in whoever claims says.
type issuer struct {
	*httptest.Server
	t      testing.TB
	key    *ecdsa.PrivateKey
	form   url.Values // of the last request for a token
	basic  string
	claims map[string]any
	now    func() time.Time
	nonce  string
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{t: t, key: key, claims: map[string]any{}, now: time.Now}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.URL, "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token"})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		i.form = r.PostForm
		i.basic, _, _ = r.BasicAuth()
		_ = json.NewEncoder(w).Encode(map[string]string{"id_token": i.token()})
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

// token signs the claims over those of a good one; nil removes one.
func (i *issuer) token() string {
	claims := map[string]any{"iss": i.URL, "aud": "console", "sub": "user-1", "email": "ada@example.com", "nonce": i.nonce,
		"iat": i.now().Unix(), "exp": i.now().Add(time.Minute).Unix()}
	maps.Copy(claims, i.claims)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	part := func(v any) string {
		text, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	unsigned := part(map[string]string{"alg": "ES256", "kid": "k1"}) + "." + part(claims)
	sum := sha256.Sum256([]byte(unsigned))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, sum[:])
	if err != nil {
		i.t.Error(err)
		return ""
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return unsigned + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// IssuerKeys is the console's KeySource.
func (i *issuer) IssuerKeys(_ context.Context, name, _ string) ([]oauth.Key, error) {
	if name != i.URL {
		return nil, context.Canceled
	}
	k, err := oauth.NewKey(&i.key.PublicKey)
	k.ID = "k1"
	return []oauth.Key{k}, err
}

// with is the option of a console that trusts the provider.
func (i *issuer) with(o *console.Options) {
	i.now = o.Now
	o.OIDC = &console.OIDC{Issuer: i.URL, ClientID: "console", ClientSecret: "provider-secret", Admins: []string{"ada@example.com"},
		Readers: []string{"bob@example.com"}, Keys: i, Client: http.DefaultClient}
}

var onward = regexp.MustCompile(`content="0;url=([^"]+)"`)

// begin sends the browser to the provider and returns what it is asked there.
func (w *world) begin(i *issuer) url.Values {
	w.t.Helper()
	page := w.post("/sign-in", "/oidc/start", "to", "/_/console/usage")
	found := onward.FindStringSubmatch(page.body)
	if found == nil {
		w.t.Fatalf("does not lead to the provider: %d %s", page.status, page.body)
	}
	to, err := url.Parse(html.UnescapeString(found[1]))
	if err != nil || !strings.HasPrefix(to.String(), i.URL+"/authorize?") {
		w.t.Fatalf("leads to %s", found[1])
	}
	i.nonce = to.Query().Get("nonce")
	return to.Query()
}

func TestProviderSignsIn(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	w := newWorld(t, i.with)
	asked := w.begin(i)
	if asked.Get("response_type") != "code" || asked.Get("code_challenge_method") != "S256" || asked.Get("client_id") != "console" ||
		asked.Get("redirect_uri") != w.server.URL+"/_/console/oidc/callback" || asked.Get("scope") != "openid email profile" {
		t.Errorf("asks %v", asked)
	}
	back := w.get("/oidc/callback?" + url.Values{"code": {"c"}, "state": {asked.Get("state")}}.Encode())
	if back.status != http.StatusOK || onward.FindStringSubmatch(back.body) == nil || !strings.Contains(back.body, "/_/console/usage") {
		t.Fatalf("comes back with %d %s", back.status, back.body)
	}
	sum := sha256.Sum256([]byte(i.form.Get("code_verifier")))
	if base64.RawURLEncoding.EncodeToString(sum[:]) != asked.Get("code_challenge") || i.basic != "console" || i.form.Get("client_secret") != "" {
		t.Errorf("redeems with %v", i.form)
	}
	if got := w.get("/"); got.status != http.StatusOK || !strings.Contains(got.body, "oidc user-1 (ada@example.com)") {
		t.Errorf("signed in: %d", got.status)
	}
	if made := w.post("/new/groups", "/new/groups", "name", "mine"); made.status != http.StatusSeeOther {
		t.Errorf("an admin may not write: %d", made.status)
	}
	if trail := w.api(http.MethodGet, "/audit", ""); !strings.Contains(trail, "oidc user-1 (ada@example.com)") {
		t.Errorf("the audit trail does not name her: %s", trail)
	}
	if again := w.get("/oidc/callback?" + url.Values{"code": {"c"}, "state": {asked.Get("state")}}.Encode()); again.status != http.StatusUnauthorized {
		t.Errorf("the same answer again: %d", again.status)
	}
}

func TestProviderReader(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.claims["email"] = "bob@example.com"
	w := newWorld(t, i.with)
	asked := w.begin(i)
	w.get("/oidc/callback?" + url.Values{"code": {"c"}, "state": {asked.Get("state")}}.Encode())
	if got := w.get("/audit"); got.status != http.StatusOK {
		t.Errorf("a reader may not read: %d", got.status)
	}
	if got := w.post("/", "/new/groups", "name", "mine"); got.status != http.StatusForbidden {
		t.Errorf("a reader writes: %d", got.status)
	}
}

func TestProviderAnswerThatDoesNotHold(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for says, c := range map[string]struct {
		claims map[string]any
		state  string
		query  string
		want   int
	}{
		"good":                        {nil, "", "", http.StatusOK},
		"another state":               {nil, "other", "", http.StatusUnauthorized},
		"another issuer":              {map[string]any{"iss": "https://evil.example"}, "", "", http.StatusUnauthorized},
		"another audience":            {map[string]any{"aud": "other"}, "", "", http.StatusUnauthorized},
		"two audiences without azp":   {map[string]any{"aud": []string{"console", "other"}}, "", "", http.StatusUnauthorized},
		"two audiences with azp":      {map[string]any{"aud": []string{"console", "other"}, "azp": "console"}, "", "", http.StatusOK},
		"another party":               {map[string]any{"azp": "other"}, "", "", http.StatusUnauthorized},
		"another nonce":               {map[string]any{"nonce": "other"}, "", "", http.StatusUnauthorized},
		"no nonce":                    {map[string]any{"nonce": nil}, "", "", http.StatusUnauthorized},
		"expired":                     {map[string]any{"exp": now.Add(-2 * time.Minute).Unix()}, "", "", http.StatusUnauthorized},
		"no iat":                      {map[string]any{"iat": nil}, "", "", http.StatusUnauthorized},
		"of the future":               {map[string]any{"iat": now.Add(5 * time.Minute).Unix()}, "", "", http.StatusUnauthorized},
		"no sub":                      {map[string]any{"sub": nil}, "", "", http.StatusUnauthorized},
		"an address nobody verified":  {map[string]any{"email_verified": false}, "", "", http.StatusForbidden},
		"a stranger":                  {map[string]any{"email": "eve@example.com"}, "", "", http.StatusForbidden},
		"the provider's error":        {nil, "", "error=access_denied&", http.StatusUnauthorized},
		"of another issuer, RFC 9207": {nil, "", "iss=https%3A%2F%2Fevil.example&", http.StatusUnauthorized},
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			maps.Copy(i.claims, c.claims)
			w := newWorld(t, i.with)
			state := w.begin(i).Get("state")
			if c.state != "" {
				state = c.state
			}
			got := w.get("/oidc/callback?" + c.query + url.Values{"code": {"c"}, "state": {state}}.Encode())
			if got.status != c.want {
				t.Errorf("status %d, want %d: %s", got.status, c.want, w.log)
			}
			if in := w.get("/").status == http.StatusOK; in != (c.want == http.StatusOK) {
				t.Errorf("signed in: %v", in)
			}
		})
	}
}

func TestProviderSignatureOfAnother(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	known, err := oauth.NewKey(&newIssuer(t).key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, i.with, func(o *console.Options) { o.OIDC.Keys = &stubKeys{keys: []oauth.Key{known}} })
	state := w.begin(i).Get("state")
	if got := w.get("/oidc/callback?" + url.Values{"code": {"c"}, "state": {state}}.Encode()); got.status != http.StatusUnauthorized {
		t.Errorf("a foreign signature: %d", got.status)
	}
}

type stubKeys struct{ keys []oauth.Key }

func (s *stubKeys) IssuerKeys(context.Context, string, string) ([]oauth.Key, error) {
	return slices.Clone(s.keys), nil
}
