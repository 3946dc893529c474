// Package proxy is the data path of the gateway: it takes a call to its upstream once it is known who calls
// and that they may.
//
// A request meets it behind accesslog, which has settled its id. The story is ServeHTTP: route, decide, read
// the body, admit, forward, answer. A body is read after the decision, so that strangers cannot make us
// read, and before the admission, so that one that is too large costs its caller nothing. Bytes pass
// unchanged both ways; what changes is in headers.go, what can go wrong in errors.go. A call that was
// admitted is given back only where no byte can have reached an upstream.
//
// Nothing outlives its request but idle connections to upstreams, which end after 30 seconds of wall clock.
// Redirects are never followed, trailers and interim answers (1xx) are dropped, an answer that is cut looks
// cut (http.ErrAbortHandler).
//
// Sources: RFC 9110 §7.6 (hop-by-hop), RFC 6750 §3 (challenges), RFC 9457 (problems), W3C Trace Context,
// JSON-RPC 2.0.
package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"keyless/shared/auth"
	"keyless/shared/quota"
	"keyless/shared/registry"
)

// Admitter counts a call before it goes out, and takes the count back where it did not. *quota.Quota is one.
// It sets its own deadlines and is safe for concurrent use.
type Admitter interface {
	Admit(ctx context.Context, c quota.Call) (quota.Admission, error)
	GiveBack(ctx context.Context, a quota.Admission) error
}

// Options are the rooms that the proxy calls into.
type Options struct {
	Reader  *registry.Reader
	Gate    *auth.Gate
	Quota   Admitter
	Trail   auth.Trail // nil: refusals are not kept for explain
	Now     func() time.Time
	Log     *slog.Logger // alarms only; what belongs to a request goes to its access line
	MaxBody int64        // what the door can carry, in bytes; 0: 32 MiB
}

// New makes the handler. It stands behind accesslog.Handler and is safe for concurrent use.
func New(o Options) http.Handler { return newProxy(o) }

type proxy struct {
	Options
	transport http.RoundTripper
	patience  patience
}

func newProxy(o Options) *proxy {
	if o.MaxBody <= 0 {
		o.MaxBody = registry.DefaultBodyMaxBytes
	}
	return &proxy{Options: o, transport: newTransport(), patience: defaultPatience}
}

// ServeHTTP is the story of a call.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := newCall(w, r)
	defer c.log()
	err := p.permit(c)
	switch {
	case err != nil:
		c.refuse(failed(c, err))
	case c.refused != nil:
		c.refuse(*c.refused)
		p.keep(c)
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
	if c.refused = c.judgeModel(); c.refused != nil {
		return c.decision.Result(), nil
	}
	if end, bounded := ctx.Deadline(); bounded && time.Until(end) < leastTime {
		return registry.Final, errLate
	}
	return p.admit(c, v)
}

func (p *proxy) admit(c *call, v registry.View) (registry.Result, error) {
	admission, err := p.Quota.Admit(c.in.Context(), quota.Call{
		RequestID: c.id, Revision: v.Revision, Domain: c.route.Domain, API: c.route.API,
		Consumer: c.decision.Consumer, Groups: groupsOf(v, c.decision.Consumer),
	})
	if err != nil {
		return registry.Final, err
	}
	c.admission = admission
	switch {
	case admission.Stale:
		return registry.Stale, nil
	case admission.Refusal != nil:
		c.note(slog.String("limit", admission.Refusal.Limit))
		c.refused = ofLimit(*admission.Refusal)
	case !admission.Admitted:
		return registry.Final, errNoVerdict
	}
	return registry.Final, nil
}

func groupsOf(v registry.View, c *registry.Consumer) []*registry.Group {
	if c == nil {
		return nil
	}
	var groups []*registry.Group
	for _, name := range c.Groups {
		if g := v.Groups[name]; g != nil {
			groups = append(groups, g)
		}
	}
	return groups
}

// forward sends the call to its upstream and passes the answer on.
func (p *proxy) forward(c *call) {
	x, err := p.send(c)
	if err != nil {
		if !c.sent.Load() {
			p.giveBack(c)
		}
		c.refuse(c.upstreamFailed(err, x.key))
		return
	}
	defer x.end()
	if unfit := c.unfit(x); unfit != nil {
		if unfit.code == upstreamAuth.code {
			p.Log.Error("an upstream refuses the provider's key", "upstream", c.upstream.Name,
				"api", c.route.API.Name, "status", x.StatusCode, "request_id", c.id)
		}
		c.refuse(*unfit)
		return
	}
	c.answerHeader(x, p.Now())
	p.relay(c, x)
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
}

// giveBackWithin bounds the settlement of a call whose client may be gone.
const giveBackWithin = 2 * time.Second

func (p *proxy) giveBack(c *call) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.in.Context()), giveBackWithin)
	defer cancel()
	if err := p.Quota.GiveBack(ctx, c.admission); err != nil {
		// The call stays counted, which is the safe side.
		c.note(slog.String("give_back", err.Error()))
	}
}

// Failures of our own making on the way to an admission.
var (
	errLate      = errors.New("less time is left than a call needs")
	errNoVerdict = errors.New("the admission neither admits nor refuses")
)
