package oauth

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// MaxTokenBytes bounds a compact token: the header limits of the platforms in front of us end near there, and a longer one only burns CPU.
const MaxTokenBytes = 8 << 10

// maxNumericDate is 2^53: up to there every whole second survives a double, in any language that reads the token.
const maxNumericDate = 1 << 53

// Token is a JWT in compact form that passed the strict door. Nothing in it is verified: a claim is untrusted until the signature is.
type Token struct {
	Compact string // as sent; by the checks below its only spelling
	Header  Header
	Claims  Claims
}

// Header holds the three header members that we act on (RFC 7515 §4.1).
type Header struct {
	Algorithm string
	KeyID     string
	Type      string
}

// Claims holds the registered claims of RFC 7519 §4.1 that we act on, and every claim's text by its exact name.
// An absent time is the zero time; an absent string is empty.
type Claims struct {
	Issuer    string
	Subject   string
	Audience  []string
	ExpiresAt time.Time // always there: a token without exp does not pass
	NotBefore time.Time
	IssuedAt  time.Time
	ID        string
	All       map[string]json.RawMessage
}

// Parse is the strict door. It accepts only a compact JWS of at most MaxTokenBytes in canonical base64url, whose header names alg and
// at most kid, typ, cty "JWT" and certificate thumbprints, and whose claims are one JSON object without duplicate members, with a
// numeric exp, numeric times and string names. The error says what is wrong, for a log; it holds nothing of the token.
//
// jwx v2 alone accepts unknown crit, duplicate members, padding, a string exp and JSON serialization; hence a door before it.
// Source: RFC 7515 §3.1, §4, §4.1.11; RFC 7519 §4, §7.2; RFC 8725 §3.
func Parse(compact string) (*Token, error) {
	parts, err := split(compact)
	if err != nil {
		return nil, err
	}
	header, _, err := parseHeader(parts.header, false)
	if err != nil {
		return nil, errors.New("header: " + err.Error())
	}
	claims, err := parseClaims(parts.claims)
	if err != nil {
		return nil, errors.New("claims: " + err.Error())
	}
	if claims.ExpiresAt.IsZero() {
		return nil, errors.New("claims: no exp")
	}
	return &Token{Compact: compact, Header: header, Claims: claims}, nil
}

// parts are header and claims of a compact JWS, decoded.
type parts struct{ header, claims []byte }

// split takes a compact JWS of at most MaxTokenBytes in canonical base64url apart.
func split(compact string) (parts, error) {
	if len(compact) > MaxTokenBytes {
		return parts{}, errors.New("longer than 8 KiB")
	}
	if strings.Count(compact, ".") != 2 {
		return parts{}, errors.New("not three parts separated by dots")
	}
	first, rest, _ := strings.Cut(compact, ".")
	second, third, _ := strings.Cut(rest, ".")
	header, err := decode(first)
	if err != nil {
		return parts{}, errors.New("header: " + err.Error())
	}
	claims, err := decode(second)
	if err != nil {
		return parts{}, errors.New("claims: " + err.Error())
	}
	if _, err := decode(third); err != nil {
		return parts{}, errors.New("signature: " + err.Error())
	}
	return parts{header, claims}, nil
}

// strict refuses set bits after the last whole byte; with them one signature would have several spellings.
var strict = base64.RawURLEncoding.Strict()

func decode(part string) ([]byte, error) {
	if part == "" {
		return nil, errors.New("empty")
	}
	for i := range len(part) {
		// Go's decoder skips line breaks, so the alphabet is checked here.
		if !urlSafe(part[i]) {
			return nil, errors.New("not base64url without padding")
		}
	}
	b, err := strict.DecodeString(part)
	if err != nil {
		return nil, errors.New("not canonical base64url")
	}
	return b, nil
}

func urlSafe(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// parseHeader reads the members that we act on; a key may stand among them in a proof alone, and is returned as it was sent.
func parseHeader(text []byte, proof bool) (Header, json.RawMessage, error) {
	members, err := Object(text)
	if err != nil {
		return Header{}, nil, err
	}
	var h Header
	jwk, hasKey := members["jwk"]
	if hasKey && proof {
		delete(members, "jwk")
	}
	for name, value := range members {
		s, isString := String(value)
		switch name {
		case "alg":
			h.Algorithm = s
		case "kid":
			h.KeyID = s
		case "typ":
			h.Type = s
		case "x5t", "x5t#S256": // a hint of which certificate; keys come from configuration only
		case "cty":
			isString = isString && strings.EqualFold(s, "JWT")
		default: // jku, jwk, x5u, x5c, crit, b64, enc, zip and whatever is invented next
			return Header{}, nil, errors.New("a member that is not allowed")
		}
		if !isString {
			return Header{}, nil, errors.New("a member of the wrong kind")
		}
	}
	if h.Algorithm == "" {
		return Header{}, nil, errors.New("no alg")
	}
	return h, jwk, nil
}

func parseClaims(text []byte) (Claims, error) {
	all, err := Object(text)
	if err != nil {
		return Claims{}, err
	}
	c := Claims{All: all}
	good := true
	for name, to := range map[string]*string{"iss": &c.Issuer, "sub": &c.Subject, "jti": &c.ID} {
		if value, there := all[name]; there {
			s, ok := String(value)
			*to, good = s, good && ok
		}
	}
	if value, there := all["aud"]; there {
		list, ok := Strings(value)
		c.Audience, good = list, good && ok
	}
	if !good {
		return Claims{}, errors.New("iss, sub, jti or aud is not a string")
	}
	for name, to := range map[string]*time.Time{"exp": &c.ExpiresAt, "nbf": &c.NotBefore, "iat": &c.IssuedAt} {
		if value, there := all[name]; there {
			t, ok := numericDate(value)
			*to, good = t, good && ok
		}
	}
	if !good {
		return Claims{}, errors.New("exp, nbf or iat is not a number of seconds")
	}
	return c, nil
}

// numericDate reads RFC 7519 §2 NumericDate: a JSON number, possibly with a fraction, from 0 to 2^53 seconds.
func numericDate(text json.RawMessage) (time.Time, bool) {
	if len(text) == 0 || text[0] < '0' || text[0] > '9' {
		return time.Time{}, false
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil || f < 0 || f > maxNumericDate {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(f)
	return time.Unix(int64(whole), int64(fraction*1e9)), true
}

// Values returns what a claim offers for matching by name: its text if it is a string, for scope its space-separated members
// (RFC 8693 §4.2). Any other kind of value offers nothing: a number is refused, never converted.
func (c Claims) Values(claim string) []string {
	s, ok := String(c.All[claim])
	if !ok {
		return nil
	}
	if claim == "scope" {
		return strings.Fields(s)
	}
	return []string{s}
}
