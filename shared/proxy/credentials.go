package proxy

import (
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"keyless/shared/auth"
	"keyless/shared/registry"
)

// The places where clients of LLM and MCP APIs put their credentials. All are emptied: whatever a client has
// there was meant for the gateway, and an upstream must see the provider's key alone.
var (
	credentialHeaders = []string{"Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "Cookie"}
	// credentialParameters are in any letter case, and may be lists: apikey[].
	credentialParameters = []string{"key", "api_key", "api-key", "apikey", "access_token", "token", "subscription-key"}
	// accountHeaders choose, at the provider, whose account pays. That is the operator's to say.
	accountHeaders = []string{"Openai-Organization", "Openai-Project", "Anthropic-Organization", "Anthropic-Organization-Id",
		"Anthropic-Workspace", "Anthropic-Workspace-Id", "X-Dashscope-Workspace", "X-Amz-Security-Token", "X-Goog-User-Project",
		"Ocp-Apim-Subscription-Key"}
)

// dropCredentials takes out of the header what was meant for the gateway. On a plain http API that asks for a credential these are all
// places where one is accepted, whatever method was used; everything else, and all of it on an open one, is between the client and the
// backend, as in a login flow.
func (c *call) dropCredentials(h http.Header) {
	place := c.decision.Place
	passed := http.Header{}
	if c.decision.PassCredential() && place.In == registry.InHeader {
		passed[textproto.CanonicalMIMEHeaderKey(place.Name)] = h.Values(place.Name)
	}
	if c.decision.PassCredential() && place.In == registry.InCookie {
		passed["Cookie"] = cookies(h["Cookie"], func(name string) bool { return name == place.Name })
	}
	if c.managed() {
		for _, name := range slices.Concat(credentialHeaders, accountHeaders, overriding) {
			delete(h, name)
		}
	}
	if c.managed() || !c.route.API.Open() {
		dropSigned(h)
	}
	for _, accepted := range c.accepted() {
		dropAt(h, accepted)
	}
	for name, values := range passed {
		if len(values) > 0 {
			h[name] = values
		}
	}
}

// accepted are the places where this API's credentials may stand.
func (c *call) accepted() []registry.Place {
	if c.route.API.Open() {
		return []registry.Place{c.decision.Place} // of global authentication, if it asked
	}
	return slices.Concat(c.known.JWTPlaces, c.known.KeyPlaces, []registry.Place{c.decision.Place})
}

// dropAt takes out what stands at a header or cookie place behind its prefix; a query place is queryUp's.
func dropAt(h http.Header, place registry.Place) {
	switch place.In {
	case registry.InHeader:
		name := textproto.CanonicalMIMEHeaderKey(place.Name)
		set(h, name, slices.DeleteFunc(slices.Clone(h[name]), func(sent string) bool { return auth.Fits(sent, place) }))
	case registry.InCookie:
		set(h, "Cookie", cookies(h["Cookie"], func(name string) bool { return name != place.Name }))
	}
}

func set(h http.Header, name string, values []string) {
	if len(values) == 0 {
		delete(h, name)
		return
	}
	h[name] = values
}

// dropSigned takes out the headers of an HMAC signature, which was for the gateway.
func dropSigned(h http.Header) {
	for name := range h {
		if strings.HasPrefix(name, "X-Ca-") {
			delete(h, name)
		}
	}
}

// cookies returns the pairs of Cookie headers whose name is kept. Names are found as net/http finds them, so
// that what was judged is what is dropped.
func cookies(values []string, keep func(name string) bool) []string {
	var kept []string
	for _, value := range values {
		var pairs []string
		for pair := range strings.SplitSeq(value, ";") {
			pair = textproto.TrimString(pair)
			name, _, _ := strings.Cut(pair, "=")
			if pair != "" && keep(textproto.TrimString(name)) {
				pairs = append(pairs, pair)
			}
		}
		if len(pairs) > 0 {
			kept = append(kept, strings.Join(pairs, "; "))
		}
	}
	return kept
}

// queryUp returns the query as the upstream sees it: byte for byte, but for the parameters that hold
// credentials.
func (c *call) queryUp() string {
	raw := c.in.URL.RawQuery
	if raw == "" {
		return ""
	}
	accepted := c.accepted()
	drop := func(name string) bool {
		scalar, _, _ := strings.Cut(strings.ToLower(name), "[")
		at := func(place registry.Place) bool { return place.In == registry.InQuery && place.Name == name }
		if at(c.decision.Place) && c.decision.PassCredential() {
			return false
		}
		return slices.ContainsFunc(accepted, at) || c.managed() && slices.Contains(credentialParameters, scalar)
	}
	pairs := strings.Split(raw, "&")
	kept := slices.DeleteFunc(pairs, func(pair string) bool {
		k, _, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(k)
		return err == nil && drop(name)
	})
	return c.sessionQueryUp(strings.Join(kept, "&"))
}

// injectKey sets the provider's key in the protocol's own way, or as the upstream's auth says. An upstream that is reached by other
// means than a key (a signature of the whole request, a token of its own) finds its place here too: what it needs is the leg and the
// request's header.
func injectKey(h http.Header, l leg) {
	if l.key == "" {
		return
	}
	name, prefix := "Authorization", "Bearer "
	if l.upstream.Protocol == registry.Anthropic {
		name, prefix = "X-Api-Key", ""
	}
	if l.upstream.Auth != nil && l.upstream.Auth.Header != "" {
		name, prefix = l.upstream.Auth.Header, l.upstream.Auth.Prefix
	}
	h.Set(name, prefix+l.key)
}
