package demo

import (
	"encoding/json"
	"net/http"
	"strings"
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
	Index        int               `json:"index"`
	Message      *message          `json:"message,omitempty"`
	Delta        map[string]string `json:"delta,omitzero"`
	FinishReason *string           `json:"finish_reason"`
}

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// usage counts words where a model counts tokens.
type usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
}

// stop is the finish reason of an answer that is complete.
func stop() *string {
	reason := "stop"
	return &reason
}

// question is what is taken from a request.
type question struct {
	model, said          string
	words                int
	stream, includeUsage bool
}

// parse reads a request body, or says what is wrong with it.
func parse(body []byte) (question, string) {
	var in struct {
		Model         string
		Stream        bool
		StreamOptions *struct {
			IncludeUsage bool `json:"include_usage"`
		} `json:"stream_options"`
		Messages []struct {
			Role    string
			Content json.RawMessage
		}
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
	out := question{model: in.Model, stream: in.Stream}
	out.includeUsage = in.StreamOptions != nil && in.StreamOptions.IncludeUsage
	for _, message := range in.Messages {
		text, ok := textOf(message.Content)
		switch message.Role {
		case "user":
			out.said = text
		case "system", "developer", "assistant", "tool":
		default:
			return question{}, "A message has an unknown role."
		}
		if !ok {
			return question{}, "A message's content is neither a string nor an array of text parts."
		}
		out.words += len(strings.Fields(text))
	}
	return out, ""
}

// textOf reads content that is a string, an array of text parts, or null as assistants that call tools have
// it.
func textOf(content json.RawMessage) (string, bool) {
	var text string
	if len(content) == 0 || json.Unmarshal(content, &text) == nil {
		return text, true
	}
	var parts []struct{ Type, Text string }
	if json.Unmarshal(content, &parts) != nil {
		return "", false
	}
	texts := make([]string, 0, len(parts))
	for _, part := range parts {
		if part.Type != "text" {
			return "", false
		}
		texts = append(texts, part.Text)
	}
	return strings.Join(texts, "\n"), true
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
