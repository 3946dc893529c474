package proxy

import (
	"bytes"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"

	"keyless/shared/proxy/meter"
	"keyless/shared/registry"
)

// aim is one way that a call may go: an upstream, and what the call becomes for it.
type aim struct {
	upstream *registry.Upstream
	model    string // the upstream's name for the model; "" where the caller names none
	across   bool   // the upstream speaks the other dialect: translated both ways
	body     []byte // translated
}

// anyModel stands in a target's map for every model, and as the upstream's name for the caller's own.
const anyModel = "*"

// aim reads what the call asks, and finds where it may go; else it is refused.
func (c *call) aim(known *registry.Snapshot) *refusal {
	if c.refused = c.read(); c.refused == nil {
		c.refused = c.takeAim(known)
	}
	return c.refused
}

// takeAim finds the ways that the call may go, best first. A target that cannot take it is passed over; where none is left the last
// reason is told, before anything is sent.
func (c *call) takeAim(known *registry.Snapshot) *refusal {
	c.aims = c.aims[:0]
	refused := &apiNotFound // between two parts of a change: the upstreams are gone, the API not yet
	for _, t := range c.ordered() {
		u := known.Upstreams[t.Upstream]
		if u == nil || c.lists && !takesAny(t) {
			continue
		}
		a, unfit := c.aimAt(t, u)
		if unfit != nil {
			refused = unfit
			continue
		}
		c.aims = append(c.aims, a)
	}
	if len(c.aims) == 0 {
		return refused
	}
	return nil
}

func (c *call) aimAt(t registry.Target, u *registry.Upstream) (aim, *refusal) {
	a := aim{upstream: u, model: c.ask.Model}
	if c.route.API.Type != registry.LLM {
		return a, nil
	}
	if c.ask.Model != "" && t.Models != nil {
		name, served := modelAt(t.Models, c.ask.Model)
		if !served {
			return a, &modelNotFound
		}
		a.model = name
		if name != c.ask.Model && !c.renames() {
			return a, badRequest("the upstream has another name for this model, which cannot be put into a form")
		}
	}
	if own := tongueOf(c.below()); own != "" && own != u.Protocol {
		if c.ask.Kind != meter.Chat && c.ask.Kind != meter.Messages {
			return a, badRequest("the upstream speaks another protocol, and only chat completions and messages are translated")
		}
		a.across = true
		return a, c.translateUp(&a)
	}
	return a, nil
}

// renames reports whether the model's name in the body can be replaced: in an object, not in a multipart form.
func (c *call) renames() bool {
	return bytes.HasPrefix(bytes.TrimLeft(c.body, " \t\r\n"), []byte("{"))
}

// modelAt finds the upstream's name for a model: the exact entry, then the longest prefix before a star, then the star alone. A map that
// knows nothing of a model says that the target does not serve it.
func modelAt(names map[string]string, model string) (string, bool) {
	found, longest, served := names[model], -1, false
	if _, served = names[model]; !served {
		for pattern, name := range names {
			prefix, open := strings.CutSuffix(pattern, anyModel)
			if open && strings.HasPrefix(model, prefix) && len(prefix) > longest {
				found, longest, served = name, len(prefix), true
			}
		}
	}
	if found == anyModel {
		return model, served
	}
	return found, served
}

// takesAny reports whether a target serves whatever its upstream does.
func takesAny(t registry.Target) bool {
	_, any := t.Models[anyModel]
	return any || t.Models == nil
}

// below is the path below the API's base path.
func (c *call) below() string {
	return strings.TrimPrefix(c.route.Path, strings.TrimSuffix(c.route.API.BasePath, "/"))
}

// tongueOf is the protocol to which a path below an API's base path belongs; "" for the paths of other dialects of a provider's, which
// reach any upstream as they are.
func tongueOf(below string) string {
	path := strings.TrimPrefix(below, "/v1")
	switch {
	case path == messagesPath || path == messagesPath+"/count_tokens":
		return registry.Anthropic
	case slices.Contains(modelPaths, path):
		return registry.OpenAI
	}
	return ""
}

const (
	messagesPath = "/messages"
	chatPath     = "/chat/completions"
)

// ordered are the API's targets: by order, which is the place in the list unless it is given, and within one order by weight.
func (c *call) ordered() []registry.Target {
	list := slices.Clone(c.route.API.Upstreams)
	if len(list) < 2 {
		return list
	}
	chance := rand.New(rand.NewPCG(hashOf(c.id), 0))
	drawn := make(map[string]float64, len(list))
	for i := range list {
		if list[i].Order == 0 {
			list[i].Order = int64(i + 1)
		}
		// The first of independent exponential waits is the one of weight w with a chance of w over all.
		drawn[list[i].Upstream] = -math.Log(1-chance.Float64()) / float64(max(list[i].Weight, 1))
	}
	spread := c.spreads()
	slices.SortStableFunc(list, func(a, b registry.Target) int {
		switch {
		case a.Order != b.Order:
			return int(a.Order - b.Order)
		case !spread || drawn[a.Upstream] == drawn[b.Upstream]:
			return 0
		case drawn[a.Upstream] < drawn[b.Upstream]:
			return -1
		}
		return 1
	})
	return list
}

// spreads reports whether any upstream of an order may take the call. What an upstream keeps between calls (files, batches, sessions)
// is found only where it was put.
func (c *call) spreads() bool {
	switch c.route.API.Type {
	case registry.LLM:
		return c.ask.Kind != meter.Opaque
	case registry.MCP:
		return false
	}
	return true
}

// hashOf spreads by the request id, so that a call that is judged anew aims as before.
func hashOf(id string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // never fails
	return h.Sum64()
}

// repeatable reports whether the call may be sent again after its bytes have gone out. A model's answer is worth another try where the
// operator says so; what has other effects is repeated only where its method promises that it does no harm (RFC 9110 §9.2.2).
func (c *call) repeatable() bool {
	if c.route.API.Type == registry.LLM && c.ask.Kind != meter.Opaque {
		return true
	}
	switch c.in.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}
