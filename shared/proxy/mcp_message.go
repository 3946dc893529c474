package proxy

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"keyless/shared/oauth"
)

// message is one JSON-RPC message, as far as it is judged.
type message struct {
	id     json.RawMessage // of a request, as sent; nil none
	method string          // "" of a response
	tool   string          // params.name of tools/call
}

// Bounds of what is judged. All fit many times into what the SDKs send; the tool's name is also a name in the ledger.
const (
	maxMethod = 128
	maxTool   = 128
	maxID     = 256
	// maxNumber is the greatest whole number that JavaScript tells from its neighbours (ECMA-262 Number.MAX_SAFE_INTEGER): beyond it two
	// ids are one to a server.
	maxNumber = 1<<53 - 1
)

// The members that decide, at the top and in params. A reader that ignores letter case (as Go's does by itself) takes Method for method.
var (
	decisive = []string{"jsonrpc", "id", "method", "params", "result", "error"}
	named    = []string{"name", "arguments", "_meta"}
)

// readMessages reads a body as one message or as a batch. unreadable is "" or a public sentence.
//
// Refused is what two readers could understand differently: text that is not UTF-8, a member twice in one object at any level, a
// decisive member in other letters, a message that is request and response at once, an id that is neither string nor whole number, or
// is a number that JavaScript rounds, two requests of one id, positional params.
func readMessages(body []byte) (list []message, batch bool, unreadable string) {
	if !utf8.Valid(body) {
		return nil, false, "the body is to be JSON in UTF-8"
	}
	texts := []json.RawMessage{body}
	if bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("[")) {
		batch, texts = true, nil // a copy: what is decoded into a text of the body would be written over it
		if err := json.Unmarshal(body, &texts); err != nil {
			return nil, true, "the body is to be a JSON-RPC message, or an array of them: not one valid JSON value"
		}
		if len(texts) == 0 || len(texts) > maxBatch {
			return nil, true, "a batch is to have 1 to " + strconv.Itoa(maxBatch) + " messages"
		}
	}
	seen := map[string]bool{}
	for _, text := range texts {
		m, unreadable := readMessage(text)
		if unreadable != "" {
			return nil, batch, unreadable
		}
		if m.id != nil {
			if seen[idOf(m.id)] {
				return nil, batch, "two requests of a batch have the same id"
			}
			seen[idOf(m.id)] = true
		}
		list = append(list, m)
	}
	return list, batch, ""
}

func readMessage(text []byte) (message, string) {
	members, err := oauth.Object(text)
	if err != nil {
		return message{}, "the body is to be a JSON-RPC message, or an array of them: " + err.Error()
	}
	if hasTwin(members, decisive) {
		return message{}, "a message's jsonrpc, id, method, params, result and error are to be written in small letters"
	}
	m, answers := message{id: members["id"]}, members["result"] != nil || members["error"] != nil
	if _, asks := members["method"]; !asks {
		if answers || !validID(m.id) {
			m.id = nil
		}
		return m, ""
	}
	if answers {
		return m, "a message is to have a method, or a result or error"
	}
	method, isString := oauth.String(members["method"])
	if !isString || method == "" || len(method) > maxMethod {
		return m, "a message's method is to be a string of 1 to " + strconv.Itoa(maxMethod) + " bytes"
	}
	m.method = method
	if m.id != nil && !validID(m.id) {
		return m, "a request's id is to be a whole number of at most 2^53-1, written in digits, or a string of at most " +
			strconv.Itoa(maxID) + " bytes"
	}
	return m.readParams(members["params"])
}

func (m message) readParams(text json.RawMessage) (message, string) {
	if text == nil || string(text) == "null" {
		return m, ""
	}
	params, err := oauth.Object(text)
	if err != nil {
		return m, "a message's params are to be an object"
	}
	if hasTwin(params, named) {
		return m, "the members name, arguments and _meta of params are to be written in small letters"
	}
	if m.method != methodCall {
		return m, ""
	}
	m.tool, _ = oauth.String(params["name"])
	if len(m.tool) > maxTool {
		return m, "a tool's name is to have at most " + strconv.Itoa(maxTool) + " bytes"
	}
	return m, ""
}

// hasTwin reports whether a member differs from one of the names in letter case only.
func hasTwin(members map[string]json.RawMessage, names []string) bool {
	for member := range members {
		for _, name := range names {
			if member != name && strings.EqualFold(member, name) {
				return true
			}
		}
	}
	return false
}

// validID reports whether an id is what MCP allows, a string or a whole number, and is one value to every reader. A number with a
// fraction or an exponent is none, whatever its value.
func validID(id json.RawMessage) bool {
	if len(id) > maxID {
		return false
	}
	_, isString := oauth.String(id)
	return isString || isInteger(id) && isSafe(id)
}

func isSafe(number json.RawMessage) bool {
	n, err := strconv.ParseInt(string(number), 10, 64)
	return err == nil && n >= -maxNumber && n <= maxNumber
}

// idOf is an id in one spelling: "a" and "\u0061" are one, 1 and "1" are two.
func idOf(id json.RawMessage) string {
	if text, isString := oauth.String(id); isString {
		return `"` + text
	}
	var n int64
	if json.Unmarshal(id, &n) == nil {
		return strconv.FormatInt(n, 10)
	}
	return string(id)
}
