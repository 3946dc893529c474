package translate

import "encoding/json"

func (t *toChat) conversation() error {
	messages, err := t.in.list("messages")
	if err != nil {
		return err
	}
	said, last := 0, ""
	for i, message := range messages {
		m, err := split(item("messages", i), message)
		if err != nil {
			return err
		}
		before := len(t.messages)
		role, err := t.take(m)
		if err != nil {
			return err
		}
		if n := len(t.messages) - before; n > 0 {
			said, last = said+n, role
		}
	}
	switch {
	case said == 0:
		return t.in.refuse("messages", "says nothing")
	case last == "assistant":
		return t.in.refuse("messages", endsWithAssistant)
	}
	t.out.raw("messages", list(t.messages))
	return nil
}

// take adds one turn.
func (t *toChat) take(m members) (string, error) {
	role, err := m.word("role")
	if err != nil {
		return "", err
	}
	switch role {
	case "user":
		err = t.takeUser(m)
	case "assistant":
		err = t.takeAssistant(m)
	default:
		err = m.refuse("role", noOther)
	}
	if err != nil {
		return "", err
	}
	return role, m.rest(noRules)
}

// blocks takes a turn's content; a string is one block of text.
func blocks(m members) ([]json.RawMessage, error) {
	if text := m.of["content"]; text != nil && text[0] == '"' {
		delete(m.of, "content")
		return []json.RawMessage{textPart(text)}, nil
	}
	items, err := m.list("content")
	if err != nil {
		return nil, m.refuse("content", "has to be a string or an array of blocks")
	}
	return items, nil
}

// takeUser writes the results of tools as messages of their own, then what the user said: OpenAI wants them
// right after the calls.
func (t *toChat) takeUser(m members) error {
	content, err := blocks(m)
	if err != nil {
		return err
	}
	var said saying
	for i, block := range content {
		b, err := split(item(m.path("content"), i), block)
		if err != nil {
			return err
		}
		kind, err := b.word("type")
		if err != nil {
			return err
		}
		switch {
		case kind == "tool_result" && !said.empty():
			return refuse(b.at, lateResult)
		case kind == "tool_result":
			err = t.result(b)
		default:
			err = said.take(kind, b)
		}
		if err != nil {
			return err
		}
	}
	if !said.empty() {
		t.say("user", said.content())
	}
	return nil
}

// result writes what a tool answered. OpenAI has no member for an error, so the text says it.
func (t *toChat) result(b members) error {
	id, err := b.needCallID("tool_use_id")
	if err != nil {
		return err
	}
	failed, _, err := b.flag("is_error")
	if err != nil {
		return err
	}
	content := b.of["content"]
	literals := [][]byte{content}
	if content == nil || content[0] != '"' {
		blocks, err := b.list("content")
		if err != nil {
			return b.refuse("content", "has to be a string or an array of blocks")
		}
		if literals, err = textsOf(b.path("content"), blocks, blockRules); err != nil {
			return err
		}
	}
	delete(b.of, "content")
	if len(literals) == 0 {
		literals = [][]byte{[]byte(`""`)}
	}
	if failed {
		literals[0] = prefixed("Error: ", literals[0])
	}
	var out object
	out.str("role", "tool")
	out.str("tool_call_id", id)
	out.raw("content", textContent(literals))
	t.messages = append(t.messages, out.end())
	return b.rest(blockRules)
}

// takeAssistant writes texts and calls of one turn. OpenAI has all texts before all calls.
func (t *toChat) takeAssistant(m members) error {
	content, err := blocks(m)
	if err != nil {
		return err
	}
	var said saying
	var calls [][]byte
	for i, block := range content {
		b, err := split(item(m.path("content"), i), block)
		if err != nil {
			return err
		}
		kind, err := b.word("type")
		if err != nil {
			return err
		}
		switch kind {
		case "tool_use":
			call, err := toolCall(b)
			if err != nil {
				return err
			}
			calls = append(calls, call)
		case "text":
			if err := said.take(kind, b); err != nil {
				return err
			}
		case "thinking", "redacted_thinking":
			return refuse(b.at, signedOnly)
		default:
			return b.refuse("type", noOther)
		}
	}
	if said.empty() && len(calls) == 0 {
		return nil
	}
	var out object
	out.str("role", "assistant")
	out.raw("content", said.content())
	if len(calls) > 0 {
		out.raw("tool_calls", list(calls))
	}
	t.messages = append(t.messages, out.end())
	return nil
}

// toolCall turns a tool_use block.
func toolCall(b members) ([]byte, error) {
	id, err := b.needCallID("id")
	if err != nil {
		return nil, err
	}
	name, err := b.needLiteral("name")
	if err != nil {
		return nil, err
	}
	input, err := b.schema("input")
	if err != nil {
		return nil, err
	}
	if input == nil {
		input = []byte("{}")
	}
	caller, err := b.object("caller")
	if err != nil {
		return nil, err
	}
	if kind, err := caller.word("type"); err != nil || kind != "direct" && kind != "" {
		return nil, caller.refuse("type", noOther)
	}
	return toolCallPart(id, name, quote(string(input))), b.rest(blockRules)
}

func toolCallPart(id string, name, arguments []byte) []byte {
	var f, out object
	f.raw("name", name)
	f.raw("arguments", arguments)
	out.str("id", id)
	out.str("type", "function")
	out.raw("function", f.end())
	return out.end()
}

// saying gathers what one message says.
type saying struct {
	parts [][]byte
	texts [][]byte // the same, while there is nothing but text
	mixed bool
}

func (s *saying) empty() bool { return len(s.parts) == 0 }

// take adds a block of text or an image; an empty text says nothing.
func (s *saying) take(kind string, b members) error {
	switch kind {
	case "text":
		text, err := b.literal("text")
		if err != nil {
			return err
		}
		if text == nil {
			return b.refuse("text", "is missing")
		}
		if string(text) != `""` {
			s.parts = append(s.parts, textPart(text))
			s.texts = append(s.texts, text)
		}
		return b.rest(blockRules)
	case "image":
		part, err := imagePart(b)
		s.parts = append(s.parts, part)
		s.mixed = true
		return err
	}
	return b.refuse("type", noOther)
}

func (s *saying) content() []byte {
	switch {
	case s.mixed:
		return list(s.parts)
	case s.empty():
		return []byte("null")
	}
	return textContent(s.texts)
}
