// Package lambda is the door to AWS Lambda: it puts an http.Handler behind API Gateway (REST and HTTP
// APIs), function URLs and Application Load Balancers, buffered or streamed, and keeps the process alive
// whatever the handler does.
//
// A request meets it as an event of the Runtime API: event.go tells the trigger by the event's shape,
// rest.go, http.go and alb.go make the *http.Request, and reply.go or stream.go gives the answer in that
// trigger's form. Events that are not HTTP go to Options.Event.
//
// What a trigger cannot carry stays lost: HTTP API events have a decoded path, so "%2F" and "/" arrive as
// one; REST and load balancer events have no order of query names (they arrive sorted; values keep theirs);
// HTTP API and function URL events join repeated headers with ","; a load balancer without multi-value
// headers hands over the last of them only, and takes one Set-Cookie.
//
// The vendor's lambdaurl is not used: its writer cannot flush, it reads the header map while the handler
// writes to it, and a handler's panic ends the process. SIGTERM handling of the vendor is left out as well:
// it registers an extension over the network at init, for 500 ms that a function without background work
// does not need. Where an operator's own extension makes Lambda send SIGTERM, calls in flight are cancelled
// and the process ends cleanly.
//
// With AWS_LAMBDA_MAX_CONCURRENCY several invocations run at once; nothing here is shared between them.
// Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"keyless/shared/platform/door"
)

// drain is how long a cancelled invocation may take to end: Lambda kills 500 ms after SIGTERM.
const drain = 300 * time.Millisecond

// Options of the door. The zero value is a buffered HTTP function.
type Options struct {
	// Stream says that the integration in front of the function streams (REST API with
	// response-streaming-invocations, function URL with RESPONSE_STREAM). The event does not tell, and a
	// wrong guess shows the client the raw envelope. HTTP API and load balancer events stay buffered.
	Stream bool
	Event  door.EventHandler // nil: every event must be an HTTP request
	Log    *slog.Logger      // nil: slog.Default()
}

// Serve answers invocations until ctx is done, then cancels those in flight, waits for them at most 300 ms
// and gives nil. The vendor's loop ends the process itself when the Runtime API goes away.
func Serve(ctx context.Context, o Options, h http.Handler) error {
	f := function{o, h, new(door.Busy)}
	go lambda.StartWithOptions(f.invoke, lambda.WithContext(ctx))
	<-ctx.Done()
	f.busy.Drain(drain)
	return nil
}

// Handler is the function behind Serve, for a caller that has events but no Runtime API. The reply's errors
// other than io.EOF mean that the answer was cut; it is an io.Closer, and Close, which cancels the handler
// and waits for its end, must be called. Safe for concurrent use.
func Handler(o Options, h http.Handler) func(context.Context, json.RawMessage) (io.Reader, error) {
	return function{o, h, new(door.Busy)}.invoke
}

type function struct {
	Options
	handler http.Handler
	busy    *door.Busy
}

func (f function) log() *slog.Logger {
	if f.Log == nil {
		return slog.Default()
	}
	return f.Log
}

// invoke answers one event. It gives errors for events that it does not know and for those of the event
// handler; whatever the HTTP handler does ends in an answer.
func (f function) invoke(ctx context.Context, event json.RawMessage) (io.Reader, error) {
	ended := f.busy.Enter()
	ctx, cancel := door.WithDeadline(ctx)
	done := func() { cancel(); ended() }
	reply, err := f.answer(ctx, event, done)
	if err != nil {
		done()
		return nil, err
	}
	return reply, nil
}

// answer gives a reply whose Close calls done; with an error done is the caller's to call.
func (f function) answer(ctx context.Context, event json.RawMessage, done func()) (io.Reader, error) {
	message, handled, err := door.Ask(ctx, f.Event, event, f.log())
	if err != nil {
		return nil, err
	}
	if handled {
		return newReply(message, done), nil
	}
	e, t, err := decode(event)
	if err != nil {
		return nil, err
	}
	facts, err := t.facts(e)
	if err != nil {
		return nil, fmt.Errorf("read %s event: %w", t.name, err)
	}
	if lc, ok := lambdacontext.FromContext(ctx); ok && lc.AwsRequestID != "" {
		facts.RequestID = lc.AwsRequestID
	}
	r, err := door.NewRequest(ctx, facts)
	stream := f.Stream && t.prelude != nil
	switch {
	case errors.Is(err, door.ErrMalformed) && !stream:
		return newReply(t.encode(e, door.Malformed(facts.RequestID)), done), nil
	case errors.Is(err, door.ErrMalformed):
		return streamAnswer(t, door.Malformed(facts.RequestID), done), nil
	case stream:
		return f.stream(r, t, done), nil
	}
	return f.buffer(r, t, e, done), nil
}
