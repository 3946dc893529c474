package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
)

const (
	// MinBroughtSecret is the fewest characters of a secret that a person brings. Hash is fast, so a shorter
	// one could be searched for by whoever has both the store and the pepper.
	MinBroughtSecret = 16
	// pepperBytes is the size of a pepper and of a generated secret: 256 bits.
	pepperBytes = 32
)

// NewSecret makes a secret of 256 random bits: 43 characters of base64url, which are the unreserved
// characters of RFC 3986 section 2.3, because half of the OAuth clients do not form-encode what they put into
// Basic.
func NewSecret() string { return base64.RawURLEncoding.EncodeToString(random(pepperBytes)) }

// NewPepper makes the key of Hash: 32 random bytes. It must never change while hashes made with it are kept.
func NewPepper() []byte { return random(pepperBytes) }

// Hash returns "v1:<base64url HMAC-SHA-256>" of a secret at one place, keyed by pepper. A secret of enough
// entropy needs no slow hash; the pepper keeps a copied store from being searched at all. An empty pepper
// panics: the caller took a Snapshot without its pepper for a complete one.
func Hash(pepper []byte, place, secret string) string {
	if len(pepper) == 0 {
		panic("seal: hash without a pepper")
	}
	mac := hmac.New(sha256.New, pepper)
	mac.Write(joined("keyless secret hash", version, place, secret))
	return version + ":" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Matches says whether secret is the one that hash was made of at this place, in time that does not depend on
// where they differ. A malformed hash costs the same work and matches nothing, so that a caller can check an
// unknown client against an empty hash.
func Matches(pepper []byte, place, secret, hash string) bool {
	return hmac.Equal([]byte(Hash(pepper, place, secret)), []byte(hash))
}

// Digest names a list of parts: base64url SHA-256, 43 characters, no two lists giving the same. Index entries
// in Redis are called by it, so that neither a credential nor its length stands in a Redis key.
func Digest(parts ...string) string {
	sum := sha256.Sum256(joined(parts...))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
