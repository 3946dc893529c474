package registry

import (
	"maps"
	"net/url"
	"slices"
	"strings"
)

// What an API's settings of forwarding have to be.

const (
	// maxModelNames bounds a target's map, which each call may search.
	maxModelNames = 1000
	// maxWeight keeps weights comparable.
	maxWeight = 1_000_000
)

func (v *validator) forwarding(at spot, a *API) {
	for i, t := range a.Upstreams {
		target := at.key("upstreams").item(i)
		if t.Weight > maxWeight || t.Order > maxWeight {
			v.fault(target, "has an order or a weight above 1000000; write a smaller one")
		}
		v.modelNames(target.key("models"), a, t.Models)
	}
	v.retries(at.key("retries"), a.Retries)
	if a.OnClientGone == "drain" && a.Type != LLM {
		v.fault(at.key("on_client_gone"), "drains calls of models only; write cancel, or leave it out")
	}
	if a.MaxTokensDefault != 0 && a.Type != LLM {
		v.fault(at.key("max_tokens_default"), "bounds the output of models only; leave it out")
	}
	v.cors(at.key("cors"), a.CORS)
}

// modelNames judges the caller's names, of which a star may end, and the upstream's.
func (v *validator) modelNames(at spot, a *API, names map[string]string) {
	if names != nil && a.Type != LLM {
		v.fault(at, "renames models, which only an API of type llm has; leave it out")
	}
	if len(names) > maxModelNames {
		v.fault(at, "has more than 1000 names; write prefixes with *")
		return
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if star := strings.IndexByte(name, '*'); name == "" || star >= 0 && star != len(name)-1 {
			v.fault(at.key(name), "is no name of a model; write the whole name, or its beginning and *")
		}
		if to := names[name]; to == "" || to != "*" && strings.Contains(to, "*") {
			v.fault(at.key(name), "is no name of a model; write the upstream's name, or * for the caller's own")
		}
	}
}

func (v *validator) retries(at spot, r *Retries) {
	if r == nil {
		return
	}
	v.positive(at.key("attempts"), r.Attempts)
	if r.Attempts > MaxAttempts {
		v.fault(at.key("attempts"), "is above 10, which only delays the answer; write a smaller number")
	}
	for i, cause := range r.On {
		word, isWord := cause.(string)
		status, isStatus := wholeNumber(cause)
		if isWord && (word == RetryConnect || word == RetryFirstByte) || isStatus && retried(status) {
			continue
		}
		v.fault(at.key("on").item(i), "is nothing to retry on; write connect, first_byte, 408, 409, 425, 429 or a status from 500 to 599")
	}
}

// retried reports whether a status may mean something else the next time.
func retried(status int) bool {
	return slices.Contains([]int{408, 409, 425, 429}, status) || status >= 500 && status <= 599
}

func (v *validator) cors(at spot, c *CORS) {
	if c == nil {
		return
	}
	if len(c.Origins) == 0 {
		v.fault(at.key("origins"), "is empty; write origins such as https://app.example.com, or leave cors out")
	}
	v.unique(at.key("origins"), c.Origins)
	for i, origin := range c.Origins {
		if !validOrigin(origin) {
			v.fault(at.key("origins").item(i), "is no origin; write scheme and host such as https://app.example.com, or *")
		}
	}
}

// validOrigin reports whether a browser could send the text as Origin (RFC 6454 §7).
func validOrigin(origin string) bool {
	u, err := url.Parse(origin)
	return origin == "*" || err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil &&
		origin == u.Scheme+"://"+u.Host && origin == strings.ToLower(origin)
}

// upstreamKeys judges a consumer's own keys of upstreams.
func (v *validator) upstreamKeys(at spot, keys map[string]Secret) {
	for _, upstream := range slices.Sorted(maps.Keys(keys)) {
		known(v, at.key(upstream), "an upstream", upstream, v.byUpstream)
		v.wrong(at.key(upstream), judgeAPIKey(keys[upstream]))
	}
}
