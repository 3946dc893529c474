// Package proxy is the data path of the gateway: it takes a call to its upstream once it is known who calls
// and that they may.
//
// A request meets it behind accesslog, which has settled its id. The story is ServeHTTP: route, decide, read
// the body, find where the call may go, admit, forward, settle. A body is read after the decision, so that
// strangers cannot make us read, and before the admission, so that one that is too large costs its caller
// nothing. Bytes pass as they came both ways, save for the model's name, the bound of the output and the wish
// for usage, which are spliced in, and for calls that cross from one dialect to another (across.go).
//
// Where a call may go stands in aim.go, what is tried after what in attempt.go: another key, another upstream,
// never after content has gone out, and never beyond the budget of retries. One call has one reservation and
// one settlement, whatever happens.
//
// What is settled: a call that sent nothing is given back. Else the call counts, and of its attempts the last
// one is charged. What the provider tells is what was used. Where it tells nothing, or nonsense, or its answer
// ended early (cut, or the caller left an API that cancels), the input is charged by its likely size and the
// output by what was seen of it; of what was told the larger counts. An attempt that was sent and never
// answered is charged its input; one that was answered by an error nothing. An API that drains reads on when
// the caller is gone, for 30 seconds and 4 MiB at most, so that the provider can tell; any API where nothing but
// the usage may be to come, for 2 seconds and 64 KiB. A limit of model tokens or money refuses what would be
// metered by nobody (unmetered.go).
//
// An API may keep answers (cache.go): a call that was asked before is judged and admitted like any other, reaches no
// upstream, and is settled with nothing used. An upstream is told who calls by a provider's key, a signature of the
// function's role (sigv4.go) or a token that is fetched for it (upstream_oauth.go).
//
// Nothing outlives its request but idle connections to upstreams, which end after 30 seconds of wall clock.
// Redirects are never followed, trailers and interim answers (1xx) are dropped, an answer that is cut looks
// cut (http.ErrAbortHandler). Memory: a body, once more where it is spliced and may be sent again, and 64 KiB
// for a stream.
//
// Sources: RFC 9110 §7.6 (hop-by-hop), §9.2.2 (idempotent methods), RFC 6750 §3 (challenges), RFC 9457
// (problems), W3C Trace Context, Fetch standard §3.2 (CORS), JSON-RPC 2.0.
package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"keyless/shared/auth"
	"keyless/shared/cloud"
	"keyless/shared/ledger"
	"keyless/shared/quota"
	"keyless/shared/registry"
)

// Admitter counts a call before it goes out, takes the count back where it did not go out, and settles what
// it used where it did. *quota.Quota is one.
// It sets its own deadlines and is safe for concurrent use.
type Admitter interface {
	Admit(ctx context.Context, c quota.Call) (quota.Admission, error)
	GiveBack(ctx context.Context, a quota.Admission) error
	Settle(ctx context.Context, a quota.Admission, used quota.Used, entry *ledger.Entry) error
}

// Revocations is the memory of revoked tokens. Revoked reports of each digest whether it was revoked; an error means that nobody knows,
// which is no permission. *quota.Quota is one.
type Revocations interface {
	Revoked(ctx context.Context, digests ...string) ([]bool, error)
}

// Refusals counts the calls of a proven consumer that the gateway refused. *ledger.Refusals is one.
type Refusals interface {
	Refused(ctx context.Context, consumer, api string) error
}

// Options are the rooms that the proxy calls into.
type Options struct {
	Reader   *registry.Reader
	Gate     *auth.Gate
	Quota    Admitter
	Revoked  Revocations // for answers of our own, which need no admission
	Trail    auth.Trail  // nil: refusals are not kept for explain
	Refusals Refusals    // nil: they are not counted
	Now      func() time.Time
	Log      *slog.Logger // alarms only; what belongs to a request goes to its access line
	MaxBody  int64        // what the door can carry, in bytes; 0: 32 MiB

	PublicURL string // scheme and host: the base of our instances' issuers; "": no metadata of protected resources

	Circuits Circuits // nil: this process finds out by itself which upstreams fail

	Lookup  cloud.Lookup // the environment, for the credentials of the function's role; nil: it has none
	Answers Answers      // nil: no API has a cache
}

// New makes the handler. It stands behind accesslog.Handler and is safe for concurrent use.
func New(o Options) http.Handler { return newProxy(o) }

type proxy struct {
	Options
	transport http.RoundTripper
	patience  patience
	breaker   *breaker
	resting   *resting
	budget    *budget
	grants    *grants
	prices    atomic.Pointer[priced]
}

func newProxy(o Options) *proxy {
	if o.MaxBody <= 0 {
		o.MaxBody = registry.DefaultBodyMaxBytes
	}
	way := newTransport()
	return &proxy{
		Options: o, transport: way, patience: defaultPatience,
		breaker: newBreaker(o.Now, o.Circuits), resting: newResting(o.Now), budget: newBudget(o.Now),
		grants: newGrants(way, defaultPatience.connect, o.Now),
	}
}

// ServeHTTP is the story of a call.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := newCall(w, r)
	defer c.log()
	if asksResource(r) {
		p.serveResource(c)
		return
	}
	err := p.permit(c)
	switch {
	case err != nil:
		c.refuse(failed(c, err))
	case c.refused != nil:
		c.refuse(*c.refused)
		p.keep(c)
	case c.ours:
		c.answer()
	default:
		p.forward(c)
	}
}

// permit finds out whether the call may go ahead: c.refused says why not. Where it rests on old knowledge,
// it is considered anew.
func (p *proxy) permit(c *call) error {
	if c.refused = unsupported(c.in); c.refused != nil {
		return nil
	}
	return p.Reader.Consult(c.in.Context(), func(v registry.View) (registry.Result, error) {
		return p.consider(c, v)
	})
}

func (p *proxy) consider(c *call, v registry.View) (registry.Result, error) {
	switch c.refused = c.find(v); c.refused {
	case nil:
	case &apiNotFound:
		return registry.Refused, nil // a newer registry may know it
	default:
		return registry.Final, nil
	}
	if c.ours = c.cors(); c.ours {
		return registry.Refused, nil
	}
	if c.refused = c.judgeOrigin(); c.refused != nil {
		return registry.Refused, nil
	}
	ctx := c.in.Context()
	decision, err := p.Gate.Decide(ctx, v, c.in, c.route.API)
	if err != nil {
		return registry.Final, err
	}
	c.decision = decision
	if !decision.Allowed {
		c.refused = ofDecision(decision)
		return decision.Result(), nil
	}
	if c.refused = c.readBody(p.maxBody(c.route.API)); c.refused != nil {
		return registry.Final, nil
	}
	if c.refused = c.judgeEncoding(); c.refused != nil {
		return registry.Final, nil
	}
	if c.asksModels() {
		if c.listModels(); c.ours {
			return p.judgeRevoked(c) // which else the admission does
		}
	} else if c.refused = c.judgeModel(); c.refused != nil {
		return c.decision.Result(), nil
	} else if c.refused = c.readMCP(); c.refused != nil {
		return c.decision.Result(), nil
	}
	if c.aim(v.Snapshot) != nil {
		return registry.Refused, nil // as far as this registry knows
	}
	if end, bounded := ctx.Deadline(); bounded && time.Until(end) < leastTime {
		return registry.Final, errLate
	}
	return p.admit(c, v)
}

func (p *proxy) admit(c *call, v registry.View) (registry.Result, error) {
	tokens, spend, unpriced := p.most(c)
	if unpriced != nil {
		c.refused = unpriced
		return registry.Refused, nil // a newer registry may know the price
	}
	c.at = p.Now()
	c.held = quota.Used{Tokens: tokens, Spend: spend}
	admission, err := p.Quota.Admit(c.in.Context(), quota.Call{
		RequestID: c.id, Revision: v.Revision, Domain: c.route.Domain, API: c.route.API,
		Consumer: c.decision.Consumer, Groups: groupsOf(v.Snapshot, c.decision.Consumer),
		Model: c.ask.Model, Tokens: tokens, Spend: spend, Longest: p.longest(c), Revocation: c.decision.Revocation,
	})
	if err != nil {
		return registry.Final, err
	}
	c.admission = admission
	switch {
	case admission.Stale:
		return registry.Stale, nil
	case admission.Revoked:
		c.decision.Revoke()
		c.refused = ofDecision(c.decision)
	case admission.Refusal != nil:
		c.note(slog.String("limit", admission.Refusal.Limit))
		c.refused = ofLimit(*admission.Refusal)
	case !admission.Admitted:
		return registry.Final, errNoVerdict
	}
	return registry.Final, nil
}

// judgeRevoked looks up the caller's token where no admission does: for an answer of ours.
func (p *proxy) judgeRevoked(c *call) (registry.Result, error) {
	if c.decision.Revocation == "" {
		return registry.Refused, nil // as far as this registry knows
	}
	if p.Revoked == nil {
		return registry.Final, errNoVerdict
	}
	revoked, err := p.Revoked.Revoked(c.in.Context(), c.decision.Revocation)
	switch {
	case err != nil:
		return registry.Final, err
	case len(revoked) != 1:
		return registry.Final, errNoVerdict
	case revoked[0]:
		c.decision.Revoke()
		c.ours, c.refused = false, ofDecision(c.decision)
		return registry.Final, nil
	}
	return registry.Refused, nil
}

// longest is how long the call may take with all its attempts: so long it may hold one of an API's slots.
func (p *proxy) longest(c *call) time.Duration {
	longest := time.Duration(0)
	for _, a := range c.aims {
		longest = max(longest, p.patienceWith(c, a.upstream).total)
	}
	return longest*time.Duration(rulesOf(c.route.API.Retries).attempts) + leastTime
}

func groupsOf(known *registry.Snapshot, c *registry.Consumer) []*registry.Group {
	if c == nil {
		return nil
	}
	var groups []*registry.Group
	for _, name := range c.Groups {
		if g := known.Groups[name]; g != nil {
			groups = append(groups, g)
		}
	}
	return groups
}

// forward sends the call to its upstreams until one takes it, passes the answer on, and settles.
func (p *proxy) forward(c *call) {
	defer p.settle(c)
	if p.recall(c) {
		return
	}
	x, failed := p.reach(c)
	if x == nil {
		c.refuse(upstreamCircuit)
		return
	}
	defer x.end()
	if failed != nil && failed.err != nil {
		c.end = c.endOf(x, failed.err)
		c.refuse(c.upstreamFailed(failed.err, x))
		return
	}
	if unfit := c.unfit(x); unfit != nil {
		if unfit.code == upstreamAuth.code && x.key == "" {
			p.alarm(c, x)
		}
		c.refuse(*unfit)
		return
	}
	if c.lists && x.StatusCode == http.StatusOK {
		p.relayModels(c, x)
		return
	}
	if c.picksWhole(x) {
		p.relayPicked(c, x)
		return
	}
	c.answerHeader(x, p.Now())
	p.relay(c, x)
	p.remember(c, x)
}

// keep leaves a trail of a proven caller's refusal, so that an operator can ask why.
func (p *proxy) keep(c *call) {
	record := c.decision.Record(p.Now(), c.refused.status, c.refused.code, c.refused.message)
	if full := c.admission.Refusal; full != nil {
		record.Limit = full.Limit
	}
	if err := c.decision.Keep(c.in.Context(), p.Trail, c.id, record); err != nil {
		c.note(slog.String("trail", err.Error()))
	}
	if p.Refusals == nil || c.decision.Consumer == nil || c.route.API == nil { // an API that is gone since the decision has no refusals
		return
	}
	if err := p.Refusals.Refused(c.in.Context(), c.decision.Consumer.Name, c.route.API.Name); err != nil {
		c.note(slog.String("refusals", err.Error()))
	}
}

// Failures of our own making on the way to an admission.
var (
	errLate      = errors.New("less time is left than a call needs")
	errNoVerdict = errors.New("the admission neither admits nor refuses")
)
