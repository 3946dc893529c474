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
)

// bufferBytes is one read's worth.
const bufferBytes = 32 << 10

var buffers = sync.Pool{New: func() any { return new([bufferBytes]byte) }}

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
	events := isEventStream(x.Header)
	c.w.WriteHeader(x.StatusCode)
	err := p.copy(c.w, client, x, events || x.ContentLength < 0)
	switch {
	case err == nil:
		return
	case errors.Is(err, errTaken):
		c.note(slog.String("reason", "client_gone"))
		panic(http.ErrAbortHandler)
	}
	cut := c.upstreamFailed(err, x.key)
	c.note(slog.String("reason", cut.code))
	if events && x.ContentLength < 0 && x.Header.Get("Content-Encoding") == "" {
		_, _ = io.WriteString(c.w, c.dialect.event(cut, c)) // who is gone need not read it
	}
	// With a head in hand the client knows that its call had an effect, and does not repeat it by itself.
	_ = flush(client)
	panic(http.ErrAbortHandler)
}

// copy reads and writes until the body ends. The error is the upstream's, or wraps errTaken. A live answer
// is flushed at each read. Each read gives the client new time to take it; net/http lifts the deadline with
// the end of the answer.
func (p *proxy) copy(w io.Writer, client *http.ResponseController, x *exchange, live bool) error {
	buffer := buffers.Get().(*[bufferBytes]byte)
	defer buffers.Put(buffer)
	if live {
		_ = flush(client) // the head may be all there is for a while
	}
	for {
		x.watch.Reset(x.idle)
		n, err := x.Body.Read(buffer[:])
		x.watch.Stop()
		_ = client.SetWriteDeadline(time.Now().Add(p.patience.write)) // only a socket has one
		if n > 0 {
			if _, failed := w.Write(buffer[:n]); failed != nil {
				return errors.Join(errTaken, failed)
			}
		}
		if live && n > 0 || err == io.EOF {
			if failed := flush(client); failed != nil {
				return errors.Join(errTaken, failed)
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return x.why(err)
		}
	}
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
	mask(first, x.key)
	if len(x.key) > tellingBytes {
		mask(first, x.key[:tellingBytes])
	}
	rest := io.Reader(x.Body)
	if err != nil {
		rest = broken{err}
	}
	x.Body = joined{io.MultiReader(bytes.NewReader(first), rest), x.Body}
}

func mask(text []byte, secret string) {
	for {
		at := bytes.Index(text, []byte(secret))
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
