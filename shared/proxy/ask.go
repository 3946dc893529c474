package proxy

import (
	"log/slog"
	"net/http"
	"slices"
	"time"

	"keyless/shared/ledger"
	"keyless/shared/proxy/meter"
	"keyless/shared/proxy/translate"
	"keyless/shared/registry"
)

// heldOutput is the output that is held, and asked of the upstream, where a limit of usage meets a call that is bounded by nobody: a
// limit can hold only what has a bound.
const heldOutput = 4096

// read finds out what a call of an LLM API asks, and by how much its output is bounded.
func (c *call) read() *refusal {
	c.ask, c.bound = meter.Ask{Model: c.mcp.tool}, 0 // by a tool's name the ledger knows the call
	if c.route.API.Type != registry.LLM {
		return nil
	}
	ask, unreadable := meter.Read(meter.KindOf(c.in.Method, c.below()), c.in.Header, c.body)
	if unreadable != "" {
		return badRequest(unreadable)
	}
	c.ask = ask
	if refused := c.judgeMetered(); refused != nil {
		return refused
	}
	if ask.Metered && ask.MaxOutput == 0 {
		c.bound = c.route.API.MaxTokensDefault
		if c.bound == 0 && c.limited(limitsUsage) {
			c.bound = heldOutput
		}
	}
	return nil
}

// limited reports whether limits of a kind meet the call.
func (c *call) limited(of func(*registry.Limits) bool) bool {
	list := []*registry.Limits{c.route.API.Limits}
	if c.decision.Consumer != nil {
		list = append(list, c.decision.Consumer.Limits)
	}
	for _, g := range groupsOf(c.known, c.decision.Consumer) {
		list = append(list, g.Limits)
	}
	return slices.ContainsFunc(list, func(l *registry.Limits) bool {
		if l == nil {
			return false
		}
		for _, byModel := range l.Models {
			byModel.Shadow = byModel.Shadow || l.Shadow
			if of(&byModel) {
				return true
			}
		}
		return of(l)
	})
}

// limitsUsage and limitsSpend tell limits of model tokens or money, and of money.
func limitsUsage(l *registry.Limits) bool {
	return l.TokensPerMinute+l.TokensPerHour+l.TokensPerDay+l.TokensPerMonth > 0 || limitsSpend(l)
}

func limitsSpend(l *registry.Limits) bool {
	return !l.Shadow && (l.SpendPerDay != "" || l.SpendPerMonth != "")
}

// most is what the call may use at most: its input, and its bounded output for each of its answers; and what that, with the images
// that it makes, may cost at the dearest of the upstreams that it may reach. What has no price cannot be held to a limit of money, and is
// refused where one applies: a forgotten price must not be a free pass.
func (p *proxy) most(c *call) (tokens, spend int64, refused *refusal) {
	if !c.ask.Metered {
		return 0, 0, nil
	}
	prices, unknown := p.pricesOf(c), false
	for _, a := range c.aims {
		input, output := c.ask.InputOn(a.model), c.ask.Choices*c.output()
		tokens = max(tokens, input+output)
		cost, known := prices.Most(a.upstream.Name, a.model, input, output, c.ask.Images)
		spend, unknown = max(spend, cost), unknown || !known
	}
	if unknown && c.limited(limitsSpend) {
		return 0, 0, &modelUnpriced
	}
	if unknown && len(c.known.Prices) > 0 {
		c.note(slog.Bool("unpriced", true))
	}
	return tokens, spend, nil
}

// output is the bound of one answer's output.
func (c *call) output() int64 {
	switch c.ask.Kind {
	case meter.Embeddings, meter.Rerank:
		return 0 // they answer with vectors and scores
	}
	return max(c.ask.MaxOutput, c.bound)
}

// priced are compiled prices with the revision of what they were compiled from.
type priced struct {
	revision string
	prices   *ledger.Prices
}

// pricesOf returns the prices that the call was routed under, compiled once for each revision.
func (p *proxy) pricesOf(c *call) *ledger.Prices {
	if held := p.prices.Load(); held != nil && held.revision == c.known.Revision {
		return held.prices
	}
	prices, err := ledger.NewPrices(c.known.Prices)
	if err != nil {
		p.Log.Error("the price list cannot be read", "error", err.Error())
	}
	p.prices.Store(&priced{c.known.Revision, prices})
	return prices
}

// bodyUp is the body as an upstream gets it. Where this is the last attempt nobody needs the caller's own any more.
func (c *call) bodyUp(a aim) []byte {
	if c.ask.Kind == meter.Opaque {
		return c.body
	}
	body := a.body
	if !a.across {
		change := meter.Change{MaxOutput: c.bound, IncludeUsage: true}
		if a.model != c.ask.Model {
			change.Model = &a.model
		}
		body = c.ask.Splice(c.body, change)
	}
	if c.lastTry {
		c.body, c.in.Body = nil, http.NoBody
	}
	return body
}

// follow sets a meter on an answer.
func (c *call) follow(x *exchange, now func() time.Time) {
	if c.isMCP() {
		c.followMCP(x)
		return
	}
	if c.route.API.Type != registry.LLM || x.Header.Get("Content-Encoding") != "" {
		return
	}
	ok := x.StatusCode < 300
	x.events = ok && isEventStream(x.Header)
	f := meter.Following{
		Kind: c.ask.Kind, Events: x.events, HideUsage: !c.ask.WantsUsage, Cumulative: c.ask.Cumulative, Choices: c.ask.Choices,
	}
	if x.across {
		f.Kind, f.HideUsage = kindAcross(x.aim), false
	}
	x.meter = meter.New(f)
	if x.across && x.events {
		to, from := dialects(x.aim)
		x.crossing = translate.NewStream(from, to, c.answerOptions(now))
	}
}

// rewrites reports whether the answer's length is not the upstream's.
func (c *call) rewrites(x *exchange) bool {
	return x.across || x.mcp != nil || x.events && c.ask.Kind != meter.Opaque
}
