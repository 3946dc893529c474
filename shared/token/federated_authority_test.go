package token_test

import (
	"crypto/x509"
	"testing"

	"keyless/shared/registry"
)

const authority = "urn:cloud:idaas:params:oauth:client-assertion-type:x509-jwt-bearer"

func TestFederatedAuthority(t *testing.T) {
	t.Parallel()
	ca := issue(t, "P-384", x509.Certificate{Subject: named("ca"), IsCA: true}, nil, "")
	between := issue(t, "P-521", x509.Certificate{Subject: named("between"), IsCA: true}, ca, "P-384")
	stranger := issue(t, "another", x509.Certificate{Subject: named("ca"), IsCA: true}, nil, "")
	leaf := issue(t, "P-256", job(), between, "P-521")
	direct := issue(t, "P-256", job(), ca, "P-384")
	foreign := issue(t, "P-256", job(), stranger, "another")
	renamed := job()
	renamed.Subject, renamed.DNSNames = named("other"), []string{"other.acme.example"}
	other := issue(t, "P-256", renamed, ca, "P-384")
	old := job()
	old.NotBefore, old.NotAfter = now.AddDate(0, 0, -2), now.AddDate(0, 0, -1)
	f := newProven(t, nil, registry.Client{
		ID: "job", Authentication: []string{"federated"}, FederatedCredentials: []registry.FederatedCredential{{
			Name: "ca", Type: "private_ca", Certificates: []string{certPEM(ca)}, Subject: "CN=job,O=Acme",
			Claims: map[string]string{"san_dns": "alias.*", "cn": "job"},
		}},
	})
	sign := func(changes object) string {
		return signedBy("P-256", "ES256", object{"alg": "ES256"}, own("job", changes))
	}
	for name, test := range map[string]struct {
		assertion, leaf, chain string
		status                 int
	}{
		"through an authority between": {sign(nil), certPEM(leaf), certPEM(between), 200},
		"and the root in the chain":    {sign(nil), certPEM(leaf), certPEM(between, ca), 200},
		"directly":                     {sign(nil), certPEM(direct), "", 200},
		"to the token endpoint":        {sign(object{"aud": tokenURL}), certPEM(direct), "", 200},
		"without the chain":            {sign(nil), certPEM(leaf), "", 401},
		"a stranger's":                 {sign(nil), certPEM(foreign), certPEM(stranger), 401},
		"of another name":              {sign(nil), certPEM(other), "", 401},
		"expired":                      {sign(nil), certPEM(issue(t, "P-256", old, ca, "P-384")), "", 401},
		"signed by another key":        {signedBy("another", "ES256", object{"alg": "ES256"}, own("job", nil)), certPEM(direct), "", 401},
		"signed by the authority":      {signedBy("P-384", "ES384", object{"alg": "ES384"}, own("job", nil)), certPEM(direct), "", 401},
		"no certificate":               {sign(nil), "", "", 401},
		"two":                          {sign(nil), certPEM(direct, ca), "", 401},
		"a chain of five":              {sign(nil), certPEM(leaf), certPEM(between, between, between, between, between), 401},
		"a chain that is none":         {sign(nil), certPEM(leaf), "x", 401},
		"a key in PEM":                 {sign(nil), publicPEM(t, "P-256"), "", 401},
		"another audience":             {sign(object{"aud": "https://x"}), certPEM(direct), "", 401},
		"no jti":                       {sign(object{"jti": nil}), certPEM(direct), "", 401},
		"expired assertion":            {sign(object{"exp": now.Unix() - 31}), certPEM(direct), "", 401},
		"iss is not sub":               {sign(object{"iss": "https://issuer.example"}), certPEM(direct), "", 401},
		"of another client":            {sign(object{"iss": "one", "sub": "one"}), certPEM(direct), "", 401},
	} {
		w := f.identify(authority, test.assertion, "client_x509", test.leaf, "client_x509_chain", test.chain)
		if w.Code != test.status {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	once := sign(nil)
	for n, want := range []int{200, 401} {
		if w := f.identify(authority, once, "client_x509", certPEM(direct)); w.Code != want {
			t.Errorf("C9, the %d. time: %d", n+1, w.Code)
		}
	}
}
