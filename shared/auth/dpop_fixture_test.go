package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// holder has a DPoP key.
type holder struct {
	alg     string
	private any
	public  jwk.Key
	jkt     string
}

func newHolder(t testing.TB, alg string, private any) holder {
	t.Helper()
	public := must(must(jwk.FromRaw(private)).PublicKey())
	h := holder{alg: alg, private: private, public: public}
	proof := must(oauth.ParseProof(h.sign(t, map[string]any{"jti": "j", "htm": "GET", "htu": "https://h/", "iat": 1})))
	h.jkt = proof.Key.Thumbprint
	return h
}

func ecHolder(t testing.TB) holder {
	t.Helper()
	return newHolder(t, "ES256", must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)))
}

// sign makes a proof of claims.
func (h holder) sign(t testing.TB, claims map[string]any) string {
	t.Helper()
	header := jws.NewHeaders()
	_ = header.Set("typ", "dpop+jwt")
	_ = header.Set("jwk", h.public)
	text := must(base64.RawURLEncoding.DecodeString(part(claims)))
	return string(must(jws.Sign(text, jws.WithKey(jwa.SignatureAlgorithm(h.alg), h.private, jws.WithProtectedHeaders(header)))))
}

// proof makes a good proof for a GET of the orders with a token, changed; a nil value removes a claim.
func (h holder) proof(t testing.TB, token string, change map[string]any) string {
	t.Helper()
	sum := sha256.Sum256([]byte(token))
	c := map[string]any{
		"jti": rand.Text(), "htm": "GET", "htu": "https://gateway.example/orders", "iat": now.Unix(),
		"ath": base64.RawURLEncoding.EncodeToString(sum[:]),
	}
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return h.sign(t, c)
}

// token is a good token of the shop, bound to the holder's key.
func (h holder) token(change map[string]any) string {
	c := map[string]any{"cnf": map[string]any{"jkt": h.jkt}}
	maps.Copy(c, change)
	return hs256(hs, claims(c))
}

// ask is a call to the orders with a token behind a scheme and, unless empty, a proof.
func ask(scheme, token, proof string) *http.Request {
	r := send("GET", "/orders", "", "Authorization: "+scheme+token)
	if proof != "" {
		r.Header.Set("DPoP", proof)
	}
	return r
}

// orders is a registry with one API and the shop's consumer.
func orders(change ...func(*registry.Consumer)) *registry.Config {
	return &registry.Config{Version: 1, APIs: []registry.API{api("orders", "jwt")}, Consumers: []registry.Consumer{shop(change...)}}
}

// parseSet makes the fetched set of one key.
func parseSet(public jwk.Key) ([]oauth.Key, error) {
	return oauth.ParseJWKSet([]byte(`{"keys":[`+string(must(json.Marshal(public)))+`]}`), oauth.Fetched)
}
