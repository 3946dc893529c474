package authorizer

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"

	"keyless/shared/accesslog"
)

// pathNginx is where nginx asks. Each dialect has a path of its own: which headers are believed is never
// guessed from the headers, for those a client can send.
const pathNginx = "/_/authorize/nginx"

// The headers by which nginx tells the original request: proxy_set_header with $request_method, $request_uri
// and $host.
const (
	originalMethod = "X-Original-Method"
	originalURI    = "X-Original-Uri"
	originalHost   = "X-Original-Host"
)

// forwarding are the headers, by prefix, in which some gateway tells of the original request. None of them is
// the caller's, so none reaches the judged request.
var forwarding = []string{
	"X-Original-", "X-Forwarded-", "Forwarded", "X-Envoy-", "X-Rewrite-Url", "X-Real-Ip",
	"X-Ca-Remote-Auth-", "X-Auth-Request-",
}

// The headers that an answer bears. Identity stands in them on allow only.
const (
	headerCode     = "X-Keyless-Code"
	headerConsumer = "X-Consumer"
	headerSubject  = "X-Keyless-Subject"
	headerID       = "X-Request-Id"
)

// ServeHTTP answers forward-auth subrequests of any method; a body is not read. nginx: 200 with identity
// headers, 401 with the challenge, 403 for every refusal of who is proven, limits included, and 503 for a
// failure, since auth_request makes a 500 of anything else. X-Keyless-Code, X-Request-Id and no-store stand
// on every answer.
func (a *Authorizer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := accesslog.RequestID(r)
	if id == "" {
		id = requestID(r.Context())
	}
	switch {
	case r.URL.Path != pathNginx:
		answer(w, http.StatusNotFound, unknownDialect, id)
	case !a.proxies.Trusts(r.RemoteAddr):
		a.log.LogAttrs(r.Context(), slog.LevelWarn, "a forward-auth question did not come from a trusted proxy",
			slog.String("peer", r.RemoteAddr), slog.String("request_id", id),
			slog.String("setting", "KEYLESS_TRUSTED_PROXIES"))
		answer(w, http.StatusForbidden, untrusted, id)
	default:
		a.serveNginx(w, r, id)
	}
}

func (a *Authorizer) serveNginx(w http.ResponseWriter, r *http.Request, id string) {
	ruled, err := a.rule(r.Context(), question{requestID: id, request: original(r)})
	if err != nil {
		accesslog.Add(r.Context(), slog.String("code", failure(err).code), slog.String("cause", err.Error()))
		answer(w, http.StatusServiceUnavailable, failure(err), id)
		return
	}
	accesslog.Add(r.Context(), facts(&ruled)...)
	ruled.admission.SetHeaders(w.Header())
	switch {
	case ruled.allowed():
		identify(w.Header(), &ruled)
		answer(w, http.StatusOK, refusal{}, id)
	case ruled.refusal.unproven():
		w.Header().Set("WWW-Authenticate", ruled.refusal.challenge)
		answer(w, http.StatusUnauthorized, ruled.refusal, id)
	default:
		answer(w, http.StatusForbidden, ruled.refusal, id)
	}
}

// original makes the request that nginx asks about: method, URI and host as nginx tells them, each exactly
// once, and the caller's own headers; nil where one of them is missing.
func original(r *http.Request) *http.Request {
	method, host := r.Header[originalMethod], r.Header[originalHost]
	target := r.Header[originalURI]
	if len(method) != 1 || len(target) != 1 || len(host) != 1 {
		return nil
	}
	header := r.Header.Clone()
	for name := range header {
		for _, prefix := range forwarding {
			if strings.HasPrefix(name, prefix) {
				delete(header, name)
			}
		}
	}
	return newRequest(r.Context(), method[0], target[0], host[0], header)
}

// identify tells the backend who calls. What is not known has no header, so that nginx' variable is empty and
// the header that is set from it is removed, the client's own copy with it.
func identify(h http.Header, ruled *ruling) {
	d := &ruled.decision
	for _, header := range d.Headers {
		if header.Value != "" {
			h.Set(header.Name, header.Value)
		}
	}
	h.Del(headerConsumer)
	h.Del(headerSubject)
	if d.Consumer != nil {
		h.Set(headerConsumer, d.Consumer.Name)
	}
	if subject := bounded(d.Subject); fieldValue(subject) {
		h.Set(headerSubject, subject)
	}
}

// fieldValue reports whether a text can stand in a header as it is: visible ASCII, spaces inside (RFC 9110
// §5.5).
func fieldValue(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return s != "" && strings.TrimSpace(s) == s
}

// answer writes the status and, for a refusal, a problem document (RFC 9457).
func answer(w http.ResponseWriter, status int, why refusal, id string) {
	h := w.Header()
	h.Set(headerID, id)
	h.Set("Cache-Control", "no-store")
	if why.code == "" {
		h.Set(headerCode, codeAllowed)
		w.WriteHeader(status)
		return
	}
	h.Set(headerCode, why.code)
	h.Set("Content-Type", "application/problem+json")
	body, _ := json.Marshal(struct { // strings and a number: cannot fail
		Title     string `json:"title"`
		Status    int    `json:"status"`
		Detail    string `json:"detail"`
		Code      string `json:"code"`
		RequestID string `json:"request_id"`
	}{http.StatusText(status), status, why.message, why.code, id})
	w.WriteHeader(status)
	_, _ = w.Write(body) // a peer that is gone hears nothing
}
