package proxy

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// drawer is where the answer to one request lies: its name in the store, and the key that seals what is in it. Both are made of the
// registry's pepper, so that neither the request nor that two are equal can be read off the store.
type drawer struct {
	name string
	key  []byte
}

// The purposes of the pepper here, with a version each: what is sealed under another form is not found.
const (
	purposeName = "keyless cached answer v1"
	purposeSeal = "keyless cached answer seal v1"
)

// drawer is that of everything which may make the answer another: who asks, unless the API shares, what is asked, byte for byte, and
// where it would go. A header that is not known to make no difference does make one.
func (c *call) drawer() drawer {
	api := c.route.API
	digest := hmac.New(sha256.New, c.known.Pepper)
	part(digest, purposeName, api.Name, c.asker(), c.in.Method, c.route.Path, c.queryUp(), acceptClass(c.in.Header),
		strconv.Itoa(int(c.dialect)), strconv.FormatInt(c.bound, 10))
	targets, _ := json.Marshal(api.Upstreams) // of strings and numbers
	part(digest, string(targets))
	h := c.different()
	part(digest, strconv.Itoa(len(h)))
	for _, name := range slices.Sorted(maps.Keys(h)) {
		part(digest, name, strconv.Itoa(len(h[name])))
		part(digest, h[name]...)
	}
	digest.Write(binary.BigEndian.AppendUint64(nil, uint64(len(c.body))))
	digest.Write(c.body)
	sum := digest.Sum(nil)
	key := hmac.New(sha256.New, c.known.Pepper)
	part(key, purposeSeal, string(sum))
	return drawer{base64.RawURLEncoding.EncodeToString(sum), key.Sum(nil)}
}

// part writes texts, each after its length, so that no two lists give the same bytes.
func part(to hash.Hash, texts ...string) {
	for _, text := range texts {
		to.Write(binary.BigEndian.AppendUint64(nil, uint64(len(text))))
		to.Write([]byte(text))
	}
}

// asker is whose answers these are: the consumer's, or of whom global authentication knows; one for all of an API that shares, and for
// all whom nobody knows.
func (c *call) asker() string {
	switch {
	case c.route.API.Cache.Shared:
		return "all"
	case c.decision.Consumer != nil:
		return "consumer:" + c.decision.Consumer.Name
	}
	return "subject:" + c.decision.Subject
}

// indifferent are headers that tell of the client, the connection or the trace, and not of what is asked.
var indifferent = namesOf("Accept", "Accept-Encoding", "User-Agent", "Cache-Control", "Pragma", "Traceparent", "Tracestate", "Baggage",
	"X-Amzn-Trace-Id", "X-Cloud-Trace-Context", "Sentry-Trace", "X-Client-Request-Id", "X-Correlation-Id", "Via", "Cdn-Loop",
	"Origin", "Referer", "Dnt", "Priority", "Date", "Content-Md5", "Content-Digest", "Digest", "Dpop")

// different are the headers that reach the upstream and may make the answer another; those of claims belong to who asks.
func (c *call) different() http.Header {
	h := passedUp(c.in.Header)
	c.dropCredentials(h)
	for name := range h {
		if indifferent[name] || strings.HasPrefix(name, "X-Stainless-") || strings.HasPrefix(name, "Sec-") ||
			strings.HasPrefix(name, "X-B3-") || slices.Contains(c.known.Mapped, name) {
			delete(h, name)
		}
	}
	if !c.route.API.Cache.Shared {
		for _, claim := range c.decision.Headers {
			h["claim "+claim.Name] = []string{claim.Value}
		}
	}
	return h
}

// acceptClass makes no difference between clients that take anything and those that take JSON; another wish stands as it is.
func acceptClass(h http.Header) string {
	accept := strings.ToLower(strings.Join(h["Accept"], ","))
	switch {
	case strings.Contains(accept, "text/event-stream"):
		return "events"
	case accept == "" || strings.Contains(accept, "*/*") || strings.Contains(accept, "application/json"):
		return ""
	}
	return accept
}

// answer is one that is kept.
type answer struct {
	At     int64             `json:"at"` // Unix milliseconds
	Header map[string]string `json:"header"`

	body []byte
}

// keptHeaders are what of an answer's head is kept; all else is of the call that it was made for.
var keptHeaders = []string{"Content-Type", "Content-Language", "Content-Disposition"}

func newAnswer(now time.Time, h http.Header, body []byte) answer {
	a := answer{At: now.UnixMilli(), Header: map[string]string{}, body: body}
	for _, name := range keptHeaders {
		if value := h.Get(name); value != "" {
			a.Header[name] = value
		}
	}
	return a
}

// Why a drawer's content is no answer.
var errNotSealed = errors.New("the cached answer was changed, or was not sealed for this request")

// seal encrypts an answer (AES-256-GCM, random nonce; each drawer has a key of its own).
func (d drawer) seal(a answer) []byte {
	head, _ := json.Marshal(a) // of strings and a number; it has no line break
	clear := slices.Concat(head, []byte("\n"), a.body)
	return d.cipher().Seal(nil, nil, clear, []byte(d.name))
}

// open decrypts it. The error says nothing of the content.
func (d drawer) open(sealed []byte) (answer, error) {
	clear, err := d.cipher().Open(nil, nil, sealed, []byte(d.name))
	if err != nil {
		return answer{}, errNotSealed
	}
	var a answer
	for i, c := range clear {
		if c != '\n' {
			continue
		}
		if json.Unmarshal(clear[:i], &a) != nil {
			break
		}
		a.body = clear[i+1:]
		return a, nil
	}
	return answer{}, errNotSealed
}

func (d drawer) cipher() cipher.AEAD {
	block, err := aes.NewCipher(d.key)
	if err != nil {
		panic("proxy: a drawer's key is not 32 bytes") // drawer made it so
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("proxy: AES has another block size") // it has not
	}
	return aead
}
