package proxy

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"keyless/shared/ledger"
	"keyless/shared/proxy/meter"
)

// An API with a cache answers a call of a model that was asked before, byte for byte, from what it answered then. The call has been
// judged and admitted like any other, and counts as one; it uses nothing and costs nothing, and the ledger says that it was cached.
//
// What is kept is a whole 200 as the caller got it, a stream as its events; never an error, a stream that was cut or did not say that
// it ended, nor what a caller left. It ends by the API's ttl, and at once where the API's upstreams change. `Cache-Control: no-cache`
// asks anew and keeps the answer; `no-store` does neither. A store that is away is a miss.

// Answers keeps sealed answers by name. Made by NewAnswers; an error costs nobody a call.
type Answers interface {
	// Recall returns what is kept under a name; nil for nothing.
	Recall(ctx context.Context, name string) (sealed []byte, err error)
	// Keep puts it there, for so long.
	Keep(ctx context.Context, name string, sealed []byte, lasts time.Duration) error
}

// cachedWithin bounds what looking, and keeping, may delay a call.
const cachedWithin = 250 * time.Millisecond

// maxCached bounds an answer's time in the store, whatever the registry says: no store fills up for good.
const maxCached = 7 * 24 * time.Hour

// repeats are the kinds whose answer is all that they do. Answers with links that end (images), jobs that go on (native calls) and
// forms, which are never equal, are not among them.
func repeats(kind meter.Kind) bool {
	switch kind {
	case meter.Chat, meter.Completions, meter.Responses, meter.Messages, meter.Embeddings, meter.Rerank, meter.Moderations,
		meter.CountTokens, meter.Speech:
		return true
	}
	return false
}

// cacheable reports whether the call's answer may be one of earlier. What points to something outside of itself may not.
func (p *proxy) cacheable(c *call) bool {
	return c.route.API.Cache != nil && p.Answers != nil && len(c.known.Pepper) > 0 && repeats(c.ask.Kind) && !c.ask.Unseen
}

// recall answers from the cache, and reports whether it could. Else the call's answer is taken down from now on.
func (p *proxy) recall(c *call) bool {
	if !p.cacheable(c) {
		return false
	}
	c.tape = &tape{ResponseWriter: c.w, word: wordMiss}
	c.w = c.tape
	wish := tokensOf(c.in.Header["Cache-Control"])
	if wish["no-store"] {
		c.tape.word, c.tape.off = wordBypass, true
		return false
	}
	c.drawn = c.drawer()
	if wish["no-cache"] || wish["max-age=0"] {
		c.tape.word = wordBypass
		return false
	}
	found, age, there := p.look(c)
	if !there {
		return false
	}
	c.hit, c.tape.word, c.tape.off = true, wordHit, true
	p.repeat(c, found, age)
	return true
}

// look finds the answer and its age. What does not open is none.
func (p *proxy) look(c *call) (answer, time.Duration, bool) {
	ctx, cancel := context.WithTimeout(c.in.Context(), cachedWithin)
	defer cancel()
	sealed, err := p.Answers.Recall(ctx, c.drawn.name)
	if err != nil {
		c.note(slog.String("cache", err.Error()))
	}
	if sealed == nil || err != nil {
		return answer{}, 0, false
	}
	found, err := c.drawn.open(sealed)
	if err != nil {
		c.note(slog.String("cache", err.Error()))
		return answer{}, 0, false
	}
	age := max(p.Now().Sub(time.UnixMilli(found.At)), 0)
	return found, age, age < p.keeps(c) // the ttl may have become shorter
}

// keeps is how long an answer of the call's API is kept.
func (p *proxy) keeps(c *call) time.Duration {
	return min(time.Duration(c.route.API.Cache.TTL), maxCached)
}

// repeat sends a kept answer.
func (p *proxy) repeat(c *call, found answer, age time.Duration) {
	h := c.w.Header()
	for name, value := range found.Header {
		h.Set(name, value)
	}
	h.Set("Age", strconv.FormatInt(int64(age/time.Second), 10))
	if !isEventStream(h) {
		h.Set("Content-Length", strconv.Itoa(len(found.body)))
	}
	c.admission.SetHeaders(h)
	_ = http.NewResponseController(c.w).SetWriteDeadline(time.Now().Add(p.patience.write)) // only a socket has one
	c.begin(http.StatusOK)
	c.end = ledger.EndComplete
	if _, err := c.w.Write(found.body); err != nil {
		c.end = ledger.EndClientGone
	}
	c.note(slog.String("cache", wordHit), slog.String("ended", c.end))
}

// remember keeps an answer that went to its caller whole.
func (p *proxy) remember(c *call, x *exchange) {
	if c.tape == nil || c.tape.off || len(c.tape.body) == 0 || c.end != ledger.EndComplete || !c.finished(x) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.in.Context()), cachedWithin)
	defer cancel()
	sealed := c.drawn.seal(newAnswer(p.Now(), c.w.Header(), c.tape.body))
	if err := p.Answers.Keep(ctx, c.drawn.name, sealed, p.keeps(c)); err != nil {
		c.note(slog.String("cache", err.Error()))
	}
}

// finished reports whether an answer said that it is whole: an end of the connection alone may be a cut. Sound says nothing, and needs
// a frame that does.
func (c *call) finished(x *exchange) bool {
	switch {
	case x.meter == nil || x.meter.Failed() != nil:
		return false
	case c.ask.Kind == meter.Speech && !x.events:
		return x.ContentLength >= 0 || len(x.TransferEncoding) > 0 || x.ProtoMajor >= 2
	case c.ask.Kind == meter.Responses && !x.events:
		var of struct {
			Status string `json:"status"`
		}
		return json.Unmarshal(c.tape.body, &of) == nil && of.Status == "completed" // else it is under way, in the background
	}
	return x.meter.Finished()
}
