package demo

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// block is a part of an Anthropic message.
type block struct {
	Type  string          `json:"type"`
	Text  *string         `json:"text,omitempty"`
	ID    string          `json:"id,omitempty"`
	Name  string          `json:"name,omitempty"`
	Input json.RawMessage `json:"input,omitempty"`
}

// parseMessages reads the body of POST /v1/messages, or says what is wrong with it.
func parseMessages(body []byte) (question, string) {
	var in struct {
		Model     string
		MaxTokens int `json:"max_tokens"`
		Stream    bool
		System    json.RawMessage
		Messages  []turn
		Tools     []struct{ Name string }
	}
	if json.Unmarshal(body, &in) != nil {
		return question{}, "The body is not the JSON of a messages request."
	}
	switch {
	case in.Model == "":
		return question{}, "model: Field required"
	case in.MaxTokens <= 0:
		return question{}, "max_tokens: Field required"
	case len(in.Messages) == 0:
		return question{}, "messages: at least one message is required"
	}
	q := question{model: in.Model, stream: in.Stream}
	for _, tool := range in.Tools {
		q.tools = append(q.tools, tool.Name)
	}
	system := turn{Role: "system", Content: in.System}
	for _, m := range slices.Concat([]turn{system}, in.Messages) {
		if fault := q.add(m); fault != "" {
			return q, fault
		}
	}
	return q, ""
}

func (a reply) block() block {
	if a.tool != "" {
		return block{Type: "tool_use", ID: "toolu_" + rand.Text(), Name: a.tool, Input: a.input}
	}
	return block{Type: "text", Text: &a.text}
}

func (a reply) stopReason() string {
	if a.tool != "" {
		return "tool_use"
	}
	return "end_turn"
}

func newMessage(q question, content []block) map[string]any {
	return map[string]any{
		"id": "msg_" + rand.Text(), "type": "message", "role": "assistant", "model": q.model, "content": content,
		"stop_reason": nil, "stop_sequence": nil, "usage": map[string]int{"input_tokens": q.words, "output_tokens": 1},
	}
}

// writeMessage answers POST /v1/messages, whole.
func writeMessage(w http.ResponseWriter, q question, a reply) {
	m := newMessage(q, []block{a.block()})
	m["stop_reason"] = a.stopReason()
	m["usage"] = map[string]int{"input_tokens": q.words, "output_tokens": a.words()}
	writeJSON(w, http.StatusOK, m)
}

// streamMessage sends the answer as Anthropic's events, a word each.
func streamMessage(w http.ResponseWriter, r *http.Request, q question, a reply) {
	s := events{w: w, r: r}
	send := func(kind string, members map[string]any) {
		members["type"] = kind
		s.send(kind, members)
	}
	send("message_start", map[string]any{"message": newMessage(q, []block{})})
	first, kind, member, whole := a.block(), "text_delta", "text", a.text
	if a.tool != "" {
		first.Input, kind, member, whole = json.RawMessage(`{}`), "input_json_delta", "partial_json", string(a.input)
	} else {
		empty := ""
		first.Text = &empty
	}
	send("content_block_start", map[string]any{"index": 0, "content_block": first})
	for part := range strings.SplitAfterSeq(whole, " ") {
		send("content_block_delta", map[string]any{"index": 0, "delta": map[string]string{"type": kind, member: part}})
	}
	send("content_block_stop", map[string]any{"index": 0})
	send("message_delta", map[string]any{
		"delta": map[string]any{"stop_reason": a.stopReason(), "stop_sequence": nil},
		"usage": map[string]int{"output_tokens": a.words()},
	})
	send("message_stop", map[string]any{})
}

// refuseMessage answers with an error in Anthropic's shape.
func refuseMessage(w http.ResponseWriter, status int, code, sentence string) {
	writeJSON(w, status, map[string]any{"type": "error", "error": map[string]string{"type": code, "message": sentence}})
}
