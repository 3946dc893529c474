package proxy

import (
	"net/http"
	"slices"
	"strings"
)

const (
	// preflightAge is how long a browser may remember a preflight: Chromium's own bound is two hours.
	preflightAge = "600"
	// exposed are the headers that a page may read beside those that the Fetch standard allows.
	exposed = "X-Request-Id, Retry-After, RateLimit, RateLimit-Policy, X-Should-Retry, Mcp-Session-Id, WWW-Authenticate, X-Keyless-Cache, Age"
	// maxAskedHeaders bounds what of a preflight is repeated.
	maxAskedHeaders = 4 << 10
)

// cors tells a browser which pages may read the answer (Fetch standard §3.2), and reports whether the request is a preflight, which is
// answered by us alone: it bears no credential and is no call.
func (c *call) cors() (preflight bool) {
	h := c.w.Header()
	rules := c.route.API.CORS
	if rules == nil {
		return false
	}
	h["Vary"] = []string{"Origin"}
	origin := c.in.Header.Get("Origin")
	listed := slices.ContainsFunc(rules.Origins, func(o string) bool { return o != "*" && strings.EqualFold(o, origin) })
	any := slices.Contains(rules.Origins, "*")
	switch {
	case origin == "":
		return false
	case listed:
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
	case any: // whoever calls brings its credential in a header
		h.Set("Access-Control-Allow-Origin", "*")
	}
	asked := c.in.Header.Get("Access-Control-Request-Method")
	if c.in.Method != http.MethodOptions || asked == "" {
		if listed || any {
			h.Set("Access-Control-Expose-Headers", exposed)
		}
		return false
	}
	h["Vary"] = []string{"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}
	if listed || any {
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE")
		if names := strings.Join(c.in.Header["Access-Control-Request-Headers"], ", "); names != "" && len(names) <= maxAskedHeaders {
			h.Set("Access-Control-Allow-Headers", names)
		}
		h.Set("Access-Control-Max-Age", preflightAge)
	}
	return true
}

// ofCORS reports whether a header of an upstream's speaks of what we speak of.
func (c *call) ofCORS(lower string) bool {
	return c.route.API.CORS != nil && strings.HasPrefix(lower, "access-control-")
}
