package admin

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"keyless/shared/auth"
)

// verdict is how a refusal behind the gate is told: the name of its step, and what would make the request pass.
type verdict struct {
	step   string
	remedy func(*inquiry) string
}

// verdicts are the refusals of a caller whom the gate allowed, by code. They are the proxy's: only a live request has them.
var verdicts = map[string]verdict{
	"not_metered": {"metering", func(*inquiry) string {
		return "call a path that is metered, and wait for its answer (no background, no X-DashScope-Async), or lift the limits of model " +
			"tokens and money that apply to the call"
	}},
	"model_unpriced": {"price", func(*inquiry) string {
		return "add a price for the model to prices, name a model that has one, or lift the limits of money that apply to the call"
	}},
	"model_not_found":      {"model", otherUpstreamModel},
	"bad_request":          {"request", func(*inquiry) string { return "correct what the message names, and send the request again" }},
	"body_too_large":       {"body", bodyTooLarge},
	"unsupported_encoding": {"body", func(*inquiry) string { return "send the body plain, without Content-Encoding" }},
	"not_supported": {"method", func(*inquiry) string {
		return "send GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS, in capitals and without Upgrade: WebSockets and tunnels are not passed on"
	}},
	"usage_limit": {"limit", func(*inquiry) string {
		return "write a smaller max_tokens where it is the one call that is too large, or raise the limit of model tokens in the configuration"
	}},
	"spend_limit": {"limit", func(*inquiry) string {
		return "write a smaller max_tokens where it is the one call that is too dear, or raise the limit of money in the configuration"
	}},
	"upstream_circuit": {"upstream", func(i *inquiry) string {
		text := "send it again in some seconds; where it stays so, look at "
		if names := i.upstreams(); len(names) > 0 {
			return text + "upstream " + strings.Join(names, ", ") + ": keyless doctor reaches each"
		}
		return text + "the upstreams of API " + i.decision.API.Name + ": keyless doctor reaches each"
	}},
}

// behind tells a refusal that is not the gate's as a step of its own, so that the last step of the gate, which allowed, does not stand
// for it. A code that the table lacks is told by its message.
func (i *inquiry) behind(r auth.Record) {
	name := cmp.Or(verdicts[r.Code].step, "proxy")
	switch {
	case r.Limit != "" && name != "limit":
		i.step("admission", "limit "+r.Limit+" was reached")
	case r.Limit != "":
		i.step(name, r.Limit+" was reached")
	case r.Reason == "":
		i.step(name, cmp.Or(r.Message, r.Code))
	}
}

// remedyOf is the sentence for a record.
func (i *inquiry) remedyOf(r auth.Record) string {
	wait := "wait until the window of " + r.Limit + " ends, or "
	v, known := verdicts[r.Code]
	switch {
	case r.Reason != "":
		return i.remedy()
	case known && r.Limit != "":
		return wait + v.remedy(i)
	case known:
		return v.remedy(i)
	case r.Limit != "":
		return wait + "raise it in the configuration"
	}
	return "look at the line of this request id in the gateway's log"
}

// otherUpstreamModel lists what the API's map serves. A name there may end in *.
func otherUpstreamModel(i *inquiry) string {
	api := i.decision.API
	served := map[string]bool{}
	for _, t := range api.Upstreams {
		for name := range t.Models {
			served[name] = true
		}
	}
	text := "name a model of the API's map, or add this one to upstreams.models of API " + api.Name
	if len(served) == 0 {
		return text
	}
	names := slices.Sorted(maps.Keys(served))
	if len(names) > maxListed {
		names = append(names[:maxListed], "…")
	}
	return text + "; it has " + strings.Join(names, ", ")
}

// upstreams are the names of the API's upstreams, in their order in the configuration.
func (i *inquiry) upstreams() []string {
	var names []string
	for _, t := range i.decision.API.Upstreams {
		names = append(names, t.Upstream)
	}
	return slices.Compact(names)
}
