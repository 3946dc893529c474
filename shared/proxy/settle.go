package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"keyless/shared/ledger"
	"keyless/shared/proxy/meter"
	"keyless/shared/proxy/translate"
	"keyless/shared/quota"
	"keyless/shared/registry"
)

// settleWithin bounds the settlement of a call whose client may be gone.
const settleWithin = 3 * time.Second

// ledgered reports whether the ledger wants the call.
func (c *call) ledgered() bool { return c.route.API.Type != registry.HTTP }

// settle closes a call's account, once, before its handler ends: the package comment has the rule. A call that sent nothing is given
// back. What cannot be settled stays charged with what it held, which is the safe side.
func (p *proxy) settle(c *call) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.in.Context()), settleWithin)
	defer cancel()
	c.noteEnd()
	if !c.sent.Load() && !c.hit {
		if err := p.Quota.GiveBack(ctx, c.admission); err != nil {
			c.note(slog.String("give_back", err.Error()))
		}
		return
	}
	var entry *ledger.Entry
	var used quota.Used
	if c.ledgered() {
		entry = p.entry(c)
		used = quota.Used{Tokens: entry.Usage.Tokens(), Spend: entry.Cost}
		c.noteBeyond(used)
	} else if c.route.API.Concurrency == 0 {
		return // nothing is held that was not used
	}
	if err := p.Quota.Settle(ctx, c.admission, used, entry); err != nil {
		c.note(slog.String("settle", err.Error()))
	}
}

// noteBeyond tells the operator of an upstream that uses more than the call was bounded to: many do not keep to max_tokens. It is
// charged all the same, for the provider bills it; so a limit is passed by it once, and refuses from there on. Where nothing bounds the
// call there is nothing to tell.
func (c *call) noteBeyond(told quota.Used) {
	bounded := c.ask.Metered && !c.ask.Unseen && c.limited(limitsUsage)
	if bounded && (told.Tokens > c.held.Tokens || told.Spend > c.held.Spend) {
		c.note(slog.Bool("beyond_bound", true))
	}
}

// entry is the call in the ledger's words. One that the cache answered reached no upstream and used nothing.
func (p *proxy) entry(c *call) *ledger.Entry {
	e := &ledger.Entry{
		RequestID: c.id, At: c.at, Domain: c.route.Domain.Name, API: c.route.API.Name,
		Client: c.decision.ClientID, Subject: c.decision.Subject, Model: c.ask.Model, Cached: c.hit,
		Status: c.status, End: c.end, Attempts: c.attempts,
		Latency: time.Since(c.began).Milliseconds(), FirstToken: c.firstToken().Milliseconds(),
	}
	if c.decision.Consumer != nil {
		e.Consumer = c.decision.Consumer.Name
	}
	if c.hit {
		return e
	}
	x := c.last
	e.Upstream, e.UpstreamModel = x.upstream.Name, x.model
	e.Usage, e.Estimated = c.usage()
	if x.answered() || e.Usage != (ledger.Usage{}) {
		e.Cost, _ = p.pricesOf(c).Cost(x.upstream.Name, x.model, e.Usage)
	}
	c.note(slog.Int64("input", e.Usage.Input), slog.Int64("output", e.Usage.Output))
	if e.Estimated {
		c.note(slog.Bool("estimated", true))
	}
	return e
}

// answered reports whether the upstream took the call.
func (x *exchange) answered() bool {
	return x.Response != nil && x.StatusCode < http.StatusMultipleChoices
}

// usage is what the last attempt used, and whether some of it is an estimate.
func (c *call) usage() (used ledger.Usage, estimated bool) {
	x := c.last
	switch {
	case !c.ask.Metered || !x.sent.Load():
		return ledger.Usage{}, false
	case x.Response == nil: // nobody knows what became of it, and the provider may charge for it
		return ledger.Usage{Input: c.ask.Likely}, true
	case !x.answered():
		return ledger.Usage{}, false
	case x.meter == nil: // packed, so that nobody could read it
		return ledger.Usage{Input: c.ask.Likely, Output: x.seen / packedBytes}, true
	}
	told, known := x.meter.Usage()
	whole := !x.events || x.meter.Finished() || !ends(c.ask.Kind)
	nonsense := told.Input == 0 && told.Images == 0 // no call has no input
	if known && nonsense {
		told.Input = c.ask.Likely
	}
	switch failed := x.meter.Failed(); {
	case known && whole:
		return told, nonsense
	case known: // told before the end, as Anthropic's first event does
		told.Output = max(told.Output, x.meter.Output())
		return told, true
	case failed != nil && failed.Early:
		return ledger.Usage{}, false
	}
	used = ledger.Usage{Input: c.ask.Likely, Output: x.meter.Output()}
	if c.ask.Kind == meter.Images {
		used.Images = c.ask.Choices
	}
	return used, true
}

// packedBytes of a compressed answer are about a model token.
const packedBytes = 2

// firstToken is the time to the first content of a stream, 0 where none came.
func (c *call) firstToken() time.Duration {
	if c.last == nil || c.last.first == 0 {
		return 0
	}
	return c.last.began.Sub(c.began) + c.last.first
}

// endOf says how an exchange ended whose head went to the caller.
func (c *call) endOf(x *exchange, err error) string {
	switch {
	case c.gone || errors.Is(err, errTaken) || errors.Is(c.in.Context().Err(), context.Canceled):
		return ledger.EndClientGone
	case errors.Is(err, errSilent) || errors.Is(err, errOvertime) || c.in.Context().Err() != nil:
		return ledger.EndTimeout
	case err != nil && (x.broken == nil || errors.Is(x.broken, translate.ErrCut)):
		return ledger.EndCut
	case err != nil || x.StatusCode >= http.StatusBadRequest || x.meter != nil && x.meter.Failed() != nil:
		return ledger.EndError
	}
	return ledger.EndComplete
}

// noteEnd puts what became of the attempts on the access line.
func (c *call) noteEnd() {
	x := c.last
	if x == nil {
		return
	}
	if c.end == "" { // refused in place of an answer
		c.end = ledger.EndError
	}
	c.note(slog.String("upstream", x.upstream.Name), slog.Int("attempts", c.attempts), slog.String("ended", c.end))
	if x.Response != nil {
		c.note(slog.Int("upstream_status", x.StatusCode), slog.Int64("ttfb_ms", x.head.Milliseconds()))
	}
	if first := c.firstToken(); first > 0 {
		c.note(slog.Int64("first_token_ms", first.Milliseconds()))
	}
	if len(c.failures) > 0 {
		c.note(slog.String("failed_attempts", strings.Join(c.failures, ", ")))
	}
}
