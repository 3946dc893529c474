package token_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"keyless/shared/oauth"
	"keyless/shared/registry"
	"keyless/shared/seal"
	"keyless/shared/token"
)

func sealHash(pepper []byte, place, secret string) string { return seal.Hash(pepper, place, secret) }

// S01 to S04: RFC 6749 §3.3. S06, S07: RFC 9068 §3, §5, RFC 8707 §2.
func TestS01ToS08Scopes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	tests := map[string]struct {
		client, ask string
		status      int
		want        string // scope, or the error's code
		audience    string
	}{
		"nothing asked, one server":    {"one", "", 200, "model.invoke model.list shared", gateway},
		"nothing asked, two servers":   {"both", "", 400, "invalid_target", ""},
		"nothing asked, with audience": {"both", "&audience=" + tools, 200, "tools.call shared", tools},
		"nothing granted":              {"none", "", 400, "invalid_scope", ""},
		"nothing granted, asked":       {"none", "&scope=model.list", 400, "invalid_scope", ""},
		"plain alone":                  {"both", "&scope=model.list", 200, "model.list", gateway},
		"S02 in the order asked": {
			"both", "&scope=model.list+model.invoke", 200, "model.list model.invoke", gateway,
		},
		"S02 duplicates folded":    {"one", "&scope=shared+shared", 200, "shared", gateway},
		"S02 letter case":          {"one", "&scope=Shared", 400, "invalid_scope", ""},
		"S07 plain at two servers": {"both", "&scope=shared", 400, "invalid_scope", ""},
		"S07 plain of two servers": {"both", "&scope=model.list+tools.call", 400, "invalid_scope", ""},
		"plain with resource":      {"both", "&scope=shared&resource=" + tools, 200, "shared", tools},
		"plain with audience":      {"both", "&scope=shared&audience=" + gateway, 200, "shared", gateway},
		"plain of the other": {
			"both", "&scope=tools.call&resource=" + gateway, 400, "invalid_scope", "",
		},
		"S08 identifier|value": {"both", "&scope=" + gateway + "|shared", 200, "shared", gateway},
		"S08 encoded bar":      {"both", "&scope=" + gateway + "%7Cshared", 200, "shared", gateway},
		"S08 two of one server": {
			"both", "&scope=" + gateway + "|shared+" + gateway + "|model.list", 200, "shared model.list", gateway,
		},
		"S08 |.all": {"both", "&scope=" + tools + "|.all", 200, "tools.call shared", tools},
		"S08 |.all and one more": {
			"both", "&scope=" + tools + "|.all+shared", 200, "tools.call shared", tools,
		},
		"S08 |.all and one not granted": {
			"both", "&scope=" + gateway + "|.all+secret.admin", 400, "invalid_scope", "",
		},
		"S08 with a plain one": {
			"both", "&scope=" + tools + "|tools.call+shared", 200, "tools.call shared", tools,
		},
		"S08 two servers": {
			"both", "&scope=" + tools + "|shared+" + gateway + "|shared", 400, "invalid_scope", "",
		},
		"S08 and the same resource": {
			"both", "&scope=" + tools + "|shared&resource=" + tools, 200, "shared", tools,
		},
		"S08 and another resource": {
			"both", "&scope=" + tools + "|shared&resource=" + gateway, 400, "invalid_target", "",
		},
		"S08 unknown identifier":         {"both", "&scope=urn:nobody|shared", 400, "invalid_scope", ""},
		"S08 no identifier":              {"both", "&scope=|shared", 400, "invalid_scope", ""},
		"S08 no value":                   {"both", "&scope=" + tools + "|", 400, "invalid_scope", ""},
		"S08 two bars":                   {"both", "&scope=" + tools + "|a|shared", 400, "invalid_scope", ""},
		"plain .all is no scope":         {"one", "&scope=.all", 400, "invalid_scope", ""},
		"S04 not granted":                {"one", "&scope=secret.admin", 400, "invalid_scope", ""},
		"S04 one of two not granted":     {"one", "&scope=shared+secret.admin", 400, "invalid_scope", ""},
		"S04 granted, no longer offered": {"one", "&scope=no.longer.offered", 400, "invalid_scope", ""},
		"S04 unknown":                    {"one", "&scope=x", 400, "invalid_scope", ""},
		"S05 not a URI":                  {"one", "&resource=gateway", 400, "invalid_target", ""},
		"S05 a relative URI":             {"one", "&resource=//tools.example/mcp", 400, "invalid_target", ""},
		"S05 a fragment":                 {"both", "&resource=" + tools + "%23f", 400, "invalid_target", ""},
		"S05 an empty fragment":          {"both", "&resource=" + tools + "%23", 400, "invalid_target", ""},
		"S05 unknown":                    {"one", "&resource=urn:nobody", 400, "invalid_target", ""},
		"S05 not granted":                {"one", "&resource=" + tools, 400, "invalid_target", ""},
		"S05 disabled":                   {"one", "&resource=urn:off", 400, "invalid_target", ""},
		"disabled, by identifier":        {"one", "&scope=urn:off|off", 400, "invalid_scope", ""},
		"disabled, plain":                {"one", "&scope=off", 400, "invalid_scope", ""},
		"audience not granted":           {"one", "&audience=" + tools, 400, "invalid_target", ""},
		"audience need not be a URI":     {"one", "&audience=x", 400, "invalid_target", ""},
		"several resources": {
			"both", "&resource=" + tools + "&resource=" + gateway, 400, "invalid_target", "",
		},
		"resource and another audience": {
			"both", "&resource=" + tools + "&audience=" + gateway, 400, "invalid_target", "",
		},
		"resource and the same audience": {
			"both", "&resource=" + tools + "&audience=" + tools, 200, "tools.call shared", tools,
		},
		"S01 two spaces":     {"one", "&scope=shared++model.list", 400, "invalid_scope", ""},
		"S01 a space before": {"one", "&scope=+shared", 400, "invalid_scope", ""},
		"S01 a quote":        {"one", "&scope=sha%22red", 400, "invalid_scope", ""},
		"S01 a tab":          {"one", "&scope=shared%09model.list", 400, "invalid_scope", ""},
		"S01 not ASCII":      {"one", "&scope=%C3%BC", 400, "invalid_scope", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := f.do(call{authorization: basic(test.client, secret), body: grantType + test.ask})
			if status, got := says(t, w); status != test.status || got != test.want {
				t.Fatalf("%d %s", status, w.Body)
			}
			if test.status == http.StatusOK {
				if claims := claimsOf(t, w.Body.Bytes()); claims.Audience != test.audience || claims.Scope != test.want {
					t.Errorf("S06: aud %s, scope %s", claims.Audience, claims.Scope)
				}
			}
		})
	}
}

func answerOf(t testing.TB, body []byte) oauth.TokenResponse {
	t.Helper()
	var answer oauth.TokenResponse
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// claimsOf reads the claims without looking at the signature.
func claimsOf(t testing.TB, body []byte) oauth.AccessTokenClaims {
	t.Helper()
	parsed, err := oauth.Parse(answerOf(t, body).AccessToken)
	if err != nil {
		t.Fatalf("our own strict door refuses our token: %v", err)
	}
	text, _ := json.Marshal(parsed.Claims.All)
	var claims oauth.AccessTokenClaims
	if err := json.Unmarshal(text, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// A02: RFC 6749 §5.1. A03: RFC 6749 §4.4.3. J02: RFC 9068 §2.2. J05: RFC 7519 §4.1.7.
func TestA02A03J02J05J06(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	w := f.do(call{})
	var members map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &members); err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"access_token", "expires_at", "expires_in", "scope", "token_type"}) {
		t.Errorf("A03: members %v", names)
	}
	answer, claims := answerOf(t, w.Body.Bytes()), claimsOf(t, w.Body.Bytes())
	if answer.TokenType != "Bearer" || answer.ExpiresIn != 1200 || answer.ExpiresAt != now.Unix()+1200 {
		t.Errorf("A02: %+v", answer)
	}
	if len(claims.ID) != 22 {
		t.Errorf("J05: jti %q", claims.ID)
	}
	claims.ID = ""
	want := oauth.AccessTokenClaims{
		Issuer: public + "/acme/oauth2", Subject: "one", Audience: gateway, ClientID: "one",
		Scope: "model.invoke model.list shared", IssuedAt: now.Unix(), NotBefore: now.Unix(),
		ExpiresAt: now.Unix() + 1200,
	}
	if claims != want {
		t.Errorf("J02: %+v", claims)
	}
	if again := claimsOf(t, f.do(call{}).Body.Bytes()); again.ID == claimsOf(t, w.Body.Bytes()).ID {
		t.Error("J05: one jti twice")
	}
}

func TestJ06TheInstancesLifetime(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	w := f.do(call{authorization: basic("both", secret), body: grantType + "&resource=" + tools})
	if answer := answerOf(t, w.Body.Bytes()); answer.ExpiresIn != 3600 {
		t.Errorf("expires_in %d", answer.ExpiresIn)
	}
}

// TestJ01J08J12Signatures verifies by the standard library, by the registry's view and by jwx. J01: RFC 9068 §2.1, RFC 8725 §3.11. J08:
// RFC 7518 §3.4. J12: RFC 8037 §3.1, RFC 9864.
func TestJ01J08J12Signatures(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	one := clients(f.pepper)[0]
	one.Secrets[0].Hash = seal.Hash(f.pepper, "client/other/one/secret/s1", secret)
	f.client(t, "other", one)
	for instance, algorithm := range map[string]string{"acme": "ES256", "other": "EdDSA"} {
		w := f.do(call{path: "/" + instance + "/oauth2/token"})
		if w.Code != http.StatusOK {
			t.Fatalf("%s: %s", instance, w.Body)
		}
		compact := answerOf(t, w.Body.Bytes()).AccessToken
		snapshot, err := f.Reader.Current(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		keys := snapshot.KeySets[instance]
		parts := strings.Split(compact, ".")
		header, _ := base64.RawURLEncoding.DecodeString(parts[0])
		want := `{"alg":"` + algorithm + `","kid":"` + keys.Active + `","typ":"at+jwt"}`
		if string(header) != want {
			t.Errorf("J01: %s", header)
		}
		signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
		if signed := parts[0] + "." + parts[1]; !verifies(keys.Keys[0], signed, signature) {
			t.Errorf("%s: the standard library does not verify it", algorithm)
		}
		set, err := jwk.Parse(keys.JWKS)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jws.Verify([]byte(compact), jws.WithKeySet(set), jws.WithCompact()); err != nil {
			t.Errorf("%s: jwx: %v", algorithm, err)
		}
		another := snapshot.KeySets[map[string]string{"acme": "other", "other": "acme"}[instance]]
		foreign, _ := jwk.Parse(another.JWKS)
		if _, err := jws.Verify([]byte(compact), jws.WithKeySet(foreign, jws.WithRequireKid(false))); err == nil {
			t.Error("J16: another instance's keys verify it")
		}
	}
}

func verifies(key oauth.Key, signed string, signature []byte) bool {
	switch public := key.Public.(type) {
	case *ecdsa.PublicKey:
		if len(signature) != 64 {
			return false
		}
		digest := sha256.Sum256([]byte(signed))
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		return ecdsa.Verify(public, digest[:], r, s)
	case ed25519.PublicKey:
		return ed25519.Verify(public, []byte(signed), signature)
	}
	return false
}

// J07, RFC 9068 §2.1: RS256 among them.
func TestJ07AlgorithmsOfTheList(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, algorithm := range []string{"RS256", "PS256", "ES384", "ES512"} {
		if _, err := f.ring.Ensure(t.Context(), "acme", algorithm); err != nil {
			t.Fatal(err)
		}
		if _, err := f.ring.Rotate(t.Context(), "acme", algorithm); err != nil {
			t.Fatal(err)
		}
		compact := answerOf(t, f.do(call{}).Body.Bytes()).AccessToken
		snapshot, err := f.Reader.Snapshot(t.Context()) // the request has brought the newest
		if err != nil {
			t.Fatal(err)
		}
		active := snapshot.KeySets["acme"].Keys[0]
		key := jws.WithKey(jwa.SignatureAlgorithm(algorithm), active.Public)
		if _, err := jws.Verify([]byte(compact), key); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
}

// FuzzBasicClientAuth: whatever an id and a secret are, both ways in which clients write them are read;
// whatever a header is, nothing breaks, and what is read has an id and a secret.
func FuzzBasicClientAuth(f *testing.F) {
	f.Add("one", secret, "Basic b25lOnNlY3JldA==")
	f.Add("odd", awkward, "basic b25lOg==")
	f.Add("a", "%", "Basic")
	f.Add("a", "%2", "Basic  ")
	f.Add("a", "+", "Bearer x")
	f.Add("a~b.c_d-e", "\x00:\xff", "Basic Og==")
	f.Fuzz(func(t *testing.T, id, secret, header string) {
		got, secrets, ok := token.ParseBasic(header)
		if ok && (got == "" || len(secrets) == 0 || slices.Contains(secrets, "")) {
			t.Fatalf("%q gives %q, %q", header, got, secrets)
		}
		plain := strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-") == ""
		if !plain || id == "" || secret == "" {
			return
		}
		for name, text := range map[string]string{
			"form-encoded": basic(id, secret),
			"raw":          "BASIC " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret)),
		} {
			got, secrets, ok := token.ParseBasic(text)
			if !ok || got != id || !slices.Contains(secrets, secret) {
				t.Fatalf("%s %q:%q gives %q, %q, %v", name, id, secret, got, secrets, ok)
			}
		}
	})
}

// BenchmarkIssueES256 is a whole token request in the process, beside the floor: the bare signature, and the
// store's round trip.
func BenchmarkIssueES256(b *testing.B) {
	f := newFixture(b)
	b.Run("endpoint", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if w := f.do(call{}); w.Code != http.StatusOK {
				b.Fatal(w.Body)
			}
		}
	})
	b.Run("floor: store", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := f.store.Entries(b.Context(), registry.KindClient, "acme/one"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("floor: signature", func(b *testing.B) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		digest := sha256.Sum256([]byte("x"))
		for b.Loop() {
			if _, _, err := ecdsa.Sign(rand.Reader, key, digest[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
