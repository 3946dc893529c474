package demo

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// question is what is taken from a request, in either dialect.
type question struct {
	model, said          string
	result               bool // what was said is a tool's result
	words                int
	tools                []string
	stream, includeUsage bool
}

// turn is a message of a conversation. Content is a string, an array of parts, or null as assistants that call tools have it.
type turn struct {
	Role    string
	Content json.RawMessage
}

func (q *question) add(m turn) string {
	text, result, ok := textOf(m.Content)
	switch m.Role {
	case "user":
		q.said, q.result = text, result
	case "tool":
		q.said, q.result = text, true
	case "system", "developer", "assistant":
	default:
		return "A message has an unknown role."
	}
	if !ok {
		return "A message's content is neither a string nor an array of parts that this model reads."
	}
	q.words += len(strings.Fields(text))
	return ""
}

// textOf reads content, and reports whether it is a tool's result.
func textOf(content json.RawMessage) (string, bool, bool) {
	var text string
	if len(content) == 0 || json.Unmarshal(content, &text) == nil {
		return text, false, true
	}
	var parts []struct {
		Type, Text string
		Content    json.RawMessage
	}
	if json.Unmarshal(content, &parts) != nil {
		return "", false, false
	}
	texts, result := make([]string, 0, len(parts)), false
	for _, part := range parts {
		switch part.Type {
		case "text":
			texts = append(texts, part.Text)
		case "tool_use":
		case "tool_result":
			inner, _, _ := textOf(part.Content)
			texts, result = append(texts, inner), true
		default:
			return "", false, false
		}
	}
	return strings.Join(texts, "\n"), result, true
}

// reply is an answer: a text, or the call of a tool.
type reply struct {
	text, tool string
	input      json.RawMessage
}

func (a reply) words() int { return len(strings.Fields(a.text + string(a.input))) }

// answer calls the tool that the question names, and repeats what was said otherwise.
func answer(q question, consumer string) reply {
	for name := range slices.Values(q.tools) {
		if !q.result && name != "" && strings.Contains(q.said, name) {
			input, _ := json.Marshal(map[string]string{"text": cut(q.said)}) // a map of strings always encodes
			return reply{tool: name, input: input}
		}
	}
	if q.result {
		return reply{text: "The tool said: " + cut(q.said)}
	}
	if consumer == "" {
		consumer = "unknown"
	}
	return reply{text: "Hello! You are consumer " + cut(consumer) + ". You said: " + cut(q.said)}
}

// events sends server-sent events with a pause before each but the first, until the client is gone.
type events struct {
	w    http.ResponseWriter
	r    *http.Request
	sent bool
	gone bool
}

func (s *events) send(name string, value any) {
	data, err := json.Marshal(value)
	if s.gone = s.gone || err != nil || s.sent && !wait(s.r); s.gone {
		return
	}
	if !s.sent {
		s.w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		s.w.Header().Set("Cache-Control", "no-cache")
	}
	s.sent = true
	event := "data: " + string(data) + "\n\n"
	if name != "" {
		event = "event: " + name + "\n" + event
	}
	_, err = s.w.Write([]byte(event))
	s.gone = err != nil || http.NewResponseController(s.w).Flush() != nil
}

// wait pauses between two words, and says whether the client is still there.
func wait(r *http.Request) bool {
	select {
	case <-r.Context().Done():
		return false
	case <-time.After(pause):
		return true
	}
}

// cut bounds an echo at a character's boundary.
func cut(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxEcho)], "")
}
