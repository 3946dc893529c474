package seal

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

const (
	// version stands before everything that this package writes; a reader of another form must not guess.
	version = "v1"
	// MaxClear bounds what is sealed, in bytes: the largest is a partner's JWK Set or an RSA key in PEM.
	MaxClear = 64 << 10
	// overhead is what random-nonce GCM adds to a message: 12 bytes of nonce, 16 bytes of tag.
	overhead = 12 + 16
	// wrappedBytes is the length of a wrapped data key.
	wrappedBytes = keyBytes + overhead
)

var (
	// ErrUnknownMasterKey says that the master key that sealed a value is not in the ring.
	ErrUnknownMasterKey = errors.New("sealed under a master key that is not configured")
	// ErrTampered says that a value is not what was sealed at this place: changed, cut, or moved from
	// another.
	ErrTampered = errors.New("sealed value does not belong to its place or was changed")
)

// Seal encrypts clear for one place, such as "upstream/u1/api_key/0". The result is "v1:<kid>:<base64url of
// wrapped data key, then ciphertext>"; each message has a data key of its own, wrapped under the newest
// master key. Version, kid and place are authenticated with both. It returns an error when place is empty or
// clear is longer than MaxClear.
func (k *Keys) Seal(place string, clear []byte) (string, error) {
	r, err := k.opened()
	if err != nil {
		return "", err
	}
	master, known := r.keys[r.newest]
	if !known {
		return "", ErrUnknownMasterKey
	}
	if place == "" {
		return "", errors.New("seal: a secret without a place")
	}
	if len(clear) > MaxClear {
		return "", fmt.Errorf("seal: secret of %d bytes, at most %d", len(clear), MaxClear)
	}
	dataKey := random(keyBytes)
	out := make([]byte, 0, wrappedBytes+len(clear)+overhead)
	out = master.Seal(out, nil, dataKey, associated("data key", r.newest, place))
	out = newAEAD(dataKey).Seal(out, nil, clear, associated("secret", r.newest, place))
	return version + ":" + r.newest + ":" + base64.RawURLEncoding.EncodeToString(out), nil
}

// Open returns the clear text of what Seal made for the same place. Its errors are ErrUnknownMasterKey and
// ErrTampered, or what keeps a Source from opening a master key; none says anything about the content.
func (k *Keys) Open(place, sealed string) ([]byte, error) {
	id, body, ok := split(sealed)
	if !ok {
		return nil, ErrTampered
	}
	r, err := k.opened()
	if err != nil {
		return nil, err
	}
	master, known := r.keys[id]
	if !known {
		return nil, ErrUnknownMasterKey
	}
	message, ok := decode(body)
	if !ok || len(message) < wrappedBytes+overhead {
		return nil, ErrTampered
	}
	dataKey, err := master.Open(nil, nil, message[:wrappedBytes], associated("data key", id, place))
	if err != nil || len(dataKey) != keyBytes {
		return nil, ErrTampered
	}
	clear, err := newAEAD(dataKey).Open(nil, nil, message[wrappedBytes:], associated("secret", id, place))
	if err != nil {
		return nil, ErrTampered
	}
	return clear, nil
}

// Stale says that sealed names a master key other than the newest, so that sealing it again is due. It does
// not check that the value opens; a value of another form is not stale, nor any while the ring cannot be opened.
func (k *Keys) Stale(sealed string) bool {
	id, _, ok := split(sealed)
	r, err := k.opened()
	return ok && err == nil && id != r.newest
}

// split takes "v1:<kid>:<body>" apart.
func split(sealed string) (id, body string, ok bool) {
	rest, ok := strings.CutPrefix(sealed, version+":")
	if !ok {
		return "", "", false
	}
	id, body, ok = strings.Cut(rest, ":")
	return id, body, ok && len(id) == 2*kidBytes
}

// decode accepts one spelling of each message only. The library skips line ends, which would let one value be
// written in many ways, so they are refused first.
func decode(body string) ([]byte, bool) {
	longest := base64.RawURLEncoding.EncodedLen(wrappedBytes + MaxClear + overhead)
	if len(body) > longest || strings.ContainsAny(body, "\r\n") {
		return nil, false
	}
	message, err := base64.RawURLEncoding.Strict().DecodeString(body)
	return message, err == nil
}

// associated is the data that GCM authenticates beside a message. The purpose keeps a wrapped data key from
// standing in for a secret.
func associated(purpose, id, place string) []byte {
	return joined("keyless", version, purpose, id, place)
}

// joined writes each part after its length in eight bytes, big endian, so that no two lists of parts give the
// same bytes.
func joined(parts ...string) []byte {
	size := 0
	for _, part := range parts {
		size += 8 + len(part)
	}
	out := make([]byte, 0, size)
	for _, part := range parts {
		out = binary.BigEndian.AppendUint64(out, uint64(len(part)))
		out = append(out, part...)
	}
	return out
}
