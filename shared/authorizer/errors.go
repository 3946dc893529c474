package authorizer

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"keyless/shared/auth"
	"keyless/shared/quota"
	"keyless/shared/registry"
)

// refusal is why a call may not pass. Status is what the proxy would answer; each dialect has its own way of
// saying it, and all of them tell only unproven (401) from refused (anything else). The zero refusal is none.
type refusal struct {
	status    int
	message   string
	code      string
	challenge string // WWW-Authenticate of a 401
	signed    string // X-Ca-Error-Message of a signature that does not fit
}

// unproven reports whether the caller did not prove who it is, so that a credential would help.
func (r refusal) unproven() bool { return r.status == http.StatusUnauthorized }

// The refusals that are not the gate's. Sentences as the proxy says them.
var (
	malformed = refusal{status: http.StatusBadRequest, code: "bad_request",
		message: "The original request's method, path or host is missing or not in canonical form"}
	unrouted = refusal{status: http.StatusNotFound, code: "api_not_found",
		message: "No API matches this host and path"}
	untrusted = refusal{status: http.StatusForbidden, code: "untrusted_proxy",
		message: "Questions are answered to trusted proxies only"}
	unknownDialect = refusal{status: http.StatusNotFound, code: "dialect_not_found",
		message: "No forward-auth dialect is spoken at this path"}
)

// codeAllowed stands where a refusal's code would.
const codeAllowed = "allowed"

// refused is the gate's refusal. A Reason without a look of its own has status 500: our own mistake.
func refused(d *auth.Decision) refusal {
	look := d.Reason.Refusal()
	return refusal{status: look.Status, message: look.Message, code: look.Code,
		challenge: d.Challenge(), signed: d.CaErrorMessage()}
}

// limited is the refusal of a call over a limit of a domain, api, consumer or group.
func limited(r *quota.Refusal) refusal {
	subject := strings.ToLower(r.Subject)
	return refusal{status: http.StatusTooManyRequests, code: subject + "_limit",
		message: "Throttled by " + strings.ToUpper(subject) + " Flow Control"}
}

// failure is what a caller may know of a failure of ours: told apart from every refusal, and nothing more.
func failure(err error) refusal {
	f := refusal{status: http.StatusServiceUnavailable, code: "store_unavailable",
		message: "The gateway cannot decide at the moment"}
	switch {
	case errors.Is(err, registry.ErrBusy):
		f.code = "registry_busy"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		f.code = "deadline"
	}
	return f
}

// The two errors of a REST API's authorizer. API Gateway turns exactly the first text into a 401; every other
// text into a 500, and the caller never sees it.
var (
	errUnauthorized = errors.New("Unauthorized") // the platform compares this text
	errUnavailable  = errors.New("authorizer unavailable")
)
