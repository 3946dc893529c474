package proxy

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"sync"
	"time"

	"keyless/shared/proxy/meter"
	"keyless/shared/proxy/translate"
)

// One read's worth: of a body, and of an event stream, whose events are small and of which a thousand may be under way for minutes.
const (
	bufferBytes = 32 << 10
	streamBytes = 2 << 10
)

var (
	buffers       = sync.Pool{New: func() any { return new([bufferBytes]byte) }}
	streamBuffers = sync.Pool{New: func() any { return new([streamBytes]byte) }}
)

// errTaken says that the client no longer takes what it is sent.
var errTaken = errors.New("the client takes no more")

// relay passes the answer's body on as it comes. Where it breaks off, the client's connection does too: an
// answer that is not whole must never look whole. In an event stream an error event goes before, for doors
// behind which a cut cannot be seen.
func (p *proxy) relay(c *call, x *exchange) {
	if x.key != "" && x.StatusCode >= http.StatusBadRequest {
		x.scrub()
	}
	client := http.NewResponseController(c.w)
	var err error
	switch {
	case x.across && !x.events:
		err = p.relayAcross(c, x)
	case x.events:
		c.begin(x.StatusCode)
		err = p.stream(c, client, x)
	default:
		c.begin(x.StatusCode)
		err = p.copy(c, client, x, isEventStream(x.Header) || x.ContentLength < 0)
	}
	c.end = c.endOf(x, err)
	switch {
	case err == nil && !c.gone:
		return
	case c.gone || errors.Is(err, errTaken):
		c.note(slog.String("reason", "client_gone"))
		panic(http.ErrAbortHandler)
	}
	cut := c.upstreamFailed(err, x)
	if !c.begun {
		c.refuse(cut)
		return
	}
	c.note(slog.String("reason", cut.code))
	stream := isEventStream(x.Header) && (x.ContentLength < 0 || c.rewrites(x)) && x.Header.Get("Content-Encoding") == ""
	if stream {
		_, _ = io.WriteString(c.w, c.dialect.event(cut, c))
	}
	// With a head in hand the client knows that its call had an effect, and does not repeat it by itself.
	_ = flush(client)
	panic(http.ErrAbortHandler)
}

// Bounds of what is read for a caller who is gone: more than any answer of a model has, and more than what tells usage.
const (
	drainBytes   = 4 << 20
	closingBytes = 64 << 10
)

// copy reads and writes until the body ends. The error is the upstream's, or wraps errTaken. A live answer
// is flushed at each read.
func (p *proxy) copy(c *call, client *http.ResponseController, x *exchange, live bool) error {
	buffer := buffers.Get().(*[bufferBytes]byte)
	defer buffers.Put(buffer)
	if live {
		_ = flush(client) // the head may be all there is for a while
	}
	for {
		x.watch.Reset(x.idle)
		n, err := x.Body.Read(buffer[:])
		x.watch.Stop()
		// The last bytes of what is settled leave with the handler, so that who reads them finds it settled.
		flushes := live && n > 0 || err == io.EOF && !c.ledgered()
		if failed := p.pass(c, client, x.take(buffer[:n]), n, flushes); failed != nil {
			return failed
		}
		switch {
		case err == io.EOF:
			x.tail()
			return nil
		case err != nil:
			x.tail()
			return x.why(err)
		}
	}
}

// stream passes an event stream on, each event as it comes, and comments while there are none.
func (p *proxy) stream(c *call, client *http.ResponseController, x *exchange) error {
	_ = flush(client)
	if len(x.held) > 0 {
		if failed := p.pass(c, client, x.held, 0, true); failed != nil {
			return failed
		}
	}
	if x.rest != nil {
		return p.endStream(c, client, x, x.rest)
	}
	quiet := time.NewTimer(p.patience.quiet)
	defer quiet.Stop()
	for f := x.flowing(); ; quiet.Reset(p.patience.quiet) {
		select {
		case got := <-f.pieces:
			out := x.take(got.data)
			if failed := p.pass(c, client, out, len(got.data), len(out) > 0); failed != nil {
				return failed
			}
			if x.broken != nil || got.err != nil {
				return p.endStream(c, client, x, got.err)
			}
			f.taken <- struct{}{}
		case <-quiet.C:
			if !x.between() {
				continue
			}
			if failed := p.pass(c, client, meter.KeepAlive, 0, true); failed != nil {
				return failed
			}
		}
	}
}

// errUnfinished is a stream that ends without having said so.
var errUnfinished = errors.New("the stream ended before it was finished")

// endStream passes on what is left when the upstream's stream has ended, and judges the end.
func (p *proxy) endStream(c *call, client *http.ResponseController, x *exchange, end error) error {
	if rest := x.tail(); len(rest) > 0 {
		if failed := p.pass(c, client, rest, 0, true); failed != nil {
			return failed
		}
	}
	kind := c.ask.Kind
	if x.across {
		kind = kindAcross(x.aim)
	}
	switch {
	case end != nil && !errors.Is(end, io.EOF):
		return end
	case errors.Is(x.broken, translate.ErrFailed):
		return nil // the caller has the error, in its own words
	case x.broken != nil:
		return x.broken
	case ends(kind) && x.meter.Content() && !x.meter.Finished() && x.meter.Failed() == nil:
		return errUnfinished
	}
	return nil
}

// pass writes to the client, and flushes. Each write gives the client new time to take it; net/http lifts the deadline with the end
// of the answer. Where the API drains, or nothing but the usage may be to come, a client that is gone takes nothing more and the upstream
// is read on for its usage.
func (p *proxy) pass(c *call, client *http.ResponseController, out []byte, read int, flushes bool) error {
	most, within, stays := c.readsOn()
	c.gone = c.gone || stays && c.in.Context().Err() != nil
	if c.gone {
		if c.drained += read; c.drained > most {
			return errDrained
		}
		return nil
	}
	_ = client.SetWriteDeadline(time.Now().Add(p.patience.write)) // only a socket has one
	var failed error
	if len(out) > 0 {
		_, failed = c.w.Write(out)
	}
	if failed == nil && flushes {
		failed = flush(client)
	}
	switch {
	case failed == nil:
		return nil
	case stays:
		c.gone = true
		c.last.drain.Reset(within(p.patience))
		return nil
	}
	return errors.Join(errTaken, failed)
}

// readsOn reports whether the upstream is read on for a caller who is gone, how much and how long.
func (c *call) readsOn() (most int, within func(patience) time.Duration, stays bool) {
	if c.drains() {
		return drainBytes, func(p patience) time.Duration { return p.drain }, true
	}
	return closingBytes, func(p patience) time.Duration { return p.closing }, c.ask.Metered && c.last.closing.Load()
}

// flush sends what was written, where the door can.
func flush(client *http.ResponseController) error {
	if err := client.Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

func isEventStream(h http.Header) bool {
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	return kind == "text/event-stream"
}

const (
	// maxScrubbed is how much of an error is searched for the provider's key: providers quote it in their
	// first sentence, if at all.
	maxScrubbed = 64 << 10
	// tellingBytes of the key are masked also where they stand alone, as providers quote keys that they do
	// not know.
	tellingBytes = 8
)

// scrub masks the provider's key in the first part of an error's body. Each byte is replaced by one, so that
// the length stays as it was announced.
func (x *exchange) scrub() {
	x.watch.Reset(x.idle)
	first, err := io.ReadAll(io.LimitReader(x.Body, maxScrubbed))
	x.watch.Stop()
	mask(first, []byte(x.key))
	if len(x.key) > tellingBytes {
		mask(first, []byte(x.key[:tellingBytes]))
	}
	rest := io.Reader(x.Body)
	if err != nil {
		rest = broken{err}
	}
	x.Body = joined{io.MultiReader(bytes.NewReader(first), rest), x.Body}
}

func mask(text, secret []byte) {
	for {
		at := bytes.Index(text, secret)
		if at < 0 {
			return
		}
		for i := range len(secret) {
			text[at+i] = '*'
		}
		text = text[at+len(secret):]
	}
}

// broken is a body's end that is none.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// joined reads from one and closes the other.
type joined struct {
	io.Reader
	io.Closer
}
