package proxy

import (
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"keyless/shared/registry"
)

// The places where clients of LLM and MCP APIs put their credentials. All are emptied: whatever a client has
// there was meant for the gateway, and an upstream must see the provider's key alone.
var (
	credentialHeaders    = []string{"Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "Cookie"}
	credentialParameters = []string{"key", "api_key", "apikey", "access_token", "token"} // in any letter case
)

// dropCredentials takes the client's credentials out of the header. On a plain http API that is the one by
// which the caller proved itself; everything else is between the client and the backend, as in a login flow.
func (c *call) dropCredentials(h http.Header) {
	place, pass := c.decision.Place, c.decision.PassCredential()
	passed := http.Header{}
	if pass && place.In == registry.InHeader {
		passed[textproto.CanonicalMIMEHeaderKey(place.Name)] = h.Values(place.Name)
	}
	if pass && place.In == registry.InCookie {
		passed["Cookie"] = cookies(h["Cookie"], func(name string) bool { return name == place.Name })
	}
	if c.managed() {
		for _, name := range credentialHeaders {
			if delete(h, name); len(passed[name]) > 0 {
				h[name] = passed[name]
			}
		}
	}
	if c.decision.Method == registry.MethodHMAC || c.managed() {
		dropSigned(h)
	}
	switch {
	case pass:
	case place.In == registry.InHeader:
		h.Del(place.Name)
	case place.In == registry.InCookie:
		if rest := cookies(h["Cookie"], func(name string) bool { return name != place.Name }); len(rest) > 0 {
			h["Cookie"] = rest
		} else {
			h.Del("Cookie")
		}
	}
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
	place, pass := c.decision.Place, c.decision.PassCredential()
	drop := func(name string) bool {
		if place.In == registry.InQuery && name == place.Name {
			return !pass
		}
		return c.managed() && slices.Contains(credentialParameters, strings.ToLower(name))
	}
	pairs := strings.Split(raw, "&")
	kept := slices.DeleteFunc(pairs, func(pair string) bool {
		k, _, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(k)
		return err == nil && drop(name)
	})
	return strings.Join(kept, "&")
}
