package translate

import "encoding/json"

// anyInput is the schema of a tool without parameters.
const anyInput = `{"type":"object","properties":{}}`

// tools writes the tools that the model may call, and how it may choose.
func (t *toMessages) tools() error {
	tools, err := t.in.list("tools")
	if err != nil {
		return err
	}
	definitions := make([][]byte, len(tools))
	for i, tool := range tools {
		if definitions[i], err = messagesTool(item("tools", i), tool); err != nil {
			return err
		}
	}
	if len(tools) > 0 {
		t.out.raw("tools", list(definitions))
	}
	parallel, said, err := t.in.flag("parallel_tool_calls")
	if err != nil {
		return err
	}
	return t.choice(len(tools) > 0, said && !parallel)
}

func messagesTool(at string, tool json.RawMessage) ([]byte, error) {
	m, err := split(at, tool)
	if err != nil {
		return nil, err
	}
	if kind, err := m.word("type"); err != nil || kind != "function" {
		return nil, m.refuse("type", noOther)
	}
	f, err := m.object("function")
	if err != nil {
		return nil, err
	}
	var out object
	err = describe(f, &out, "parameters", "input_schema")
	if err != nil {
		return nil, err
	}
	if err := f.rest(noRules); err != nil {
		return nil, err
	}
	return out.end(), m.rest(chatToolDefinitionRules)
}

// describe moves what both dialects say of a tool; only the schema's name differs.
func describe(tool members, out *object, from, to string) error {
	name, err := tool.needLiteral("name")
	if err != nil {
		return err
	}
	out.raw("name", name)
	description, err := tool.literal("description")
	if err != nil {
		return err
	}
	if description != nil {
		out.raw("description", description)
	}
	schema, err := tool.schema(from)
	if err != nil {
		return err
	}
	if schema == nil || string(schema) == "{}" {
		schema = json.RawMessage(anyInput)
	}
	out.raw(to, schema)
	strict, _, err := tool.flag("strict")
	if strict {
		out.raw("strict", []byte("true"))
	}
	return err
}

// choice writes tool_choice, which holds at Anthropic whether calls may stand side by side.
func (t *toMessages) choice(tools, single bool) error {
	kind, name, err := t.readChoice()
	if err != nil {
		return err
	}
	if !tools {
		if kind == "any" || kind == "tool" {
			return t.in.refuse("tool_choice", noToolThere)
		}
		return nil
	}
	single = single && kind != "none"
	if kind == "" && !single {
		return nil
	}
	if kind == "" {
		kind = "auto"
	}
	var out object
	out.str("type", kind)
	if name != nil {
		out.raw("name", name)
	}
	if single {
		out.raw("disable_parallel_tool_use", []byte("true"))
	}
	t.out.raw("tool_choice", out.end())
	return nil
}

// readChoice reads tool_choice in Anthropic's words; "" where there is none.
func (t *toMessages) readChoice() (kind string, name json.RawMessage, err error) {
	value := t.in.of["tool_choice"]
	if value == nil {
		return "", nil, nil
	}
	if value[0] == '"' {
		word, err := t.in.word("tool_choice")
		if kind, ok := map[string]string{"auto": "auto", "none": "none", "required": "any"}[word]; ok {
			return kind, nil, err
		}
		return "", nil, t.in.refuse("tool_choice", noOther)
	}
	c, err := t.in.object("tool_choice")
	if err != nil {
		return "", nil, err
	}
	if kind, err := c.word("type"); err != nil || kind != "function" {
		return "", nil, c.refuse("type", noOther)
	}
	f, err := c.object("function")
	if err != nil {
		return "", nil, err
	}
	if name, err = f.needLiteral("name"); err != nil {
		return "", nil, err
	}
	if err := f.rest(noRules); err != nil {
		return "", nil, err
	}
	return "tool", name, c.rest(noRules)
}
