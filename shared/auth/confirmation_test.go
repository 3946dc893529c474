package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"net/http"
	"testing"
	"time"

	"keyless/shared/auth"
)

// X09, RFC 8705 §3: a token that is bound to a certificate is no bearer token.
func TestX09RFC8705BoundTokensNeedTheirCertificate(t *testing.T) {
	t.Parallel()
	mine, other := certificate(t), certificate(t)
	bound := map[string]any{"x5t#S256": boundDigest(mine)}
	for name, c := range map[string]struct {
		cnf  any
		peer *x509.Certificate
		want auth.Reason
	}{
		"its own certificate":     {bound, mine, ""},
		"another certificate":     {bound, other, auth.JWTInvalid},
		"no certificate":          {bound, nil, auth.JWTInvalid},
		"a DPoP key":              {map[string]any{"jkt": "abc"}, mine, auth.JWTInvalid},
		"both":                    {map[string]any{"x5t#S256": bound["x5t#S256"], "jkt": "abc"}, mine, auth.JWTInvalid},
		"an empty binding":        {map[string]any{}, mine, auth.JWTInvalid},
		"a binding of wrong kind": {"x", mine, auth.JWTInvalid},
		"none":                    {nil, mine, ""},
	} {
		r := request("Authorization: Bearer " + hs256(hs, claims(map[string]any{"cnf": c.cnf})))
		if c.peer != nil {
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c.peer}}
		}
		if d, err := newWorld(t, shop()).decide(r, "orders"); err != nil || d.Reason != c.want {
			t.Errorf("%s: %q %v, want %q", name, d.Reason, err, c.want)
		}
	}
}

// over puts a request on a connection with a client's certificate; nil: TLS without one.
func over(peer *x509.Certificate, r *http.Request) *http.Request {
	r.TLS = &tls.ConnectionState{}
	if peer != nil {
		r.TLS.PeerCertificates = []*x509.Certificate{peer}
	}
	return r
}

func boundDigest(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func certificate(t *testing.T) *x509.Certificate {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))))
}
