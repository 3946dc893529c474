package proxy

import (
	"errors"
	"io"
	"net/http"
	"time"

	"keyless/shared/proxy/meter"
	"keyless/shared/proxy/translate"
)

// flow reads an event stream beside who writes it, so that a silence can be noticed. One piece is under way at a time: what the client
// does not take is not read.
type flow struct {
	pieces chan piece    // closed never; nothing comes after an error
	taken  chan struct{} // the piece may be read over
	done   chan struct{} // the reader has ended
}

type piece struct {
	data []byte
	err  error // the end, io.EOF where the upstream ended the stream well
}

// flowing starts to read. The reader ends with the exchange at the latest, and end waits for it.
func (x *exchange) flowing() *flow {
	if x.flow != nil {
		return x.flow
	}
	f := &flow{pieces: make(chan piece), taken: make(chan struct{}), done: make(chan struct{})}
	x.flow = f
	go func() {
		defer close(f.done)
		buffer := streamBuffers.Get().(*[streamBytes]byte)
		defer streamBuffers.Put(buffer)
		for {
			x.watch.Reset(x.idle)
			n, err := x.Body.Read(buffer[:])
			x.watch.Stop()
			if err != nil && !errors.Is(err, io.EOF) {
				err = x.why(err)
			}
			select {
			case f.pieces <- piece{buffer[:n], err}:
			case <-x.ctx.Done():
				// Where the exchange is cancelled for its silence somebody waits for the word.
				select {
				case f.pieces <- piece{buffer[:n], x.why(x.ctx.Err())}:
				case <-x.over:
				}
				return
			}
			if err != nil {
				return
			}
			select {
			case <-f.taken:
			case <-x.over:
				return
			}
		}
	}()
	return f
}

// Bounds of waiting for a stream's first content before its head goes out.
const (
	// holdsFor is below what gateways in front of us take for silence.
	holdsFor = 10 * time.Second
	// maxHeld is far above what comes before the first content.
	maxHeld = 64 << 10
)

// hold waits for the first content of a stream: up to there another upstream can still take the call. What was read is kept.
func (p *proxy) hold(c *call, x *exchange) *setback {
	timer := time.NewTimer(holdsFor)
	defer timer.Stop()
	f := x.flowing()
	for len(x.held) < maxHeld {
		select {
		case got := <-f.pieces:
			x.held = append(x.held, x.take(got.data)...)
			if got.err != nil {
				x.rest = got.err
				if c.in.Context().Err() != nil {
					return &setback{why: ofOurs, err: got.err}
				}
				return x.early(got.err)
			}
			f.taken <- struct{}{}
			if failure := x.early(nil); failure != nil {
				return failure
			}
			if x.broken != nil && !errors.Is(x.broken, translate.ErrFailed) {
				return &setback{why: ofEarly, status: http.StatusBadGateway, err: x.broken}
			}
			if x.meter.Content() || x.meter.Finished() {
				return nil
			}
		case <-timer.C:
			return nil
		}
	}
	return nil
}

// early is how a stream failed before its first content; nil where it did not.
func (x *exchange) early(end error) *setback {
	switch failed := x.meter.Failed(); {
	case failed != nil && failed.Early:
		return &setback{why: ofEarly, status: failed.Status, ofKey: failed.Status == http.StatusTooManyRequests}
	case x.meter.Content() || x.meter.Finished() || end == nil:
		return nil
	case !errors.Is(end, io.EOF):
		return &setback{why: ofEarly, status: http.StatusBadGateway, err: end}
	}
	return nil
}

// take meters what comes of an answer and returns what of it the caller gets. It is valid until the next call.
func (x *exchange) take(data []byte) []byte {
	x.seen += int64(len(data))
	if x.mcp != nil {
		var out []byte
		out, x.broken = x.mcp.feed(data)
		return out
	}
	if x.meter == nil {
		return data
	}
	out := x.meter.Feed(data)
	if x.meter.Closing() && x.answered() {
		x.closing.Store(true)
	}
	if x.first == 0 && x.events && x.meter.Content() {
		x.first = time.Since(x.began)
	}
	if x.crossing != nil && x.broken == nil {
		out, x.broken = x.crossing.Write(data)
	} else if x.broken != nil {
		return nil
	}
	return out
}

// tail ends the metering and returns what was held back.
func (x *exchange) tail() []byte {
	if x.mcp != nil && x.broken == nil {
		var out []byte
		out, x.broken = x.mcp.close()
		return out
	}
	if x.meter == nil {
		return nil
	}
	out := x.meter.Close()
	switch {
	case x.crossing == nil:
		return out
	case x.broken != nil:
		return nil
	}
	out, x.broken = x.crossing.Close()
	return out
}

// between reports whether an event of ours may stand here.
func (x *exchange) between() bool {
	return x.crossing != nil || x.mcp != nil && x.mcp.between() || x.meter != nil && x.meter.Between()
}

// ends are the kinds whose streams say when they are whole.
func ends(kind meter.Kind) bool {
	switch kind {
	case meter.Chat, meter.Completions, meter.Messages, meter.Responses:
		return true
	}
	return false
}
