package token

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"slices"
	"strings"
	"time"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// maxChain bounds the certificates between a client's and its authority's: a private authority has one or two.
const maxChain = 4

// provesAuthority judges x509-jwt-bearer of Alibaba IDaaS: an assertion of the client's own, signed with the key of a
// certificate that comes along and that a trusted authority has issued.
func (e *endpoint) provesAuthority(
	ctx context.Context, instance string, c *registry.Client, trusted []*registry.FederatedCredential, a *assertion,
) (bool, error) {
	if why := e.ownWrong(instance, c, a); why != "" {
		e.wrong(ctx, why)
		return false, nil
	}
	leaf, ok := parsePEM(a.leaf, 1)
	between, okChain := parsePEM(a.chain, maxChain)
	if !ok || !okChain || len(leaf) != 1 {
		e.wrong(ctx, "client_x509 or client_x509_chain is not certificates in PEM")
		return false, nil
	}
	key, err := oauth.NewKey(leaf[0].PublicKey)
	if err != nil || !signed(a.token, []oauth.Key{key}, map[string]bool{}) {
		e.wrong(ctx, "the key of client_x509 does not verify it")
		return false, nil
	}
	for _, f := range trusted {
		roots, err := registry.ParseCertificates(f.Certificates)
		if err == nil && issued(leaf[0], between, roots, x509.ExtKeyUsageAny, e.now()) && called(leaf[0], f) {
			note(ctx, slog.String("federated_credential", f.Name))
			return e.once(ctx, instance, c, a)
		}
	}
	e.wrong(ctx, "no credential of the client trusts the certificate")
	return false, nil
}

// parsePEM reads up to most certificates; nothing else may stand there.
func parsePEM(text string, most int) ([]*x509.Certificate, bool) {
	var list []*x509.Certificate
	for rest := []byte(strings.TrimSpace(text)); len(rest) > 0; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil || block.Type != "CERTIFICATE" || len(list) == most {
			return nil, false
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, false
		}
		list = append(list, certificate)
	}
	return list, true
}

// issued reports whether one of the roots vouches for the certificate at the time (RFC 5280 §6).
func issued(leaf *x509.Certificate, between, roots []*x509.Certificate, usage x509.ExtKeyUsage, now time.Time) bool {
	o := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{usage},
	}
	for _, root := range roots {
		o.Roots.AddCert(root)
	}
	for _, one := range between {
		o.Intermediates.AddCert(one)
	}
	_, err := leaf.Verify(o)
	return err == nil
}

// called reports whether the certificate says what the credential asks for; of a name that may stand several times, one
// must match. A credential that asks for nothing trusts nobody.
func called(certificate *x509.Certificate, f *registry.FederatedCredential) bool {
	facts := factsOf(certificate)
	if f.Subject == "" && len(f.Claims) == 0 || f.Subject != "" && !anyMatches(f.Subject, facts["subject_dn"]) {
		return false
	}
	for name, pattern := range f.Claims {
		if !anyMatches(pattern, facts[name]) {
			return false
		}
	}
	return true
}

func anyMatches(pattern string, values []string) bool {
	return slices.ContainsFunc(values, func(value string) bool { return matches(pattern, value) })
}
