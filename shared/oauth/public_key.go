package oauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
)

// NewKey makes a Key of a public key that did not come as a JWK, such as that of a certificate or a PEM. It takes what
// a JWK Set may hold and nothing more: RSA of 2048 to 4096 bits, P-256, P-384, P-521, Ed25519. It has no kid.
func NewKey(public crypto.PublicKey) (Key, error) {
	jwk, err := jwkOf(public)
	if err != nil {
		return Key{}, err
	}
	text, err := json.Marshal(jwk)
	if err != nil {
		return Key{}, errors.New("cannot be written as a JWK")
	}
	key, _, err := parseJWK(text)
	return key, err
}

func jwkOf(public crypto.PublicKey) (map[string]string, error) {
	text := base64.RawURLEncoding.EncodeToString
	switch k := public.(type) {
	case *rsa.PublicKey:
		return map[string]string{"kty": "RSA", "n": text(k.N.Bytes()), "e": text(big.NewInt(int64(k.E)).Bytes())}, nil
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			return nil, errors.New("is not a point of its curve")
		}
		half := len(point) / 2 // behind the first byte, x and y
		return map[string]string{
			"kty": "EC", "crv": k.Curve.Params().Name, "x": text(point[1 : 1+half]), "y": text(point[1+half:]),
		}, nil
	case ed25519.PublicKey:
		return map[string]string{"kty": "OKP", "crv": "Ed25519", "x": text(k)}, nil
	}
	return nil, errors.New("is not a key of RSA, P-256, P-384, P-521 or Ed25519")
}
