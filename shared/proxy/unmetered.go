package proxy

import (
	"net/http"
	"slices"
	"strings"

	"keyless/shared/proxy/meter"
	"keyless/shared/registry"
)

// A limit of model tokens or money holds only what is metered. So where one applies, a call whose use nobody would see is refused before
// anything is sent: what has an effect on a path that is not known, and what runs on after its answer, whose usage another call brings.
// Reading (GET, HEAD) costs nothing at any provider.

var (
	notMetered = refusal{status: http.StatusForbidden, code: "not_metered",
		message: "This path is not metered, and a limit of model tokens or money applies to this call"}
	notMeteredLater = refusal{status: http.StatusForbidden, code: notMetered.code,
		message: "A call that is not waited for is not metered, and a limit of model tokens or money applies to it"}
	encodingUnsupported = refusal{status: http.StatusUnsupportedMediaType, code: "unsupported_encoding",
		message: "The body is to be sent plain, without Content-Encoding"}
)

// judgeMetered refuses what a limit would not see.
func (c *call) judgeMetered() *refusal {
	reads := c.in.Method == http.MethodGet || c.in.Method == http.MethodHead || c.in.Method == http.MethodOptions
	later := c.ask.Background || isAsync(c.in.Header)
	if reads || c.ask.Kind != meter.Opaque && !later || !c.limited(bindsUsage) {
		return nil
	}
	if c.ask.Kind == meter.Opaque {
		return &notMetered
	}
	return &notMeteredLater
}

// isAsync reports whether Model Studio is asked for a task, whose result another call fetches.
func isAsync(h http.Header) bool {
	return slices.ContainsFunc(h.Values("X-DashScope-Async"), func(v string) bool { return strings.TrimSpace(v) != "" })
}

// bindsUsage tells limits of model tokens or money that refuse.
func bindsUsage(l *registry.Limits) bool { return !l.Shadow && limitsUsage(l) }

// methods are those that we and the servers of models and tools understand alike; a server that takes "post" for POST would be reached
// by a call that we judged as something else.
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	http.MethodOptions}

// judgeMethod refuses any other method where we speak the API's protocol.
func (c *call) judgeMethod() *refusal {
	if c.managed() && !slices.Contains(methods, c.in.Method) {
		return &methodUnknown
	}
	return nil
}

// judgeEncoding refuses a body for a model that is packed: what cannot be read cannot be judged.
func (c *call) judgeEncoding() *refusal {
	sent := c.in.Header.Values("Content-Encoding")
	plain := len(sent) == 0 || len(sent) == 1 && (sent[0] == "" || strings.EqualFold(sent[0], "identity"))
	if plain || len(c.body) == 0 || c.route.API.Type != registry.LLM {
		return nil
	}
	return &encodingUnsupported
}
