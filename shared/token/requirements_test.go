package token_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"keyless/shared/oauth"
	"keyless/shared/registry"
	"keyless/shared/seal"
)

// C02, C09, RFC 6749 §10.10: a generated secret has 256 random bits and needs no encoding in any place, so that clients
// that encode and clients that do not send the same.
func TestC02C09GeneratedSecrets(t *testing.T) {
	t.Parallel()
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~" // RFC 3986 §2.3
	f := newFixture(t)
	seen := map[string]bool{}
	for range 50 {
		generated := seal.NewSecret()
		if strings.Trim(generated, unreserved) != "" || len(generated) < 43 || seen[generated] {
			t.Fatalf("%q", generated)
		}
		seen[generated] = true
	}
	for generated := range seen {
		f.client(t, "acme", registry.Client{ID: "fresh", Permissions: clients(f.pepper)[0].Permissions,
			Secrets: []registry.ClientSecret{hashed(f.pepper, "fresh", "s1", generated)}})
		for name, c := range map[string]call{
			"encoded": {authorization: basic("fresh", generated)}, "raw": {basic: "fresh:" + generated},
			"in the body": {basic: "-", body: grantType + "&client_id=fresh&client_secret=" + generated},
		} {
			if w := f.do(c); w.Code != 200 {
				t.Errorf("%s: %d", name, w.Code)
			}
		}
		break
	}
}

// C08, RFC 6749 §10.1: what is stored is a hash under a key that the store does not have, bound to its place: it proves
// nothing elsewhere, and nothing under another key.
func TestC08StoredSecretsAreKeyedHashes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stored := hashed(f.pepper, "one", "s1", secret)
	sum := sha256.Sum256([]byte(secret))
	for _, plain := range []string{secret, base64.RawURLEncoding.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString(sum[:])} {
		if strings.Contains(stored.Hash, plain) {
			t.Errorf("stored as %s", stored.Hash)
		}
	}
	for name, hash := range map[string]string{
		"of another pepper":        seal.Hash(seal.NewPepper(), "client/acme/thief/secret/s1", secret),
		"of another client":        stored.Hash,
		"of another secret's id":   seal.Hash(f.pepper, "client/acme/thief/secret/s2", secret),
		"of an instance of others": seal.Hash(f.pepper, "client/other/thief/secret/s1", secret),
		"the hash itself":          secret,
		"nothing":                  "",
	} {
		f.client(t, "acme", registry.Client{ID: "thief", Permissions: clients(f.pepper)[0].Permissions,
			Secrets: []registry.ClientSecret{{ID: "s1", Hash: hash}}})
		if w := f.do(call{authorization: basic("thief", secret)}); w.Code != 401 {
			t.Errorf("%s: %d", name, w.Code)
		}
		if hash != "" && hash != secret {
			if w := f.do(call{authorization: basic("thief", hash)}); w.Code != 401 {
				t.Errorf("%s, sent: %d", name, w.Code)
			}
		}
	}
}

// S03, RFC 6749 §3.3: no scope asked for is all that is granted at the one resource server, and the answer says it.
// J04, RFC 9068 §2.2.3: in the token it is one string.
func TestS03J04TheScopeThatWasNotAskedFor(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	w := f.do(call{})
	if _, scope := says(t, w); scope != "model.invoke model.list shared" {
		t.Errorf("S03: %s", w.Body)
	}
	parsed, err := oauth.Parse(answerOf(t, w.Body.Bytes()).AccessToken)
	if err != nil || string(parsed.Claims.All["scope"]) != `"model.invoke model.list shared"` {
		t.Errorf("J04: %s, %v", parsed.Claims.All["scope"], err)
	}
}

// J03, RFC 9068 §2.2: sub is the client, whatever a request says of itself.
func TestJ03AClientCannotChooseItsSubject(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	w := f.do(call{body: grantType + "&sub=both&subject=both&subject_token=x&username=both&act=x&actor_token=x"})
	if claims := claimsOf(t, w.Body.Bytes()); w.Code != 200 || claims.Subject != "one" || claims.ClientID != "one" || claims.Actor != nil {
		t.Errorf("%d %+v", w.Code, claims)
	}
}

// J09, RFC 7518 §3.5: the salt of PS* is as long as the hash; another length verifies nowhere here.
func TestJ09SaltLength(t *testing.T) {
	t.Parallel()
	f := newProven(t, nil, registry.Client{
		ID: "ps", Authentication: []string{"private_key_jwt"}, PublicKeys: []string{publicPEM(t, "RSA")},
	})
	for salt, status := range map[int]int{sha256.Size: 200, sha256.Size - 1: 401, sha256.Size + 1: 401, 1: 401} {
		text := written(object{"alg": "PS256"}, own("ps", nil))
		hash, opts := sumOf("PS256", text)
		signature, err := rsa.SignPSS(rand.Reader, pairs()["RSA"].(*rsa.PrivateKey), opts.HashFunc(), hash,
			&rsa.PSSOptions{SaltLength: salt, Hash: opts.HashFunc()})
		if err != nil {
			t.Fatal(err)
		}
		if w := f.send(asserted(jwtBearer, text+"."+raw(signature))); w.Code != status {
			t.Errorf("a salt of %d bytes: %d", salt, w.Code)
		}
	}
}

// J14, RFC 7519 §2: a NumericDate is a number; what only looks like one is refused in whatever token is brought, and ours
// have integers.
func TestJ14NumericDates(t *testing.T) {
	t.Parallel()
	f, _ := newExchanging(t)
	for name, exp := range map[string]any{
		"a string": "1795349100", "a negative": -1, "true": true, "a list": []int{1795349100}, "null": json.RawMessage("null"),
		"a word": "never", "an exponent beyond all": json.RawMessage("1e400"),
	} {
		for _, claim := range []string{"exp", "iat", "nbf"} {
			if w := f.trade(personToken(object{claim: exp})); w.Code != 400 {
				t.Errorf("%s that is %s: %d", claim, name, w.Code)
			}
		}
	}
	parsed, err := oauth.Parse(f.mint(t, call{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, claim := range []string{"exp", "iat", "nbf"} {
		if text := string(parsed.Claims.All[claim]); strings.Trim(text, "0123456789") != "" {
			t.Errorf("%s is %s", claim, text)
		}
	}
}

// J10, RFC 7518 §3.2: a secret that keys HS256 has 256 bits. J11, RFC 7518 §3.3: an RSA key has 2048.
func TestJ10J11ShortKeysProveNothing(t *testing.T) {
	t.Parallel()
	f := newProven(t, nil)
	for length, status := range map[int]int{31: 401, 32: 200} {
		short := strings.Repeat("k", length)
		f.client(t, "acme", registry.Client{ID: "hs", Authentication: []string{"client_secret_jwt"},
			Permissions: clients(f.pepper)[0].Permissions,
			Secrets:     []registry.ClientSecret{sealedSecret(t, f.master, f.pepper, "hs", "s1", short)}})
		if w := f.send(asserted(jwtBearer, keyed([]byte(short), object{"alg": "HS256"}, own("hs", nil)))); w.Code != status {
			t.Errorf("J10 %d bytes: %d", length, w.Code)
		}
	}
	weak := raw(append([]byte{0x80}, make([]byte, 126)...)) + "E"
	if _, err := oauth.ParseJWKSet([]byte(`{"kty":"RSA","e":"AQAB","n":"`+weak+`"}`), oauth.Pasted); err == nil {
		t.Error("J11: 1024 bits are taken")
	}
}

// K08, RFC 7517 §5: keys of unknown kinds, and members nobody knows, do not spoil a client's key set.
func TestK08UnknownKeysArePassedOver(t *testing.T) {
	t.Parallel()
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(jwksOf(t, "P-256", "k1")), &set); err != nil {
		t.Fatal(err)
	}
	set.Keys[0]["x-future"] = object{"a": 1}
	keys := append([]map[string]any{{"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}, {"kty": "EC", "crv": "P-999", "x": "AA", "y": "AA"}}, set.Keys...)
	text, err := json.Marshal(object{"keys": keys, "x-future": true})
	if err != nil {
		t.Fatal(err)
	}
	const url = "https://client.example/jwks"
	f := newProven(t, object{url: string(text)}, registry.Client{ID: "ec", Authentication: []string{"private_key_jwt"}, JWKSURL: url})
	good := signedBy("P-256", "ES256", object{"alg": "ES256", "kid": "k1"}, own("ec", nil))
	if w := f.send(asserted(jwtBearer, good)); w.Code != 200 {
		t.Errorf("%d %s\n%s", w.Code, w.Body, f.log)
	}
}

// T13, T12: no answer of any endpoint lets a web page read it, or sends the caller elsewhere.
func TestT12T13NoCORSNoRedirects(t *testing.T) {
	t.Parallel()
	f, _, _ := newRevoking(t)
	text := f.mint(t, call{})
	header := map[string][]string{"Origin": {"https://web.example"}, "Access-Control-Request-Method": {"POST"}}
	for _, w := range []*httptest.ResponseRecorder{
		f.do(call{header: header}), f.do(call{header: header, method: "OPTIONS"}),
		f.do(call{header: header, path: introspectPath, body: "token=" + text}),
		f.do(call{header: header, path: introspectPath, method: "OPTIONS"}),
		f.do(call{header: header, path: revokePath, body: "token=" + text}),
	} {
		for name := range w.Header() {
			if strings.HasPrefix(name, "Access-Control") || name == "Location" {
				t.Errorf("%s: %s", name, w.Header().Get(name))
			}
		}
	}
}
