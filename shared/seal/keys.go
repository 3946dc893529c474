// Package seal keeps secrets unreadable where they rest. It exists so that a copy of the store, of a backup
// or of an export gives nobody a provider's key, a private signing key or a client's secret.
//
// How a request meets it: a secret that somebody presents is compared with a keyed hash (Hash, Matches),
// which costs microseconds; a secret that is needed in clear text, such as the provider's key, is opened
// under the master keys of the process (Keys.Open). Both bind a secret to its place, so that an entry copied
// to another place of the store is worth nothing.
//
// AES-GCM is NIST SP 800-38D, HMAC is RFC 2104, SHA-256 is FIPS 180-4, base64url is RFC 4648 section 5.
// The package does no I/O of its own: a Source may, once for a process. Safe for concurrent use.
package seal

import (
	"context"
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
	"sync"
	"sync/atomic"
	"time"
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

// Keys is a ring of master keys, newest first. Safe for concurrent use; it never changes but for opening, once, the keys that another
// service keeps. It prints as a fixed text under every verb.
type Keys struct{ state *state }

// state is what the parts of a ring are opened to.
type state struct {
	mu      sync.Mutex // held while the parts are opened, which may take a network call each
	parts   []part
	sources map[string]Source
	ring    atomic.Pointer[ring]
}

type ring struct {
	newest string
	keys   map[string]cipher.AEAD
}

// part is one master key as it is configured: the key itself, or where it is kept.
type part struct {
	key          []byte // nil: ask the source
	scheme, rest string
}

// Source opens a master key that is kept elsewhere: in a file, or encrypted by a key of a cloud's own service. rest is what stands
// behind the scheme and its colon. Its error must not hold the key.
type Source func(ctx context.Context, rest string) ([]byte, error)

// sourceWithin bounds the opening of the whole ring: a request waits for it.
const sourceWithin = 5 * time.Second

// ParseKeys reads base64 keys of 32 bytes (standard or URL alphabet, padded or not) separated by commas,
// newest first. Errors name the position of what is wrong, counted from one, and never its value.
func ParseKeys(text string) (*Keys, error) { return ParseKeysFrom(text, nil) }

// ParseKeysFrom reads keys as ParseKeys does, and "<scheme>:<rest>" for keys that one of the sources opens. Those are opened when the
// first secret is sealed or opened, not before: a process starts without a network. Until that succeeds, each secret's error is the
// source's.
func ParseKeysFrom(text string, sources map[string]Source) (*Keys, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("no master key: write base64 of 32 random bytes")
	}
	items := strings.Split(text, ",")
	if len(items) > maxMasterKeys {
		return nil, fmt.Errorf("%d master keys: at most %d are read", len(items), maxMasterKeys)
	}
	s := &state{sources: sources}
	elsewhere := false
	for i, item := range items {
		item = strings.TrimSpace(item)
		if scheme, rest, named := strings.Cut(item, ":"); named && sources[scheme] != nil && rest != "" {
			s.parts, elsewhere = append(s.parts, part{scheme: scheme, rest: rest}), true
			continue
		}
		key, ok := decodeKey(item)
		if !ok {
			return nil, fmt.Errorf("master key %d: not base64 of %d bytes", i+1, keyBytes)
		}
		s.parts = append(s.parts, part{key: key})
	}
	keys := &Keys{s}
	if elsewhere {
		return keys, nil
	}
	_, err := keys.opened()
	return keys, err
}

// opened returns the ring, and opens it where that is still to be done. A failure is not remembered: the next secret tries again.
func (k *Keys) opened() (*ring, error) {
	if k.state == nil {
		return &ring{}, nil // the zero value knows no key
	}
	if r := k.state.ring.Load(); r != nil {
		return r, nil
	}
	k.state.mu.Lock()
	defer k.state.mu.Unlock()
	if r := k.state.ring.Load(); r != nil {
		return r, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), sourceWithin)
	defer cancel()
	r := &ring{keys: map[string]cipher.AEAD{}}
	positions := map[string]int{}
	for i, p := range k.state.parts {
		key, err := k.state.open(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("master key %d: %w", i+1, err)
		}
		id := keyID(key)
		if first, twice := positions[id]; twice {
			return nil, fmt.Errorf("master key %d: the same as master key %d", i+1, first)
		}
		positions[id] = i + 1
		r.keys[id] = newAEAD(key)
		if i == 0 {
			r.newest = id
		}
	}
	k.state.ring.Store(r)
	return r, nil
}

func (s *state) open(ctx context.Context, p part) ([]byte, error) {
	if p.key != nil {
		return p.key, nil
	}
	key, err := s.sources[p.scheme](ctx, p.rest)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.scheme, err)
	}
	if len(key) != keyBytes {
		return nil, fmt.Errorf("%s: opened to %d bytes, want %d", p.scheme, len(key), keyBytes)
	}
	return key, nil
}

// ReadKey decodes one base64 master key of 32 bytes, as a file or a cloud's service returns it.
func ReadKey(text string) ([]byte, error) {
	if key, ok := decodeKey(strings.TrimSpace(text)); ok {
		return key, nil
	}
	return nil, fmt.Errorf("not base64 of %d bytes", keyBytes)
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
