package door

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// RequestIDHeader carries our request id from the door inwards. It is always set by the door: a client's
// own never enters.
const RequestIDHeader = "X-Request-Id"

// requestIDMax bounds a platform's request id; it becomes part of log lines and Redis keys. Every platform
// of today stays under 64.
const requestIDMax = 128

// ErrMalformed says that the event's method, path or query is no HTTP request target. The client sent it
// so: the door answers 400.
var ErrMalformed = errors.New("malformed request target")

// Facts are what a function event tells about a request.
type Facts struct {
	Method    string
	Target    string      // path and query as on the wire, percent-encoded
	Host      string      // the platform's domain name, never a header that the client chose
	RemoteIP  string      // the client's address as the platform saw it, with or without a port
	RequestID string      // the platform's id of this invocation
	Header    http.Header // canonical names
	Body      []byte      // decoded

	Certificate string // of the client, in PEM, where the platform ended its mutual TLS
}

// NewRequest makes the request that net/http's server would have made of the same bytes. It gives
// ErrMalformed where that server would answer 400.
func NewRequest(ctx context.Context, f Facts) (*http.Request, error) {
	if !isToken(f.Method) || !strings.HasPrefix(f.Target, "/") {
		return nil, ErrMalformed
	}
	target, err := url.ParseRequestURI(f.Target)
	if err != nil {
		return nil, ErrMalformed
	}
	if f.Header == nil {
		f.Header = http.Header{}
	}
	// A proxy of net/http panics with ErrAbortHandler only where it believes to run under a server.
	ctx = context.WithValue(ctx, http.ServerContextKey, &http.Server{})
	r := (&http.Request{
		Method: f.Method, URL: target, RequestURI: f.Target, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: f.Header, Host: f.Host, RemoteAddr: f.RemoteIP,
		Body: http.NoBody, ContentLength: int64(len(f.Body)),
	}).WithContext(ctx)
	// The server of net/http keeps these in fields of the request; an event's body has no framing at all.
	for _, name := range []string{"Host", "Transfer-Encoding", "Trailer"} {
		delete(r.Header, name)
	}
	switch {
	case len(f.Body) > 0:
		r.Body = io.NopCloser(bytes.NewReader(f.Body))
		r.Header.Set("Content-Length", strconv.Itoa(len(f.Body)))
	case r.Header.Get("Content-Length") != "":
		r.Header.Set("Content-Length", "0")
	}
	r.TLS = handshake(f.Certificate)
	Enter(r, f.RequestID)
	return r, nil
}

// handshake is what the platform's mutual TLS tells: the client's certificate, whose key it has proven to hold. nil
// where there is none; nothing else of the connection is known.
func handshake(certificate string) *tls.ConnectionState {
	block, _ := pem.Decode([]byte(certificate))
	if block == nil {
		return nil
	}
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	return &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{parsed}}
}

// Enter cleans a request at the door: header names with "_" are dropped (servers behind us may read them as
// "-"), and so are x-fc-* (Function Compute's own, account credentials among them); X-Request-Id becomes
// the platform's id, or 128 random bits where that is absent or not ^[A-Za-z0-9._-]{1,128}$; RemoteAddr
// becomes host:port. Hop-by-hop headers stay: they are the proxy's matter.
func Enter(r *http.Request, id string) {
	for name := range r.Header {
		if strings.Contains(name, "_") || strings.HasPrefix(strings.ToLower(name), "x-fc-") {
			delete(r.Header, name)
		}
	}
	if !validID(id) {
		id = randomID()
	}
	r.Header[RequestIDHeader] = []string{id}
	r.RemoteAddr = hostPort(r.RemoteAddr)
}

// Header joins an event's two header maps into one: where multi has a name, single's copy of it, which is
// the last value only, is left out. Names that differ in case become one, in byte order of their spelling.
// What could not stand in an HTTP message is dropped.
func Header(single map[string]string, multi map[string][]string) http.Header {
	header := make(http.Header, len(single)+len(multi))
	for _, name := range slices.Sorted(maps.Keys(multi)) {
		for _, value := range multi[name] {
			add(header, name, value)
		}
	}
	known := maps.Clone(header)
	for _, name := range slices.Sorted(maps.Keys(single)) {
		if _, ok := known[http.CanonicalHeaderKey(name)]; !ok {
			add(header, name, single[name])
		}
	}
	return header
}

func add(header http.Header, name, value string) {
	value = strings.Trim(value, " \t")
	if isToken(name) && isFieldValue(value) {
		header.Add(name, value)
	}
}

// Target joins an encoded path and query. An empty path is the root.
func Target(path, query string) string {
	if path == "" {
		path = "/"
	}
	if query == "" {
		return path
	}
	return path + "?" + query
}

// hostPort gives "host:port" for an address with or without a port; the unspecified address, which is
// nobody's and trusted by nobody, where it is no address at all.
func hostPort(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil && host != "" {
		return address
	}
	if ip, err := netip.ParseAddr(strings.Trim(address, "[]")); err == nil {
		return net.JoinHostPort(ip.String(), "0")
	}
	return "0.0.0.0:0"
}

func validID(id string) bool {
	if id == "" || len(id) > requestIDMax {
		return false
	}
	for _, c := range []byte(id) {
		if !isAlphanumeric(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func randomID() string {
	var bits [16]byte
	rand.Read(bits[:]) // never fails: the runtime ends the process instead
	return hex.EncodeToString(bits[:])
}

// isToken tells whether s is a token of RFC 9110 section 5.6.2: a method or a field name.
func isToken(s string) bool {
	for _, c := range []byte(s) {
		if !isAlphanumeric(c) && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// isFieldValue tells whether s may stand in a header: no control character but the tab (RFC 9110
// section 5.5).
func isFieldValue(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
