package proxy

import (
	"encoding/json"
	"net/http"
	"strings"

	"keyless/shared/registry"
)

// dialect is the form in which an API's callers expect an error.
type dialect int

// The dialects.
const (
	problem   dialect = iota // RFC 9457: plain http, and where no API is known
	openAI                   // {"error":{…}}
	anthropic                // {"type":"error","error":{…}}
	rpc                      // JSON-RPC 2.0, which MCP speaks
)

// dialectOf follows the API's type; an LLM API speaks Anthropic's dialect on the paths that only Anthropic
// has.
func dialectOf(r registry.Route) dialect {
	switch r.API.Type {
	case registry.LLM:
		if strings.HasSuffix(r.Path, "/messages") || strings.HasSuffix(r.Path, "/messages/count_tokens") {
			return anthropic
		}
		return openAI
	case registry.MCP:
		return rpc
	}
	return problem
}

func (d dialect) contentType() string {
	if d == problem {
		return "application/problem+json"
	}
	return "application/json"
}

// rpcRefused is the JSON-RPC error code of every refusal of ours, from the range left to servers.
const rpcRefused = -32001

// The shapes of the bodies. Their fields are strings and numbers, so that they always marshal.
type (
	openAIBody struct {
		Error     openAIError `json:"error"`
		RequestID string      `json:"request_id"`
	}
	openAIError struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    string  `json:"code"`
	}
	anthropicBody struct {
		Type      string         `json:"type"`
		Error     anthropicError `json:"error"`
		RequestID string         `json:"request_id"`
	}
	anthropicError struct {
		Type    string `json:"type"`
		Message string `json:"message"`
		Code    string `json:"code"`
	}
	rpcBody struct {
		Version string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Error   rpcError        `json:"error"`
	}
	rpcError struct {
		Code    int     `json:"code"`
		Message string  `json:"message"`
		Data    rpcData `json:"data"`
	}
	rpcData struct {
		Code      string `json:"code"`
		RequestID string `json:"request_id"`
	}
	problemBody struct {
		Type      string `json:"type"`
		Title     string `json:"title"`
		Status    int    `json:"status"`
		Detail    string `json:"detail"`
		Code      string `json:"code"`
		RequestID string `json:"request_id"`
	}
)

// body writes a refusal of a call.
func (d dialect) body(r refusal, c *call) []byte {
	var shape any
	switch d {
	case openAI:
		shape = openAIBody{openAIError{r.message, openAIType(r.status), nil, r.code}, c.id}
	case anthropic:
		shape = anthropicBody{"error", anthropicError{anthropicType(r.status), r.message, r.code}, c.id}
	case rpc:
		shape = c.rpcRefusal(r)
	default:
		shape = problemBody{"about:blank", http.StatusText(r.status), r.status, r.message, r.code, c.id}
	}
	text, _ := json.Marshal(shape)
	return text
}

// event writes a refusal into an event stream that is under way; "" where the dialect has no form for it. It
// begins by ending the event that may have been cut.
func (d dialect) event(r refusal, c *call) string {
	switch d {
	case openAI, rpc:
		return "\n\ndata: " + string(d.body(r, c)) + "\n\n"
	case anthropic:
		return "\n\nevent: error\ndata: " + string(d.body(r, c)) + "\n\n"
	}
	return ""
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

// anthropicType is the error type that Anthropic's SDKs know for a status.
func anthropicType(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case http.StatusServiceUnavailable:
		return "overloaded_error"
	case http.StatusGatewayTimeout:
		return "timeout_error"
	}
	if status < http.StatusInternalServerError {
		return "invalid_request_error"
	}
	return "api_error"
}
