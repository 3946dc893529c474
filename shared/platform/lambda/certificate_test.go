package lambda_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyless/shared/platform/lambda"
)

func TestC15CertificateOfTheEvent(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "job"}, NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	good := `{"clientCertPem":` + string(text) + `,"subjectDN":"CN=evil","serialNumber":"1"}`
	const (
		rest = `{"httpMethod":"GET","path":"/","requestContext":{"identity":{"sourceIp":"192.0.2.1","clientCert":CERT}}HEADERS}`
		v1   = `{"version":"1.0","httpMethod":"GET","path":"/","requestContext":{"identity":{"clientCert":CERT}}HEADERS}`
		v2   = `{"version":"2.0","rawPath":"/","requestContext":{"http":{"method":"GET"},"domainName":"id.example",` +
			`"authentication":{"clientCert":CERT}}HEADERS}`
		alb = `{"httpMethod":"GET","path":"/","requestContext":{"elb":{},"identity":{"clientCert":CERT}}HEADERS}`
	)
	for name, c := range map[string]struct{ event, certificate, want string }{
		"REST API":                           {rest, good, "job"},
		"HTTP API, 1.0":                      {v1, good, "job"},
		"HTTP API, 2.0":                      {v2, good, "job"},
		"a load balancer has none":           {alb, good, "none"},
		"REST API, null":                     {rest, "null", "none"},
		"HTTP API, null":                     {v2, "null", "none"},
		"REST API, empty":                    {rest, "{}", "none"},
		"REST API, no PEM":                   {rest, `{"clientCertPem":"x"}`, "none"},
		"REST API, a PEM of something else":  {rest, strings.ReplaceAll(good, "MII", "AAA"), "none"},
		"HTTP API, the subject's text alone": {v2, `{"subjectDN":"CN=job"}`, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			event := strings.NewReplacer("CERT", c.certificate, "HEADERS", `,"headers":{"clientCert":"job"}`).Replace(c.event)
			got := "none"
			_, err := invoke(context.Background(), lambda.Options{}, func(_ http.ResponseWriter, r *http.Request) {
				if r.TLS != nil {
					got = r.TLS.PeerCertificates[0].Subject.CommonName
				}
			}, event)
			if err != nil || got != c.want {
				t.Errorf("%s, %v", got, err)
			}
		})
	}
}
