// Package server is the door of a plain HTTP server: a laptop, a container, and the web functions (custom
// runtime) of Alibaba Function Compute, which are HTTP servers with a few lifecycle calls.
//
// A request meets it at door.go, which gives it its id and drops what must not enter; lifecycle.go answers
// Function Compute's own calls. The bounds are those of a server that faces the internet and streams: the
// head of a request has 5 s and 32 KiB, an idle connection 60 s, an answer no limit of its own.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"keyless/shared/platform/door"
)

const (
	// readHeaderTimeout ends connections that dribble their head to hold a place.
	readHeaderTimeout = 5 * time.Second
	// idleTimeout frees connections that nobody uses.
	idleTimeout = 60 * time.Second
	// fcIdleTimeout: the platform keeps its connection while the instance is frozen, and asks for 15
	// minutes or more (help/doc-detail/209248, "Process exited unexpectedly").
	fcIdleTimeout = 20 * time.Minute
	// maxHeaderBytes leaves room for the largest token we accept (8 KiB) beside cookies and tracing.
	maxHeaderBytes = 32 << 10
	// defaultDrain lets streams in flight come to their own end.
	defaultDrain = 30 * time.Second
	// fcDrain is short: the platform takes an instance away only when its calls are done or lost.
	fcDrain = 2 * time.Second
	// farewell is what cancelled calls get for an error event and their settlement.
	farewell = 2 * time.Second
)

// Options of the door.
type Options struct {
	Addr     string        // host:port to listen on, unless there is a Listener
	Listener net.Listener  // closed by Serve
	Log      *slog.Logger  // nil: slog.Default()
	UnderFC  bool          // believe x-fc-* headers: Function Compute stands in front and nobody else can
	Drain    time.Duration // 0: 30 s, under Function Compute 2 s
	BodyIdle time.Duration // between two pieces of a request body; 0: 30 s

	Initialize func(context.Context) error // Function Compute's POST /initialize
	Event      door.EventHandler           // Function Compute's POST /invoke
}

// Serve answers requests until ctx is done. Then the listener closes, calls in flight have Options.Drain to
// end; those that remain are cancelled, have 2 s more, and are cut. It gives nil after such an end, an
// error when it cannot listen.
func Serve(ctx context.Context, o Options, h http.Handler) error {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	listener := o.Listener
	if listener == nil {
		var err error
		if listener, err = net.Listen("tcp", o.Addr); err != nil {
			return fmt.Errorf("listen on %s: %w", o.Addr, err)
		}
	}
	calls, cancelCalls := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelCalls()
	srv := newServer(calls, o, h)
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	shutDown(srv, o.drain(), cancelCalls)
	return nil
}

func newServer(calls context.Context, o Options, h http.Handler) *http.Server {
	idle := idleTimeout
	if o.UnderFC {
		idle = fcIdleTimeout
	}
	return &http.Server{
		Handler:                      entrance{o, h},
		ReadHeaderTimeout:            readHeaderTimeout,
		IdleTimeout:                  idle,
		MaxHeaderBytes:               maxHeaderBytes,
		DisableGeneralOptionsHandler: true, // OPTIONS * is the handler's, like every other request
		ErrorLog:                     slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn),
		BaseContext:                  func(net.Listener) context.Context { return calls },
	}
}

func (o Options) drain() time.Duration {
	switch {
	case o.Drain > 0:
		return o.Drain
	case o.UnderFC:
		return fcDrain
	}
	return defaultDrain
}

func shutDown(srv *http.Server, drain time.Duration, cancelCalls func()) {
	if within(drain, srv.Shutdown) {
		return
	}
	cancelCalls()
	if !within(farewell, srv.Shutdown) {
		_ = srv.Close() // who is left has been told
	}
}

func within(limit time.Duration, shutdown func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return !errors.Is(shutdown(ctx), context.DeadlineExceeded)
}
