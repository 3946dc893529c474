package token_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"keyless/shared/auth"
	"keyless/shared/oauth"
	"keyless/shared/registry"
	"keyless/shared/seal"
	"keyless/shared/token"
)

// newDPoP is a fixture with a client of each mode, and one that signs assertions.
func newDPoP(t testing.TB) *fixture {
	t.Helper()
	f := newProven(t, nil, registry.Client{
		ID: "signer", DPoP: "required", Authentication: []string{oauth.PrivateKeyJWT}, PublicKeys: []string{publicPEM(t, "P-384")},
	})
	for _, mode := range []string{"", "off", "optional", "required"} {
		id := "dpop" + mode
		f.client(t, "acme", registry.Client{
			ID: id, DPoP: mode, Secrets: []registry.ClientSecret{hashed(f.pepper, id, "s1", secret)},
			Permissions: []registry.Permission{{ResourceServer: gateway, Scopes: []string{"model.invoke"}}},
		})
	}
	return f
}

// jwkOf is the public JWK of one of the pairs, and its thumbprint.
func jwkOf(t testing.TB, pair string) (object, string) {
	t.Helper()
	var set struct{ Keys []object }
	text := jwksOf(t, pair, "")
	if err := json.Unmarshal([]byte(text), &set); err != nil {
		t.Fatal(err)
	}
	delete(set.Keys[0], "kid")
	key, err := oauth.NewKey(pairs()[pair].Public())
	if err != nil {
		t.Fatal(err)
	}
	return set.Keys[0], key.Thumbprint
}

// proof makes a good proof of a pair's key with the nonce of now, changed; a nil value removes a claim.
func (f *fixture) proof(t testing.TB, change object) string {
	t.Helper()
	jwk, _ := jwkOf(t, "P-256")
	claims := object{
		"jti": seal.NewSecret(), "htm": "POST", "htu": tokenURL, "iat": now.Unix(), "nonce": auth.ProofNonce(f.pepper, now),
	}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return signedBy("P-256", "ES256", object{"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}, claims)
}

// prove asks for a token as a client by Basic, with proofs.
func (f *fixture) prove(id string, proofs ...string) *httptest.ResponseRecorder {
	c := call{authorization: basic(id, secret)}
	if len(proofs) > 0 {
		c.header = http.Header{"Dpop": proofs}
	}
	return f.do(c)
}

// X07, RFC 9449 §5, §6.1: the token is bound to the proof's key, and says so in its type and its cnf.
func TestX07RFC9449TokensAreBound(t *testing.T) {
	t.Parallel()
	f := newDPoP(t)
	_, thumbprint := jwkOf(t, "P-256")
	for _, id := range []string{"dpopoptional", "dpoprequired"} {
		w := f.prove(id, f.proof(t, nil))
		answer := answerOf(t, w.Body.Bytes())
		if w.Code != 200 || answer.TokenType != "DPoP" || w.Header().Get("DPoP-Nonce") != auth.ProofNonce(f.pepper, now) {
			t.Errorf("%s: %d %s %v", id, w.Code, w.Body, w.Header())
		}
		parsed, err := oauth.Parse(answer.AccessToken)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(parsed.Claims.All["cnf"]); got != `{"jkt":"`+thumbprint+`"}` {
			t.Errorf("%s: cnf %s", id, got)
		}
	}
	w := f.prove("dpopoptional")
	if answer := answerOf(t, w.Body.Bytes()); w.Code != 200 || answer.TokenType != "Bearer" || w.Header().Get("DPoP-Nonce") != "" {
		t.Errorf("optional, without a proof: %d %s", w.Code, w.Body)
	}
}

// X07, RFC 9449 §4.3, §5, §8: what is refused, and by which code.
func TestX07RFC9449ProofsAtTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	f := newDPoP(t)
	jwk, _ := jwkOf(t, "P-256")
	claims := object{"jti": "x", "htm": "POST", "htu": tokenURL, "iat": now.Unix(), "nonce": auth.ProofNonce(f.pepper, now)}
	header := func(change object) object {
		h := object{"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}
		maps.Copy(h, change)
		return h
	}
	good := f.proof(t, nil)
	const bad, nonce = oauth.InvalidDPoPProof, oauth.UseDPoPNonce
	for name, c := range map[string]struct {
		client string
		proofs []string
		status int
		code   string
	}{
		"no proof where one is required": {"dpoprequired", nil, 400, bad},
		"a proof where dpop is off":      {"dpopoff", []string{f.proof(t, nil)}, 400, oauth.InvalidRequest},
		"and where nothing is said":      {"dpop", []string{f.proof(t, nil)}, 400, oauth.InvalidRequest},
		"off, without a proof":           {"dpopoff", nil, 200, "model.invoke"},
		"two proofs":                     {"dpoprequired", []string{f.proof(t, nil), f.proof(t, nil)}, 400, bad},
		"nonsense":                       {"dpoprequired", []string{"x"}, 400, bad},
		"an empty proof":                 {"dpoprequired", []string{""}, 400, bad},
		"a private key":                  {"dpoprequired", []string{signedBy("P-256", "ES256", header(object{"jwk": withD(jwk)}), claims)}, 400, bad},
		"another typ":                    {"dpoprequired", []string{signedBy("P-256", "ES256", header(object{"typ": "JWT"}), claims)}, 400, bad},
		"signed by another key":          {"dpoprequired", []string{signedBy("another", "ES256", header(nil), claims)}, 400, bad},
		"a changed signature":            {"dpoprequired", []string{good[:len(good)-8] + "AAAAAAA" + good[len(good)-1:]}, 400, bad},
		"for GET":                        {"dpoprequired", []string{f.proof(t, object{"htm": "GET"})}, 400, bad},
		"for another instance":           {"dpoprequired", []string{f.proof(t, object{"htu": public + "/other/oauth2/token"})}, 400, bad},
		"for the issuer":                 {"dpoprequired", []string{f.proof(t, object{"htu": issuerURL})}, 400, bad},
		"for introspection":              {"dpoprequired", []string{f.proof(t, object{"htu": issuerURL + "/introspect"})}, 400, bad},
		"htu with a query":               {"dpoprequired", []string{f.proof(t, object{"htu": tokenURL + "?x=1"})}, 200, "model.invoke"},
		"a minute old":                   {"dpoprequired", []string{f.proof(t, object{"iat": now.Unix() - 60})}, 200, "model.invoke"},
		"a second older":                 {"dpoprequired", []string{f.proof(t, object{"iat": now.Unix() - 61})}, 400, bad},
		"of the future":                  {"dpoprequired", []string{f.proof(t, object{"iat": now.Unix() + 61})}, 400, bad},
		"§8: no nonce":                   {"dpoprequired", []string{f.proof(t, object{"nonce": nil})}, 400, nonce},
		"§8: no nonce, optional":         {"dpopoptional", []string{f.proof(t, object{"nonce": nil})}, 400, nonce},
		"§8: an old nonce":               {"dpoprequired", []string{f.proof(t, object{"nonce": auth.ProofNonce(f.pepper, now.Add(-time.Hour))})}, 400, nonce},
		"§8: the one before":             {"dpoprequired", []string{f.proof(t, object{"nonce": auth.ProofNonce(f.pepper, now.Add(-5*time.Minute))})}, 200, "model.invoke"},
		"§8: somebody else's nonce":      {"dpoprequired", []string{f.proof(t, object{"nonce": auth.ProofNonce([]byte("x"), now)})}, 400, nonce},
		"a wrong secret, a good proof":   {"nobody", []string{f.proof(t, nil)}, 401, oauth.InvalidClient},
	} {
		w := f.prove(c.client, c.proofs...)
		if status, code := says(t, w); status != c.status || code != c.code {
			t.Errorf("%s: %d %s", name, status, code)
		}
		if given := w.Header().Get("DPoP-Nonce"); (c.code == nonce || c.code == bad) && given != auth.ProofNonce(f.pepper, now) {
			t.Errorf("%s: nonce %q", name, given)
		}
	}
	if strings.Contains(f.log.String(), "ES256") {
		t.Error("the log holds a proof")
	}
}

func withD(jwk object) object {
	private := maps.Clone(jwk)
	private["d"] = "AAAA"
	return private
}

// RFC 9449 §11.1: a proof gives one token. A request that is refused for another cause does not use it up.
func TestRFC9449OneTokenForAProof(t *testing.T) {
	t.Parallel()
	f := newDPoP(t)
	proof := f.proof(t, nil)
	w := f.do(call{authorization: basic("dpoprequired", secret), body: grantType + "&scope=nobody.grants", header: http.Header{"Dpop": {proof}}})
	if _, code := says(t, w); code != oauth.InvalidScope {
		t.Errorf("a scope that is not granted: %s", code)
	}
	if w := f.prove("dpoprequired", proof); w.Code != 200 {
		t.Errorf("then: %d %s", w.Code, w.Body)
	}
	if _, code := says(t, f.prove("dpoprequired", proof)); code != oauth.InvalidDPoPProof {
		t.Errorf("again: %s", code)
	}
	if _, code := says(t, f.prove("dpopoptional", proof)); code != oauth.InvalidDPoPProof {
		t.Errorf("by another client: %s", code)
	}
	for name, memory := range map[string]token.Nonces{"away": nonces(func() (bool, error) { return true, errors.New("away") }), "none": nil} {
		o := f.Options
		o.Nonces = memory
		g := *f
		g.Handler = token.New(o)
		if w := g.prove("dpoprequired", g.proof(t, nil)); w.Code != 503 {
			t.Errorf("memory %s: %d %s", name, w.Code, w.Body)
		}
	}
}

// RFC 9449 §8: who learns its nonce by a refusal has not lost the assertion that it sent along.
func TestRFC9449ANonceIsAskedForFirst(t *testing.T) {
	t.Parallel()
	f := newDPoP(t)
	body := asserted(jwtBearer, signedBy("P-384", "ES384", object{"alg": "ES384"}, own("signer", nil)))
	ask := func(proof string) *httptest.ResponseRecorder {
		return f.do(call{basic: "-", body: body, header: http.Header{"Dpop": {proof}}})
	}
	w := ask(f.proof(t, object{"nonce": nil}))
	if _, code := says(t, w); code != oauth.UseDPoPNonce {
		t.Fatal(code)
	}
	if w = ask(f.proof(t, object{"nonce": w.Header().Get("DPoP-Nonce")})); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// The endpoint has two names where it is reached elsewhere than at the issuer.
func TestRFC9449URLOfTheEndpoint(t *testing.T) {
	t.Parallel()
	f := newDPoP(t)
	o := f.Options
	o.TokenURL = "https://token.example/live"
	f.Handler = token.New(o)
	for htu, want := range map[string]int{
		tokenURL: 200, "https://token.example/live/acme/oauth2/token": 200, "https://token.example/acme/oauth2/token": 400,
	} {
		if w := f.prove("dpoprequired", f.proof(t, object{"htu": htu})); w.Code != want {
			t.Errorf("%s: %d %s", htu, w.Code, w.Body)
		}
	}
}

// RFC 8705 §3 and RFC 9449 §6.1 together.
func TestRFC9449BothBindings(t *testing.T) {
	t.Parallel()
	shown := issue(t, "RSA", job(), nil, "")
	f := newProven(t, nil, registry.Client{
		ID: "tls", DPoP: "optional", Authentication: []string{"self_signed_tls_client_auth"}, Certificates: []string{certPEM(shown)},
	})
	_, thumbprint := jwkOf(t, "P-256")
	w := f.show(shown, "tls", func(r *http.Request) { r.Header.Set("DPoP", f.proof(t, nil)) })
	answer := answerOf(t, w.Body.Bytes())
	parsed, err := oauth.Parse(answer.AccessToken)
	if err != nil || answer.TokenType != "DPoP" {
		t.Fatalf("%v %s", err, w.Body)
	}
	cnf := string(parsed.Claims.All["cnf"])
	if !strings.Contains(cnf, `"jkt":"`+thumbprint+`"`) || !strings.Contains(cnf, `"x5t#S256":"`) {
		t.Errorf("cnf %s", cnf)
	}
}

// X08, RFC 9449 §7.2: a token that the endpoint bound passes the gate with its key, and without it nowhere.
func TestX08ABoundTokenAtTheGate(t *testing.T) {
	t.Parallel()
	f := newDPoP(t)
	bound := answerOf(t, f.prove("dpoprequired", f.proof(t, nil)).Body.Bytes()).AccessToken
	f.set(t, map[string]any{"api:orders": registry.API{Name: "orders", Type: "http", BasePath: "/orders"}},
		map[string]string{"claim:client_id": "", "jwtplace:" + registry.BearerPlace.String(): ""})
	c := registry.Consumer{
		Name: "job", Authorizations: []registry.Authorization{{API: "orders"}},
		JWT: &registry.JWTCredential{JWKSURL: issuerURL + "/jwks", Claim: "client_id", Value: "dpoprequired", RequireDPoP: true},
	}
	text, _ := json.Marshal(c)
	if err := f.store.Write(t.Context(), registry.Change{
		Kind: registry.KindConsumer, Name: "job", Entry: &registry.Entry{Value: string(text)},
		Index: []string{registry.IndexJWT("client_id", "dpoprequired")},
	}); err != nil {
		t.Fatal(err)
	}
	gate := auth.New(nil, public, f.Now).WithNonces(f.Nonces)
	reader := registry.NewReader(f.store, f.master, f.Now)
	ask := func(scheme, proof string) auth.Decision {
		r := httptest.NewRequest("GET", public+"/orders", nil)
		r.Header.Set("Authorization", scheme+bound)
		r.Header.Set("DPoP", proof)
		var d auth.Decision
		err := reader.Consult(context.Background(), func(v registry.View) (registry.Result, error) {
			var err error
			d, err = gate.Decide(t.Context(), v, r, v.APIs["orders"])
			return registry.Final, err
		})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	at := object{"htm": "GET", "htu": public + "/orders", "ath": auth.TokenHash(bound)}
	if d := ask("DPoP ", f.proof(t, at)); !d.Allowed || d.Consumer.Name != "job" || d.Revocation == "" {
		t.Errorf("with its key: %v", d.Trace)
	}
	if d := ask("Bearer ", f.proof(t, at)); d.Allowed {
		t.Error("as a bearer token")
	}
	if d := ask("DPoP ", f.proof(t, nil)); d.Allowed {
		t.Error("with the proof of a token request")
	}
}
