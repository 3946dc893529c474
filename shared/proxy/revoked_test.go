package proxy_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyless/shared/proxy"
	"keyless/shared/quota"
	"keyless/shared/registry"
)

var _ proxy.Revocations = (*quota.Quota)(nil)

const ownIssuer = "https://gateway.example/acme/oauth2"

// revoked is a memory of revoked tokens that knows one.
type revoked struct {
	token string // its jti
	err   error
}

func (r revoked) Revoked(_ context.Context, digests ...string) ([]bool, error) {
	return []bool{digests[0] == registry.Revocation(ownIssuer, r.token)}, r.err
}

// own lets an instance of ours prove the consumer "own", and returns what signs its tokens.
func own(t *testing.T) (func(*world), func(claims string) string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	raw := base64.RawURLEncoding.EncodeToString
	jwk := fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":%q,"y":%q}`, raw(point[1:33]), raw(point[33:]))
	set := map[string]any{"active": "k", "jwks": json.RawMessage(`{"keys":[` + jwk + `]}`)}
	change := func(w *world) {
		with(map[string]any{registry.FieldKeySet("acme"): set})(w)
		w.consumers = append(w.consumers, registry.Consumer{Name: "own",
			JWT:            &registry.JWTCredential{JWKSURL: ownIssuer + "/jwks"},
			Authorizations: []registry.Authorization{{API: "llm"}}})
	}
	return change, func(claims string) string {
		text := raw([]byte(`{"alg":"ES256"}`)) + "." + raw([]byte(fmt.Sprintf(`{"iss":%q,"uid":"own","iat":%d,"exp":%d%s}`,
			ownIssuer, now.Unix(), now.Add(time.Hour).Unix(), claims)))
		sum := sha256.Sum256([]byte(text))
		r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		signature := make([]byte, 64)
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
		return text + "." + raw(signature)
	}
}

// TestM1aModelsForARevokedToken: an answer of ours is given after the same look as an admission takes.
func TestM1aModelsForARevokedToken(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		memory proxy.Revocations
		claims string
		status int
		code   string
	}{
		"revoked":                    {revoked{token: "id-1"}, `,"jti":"id-1"`, 401, "jwt_verification_failed"},
		"another was":                {revoked{token: "id-2"}, `,"jti":"id-1"`, 200, ""},
		"nobody knows":               {revoked{err: errStore}, `,"jti":"id-1"`, 503, "store_unavailable"},
		"nobody can be asked":        {nil, `,"jti":"id-1"`, 500, "internal"},
		"a token that has no number": {revoked{err: errStore}, ``, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := record(t, nil)
			instance, sign := own(t)
			w := open(t, upstream.URL, llm(func(a *registry.API) {
				a.Authentication = &registry.Authentication{Methods: []string{"jwt"}}
				a.Upstreams[0].Models = map[string]string{"gpt-4o": "a"}
			}, upstream.URL), instance, func(w *world) {
				w.change = func(o *proxy.Options) { o.Revoked = row.memory }
			})
			got := do(t, w.request(http.MethodGet, "/llm/models", "", "Authorization: Bearer "+sign(row.claims)))
			equal(t, "status of "+got.body, got.StatusCode, row.status)
			equal(t, row.code+" in "+got.body, strings.Contains(got.body, `"code":"`+row.code+`"`), row.code != "")
			equal(t, "a name is told", strings.Contains(got.body, "gpt-4o"), row.status == 200)
		})
	}
}
