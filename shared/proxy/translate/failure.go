package translate

import (
	"encoding/json"
	"net/http"
	"strconv"
	"unicode/utf8"

	"keyless/shared/oauth"
)

// maxMessage bounds what is passed on of a provider's sentence. They echo parts of a request; whole ones are
// the caller's own already.
const maxMessage = 4096

// failure is an error as a provider tells it.
type failure struct {
	status    int
	kind      string // the provider's type of it
	code      string // "" none
	message   string
	requestID string
}

// failureBody is every known shape of an error at once.
type failureBody struct {
	Error     json.RawMessage `json:"error"` // an object in both dialects, a string at some servers
	Message   json.RawMessage `json:"message"`
	Detail    json.RawMessage `json:"detail"`
	Type      json.RawMessage `json:"type"`
	Code      json.RawMessage `json:"code"` // a string; a number at some servers
	RequestID json.RawMessage `json:"request_id"`
}

// readFailure reads what it can of an error's body, or of an error event's data.
func readFailure(body []byte) failure {
	var outer, inner failureBody
	if json.Unmarshal(body, &outer) != nil {
		return failure{}
	}
	inner = outer
	sentence := outer.Error
	if len(outer.Error) > 0 && outer.Error[0] == '{' {
		inner = failureBody{}
		_ = json.Unmarshal(outer.Error, &inner) // it decoded as a part of the whole
		sentence = nil
	}
	f := failure{kind: plain(inner.Type), code: plain(inner.Code), requestID: plain(outer.RequestID)}
	for _, text := range []json.RawMessage{inner.Message, sentence, inner.Detail} {
		if f.message = plain(text); f.message != "" {
			break
		}
	}
	return f.bounded()
}

// plain is the text of a string or a number, "" of anything else.
func plain(value json.RawMessage) string {
	if s, ok := oauth.String(value); ok {
		return s
	}
	if len(value) > 0 && value[0] >= '0' && value[0] <= '9' {
		return string(value)
	}
	return ""
}

func (f failure) bounded() failure {
	for _, text := range []*string{&f.message, &f.kind, &f.code, &f.requestID} {
		if len(*text) > maxMessage {
			cut := maxMessage
			for !utf8.RuneStart((*text)[cut]) {
				cut--
			}
			*text = (*text)[:cut]
		}
	}
	return f
}

func (f failure) forStatus(status int) failure {
	f.status = status
	if f.message == "" {
		f.message = "The upstream answered with status " + strconv.Itoa(status)
	}
	return f
}

// forEvent finds the status that the error would have had before the stream began.
func (f failure) forEvent() failure {
	status := http.StatusInternalServerError
	for _, word := range []string{f.code, f.kind} {
		if s, known := statusOf[word]; known {
			status = s
			break
		}
	}
	if f.message == "" {
		f.message = "The upstream reported an error"
	}
	f.status = status
	return f
}

var statusOf = map[string]int{
	"invalid_request_error": http.StatusBadRequest,
	"authentication_error":  http.StatusUnauthorized,
	"billing_error":         http.StatusPaymentRequired,
	"permission_error":      http.StatusForbidden,
	"not_found_error":       http.StatusNotFound,
	"request_too_large":     http.StatusRequestEntityTooLarge,
	"rate_limit_error":      http.StatusTooManyRequests,
	"rate_limit_exceeded":   http.StatusTooManyRequests,
	"insufficient_quota":    http.StatusTooManyRequests,
	"timeout_error":         http.StatusGatewayTimeout,
	"overloaded_error":      http.StatusServiceUnavailable,
}

// overloaded is Anthropic's own status for want of capacity.
const overloaded = 529

// body writes the error in a dialect: the type follows the status, the code keeps the provider's own word for
// it.
func (f failure) body(to Dialect) []byte {
	code := f.code
	if code == "" {
		code = f.kind
	}
	var inner, out object
	if to == Anthropic {
		inner.str("type", anthropicType(f.status))
		inner.str("message", f.message)
		if code != "" {
			inner.str("code", code)
		}
		out.str("type", "error")
	} else {
		inner.str("message", f.message)
		inner.str("type", openAIType(f.status))
		inner.raw("param", []byte("null"))
		if code != "" {
			inner.str("code", code)
		} else {
			inner.raw("code", []byte("null"))
		}
	}
	out.raw("error", inner.end())
	if f.requestID != "" {
		out.str("request_id", f.requestID)
	}
	return out.end()
}

// openAIType is the error type that OpenAI's SDKs know for a status.
func openAIType(status int) string {
	switch {
	case status == http.StatusUnauthorized:
		return "authentication_error"
	case status == http.StatusForbidden:
		return "permission_error"
	case status == http.StatusTooManyRequests:
		return "rate_limit_error"
	case status < http.StatusInternalServerError:
		return "invalid_request_error"
	}
	return "server_error"
}

var anthropicTypes = map[int]string{
	http.StatusUnauthorized:          "authentication_error",
	http.StatusPaymentRequired:       "billing_error",
	http.StatusForbidden:             "permission_error",
	http.StatusNotFound:              "not_found_error",
	http.StatusRequestEntityTooLarge: "request_too_large",
	http.StatusTooManyRequests:       "rate_limit_error",
	http.StatusServiceUnavailable:    "overloaded_error",
	overloaded:                       "overloaded_error",
	http.StatusGatewayTimeout:        "timeout_error",
}

// anthropicType is the error type that Anthropic's SDKs know for a status.
func anthropicType(status int) string {
	if kind, known := anthropicTypes[status]; known {
		return kind
	}
	if status < http.StatusInternalServerError {
		return "invalid_request_error"
	}
	return "api_error"
}
