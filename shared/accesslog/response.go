package accesslog

import (
	"errors"
	"io"
	"net/http"
)

// response watches an answer go by: its status, its bytes, and whether it has begun. Everything else of the
// writer below stays within reach of http.NewResponseController through Unwrap.
type response struct {
	http.ResponseWriter
	status  int
	bytes   int64
	begun   bool // a status line has gone out, or may have
	refused bool // the answer is our own 500
}

// Unwrap returns the writer below.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader remembers the first final status; 1xx other than 101 come before it.
func (w *response) WriteHeader(status int) {
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		w.begin(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write counts what the writer below took.
func (w *response) Write(p []byte) (int, error) {
	w.begin(http.StatusOK)
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// ReadFrom lets the writer below copy as it likes best, and counts. A source that ends or fails before its
// first byte leaves the status open; one that panics may have sent something, so the answer counts as begun.
func (w *response) ReadFrom(src io.Reader) (int64, error) {
	copied := false
	defer func() {
		if !copied || w.bytes > 0 {
			w.begin(http.StatusOK)
		}
	}()
	n, err := io.Copy(w.ResponseWriter, src)
	w.bytes += n
	copied = true
	return n, err
}

// Flush sends what is buffered, where the writer below can.
func (w *response) Flush() { _ = w.FlushError() }

// FlushError is Flush for http.NewResponseController. A flush sends the header too.
func (w *response) FlushError() error {
	err := http.NewResponseController(w.ResponseWriter).Flush()
	if !errors.Is(err, http.ErrNotSupported) {
		w.begin(http.StatusOK)
	}
	return err
}

// begin remembers that the answer is on its way.
func (w *response) begin(status int) {
	if !w.begun {
		w.begun, w.status = true, status
	}
}

// refuse answers 500 in the place of a handler that panicked before its answer began. What the handler had
// put into the header belonged to another answer.
func (w *response) refuse(requestID string) {
	header := w.Header()
	clear(header)
	header.Set(requestIDHeader, requestID)
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	w.refused = true
	w.WriteHeader(http.StatusInternalServerError)
	// The id has no character that JSON would escape.
	const before = `{"error":{"message":"Internal error","code":"internal"},"request_id":"`
	_, _ = io.WriteString(w, before+requestID+`"}`)
}
