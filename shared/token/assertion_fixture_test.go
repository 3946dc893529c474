package token_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"keyless/shared/jwks"
	"keyless/shared/oauth"
	"keyless/shared/quota"
	"keyless/shared/registry"
	"keyless/shared/seal"
	"keyless/shared/token"
)

const (
	jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	idToken   = "urn:cloud:idaas:params:oauth:client-assertion-type:id-token-bearer"
	issuerURL = public + "/acme/oauth2"
	tokenURL  = issuerURL + "/token"
)

// pairs are the keys of all tests: made once, for RSA takes its time.
var pairs = sync.OnceValue(func() map[string]crypto.Signer {
	made := map[string]crypto.Signer{}
	for name, curve := range map[string]elliptic.Curve{
		"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521(), "another": elliptic.P256(),
	} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			panic(err)
		}
		made[name] = key
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	made["RSA"], made["Ed25519"] = key, edwards
	return made
})

// publicPEM is the public half of one of them.
func publicPEM(t testing.TB, name string) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(pairs()[name].Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// jwksOf is the JWK Set of one of them, under a kid.
func jwksOf(t testing.TB, name, kid string) string {
	t.Helper()
	var jwk map[string]string
	switch k := pairs()[name].Public().(type) {
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		half := len(point) / 2
		jwk = map[string]string{"kty": "EC", "crv": k.Curve.Params().Name, "x": raw(point[1 : half+1]), "y": raw(point[half+1:])}
	case *rsa.PublicKey:
		jwk = map[string]string{"kty": "RSA", "n": raw(k.N.Bytes()), "e": "AQAB"}
	}
	jwk["kid"] = kid
	text, err := json.Marshal(map[string]any{"keys": []any{jwk}})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func raw(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

type object = map[string]any

// written makes the first two parts of a compact JWT; nothing is checked.
func written(header, claims any) string {
	text := func(v any) string {
		if s, is := v.(string); is {
			return raw([]byte(s))
		}
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return raw(b)
	}
	return text(header) + "." + text(claims)
}

// signedBy signs with one of the pairs, as the alg says and whatever the header says.
func signedBy(pair, alg string, header, claims any) string {
	text := written(header, claims)
	hash, opts := sumOf(alg, text)
	key := pairs()[pair]
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, k, hash)
		if err != nil {
			panic(err)
		}
		size := (k.Curve.Params().BitSize + 7) / 8
		signature := make([]byte, 2*size)
		r.FillBytes(signature[:size])
		s.FillBytes(signature[size:])
		return text + "." + raw(signature)
	case ed25519.PrivateKey:
		return text + "." + raw(ed25519.Sign(k, []byte(text)))
	}
	if alg[0] == 'P' {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: opts.HashFunc()}
	}
	signature, err := key.Sign(rand.Reader, hash, opts)
	if err != nil {
		panic(err)
	}
	return text + "." + raw(signature)
}

func sumOf(alg, text string) ([]byte, crypto.SignerOpts) {
	switch alg[len(alg)-3:] {
	case "384":
		sum := sha512.Sum384([]byte(text))
		return sum[:], crypto.SHA384
	case "512":
		sum := sha512.Sum512([]byte(text))
		return sum[:], crypto.SHA512
	}
	sum := sha256.Sum256([]byte(text))
	return sum[:], crypto.SHA256
}

// keyed signs by HS256.
func keyed(secret []byte, header, claims any) string {
	text := written(header, claims)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text))
	return text + "." + raw(mac.Sum(nil))
}

// own are the claims of a client's assertion, as RFC 7523 §3 has them; changes of nil take one off.
func own(id string, changes object) object {
	claims := object{
		"iss": id, "sub": id, "aud": issuerURL, "jti": seal.NewSecret(), "iat": now.Unix(), "exp": now.Unix() + 60,
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return claims
}

// asserted is the body that sends an assertion; more are further parameters, name and value.
func asserted(kind, assertion string, more ...string) string {
	values := url.Values{"grant_type": {"client_credentials"}, "audience": {gateway},
		"client_assertion_type": {kind}, "client_assertion": {assertion}}
	for i := 0; i < len(more); i += 2 {
		values.Set(more[i], more[i+1])
	}
	return values.Encode()
}

// send posts a body without Authorization.
func (f *fixture) send(body string) *httptest.ResponseRecorder {
	return f.do(call{basic: "-", body: body})
}

// newProven is a fixture with everything that a client can prove itself with. sources are the key sets that are found
// by URL or issuer.
func newProven(t testing.TB, sources object, clients ...registry.Client) *fixture {
	t.Helper()
	f := newFixture(t)
	client := redis.NewClient(&redis.Options{Addr: f.server.Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	counts := quota.NewRedis(client, "kg", f.Now)
	f.Keys, f.Nonces, f.Secrets = sets(sources), counts, f.Reader.(*registry.Reader)
	f.Handler = token.New(f.Options)
	for _, c := range clients {
		c.Permissions = []registry.Permission{{ResourceServer: gateway, Scopes: []string{"model.invoke"}}}
		f.client(t, "acme", c)
	}
	return f
}

// sets is a KeySource of fixed texts by URL; an issuer is its own URL.
type sets object

func (s sets) Keys(_ context.Context, url, _ string) ([]oauth.Key, error) {
	text, there := s[url].(string)
	if !there {
		return nil, jwks.ErrUnavailable
	}
	return oauth.ParseJWKSet([]byte(text), oauth.Fetched)
}

func (s sets) IssuerKeys(ctx context.Context, issuer, kid string) ([]oauth.Key, error) {
	return s.Keys(ctx, issuer, kid)
}

// sealedSecret makes a stored secret whose clear text the endpoint can have.
func sealedSecret(t testing.TB, master *seal.Keys, pepper []byte, client, id, value string) registry.ClientSecret {
	t.Helper()
	s := hashed(pepper, client, id, value)
	sealed, err := master.Seal("client/acme/"+client+"/secret/"+id, []byte(value))
	if err != nil {
		t.Fatal(err)
	}
	s.Value = registry.Secret("sealed: " + sealed)
	return s
}
