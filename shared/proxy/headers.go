package proxy

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// hopByHop are the headers of one connection (RFC 9110 §7.6.1), to which the Connection header adds.
var hopByHop = namesOf("Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate",
	"Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings")

// ownUp are ours to say to an upstream, or the transport's; a client's own never pass. Who called is said by
// X-Consumer alone.
// X-Original-Url and X-Rewrite-Url replace the path in some frameworks, after it was judged.
var ownUp = namesOf("Expect", "Content-Length", "Host", "Forwarded", "X-Real-Ip", "X-Consumer",
	"X-Request-Id", "X-Original-Url", "X-Rewrite-Url")

// overriding replace the method in some frameworks, after it was judged. A plain backend's clients may need them.
var overriding = []string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override"}

// ownDown are ours to say to a client. Limits are the gateway's: a client could not tell whose an upstream's
// are.
var ownDown = namesOf("X-Request-Id", "Retry-After", "Retry-After-Ms", headerCache)

// telling are headers of an LLM or MCP upstream that speak of the operator's account, or to browsers in the
// upstream's name.
var telling = namesOf("Set-Cookie", "Server", "Strict-Transport-Security", "Alt-Svc", "Openai-Project")

func namesOf(names ...string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}

// tokensOf reads the tokens of a list header, in lower case; nil for none.
func tokensOf(values []string) map[string]bool {
	var tokens map[string]bool
	for _, value := range values {
		for token := range strings.SplitSeq(value, ",") {
			if tokens == nil {
				tokens = map[string]bool{}
			}
			tokens[strings.ToLower(strings.Trim(token, " \t"))] = true
		}
	}
	return tokens
}

// passedUp is what of a client's header goes to an upstream, before ours is set: no token of Connection can
// remove what is set later. A name with "_" is dropped, for servers behind us may read it as "-" and take
// X_Consumer for X-Consumer.
func passedUp(in http.Header) http.Header {
	ofConnection := tokensOf(in["Connection"])
	out := make(http.Header, len(in)+8)
	for name, values := range in {
		name = http.CanonicalHeaderKey(name)
		if hopByHop[name] || ownUp[name] || strings.ContainsRune(name, '_') || strings.HasPrefix(name, "X-Fc-") ||
			strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "X-Keyless-") ||
			len(ofConnection) > 0 && ofConnection[strings.ToLower(name)] {
			continue
		}
		out[name] = values
	}
	return out
}

// headerUp makes the header of the request to the upstream, with the provider's key in it. What is set later
// stands above what is set earlier: a claim cannot replace the consumer's name, and nothing the provider's
// key.
func (c *call) headerUp(l leg) http.Header {
	h := passedUp(c.in.Header)
	c.dropCredentials(h)
	c.sessionUp(h)
	for _, name := range c.known.Mapped {
		h.Del(name)
	}
	for _, header := range c.decision.Headers {
		if h.Del(header.Name); header.Value != "" {
			h.Set(header.Name, header.Value)
		}
	}
	if l.across {
		acrossHeader(h, l.upstream.Protocol)
	}
	for name, value := range l.upstream.Headers {
		h.Set(name, value)
	}
	if c.decision.Consumer != nil {
		h.Set("X-Consumer", c.decision.Consumer.Name)
	}
	h.Set("X-Request-Id", c.id)
	trace(h)
	if c.managed() {
		h.Set("Accept-Encoding", "identity") // what is metered and scrubbed must be readable
	}
	if _, sent := h["User-Agent"]; !sent {
		h["User-Agent"] = nil // or the transport would name itself
	}
	injectKey(h, l)
	return h
}

// validTrace is the form of a traceparent (W3C Trace Context §3.2.2).
var validTrace = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$`)

const (
	traceVersion = "00"
	noVersion    = "ff"
	zeroTrace    = "00000000000000000000000000000000"
	zeroSpan     = "0000000000000000"
	traceLength  = 55 // of version 00, which allows nothing after
)

// trace keeps a valid traceparent, with its tracestate, and begins a trace otherwise (§4.3).
func trace(h http.Header) {
	sent := h["Traceparent"]
	if len(sent) == 1 && keepsTrace(sent[0]) {
		return
	}
	var ids [24]byte
	_, _ = rand.Read(ids[:]) // never fails
	text := hex.EncodeToString(ids[:])
	h.Set("Traceparent", traceVersion+"-"+text[:32]+"-"+text[32:]+"-00")
	h.Del("Tracestate")
}

// keepsTrace reports whether a traceparent is valid, of this version or of one to come.
func keepsTrace(value string) bool {
	return validTrace.MatchString(value) && value[:2] != noVersion && value[3:35] != zeroTrace &&
		value[36:52] != zeroSpan && (value[:2] != traceVersion || len(value) == traceLength)
}

// answerHeader makes the header of the answer: what passes of the upstream's, and ours. X-Request-Id stands
// there already, by accesslog.
func (c *call) answerHeader(x *exchange, now time.Time) {
	ofConnection := tokensOf(x.Header["Connection"])
	out := c.w.Header()
	for name, values := range x.Header {
		lower := strings.ToLower(name)
		if hopByHop[name] || ownDown[name] || ofConnection[lower] || limitHeader(lower) || holds(values, x.key) ||
			c.managed() && (telling[name] || strings.Contains(lower, "-organization")) || c.ofCORS(lower) {
			continue
		}
		if name == "Vary" {
			values = slices.Concat(out[name], values)
		}
		out[name] = values
	}
	if c.rewrites(x) {
		out.Del("Content-Length")
	}
	if wait := retryAfter(x, now); wait != "" {
		out.Set("Retry-After", wait)
	}
	c.sessionDown(out)
	c.admission.SetHeaders(out)
}

func limitHeader(lower string) bool {
	return strings.Contains(lower, "ratelimit") || strings.Contains(lower, "rate-limit")
}

func holds(values []string, key string) bool {
	for _, value := range values {
		if key != "" && strings.Contains(value, key) {
			return true
		}
	}
	return false
}

// maxRetryAfter clamps an upstream's wish: a client that sleeps for a day is a fault nobody finds.
const maxRetryAfter = time.Hour

// retryAfter returns an upstream's Retry-After in seconds where the status gives it a meaning, "" for none.
// It comes as seconds or as a date (RFC 9110 §10.2.3).
func retryAfter(x *exchange, now time.Time) string {
	if x.StatusCode != http.StatusTooManyRequests && x.StatusCode != http.StatusServiceUnavailable {
		return ""
	}
	wait := waitOf(x.Header, now)
	if wait < 0 {
		return ""
	}
	return strconv.FormatInt(int64(wait/time.Second), 10)
}

// waitOf reads Retry-After in whole seconds, negative where there is none.
func waitOf(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	if isDigits(text) {
		return maxRetryAfter
	}
	date, err := http.ParseTime(text)
	if err != nil {
		return -1
	}
	return min(max(date.Sub(now).Truncate(time.Second), 0), maxRetryAfter)
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
