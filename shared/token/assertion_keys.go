package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // PS384, PS512
	"encoding/base64"
	"math/big"
	"strings"
	"sync"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// maxTried bounds the keys tried for a token without kid.
const maxTried = 8

// KeySource finds other people's public keys; *jwks.Cache satisfies it. A URL or issuer may have an edition behind it,
// as a fragment. The keys are shared and immutable.
type KeySource interface {
	// Keys returns the JWK Set at a URL.
	Keys(ctx context.Context, url, kid string) ([]oauth.Key, error)
	// IssuerKeys returns that of an issuer, by discovery.
	IssuerKeys(ctx context.Context, issuer, kid string) ([]oauth.Key, error)
}

// clientKeys are the keys that a client is registered with. An error is a key set that cannot be had.
func (e *endpoint) clientKeys(
	ctx context.Context, s *registry.Snapshot, c *registry.Client, kid string,
) ([]oauth.Key, error) {
	if c.JWKSURL == "" {
		return c.Keys()
	}
	return e.keys.Keys(ctx, s.Edition(c.JWKSURL), kid)
}

// signed reports whether one of the keys verifies the token; tried remembers by thumbprint what did. Where no key fits,
// nobody's is tried, so that the answer takes as long.
func signed(token *oauth.Token, keys []oauth.Key, tried map[string]bool) bool {
	fit := 0
	for _, k := range keys {
		if !fits(token, k) || fit == maxTried {
			continue
		}
		fit++
		good, known := tried[k.Thumbprint]
		if !known {
			good = verifies(token, k)
			tried[k.Thumbprint] = good
		}
		if good {
			return true
		}
	}
	if len(tried) == 0 {
		pretend(token)
	}
	return false
}

// fits reports whether the key may verify the token: by kid where both have one, and by the algorithm that the key
// allows (RFC 8725 §3.1), which is never a symmetric one here.
func fits(token *oauth.Token, k oauth.Key) bool {
	kid := token.Header.KeyID == "" || k.ID == "" || k.ID == token.Header.KeyID
	return kid && !k.Symmetric() && k.Allows(token.Header.Algorithm)
}

func verifies(token *oauth.Token, k oauth.Key) bool {
	if !k.Allows(token.Header.Algorithm) {
		return false
	}
	if public, isRSA := k.Public.(*rsa.PublicKey); isRSA && strings.HasPrefix(token.Header.Algorithm, "PS") {
		return verifiesPSS(token, public)
	}
	alg := jwa.SignatureAlgorithm(token.Header.Algorithm)
	_, err := jws.Verify([]byte(token.Compact), jws.WithKey(alg, k.Public), jws.WithCompact())
	return err == nil
}

var pssHashes = map[string]crypto.Hash{"PS256": crypto.SHA256, "PS384": crypto.SHA384, "PS512": crypto.SHA512}

// verifiesPSS holds the salt to the hash's length, which the library does not (RFC 7518 §3.5: MUST).
func verifiesPSS(token *oauth.Token, public *rsa.PublicKey) bool {
	hash := pssHashes[token.Header.Algorithm]
	end := strings.LastIndexByte(token.Compact, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token.Compact[end+1:])
	if err != nil || hash == 0 {
		return false
	}
	sum := hash.New()
	sum.Write([]byte(token.Compact[:end]))
	return rsa.VerifyPSS(public, hash, sum.Sum(nil), signature,
		&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
}

// pretend verifies against a key that nobody has.
func pretend(token *oauth.Token) {
	for _, k := range nobodysKeys() {
		if k.Allows(token.Header.Algorithm) {
			_ = verifies(token, k)
			return
		}
	}
}

// nobodysKeys are one public key of each kind, made when first needed. The RSA modulus has no known factors, for
// making a real one takes too long on a request.
var nobodysKeys = sync.OnceValue(func() []oauth.Key {
	publics := []any{nobodysRSA()}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		if key, err := ecdsa.GenerateKey(curve, rand.Reader); err == nil {
			publics = append(publics, &key.PublicKey)
		}
	}
	if public, _, err := ed25519.GenerateKey(rand.Reader); err == nil {
		publics = append(publics, public)
	}
	var keys []oauth.Key
	for _, public := range publics {
		if key, err := oauth.NewKey(public); err == nil {
			keys = append(keys, key)
		}
	}
	return keys
})

func nobodysRSA() *rsa.PublicKey {
	const bytes = 256 // 2048 bits
	n := make([]byte, 0, bytes)
	for i := range bytes / sha256.Size {
		sum := sha256.Sum256([]byte{byte(i)})
		n = append(n, sum[:]...)
	}
	n[0] |= 0x80
	n[bytes-1] |= 1
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}
}
