package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"keyless/shared/proxy/meter"
	"keyless/shared/registry"
)

// leg is one attempt: an aim and the key that is used there.
type leg struct {
	aim
	key string // the provider's key, "" for none
	own bool   // it is the consumer's own
}

// setback is why an attempt is no answer for the caller, as long as there is another.
type setback struct {
	why    string // one of the constants
	status int    // that the caller would see
	err    error  // of the exchange; nil where there is an answer
	ofKey  bool   // another key may do
}

// Why an attempt failed. connect and first_byte are also the words of `retries.on`.
const (
	ofConnect   = "connect"    // no byte was sent
	ofFirstByte = "first_byte" // silence until the time was over
	ofBreak     = "broken"     // it broke off before any content
	ofStatus    = "status"
	ofEarly     = "early"      // an error event before any content of a stream
	ofUnproven  = "credential" // we have none for the upstream, and nothing was sent
	ofOurs      = "ours"       // the caller is gone, or the time of the call is over
)

// plan chooses the attempts of one call, one after another.
type plan struct {
	*proxy
	c     *call
	rules retryRules
	left  int // attempts
	at    int // the aim whose turn it is
	tried map[string][]string
	shut  bool // some aim was passed over because its circuit is open
}

func (p *proxy) planFor(c *call) *plan {
	n := &plan{proxy: p, c: c, rules: rulesOf(c.route.API.Retries), tried: map[string][]string{}}
	n.left = n.rules.attempts
	// Upstreams whose keys all rest come last.
	slices.SortStableFunc(c.aims, func(a, b aim) int { return n.idle(a) - n.idle(b) })
	return n
}

func (n *plan) idle(a aim) int {
	if c := n.c.decision.Consumer; c != nil && c.UpstreamKeys[a.upstream.Name] != "" || !n.resting.rests(a.upstream) {
		return 0
	}
	return 1
}

// next finds the next attempt; false where none is left.
func (n *plan) next() (leg, bool) {
	for ; n.at < len(n.c.aims); n.at++ {
		a := n.c.aims[n.at]
		name := a.upstream.Name
		l, found := n.keyed(a)
		if !found {
			continue
		}
		if !n.breaker.allows(n.c.in.Context(), name) {
			n.shut = true
			continue
		}
		n.tried[name] = append(n.tried[name], l.key)
		n.left--
		return l, true
	}
	return leg{}, false
}

// keyed chooses the key: a consumer's own where it has one, which nobody else's failures concern.
func (n *plan) keyed(a aim) (leg, bool) {
	tried := n.tried[a.upstream.Name]
	if consumer := n.c.decision.Consumer; consumer != nil {
		if own := consumer.UpstreamKeys[a.upstream.Name].Reveal(); own != "" {
			return leg{a, own, true}, len(tried) == 0
		}
	}
	if last := n.c.last; byGrant(a.upstream) && len(tried) == 1 && last != nil && last.upstream == a.upstream && last.proof.renews {
		return leg{aim: a}, true // with another token
	}
	key, found := n.resting.choose(a.upstream, tried)
	return leg{a, key, false}, found
}

// after finds the attempt that follows a setback; false where the setback stands.
func (n *plan) after(s setback, x *exchange) (leg, bool) {
	if n.left <= 0 || !n.rules.cover(s) || x.sent.Load() && !n.c.repeatable() || !n.inTime() {
		return leg{}, false
	}
	if !s.ofKey {
		n.at++
	}
	l, found := n.next()
	if !found && !s.ofKey && s.why != ofEarly && s.why != ofUnproven {
		// All were tried. What may have been bad luck is tried once more, a little later.
		n.at, n.tried = 0, map[string][]string{}
		l, found = n.next()
		if found {
			wait(n.c.in.Context(), againAfter+rand.N(againAfter))
		}
	}
	if !found {
		return leg{}, false
	}
	if !n.budget.retry() {
		n.breaker.unknown(l.upstream.Name)
		n.c.note(slog.String("retries", "the budget is spent"))
		return leg{}, false
	}
	return l, true
}

// againAfter, and as much again by chance, passes before an upstream is asked again that has just failed.
const againAfter = 100 * time.Millisecond

func wait(ctx context.Context, lasts time.Duration) {
	timer := time.NewTimer(lasts)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// inTime reports whether the caller is there and time for another attempt is left.
func (n *plan) inTime() bool {
	ctx := n.c.in.Context()
	end, bounded := ctx.Deadline()
	return ctx.Err() == nil && (!bounded || time.Until(end) >= leastTime)
}

// reach tries until an upstream takes the call. The exchange is nil where none was tried; the setback is nil where its answer is the
// caller's, else the answer, if there is one, is what is left.
func (p *proxy) reach(c *call) (*exchange, *setback) {
	n := p.planFor(c)
	p.budget.call()
	l, found := n.next()
	if !found {
		return nil, nil
	}
	for {
		c.lastTry = n.left == 0
		x, failed := p.attempt(c, l, n.left > 0 && n.rules.coverEarly())
		if failed == nil {
			return x, nil
		}
		c.failures = append(c.failures, l.upstream.Name+" "+failed.String())
		if l, found = n.after(*failed, x); !found {
			return x, failed
		}
		x.end()
	}
}

func (s setback) String() string {
	if s.why == ofStatus || s.why == ofEarly {
		return fmt.Sprintf("%s %d", s.why, s.status)
	}
	return s.why
}

// attempt sends the call once and judges what comes. Where it holds, a stream's head waits for the first content.
func (p *proxy) attempt(c *call, l leg, holds bool) (*exchange, *setback) {
	c.attempts++
	x, err := p.send(c, l)
	c.last = x
	failed := p.judge(c, x, err)
	if failed == nil && holds && x.events && x.StatusCode == http.StatusOK && c.ask.Kind != meter.Opaque {
		failed = p.hold(c, x)
	}
	p.learn(c, x, failed)
	return x, failed
}

// judge tells an answer from a failure, by its head.
func (p *proxy) judge(c *call, x *exchange, err error) *setback {
	switch {
	case err != nil && (c.in.Context().Err() != nil || errors.Is(err, errOvertime)):
		return &setback{why: ofOurs, err: err}
	case errors.Is(err, errUnproven):
		return &setback{why: ofUnproven, status: http.StatusBadGateway, err: err}
	case err != nil && !x.sent.Load():
		return &setback{why: ofConnect, err: err}
	case errors.Is(err, errSilent):
		return &setback{why: ofFirstByte, err: err}
	case err != nil:
		return &setback{why: ofBreak, status: http.StatusBadGateway, err: err}
	case x.refusesKey(c):
		return &setback{why: ofStatus, status: x.StatusCode, ofKey: true}
	case x.StatusCode >= http.StatusBadRequest:
		return &setback{why: ofStatus, status: x.StatusCode, ofKey: x.StatusCode == http.StatusTooManyRequests}
	}
	return nil
}

// refusesKey reports whether the upstream does not accept a key of ours.
func (x *exchange) refusesKey(c *call) bool {
	if x.proof.granted && x.StatusCode == http.StatusUnauthorized {
		return true
	}
	return c.managed() && x.key != "" && (x.StatusCode == http.StatusUnauthorized || x.StatusCode == http.StatusForbidden)
}

// learn remembers what an attempt tells of the upstream and of its key. The caller's own doings tell nothing, and a plain backend's
// statuses are between it and its callers.
func (p *proxy) learn(c *call, x *exchange, failed *setback) {
	ctx, name := c.in.Context(), x.upstream.Name
	switch {
	case failed == nil:
		p.breaker.worked(ctx, name)
		return
	case failed.why == ofOurs && errors.Is(failed.err, errOvertime):
		p.breaker.failed(ctx, name, c.caller(), false)
	case failed.why == ofOurs || failed.why == ofUnproven:
		p.breaker.unknown(name)
	case failed.why == ofConnect || failed.why == ofFirstByte || failed.why == ofBreak || c.outage(failed.status):
		faint := failed.err == nil && failed.status == http.StatusInternalServerError // what one request may bring about
		p.breaker.failed(ctx, name, c.caller(), faint)
	default:
		p.breaker.worked(ctx, name)
	}
	if !failed.ofKey || x.own || x.key == "" {
		return
	}
	if x.proof.granted && failed.status == http.StatusUnauthorized {
		x.proof.renews = p.grants.refuse(x.proof.grantee, x.key)
		if x.proof.renews {
			return
		}
	}
	p.resting.rest(providerKey{name, x.key}, restOf(x, p.Now()))
	if failed.why == ofStatus && failed.status != http.StatusTooManyRequests {
		p.alarm(c, x)
	}
}

// caller is the consumer's name, "" for one without.
func (c *call) caller() string {
	if c.decision.Consumer == nil {
		return ""
	}
	return c.decision.Consumer.Name
}

// alarm tells the operator that an upstream does not accept our credential, whatever becomes of the call.
func (p *proxy) alarm(c *call, x *exchange) {
	p.Log.Error("an upstream refuses the provider's key", "upstream", x.upstream.Name,
		"api", c.route.API.Name, "status", x.StatusCode, "request_id", c.id)
}

func (c *call) outage(status int) bool { return c.route.API.Type == registry.LLM && outage(status) }

// outage reports whether a status says that the upstream fails, rather than what it is asked.
func outage(status int) bool {
	return status >= http.StatusInternalServerError && status != http.StatusNotImplemented &&
		status != http.StatusHTTPVersionNotSupported
}

// retryRules are an API's `retries`.
type retryRules struct {
	attempts int
	words    []string // connect, first_byte
	statuses []int
}

// rulesOf reads them; without any a call is tried once.
func rulesOf(r *registry.Retries) retryRules {
	if r == nil {
		return retryRules{attempts: 1}
	}
	rules := retryRules{attempts: int(max(r.Attempts, 1))}
	rules.words, rules.statuses = r.Causes()
	return rules
}

// cover reports whether a setback is worth another attempt. A key that is refused always is: the caller has no part in it.
func (r retryRules) cover(s setback) bool {
	switch s.why {
	case ofConnect, ofFirstByte:
		return slices.Contains(r.words, s.why)
	case ofUnproven:
		return true // another upstream may do, and the caller has no part in it
	case ofStatus, ofBreak:
		return slices.Contains(r.statuses, s.status) || s.ofKey && s.status != http.StatusTooManyRequests
	case ofEarly:
		return slices.Contains(r.statuses, s.status) || r.coverEarly()
	}
	return false
}

// coverEarly reports whether a stream that fails before its first content is worth another attempt.
func (r retryRules) coverEarly() bool {
	return slices.Contains(r.words, ofFirstByte) || slices.ContainsFunc(r.statuses, outage)
}
