// Package accesslog writes one line for each request and stands guard over it. It exists so that every answer
// can be found again by its request id, and so that a fault in one request ends that request only.
//
// How a request meets it: Handler is the outermost room behind every door. It settles the request id, opens a
// record that the rooms add facts to (Add), passes the request on, and writes the line when the answer has
// ended, however it ended. A panic becomes an opaque 500, or a cut answer where bytes have already gone out:
// an answer that is not whole must look cut (http.ErrAbortHandler).
//
// No header, no query and no body is ever written; values are bounded here and quoted by the log handler.
// Nothing outlives its request. Handler and Add are safe for concurrent use.
package accesslog

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
	"time"

	"keyless/shared/config"
)

const (
	// maxRequestID bounds the request id: platforms send 36 characters, and it goes into Redis keys.
	maxRequestID = 128

	requestIDHeader = "X-Request-Id"
)

// Handler logs what next does. The request id is the incoming X-Request-Id, which the platform has set, where
// it is ^[A-Za-z0-9._-]{1,128}$, else 128 random bits in hex; it is set on the request and on the answer.
//
// The line is "request" with method, host, path, client, request_id, status (0: nothing was sent), bytes of
// the body, duration_ms, end ("ok", "aborted", "panic") and what the rooms added. It stands at level info,
// after a panic at error with what the panic was and its stack.
func Handler(log *slog.Logger, proxies config.Proxies, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(requestIDHeader)
		if !valid(id) {
			id = newRequestID()
		}
		r.Header.Set(requestIDHeader, id)
		w.Header().Set(requestIDHeader, id)

		record := open(r, id, proxies.Client(r))
		r = r.WithContext(context.WithValue(r.Context(), recordKey{}, record))
		answer, began, returned := &response{ResponseWriter: w}, time.Now(), false
		defer func() {
			fate := judge(returned, recover())
			if fate.end == endPanic && !answer.begun {
				answer.refuse(id)
			}
			if returned && !answer.begun {
				answer.status = http.StatusOK // net/http sends it for a handler that writes nothing
			}
			log.LogAttrs(r.Context(), fate.level, "request", record.close(answer, time.Since(began), fate)...)
			if fate.cut || (fate.end == endPanic && !answer.refused) {
				panic(http.ErrAbortHandler)
			}
		}()
		next.ServeHTTP(answer, r)
		returned = true
	})
}

// RequestID returns the id of a request that passed Handler. Without Handler it is the request's own
// X-Request-Id where that is well formed, else empty.
func RequestID(r *http.Request) string {
	if record, ok := r.Context().Value(recordKey{}).(*record); ok {
		return record.requestID
	}
	if id := r.Header.Get(requestIDHeader); valid(id) {
		return id
	}
	return ""
}

// valid says whether an id can stand in a Redis key, a header and a log line as it is.
func valid(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		c := id[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// newRequestID makes 128 random bits in hex.
func newRequestID() string {
	var bits [16]byte
	_, _ = rand.Read(bits[:]) // never fails
	return hex.EncodeToString(bits[:])
}
