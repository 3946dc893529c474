package oauth

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
)

// The words of DPoP, RFC 9449.
const (
	SchemeDPoP = "DPoP"     // of Authorization and of challenges, and the token_type (§5, §7.1)
	TypeDPoP   = "dpop+jwt" // the typ of a proof (§4.2)

	HeaderDPoP      = "Dpop"       // where a proof stands, as net/http spells the name
	HeaderDPoPNonce = "Dpop-Nonce" // where a server gives its nonce (§8.1)

	InvalidDPoPProof = "invalid_dpop_proof" // §5
	UseDPoPNonce     = "use_dpop_nonce"     // §8
)

// DPoPAlgorithms are those that a proof may be signed with, as the metadata says it (dpop_signing_alg_values_supported,
// RFC 9449 §5.1) and the challenges of the gate: asymmetric ones only.
var DPoPAlgorithms = slices.Clone(SigningAlgorithms)

// Proof is a DPoP proof that passed its strict door. Nothing in it is verified: whether its own Key made the signature, and whether it
// is for this request, is still to be judged.
type Proof struct {
	Token       *Token // the proof as a JWT, for who judges signatures; it has no exp unless its maker gave it one
	Key         Key    // the public key in its header; Key.Thumbprint is the jkt that tokens are bound to (§6.1)
	Method      string // htm
	URL         string // htu, as sent
	AccessToken string // ath: base64url SHA-256 of the access token; "" without one
	Nonce       string // that a server gave; "" without one
}

// ParseProof is the strict door of proofs (RFC 9449 §4.2, §4.3 items 2 to 6): what Parse asks of a token, at most MaxTokenBytes too,
// but the header holds typ dpop+jwt and one public key that its alg fits, and the claims hold jti, htm, htu and iat. Parse itself lets
// no token with a key in its header pass. The error says what is wrong, for a log; it holds nothing of the proof.
func ParseProof(compact string) (*Proof, error) {
	parts, err := split(compact)
	if err != nil {
		return nil, err
	}
	header, jwk, err := parseHeader(parts.header, true)
	if err != nil {
		return nil, errors.New("header: " + err.Error())
	}
	claims, err := parseClaims(parts.claims)
	if err != nil {
		return nil, errors.New("claims: " + err.Error())
	}
	p := &Proof{Token: &Token{Compact: compact, Header: header, Claims: claims}}
	if p.Key, err = proofKey(header, jwk); err != nil {
		return nil, errors.New("header: " + err.Error())
	}
	if err := p.readClaims(); err != nil {
		return nil, errors.New("claims: " + err.Error())
	}
	return p, nil
}

// proofKey reads the key of a proof's header: public, and of the kind that the alg is for.
func proofKey(header Header, jwk json.RawMessage) (Key, error) {
	switch {
	case header.Type != TypeDPoP:
		return Key{}, errors.New("typ is not dpop+jwt")
	case jwk == nil:
		return Key{}, errors.New("no jwk")
	case !slices.Contains(DPoPAlgorithms, header.Algorithm):
		return Key{}, errors.New("alg is not an asymmetric one that is taken")
	}
	key, _, err := parseJWK(jwk)
	if err != nil {
		return Key{}, errors.New("jwk: " + err.Error())
	}
	if key.Symmetric() {
		return Key{}, errors.New("jwk is a shared secret")
	}
	if !key.Allows(header.Algorithm) {
		return Key{}, errors.New("alg does not fit the jwk")
	}
	return key, nil
}

func (p *Proof) readClaims() error {
	c := p.Token.Claims
	for name, to := range map[string]*string{"htm": &p.Method, "htu": &p.URL, "ath": &p.AccessToken, "nonce": &p.Nonce} {
		value, there := c.All[name]
		s, ok := String(value)
		if there && (!ok || s == "") {
			return errors.New("htm, htu, ath or nonce is not a string, or empty")
		}
		*to = s
	}
	if p.Method == "" || p.URL == "" || c.ID == "" || c.IssuedAt.IsZero() {
		return errors.New("jti, htm, htu or iat is missing")
	}
	return nil
}

// IsFor reports whether htu is one of the URLs, each that of the request in one spelling: without query and fragment, in the
// normalization of RFC 3986 §6.2.2 and §6.2.3 (RFC 9449 §4.3 item 9).
func (p *Proof) IsFor(urls ...string) bool {
	own, ok := normalURL(p.URL)
	return ok && slices.ContainsFunc(urls, func(u string) bool {
		other, ok := normalURL(u)
		return ok && own == other
	})
}

// normalURL writes an absolute URL in the one form in which two of them are compared.
func normalURL(text string) (string, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil {
		return "", false
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	switch scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	default:
		return "", false
	}
	path := normalPath(u.EscapedPath())
	return scheme + "://" + strings.TrimSuffix(host, ":") + path, true
}

// normalPath decodes what needs no encoding, writes the other escapes in capitals, and removes dot segments. An encoded separator
// stays one: it is another path.
func normalPath(escaped string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(escaped); i++ {
		c := escaped[i]
		if c != '%' { // url.Parse has seen to it that two digits follow a percent sign
			b.WriteByte(c)
			continue
		}
		c = unhex(escaped[i+1])<<4 | unhex(escaped[i+2])
		i += 2
		if urlSafe(c) || c == '.' || c == '~' {
			b.WriteByte(c)
			continue
		}
		b.WriteString("%" + hex[c>>4:c>>4+1] + hex[c&15:c&15+1])
	}
	return withoutDots(b.String())
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}

// withoutDots is remove_dot_segments of RFC 3986 §5.2.4; an empty path is the root's.
func withoutDots(path string) string {
	var kept []string
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, s := range segments {
		last := i == len(segments)-1
		switch s {
		case ".":
		case "..":
			kept = kept[:max(len(kept)-1, 0)]
		default:
			kept = append(kept, s)
			continue
		}
		if last { // the slash before it stays
			kept = append(kept, "")
		}
	}
	return "/" + strings.Join(kept, "/")
}
