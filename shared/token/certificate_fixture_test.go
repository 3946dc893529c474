package token_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"
)

// issue makes a certificate of a pair's key; parent nil: it signs itself. The template's zero times are a day around now.
func issue(t testing.TB, pair string, template x509.Certificate, parent *x509.Certificate, signer string) *x509.Certificate {
	t.Helper()
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = now.Add(-time.Hour), now.Add(24*time.Hour)
	}
	if template.SerialNumber == nil {
		template.SerialNumber = big.NewInt(time.Now().UnixNano())
	}
	if template.IsCA {
		template.BasicConstraintsValid, template.KeyUsage = true, x509.KeyUsageCertSign
	}
	if parent == nil {
		parent, signer = &template, pair
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, parent, pairs()[pair].Public(), pairs()[signer])
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func certPEM(certificates ...*x509.Certificate) string {
	text := ""
	for _, c := range certificates {
		text += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return text
}

func named(cn string) pkix.Name { return pkix.Name{CommonName: cn, Organization: []string{"Acme"}} }

// job is the template of a client's certificate with every kind of name.
func job() x509.Certificate {
	uri, _ := url.Parse("spiffe://acme.example/job")
	return x509.Certificate{
		Subject: named("job"), DNSNames: []string{"job.acme.example", "alias.acme.example"}, URIs: []*url.URL{uri},
		IPAddresses: []net.IP{net.IPv4(192, 0, 2, 7)}, EmailAddresses: []string{"job@acme.example"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}
