package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"keyless/shared/proxy/meter"
	"keyless/shared/proxy/translate"
)

// exchange is one request to an upstream and its answer. It belongs to one goroutine.
type exchange struct {
	*http.Response
	leg
	idle  time.Duration
	began time.Time
	sent  atomic.Bool // bytes may have gone out; set from within the transport

	ctx    context.Context
	cancel context.CancelCauseFunc
	over   chan struct{} // closed with the end
	watch  *time.Timer   // cancels while the upstream is waited for
	total  *time.Timer
	drain  *time.Timer // cancels what is read on for nobody
	leaves func() bool // stops waiting for the caller to leave

	events   bool              // the answer is an event stream that is followed
	closing  atomic.Bool       // all but the usage may have come: a caller who leaves now does not keep us from it
	meter    *meter.Meter      // nil: what comes is nobody's matter but the caller's
	crossing *translate.Stream // nil: the answer's events pass as they are
	mcp      *mcpEvents        // nil: the answer is none of an MCP server's streams
	flow     *flow
	held     []byte        // of a stream, read before its head went out
	rest     error         // how the stream ended while it was held
	head     time.Duration // to the head of the answer
	seen     int64         // bytes of the answer
	first    time.Duration // to the first content
	broken   error         // what came cannot be translated
	ended    bool
	proof    proof
}

// Why an exchange was cancelled from our side.
var (
	errSilent   = errors.New("the upstream sent nothing for too long")
	errOvertime = errors.New("the upstream took longer than its total time")
	errDrained  = errors.New("enough was read for a caller who is gone")
	errEnd      = errors.New("the exchange is over")
)

// send sends the call and waits for the head of the answer. The exchange is there in both cases.
//
// The body has no GetBody and the transport no licence to repeat: it tries again by itself only a request
// without body whose reused connection proved dead, which a server has to expect of GET and HEAD (RFC 9110
// §9.2.2).
func (p *proxy) send(c *call, l leg) (*exchange, error) {
	x := &exchange{leg: l, began: time.Now(), over: make(chan struct{})}
	wait := p.patienceWith(c, l.upstream)
	x.idle = wait.idle
	p.bound(c, x, wait)
	out, body, err := c.requestUp(x)
	if err == nil {
		err = p.prove(x, out, body)
	}
	if err != nil {
		return x, err
	}
	ctx := context.WithValue(x.ctx, connectWithin{}, wait.connect)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		// With a connection in hand bytes may go out; before, none can.
		GotConn: func(httptrace.GotConnInfo) { x.sent.Store(true); c.sent.Store(true) },
	})
	x.Response, err = p.transport.RoundTrip(out.WithContext(ctx))
	x.watch.Stop()
	if err != nil {
		x.Response = nil
		return x, x.why(err)
	}
	x.head = time.Since(x.began)
	if c.managed() && len(x.key) > tellingBytes { // a shorter key may stand in an answer by chance
		x.Body = &masked{ReadCloser: x.Body, secret: []byte(x.key)}
	}
	c.follow(x, p.Now)
	return x, nil
}

// bound sets the times of an exchange. Where the API drains, it outlives its caller a little, so that the usage becomes known; where it
// cancels, only if nothing but the usage may be to come.
func (p *proxy) bound(c *call, x *exchange, wait patience) {
	gone := c.in.Context()
	ctx := gone
	x.leaves = func() bool { return true }
	total := wait.total
	if c.ask.Metered {
		ctx = context.WithoutCancel(ctx)
	}
	if c.drains() {
		if end, bounded := gone.Deadline(); bounded {
			total = min(total, time.Until(end))
		}
	}
	x.ctx, x.cancel = context.WithCancelCause(ctx)
	x.drain = time.AfterFunc(p.patience.drain, func() { x.cancel(errDrained) })
	x.drain.Stop()
	switch {
	case c.drains():
		x.leaves = context.AfterFunc(gone, func() { x.drain.Reset(p.patience.drain) })
	case c.ask.Metered:
		x.leaves = context.AfterFunc(gone, func() {
			if x.closing.Load() && errors.Is(gone.Err(), context.Canceled) {
				x.drain.Reset(p.patience.closing)
				return
			}
			x.cancel(context.Cause(gone))
		})
	}
	x.total = time.AfterFunc(total, func() { x.cancel(errOvertime) })
	x.watch = time.AfterFunc(wait.firstByte, func() { x.cancel(errSilent) })
}

// why finds the cause of an error: where we cancelled, that is it.
func (x *exchange) why(err error) error {
	if cause := context.Cause(x.ctx); cause != nil {
		return fmt.Errorf("call upstream: %w (%w)", cause, err)
	}
	return fmt.Errorf("call upstream: %w", err)
}

// end lets go of the connection; the transport keeps it where the answer was read to its end. Nothing of the exchange runs on.
func (x *exchange) end() {
	if x.ended {
		return
	}
	x.ended = true
	close(x.over)
	x.leaves()
	if x.Response != nil {
		_ = x.Body.Close() // only what was read counts
	}
	x.cancel(errEnd)
	if x.flow != nil {
		<-x.flow.done
	}
	x.total.Stop()
	x.watch.Stop()
	x.drain.Stop()
}

// requestUp makes the request to the upstream. Its length is always announced: one framing leaves here,
// whatever the client's was. The body comes beside it, for who signs it.
func (c *call) requestUp(x *exchange) (*http.Request, []byte, error) {
	path, query := c.route.Rest(), c.queryUp()
	if x.across {
		path, query = acrossPath(x.upstream), ""
	}
	target, err := targetURL(x.upstream.BaseURL, path, query)
	if err != nil {
		return nil, nil, err
	}
	target.ForceQuery = c.in.URL.ForceQuery && !x.across
	out := &http.Request{
		Method: c.in.Method, URL: target, Host: target.Host, Header: c.headerUp(x.leg),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody,
	}
	body := c.bodyUp(x.aim)
	if len(body) > 0 {
		out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	return out, body, nil
}

// targetURL appends a canonical, escaped path and a raw query to a base URL. Both leave as they are given.
func targetURL(base, path, query string) (*url.URL, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, errors.New("the upstream's base_url is not a URL") // the text may hold a password
	}
	escaped := strings.TrimSuffix(u.EscapedPath(), "/") + path
	decoded, err := url.PathUnescape(escaped)
	if err != nil {
		return nil, errors.New("the path does not decode")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: decoded, RawPath: escaped, RawQuery: query}, nil
}
