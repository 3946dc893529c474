package registry

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"keyless/shared/oauth"
)

// errPrivateKey never holds the key.
var errPrivateKey = errors.New("is a private key: paste its public half only, and replace the key, it has been seen")

// Keys returns the public keys that stand in the client's own entry, of jwks and public_keys; not those at its
// jwks_url. A stored client was validated, so that an error is a store's that somebody else wrote.
func (c *Client) Keys() ([]oauth.Key, error) {
	var keys []oauth.Key
	if len(c.JWKS) > 0 {
		var err error
		if keys, err = oauth.ParseJWKSet(c.JWKS, oauth.Pasted); err != nil {
			return nil, fmt.Errorf("read the key set of client %s: %w", c.ID, err)
		}
	}
	for _, text := range c.PublicKeys {
		key, err := ParsePublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("read a public key of client %s: %w", c.ID, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// ParsePublicKey reads one public key in PEM: PUBLIC KEY (RFC 5280 §4.1.2.7), RSA PUBLIC KEY (PKCS #1) or the key of a
// CERTIFICATE. Errors say what is wrong behind "the key …" and never echo it.
func ParsePublicKey(text string) (oauth.Key, error) {
	block, err := onePEM(text)
	if err != nil {
		return oauth.Key{}, err
	}
	var public any
	switch block.Type {
	case "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var certificate *x509.Certificate
		if certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
			public = certificate.PublicKey
		}
	default:
		return oauth.Key{}, errors.New("is not a public key in PEM; write -----BEGIN PUBLIC KEY----- and what follows")
	}
	if err != nil {
		return oauth.Key{}, errors.New("is a PEM whose content is no public key; write it as the tool printed it")
	}
	key, err := oauth.NewKey(public)
	if err != nil {
		return oauth.Key{}, fmt.Errorf("is not a key that is taken: %w", err)
	}
	return key, nil
}

// ParseCertificate reads one certificate in PEM.
func ParseCertificate(text string) (*x509.Certificate, error) {
	block, err := onePEM(text)
	if err != nil {
		return nil, err
	}
	if block.Type != "CERTIFICATE" {
		return nil, errors.New("is not a certificate in PEM; write -----BEGIN CERTIFICATE----- and what follows")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, errors.New("is a PEM whose content is no certificate; write it as the tool printed it")
	}
	return certificate, nil
}

// ParseCertificates reads a list of them.
func ParseCertificates(texts []string) ([]*x509.Certificate, error) {
	list := make([]*x509.Certificate, len(texts))
	for i, text := range texts {
		var err error
		if list[i], err = ParseCertificate(text); err != nil {
			return nil, fmt.Errorf("certificates[%d]: %w", i, err)
		}
	}
	return list, nil
}

// onePEM reads the one block of a text.
func onePEM(text string) (*pem.Block, error) {
	if strings.Contains(text, "PRIVATE KEY") {
		return nil, errPrivateKey
	}
	block, rest := pem.Decode([]byte(text))
	if block == nil || len(text) > maxPEM {
		return nil, errors.New("is not a PEM; write -----BEGIN …, the base64 lines and -----END … as they are")
	}
	if strings.TrimSpace(string(rest)) != "" {
		return nil, errors.New("is more than one PEM; write each as an item of its own")
	}
	return block, nil
}

// maxPEM bounds a PEM: an RSA certificate of 4096 bits with many names takes a quarter.
const maxPEM = 16 << 10

// ClientSecret returns a client's secret in clear text, "" where only its hash is kept. It costs microseconds and no
// round trip.
func (r *Reader) ClientSecret(c *Client, s ClientSecret) (Secret, error) {
	if !strings.HasPrefix(string(s.Value), sealedPrefix) {
		return "", nil
	}
	if r.keys == nil {
		return "", errors.New("open a client's secret: this process has no master key")
	}
	return open(r.keys, PlaceClientSecret(c.Instance, c.ID, s.ID), s.Value)
}
