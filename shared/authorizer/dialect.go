package authorizer

import (
	"net/http"
	"strings"

	"keyless/shared/registry"
)

// dialect is how one kind of gateway asks about a request, and what it makes of the answer. Each has a path
// of its own: which words are believed is never guessed from headers, for those a client can send.
type dialect struct {
	path string // where it asks; in a dialect without words the original path stands behind it

	// The words are the headers that tell the original request, each exactly once. Without them it is the
	// question itself: its method, its Host, and its path behind the dialect's.
	words words

	// failure is the status of a failure. On a 5xx some gateways have a switch of their own that lets the
	// call pass: to those a failure is a refusal.
	failure int

	verdict string // a header that says true or false on every answer
}

// words are the names of the headers that tell a request.
type words struct{ method, target, host string }

// The dialects. Sources: ngx_http_auth_request_module; traefik pkg/middlewares/auth/forward.go; Envoy
// ext_authz/v3 HttpService, which allows on exactly 200; Higress extensions/ext-auth, endpoint_mode envoy (in
// forward_auth it speaks Traefik's words, at Traefik's path); Alibaba Cloud, "Configure self-built
// authentication".
var dialects = []dialect{
	{path: "/_/authorize/nginx", failure: http.StatusServiceUnavailable,
		words: words{"X-Original-Method", "X-Original-Uri", "X-Original-Host"}},
	{path: "/_/authorize/traefik", failure: http.StatusServiceUnavailable,
		words: words{"X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host"}},
	{path: "/_/authorize/envoy", failure: http.StatusForbidden},
	// Higress' endpoint_mode envoy cleans path and query in one, so that a query can change the path that is
	// asked about; the pages for operators say so, and to use forward_auth.
	{path: "/_/authorize/higress", failure: http.StatusForbidden},
	{path: "/_/authorize/apig", failure: http.StatusForbidden,
		verdict: "X-Mse-External-Authz-Check-Result"},
}

// dialectAt finds the dialect by the path as it was sent, byte for byte.
func dialectAt(r *http.Request) (dialect, bool) {
	path := r.URL.EscapedPath()
	for _, d := range dialects {
		rest, ok := strings.CutPrefix(path, d.path)
		if ok && (rest == "" || rest[0] == '/' && d.words == words{}) {
			return d, true
		}
	}
	return dialect{}, false
}

// original makes the request that is asked about, with the caller's own headers; nil where it is not told.
func (d *dialect) original(r *http.Request) *http.Request {
	if d.words == (words{}) {
		path, err := registry.CanonicalPath(r) // of the whole: the dialect's own part is canonical
		if err != nil {
			return nil
		}
		target := strings.TrimPrefix(path, d.path)
		if target == "" { // gateways that join paths take the root's slash off
			target = "/"
		}
		if r.URL.RawQuery != "" {
			target += "?" + r.URL.RawQuery
		}
		return newRequest(r.Context(), r.Method, target, r.Host, callers(r.Header))
	}
	method, target, host := r.Header[d.words.method], r.Header[d.words.target], r.Header[d.words.host]
	if len(method) != 1 || len(target) != 1 || len(host) != 1 {
		return nil
	}
	return newRequest(r.Context(), method[0], target[0], host[0], callers(r.Header))
}

// forwarding are the headers, by prefix, in which some gateway tells of the original request or of an answer
// to it. None of them is the caller's, so none reaches the judged request.
var forwarding = []string{
	"X-Original-", "X-Forwarded-", "Forwarded", "X-Envoy-", "X-Rewrite-Url", "X-Real-Ip",
	"X-Ca-Remote-Auth-", "X-Auth-Request-", "X-Mse-",
}

// callers are the headers that may be the caller's.
func callers(h http.Header) http.Header {
	kept := h.Clone()
	for name := range kept {
		for _, prefix := range forwarding {
			if strings.HasPrefix(name, prefix) {
				delete(kept, name)
			}
		}
	}
	return kept
}
