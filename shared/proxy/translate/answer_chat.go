package translate

import (
	"encoding/json"
	"errors"
	"fmt"

	"keyless/shared/oauth"
)

var errNoMessage = errors.New("the upstream's answer is no message")

// message is Anthropic's whole answer.
type message struct {
	Type       string         `json:"type"`
	ID         string         `json:"id"`
	Model      string         `json:"model"`
	Content    []block        `json:"content"`
	StopReason string         `json:"stop_reason"`
	Usage      *messagesUsage `json:"usage"`
}

// block is a part of Anthropic's answer. Texts stay as they were written.
type block struct {
	Type     string          `json:"type"`
	Text     json.RawMessage `json:"text"`
	Thinking json.RawMessage `json:"thinking"`
	ID       string          `json:"id"`
	Name     string          `json:"name"`
	Input    json.RawMessage `json:"input"`
}

// chatAnswer writes Anthropic's answer as a chat completion. Blocks of kinds that no translated request can
// ask for are left out.
func chatAnswer(body []byte, o AnswerOptions) ([]byte, error) {
	var in message
	if err := readAnswer(body, &in); err != nil {
		return nil, err
	}
	if in.Type != "message" || in.StopReason == "" {
		return nil, errNoMessage
	}
	var out object
	out.str("id", o.id(in.ID))
	out.str("object", "chat.completion")
	out.num("created", o.created())
	out.str("model", o.model(in.Model))
	var choice object
	choice.raw("index", []byte("0"))
	choice.raw("message", chatMessage(in.Content))
	choice.raw("logprobs", []byte("null"))
	choice.str("finish_reason", finishReason(in.StopReason))
	out.raw("choices", list([][]byte{choice.end()}))
	var u used
	u.takeMessages(in.Usage)
	out.raw("usage", u.chat())
	return out.end(), nil
}

// readAnswer reads a whole answer strictly, so that it and the meter, which reads the same bytes, see one
// answer.
func readAnswer(body []byte, in any) error {
	if _, err := oauth.Object(body); err != nil {
		return fmt.Errorf("read the upstream's answer: %w", err)
	}
	if err := json.Unmarshal(body, in); err != nil {
		return fmt.Errorf("read the upstream's answer: %w", err)
	}
	return nil
}

// chatMessage joins the texts: Anthropic splits one text into several blocks where it cites.
func chatMessage(content []block) []byte {
	var text, thinking, calls [][]byte
	for _, b := range content {
		switch b.Type {
		case "text":
			text = append(text, b.Text)
		case "thinking":
			thinking = append(thinking, b.Thinking)
		case "tool_use":
			calls = append(calls, toolCallPart(callID(b.ID), quote(b.Name), quote(string(orEmpty(b.Input)))))
		}
	}
	said := joined(text)
	if said == nil && len(calls) == 0 {
		said = []byte(`""`)
	} else if said == nil {
		said = []byte("null")
	}
	var out object
	out.str("role", "assistant")
	out.raw("content", said)
	out.raw("refusal", []byte("null"))
	if thought := joined(thinking); thought != nil {
		out.raw("reasoning_content", thought)
	}
	if len(calls) > 0 {
		out.raw("tool_calls", list(calls))
	}
	return out.end()
}

func orEmpty(input json.RawMessage) json.RawMessage {
	if len(input) == 0 || string(input) == "null" {
		return json.RawMessage("{}")
	}
	return input
}

// joined puts strings together as they were written; nil where there is no text.
func joined(literals [][]byte) []byte {
	var text []byte
	for _, l := range literals {
		if isText(l) {
			text = append(text, l[1:len(l)-1]...)
		}
	}
	if text == nil {
		return nil
	}
	return append(append([]byte{'"'}, text...), '"')
}

// isText reports whether a value is a string with something in it.
func isText(value []byte) bool { return len(value) > 2 && value[0] == '"' }

// id passes the upstream's own: to both SDKs it is a word without meaning, and their provider's support finds
// the call by it.
func (o AnswerOptions) id(own string) string {
	if own == "" {
		return o.ID
	}
	return own
}

func (o AnswerOptions) model(own string) string {
	if o.Model == "" {
		return own
	}
	return o.Model
}

func (o AnswerOptions) created() int64 {
	if o.Now == nil {
		return 0
	}
	return o.Now().Unix()
}
