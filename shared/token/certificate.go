package token

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// certificateHeader is where a trusted front puts the certificate that its client has shown, in PEM, URL-encoded, as
// nginx writes $ssl_client_escaped_cert.
const certificateHeader = "X-Client-Cert"

// certificateOf finds the certificate whose key the caller has proven to hold: the connection's, or that of a trusted
// front's header. Anybody else's header is dropped (RFC 8705 §6.5), and where a front passes a call on, its own
// certificate on the connection to us is not the client's.
func (e *endpoint) certificateOf(r *http.Request) *x509.Certificate {
	headers := r.Header[certificateHeader]
	delete(r.Header, certificateHeader)
	if e.proxies.Trusts(r.RemoteAddr) && (len(headers) > 0 || forwarded(r.Header)) {
		if len(headers) != 1 {
			return nil
		}
		text, err := url.PathUnescape(headers[0]) // + is a character of base64 here, no space
		if err != nil {
			return nil
		}
		certificates, ok := parsePEM(text, 1)
		if !ok || len(certificates) != 1 {
			return nil
		}
		return certificates[0]
	}
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil
	}
	return r.TLS.PeerCertificates[0]
}

func forwarded(h http.Header) bool { return h["X-Forwarded-For"] != nil || h["Forwarded"] != nil }

// provesCertificate judges tls_client_auth and self_signed_tls_client_auth (RFC 8705 §2). That the key is held was
// proven in the handshake; here the certificate is compared with what the client is registered with.
func (e *endpoint) provesCertificate(
	ctx context.Context, s *registry.Snapshot, c *registry.Client, shown *x509.Certificate,
) (bool, error) {
	now := e.now()
	if now.Before(shown.NotBefore) || now.After(shown.NotAfter) {
		return false, nil
	}
	trusted, err := registry.ParseCertificates(c.Certificates)
	if err != nil {
		return false, err
	}
	if slices.Contains(c.Authentication, oauth.TLSClientAuth) && c.Certificate != nil &&
		issued(shown, nil, trusted, x509.ExtKeyUsageClientAuth, now) && isNamed(shown, c.Certificate) {
		return true, nil
	}
	if !slices.Contains(c.Authentication, oauth.SelfSignedTLSClientAuth) {
		return false, nil
	}
	return e.registered(ctx, s, c, shown, trusted)
}

// registered reports whether the certificate, or its key, is the client's (RFC 8705 §2.2).
func (e *endpoint) registered(
	ctx context.Context, s *registry.Snapshot, c *registry.Client, shown *x509.Certificate, own []*x509.Certificate,
) (bool, error) {
	key, err := oauth.NewKey(shown.PublicKey)
	if err != nil {
		return false, nil
	}
	if !slices.Contains(c.Authentication, oauth.TLSClientAuth) && slices.ContainsFunc(own, shown.Equal) {
		return true, nil
	}
	keys, err := e.clientKeys(ctx, s, c, "")
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(keys, func(k oauth.Key) bool { return k.Thumbprint == key.Thumbprint }), nil
}

// isNamed compares the one name that the client is registered with (RFC 8705 §2.1.2).
func isNamed(certificate *x509.Certificate, n *registry.CertificateName) bool {
	facts := factsOf(certificate)
	switch {
	case n.SubjectDN != "":
		return slices.Contains(facts["subject_dn"], n.SubjectDN)
	case n.SANDNS != "":
		return slices.ContainsFunc(facts["san_dns"], func(s string) bool { return strings.EqualFold(s, n.SANDNS) })
	case n.SANURI != "":
		return slices.Contains(facts["san_uri"], n.SANURI)
	case n.SANIP != "":
		address, err := netip.ParseAddr(n.SANIP)
		return err == nil && slices.Contains(facts["san_ip"], address.Unmap().String())
	case n.SANEmail != "":
		return slices.Contains(facts["san_email"], n.SANEmail)
	}
	return false
}

// factsOf are a certificate's names, by those of registry.CertificateFacts.
func factsOf(c *x509.Certificate) map[string][]string {
	facts := map[string][]string{
		"cn": {c.Subject.CommonName}, "san_dns": c.DNSNames, "san_email": c.EmailAddresses,
		"serial_number": {c.SerialNumber.Text(16)},
	}
	var name pkix.RDNSequence // in the certificate's own order, which Subject does not keep
	if rest, err := asn1.Unmarshal(c.RawSubject, &name); err == nil && len(rest) == 0 && len(name) > 0 {
		facts["subject_dn"] = []string{name.String()}
	}
	for _, uri := range c.URIs {
		facts["san_uri"] = append(facts["san_uri"], uri.String())
	}
	for _, ip := range c.IPAddresses {
		if address, ok := netip.AddrFromSlice(ip); ok {
			facts["san_ip"] = append(facts["san_ip"], address.Unmap().String())
		}
	}
	return facts
}

// confirmation binds the token to the certificate that proved the client (RFC 8705 §3.1); nil where none did.
func (p proof) confirmation() *oauth.Confirmation {
	if p.certificate == nil {
		return nil
	}
	sum := sha256.Sum256(p.certificate.Raw)
	return &oauth.Confirmation{Certificate: base64.RawURLEncoding.EncodeToString(sum[:])}
}
