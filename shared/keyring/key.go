package keyring

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"keyless/shared/oauth"
)

// rsaBits is the least that RFC 7518 §3.3 allows, and what every verifier takes; keys are replaced long
// before it weakens.
const rsaBits = 2048

// errPrivate stands for every fault of a private key: the library's own errors may quote what it read.
var errPrivate = errors.New("the stored private key is not a JWK of ours")

// pair is a new key as it is stored.
type pair struct {
	kid       string
	algorithm string
	private   []byte // JWK, clear
	public    []byte // JWK: kty, kid, alg, use and the public members
}

// generate makes a key of the algorithm. Its kid is the RFC 7638 thumbprint.
func generate(algorithm string) (*pair, error) {
	raw, err := rawKey(algorithm)
	if err != nil {
		return nil, fmt.Errorf("make a key for %s: %w", algorithm, err)
	}
	key, err := jwk.FromRaw(raw)
	if err != nil {
		return nil, errPrivate
	}
	if err := describe(key, algorithm); err != nil {
		return nil, errPrivate
	}
	public, err := key.PublicKey()
	if err != nil {
		return nil, errPrivate
	}
	made := &pair{kid: key.KeyID(), algorithm: algorithm}
	if made.private, err = json.Marshal(key); err != nil {
		return nil, errPrivate
	}
	if made.public, err = json.Marshal(public); err != nil {
		return nil, errPrivate
	}
	return made, nil
}

func describe(key jwk.Key, algorithm string) error {
	return errors.Join(
		jwk.AssignKeyID(key, jwk.WithThumbprintHash(crypto.SHA256)),
		key.Set(jwk.AlgorithmKey, jwa.SignatureAlgorithm(algorithm)),
		key.Set(jwk.KeyUsageKey, jwk.ForSignature),
	)
}

// rawKey draws a key that fits the algorithm: RFC 7518 §3.1 and RFC 8037 §3.1 bind curve to algorithm.
func rawKey(algorithm string) (any, error) {
	switch algorithm {
	case "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA":
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	return rsa.GenerateKey(rand.Reader, rsaBits)
}

// signer is an opened key. It is immutable.
type signer struct {
	kid       string
	algorithm jwa.SignatureAlgorithm
	raw       crypto.Signer // the library converts a JWK anew on each signature, a raw key never
}

// newSigner reads a private JWK that generate made for the kid.
func newSigner(kid string, private []byte) (*signer, error) {
	key, err := jwk.ParseKey(private)
	if err != nil || key.KeyID() != kid {
		return nil, errPrivate
	}
	algorithm, ok := key.Algorithm().(jwa.SignatureAlgorithm)
	if !ok {
		return nil, errPrivate
	}
	var any any
	if err := key.Raw(&any); err != nil {
		return nil, errPrivate
	}
	raw, ok := any.(crypto.Signer)
	if !ok {
		return nil, errPrivate
	}
	if rsaKey, ok := raw.(*rsa.PrivateKey); ok {
		rsaKey.Precompute() // else each signature does it again
	}
	return &signer{kid: kid, algorithm: algorithm, raw: raw}, nil
}

// sign makes the compact form (RFC 7515 §7.1). Headers are set by fixed names only: the library does not
// escape names.
func (s *signer) sign(payload []byte) (string, error) {
	headers := jws.NewHeaders()
	err := errors.Join(
		headers.Set(jws.TypeKey, oauth.TypeAccessToken),
		headers.Set(jws.KeyIDKey, s.kid),
	)
	if err != nil {
		return "", errors.New("a header member was not taken")
	}
	compact, err := jws.Sign(payload, jws.WithKey(s.algorithm, s.raw, jws.WithProtectedHeaders(headers)))
	if err != nil {
		return "", errors.New("the library refused key or payload")
	}
	return string(compact), nil
}
