package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"

	"keyless/shared/registry"
)

// exchange is one request to an upstream and its answer.
type exchange struct {
	*http.Response
	key  string // the provider's key that was sent, "" for none
	idle time.Duration

	ctx    context.Context
	cancel context.CancelCauseFunc
	watch  *time.Timer // cancels while the upstream is waited for
	total  *time.Timer
}

// Why an exchange was cancelled from our side.
var (
	errSilent   = errors.New("the upstream sent nothing for too long")
	errOvertime = errors.New("the upstream took longer than its total time")
	errEnd      = errors.New("the exchange is over")
)

// send sends the call and waits for the head of the answer. The exchange is there in both cases; ended
// already where there is an error.
//
// The body has no GetBody and the transport no licence to repeat: it tries again by itself only a request
// without body whose reused connection proved dead, which a server has to expect of GET and HEAD (RFC 9110
// §9.2.2).
func (p *proxy) send(c *call) (*exchange, error) {
	out, key, err := c.requestUp()
	if err != nil {
		return &exchange{key: key}, err
	}
	wait := p.patience.of(c.upstream.Timeouts)
	x := &exchange{key: key, idle: wait.idle}
	x.ctx, x.cancel = context.WithCancelCause(c.in.Context())
	x.total = time.AfterFunc(wait.total, func() { x.cancel(errOvertime) })
	x.watch = time.AfterFunc(wait.firstByte, func() { x.cancel(errSilent) })
	ctx := context.WithValue(x.ctx, connectWithin{}, wait.connect)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		// With a connection in hand bytes may go out; before, none can.
		GotConn: func(httptrace.GotConnInfo) { c.sent.Store(true) },
	})
	began := time.Now()
	x.Response, err = p.transport.RoundTrip(out.WithContext(ctx))
	x.watch.Stop()
	c.note(slog.String("upstream", c.upstream.Name))
	if err != nil {
		err = x.why(err)
		x.end()
		return x, err
	}
	c.note(slog.Int("upstream_status", x.StatusCode), slog.Int64("ttfb_ms", time.Since(began).Milliseconds()))
	return x, nil
}

// why finds the cause of an error: where we cancelled, that is it.
func (x *exchange) why(err error) error {
	if cause := context.Cause(x.ctx); cause != nil {
		return fmt.Errorf("call upstream: %w (%w)", cause, err)
	}
	return fmt.Errorf("call upstream: %w", err)
}

// end lets go of the connection; the transport keeps it where the answer was read to its end.
func (x *exchange) end() {
	x.total.Stop()
	x.watch.Stop()
	if x.Response != nil {
		_ = x.Body.Close() // only what was read counts
	}
	x.cancel(errEnd)
}

// requestUp makes the request to the upstream, and returns the provider's key in it. Its length is always
// announced: one framing leaves here, whatever the client's was.
func (c *call) requestUp() (*http.Request, string, error) {
	target, err := targetURL(c.upstream.BaseURL, c.route.Rest(), c.queryUp())
	if err != nil {
		return nil, "", err
	}
	target.ForceQuery = c.in.URL.ForceQuery
	header, key := c.headerUp()
	out := &http.Request{
		Method: c.in.Method, URL: target, Host: target.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody,
	}
	if len(c.body) > 0 {
		out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(c.body)), int64(len(c.body))
	}
	return out, key, nil
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

// injectKey sets the provider's key in the protocol's own way, or as the upstream's auth says, and returns
// it.
func injectKey(h http.Header, u *registry.Upstream) string {
	if len(u.APIKeys) == 0 {
		return ""
	}
	key, name, prefix := u.APIKeys[0].Reveal(), "Authorization", "Bearer "
	if u.Protocol == registry.Anthropic {
		name, prefix = "X-Api-Key", ""
	}
	if u.Auth != nil {
		name, prefix = u.Auth.Header, u.Auth.Prefix
	}
	h.Set(name, prefix+key)
	return key
}
