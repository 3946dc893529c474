package proxy

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"keyless/shared/registry"
)

// patience is how long an upstream is waited for.
type patience struct {
	connect   time.Duration // for the connection, without TLS
	firstByte time.Duration // from sending to the head of the answer
	idle      time.Duration // between two reads of the body
	total     time.Duration // for all of it
	write     time.Duration // for a client to take one read's worth
	quiet     time.Duration // of a stream, before a comment is sent
	drain     time.Duration // for what is read for a caller who is gone
	closing   time.Duration // for the usage that may be all that is to come, where the API cancels
	listen    time.Duration // for a stream on which an MCP server speaks when it likes, and for silence on it
}

// defaultPatience holds where an upstream does not say otherwise. A client that takes nothing for half a
// minute holds a stream, its reservation and an upstream's connection for nothing. Gateways in front of us
// cut a connection after 30 seconds of silence.
var defaultPatience = patience{
	connect: 3 * time.Second, firstByte: 60 * time.Second, idle: 60 * time.Second, total: 10 * time.Minute,
	write: 30 * time.Second, quiet: 15 * time.Second, drain: 30 * time.Second, closing: 2 * time.Second, listen: time.Hour,
}

// of is the patience with one upstream.
func (p patience) of(t registry.Timeouts) patience {
	return patience{
		connect: t.Connect.Or(p.connect), firstByte: t.FirstByte.Or(p.firstByte),
		idle: t.Idle.Or(p.idle), total: t.Total.Or(p.total), write: p.write, quiet: p.quiet, drain: p.drain,
		closing: p.closing, listen: p.listen,
	}
}

// patienceWith is the patience with one upstream in this call. Where an MCP client only listens, silence and length are no failures,
// unless the upstream's own timeouts say so; a connection that died is found by TCP.
func (p *proxy) patienceWith(c *call, u *registry.Upstream) patience {
	wait := p.patience.of(u.Timeouts)
	if c.listens() {
		wait.idle, wait.total = u.Timeouts.Idle.Or(p.patience.listen), u.Timeouts.Total.Or(p.patience.listen)
	}
	return wait
}

// Bounds of the transport.
const (
	maxAnswerHeader = 64 << 10 // what no honest upstream comes near; Go's own bound lets 10 MB through
	tlsWithin       = 5 * time.Second
	// idleWithin is shorter than what load balancers in front of providers allow. The transport compares
	// wall clocks, so that a process that was frozen does not send into a connection that is long gone.
	idleWithin = 30 * time.Second
	maxIdle    = 256
	// connectionBuffer is half of Go's own: a thousand streams hold two each, and an event is some hundred bytes.
	connectionBuffer   = 2 << 10
	maxIdlePerUpstream = 32
	// maxPerUpstream is above what one process serves at once on any platform, and below what a runaway
	// would open.
	maxPerUpstream = 1024
)

// connectWithin is the context key of an upstream's connect timeout: one transport serves all upstreams.
type connectWithin struct{}

// newTransport makes the one way out: no proxy from the environment, no redirects (a RoundTripper follows
// none), no compression of its own, no Expect.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    tlsWithin,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxAnswerHeader,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdlePerUpstream,
		MaxConnsPerHost:        maxPerUpstream,
		IdleConnTimeout:        idleWithin,
		ReadBufferSize:         connectionBuffer,
		WriteBufferSize:        connectionBuffer,
		ForceAttemptHTTP2:      true, // a dialer of one's own turns it off otherwise
	}
}

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	within, _ := ctx.Value(connectWithin{}).(time.Duration)
	dialer := net.Dialer{Timeout: within}
	return dialer.DialContext(ctx, network, address)
}
