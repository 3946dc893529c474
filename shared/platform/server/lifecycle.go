package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"keyless/shared/platform/door"
)

// eventMax bounds an event; Function Compute takes 32 MB in a synchronous call.
const eventMax = 32 << 20

// statusHeader tells Function Compute that a lifecycle call or an event failed; its value 404 is the
// platform's own code for that.
const statusHeader = "X-Fc-Status"

// lifecycle gives the handler of a call that Function Compute makes on its own behalf. The paths are
// ordinary ones to everybody else, which is why the caller has checked the control header: clients cannot
// send it through the platform.
func (e entrance) lifecycle(r *http.Request, next http.Handler) http.Handler {
	switch r.Method + " " + r.URL.Path {
	case "POST /initialize":
		return http.HandlerFunc(e.initialize)
	case "GET /pre-stop", "GET /pre-freeze":
		// Calls may be in flight at either, so nothing is closed.
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	case "POST /invoke":
		if e.Event != nil {
			return e.invoke(next)
		}
	}
	return next
}

func (e entrance) initialize(w http.ResponseWriter, r *http.Request) {
	if e.Initialize == nil {
		return
	}
	if err := e.Initialize(r.Context()); err != nil {
		e.Log.LogAttrs(r.Context(), slog.LevelError, "initialize", slog.Any("error", err))
		e.failed(w, door.ErrInternal)
	}
}

// invoke gives the event in the body to the event handler; what that does not handle stays a request.
func (e entrance) invoke(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		event, err := io.ReadAll(http.MaxBytesReader(w, r.Body, eventMax))
		if err != nil {
			e.failed(w, errors.New("the event could not be read"))
			return
		}
		reply, handled, err := door.Ask(r.Context(), e.Event, event, e.Log)
		switch {
		case err != nil:
			e.failed(w, err)
		case handled:
			w.Header().Set("Content-Type", "application/json")
			w.Write(reply)
		default:
			r.Body = io.NopCloser(bytes.NewReader(event))
			next.ServeHTTP(w, r)
		}
	})
}

// failed answers a function error. Its text goes to whoever invoked the function, as on the other
// platforms.
func (e entrance) failed(w http.ResponseWriter, err error) {
	message, _ := json.Marshal(map[string]string{"errorMessage": err.Error()}) // strings: cannot fail
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set(statusHeader, "404")
	w.WriteHeader(http.StatusInternalServerError)
	w.Write(message)
}
