// Package door holds what every door of the platform shares, so that a handler cannot tell which one a
// request came through: how a request enters (names dropped, request id, deadline), how a handler is
// guarded (a panic never ends the process), and the response writer of the doors that are not a socket.
//
// A request meets it twice: on the way in, when NewRequest and Enter give it its one shape, and on the way
// out, when Buffer or Stream turns what the handler wrote into what the platform expects.
//
// Nothing here outlives its request; every value belongs to one request and is not safe for concurrent use
// unless it says so.
package door

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"
)

// EventHandler answers events that are not HTTP requests, such as an API Gateway authorizer's. It is asked
// first for every event; handled=false hands the event on to the HTTP handler. An err is a function error:
// its text becomes the platform's errorMessage, word for word ("Unauthorized" is what API Gateway turns
// into a 401). Implementations are safe for concurrent use and keep nothing of event.
type EventHandler func(ctx context.Context, event json.RawMessage) (reply json.RawMessage, handled bool,
	err error)

// DeadlineMargin is the time between the end of a request's context and the moment the platform kills the
// process: enough to settle a call in the store and to send the last bytes.
const DeadlineMargin = 1500 * time.Millisecond

// WithDeadline ends the context DeadlineMargin before the platform's own deadline, where ctx has one.
func WithDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if end, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, end.Add(-DeadlineMargin))
	}
	return context.WithCancel(ctx)
}

// Outcome is how a guarded handler ended.
type Outcome int

// A handler returned, gave up its answer with http.ErrAbortHandler, or panicked otherwise.
const (
	Finished Outcome = iota
	Aborted
	Panicked
)

// Guard runs the handler and survives its panics. Anything but http.ErrAbortHandler, which is the agreed
// way to cut an answer, is logged with its stack.
func Guard(h http.Handler, w http.ResponseWriter, r *http.Request, log *slog.Logger) Outcome {
	outcome := Panicked
	func() {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				outcome = Aborted
				return
			}
			log.LogAttrs(r.Context(), slog.LevelError, "handler panicked",
				slog.String("request_id", r.Header.Get(RequestIDHeader)),
				slog.String("panic", fmt.Sprint(v)), slog.String("stack", string(debug.Stack())))
		}()
		h.ServeHTTP(w, r)
		outcome = Finished
	}()
	return outcome
}

// ErrInternal is the function error for an event handler that panicked; the cause is in the log only.
var ErrInternal = errors.New("internal error")

// Ask gives the event to the handler and survives its panics. A nil handler handles nothing.
func Ask(ctx context.Context, ask EventHandler, event json.RawMessage, log *slog.Logger) (json.RawMessage,
	bool, error) {
	if ask == nil {
		return nil, false, nil
	}
	var reply json.RawMessage
	handled, err := true, ErrInternal
	func() {
		defer func() {
			if v := recover(); v != nil {
				log.LogAttrs(ctx, slog.LevelError, "event handler panicked",
					slog.String("panic", fmt.Sprint(v)), slog.String("stack", string(debug.Stack())))
			}
		}()
		reply, handled, err = ask(ctx, event)
	}()
	return reply, handled, err
}

// Busy counts invocations in flight, for the doors whose vendor loop cannot be asked to stop. The zero
// value is ready; safe for concurrent use.
type Busy struct {
	mu sync.RWMutex // read-held by each invocation, taken for writing once, at the end
}

// Enter notes an invocation; the returned function, called once, ends it. After Drain it blocks: the
// process is about to exit.
func (b *Busy) Enter() func() {
	b.mu.RLock()
	return sync.OnceFunc(b.mu.RUnlock)
}

// Drain waits until no invocation is in flight, at most for limit.
func (b *Busy) Drain(limit time.Duration) {
	idle := make(chan struct{})
	go func() {
		b.mu.Lock()
		close(idle)
	}()
	select {
	case <-idle:
	case <-time.After(limit):
	}
}
