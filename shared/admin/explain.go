package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"keyless/shared/auth"
	"keyless/shared/registry"
)

// The outcomes of an Explanation.
const (
	OutcomeAllowed = "allowed"
	OutcomeRefused = "refused"
	OutcomeFailed  = "failed"
)

// Explanation is what becomes of a request, on which facts, and what would make it pass. It holds names of the configuration only:
// no credential, no claim's value, no path or query.
type Explanation struct {
	RequestID string     `json:"request_id,omitempty"` // of the live request that was asked about
	At        *time.Time `json:"at,omitempty"`         // when that was refused
	Outcome   string     `json:"outcome"`
	Status    int        `json:"status,omitempty"` // of the gateway's own answer; where it allows, the upstream answers
	Code      string     `json:"code"`
	Message   string     `json:"message"`
	Steps     []Step     `json:"steps"`
	Remedy    string     `json:"remedy,omitempty"`
}

// Step is one step of the decision and the fact that it rests on.
type Step struct {
	Step    string `json:"step"`
	Fact    string `json:"fact"`
	Decides bool   `json:"decides,omitempty"` // against the request
}

// Trail is where the refusals of live requests are found; a nil record is none.
type Trail interface {
	Find(ctx context.Context, requestID string) ([]byte, error)
}

// ErrNoRecord says that nothing is known of a request id. Public: the sentence goes to the operator.
var ErrNoRecord = errors.New("no record: the request was refused before any consumer was identified, or passed, or is more than an " +
	"hour ago, or was one of very many; send the request itself to explain")

// Explain goes the way of a call - route, gate, body, admission - on what the store knows now, and tells each step. It changes nothing:
// nothing is counted, no nonce is used up. The error is a badQuestion, ErrNoRecord, or the store's.
//
// Round trips: two Snapshots, the gate's, and two more where it refuses.
func Explain(ctx context.Context, o Options, q Question) (Explanation, error) {
	i := &inquiry{o: o, known: map[string]*registry.Consumer{}}
	if q.RequestID != "" {
		return i.recorded(ctx, q.RequestID)
	}
	r, err := q.request(ctx)
	if err != nil {
		return Explanation{}, err
	}
	i.request, i.told = r, q.Body != nil
	// A reader without memory: what another process believes does not count. The first view is passed over, for the second one reads
	// consumers' entries, not the copies in their indexes.
	first := true
	err = registry.NewReader(o.Store, o.Keys, o.Now).Consult(ctx, func(v registry.View) (registry.Result, error) {
		if first {
			first = false
			return registry.Stale, nil
		}
		i.view = v
		return registry.Final, i.judge(ctx)
	})
	switch {
	case errors.Is(err, registry.ErrEmpty):
		i.end(OutcomeFailed, http.StatusServiceUnavailable, "registry_empty", "The gateway has no configuration yet",
			"apply a configuration: keyless apply -f gateway.yaml")
	case err != nil:
		return Explanation{}, err
	}
	return i.out, nil
}

// inquiry is one explanation on its way.
type inquiry struct {
	o        Options
	view     registry.View
	request  *http.Request // nil: asked by id
	told     bool          // the question has a body
	route    registry.Route
	decision auth.Decision
	known    map[string]*registry.Consumer // as stored, that the request leads to
	hidden   []string                      // remedies for consumers that the gate does not see
	out      Explanation
}

func (i *inquiry) step(name, fact string) {
	i.out.Steps = append(i.out.Steps, Step{Step: name, Fact: fact})
}

func (i *inquiry) end(outcome string, status int, code, message, remedy string) {
	i.out.Outcome, i.out.Status, i.out.Code, i.out.Message, i.out.Remedy = outcome, status, code, message, remedy
}

// refuse ends the inquiry on its last step.
func (i *inquiry) refuse(status int, code, message, remedy string) {
	if n := len(i.out.Steps); n > 0 {
		i.out.Steps[n-1].Decides = true
	}
	i.end(OutcomeRefused, status, code, message, remedy)
}

// judge tells the story of the call.
func (i *inquiry) judge(ctx context.Context) error {
	i.out = Explanation{}
	if !i.find() {
		return nil
	}
	if err := i.decide(ctx); err != nil || i.out.Outcome != "" {
		return err
	}
	if !i.body() || !i.model() || !i.tool() {
		return nil
	}
	if revoked, err := i.revoked(ctx); err != nil || revoked {
		return err
	}
	i.allow()
	return nil
}

// allow ends the inquiry where the gate allows, and says how far that reaches. The admission is told last: it is what lets a call pass.
func (i *inquiry) allow() {
	api, message := i.route.API, "The gateway lets this request pass"
	switch {
	case api.AuthorizerOnly():
		message = "The authorizer lets this request pass; the proxy answers 404 for it: the API has no upstreams, and authorizers alone ask"
	case api.Type == registry.LLM || api.Type == registry.MCP:
		i.step("proxy", "not judged here: body, model map, price and metering are the proxy's")
		message = "The gate lets this request pass; its body, model, price and metering are not judged here: the proxy may still refuse"
	}
	i.admission()
	i.end(OutcomeAllowed, 0, "allowed", message, "")
}

// find routes the request.
func (i *inquiry) find() bool {
	route, err := i.view.Route(i.request)
	i.route = route
	switch name := route.Domain.Name; {
	case strings.HasPrefix(name, "*."):
		i.step("domain", name+", the longest that the host ends in")
	case name == registry.DefaultDomain:
		i.step("domain", "default: no domain has this host")
	default:
		i.step("domain", name+", by its exact name")
	}
	if err != nil {
		i.step("path", "is not canonical")
		i.refuse(http.StatusBadRequest, "bad_request", err.Error(),
			"send the path in the one spelling in which it is judged and forwarded; clients that build it from parts must encode each once")
		return false
	}
	if route.API == nil {
		i.step("API", "none on domain "+route.Domain.Name+" has a base path that the path stands under")
		i.refuse(http.StatusNotFound, "api_not_found", "No API matches this host and path", i.nearAPIs())
		return false
	}
	i.step("API", fmt.Sprintf("%s, by base path %s", route.API.Name, route.API.BasePath))
	if route.API.AuthorizerOnly() {
		i.step("door", "the API has no upstreams: decided as for the authorizer, which sees no bodies; the proxy answers 404")
	}
	return true
}

// decide asks the gate.
func (i *inquiry) decide(ctx context.Context) error {
	nonces := &unasked{}
	gate := i.o.Gate.WithNonces(nonces)
	if i.route.API.AuthorizerOnly() {
		gate = gate.WithoutBodies()
	}
	decision, err := gate.Decide(ctx, i.view, i.request, i.route.API)
	i.decision = decision
	for _, s := range decision.Trace {
		i.step(s.Name, s.Fact)
	}
	switch {
	case errors.Is(err, auth.ErrKeys):
		i.end(OutcomeFailed, http.StatusServiceUnavailable, "keys_unavailable",
			"The keys that verify this credential are unavailable",
			"make the key set's URL reachable from the gateway; a set at a private address needs KEYLESS_ALLOW_PRIVATE_URLS")
		return nil
	case err != nil:
		return err
	case nonces.asked && decision.Method == registry.MethodJWT:
		i.step("replay", "the DPoP proof is not looked up, so that it stays unused; the gateway refuses one that it has seen")
	case nonces.asked:
		i.step("nonce", "not looked up, so that it stays unused; the gateway refuses one that it has seen (hmac_replayed_nonce)")
	}
	if decision.Allowed {
		return nil
	}
	return i.refused(ctx, gate)
}

// refused ends on the gate's refusal, with what an operator may know beyond it.
func (i *inquiry) refused(ctx context.Context, gate *auth.Gate) error {
	look := i.decision.Reason.Refusal()
	i.refuse(look.Status, look.Code, look.Message, "")
	if err := i.beyond(ctx, gate); err != nil {
		return err
	}
	i.out.Remedy = i.remedy()
	return nil
}

// unasked is a memory of nonces that neither looks nor remembers.
type unasked struct{ asked bool }

func (u *unasked) First(context.Context, string, time.Duration) (bool, error) {
	u.asked = true
	return true, nil
}
