// Package platform puts one http.Handler under every platform: AWS Lambda (REST and HTTP APIs, function
// URLs, load balancers; buffered or streamed), Alibaba Function Compute (web and event functions) and
// net/http. A handler cannot tell them apart but by what a platform cannot carry.
//
// A request meets it first. The door of the platform (packages server, lambda and fc; door is what they
// share) makes an *http.Request of the same shape: origin-form URL, headers with their repetitions, Host as
// the platform names it (never a header that the client chose, except under a load balancer or a plain
// server, where it is all there is), RemoteAddr as host:port, X-Request-Id always ours, no x-fc-* and no
// header name with "_", a context that ends 1.5 s before the platform kills the process. Then Health
// answers the two paths of health checks, and the handler has the rest.
//
// A handler may flush, may panic, and may cut its answer with panic(http.ErrAbortHandler); the process
// lives on. No network at start, no goroutine outlives its request.
package platform

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"keyless/shared/platform/door"
	"keyless/shared/platform/fc"
	"keyless/shared/platform/lambda"
	"keyless/shared/platform/server"
)

// EventHandler answers events that are not HTTP requests. It is asked first for each event; handled=false
// hands the event on to the HTTP handler, and the text of an err is what the platform reports, word for
// word.
type EventHandler = door.EventHandler

// The values of Options.Runtime.
const (
	Lambda  = "lambda"   // AWS Lambda
	FCEvent = "fc-event" // Function Compute, event function
	HTTP    = "http"     // a socket: laptop, container, Function Compute's custom runtime
)

// defaultPort is where Function Compute looks for a web function unless told otherwise.
const defaultPort = "9000"

// Options of Serve. The zero value serves what the environment asks for.
type Options struct {
	Runtime string // Lambda, FCEvent or HTTP; "": by the environment
	Addr    string // HTTP only; "": 0.0.0.0 and FC_CUSTOM_LISTEN_PORT, FC_SERVER_PORT, PORT or 9000
	Stream  bool   // Lambda only: the integration in front of the function streams

	Event      EventHandler                // nil: there are HTTP requests only
	Ready      func(context.Context) error // nil: always ready
	Initialize func(context.Context) error // Function Compute's initializer, if one is configured there

	Lookup func(string) (string, bool) // the environment; nil: os.LookupEnv
	Log    *slog.Logger                // nil: slog.Default()
}

// Serve runs the handler under the platform until ctx is done or the process is told to end (SIGTERM,
// SIGINT); then readiness turns to 503, calls in flight drain, and it gives nil. A second signal ends the
// process at once. It gives an error when it cannot start.
func Serve(ctx context.Context, o Options, h http.Handler) error {
	if o.Lookup == nil {
		o.Lookup = os.LookupEnv
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	ctx, restore := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer restore()
	context.AfterFunc(ctx, restore)
	h = health{o.readiness(ctx), o.Log, h}
	switch runtime := o.runtime(); runtime {
	case Lambda:
		if !o.has("AWS_LAMBDA_RUNTIME_API") {
			return errors.New("runtime lambda: AWS_LAMBDA_RUNTIME_API is not set")
		}
		return lambda.Serve(ctx, lambda.Options{Stream: o.Stream, Event: o.Event, Log: o.Log}, h)
	case FCEvent:
		if !o.has("FC_RUNTIME_API") {
			return errors.New("runtime fc-event: FC_RUNTIME_API is not set")
		}
		return fc.Serve(ctx, fc.Options{Event: o.Event, Initialize: o.Initialize, Log: o.Log}, h)
	case HTTP:
		return server.Serve(ctx, server.Options{
			Addr: o.addr(), Log: o.Log, UnderFC: o.underFC(), Initialize: o.Initialize, Event: o.Event,
		}, h)
	default:
		return fmt.Errorf("runtime %q: want %s, %s or %s", runtime, Lambda, FCEvent, HTTP)
	}
}

func (o Options) runtime() string {
	switch {
	case o.Runtime != "":
		return o.Runtime
	case o.has("AWS_LAMBDA_RUNTIME_API"):
		return Lambda
	case o.has("FC_RUNTIME_API"):
		return FCEvent
	}
	return HTTP
}

func (o Options) addr() string {
	if o.Addr != "" {
		return o.Addr
	}
	for _, name := range []string{"FC_CUSTOM_LISTEN_PORT", "FC_SERVER_PORT", "PORT"} {
		if port, _ := o.Lookup(name); port != "" {
			return "0.0.0.0:" + port // Function Compute does not reach a server on loopback
		}
	}
	return "0.0.0.0:" + defaultPort
}

// underFC tells whether Function Compute stands in front. It reserves these names, so nobody sets them by
// accident.
func (o Options) underFC() bool {
	return o.has("FC_FUNCTION_NAME") || o.has("FC_CUSTOM_LISTEN_PORT") || o.has("FC_SERVER_PORT")
}

func (o Options) has(name string) bool {
	value, _ := o.Lookup(name)
	return value != ""
}
