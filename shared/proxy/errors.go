package proxy

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"

	"keyless/shared/auth"
	"keyless/shared/quota"
	"keyless/shared/registry"
)

// refusal is an answer in place of the upstream's. Message and code are public, and written by hand.
type refusal struct {
	status    int
	code      string
	message   string
	challenge string // WWW-Authenticate
	soon      bool   // worth another try in a few seconds

	stringToSign string // X-Ca-Error-Message
}

// What is wrong with the request.
var (
	apiNotFound = refusal{status: http.StatusNotFound, code: "api_not_found",
		message: "No API matches this host and path"}
	bodyTooLarge = refusal{status: http.StatusRequestEntityTooLarge, code: "body_too_large",
		message: "Request Body Too Large"}
	modelNotFound = refusal{status: http.StatusNotFound, code: "model_not_found",
		message: "No upstream of this API serves this model"}
	modelUnpriced = refusal{status: http.StatusForbidden, code: "model_unpriced",
		message: "This model has no price, and a limit of money applies to this call"}
	notSupported = refusal{status: http.StatusNotImplemented, code: "not_supported",
		message: "Upgrades, CONNECT and TRACE are not supported"}
	methodUnknown = refusal{status: http.StatusNotImplemented, code: notSupported.code,
		message: "This method is not supported"}
)

func badRequest(what string) *refusal {
	return &refusal{status: http.StatusBadRequest, code: "bad_request", message: what}
}

// What failed on our side, before anything was sent.
var (
	storeUnavailable = refusal{status: http.StatusServiceUnavailable, code: "store_unavailable",
		message: "The gateway's store is unavailable", soon: true}
	registryBusy = refusal{status: http.StatusServiceUnavailable, code: "registry_busy",
		message: "The gateway's configuration is changing", soon: true}
	registryEmpty = refusal{status: http.StatusServiceUnavailable, code: "registry_empty",
		message: "The gateway has no configuration yet"}
	keysUnavailable = refusal{status: http.StatusServiceUnavailable, code: "keys_unavailable",
		message: "The keys that verify this credential are unavailable", soon: true}
	clockSkew = refusal{status: http.StatusServiceUnavailable, code: "clock_skew",
		message: "The gateway's clock and its store's differ"}
	tooLate = refusal{status: http.StatusServiceUnavailable, code: "deadline",
		message: "Too little time is left for this call"}
	cancelled = refusal{status: http.StatusServiceUnavailable, code: "cancelled",
		message: "The call was cancelled", soon: true}
	internal = refusal{status: http.StatusInternalServerError, code: "internal", message: "Internal error"}
)

// What failed at the upstream, or on the way to it.
var (
	upstreamConnect = refusal{status: http.StatusBadGateway, code: "upstream_connect",
		message: "The upstream cannot be reached"}
	upstreamBroken = refusal{status: http.StatusBadGateway, code: "upstream_broken",
		message: "The upstream's answer broke off or cannot be understood"}
	upstreamRedirect = refusal{status: http.StatusBadGateway, code: "upstream_redirect",
		message: "The upstream answered with a redirect, which is not followed"}
	upstreamAuth = refusal{status: http.StatusBadGateway, code: "upstream_auth",
		message: "The upstream does not accept the gateway's own credential"}
	upstreamCircuit = refusal{status: http.StatusServiceUnavailable, code: "upstream_circuit",
		message: "The upstream has failed repeatedly and is left alone for some seconds", soon: true}
	upstreamTimeout = refusal{status: http.StatusGatewayTimeout, code: "upstream_timeout",
		message: "The upstream did not answer in time"}
	overtime = refusal{status: http.StatusGatewayTimeout, code: "deadline",
		message: "The time for this call is over"}
)

// ofDecision is the gate's refusal.
func ofDecision(d auth.Decision) *refusal {
	f := d.Reason.Refusal()
	return &refusal{
		status: f.Status, code: f.Code, message: f.Message, challenge: d.Challenge(), stringToSign: d.CaErrorMessage(),
	}
}

// ofLimit is a limit's refusal, in the words of the requirement. When to come again is told by the
// admission's own headers.
func ofLimit(l quota.Refusal) *refusal {
	switch l.Kind {
	case quota.Tokens:
		return &refusal{status: http.StatusTooManyRequests, code: "usage_limit", message: exhausted}
	case quota.Spend:
		return &refusal{status: http.StatusTooManyRequests, code: "spend_limit", message: exhausted}
	}
	return &refusal{
		status: http.StatusTooManyRequests, code: strings.ToLower(l.Subject) + "_limit",
		message: "Throttled by " + l.Subject + " Flow Control",
	}
}

const exhausted = "Quota Exhausted"

// failed turns a failure on the way to an admission into what the caller may know of it. The rest goes to
// the access line.
func failed(c *call, err error) refusal {
	c.note(slog.String("error", err.Error()))
	ctx := c.in.Context()
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		// The client is gone, or the process ends; nobody can tell which, and the words cost nothing.
		return cancelled
	case ctx.Err() != nil || errors.Is(err, errLate):
		return tooLate
	case errors.Is(err, registry.ErrBusy):
		return registryBusy
	case errors.Is(err, registry.ErrEmpty):
		return registryEmpty
	case errors.Is(err, quota.ErrClock):
		return clockSkew
	case errors.Is(err, errNoVerdict):
		return internal
	case errors.Is(err, auth.ErrKeys):
		return keysUnavailable
	}
	return storeUnavailable
}

// upstreamFailed turns a failure of the exchange with the upstream into what the caller may know of it. The
// log may know all but the provider's key, which a broken answer may echo.
func (c *call) upstreamFailed(err error, x *exchange) refusal {
	text := err.Error()
	if x.key != "" {
		text = strings.ReplaceAll(text, x.key, "[redacted]")
	}
	c.note(slog.String("error", text))
	ctx := c.in.Context()
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return cancelled
	case ctx.Err() != nil:
		return overtime
	case errors.Is(err, errUnproven):
		return upstreamAuth
	case !x.sent.Load():
		return upstreamConnect
	case errors.Is(err, errSilent) || errors.Is(err, errOvertime):
		return upstreamTimeout
	}
	return upstreamBroken
}

// unfit refuses an answer that must not reach the caller of an LLM or MCP API: a redirect could carry them
// past the gateway, and a 401 would tell them that their own credential is bad, where it is ours that the
// upstream refuses.
func (c *call) unfit(x *exchange) *refusal {
	status := x.StatusCode
	switch {
	case status < http.StatusOK:
		return &upstreamBroken
	case !c.managed():
		return nil
	case status >= 300 && status < 400 && status != http.StatusNotModified:
		return &upstreamRedirect
	case status != http.StatusUnauthorized && status != http.StatusForbidden:
		return nil
	case x.key == "" && c.decision.PassCredential():
		return nil // it is the caller's own credential after all
	}
	return &upstreamAuth
}

// refuse answers in the API's dialect.
func (c *call) refuse(r refusal) {
	c.status = r.status
	c.note(slog.String("reason", r.code))
	body := c.dialect.body(r, c)
	h := c.w.Header()
	h.Set("Content-Type", c.dialect.contentType())
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	c.admission.SetHeaders(h)
	if r.challenge != "" {
		h.Set("WWW-Authenticate", r.challenge)
	}
	if r.stringToSign != "" {
		h.Set("X-Ca-Error-Message", r.stringToSign)
	}
	if r.soon {
		h.Set("Retry-After", strconv.Itoa(1+rand.IntN(3))) // spread, so that they do not all come back at once
	}
	c.w.WriteHeader(r.status)
	_, _ = c.w.Write(body) // who does not read its refusal has it in our log
}
