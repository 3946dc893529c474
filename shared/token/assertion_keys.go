package token

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"math/big"
	"sync"

	"keyless/shared/auth"
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
			good = auth.Verifies(token, k)
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

// pretend verifies against a key that nobody has.
func pretend(token *oauth.Token) {
	for _, k := range nobodysKeys() {
		if k.Allows(token.Header.Algorithm) {
			_ = auth.Verifies(token, k)
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
