package registry_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"keyless/shared/registry"
)

// pems are texts that a client's entry may or may not hold.
func pems(t *testing.T) map[string]string {
	t.Helper()
	good := func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GODEBUG", os.Getenv("GODEBUG")+",rsa1024min=0")
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotAfter: time.Now().Add(time.Hour),
	}
	return map[string]string{
		"PUBLIC":      text("PUBLIC KEY", good(x509.MarshalPKIXPublicKey(&key.PublicKey))),
		"PRIVATE":     text("PRIVATE KEY", good(x509.MarshalPKCS8PrivateKey(key))),
		"ECPRIVATE":   text("EC PRIVATE KEY", good(x509.MarshalECPrivateKey(key))),
		"WEAK":        text("PUBLIC KEY", good(x509.MarshalPKIXPublicKey(&weak.PublicKey))),
		"PKCS1WEAK":   text("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&weak.PublicKey)),
		"P224":        text("PUBLIC KEY", good(x509.MarshalPKIXPublicKey(&other.PublicKey))),
		"CERTIFICATE": text("CERTIFICATE", good(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))),
		"GARBAGE":     text("PUBLIC KEY", []byte("no key")),
		"WORDS":       "not a pem at all",
	}
}

// Each client is without fault, or has the one that is told. C14, RFC 7591 §2: keys by value or by URL.
func TestClientProofs(t *testing.T) {
	texts := pems(t)
	const secret16, secret32 = "sixteen-letters!", "thirty-two-letters-are-long-now!"
	const oct = `{"kty":"oct","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}`
	const private = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"canary"}`
	const public = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	type client = registry.Client
	for name, row := range map[string]struct {
		client client
		want   string // of the one fault: its path in the client, and how it begins
	}{
		"C12 public_keys": {client{Authentication: []string{"private_key_jwt"}, PublicKeys: []string{"PUBLIC"}}, ""},
		"C12 a certificate's key": {
			client{Authentication: []string{"private_key_jwt"}, PublicKeys: []string{"CERTIFICATE"}}, ""},
		"C12 jwks":     {client{Authentication: []string{"private_key_jwt"}, JWKS: []byte(public)}, ""},
		"C12 jwks_url": {client{Authentication: []string{"private_key_jwt"}, JWKSURL: "https://h/k"}, ""},
		"C14 two sources": {client{Authentication: []string{"private_key_jwt"}, JWKSURL: "https://h/k",
			JWKS: []byte(public)}, "jwks_url: stands beside another source"},
		"C14 none":               {client{Authentication: []string{"private_key_jwt"}}, "authentication[0]: is private_key_jwt, which"},
		"C14 without the method": {client{PublicKeys: []string{"PUBLIC"}}, "public_keys: has no effect"},
		"C12 a private key": {client{Authentication: []string{"private_key_jwt"}, PublicKeys: []string{"PRIVATE"}},
			"public_keys[0]: is a private key"},
		"C12 a private EC key": {client{Authentication: []string{"private_key_jwt"},
			PublicKeys: []string{"ECPRIVATE"}}, "public_keys[0]: is a private key"},
		"C12 a private key and its public one": {client{Authentication: []string{"private_key_jwt"},
			PublicKeys: []string{"PUBLICPRIVATE"}}, "public_keys[0]: is a private key"},
		"C12 RSA of 1024 bits": {client{Authentication: []string{"private_key_jwt"}, PublicKeys: []string{"WEAK"}},
			"public_keys[0]: is not a key that is taken: an RSA key has 2048"},
		"C12 RSA of 1024 bits, PKCS 1": {client{Authentication: []string{"private_key_jwt"},
			PublicKeys: []string{"PKCS1WEAK"}}, "public_keys[0]: is not a key that is taken: an RSA key has 2048"},
		"C12 P-224": {client{Authentication: []string{"private_key_jwt"}, PublicKeys: []string{"P224"}},
			"public_keys[0]: is not a key that is taken"},
		"C12 garbage in PEM": {client{Authentication: []string{"private_key_jwt"}, PublicKeys: []string{"GARBAGE"}},
			"public_keys[0]: is a PEM whose content"},
		"C12 words": {client{Authentication: []string{"private_key_jwt"}, PublicKeys: []string{"WORDS"}},
			"public_keys[0]: is not a PEM"},
		"C12 two in one text": {client{Authentication: []string{"private_key_jwt"}, PublicKeys: []string{"PUBLICPUBLIC"}},
			"public_keys[0]: is more than one PEM"},
		"C12 a private JWK": {client{Authentication: []string{"private_key_jwt"}, JWKS: []byte(private)},
			"jwks: is not a key set: keys[0]: this is a private key"},
		"C12 a shared JWK": {client{Authentication: []string{"private_key_jwt"}, JWKS: []byte(oct)},
			"jwks: holds a shared secret"},
		"client_secret_jwt": {client{Authentication: []string{"client_secret_jwt"},
			Secrets: []registry.ClientSecret{{ID: "a", Value: secret32}}}, ""},
		"client_secret_jwt, generated": {client{Authentication: []string{"client_secret_jwt"}}, ""},
		"client_secret_jwt, a short secret": {client{Authentication: []string{"client_secret_jwt"},
			Secrets: []registry.ClientSecret{{ID: "a", Value: secret16}}}, "secrets[0].value: is a secret of under 32"},
		"client_secret_jwt, a hash": {client{Authentication: []string{"client_secret_jwt"},
			Secrets: []registry.ClientSecret{{ID: "a", Value: registry.Secret("hash: v1:" + strings.Repeat("A", 43))}}},
			"secrets[0].value: is a hash, and client_secret_jwt"},
		"assertion_audience of nothing": {client{AssertionAudience: "any"}, "assertion_audience: has no effect"},
		"assertion_audience, another": {client{Authentication: []string{"client_secret_jwt"}, AssertionAudience: "all"},
			"assertion_audience: is not one of the words"},
		"C15 tls_client_auth": {client{Authentication: []string{"tls_client_auth"}, Certificates: []string{"CERTIFICATE"},
			Certificate: &registry.CertificateName{SANDNS: "a.b"}}, ""},
		"C15 two names": {client{Authentication: []string{"tls_client_auth"}, Certificates: []string{"CERTIFICATE"},
			Certificate: &registry.CertificateName{SANDNS: "a.b", SANIP: "::1"}}, "certificate: has not exactly one name"},
		"C15 no name": {client{Authentication: []string{"tls_client_auth"}, Certificates: []string{"CERTIFICATE"},
			Certificate: &registry.CertificateName{}}, "certificate: has not exactly one name"},
		"C15 no certificate": {client{Authentication: []string{"tls_client_auth"}, Certificates: []string{"CERTIFICATE"}},
			"certificate: is required by tls_client_auth"},
		"C15 no authority": {client{Authentication: []string{"tls_client_auth"},
			Certificate: &registry.CertificateName{SANDNS: "a.b"}}, "certificates: is required by tls_client_auth"},
		"C15 no DN": {client{Authentication: []string{"tls_client_auth"}, Certificates: []string{"CERTIFICATE"},
			Certificate: &registry.CertificateName{SubjectDN: "job"}}, "certificate.subject_dn: is not a distinguished"},
		"C15 no address": {client{Authentication: []string{"tls_client_auth"}, Certificates: []string{"CERTIFICATE"},
			Certificate: &registry.CertificateName{SANIP: "a"}}, "certificate.san_ip: is not an IP address"},
		"C15 a name without the method": {client{Certificate: &registry.CertificateName{SANDNS: "a.b"}},
			"certificate: has no effect"},
		"C15 self-signed": {client{Authentication: []string{"self_signed_tls_client_auth"},
			Certificates: []string{"CERTIFICATE"}}, ""},
		"C15 self-signed by its key": {client{Authentication: []string{"self_signed_tls_client_auth"},
			PublicKeys: []string{"PUBLIC"}}, ""},
		"C15 self-signed, nothing": {client{Authentication: []string{"self_signed_tls_client_auth"}},
			"certificates: is required by self_signed"},
		"C15 a key as a certificate": {client{Authentication: []string{"self_signed_tls_client_auth"},
			Certificates: []string{"PUBLIC"}}, "certificates[0]: is not a certificate in PEM"},
		"C15 certificates of nothing": {client{Certificates: []string{"CERTIFICATE"}}, "certificates: has no effect"},
	} {
		t.Run(name, func(t *testing.T) { told(t, texts, row.client, row.want) })
	}
}

// told validates one client in an instance, with the texts in the place of their names.
func told(t *testing.T, texts map[string]string, c registry.Client, want string) {
	t.Helper()
	put := func(list []string) {
		for i, name := range list {
			var text string
			for rest := name; rest != ""; {
				for known, pem := range texts {
					if after, is := strings.CutPrefix(rest, known); is {
						rest, text = after, text+pem
					}
				}
			}
			list[i] = text
		}
	}
	put(c.PublicKeys)
	put(c.Certificates)
	for i := range c.FederatedCredentials {
		put(c.FederatedCredentials[i].Certificates)
	}
	c.ID, c.Name = "c", "C"
	faults := registry.Validate(&registry.Config{Version: 1, Instances: []registry.Instance{{
		ID: "a", Description: "d", PrivacyAgreement: "accepted", Clients: []registry.Client{c},
	}}})
	got := strings.ReplaceAll(faults.Error(), "instances[0].clients[0].", "")
	if want == "" && len(faults) > 0 || want != "" && (len(faults) != 1 || !strings.HasPrefix(got, want)) {
		t.Errorf("got %s", got)
	}
	if strings.Contains(got, "BEGIN") && !strings.Contains(got, "BEGIN …") && !strings.Contains(got, "BEGIN PUBLIC KEY----- and") &&
		!strings.Contains(got, "BEGIN CERTIFICATE----- and") || strings.Contains(got, "canary") {
		t.Errorf("a key is shown: %s", got)
	}
}

func TestC17FederatedCredentials(t *testing.T) {
	texts := pems(t)
	type credential = registry.FederatedCredential
	good := credential{Name: "n", Issuer: "https://i", Audience: "a", Subject: "s:*"}
	with := func(change func(*credential)) credential {
		f := good
		change(&f)
		return f
	}
	document := credential{Name: "n", Type: "pkcs7", Audience: "a", Certificates: []string{"CERTIFICATE"},
		Claims: map[string]string{"instance-id": "i-1"}}
	authority := credential{Name: "n", Type: "private_ca", Certificates: []string{"CERTIFICATE"}, Subject: "CN=a"}
	for name, row := range map[string]struct {
		credential credential
		want       string
	}{
		"an issuer's":           {good, ""},
		"no issuer":             {with(func(f *credential) { f.Issuer = "" }), "issuer: is required"},
		"an issuer, no URL":     {with(func(f *credential) { f.Issuer = "i" }), "issuer: is not an absolute"},
		"an issuer with a star": {with(func(f *credential) { f.Issuer = "https://*" }), "issuer: has a * in it"},
		"an issuer with query":  {with(func(f *credential) { f.Issuer = "https://i/?a" }), "issuer: has a query"},
		"no audience":           {with(func(f *credential) { f.Audience = "" }), "audience: is required"},
		"audience with a star":  {with(func(f *credential) { f.Audience = "a*" }), "audience: has a * in it"},
		"no subject":            {with(func(f *credential) { f.Subject = "" }), "subject: is required"},
		"any subject":           {with(func(f *credential) { f.Subject = "*" }), "subject: is nothing but *"},
		"any subject of parts":  {with(func(f *credential) { f.Subject = "*:*" }), "subject: is nothing but *"},
		"two stars":             {with(func(f *credential) { f.Subject = "a**" }), "subject: has ** in it"},
		"nine stars": {with(func(f *credential) { f.Subject = strings.Repeat("a*", 9) }),
			"subject: has more than 8 wildcards"},
		"a claim": {with(func(f *credential) { f.Claims = map[string]string{"x": "y*"} }), ""},
		"an empty claim": {with(func(f *credential) { f.Claims = map[string]string{"x": ""} }),
			"claims.x: is empty"},
		"any claim": {with(func(f *credential) { f.Claims = map[string]string{"x": "*"} }),
			"claims.x: is nothing but *"},
		"jwks and jwks_url": {with(func(f *credential) {
			f.JWKSURL = "https://h/k"
			f.JWKS = []byte(`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`)
		}), "jwks_url: stands beside jwks"},
		"certificates of an issuer": {with(func(f *credential) { f.Certificates = []string{"CERTIFICATE"} }),
			"certificates: has no effect"},
		"a short max_age": {with(func(f *credential) { f.MaxAge = registry.Duration(time.Second) }),
			"max_age: is not from 1m"},
		"another type": {with(func(f *credential) { f.Type = "saml" }), "type: is not one of the words"},
		"a document's": {document, ""},
		"a document's with subject": {func() credential { d := document; d.Subject = "s"; return d }(),
			"subject: has no effect"},
		"a document's without claims": {func() credential { d := document; d.Claims = nil; return d }(),
			"claims: is required"},
		"a document's without certificates": {func() credential { d := document; d.Certificates = nil; return d }(),
			"certificates: is required"},
		"an authority's": {authority, ""},
		"an authority's without conditions": {func() credential { a := authority; a.Subject = ""; return a }(),
			"subject: is required unless"},
		"an authority's, unknown fact": {func() credential {
			a := authority
			a.Claims = map[string]string{"issuer": "x"}
			return a
		}(), "claims.issuer: is not one of the words"},
		"an authority's with issuer": {func() credential { a := authority; a.Issuer = "https://i"; return a }(),
			"issuer: has no effect"},
	} {
		t.Run(name, func(t *testing.T) {
			want := row.want
			if want != "" {
				want = "federated_credentials[0]." + want
			}
			c := row.credential
			c.Certificates = append([]string(nil), c.Certificates...)
			if len(c.Certificates) == 0 {
				c.Certificates = nil
			}
			told(t, texts, registry.Client{
				Authentication: []string{"federated"}, FederatedCredentials: []registry.FederatedCredential{c},
			}, want)
		})
	}
	told(t, texts, registry.Client{Authentication: []string{"federated"}}, "federated_credentials: is required")
	told(t, texts, registry.Client{FederatedCredentials: []registry.FederatedCredential{good}},
		"federated_credentials: has no effect")
	twice := []registry.FederatedCredential{good, good}
	told(t, texts, registry.Client{Authentication: []string{"federated"}, FederatedCredentials: twice},
		`federated_credentials[1].name: "n" stands twice`)
}

// client_secret_jwt needs the secret itself: it is generated, kept sealed, opened for the token endpoint alone, and
// refused where only a hash is kept.
func TestClientSecretJWT(t *testing.T) {
	t.Parallel()
	store, keys := registry.NewMemory(), masterKeys(t)
	text := strings.Replace(oneClient, "secrets: SECRETS", "authentication: [client_secret_jwt]", 1)
	report := apply(t, store, keys, text, registry.ApplyOptions{})
	c, _ := client(t, store, keys)
	opened, err := registry.NewReader(store, keys, time.Now).ClientSecret(c, c.Secrets[0])
	if err != nil || len(report.Generated) != 1 || opened != report.Generated[0].Secret {
		t.Fatalf("opened as %q, %v", opened.Reveal(), err)
	}
	if _, err := registry.NewReader(store, nil, time.Now).ClientSecret(c, c.Secrets[0]); err == nil {
		t.Error("opened without a master key")
	}
	hashed := strings.Replace(text, "description: d", "description: d, secret_storage: hashed", 1)
	_, err = registry.Apply(t.Context(), store, keys, config(t, hashed), registry.ApplyOptions{})
	if err == nil || !strings.Contains(err.Error(), "keeps hashes only") {
		t.Errorf("hashed: %v", err)
	}
	basic := registry.NewMemory()
	plain := strings.Replace(hashed, "authentication: [client_secret_jwt]", "status: enabled", 1)
	apply(t, basic, keys, plain, registry.ApplyOptions{})
	_, err = registry.Apply(t.Context(), basic, keys, config(t, text), registry.ApplyOptions{})
	if err == nil || !strings.Contains(err.Error(), "is kept as a hash only") {
		t.Errorf("from a hash: %v", err)
	}
}
