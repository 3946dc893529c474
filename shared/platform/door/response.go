package door

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// BodyMax bounds the body of a buffered answer. Lambda takes 6 MiB of JSON and kills the process that posts
// more; 64 KiB of that are left for the headers, and base64 makes four bytes of three.
const BodyMax = (6<<20 - 64<<10) * 3 / 4

// ErrTooLarge is what a write gives when a buffered answer outgrows BodyMax; the client gets a 502.
var ErrTooLarge = errors.New("answer is larger than the platform takes")

// ErrCut says that an answer is incomplete and must look so to the client.
var ErrCut = errors.New("answer cut")

// response is the http.ResponseWriter of the doors that are not a socket. It behaves as net/http's does:
// the status counts once and is 200 by default, the header is fixed (copied) by WriteHeader, 1xx are not
// passed on, bodies of HEAD, 204 and 304 vanish, a missing Content-Type is sniffed. It implements
// http.Flusher; deadlines, hijacking and trailers do not exist here (http.ErrNotSupported by way of
// http.ResponseController).
type response struct {
	method   string
	header   http.Header
	final    http.Header // the header as WriteHeader found it
	status   int         // 0 until WriteHeader
	declared int64       // Content-Length as the handler announced it, -1 if it did not
	written  int64
	err      error // what ends every further write

	body bytes.Buffer                                       // buffered
	open func(status int, h http.Header) (io.Writer, error) // streamed: sends the head; nil when buffered
	out  io.Writer                                          // streamed: the body's way, nil until open
}

func newResponse(method string) *response {
	return &response{method: method, header: http.Header{}, declared: -1}
}

func (w *response) Header() http.Header { return w.header }

func (w *response) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("invalid WriteHeader code %d", status)) // the handler's fault, as in net/http
	}
	if w.status != 0 || status < 200 {
		return
	}
	w.status = status
	w.final = w.header.Clone()
	if n, err := strconv.ParseInt(w.final.Get("Content-Length"), 10, 64); err == nil && n >= 0 {
		w.declared = n
	}
}

func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	switch {
	case len(p) == 0:
		return 0, nil
	case !bodyAllowed(w.status):
		return 0, http.ErrBodyNotAllowed
	case w.err != nil:
		return 0, w.err
	case w.declared >= 0 && w.written+int64(len(p)) > w.declared:
		return 0, http.ErrContentLength
	}
	w.written += int64(len(p))
	if w.method == http.MethodHead {
		return len(p), nil
	}
	if w.open == nil {
		return w.keep(p)
	}
	if err := w.commit(p); err != nil {
		return 0, err
	}
	n, err := w.out.Write(p)
	w.err = err
	return n, err
}

// keep adds to the buffered body, which is given back to the collector once it is too large.
func (w *response) keep(p []byte) (int, error) {
	if w.body.Len()+len(p) > BodyMax {
		w.body, w.err = bytes.Buffer{}, ErrTooLarge
		return 0, w.err
	}
	return w.body.Write(p)
}

// Flush sends the head, where this is a stream. Written bytes are never held back.
func (w *response) Flush() {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.open != nil && w.err == nil {
		_ = w.commit(nil) // the error stays in w.err, for Flush has no way to tell it
	}
}

// commit sends the head once; first is the beginning of the body, for its type.
func (w *response) commit(first []byte) error {
	if w.out != nil {
		return nil
	}
	w.out, w.err = w.open(w.status, w.head(first))
	return w.err
}

// finish ends the answer of a handler that returned.
func (w *response) finish() error {
	w.Flush()
	if w.err != nil {
		return w.err
	}
	if w.declared >= 0 && w.written != w.declared && w.method != http.MethodHead && bodyAllowed(w.status) {
		return ErrCut
	}
	return nil
}

// head is the header for the platform: without what belongs to one connection, with a Content-Type. The
// length is the platform's to tell.
func (w *response) head(body []byte) http.Header {
	header := make(http.Header, len(w.final)+1)
	for name, values := range w.final {
		if !isToken(name) || connectionOnly[http.CanonicalHeaderKey(name)] {
			continue
		}
		for _, value := range values {
			header.Add(name, oneLine.Replace(value))
		}
	}
	_, typed := w.final["Content-Type"]
	if !typed && len(body) > 0 && header.Get("Content-Encoding") == "" {
		header.Set("Content-Type", http.DetectContentType(body))
	}
	return header
}

// oneLine keeps a value from becoming a second header, as net/http does.
var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

var connectionOnly = map[string]bool{
	"Connection": true, "Content-Length": true, "Keep-Alive": true, "Proxy-Connection": true,
	"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
}

func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}
