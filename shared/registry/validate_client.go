package registry

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"keyless/shared/oauth"
	"keyless/shared/seal"
)

const (
	// maxClientKeys bounds what one client is verified with: a key and its successor, for a few machines.
	maxClientKeys = 8
	// minHS256 is RFC 7518 §3.2: a key of HS256 has at least 256 bits.
	minHS256 = 32
)

// methods are what a client may do and what each needs.
type methods []string

func (m methods) has(any ...string) bool {
	return slices.ContainsFunc(any, func(method string) bool { return slices.Contains(m, method) })
}

// clientProof judges what a client proves itself with: each method has what it needs, and nothing stands there without
// a method that reads it.
func (v *validator) clientProof(at spot, in *Instance, c *Client) {
	m := methods(c.Authentication)
	v.assertionSecrets(at, in, c, m.has(oauth.ClientSecretJWT))
	v.clientKeys(at, c, m)
	v.oneOf(at.key("assertion_audience"), c.AssertionAudience, AudienceAny, AudienceIssuer)
	if c.AssertionAudience != "" && !m.has(oauth.ClientSecretJWT, oauth.PrivateKeyJWT, oauth.FederatedIdentity) {
		v.fault(at.key("assertion_audience"), "has no effect on this client, which signs no assertion; leave it out")
	}
	v.clientCertificate(at, c, m)
	v.federated(at.key("federated_credentials"), c, m.has(oauth.FederatedIdentity))
}

// assertionSecrets judges the secrets of client_secret_jwt, which the token endpoint needs clear.
func (v *validator) assertionSecrets(at spot, in *Instance, c *Client, takes bool) {
	if !takes {
		return
	}
	method := at.key("authentication").item(slices.Index(c.Authentication, oauth.ClientSecretJWT))
	if in.SecretStorage == StorageHashed {
		v.fault(method, "is client_secret_jwt, which needs the secret itself, and the instance keeps hashes only; "+
			"write private_key_jwt, or secret_storage: sealed")
	}
	for i, s := range c.Secrets {
		value, text := at.key("secrets").item(i).key("value"), string(s.Value)
		switch {
		case strings.HasPrefix(text, hashPrefix):
			v.fault(value, "is a hash, and client_secret_jwt needs the secret itself; write it, or its sealed form")
		case len(text) >= seal.MinBroughtSecret && len(text) < minHS256:
			v.fault(value, "is a secret of under 32 characters, too short for client_secret_jwt; write a longer one, "+
				"or leave value out to have one generated")
		}
	}
}

// clientKeys judges the one source of a client's keys (RFC 7591 §2: jwks and jwks_uri MUST NOT both be there).
func (v *validator) clientKeys(at spot, c *Client, m methods) {
	var written []spot
	for key, is := range map[string]bool{
		"jwks_url": c.JWKSURL != "", "jwks": len(c.JWKS) > 0, "public_keys": c.PublicKeys != nil,
	} {
		if is {
			written = append(written, at.key(key))
		}
	}
	slices.Sort(written)
	switch reads := m.has(oauth.PrivateKeyJWT, oauth.SelfSignedTLSClientAuth); {
	case len(written) > 1:
		v.fault(written[1], "stands beside another source of the client's keys; "+
			"write one of jwks_url, jwks and public_keys")
	case len(written) == 1 && !reads:
		v.fault(written[0], "has no effect on this client; add private_key_jwt to its authentication, or leave it out")
	case len(written) == 0 && m.has(oauth.PrivateKeyJWT):
		v.fault(at.key("authentication").item(slices.Index(c.Authentication, oauth.PrivateKeyJWT)),
			"is private_key_jwt, which needs the client's public key; write one of jwks_url, jwks and public_keys")
	}
	if c.JWKSURL != "" {
		v.wrong(at.key("jwks_url"), judgeURL(c.JWKSURL))
	}
	v.publicSet(at.key("jwks"), c.JWKS)
	v.pems(at.key("public_keys"), c.PublicKeys, func(text string) error {
		_, err := ParsePublicKey(text)
		return err
	})
}

// publicSet judges a pasted JWK Set that must hold public keys.
func (v *validator) publicSet(at spot, text []byte) {
	if len(text) == 0 {
		return
	}
	keys, err := oauth.ParseJWKSet(text, oauth.Pasted)
	switch {
	case err != nil:
		v.fault(at, "is not a key set: %s", err)
	case keys[0].Symmetric(): // a set holds one kind only
		v.fault(at, "holds a shared secret (kty oct); write public keys, or a secret and client_secret_jwt")
	}
}

// pems judges a list of texts in PEM. What parse says of a text never echoes it.
func (v *validator) pems(list spot, texts []string, parse func(string) error) {
	v.unique(list, texts)
	if len(texts) > maxClientKeys {
		v.fault(list, "has more than %d items; remove the oldest", maxClientKeys)
	}
	for i, text := range texts {
		if err := parse(text); err != nil {
			v.fault(list.item(i), "%s", err)
		}
	}
}

func (v *validator) certificates(list spot, texts []string) {
	v.pems(list, texts, func(text string) error {
		_, err := ParseCertificate(text)
		return err
	})
}

// clientCertificate judges the two methods of RFC 8705.
func (v *validator) clientCertificate(at spot, c *Client, m methods) {
	v.certificates(at.key("certificates"), c.Certificates)
	if len(c.Certificates) > 0 && !m.has(oauth.TLSClientAuth, oauth.SelfSignedTLSClientAuth) {
		v.fault(at.key("certificates"), "has no effect on this client; add tls_client_auth or "+
			"self_signed_tls_client_auth to its authentication, or leave it out")
	}
	name := at.key("certificate")
	switch takes := m.has(oauth.TLSClientAuth); {
	case c.Certificate != nil && !takes:
		v.fault(name, "has no effect on this client; add tls_client_auth to its authentication, or leave it out")
	case c.Certificate == nil && takes:
		v.fault(name, "is required by tls_client_auth; write such as {san_dns: job.acme.example}")
	case c.Certificate != nil:
		v.certificateName(name, c.Certificate)
	}
	if m.has(oauth.TLSClientAuth) && len(c.Certificates) == 0 {
		v.fault(at.key("certificates"), "is required by tls_client_auth; "+
			"write the certificate of the authority that issues the client's")
	}
	keys := c.JWKSURL != "" || len(c.JWKS) > 0 || len(c.PublicKeys) > 0 || len(c.Certificates) > 0
	if m.has(oauth.SelfSignedTLSClientAuth) && !keys {
		v.fault(at.key("certificates"), "is required by self_signed_tls_client_auth; "+
			"write the client's certificate, or its key as jwks_url, jwks or public_keys")
	}
}

func (v *validator) certificateName(at spot, n *CertificateName) {
	names := map[string]string{
		"subject_dn": n.SubjectDN, "san_dns": n.SANDNS, "san_uri": n.SANURI, "san_ip": n.SANIP, "san_email": n.SANEmail,
	}
	written := 0
	for _, key := range slices.Sorted(maps.Keys(names)) {
		if names[key] != "" {
			written++
			v.wrong(at.key(key), judgeWord(names[key]))
		}
	}
	if written != 1 {
		v.fault(at, "has not exactly one name; write one of subject_dn, san_dns, san_uri, san_ip and san_email")
	}
	if n.SubjectDN != "" && !strings.Contains(n.SubjectDN, "=") {
		v.fault(at.key("subject_dn"), "is not a distinguished name; write such as CN=job,O=Acme, the last part first")
	}
	if n.SANIP != "" {
		if _, err := netip.ParseAddr(n.SANIP); err != nil {
			v.fault(at.key("san_ip"), "is not an IP address; write such as 192.0.2.1")
		}
	}
}
