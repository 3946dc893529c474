package auth

import (
	"context"
	"crypto/hmac"
	"crypto/md5"  //nolint:gosec // Content-MD5 (RFC 1864) is what the scheme signs; it guards against damage, the HMAC against change
	"crypto/sha1" //nolint:gosec // only for keys that allow it
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"keyless/shared/registry"
)

// The x-ca scheme of Alibaba's gateways: an access key names the consumer, its secret signs method, some headers, path, query and
// form. Source: the Higress plugin hmac-auth, whose string to sign is kept byte for byte; what it leaves open is closed here: the
// time is always checked and must be signed, a nonce is remembered, nothing is deferred.
const (
	caKey              = "X-Ca-Key"
	caSignature        = "X-Ca-Signature"
	caSignatureMethod  = "X-Ca-Signature-Method"
	caSignatureHeaders = "X-Ca-Signature-Headers"
	caTimestamp        = "X-Ca-Timestamp"
	caNonce            = "X-Ca-Nonce"
)

// maxSignedHeaders bounds the list of signed headers.
const maxSignedHeaders = 32

// single are headers that may stand once: what is signed is the joined value, and what is acted on is one. Two of them would let a
// signed value be split into others.
var single = []string{"Date", "Digest", "Content-Md5", "Content-Type", caTimestamp, caNonce, caSignatureMethod}

// Nonces remembers what may be used once. First reports whether the key is new, and remembers it for the time. Its error means that
// nobody knows, which is no permission.
type Nonces interface {
	First(ctx context.Context, key string, remember time.Duration) (bool, error)
}

// judgeHMAC decides on a signed request. Unknown keys and bad signatures are told apart, as the scheme does.
func (g *Gate) judgeHMAC(ctx context.Context, v registry.View, r *http.Request, d *Decision) error {
	d.Sent = true
	sent, problem := parseSigned(r)
	if problem != "" {
		d.step("signature", "the request's own words for it cannot be read")
		d.Certain = true
		d.refuse(problem)
		return nil
	}
	consumers, err := v.Consumers(ctx, registry.IndexHMAC(sent.accessKey))
	if err != nil {
		return err
	}
	c, key := accessKeyOf(consumers, sent.accessKey)
	if c == nil {
		d.step("consumer", "nobody enabled has this access key")
		d.refuse(HMACInvalidKey)
		return nil
	}
	d.step("consumer", "access key of "+c.Name)
	reason, err := g.checkSigned(ctx, v, r, sent, c, key, d)
	if err != nil || reason != "" {
		d.refuse(reason)
		return err
	}
	d.step("signature", "verifies")
	if c.Authorized(d.API.Name, g.now()) == nil {
		d.Consumer = c
		d.step("authorization", "consumer "+c.Name+" has none on API "+d.API.Name)
		d.refuse(HMACUnauthorized)
		return nil
	}
	d.allow(c, g.now())
	return nil
}

func accessKeyOf(consumers []*registry.Consumer, accessKey string) (*registry.Consumer, registry.HMACKey) {
	for _, c := range consumers {
		if c.HMAC == nil {
			continue
		}
		for _, key := range c.HMAC.Keys {
			if key.AccessKey == accessKey && key.Status.On() && key.SecretKey != "" {
				return c, key
			}
		}
	}
	return nil, registry.HMACKey{}
}

// signedRequest is what a request says of its signature, in either dialect.
type signedRequest struct {
	accessKey string
	signature []byte
	algorithm func() hash.Hash
	sha1      bool
	headers   []string // in the order and case as sent
	apisix    bool
}

// checkSigned goes through time, signature, body and nonce, in this order: what is cheap first, what changes something last.
func (g *Gate) checkSigned(
	ctx context.Context, v registry.View, r *http.Request, sent signedRequest,
	c *registry.Consumer, key registry.HMACKey, d *Decision,
) (Reason, error) {
	if sent.sha1 && !key.AllowSHA1 {
		d.step("signature", "SHA-1, which the key does not allow")
		return HMACInvalidSignature, nil
	}
	window := c.HMAC.Window.Or(registry.DefaultHMACWindow)
	if !sent.fresh(r, g.now(), window) {
		d.step("time", "no signed date or timestamp within the window")
		return HMACInvalidDate, nil
	}
	signedForm, reason := g.formOf(r, sent, d)
	if reason != "" {
		return reason, nil
	}
	text := sent.stringToSign(r, signedForm)
	mac := hmac.New(sent.algorithm, []byte(key.SecretKey.Reveal()))
	mac.Write([]byte(text))
	if !hmac.Equal(mac.Sum(nil), sent.signature) {
		d.step("signature", "does not fit the request")
		d.StringToSign = text
		return HMACInvalidSignature, nil
	}
	if reason := g.checkDigest(r, sent, d); reason != "" {
		return reason, nil
	}
	return g.useNonce(ctx, v, r, sent, window, d)
}

// useNonce remembers a signed nonce for as long as the request stays fresh: once for a request, however often it is decided, and at the
// door that answers for the call. An authorizer leaves a nonce to the proxy where the call goes on to it, or every call would be a
// replay there.
func (g *Gate) useNonce(
	ctx context.Context, v registry.View, r *http.Request, sent signedRequest, window time.Duration, d *Decision,
) (Reason, error) {
	nonce := r.Header.Get(caNonce)
	if nonce == "" || sent.apisix {
		return "", nil
	}
	if !sent.signs(caNonce) || len(nonce) > 128 {
		d.step("nonce", "is not signed")
		return HMACInvalidSignature, nil
	}
	if g.bodyless && !d.API.AuthorizerOnly() {
		d.step("nonce", "is used up by the proxy, to which the call goes on")
		return "", nil
	}
	if g.nonces == nil {
		return "", errors.New("remember a nonce: no memory for them")
	}
	used := registry.NonceKey(sent.accessKey, nonce)
	first, err := v.Once(used, func() (bool, error) { return g.nonces.First(ctx, used, 2*window) })
	if err != nil {
		return "", err
	}
	if !first {
		d.step("nonce", "was used before")
		return HMACReplayedNonce, nil
	}
	return "", nil
}

// parseSigned reads the x-ca headers, or Authorization: Signature. Which one was found is clear: the caller refuses both together.
func parseSigned(r *http.Request) (signedRequest, Reason) {
	for _, name := range single {
		if len(r.Header[name]) > 1 {
			return signedRequest{}, HMACInvalidSignature
		}
	}
	if params := authorizationSignatures(r); len(params) > 0 {
		return parseAPISIX(params[0])
	}
	one := func(name string) string {
		if values := r.Header[name]; len(values) == 1 {
			return values[0]
		}
		return ""
	}
	sent := signedRequest{accessKey: one(caKey), algorithm: sha256.New}
	if sent.accessKey == "" {
		return sent, HMACInvalidKey
	}
	if one(caSignature) == "" {
		return sent, HMACEmptySignature
	}
	var err error
	if sent.signature, err = base64.StdEncoding.DecodeString(one(caSignature)); err != nil {
		return sent, HMACInvalidSignature
	}
	switch r.Header.Get(caSignatureMethod) {
	case "", "HmacSHA256":
	case "HmacSHA1":
		sent.algorithm, sent.sha1 = sha1.New, true
	default:
		return sent, HMACInvalidSignature
	}
	if list := strings.Join(r.Header[caSignatureHeaders], ","); list != "" {
		sent.headers = strings.Split(list, ",")
	}
	if len(sent.headers) > maxSignedHeaders {
		return sent, HMACInvalidSignature
	}
	return sent, ""
}

// signs reports whether a header is under the signature.
func (s signedRequest) signs(name string) bool {
	return slices.ContainsFunc(s.headers, func(listed string) bool { return strings.EqualFold(listed, name) })
}

// fresh holds the request to a time: Date, which x-ca always signs, else the timestamp, which must be listed as signed.
func (s signedRequest) fresh(r *http.Request, now time.Time, window time.Duration) bool {
	var at time.Time
	switch date, stamp := r.Header.Get("Date"), r.Header.Get(caTimestamp); {
	case date != "":
		parsed, err := http.ParseTime(strings.Replace(date, "GMT+00:00", "GMT", 1))
		if err != nil || s.apisix && !s.signs("Date") {
			return false
		}
		at = parsed
	case stamp != "" && !s.apisix:
		n, err := strconv.ParseInt(stamp, 10, 64)
		if err != nil || n < 0 || !s.signs(caTimestamp) {
			return false
		}
		at = time.Unix(n, 0)
		if len(stamp) >= 13 {
			at = time.UnixMilli(n)
		}
	default:
		return false
	}
	return now.Sub(at).Abs() <= window
}

func form(r *http.Request) bool {
	return strings.Contains(strings.ToLower(r.Header.Get("Content-Type")), "application/x-www-form-urlencoded")
}

// stringToSign is the text that client and server must agree on.
func (s signedRequest) stringToSign(r *http.Request, body []byte) string {
	if s.apisix {
		return s.apisixString(r)
	}
	var b strings.Builder
	b.WriteString(r.Method + "\n")
	for _, name := range unlisted[:4] {
		b.WriteString(fieldValue(r, name) + "\n")
	}
	var names []string
	for _, name := range s.headers {
		if name = strings.ToLower(name); !slices.Contains(unlisted, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		b.WriteString(name + ":" + fieldValue(r, name) + "\n")
	}
	b.WriteString(r.URL.EscapedPath())
	if parameters := signedParameters(r, body); parameters != "" {
		b.WriteString("?" + parameters)
	}
	return b.String()
}

// unlisted are the headers that have places of their own in the string, in order, and those of the signature itself.
var unlisted = []string{"accept", "content-md5", "content-type", "date", "x-ca-signature", "x-ca-signature-headers"}

func fieldValue(r *http.Request, name string) string {
	if strings.EqualFold(name, "host") { // net/http keeps it apart
		return r.Host
	}
	return strings.Join(r.Header[http.CanonicalHeaderKey(name)], ",")
}

// signedParameters are query and form, decoded, sorted by name; the first of a name counts, the query's before the form's.
func signedParameters(r *http.Request, body []byte) string {
	values := map[string]string{}
	add := func(raw string) {
		for pair := range strings.SplitSeq(raw, "&") {
			if pair == "" {
				continue
			}
			name, value, _ := strings.Cut(pair, "=")
			name, value = percentDecoded(name), percentDecoded(value)
			if _, there := values[name]; !there {
				values[name] = value
			}
		}
	}
	add(r.URL.RawQuery)
	if form(r) {
		add(string(body))
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		names[i] = name + "=" + values[name]
	}
	return strings.Join(names, "&")
}

// percentDecoded decodes %XX and nothing else, as the scheme does; text that does not decode stands for itself.
func percentDecoded(s string) string {
	if decoded, err := url.PathUnescape(s); err == nil {
		return decoded
	}
	return s
}

// digestFits compares the body with Content-MD5, or with Digest in the other dialect, where there is one.
func (s signedRequest) digestFits(r *http.Request, body []byte) bool {
	if s.apisix {
		return s.apisixDigestFits(r, body)
	}
	sent := r.Header.Get("Content-Md5")
	if sent == "" {
		return true
	}
	sum := md5.Sum(body) //nolint:gosec // see the import
	return hmac.Equal([]byte(base64.StdEncoding.EncodeToString(sum[:])), []byte(sent))
}
