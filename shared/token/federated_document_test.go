package token_test

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"keyless/shared/registry"
	"keyless/shared/token"
)

// ecs is an instance-identity document of Alibaba Cloud ECS in its documented shape (made by us), as its IDaaS clients
// ask for it.
func ecs(changes object) object {
	d := object{
		"owner-account-id": "1609", "instance-id": "i-wz9", "mac": "00:16:3e:00:00:01", "region-id": "cn-shenzhen",
		"serial-number": "4acd", "zone-id": "cn-shenzhen-a", "instance-type": "ecs.g7.large", "image-id": "aliyun_3",
		"private-ipv4": "192.0.2.1", "audience": fmt.Sprintf(`{"aud":"keyless","signingTime":%d}`, now.Unix()-5),
	}
	maps.Copy(d, changes)
	maps.DeleteFunc(d, func(_ string, v any) bool { return v == nil })
	return d
}

type signing struct {
	pair   string
	digest asn1.ObjectIdentifier
	bare   bool // without the certificate
	at     time.Time
	twice  bool
	absent bool // detached: without the document
}

// sealedDocument makes CMS SignedData of a document.
func sealedDocument(t testing.TB, document any, certificate *x509.Certificate, s signing) string {
	t.Helper()
	text, is := document.(string)
	if !is {
		b, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	made, err := pkcs7.NewSignedData([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	made.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if s.digest != nil {
		made.SetDigestAlgorithm(s.digest)
	}
	for range map[bool]int{false: 1, true: 2}[s.twice] {
		if s.at.IsZero() {
			err = made.SignWithoutAttr(certificate, pairs()[s.pair], pkcs7.SignerInfoConfig{})
		} else {
			err = made.AddSigner(certificate, pairs()[s.pair], pkcs7.SignerInfoConfig{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if s.absent {
		made.Detach()
	}
	der, err := made.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if s.bare {
		inner := made.GetSignedData()
		inner.Certificates.Raw = nil
		text, err := asn1.Marshal(*inner)
		if err != nil {
			t.Fatal(err)
		}
		content := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, Bytes: text, IsCompound: true}
		if der, err = asn1.Marshal(struct {
			Type    asn1.ObjectIdentifier
			Content asn1.RawValue
		}{pkcs7.OIDSignedData, content}); err != nil {
			t.Fatal(err)
		}
	}
	return base64.StdEncoding.EncodeToString(der)
}

func TestFederatedDocuments(t *testing.T) {
	t.Parallel()
	cloud := issue(t, "RSA", x509.Certificate{Subject: named("cloud")}, nil, "")
	ca := issue(t, "P-384", x509.Certificate{Subject: named("ca"), IsCA: true}, nil, "")
	below := issue(t, "P-256", x509.Certificate{Subject: named("signer")}, ca, "P-384")
	stranger := issue(t, "another", x509.Certificate{Subject: named("cloud")}, nil, "")
	expired := issue(t, "RSA", x509.Certificate{Subject: named("cloud"), NotBefore: now.AddDate(-1, 0, 0),
		NotAfter: now.AddDate(0, 0, -1)}, nil, "")
	f := newProven(t, nil, registry.Client{
		ID: "job", Authentication: []string{"federated"}, FederatedCredentials: []registry.FederatedCredential{{
			Name: "vm", Type: "pkcs7", Audience: "keyless", Certificates: []string{certPEM(cloud), certPEM(ca), certPEM(expired)},
			Claims: map[string]string{"owner-account-id": "1609", "instance-id": "i-wz*"},
		}},
	})
	by := signing{pair: "RSA"}
	stamp := func(seconds int64) object {
		return object{"audience": fmt.Sprintf(`{"aud":"keyless","signingTime":%d}`, now.Unix()+seconds)}
	}
	good := sealedDocument(t, ecs(nil), cloud, by)
	der, _ := base64.StdEncoding.DecodeString(good)
	changed := []byte(string(der))
	for i := range changed {
		if string(changed[i:min(i+4, len(changed))]) == "1609" {
			changed[i] = '2'
		}
	}
	for name, test := range map[string]struct {
		document string
		status   int
	}{
		"as IDaaS clients send it":     {good, 200},
		"without the certificate":      {sealedDocument(t, ecs(nil), cloud, signing{pair: "RSA", bare: true}), 200},
		"by a signer of the authority": {sealedDocument(t, ecs(nil), below, signing{pair: "P-256"}), 200},
		"with SHA-512":                 {sealedDocument(t, ecs(nil), cloud, signing{pair: "RSA", digest: pkcs7.OIDDigestAlgorithmSHA512}), 200},
		"19 minutes old":               {sealedDocument(t, ecs(stamp(-19*60)), cloud, by), 200},
		"21 minutes old":               {sealedDocument(t, ecs(stamp(-21*60)), cloud, by), 401},
		"of the future":                {sealedDocument(t, ecs(stamp(31)), cloud, by), 401},
		"for another audience":         {sealedDocument(t, ecs(object{"audience": `{"aud":"other","signingTime":1795348800}`}), cloud, by), 401},
		"without audience":             {sealedDocument(t, ecs(object{"audience": nil}), cloud, by), 401},
		"without a time":               {sealedDocument(t, ecs(object{"audience": "keyless"}), cloud, by), 401},
		"without a time, in JSON":      {sealedDocument(t, ecs(object{"audience": `{"aud":"keyless"}`}), cloud, by), 401},
		"another account":              {sealedDocument(t, ecs(object{"owner-account-id": "1610"}), cloud, by), 401},
		"another instance":             {sealedDocument(t, ecs(object{"instance-id": "i-bp1"}), cloud, by), 401},
		"no instance":                  {sealedDocument(t, ecs(object{"instance-id": nil}), cloud, by), 401},
		"a member twice":               {sealedDocument(t, `{"audience":"keyless","audience":"x"}`, cloud, by), 401},
		"no JSON":                      {sealedDocument(t, "hello", cloud, by), 401},
		"by a stranger":                {sealedDocument(t, ecs(nil), stranger, signing{pair: "another"}), 401},
		"by an expired certificate":    {sealedDocument(t, ecs(nil), expired, by), 401},
		"with SHA-1":                   {sealedDocument(t, ecs(nil), cloud, signing{pair: "RSA", digest: pkcs7.OIDDigestAlgorithmSHA1}), 401},
		"two signers":                  {sealedDocument(t, ecs(nil), cloud, signing{pair: "RSA", twice: true}), 401},
		"detached":                     {sealedDocument(t, ecs(nil), cloud, signing{pair: "RSA", absent: true}), 401},
		"changed":                      {base64.StdEncoding.EncodeToString(changed), 401},
		"cut":                          {base64.StdEncoding.EncodeToString(der[:len(der)-9]), 401},
		"not base64":                   {"!" + good, 401},
		"base64url":                    {base64.URLEncoding.EncodeToString(append(der, 0xff, 0xfe, 0xfd)), 401},
		"a JWT":                        {"a.b.c", 401},
		"a certificate":                {base64.StdEncoding.EncodeToString(cloud.Raw), 401},
	} {
		if w := f.identify(documents, test.document); w.Code != test.status {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if w := f.identify(documents, good, "application_federated_credential_name", "other"); w.Code != 401 {
		t.Errorf("for another credential: %d", w.Code)
	}
	if w := f.send(asserted(documents, good)); w.Code != 400 {
		t.Errorf("without client_id: %d", w.Code)
	}
	if w := f.send(asserted(documents, good, "client_id", "one")); w.Code != 401 {
		t.Errorf("C11 another client: %d", w.Code)
	}
	// CMS's own signing time counts where it is there; the library stamps the time at which this test runs.
	if w := f.identify(documents, sealedDocument(t, ecs(nil), cloud, signing{pair: "RSA", at: now})); w.Code == 503 {
		t.Errorf("with a signing time: %d", w.Code)
	}
}

func FuzzDocument(f *testing.F) {
	cloud := issue(f, "RSA", x509.Certificate{Subject: named("cloud")}, nil, "")
	for _, s := range []signing{{pair: "RSA"}, {pair: "RSA", bare: true}, {pair: "RSA", at: now}, {pair: "RSA", absent: true}} {
		der, err := base64.StdEncoding.DecodeString(sealedDocument(f, ecs(nil), cloud, s))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	indefinite, _ := base64.StdEncoding.DecodeString("MIAGCSqGSIb3DQEHAqCAMIACAQExADCABgkqhkiG9w0BBwEAADEAAAAAAAAA")
	f.Add(indefinite)
	trusted := &registry.FederatedCredential{Audience: "keyless", Certificates: []string{certPEM(cloud)},
		Claims: map[string]string{"instance-id": "i-wz9"}}
	f.Fuzz(func(t *testing.T, der []byte) {
		began := time.Now()
		why := token.DocumentWrong(trusted, base64.StdEncoding.EncodeToString(der), now)
		if took := time.Since(began); took > 5*time.Second {
			t.Fatalf("%s for %x: %s", took, der, why)
		}
	})
}
