// Package fc is the door to the event functions of Alibaba Function Compute (built-in Go runtime): it puts
// an http.Handler behind an HTTP trigger that calls the function with an event. Web functions (custom
// runtime) are plain HTTP servers; their door is package server, and they are what to choose where answers
// stream or set more than one cookie.
//
// A request meets it as an HTTP trigger event of version v1 from the vendor's loop, which runs every
// invocation in a goroutine of its own: nothing here is shared between them. Events that are not HTTP go to
// Options.Event.
//
// What the trigger cannot carry stays lost: the query arrives parsed and is rebuilt with its names sorted
// and a repeated name's values joined with ","; headers have one value each, so of several Set-Cookie only
// the last passes.
//
// The vendor's StartHttp is not used: it does not work on Function Compute 3.0.
// Source:
// https://www.alibabacloud.com/help/en/functioncompute/fc-3-0/user-guide/http-trigger-invoking-function
package fc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/aliyun/fc-runtime-go-sdk/fc"
	"github.com/aliyun/fc-runtime-go-sdk/fccontext"

	"keyless/shared/platform/door"
)

const (
	// drain is how long cancelled invocations may take to end. The platform announces the end of an
	// instance by its pre-stop hook and waits for it; a signal comes after, if at all.
	drain = 2 * time.Second
	// postGrace lets the vendor's loop, which tells nobody when it has done so, post the last replies.
	postGrace = 100 * time.Millisecond
)

// Options of the door. The zero value is an HTTP function without initializer.
type Options struct {
	Event      door.EventHandler           // nil: every event must be an HTTP request
	Initialize func(context.Context) error // called once by the platform before the first event, if configured
	Log        *slog.Logger                // nil: slog.Default()
}

// Serve answers invocations until ctx is done, then cancels those in flight, waits for them at most 2 s and
// gives nil. The vendor's loop ends the process itself when it cannot start.
func Serve(ctx context.Context, o Options, h http.Handler) error {
	f := function{o, h, ctx, new(door.Busy)}
	fc.RegisterInitializerFunction(f.initialize)
	// Both hooks may come while calls are in flight, so they close nothing; registered because the vendor's
	// loop answers an unregistered hook with an error.
	fc.RegisterPreStopFunction(func(context.Context) {})
	fc.RegisterPreFreezeFunction(func(context.Context) {})
	go fc.Start(f.invoke)
	<-ctx.Done()
	f.busy.Drain(drain)
	time.Sleep(postGrace)
	return nil
}

// Handler is the function behind Serve, for a caller that has events but no runtime API. Safe for
// concurrent use.
func Handler(o Options, h http.Handler) func(context.Context, []byte) (json.RawMessage, error) {
	return function{o, h, context.Background(), new(door.Busy)}.invoke
}

type function struct {
	Options
	handler http.Handler
	process context.Context // done when the process shall end
	busy    *door.Busy
}

func (f function) log() *slog.Logger {
	if f.Log == nil {
		return slog.Default()
	}
	return f.Log
}

// initialize panics with a fixed message when Initialize fails, because the vendor's hook has no error and
// the platform learns of a failure by a panic only; the cause goes to the log.
func (f function) initialize(ctx context.Context) {
	if f.Initialize == nil {
		return
	}
	if err := f.Initialize(ctx); err != nil {
		f.log().LogAttrs(ctx, slog.LevelError, "initialize", slog.Any("error", err))
		panic("initialize: see the log")
	}
}

// invoke answers one event. It gives errors for events that it does not know and for those of the event
// handler; whatever the HTTP handler does ends in an answer. The reply is a json.RawMessage because the
// vendor's loop would encode bytes as base64.
func (f function) invoke(ctx context.Context, raw []byte) (json.RawMessage, error) {
	defer f.busy.Enter()()
	ctx, cancel := door.WithDeadline(ctx)
	defer cancel()
	defer context.AfterFunc(f.process, cancel)()
	reply, handled, err := door.Ask(ctx, f.Event, raw, f.log())
	if err != nil || handled {
		return reply, err
	}
	facts, err := decode(raw)
	if err != nil {
		return nil, err
	}
	if fcc, ok := fccontext.FromContext(ctx); ok && fcc.RequestID != "" {
		facts.RequestID = fcc.RequestID
	}
	r, err := door.NewRequest(ctx, facts)
	if errors.Is(err, door.ErrMalformed) {
		return encode(door.Malformed(facts.RequestID)), nil
	}
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	return encode(door.Buffer(f.handler, r, f.log())), nil
}
