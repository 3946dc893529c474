// Package seal keeps secrets unreadable where they rest. It exists so that a copy of the store, of a backup
// or of an export gives nobody a provider's key, a private signing key or a client's secret.
//
// How a request meets it: a secret that somebody presents is compared with a keyed hash (Hash, Matches),
// which costs microseconds; a secret that is needed in clear text, such as the provider's key, is opened
// under the master keys of the process (Keys.Open). Both bind a secret to its place, so that an entry copied
// to another place of the store is worth nothing.
//
// AES-GCM is NIST SP 800-38D, HMAC is RFC 2104, SHA-256 is FIPS 180-4, base64url is RFC 4648 section 5.
// The package does no I/O, holds no state that changes and is safe for concurrent use.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

const (
	// keyBytes is the size of a master key and of a data key: AES-256.
	keyBytes = 32
	// maxMasterKeys bounds the ring: a rotation needs two, and more than this is a file pasted by mistake.
	maxMasterKeys = 16
	// kidBytes is how much of a master key's digest names it: enough to tell sixteen keys apart, and far too
	// little to search for a 256-bit key.
	kidBytes = 8
)

// Keys is a ring of master keys, newest first. It is immutable after ParseKeys and safe for concurrent use.
// It prints as a fixed text under every verb.
type Keys struct {
	newest string
	ring   map[string]cipher.AEAD
}

// ParseKeys reads base64 keys of 32 bytes (standard or URL alphabet, padded or not) separated by commas,
// newest first. Errors name the position of what is wrong, counted from one, and never its value.
func ParseKeys(text string) (*Keys, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("no master key: write base64 of 32 random bytes")
	}
	items := strings.Split(text, ",")
	if len(items) > maxMasterKeys {
		return nil, fmt.Errorf("%d master keys: at most %d are read", len(items), maxMasterKeys)
	}
	keys := &Keys{ring: make(map[string]cipher.AEAD, len(items))}
	positions := make(map[string]int, len(items))
	for i, item := range items {
		key, ok := decodeKey(strings.TrimSpace(item))
		if !ok {
			return nil, fmt.Errorf("master key %d: not base64 of %d bytes", i+1, keyBytes)
		}
		id := keyID(key)
		if first, twice := positions[id]; twice {
			return nil, fmt.Errorf("master key %d: the same as master key %d", i+1, first)
		}
		positions[id] = i + 1
		keys.ring[id] = newAEAD(key)
		if i == 0 {
			keys.newest = id
		}
	}
	return keys, nil
}

// NewMasterKey makes a master key in the form that ParseKeys reads: standard base64 of 256 random bits.
func NewMasterKey() string { return base64.StdEncoding.EncodeToString(random(keyBytes)) }

// Format prints a fixed text, so that no verb walks into the cipher's state.
func (Keys) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, "[master keys]") }

// LogValue prints a fixed text under log/slog.
func (Keys) LogValue() slog.Value { return slog.StringValue("[master keys]") }

// decodeKey accepts the four spellings of base64 that key generators print.
func decodeKey(text string) ([]byte, bool) {
	for _, encoding := range []*base64.Encoding{
		base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding,
	} {
		if key, err := encoding.Strict().DecodeString(text); err == nil && len(key) == keyBytes {
			return key, true
		}
	}
	return nil, false
}

// keyID names a master key without telling anything about it.
func keyID(key []byte) string {
	sum := sha256.Sum256(append([]byte("keyless master key id"), key...))
	return hex.EncodeToString(sum[:kidBytes])
}

// newAEAD makes AES-256-GCM that draws a random nonce for each message and puts it before the ciphertext.
// Both constructors fail only on a wrong key size, which no caller here can pass.
func newAEAD(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("seal: a key that is not 32 bytes reached the cipher")
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("seal: AES-GCM refused an AES block")
	}
	return aead
}

// random returns n bytes of the system's generator; crypto/rand.Read never returns an error.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}
