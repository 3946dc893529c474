package authorizer

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"keyless/shared/accesslog"
)

// The headers that an answer bears. Identity stands in them on allow only.
const (
	headerCode     = "X-Keyless-Code"
	headerConsumer = "X-Consumer"
	headerSubject  = "X-Keyless-Subject"
	headerID       = "X-Request-Id"
	headerSigned   = "X-Ca-Error-Message"
)

// ServeHTTP answers forward-auth questions of any method; a body is not read. Allowed is 200 with identity
// headers, unproven 401 with the challenge, and refused 403 for every refusal of who is proven, limits
// included: nginx and Higress make something else of any other status. A failure is what the dialect says.
// X-Keyless-Code, X-Request-Id and no-store stand on every answer.
func (a *Authorizer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := accesslog.RequestID(r)
	if id == "" {
		id = requestID(r.Context())
	}
	d, ok := dialectAt(r)
	switch {
	case !ok:
		d.answer(w, http.StatusNotFound, unknownDialect, id)
	case !a.proxies.Trusts(r.RemoteAddr):
		a.log.LogAttrs(r.Context(), slog.LevelWarn, "a forward-auth question did not come from a trusted proxy",
			slog.String("peer", r.RemoteAddr), slog.String("request_id", id),
			slog.String("setting", "KEYLESS_TRUSTED_PROXIES"))
		d.answer(w, http.StatusForbidden, untrusted, id)
	default:
		a.serve(w, r, &d, id)
	}
}

func (a *Authorizer) serve(w http.ResponseWriter, r *http.Request, d *dialect, id string) {
	ruled, err := a.rule(r.Context(), question{requestID: id, request: d.original(r)})
	if err != nil {
		accesslog.Add(r.Context(), slog.String("code", failure(err).code), slog.String("cause", err.Error()))
		d.answer(w, d.failure, failure(err), id)
		return
	}
	accesslog.Add(r.Context(), facts(&ruled)...)
	ruled.admission.SetHeaders(w.Header())
	switch {
	case ruled.allowed():
		identify(w.Header(), &ruled)
		d.answer(w, http.StatusOK, refusal{}, id)
	case ruled.refusal.unproven():
		w.Header().Set("WWW-Authenticate", ruled.refusal.challenge)
		if ruled.refusal.signed != "" {
			w.Header().Set(headerSigned, ruled.refusal.signed)
		}
		d.answer(w, http.StatusUnauthorized, ruled.refusal, id)
	default:
		d.answer(w, http.StatusForbidden, ruled.refusal, id)
	}
}

// identify tells the backend who calls. What is not known is told as empty: Envoy and Higress write the
// headers of an answer over the client's own, and would keep the client's copy of one that the answer lacks.
func identify(h http.Header, ruled *ruling) {
	for _, name := range ruled.mapped {
		h.Set(name, "")
	}
	decision := &ruled.decision
	for _, header := range decision.Headers {
		h.Set(header.Name, header.Value)
	}
	consumer, subject := "", bounded(decision.Subject)
	if decision.Consumer != nil {
		consumer = decision.Consumer.Name
	}
	if !fieldValue(subject) {
		subject = ""
	}
	h.Set(headerConsumer, consumer)
	h.Set(headerSubject, subject)
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
func (d *dialect) answer(w http.ResponseWriter, status int, why refusal, id string) {
	h := w.Header()
	h.Set(headerID, id)
	h.Set("Cache-Control", "no-store")
	if d.verdict != "" {
		h.Set(d.verdict, strconv.FormatBool(status == http.StatusOK))
	}
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
