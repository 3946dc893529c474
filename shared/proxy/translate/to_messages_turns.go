package translate

import (
	"encoding/json"

	"keyless/shared/oauth"
)

// turns are the conversation in Anthropic's form: the system prompt apart, then turns of the user and the
// assistant by turns.
type turns struct {
	system [][]byte // texts, as written
	list   []turn
}

type turn struct {
	role   string
	blocks [][]byte
}

// add appends blocks; those of the same role in a row are one turn. Nothing said is no turn, which Anthropic
// would refuse.
func (t *turns) add(role string, blocks ...[]byte) {
	if len(blocks) == 0 {
		return
	}
	if last := len(t.list) - 1; last >= 0 && t.list[last].role == role {
		t.list[last].blocks = append(t.list[last].blocks, blocks...)
		return
	}
	t.list = append(t.list, turn{role, blocks})
}

func (t *turns) write(out *object) {
	switch len(t.system) {
	case 0:
	case 1:
		out.raw("system", t.system[0])
	default:
		parts := make([][]byte, len(t.system))
		for i, text := range t.system {
			parts[i] = textPart(text)
		}
		out.raw("system", list(parts))
	}
	messages := make([][]byte, len(t.list))
	for i, turn := range t.list {
		var m object
		m.str("role", turn.role)
		m.raw("content", list(turn.blocks))
		messages[i] = m.end()
	}
	out.raw("messages", list(messages))
}

// take adds one message of a chat completion.
func (t *turns) take(m members) error {
	role, err := m.word("role")
	if err != nil {
		return err
	}
	switch role {
	case "system", "developer":
		return t.takeSystem(m)
	case "user":
		blocks, err := contentBlocks(m, true)
		if err != nil {
			return err
		}
		t.add("user", blocks...)
		return m.rest(chatUserRules)
	case "assistant":
		return t.takeAssistant(m)
	case "tool":
		return t.takeResult(m)
	}
	return m.refuse("role", noOther)
}

// takeSystem adds to the system prompt, which stands before the conversation at Anthropic. To move a later
// one there would change what it is about.
func (t *turns) takeSystem(m members) error {
	if len(t.list) > 0 {
		return refuse(m.at, lateSystem)
	}
	texts, err := contentTexts(m)
	if err != nil {
		return err
	}
	t.system = append(t.system, texts...)
	return m.rest(chatSystemRules)
}

func (t *turns) takeAssistant(m members) error {
	blocks, err := contentBlocks(m, false)
	if err != nil {
		return err
	}
	refusal, err := m.literal("refusal")
	if err != nil {
		return err
	}
	if refusal != nil && string(refusal) != `""` {
		blocks = append(blocks, textPart(refusal))
	}
	calls, err := m.list("tool_calls")
	if err != nil {
		return err
	}
	for i, call := range calls {
		block, err := toolUse(item(m.path("tool_calls"), i), call)
		if err != nil {
			return err
		}
		blocks = append(blocks, block)
	}
	t.add("assistant", blocks...)
	return m.rest(chatAssistantRules)
}

// toolUse writes a call of a tool that the assistant made.
func toolUse(at string, call json.RawMessage) ([]byte, error) {
	c, err := split(at, call)
	if err != nil {
		return nil, err
	}
	if kind, err := c.word("type"); err != nil || kind != "function" && kind != "" {
		return nil, c.refuse("type", noOther)
	}
	id, err := c.needCallID("id")
	if err != nil {
		return nil, err
	}
	f, err := c.object("function")
	if err != nil {
		return nil, err
	}
	name, err := f.needLiteral("name")
	if err != nil {
		return nil, err
	}
	arguments, err := f.word("arguments")
	if err != nil {
		return nil, err
	}
	input, err := toolInput(arguments)
	if err != nil {
		return nil, f.refuse("arguments", noObjectText)
	}
	if err := f.rest(noRules); err != nil {
		return nil, err
	}
	// Index stands in the pieces of a stream, and clients that put them together leave it there.
	return toolUseBlock(id, name, input), c.rest(rules{"index": hint})
}

func toolUseBlock(id string, name, input []byte) []byte {
	var out object
	out.str("type", "tool_use")
	out.str("id", id)
	out.raw("name", name)
	out.raw("input", input)
	return out.end()
}

// toolInput reads the arguments of a call: a JSON object, or nothing at all, which means none.
func toolInput(arguments string) ([]byte, error) {
	if arguments == "" {
		return []byte("{}"), nil
	}
	if _, err := oauth.Object([]byte(arguments)); err != nil {
		return nil, err
	}
	return []byte(arguments), nil
}

// takeResult adds what a tool answered; Anthropic has it in the user's turn, together with those beside it.
func (t *turns) takeResult(m members) error {
	id, err := m.needCallID("tool_call_id")
	if err != nil {
		return err
	}
	var out object
	out.str("type", "tool_result")
	out.str("tool_use_id", id)
	literals, err := contentTexts(m)
	if err != nil {
		return err
	}
	if content := textContent(literals); content != nil {
		out.raw("content", content)
	}
	t.add("user", out.end())
	return m.rest(chatToolRules)
}
