// Package authorizer answers for gateways that are not ours: may this call pass, and who makes it? It exists
// so that a user's own backends get the same gate as the proxy, with its limits, revocation and immediate
// changes.
//
// A request meets it as a question about a request: a platform's authorizer event (API Gateway REST TOKEN and
// REQUEST, HTTP API 2.0) or a forward-auth question (nginx, Traefik, Envoy, Higress, Alibaba's gateways).
// event.go and dialect.go turn it into the *http.Request that it is about, without a body; this file routes
// it, decides, and admits it where the API has no upstreams, since then nobody else counts its calls;
// policy.go, reply.go and forward.go put the ruling into the asker's words.
//
// Nothing here outlives its question. Everything is immutable after New and safe for concurrent use.
//
// Sources:
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html,
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html,
// https://nginx.org/en/docs/http/ngx_http_auth_request_module.html,
// https://doc.traefik.io/traefik/middlewares/http/forwardauth/,
// https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/ext_authz_filter,
// https://www.alibabacloud.com/help/en/mse/user-guide/configure-custom-authentication, RFC 6750, RFC 9457.
package authorizer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"keyless/shared/auth"
	"keyless/shared/config"
	"keyless/shared/quota"
	"keyless/shared/registry"
)

// Admitter counts a call against the limits of its domain, API and consumer. A refusal and old knowledge are
// values; the store out of reach is an error. One round trip.
type Admitter interface {
	Admit(ctx context.Context, c quota.Call) (quota.Admission, error)
}

// Revocations is the memory of revoked tokens. Revoked reports of each digest whether it was revoked; an error
// means that nobody knows, which is no permission. One round trip. *quota.Quota is one.
type Revocations interface {
	Revoked(ctx context.Context, digests ...string) ([]bool, error)
}

// Options are the rooms that an Authorizer stands on. All but Trail, Now and Log are required.
type Options struct {
	Reader  *registry.Reader
	Gate    *auth.Gate
	Quota   Admitter
	Revoked Revocations      // for the calls that the proxy counts, whose admission is not ours
	Trail   auth.Trail       // nil: refusals are not kept for explain
	Proxies config.Proxies   // the peers whose forward-auth questions are believed
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: slog.Default()
}

// Authorizer answers questions: Event those of a platform, ServeHTTP those of forward-auth.
type Authorizer struct {
	reader  *registry.Reader
	gate    *auth.Gate
	quota   Admitter
	revoked Revocations
	trail   auth.Trail
	proxies config.Proxies
	now     func() time.Time
	log     *slog.Logger
}

// New makes an Authorizer.
func New(o Options) *Authorizer {
	a := &Authorizer{
		reader: o.Reader, gate: o.Gate, quota: o.Quota, revoked: o.Revoked, trail: o.Trail, proxies: o.Proxies,
		now: o.Now, log: o.Log,
	}
	if a.now == nil {
		a.now = time.Now
	}
	if a.log == nil {
		a.log = slog.Default()
	}
	return a
}

// question is a request that somebody else is about to forward.
type question struct {
	requestID string        // ours, never the client's: it names the call in the counters
	request   *http.Request // without a body; nil where what was told is no request
	all       bool          // judge every API of the domain, for a policy
}

// ruling is the answer to a question, in nobody's dialect yet.
type ruling struct {
	requestID string
	decision  auth.Decision
	refusal   refusal         // the zero refusal where the call may pass
	admission quota.Admission // of an API without upstreams
	judged    []judged        // where the question was about all; the API that was asked for stands first
	single    bool            // allowed, but this request only: another path may be judged otherwise
	mapped    []string        // the headers that some consumer's claims are mapped to

	// contentMD5 is the signed Content-MD5 of a call whose body was not seen: whoever sees it can compare.
	contentMD5 string
}

// allowed reports whether the call may pass.
func (r *ruling) allowed() bool { return r.refusal.code == "" }

// rule routes, decides and admits, on knowledge that is not old. An error is a failure: nothing is known
// about the call.
func (a *Authorizer) rule(ctx context.Context, q question) (ruling, error) {
	ruled := ruling{requestID: q.requestID, refusal: malformed}
	if q.request == nil {
		return ruled, nil
	}
	err := a.reader.Consult(ctx, func(v registry.View) (registry.Result, error) {
		ruled = ruling{requestID: q.requestID, mapped: v.Mapped}
		return a.judge(ctx, v, q, &ruled)
	})
	if err == nil && !ruled.allowed() {
		a.keep(ctx, q, &ruled)
	}
	return ruled, err
}

// keep leaves a trail of a proven caller's refusal, so that an operator can ask why.
func (a *Authorizer) keep(ctx context.Context, q question, ruled *ruling) {
	d := &ruled.decision
	record := d.Record(a.now(), ruled.refusal.status, ruled.refusal.code, ruled.refusal.message)
	if full := ruled.admission.Refusal; full != nil {
		record.Limit = full.Limit
	}
	if err := d.Keep(ctx, a.trail, q.requestID, record); err != nil {
		a.log.WarnContext(ctx, "trail", "error", err.Error())
	}
}

// judge rules on what one view knows. The admission comes last, so that a call which fails before it is not
// counted.
func (a *Authorizer) judge(
	ctx context.Context, v registry.View, q question, ruled *ruling,
) (registry.Result, error) {
	route, err := v.Route(q.request)
	if err != nil {
		ruled.refusal = malformed
		return registry.Final, nil
	}
	result, err := a.decide(ctx, v, q.request, route, ruled)
	if err != nil || ruled.refusal.unproven() {
		return result, err
	}
	if q.all {
		ruled.judged = a.judgeAll(ctx, v, q.request, route, ruled)
	}
	if !ruled.allowed() || !route.API.AuthorizerOnly() {
		return result, nil
	}
	return a.admit(ctx, v, route, ruled)
}

// decide asks the gate about the API that the request is for.
func (a *Authorizer) decide(
	ctx context.Context, v registry.View, r *http.Request, route registry.Route, ruled *ruling,
) (registry.Result, error) {
	if route.API == nil {
		ruled.refusal = unrouted
		return registry.Refused, nil
	}
	decision, err := a.gate.Decide(ctx, v, r, route.API)
	if err == nil && !route.API.AuthorizerOnly() {
		err = a.unrevoked(ctx, &decision)
	}
	if err != nil {
		return registry.Final, err
	}
	ruled.decision = decision
	if !decision.Allowed {
		ruled.refusal = refused(&decision)
		if ruled.refusal.status >= http.StatusInternalServerError {
			return registry.Final, fmt.Errorf("reason %q has no refusal", decision.Reason)
		}
		return decision.Result(), nil
	}
	ruled.single = single(v, &decision)
	if decision.Method == registry.MethodHMAC && decision.Place.Name == "x-ca-key" { // which always signs it
		ruled.contentMD5 = bounded(strings.Join(r.Header["Content-Md5"], ","))
	}
	// The proxy admits the calls of an API with upstreams, and notices there what is old. Asked in front of
	// something else, "allowed" too must not rest on old knowledge for long: the store is asked, at most once
	// a second.
	return registry.Refused, nil
}

// unrevoked refuses a revoked token of a call that we do not admit. Tokens of other issuers, which only those can
// revoke, cost no round trip.
func (a *Authorizer) unrevoked(ctx context.Context, d *auth.Decision) error {
	if !d.Allowed || d.Revocation == "" {
		return nil
	}
	if a.revoked == nil {
		return errors.New("look for a revocation: no memory of them is wired")
	}
	revoked, err := a.revoked.Revoked(ctx, d.Revocation)
	if err != nil {
		return fmt.Errorf("look for a revocation: %w", err)
	}
	if len(revoked) != 1 || revoked[0] {
		d.Revoke()
	}
	return nil
}

// admit counts the call of an API without upstreams.
func (a *Authorizer) admit(
	ctx context.Context, v registry.View, route registry.Route, ruled *ruling,
) (registry.Result, error) {
	admission, err := a.quota.Admit(ctx, quota.Call{
		RequestID: ruled.requestID, Revision: v.Revision,
		Domain: route.Domain, API: route.API,
		Consumer: ruled.decision.Consumer, Groups: groups(v, ruled.decision.Consumer),
		Revocation: ruled.decision.Revocation,
	})
	if err != nil {
		return registry.Final, err
	}
	ruled.admission = admission
	switch {
	case admission.Stale:
		return registry.Stale, nil
	case admission.Revoked:
		ruled.decision.Revoke()
		ruled.refusal = refused(&ruled.decision)
	case !admission.Admitted:
		ruled.refusal = limited(admission.Refusal)
		if len(ruled.judged) > 0 {
			ruled.judged[0].allowed = false
		}
	}
	return registry.Final, nil
}

// groups finds the groups of a consumer; nil without one.
func groups(v registry.View, c *registry.Consumer) []*registry.Group {
	if c == nil {
		return nil
	}
	var found []*registry.Group
	for _, name := range c.Groups {
		if g := v.Groups[name]; g != nil {
			found = append(found, g)
		}
	}
	return found
}
