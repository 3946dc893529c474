package demo

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

// completion is both chat.completion and chat.completion.chunk.
type completion struct {
	ID      string   `json:"id"`
	Object  string   `json:"object"`
	Created int64    `json:"created"`
	Model   string   `json:"model"`
	Choices []choice `json:"choices"`
	Usage   *usage   `json:"usage,omitempty"`
}

type choice struct {
	Index        int      `json:"index"`
	Message      *message `json:"message,omitempty"`
	Delta        *message `json:"delta,omitempty"`
	FinishReason *string  `json:"finish_reason"`
}

type message struct {
	Role      string     `json:"role,omitempty"`
	Content   *string    `json:"content,omitempty"`
	ToolCalls []toolCall `json:"tool_calls,omitempty"`
}

type toolCall struct {
	Index    int      `json:"index"`
	ID       string   `json:"id,omitempty"`
	Type     string   `json:"type,omitempty"`
	Function function `json:"function"`
}

type function struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

// usage counts words where a model counts tokens.
type usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
}

// parseChat reads the body of a chat completion, or says what is wrong with it.
func parseChat(body []byte) (question, string) {
	var in struct {
		Model         string
		Stream        bool
		StreamOptions *struct {
			IncludeUsage bool `json:"include_usage"`
		} `json:"stream_options"`
		Messages []turn
		Tools    []struct{ Function struct{ Name string } }
	}
	if json.Unmarshal(body, &in) != nil {
		return question{}, "The body is not the JSON of a chat completion request."
	}
	switch {
	case in.Model == "":
		return question{}, "You must provide a model parameter."
	case len(in.Messages) == 0:
		return question{}, "Missing required parameter: 'messages'."
	case in.StreamOptions != nil && !in.Stream:
		return question{}, "The 'stream_options' parameter is only allowed when 'stream' is enabled."
	}
	q := question{model: in.Model, stream: in.Stream}
	q.includeUsage = in.StreamOptions != nil && in.StreamOptions.IncludeUsage
	for _, tool := range in.Tools {
		q.tools = append(q.tools, tool.Function.Name)
	}
	for _, m := range in.Messages {
		if fault := q.add(m); fault != "" {
			return q, fault
		}
	}
	return q, ""
}

// writeChat answers a chat completion, whole.
func writeChat(w http.ResponseWriter, q question, a reply) {
	c := newCompletion(q, "chat.completion")
	c.Usage = &usage{q.words, a.words(), q.words + a.words()}
	said := &message{Role: "assistant", Content: &a.text}
	if a.tool != "" {
		said = &message{Role: "assistant", ToolCalls: []toolCall{
			{ID: "call_" + rand.Text(), Type: "function", Function: function{a.tool, string(a.input)}},
		}}
	}
	c.Choices = []choice{{Message: said, FinishReason: a.finish()}}
	writeJSON(w, http.StatusOK, c)
}

func newCompletion(q question, object string) completion {
	return completion{ID: "chatcmpl-" + rand.Text(), Object: object, Created: time.Now().Unix(), Model: q.model}
}

// finish is OpenAI's reason for the end of an answer.
func (a reply) finish() *string {
	reason := "stop"
	if a.tool != "" {
		reason = "tool_calls"
	}
	return &reason
}

// streamChat sends the answer as server-sent events, a word each, until it is complete or the client is gone.
func streamChat(w http.ResponseWriter, r *http.Request, q question, a reply) {
	chunk, empty := newCompletion(q, "chat.completion.chunk"), ""
	deltas := []choice{{Delta: &message{Role: "assistant", Content: &empty}}}
	if a.tool != "" {
		call := toolCall{ID: "call_" + rand.Text(), Type: "function", Function: function{Name: a.tool}}
		deltas = append(deltas, choice{Delta: &message{ToolCalls: []toolCall{call}}})
		for part := range strings.SplitAfterSeq(string(a.input), " ") {
			deltas = append(deltas, choice{Delta: &message{ToolCalls: []toolCall{{Function: function{Arguments: part}}}}})
		}
	} else {
		for word := range strings.SplitAfterSeq(a.text, " ") {
			deltas = append(deltas, choice{Delta: &message{Content: &word}})
		}
	}
	deltas = append(deltas, choice{Delta: &message{}, FinishReason: a.finish()})
	s := events{w: w, r: r}
	for _, delta := range deltas {
		chunk.Choices = []choice{delta}
		s.send("", chunk)
	}
	if q.includeUsage {
		chunk.Choices, chunk.Usage = []choice{}, &usage{q.words, a.words(), q.words + a.words()}
		s.send("", chunk)
	}
	if !s.gone {
		_, _ = io.WriteString(w, "data: [DONE]\n\n")
	}
}

// refuse answers with an error in OpenAI's shape.
func refuse(w http.ResponseWriter, status int, code, sentence string) {
	writeJSON(w, status, map[string]any{"error": map[string]any{
		"message": sentence, "type": "invalid_request_error", "param": nil, "code": code,
	}})
}

// writeJSON answers with a value that always encodes.
func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}
