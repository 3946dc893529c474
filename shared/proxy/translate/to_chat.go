package translate

import (
	"encoding/json"

	"keyless/shared/oauth"
)

// toChat writes a messages request as a chat completion's request.
type toChat struct {
	writing
	messages [][]byte
}

func chatRequest(body []byte, o Options) ([]byte, error) {
	in, err := document(body)
	if err != nil {
		return nil, err
	}
	t := toChat{writing: writing{in: in, o: o}}
	err = steps(t.bound, t.model, t.stream, t.move("temperature"), t.move("top_p"), t.stop, t.metadata,
		t.thinking, t.format, t.tools, t.system, t.conversation)
	if err != nil {
		return nil, err
	}
	if err := t.in.rest(messagesRules); err != nil {
		return nil, err
	}
	return t.out.end(), nil
}

// bound writes the bound of output by the name that the upstream's model knows.
func (t *toChat) bound() error {
	bound, err := t.in.count("max_tokens")
	if err != nil {
		return err
	}
	if bound == nil {
		return t.in.refuse("max_tokens", "is missing")
	}
	model := t.o.Model
	if own, ok := oauth.String(t.in.of["model"]); model == "" && ok {
		model = own
	}
	t.out.raw(boundName(model), bound)
	return nil
}

// stream asks for the usage, which a stream of Anthropic's always tells.
func (t *toChat) stream() error {
	on, _, err := t.in.flag("stream")
	if on {
		t.out.raw("stream", []byte("true"))
		t.out.raw("stream_options", []byte(`{"include_usage":true}`))
	}
	return err
}

// maxStops is how many stop sequences OpenAI takes.
const maxStops = 4

func (t *toChat) stop() error {
	value := t.in.of["stop_sequences"]
	items, err := t.in.list("stop_sequences")
	if err != nil {
		return err
	}
	if len(items) > maxStops {
		return t.in.refuse("stop_sequences", "are more than the four that the upstream takes")
	}
	if len(items) > 0 {
		t.out.raw("stop", value)
	}
	return nil
}

func (t *toChat) metadata() error {
	m, err := t.in.object("metadata")
	if err != nil {
		return err
	}
	user, err := m.literal("user_id")
	if user != nil {
		t.out.raw("user", user)
	}
	if err != nil {
		return err
	}
	return m.rest(noRules)
}

func (t *toChat) thinking() error {
	m, err := t.in.object("thinking")
	if err != nil || m.of == nil {
		return err
	}
	if kind, err := m.word("type"); err != nil || kind != "disabled" {
		return refuse(m.at, noThinking)
	}
	return m.rest(noRules)
}

// format writes the schema of an answer. OpenAI wants a name for it, and is told to be strict, as Anthropic
// is.
func (t *toChat) format() error {
	config, err := t.in.object("output_config")
	if err != nil {
		return err
	}
	f, err := config.object("format")
	if err != nil {
		return err
	}
	if err := config.rest(outputConfigRules); err != nil || f.of == nil {
		return err
	}
	if kind, err := f.word("type"); err != nil || kind != "json_schema" {
		return f.refuse("type", noOther)
	}
	schema, err := f.schema("schema")
	if err != nil {
		return err
	}
	if schema == nil {
		return f.refuse("schema", "is missing")
	}
	var named, format object
	named.str("name", "answer")
	named.raw("strict", []byte("true"))
	named.raw("schema", schema)
	format.str("type", "json_schema")
	format.raw("json_schema", named.end())
	t.out.raw("response_format", format.end())
	return f.rest(noRules)
}

func (t *toChat) system() error {
	content, err := systemContent(t.in, "system")
	if err == nil && content != nil {
		t.say("system", content)
	}
	return err
}

// systemContent takes a string or blocks of text; nil where there is no text.
func systemContent(m members, name string) ([]byte, error) {
	if text := m.of[name]; text != nil && text[0] == '"' {
		delete(m.of, name)
		return textContent(nonEmpty(text)), nil
	}
	blocks, err := m.list(name)
	if err != nil {
		return nil, m.refuse(name, "has to be a string or an array of blocks")
	}
	literals, err := textsOf(m.path(name), blocks, blockRules)
	return textContent(literals), err
}

// nonEmpty is a list of the one text, or of none where it is empty.
func nonEmpty(literal json.RawMessage) [][]byte {
	if string(literal) == `""` {
		return nil
	}
	return [][]byte{literal}
}

// textContent is a message's content: one text as a string, which everyone who speaks the dialect knows,
// several as parts.
func textContent(literals [][]byte) []byte {
	switch len(literals) {
	case 0:
		return nil
	case 1:
		return literals[0]
	}
	parts := make([][]byte, len(literals))
	for i, text := range literals {
		parts[i] = textPart(text)
	}
	return list(parts)
}

// say adds a message that has nothing but a content.
func (t *toChat) say(role string, content []byte) {
	var m object
	m.str("role", role)
	m.raw("content", content)
	t.messages = append(t.messages, m.end())
}
