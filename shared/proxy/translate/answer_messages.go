package translate

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"keyless/shared/oauth"
)

var (
	errNoChoice = errors.New("the upstream's answer has no choice with a finish reason")
	errContent  = errors.New("the upstream's answer has a content that is no text")
)

// completion is OpenAI's whole answer.
type completion struct {
	ID      string     `json:"id"`
	Model   string     `json:"model"`
	Choices []choice   `json:"choices"`
	Usage   *chatUsage `json:"usage"`
}

type choice struct {
	Message struct {
		Content   json.RawMessage `json:"content"`
		Refusal   json.RawMessage `json:"refusal"`
		ToolCalls []call          `json:"tool_calls"`
	} `json:"message"`
	FinishReason string `json:"finish_reason"`
}

// call is a tool call of OpenAI's answer, or in a stream a piece of one.
type call struct {
	Index    int    `json:"index"`
	ID       string `json:"id"`
	Function struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	} `json:"function"`
}

// named is the call's id; where the server gave none, one that no other call of the answer has.
func (c call) named(answer string, number int) string {
	if c.ID == "" {
		return callID(answer + "." + strconv.Itoa(number))
	}
	return callID(c.ID)
}

func textOrNone(content json.RawMessage) bool {
	return len(content) == 0 || content[0] == '"' || string(content) == "null"
}

// messagesAnswer writes a chat completion as Anthropic's message.
func messagesAnswer(body []byte, o AnswerOptions) ([]byte, error) {
	var in completion
	if err := readAnswer(body, &in); err != nil {
		return nil, err
	}
	if len(in.Choices) == 0 || in.Choices[0].FinishReason == "" {
		return nil, errNoChoice
	}
	said := in.Choices[0]
	id := o.id(in.ID)
	content, err := messageBlocks(id, said)
	if err != nil {
		return nil, err
	}
	var u used
	u.takeChat(in.Usage)
	stop := stopReason(said.FinishReason, len(said.Message.ToolCalls) > 0, isText(said.Message.Refusal))
	return messageObject(id, o.model(in.Model), content, quote(stop), u), nil
}

func messageObject(id, model string, content [][]byte, stop []byte, u used) []byte {
	var out object
	out.str("id", id)
	out.str("type", "message")
	out.str("role", "assistant")
	out.str("model", model)
	out.raw("content", list(content))
	out.raw("stop_reason", stop)
	out.raw("stop_sequence", []byte("null"))
	out.raw("usage", u.messages())
	return out.end()
}

func messageBlocks(id string, said choice) ([][]byte, error) {
	if !textOrNone(said.Message.Content) {
		return nil, errContent
	}
	var blocks [][]byte
	for _, text := range []json.RawMessage{said.Message.Content, said.Message.Refusal} {
		if isText(text) {
			blocks = append(blocks, textPart(text))
		}
	}
	for i, c := range said.Message.ToolCalls {
		arguments, _ := oauth.String(c.Function.Arguments)
		input, err := toolInput(arguments)
		if err != nil && said.FinishReason == "length" {
			continue // cut within the call: nobody can make it, and stop_reason tells
		}
		if err != nil {
			return nil, fmt.Errorf("read the arguments of tool call %d: %w", i, err)
		}
		blocks = append(blocks, toolUseBlock(c.named(id, i), quote(c.Function.Name), input))
	}
	return blocks, nil
}
