package meter

import "encoding/json"

// KeepAlive is a comment: it keeps a connection from looking idle. It may stand between two events only.
// Nobody is to write to it.
var KeepAlive = []byte(": keep-alive\n\n")

// The shapes of error events. Their fields are strings and numbers, so that they always marshal.
type (
	chatError struct {
		Error     chatErrorBody `json:"error"`
		RequestID string        `json:"request_id"`
	}
	chatErrorBody struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    string  `json:"code"`
	}
	messagesError struct {
		Type      string            `json:"type"`
		Error     messagesErrorBody `json:"error"`
		RequestID string            `json:"request_id"`
	}
	messagesErrorBody struct {
		Type    string `json:"type"`
		Message string `json:"message"`
		Code    string `json:"code"`
	}
	responsesError struct {
		Type      string  `json:"type"`
		Code      string  `json:"code"`
		Message   string  `json:"message"`
		Param     *string `json:"param"`
		RequestID string  `json:"request_id"`
	}
	nativeError struct {
		Code      string `json:"code"`
		Message   string `json:"message"`
		RequestID string `json:"request_id"`
	}
)

// ErrorFrame is the event that ends a stream which cannot be ended well, in the dialect of the caller's kind.
// It first ends an event that may have been cut. message is a public sentence.
func ErrorFrame(kind Kind, message, code, requestID string) []byte {
	event, shape := "", any(chatError{chatErrorBody{message, "server_error", nil, code}, requestID})
	switch kind {
	case Messages:
		event = "event: error\n"
		shape = messagesError{"error", messagesErrorBody{"api_error", message, code}, requestID}
	case Responses:
		event, shape = "event: error\n", responsesError{"error", code, message, nil, requestID}
	case Native:
		event, shape = "event:error\n:HTTP_STATUS/500\n", nativeError{code, message, requestID}
	}
	text, _ := json.Marshal(shape)
	return []byte("\n\n" + event + "data: " + string(text) + "\n\n")
}
