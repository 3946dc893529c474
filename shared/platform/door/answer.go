package door

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
)

// Answer is a whole buffered answer. Header has canonical names, no Content-Length and nothing that belongs
// to one connection.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Buffer runs the handler and gives its whole answer. What cannot be given becomes one of ours: a panic 500
// internal_error, an abort or a body shorter than announced 502 response_cut, a body over BodyMax 502
// response_too_large. Nothing was sent before, so the client always gets one consistent answer.
func Buffer(h http.Handler, r *http.Request, log *slog.Logger) Answer {
	w := newResponse(r.Method)
	switch outcome := Guard(h, w, r, log); {
	case w.err != nil:
		return TooLarge(r)
	case outcome == Panicked:
		return buffered(internalError, r)
	case outcome == Aborted || w.finish() != nil:
		return buffered(cut, r)
	}
	return Answer{w.status, w.head(w.body.Bytes()), w.body.Bytes()}
}

// TooLarge is the answer in the place of one that the platform does not take.
func TooLarge(r *http.Request) Answer { return buffered(tooLarge, r) }

// Malformed is the answer to a request for which NewRequest gave ErrMalformed.
func Malformed(requestID string) Answer {
	r := &http.Request{Method: http.MethodGet, Header: http.Header{}}
	Enter(r, requestID)
	return buffered(malformed, r)
}

func buffered(h http.HandlerFunc, r *http.Request) Answer {
	w := newResponse(r.Method)
	h(w, r)
	return Answer{w.status, w.head(nil), w.body.Bytes()}
}

// Stream runs the handler and passes its answer on as it is written: open is called once, with the head,
// and gives the writer of the body. The error is nil when the answer is complete, any other when it must
// look cut. A handler that ends badly before its head was sent gets one of our answers instead.
func Stream(h http.Handler, r *http.Request, log *slog.Logger,
	open func(status int, h http.Header) (io.Writer, error)) error {
	w := newResponse(r.Method)
	w.open = open
	outcome := Guard(h, w, r, log)
	switch {
	case outcome == Finished && w.err == nil:
		return w.finish()
	case w.err != nil || w.out != nil:
		return ErrCut
	}
	ours := newResponse(r.Method)
	ours.open = open
	if outcome == Panicked {
		internalError(ours, r)
	} else {
		cut(ours, r)
	}
	return ours.finish()
}

// InternalError answers 500 for a handler that panicked before it sent anything.
func InternalError(w http.ResponseWriter, r *http.Request) { internalError(w, r) }

func internalError(w http.ResponseWriter, r *http.Request) {
	refuse(w, r, http.StatusInternalServerError, "internal_error", "The gateway could not answer.")
}

func cut(w http.ResponseWriter, r *http.Request) {
	refuse(w, r, http.StatusBadGateway, "response_cut", "The answer ended before it was complete.")
}

func tooLarge(w http.ResponseWriter, r *http.Request) {
	refuse(w, r, http.StatusBadGateway, "response_too_large",
		"The answer is larger than this platform passes on.")
}

func malformed(w http.ResponseWriter, r *http.Request) {
	refuse(w, r, http.StatusBadRequest, "bad_request", "The request's method, path or query is malformed.")
}

// refuse writes {"error","code","request_id"}: doors stand before routing and know no API's own dialect.
func refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	id := r.Header.Get(RequestIDHeader)
	body, _ := json.Marshal(struct { // strings only: cannot fail
		Error     string `json:"error"`
		Code      string `json:"code"`
		RequestID string `json:"request_id"`
	}{message, code, id})
	header := w.Header()
	clear(header) // what the handler had prepared describes another body
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set(RequestIDHeader, id)
	w.WriteHeader(status)
	w.Write(body)
}
