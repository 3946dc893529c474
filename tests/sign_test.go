package tests

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash"
	"maps"
	"math/big"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Signers of tokens and requests, written on the standard library alone: what the gateway verifies must not be what made it.

// sign makes the signature of a signing input.
type sign func(input []byte) []byte

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// compact is a JWS of header and payload texts.
func compact(header, payload string, s sign) string {
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	return input + "." + b64(s([]byte(input)))
}

// claims are a token's, as JSON; an entry that is nil is left out.
type claims map[string]any

func (c claims) with(more claims) claims {
	all := maps.Clone(c)
	maps.Copy(all, more)
	return all
}

func (c claims) json() string {
	there := claims{}
	for name, value := range c {
		if value != nil {
			there[name] = value
		}
	}
	text, _ := json.Marshal(there)
	return string(text)
}

// in is a moment from now in seconds, as a token has it.
func in(d time.Duration) int64 { return time.Now().Add(d).Unix() }

func hs(size func() hash.Hash, key []byte) sign {
	return func(input []byte) []byte {
		mac := hmac.New(size, key)
		mac.Write(input)
		return mac.Sum(nil)
	}
}

func hs256(key []byte) sign { return hs(sha256.New, key) }

func digest(h crypto.Hash, input []byte) []byte {
	sum := h.New()
	sum.Write(input)
	return sum.Sum(nil)
}

// es signs as JWS does: r and s in the curve's width (RFC 7518 §3.4).
func es(h crypto.Hash, key *ecdsa.PrivateKey) sign {
	return func(input []byte) []byte {
		r, s, _ := ecdsa.Sign(rand.Reader, key, digest(h, input))
		size := (key.Curve.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
}

func rs(h crypto.Hash, key *rsa.PrivateKey) sign {
	return func(input []byte) []byte {
		signature, _ := rsa.SignPKCS1v15(rand.Reader, key, h, digest(h, input))
		return signature
	}
}

func ps(h crypto.Hash, salt int, key *rsa.PrivateKey) sign {
	return func(input []byte) []byte {
		signature, _ := rsa.SignPSS(rand.Reader, key, h, digest(h, input), &rsa.PSSOptions{SaltLength: salt})
		return signature
	}
}

func ed(key ed25519.PrivateKey) sign {
	return func(input []byte) []byte { return ed25519.Sign(key, input) }
}

func octJWK(key []byte, kid string) string {
	return fmt.Sprintf(`{"kty":"oct","kid":%q,"k":%q}`, kid, b64(key))
}

func ecJWK(key *ecdsa.PublicKey, kid string) string {
	size := (key.Curve.Params().BitSize + 7) / 8
	return fmt.Sprintf(`{"kty":"EC","kid":%q,"crv":%q,"x":%q,"y":%q}`, kid, key.Curve.Params().Name,
		b64(key.X.FillBytes(make([]byte, size))), b64(key.Y.FillBytes(make([]byte, size))))
}

func rsaJWK(key *rsa.PublicKey, kid string) string {
	return fmt.Sprintf(`{"kty":"RSA","kid":%q,"n":%q,"e":%q}`, kid, b64(key.N.Bytes()), b64(big.NewInt(int64(key.E)).Bytes()))
}

func edJWK(key ed25519.PublicKey, kid string) string {
	return fmt.Sprintf(`{"kty":"OKP","kid":%q,"crv":"Ed25519","x":%q}`, kid, b64(key))
}

func jwkSet(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

// hand is a set of private keys; an honest one and a thief's have the same kinds.
type hand struct {
	oct   []byte // long enough for HS512
	ec    *ecdsa.PrivateKey
	rsa   *rsa.PrivateKey
	ed    ed25519.PrivateKey
	other *ecdsa.PrivateKey
}

var hands struct {
	sync.Once
	honest, thief hand
	err           error
}

// keysOf makes the keys of the tests once; RSA takes a while.
func keysOf(t *testing.T) (honest, thief hand) {
	t.Helper()
	hands.Do(func() {
		for _, h := range []*hand{&hands.honest, &hands.thief} {
			h.oct = make([]byte, 64)
			_, _ = rand.Read(h.oct)
			h.ec, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			h.other, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			_, h.ed, _ = ed25519.GenerateKey(rand.Reader)
			if h.rsa, hands.err = rsa.GenerateKey(rand.Reader, 2048); hands.err != nil {
				return
			}
		}
	})
	if hands.err != nil {
		t.Fatal(hands.err)
	}
	return hands.honest, hands.thief
}

// call is a request as its sender means it.
type call struct {
	method  string
	target  string // path and query
	headers []string
	body    string
}

func (c call) path() string {
	path, _, _ := strings.Cut(c.target, "?")
	return path
}

// values are those that the call has under a header name, in any letter case.
func (c call) values(name string) []string {
	var list []string
	for _, line := range c.headers {
		if n, value, _ := strings.Cut(line, ": "); strings.EqualFold(n, name) {
			list = append(list, value)
		}
	}
	return list
}

func (c call) with(lines ...string) call {
	c.headers = append(slices.Clone(c.headers), lines...)
	return c
}

// unlisted are headers with places of their own in the x-ca scheme's string to sign.
var unlisted = []string{"Accept", "Content-MD5", "Content-Type", "Date"}

// stringToSign is the x-ca scheme's (Higress plugin hmac-auth): method, four headers, the listed headers by name, path and parameters.
func (c call) stringToSign(listed []string) string {
	text := c.method + "\n"
	for _, name := range unlisted {
		text += strings.Join(c.values(name), ",") + "\n"
	}
	names := slices.Clone(listed)
	slices.Sort(names)
	for _, name := range names {
		text += name + ":" + strings.Join(c.values(name), ",") + "\n"
	}
	path, query, _ := strings.Cut(c.target, "?")
	parameters, _ := url.ParseQuery(query)
	if slices.Contains(c.values("Content-Type"), "application/x-www-form-urlencoded") {
		form, _ := url.ParseQuery(c.body)
		for name, values := range form {
			if _, there := parameters[name]; !there {
				parameters[name] = values
			}
		}
	}
	var pairs []string
	for name, values := range parameters {
		pairs = append(pairs, name+"="+values[0])
	}
	slices.Sort(pairs)
	if len(pairs) > 0 {
		path += "?" + strings.Join(pairs, "&")
	}
	return text + path
}

// xca signs a call by the x-ca scheme with a fresh timestamp and nonce.
func xca(c call, accessKey, secret string) call {
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce)
	return xcaAt(c, accessKey, secret, strconv.FormatInt(time.Now().UnixMilli(), 10), b64(nonce), sha256.New)
}

func xcaAt(c call, accessKey, secret, timestamp, nonce string, size func() hash.Hash) call {
	c = c.with("X-Ca-Key: "+accessKey, "X-Ca-Timestamp: "+timestamp, "X-Ca-Nonce: "+nonce)
	if size().Size() == sha1.Size {
		c = c.with("X-Ca-Signature-Method: HmacSHA1")
	}
	listed := []string{"x-ca-key", "x-ca-nonce", "x-ca-timestamp"}
	mac := hs(size, []byte(secret))([]byte(c.stringToSign(listed)))
	return c.with("X-Ca-Signature-Headers: "+strings.Join(listed, ","), "X-Ca-Signature: "+base64.StdEncoding.EncodeToString(mac))
}

func contentMD5(body string) string {
	sum := md5.Sum([]byte(body))
	return "Content-MD5: " + base64.StdEncoding.EncodeToString(sum[:])
}

// signature signs a call in the other dialect, Authorization: Signature, over the listed headers.
func signature(c call, keyID, secret, listed string) call {
	text := keyID + "\n"
	for _, name := range strings.Fields(listed) {
		if name == "@request-target" {
			text += c.method + " " + c.target + "\n"
		} else if values := c.values(name); len(values) > 0 {
			text += name + ": " + values[0] + "\n"
		}
	}
	mac := hs(sha256.New, []byte(secret))([]byte(text))
	return c.with(fmt.Sprintf(`Authorization: Signature keyId=%q,algorithm="hmac-sha256",headers=%q,signature=%q`,
		keyID, listed, base64.StdEncoding.EncodeToString(mac)))
}

func date(at time.Time) string { return "Date: " + at.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT") }

func sha256Digest(body string) string {
	sum := sha256.Sum256([]byte(body))
	return "Digest: SHA-256=" + base64.StdEncoding.EncodeToString(sum[:])
}

// The x-ca signer reproduces the published vectors, so that what it signs is what other clients sign.
func TestSignerVectors(t *testing.T) {
	t.Parallel()
	headers := []string{"Accept: application/json", "Content-Type: application/json"}
	get := call{"GET", "/Third/Tools/checkSign", headers, ""}
	got := xcaAt(get, "appKey", "appSecret", "1646365291734", "787dd0c2-7bd8-41cd-9c19-62c05ea524a2", sha256.New)
	if s := got.values("X-Ca-Signature")[0]; s != "EdJSFAMOWyXZOpXhevZnjuS0ZafnwnCqaSk5hz+tXo8=" {
		t.Errorf("query: %s", s)
	}
	form := call{"POST", "/Third/User/getNyAccessToken", []string{"Accept: application/json",
		"Content-Type: application/x-www-form-urlencoded"}, "nickname=nickname&room_id=6893&uuid=uuid&photo=photo"}
	got = xcaAt(form, "appKey", "appSecret", "1646646682418", "ca5a6753-b76c-4fff-a9d9-e5bb643e8cdf", sha256.New)
	if s := got.values("X-Ca-Signature")[0]; s != "gmf9xq0hc95Hmt+7G+OocS009ka3v1v0rvfshKzYc3w=" {
		t.Errorf("form: %s", s)
	}
	foo := call{"POST", "/foo", []string{"date: Fri, 12 Sep 2025 23:53:18 GMT"}, ""}
	got = signature(foo, "consumer1-key", "2bda943c-ba2b-11ec-ba07-00163e1250b5", "@request-target date")
	if s := got.values("Authorization")[0]; !strings.Contains(s, `signature="746z4VISwZehUwZdzTV486ZMMbBtakmMHKPfs/A4RdU="`) {
		t.Errorf("Signature: %s", s)
	}
}

// flipLast changes the signature's last byte.
func flipLast(token string) string {
	at := strings.LastIndexByte(token, '.')
	signature, _ := base64.RawURLEncoding.DecodeString(token[at+1:])
	signature[len(signature)-1] ^= 1
	return token[:at+1] + b64(signature)
}

func edPublic(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }
