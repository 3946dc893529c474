package oauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// Bounds of a JWK Set. Issuers publish a handful of keys in a few KiB; what is larger is a mistake or an attack.
const (
	MaxKeySetBytes = 256 << 10
	MaxKeys        = 32
	maxPublished   = 1024 // of our own set: RSA keys reach the bound in bytes first
	minRSABits     = 2048 // RFC 7518 §3.3
	maxRSABits     = 4096 // a longer key makes each verification a way to burn CPU
	minHMACBytes   = 32   // RFC 7518 §3.2: HS256, the shortest
	maxHMACBytes   = 1024 // RFC 2104 hashes anything past the block size; the requirement's own example has 256
)

// Key verifies signatures: a JWK (RFC 7517) reduced to what a verifier needs. It is immutable.
type Key struct {
	ID         string           // kid, "" when the JWK has none
	Algorithms []string         // what this key may verify: the JWK's own alg alone, else all of its kind
	Public     crypto.PublicKey // *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey, or []byte of an oct key
	Thumbprint string           // RFC 7638, base64url SHA-256
}

// Allows reports whether the key may verify alg. The key binds the algorithm, never the token (RFC 8725 §3.1): a public key can
// therefore never verify an HMAC.
func (k Key) Allows(alg string) bool { return slices.Contains(k.Algorithms, alg) }

// Symmetric reports whether the key is a shared secret (kty oct).
func (k Key) Symmetric() bool {
	_, ok := k.Public.([]byte)
	return ok
}

// KeySetKind says where a JWK Set comes from, and so what may be in it.
type KeySetKind int

const (
	// Pasted is text that an operator wrote: a set or a single JWK, symmetric keys allowed, every fault an error that names its position.
	Pasted KeySetKind = iota
	// Fetched came from a URL: a set of public keys only; keys of unknown kind or for encryption are passed over (RFC 7517 §5).
	Fetched
	// Published is the set of an instance of ours, as its own verifiers read it: what Fetched takes, and more keys, since one
	// that signed stays published for a day however often somebody rotates by hand.
	Published
)

// ParseJWKSet reads a JWK Set (RFC 7517 §5), or a single JWK where it is Pasted. It refuses a set that is too large, empty, holds
// private members, a weak key, one kid twice, or symmetric beside public keys. Errors name the key's position and never echo a value.
func ParseJWKSet(text []byte, kind KeySetKind) ([]Key, error) {
	if len(text) > MaxKeySetBytes {
		return nil, errors.New("a JWK Set is at most 256 KiB")
	}
	members, err := Object(text)
	if err != nil {
		return nil, fmt.Errorf("a JWK Set is a JSON object {\"keys\":[…]}: %w", err)
	}
	list, err := keyTexts(text, members, kind)
	if err != nil {
		return nil, err
	}
	var keys []Key
	for i, one := range list {
		key, usable, err := parseJWK(one)
		if err != nil && (kind == Pasted || usable) {
			return nil, fmt.Errorf("keys[%d]: %w", i, err)
		}
		if err != nil {
			continue
		}
		if err := fits(key, keys, kind); err != nil {
			return nil, fmt.Errorf("keys[%d]: %w", i, err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("the JWK Set has no usable key")
	}
	return keys, nil
}

func keyTexts(text []byte, members map[string]json.RawMessage, kind KeySetKind) ([]json.RawMessage, error) {
	raw, isSet := members["keys"]
	if !isSet && kind == Pasted && members["kty"] != nil {
		return []json.RawMessage{text}, nil
	}
	var list []json.RawMessage
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
		return nil, errors.New("a JWK Set has the member keys, an array")
	}
	if len(list) == 0 {
		return nil, errors.New("the JWK Set is empty")
	}
	if limit := kind.limit(); len(list) > limit {
		return nil, fmt.Errorf("a JWK Set has at most %d keys", limit)
	}
	return list, nil
}

func (k KeySetKind) limit() int {
	if k == Published {
		return maxPublished
	}
	return MaxKeys
}

// fits refuses what makes a set ambiguous: one kid twice, and secrets beside public keys (the algorithm-confusion attack needs both).
func fits(key Key, before []Key, kind KeySetKind) error {
	if key.Symmetric() && kind != Pasted {
		return errors.New("a symmetric key (kty oct) must not be published at a URL")
	}
	for _, other := range before {
		if key.ID != "" && key.ID == other.ID {
			return errors.New("its kid stands twice in the set")
		}
		if key.Symmetric() != other.Symmetric() {
			return errors.New("symmetric and public keys stand in one set")
		}
	}
	return nil
}

// privateMembers are those of RFC 7518 §6.2.2 and §6.3.2; k belongs to oct and is judged there.
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth"}

// parseJWK reads one JWK. On an error, usable says whether the key would have been ours to use, so that a fault in it condemns a
// fetched set; otherwise it is a key of a kind that RFC 7517 §5 says to pass over.
func parseJWK(text []byte) (key Key, usable bool, err error) {
	m, err := Object(text)
	if err != nil {
		return Key{}, true, err
	}
	for _, name := range privateMembers {
		if _, there := m[name]; there {
			return Key{}, true, errors.New("this is a private key: paste its public half only, and replace the key, it has been seen")
		}
	}
	if err := forVerifying(m); err != nil {
		return Key{}, false, err
	}
	kty, _ := String(m["kty"])
	switch kty {
	case "RSA":
		key, err = rsaKey(m)
	case "EC":
		key, err = ecKey(m)
	case "OKP":
		key, err = okpKey(m)
	case "oct":
		key, err = octKey(m)
	default:
		return Key{}, false, errors.New("kty is not RSA, EC, OKP or oct")
	}
	if err != nil {
		return Key{}, !errors.Is(err, errUnknownCurve), err
	}
	return bind(key, m)
}

// forVerifying checks use and key_ops (RFC 7517 §4.2, §4.3).
func forVerifying(m map[string]json.RawMessage) error {
	if use, there := m["use"]; there {
		if s, _ := String(use); s != "sig" {
			return errors.New("its use is not sig")
		}
	}
	if ops, there := m["key_ops"]; there {
		list, ok := Strings(ops)
		if !ok || !slices.Contains(list, "verify") {
			return errors.New("its key_ops lack verify")
		}
	}
	return nil
}

// bind applies kid and alg: a JWK with alg verifies that one only.
func bind(key Key, m map[string]json.RawMessage) (Key, bool, error) {
	if kid, there := m["kid"]; there {
		s, ok := String(kid)
		if !ok {
			return Key{}, true, errors.New("kid is not a string")
		}
		key.ID = s
	}
	alg, there := m["alg"]
	if !there {
		return key, true, nil
	}
	s, _ := String(alg)
	if s == "Ed25519" { // the fully specified name of RFC 9864
		s = "EdDSA"
	}
	if !slices.Contains(Algorithms, s) {
		return Key{}, false, errors.New("alg is not one of the thirteen signature algorithms")
	}
	if !key.Allows(s) {
		return Key{}, true, errors.New("alg does not fit the key's type, curve or length")
	}
	key.Algorithms = []string{s}
	return key, true, nil
}

func rsaKey(m map[string]json.RawMessage) (Key, error) {
	n, err := number(m, "n")
	if err != nil {
		return Key{}, err
	}
	e, err := number(m, "e")
	if err != nil {
		return Key{}, err
	}
	if n.BitLen() < minRSABits || n.BitLen() > maxRSABits {
		return Key{}, fmt.Errorf("an RSA key has %d to %d bits", minRSABits, maxRSABits)
	}
	if !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 || e.Int64()%2 == 0 {
		return Key{}, errors.New("e is not an odd number from 3 to 2^31-1")
	}
	return Key{
		Algorithms: []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"},
		Public:     &rsa.PublicKey{N: n, E: int(e.Int64())},
		Thumbprint: thumbprint(fmt.Sprintf(`{"e":%s,"kty":"RSA","n":%s}`, plain(m["e"]), plain(m["n"]))),
	}, nil
}

var errUnknownCurve = errors.New("crv is not P-256, P-384, P-521 or Ed25519")

func ecKey(m map[string]json.RawMessage) (Key, error) {
	crv, _ := String(m["crv"])
	curve, alg := elliptic.Curve(nil), ""
	switch crv {
	case "P-256":
		curve, alg = elliptic.P256(), "ES256"
	case "P-384":
		curve, alg = elliptic.P384(), "ES384"
	case "P-521":
		curve, alg = elliptic.P521(), "ES512"
	default:
		return Key{}, errUnknownCurve
	}
	size := (curve.Params().BitSize + 7) / 8
	x, errX := octets(m, "x", size)
	y, errY := octets(m, "y", size)
	if err := errors.Join(errX, errY); err != nil {
		return Key{}, err
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, append(append([]byte{4}, x...), y...))
	if err != nil {
		return Key{}, errors.New("x and y are not a point of the curve")
	}
	return Key{
		Algorithms: []string{alg},
		Public:     public,
		Thumbprint: thumbprint(fmt.Sprintf(`{"crv":%q,"kty":"EC","x":%s,"y":%s}`, crv, plain(m["x"]), plain(m["y"]))),
	}, nil
}

func okpKey(m map[string]json.RawMessage) (Key, error) {
	if crv, _ := String(m["crv"]); crv != "Ed25519" {
		return Key{}, errUnknownCurve
	}
	x, err := octets(m, "x", ed25519.PublicKeySize)
	if err != nil {
		return Key{}, err
	}
	return Key{
		Algorithms: []string{"EdDSA"},
		Public:     ed25519.PublicKey(x),
		Thumbprint: thumbprint(fmt.Sprintf(`{"crv":"Ed25519","kty":"OKP","x":%s}`, plain(m["x"]))),
	}, nil
}

func octKey(m map[string]json.RawMessage) (Key, error) {
	k, err := octets(m, "k", 0)
	if err != nil {
		return Key{}, err
	}
	if len(k) < minHMACBytes || len(k) > maxHMACBytes {
		return Key{}, fmt.Errorf("an oct key has %d to %d bytes", minHMACBytes, maxHMACBytes)
	}
	algs := []string{"HS256"}
	if len(k) >= 48 {
		algs = append(algs, "HS384")
	}
	if len(k) >= 64 {
		algs = append(algs, "HS512")
	}
	canonical := fmt.Sprintf(`{"k":%s,"kty":"oct"}`, plain(m["k"]))
	return Key{Algorithms: algs, Public: k, Thumbprint: thumbprint(canonical)}, nil
}

func number(m map[string]json.RawMessage, name string) (*big.Int, error) {
	b, err := octets(m, name, 0)
	if err != nil {
		return nil, err
	}
	return new(big.Int).SetBytes(b), nil
}

// octets reads a base64url member of exactly size bytes, of any size where that is 0.
func octets(m map[string]json.RawMessage, name string, size int) ([]byte, error) {
	s, ok := String(m[name])
	if !ok {
		return nil, fmt.Errorf("the member %s is missing or not a string", name)
	}
	b, err := decode(s)
	if err != nil {
		return nil, fmt.Errorf("the member %s is %w", name, err)
	}
	if size > 0 && len(b) != size {
		return nil, fmt.Errorf("the member %s is not %d bytes", name, size)
	}
	return b, nil
}

// plain writes a base64url member as RFC 7638 §3.3 wants it, without the escapes that a sender may have used.
func plain(member json.RawMessage) string {
	s, _ := String(member)
	return `"` + s + `"`
}

func thumbprint(canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
