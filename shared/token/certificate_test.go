package token_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"keyless/shared/config"
	"keyless/shared/registry"
	"keyless/shared/token"
)

// show posts as a client that has shown a certificate; change may be nil.
func (f *fixture) show(shown *x509.Certificate, id string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/acme/oauth2/token", strings.NewReader(grantType+"&client_id="+id))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Request-Id", "r-1")
	r.RemoteAddr = "198.51.100.7:1"
	if shown != nil {
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{shown}}
	}
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

// C15, RFC 8705 §2.1, §2.2.
func TestC15Certificates(t *testing.T) {
	t.Parallel()
	ca := issue(t, "P-384", x509.Certificate{Subject: named("ca"), IsCA: true}, nil, "")
	otherCA := issue(t, "another", x509.Certificate{Subject: named("ca"), IsCA: true}, nil, "")
	between := issue(t, "P-521", x509.Certificate{Subject: named("between"), IsCA: true}, ca, "P-384")
	good := issue(t, "P-256", job(), ca, "P-384")
	old, server, late := job(), job(), job()
	old.NotBefore, old.NotAfter = now.AddDate(0, 0, -2), now.AddDate(0, 0, -1)
	late.NotBefore, late.NotAfter = now.AddDate(0, 0, 1), now.AddDate(0, 0, 2)
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	selfSigned := issue(t, "RSA", job(), nil, "")
	by := func(n registry.CertificateName) registry.Client {
		return registry.Client{Authentication: []string{"tls_client_auth"}, Certificate: &n, Certificates: []string{certPEM(ca)}}
	}
	dns := registry.CertificateName{SANDNS: "job.acme.example"}
	own := registry.Client{Authentication: []string{"self_signed_tls_client_auth"}, Certificates: []string{certPEM(selfSigned)}}
	tests := map[string]struct {
		client registry.Client
		shown  *x509.Certificate
		status int
	}{
		"subject_dn":                         {by(registry.CertificateName{SubjectDN: "CN=job,O=Acme"}), good, 200},
		"subject_dn, a part of it":           {by(registry.CertificateName{SubjectDN: "CN=job"}), good, 401},
		"subject_dn, other order":            {by(registry.CertificateName{SubjectDN: "O=Acme,CN=job"}), good, 401},
		"san_dns":                            {by(dns), good, 200},
		"san_dns, the second":                {by(registry.CertificateName{SANDNS: "ALIAS.acme.example"}), good, 200},
		"san_dns, another":                   {by(registry.CertificateName{SANDNS: "other.acme.example"}), good, 401},
		"san_dns, a wildcard":                {by(registry.CertificateName{SANDNS: "*.acme.example"}), good, 401},
		"san_uri":                            {by(registry.CertificateName{SANURI: "spiffe://acme.example/job"}), good, 200},
		"san_uri, another":                   {by(registry.CertificateName{SANURI: "spiffe://acme.example/jobs"}), good, 401},
		"san_ip":                             {by(registry.CertificateName{SANIP: "192.0.2.7"}), good, 200},
		"san_ip, in IPv6":                    {by(registry.CertificateName{SANIP: "::ffff:192.0.2.7"}), good, 200},
		"san_ip, another":                    {by(registry.CertificateName{SANIP: "192.0.2.8"}), good, 401},
		"san_email":                          {by(registry.CertificateName{SANEmail: "job@acme.example"}), good, 200},
		"san_email, another":                 {by(registry.CertificateName{SANEmail: "jobs@acme.example"}), good, 401},
		"the CN as san_dns":                  {by(registry.CertificateName{SANDNS: "job"}), good, 401},
		"another authority of the same name": {by(dns), issue(t, "P-256", job(), otherCA, "another"), 401},
		"an unknown authority between":       {by(dns), issue(t, "P-256", job(), between, "P-521"), 401},
		"of itself":                          {by(dns), selfSigned, 401},
		"expired":                            {by(dns), issue(t, "P-256", old, ca, "P-384"), 401},
		"of tomorrow":                        {by(dns), issue(t, "P-256", late, ca, "P-384"), 401},
		"for servers":                        {by(dns), issue(t, "P-256", server, ca, "P-384"), 401},
		"self-signed":                        {own, selfSigned, 200},
		"self-signed, another":               {own, issue(t, "P-256", job(), nil, ""), 401},
		"self-signed, by its key": {registry.Client{Authentication: []string{"self_signed_tls_client_auth"},
			PublicKeys: []string{publicPEM(t, "RSA")}}, issue(t, "RSA", job(), nil, ""), 200},
		"self-signed, by the key at a URL": {registry.Client{Authentication: []string{"self_signed_tls_client_auth"},
			JWKSURL: "https://keys.example/jwks"}, issue(t, "RSA", job(), nil, ""), 200},
		"self-signed, keys away": {registry.Client{Authentication: []string{"self_signed_tls_client_auth"},
			JWKSURL: "https://gone.example/jwks"}, selfSigned, 503},
		"self-signed, expired":     {registry.Client{Authentication: []string{"self_signed_tls_client_auth"}, PublicKeys: []string{publicPEM(t, "P-256")}}, issue(t, "P-256", old, nil, ""), 401},
		"C11 another method":       {registry.Client{PublicKeys: []string{publicPEM(t, "RSA")}}, selfSigned, 401},
		"C11 a key for assertions": {registry.Client{Authentication: []string{"private_key_jwt"}, PublicKeys: []string{publicPEM(t, "RSA")}}, selfSigned, 401},
		"a disabled client":        {func() registry.Client { c := by(dns); c.Status = registry.Disabled; return c }(), good, 401},
		"C19 no certificate":       {by(dns), nil, 401},
	}
	sources := object{"https://keys.example/jwks": jwksOf(t, "RSA", "k")}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.client.ID = "job"
			f := newProven(t, sources, test.client)
			w := f.show(test.shown, "job", nil)
			if w.Code != test.status {
				t.Fatalf("%d %s\n%s", w.Code, w.Body, f.log)
			}
			if w.Code != 200 {
				return
			}
			sum := sha256.Sum256(test.shown.Raw)
			bound := claimsOf(t, w.Body.Bytes()).Confirmation
			if bound == nil || bound.Certificate != raw(sum[:]) {
				t.Errorf("RFC 8705 §3.1: cnf %+v", bound)
			}
		})
	}
	f := newProven(t, sources)
	if w := f.show(good, "nobody", nil); w.Code != 401 {
		t.Errorf("an unknown client: %d", w.Code)
	}
	w := f.show(good, "one", func(r *http.Request) { r.Header.Set("Authorization", basic("one", secret)) })
	if w.Code != 200 || claimsOf(t, w.Body.Bytes()).Confirmation != nil {
		t.Errorf("a secret on a connection with a certificate: %d", w.Code)
	}
}

// C16, RFC 8705 §6.5, RFC 9700 §4.13.
func TestC16CertificateHeader(t *testing.T) {
	t.Parallel()
	shown, fronts := issue(t, "P-256", job(), nil, ""), issue(t, "P-384", job(), nil, "")
	client := registry.Client{ID: "job", Authentication: []string{"self_signed_tls_client_auth"},
		Certificates: []string{certPEM(shown)}}
	front := registry.Client{ID: "front", Authentication: []string{"self_signed_tls_client_auth"},
		Certificates: []string{certPEM(fronts)}}
	f := newProven(t, nil, client, front)
	o := f.Options
	o.Proxies = config.Loopback()
	f.Handler = token.New(o)
	escaped := url.PathEscape(certPEM(shown))
	from := func(address string, headers ...string) func(*http.Request) {
		return func(r *http.Request) {
			r.RemoteAddr = address
			for i := 0; i < len(headers); i += 2 {
				r.Header.Add(headers[i], headers[i+1])
			}
		}
	}
	const trusted, stranger, header = "127.0.0.1:9", "198.51.100.7:9", "X-Client-Cert"
	for name, test := range map[string]struct {
		id     string
		shown  *x509.Certificate
		change func(*http.Request)
		status int
	}{
		"from a trusted front":            {"job", nil, from(trusted, header, escaped), 200},
		"from a stranger":                 {"job", nil, from(stranger, header, escaped), 401},
		"twice":                           {"job", nil, from(trusted, header, escaped, header, escaped), 401},
		"unescaped":                       {"job", nil, from(trusted, header, strings.ReplaceAll(certPEM(shown), "\n", " ")), 401},
		"empty":                           {"job", nil, from(trusted, header, ""), 401},
		"garbage":                         {"job", nil, from(trusted, header, "%zz"), 401},
		"two certificates":                {"job", nil, from(trusted, header, escaped+escaped), 401},
		"with a private key":              {"job", nil, from(trusted, header, escaped+"-----BEGIN%20PRIVATE%20KEY-----"), 401},
		"and the front's own":             {"job", fronts, from(trusted, header, escaped), 200},
		"the front's own is nobody's":     {"front", fronts, from(trusted, header, ""), 401},
		"nor where a call is passed on":   {"front", fronts, from(trusted, "X-Forwarded-For", "198.51.100.8"), 401},
		"a caller of this machine itself": {"front", fronts, from(trusted), 200},
		"a stranger's on the connection":  {"job", shown, from(stranger, header, "x"), 200},
	} {
		if w := f.show(test.shown, test.id, test.change); w.Code != test.status {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}
