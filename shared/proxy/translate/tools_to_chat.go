package translate

import "encoding/json"

// tools writes the tools that the model may call, and how it may choose.
func (t *toChat) tools() error {
	tools, err := t.in.list("tools")
	if err != nil {
		return err
	}
	definitions := make([][]byte, len(tools))
	for i, tool := range tools {
		if definitions[i], err = chatTool(item("tools", i), tool); err != nil {
			return err
		}
	}
	if len(tools) > 0 {
		t.out.raw("tools", list(definitions))
	}
	return t.choice(len(tools) > 0)
}

// chatTool turns a tool of the caller's own; those that Anthropic runs or trained its models for have a type.
func chatTool(at string, tool json.RawMessage) ([]byte, error) {
	m, err := split(at, tool)
	if err != nil {
		return nil, err
	}
	if kind, err := m.word("type"); err != nil || kind != "custom" && kind != "" {
		return nil, m.refuse("type", noOther)
	}
	var f, out object
	if err := describe(m, &f, "input_schema", "parameters"); err != nil {
		return nil, err
	}
	out.str("type", "function")
	out.raw("function", f.end())
	return out.end(), m.rest(messagesToolDefinitionRules)
}

// choice writes tool_choice, and takes out of it whether calls may stand side by side.
func (t *toChat) choice(tools bool) error {
	c, err := t.in.object("tool_choice")
	if err != nil || c.of == nil {
		return err
	}
	kind, err := c.word("type")
	if err != nil {
		return err
	}
	single, _, err := c.flag("disable_parallel_tool_use")
	if err != nil {
		return err
	}
	if !tools && (kind == "any" || kind == "tool") {
		return t.in.refuse("tool_choice", noToolThere)
	}
	var value []byte
	switch kind {
	case "auto", "none":
		value = quote(kind)
	case "any":
		value = quote("required")
	case "tool":
		name, err := c.needLiteral("name")
		if err != nil {
			return err
		}
		var f, out object
		f.raw("name", name)
		out.str("type", "function")
		out.raw("function", f.end())
		value = out.end()
	default:
		return c.refuse("type", noOther)
	}
	if tools {
		t.out.raw("tool_choice", value)
		if single {
			t.out.raw("parallel_tool_calls", []byte("false"))
		}
	}
	return c.rest(noRules)
}
