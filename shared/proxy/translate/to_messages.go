package translate

import (
	"strconv"
	"strings"

	"keyless/shared/oauth"
)

// toMessages writes a chat completion's request as a messages request.
type toMessages struct {
	writing
	turns turns
}

func messagesRequest(body []byte, o Options) ([]byte, error) {
	in, err := document(body)
	if err != nil {
		return nil, err
	}
	t := toMessages{writing: writing{in: in, o: o}}
	err = steps(t.model, t.bound, t.stream, t.temperature, t.move("top_p"), t.move("top_k"), t.stop,
		t.user, t.format, t.tools, t.conversation)
	if err != nil {
		return nil, err
	}
	if err := t.in.rest(chatRules); err != nil {
		return nil, err
	}
	return t.out.end(), nil
}

// bound writes max_tokens, which Anthropic requires.
func (t *toMessages) bound() error {
	older, err := t.in.count("max_tokens")
	if err != nil {
		return err
	}
	newer, err := t.in.count("max_completion_tokens")
	if err != nil {
		return err
	}
	switch {
	case newer != nil && older != nil && string(newer) != string(older):
		return t.in.refuse("max_tokens", "differs from max_completion_tokens")
	case newer != nil:
		t.out.raw("max_tokens", newer)
	case older != nil:
		t.out.raw("max_tokens", older)
	case t.o.MaxTokens > 0:
		t.out.num("max_tokens", t.o.MaxTokens)
	default:
		t.out.num("max_tokens", DefaultMaxTokens)
	}
	return nil
}

func (t *toMessages) stream() error {
	on, _, err := t.in.flag("stream")
	if err != nil {
		return err
	}
	if on {
		t.out.raw("stream", []byte("true"))
	}
	options, err := t.in.object("stream_options")
	if err != nil {
		return err
	}
	return options.rest(streamRules)
}

// temperature goes to 2 in one API and to 1 in the other, and nobody says that the same number means the
// same: what fits passes.
func (t *toMessages) temperature() error {
	value, err := t.in.number("temperature")
	if err != nil || value == nil {
		return err
	}
	if n, err := strconv.ParseFloat(string(value), 64); err != nil || n > 1 || n < 0 {
		return t.in.refuse("temperature", "has to lie between 0 and 1 at the upstream")
	}
	t.out.raw("temperature", value)
	return nil
}

func (t *toMessages) stop() error {
	value := t.in.take("stop")
	if value == nil {
		return nil
	}
	sequences, ok := oauth.Strings(value)
	if !ok {
		return t.in.refuse("stop", "has to be a string or an array of strings")
	}
	for _, s := range sequences {
		if strings.TrimSpace(s) == "" {
			return t.in.refuse("stop", whiteStop)
		}
	}
	switch {
	case value[0] == '"':
		t.out.raw("stop_sequences", list([][]byte{value}))
	case len(sequences) > 0:
		t.out.raw("stop_sequences", value)
	}
	return nil
}

func (t *toMessages) user() error {
	value, err := t.in.literal("user")
	if err != nil || value == nil {
		return err
	}
	var metadata object
	metadata.raw("user_id", value)
	t.out.raw("metadata", metadata.end())
	return nil
}

// format writes the schema of an answer. Anthropic knows no JSON without a schema, and holds to every schema
// strictly.
func (t *toMessages) format() error {
	f, err := t.in.object("response_format")
	if err != nil || f.of == nil {
		return err
	}
	kind, err := f.word("type")
	if err != nil {
		return err
	}
	switch kind {
	case "text":
		return f.rest(noRules)
	case "json_schema":
		if err := t.schema(f); err != nil {
			return err
		}
		return f.rest(noRules)
	}
	return f.refuse("type", noOther)
}

func (t *toMessages) schema(f members) error {
	described, err := f.object("json_schema")
	if err != nil {
		return err
	}
	schema, err := described.schema("schema")
	if err != nil {
		return err
	}
	if schema == nil {
		return described.refuse("schema", "is missing")
	}
	if err := described.rest(rules{"name": hint, "strict": hint, "description": refused(`""`)}); err != nil {
		return err
	}
	var format, config object
	format.str("type", "json_schema")
	format.raw("schema", schema)
	config.raw("format", format.end())
	t.out.raw("output_config", config.end())
	return nil
}

func (t *toMessages) conversation() error {
	messages, err := t.in.list("messages")
	if err != nil {
		return err
	}
	for i, message := range messages {
		m, err := split(item("messages", i), message)
		if err != nil {
			return err
		}
		if err := t.turns.take(m); err != nil {
			return err
		}
	}
	switch n := len(t.turns.list); {
	case n == 0:
		return t.in.refuse("messages", "says nothing")
	case t.turns.list[n-1].role == "assistant":
		return t.in.refuse("messages", endsWithAssistant)
	}
	t.turns.write(&t.out)
	return nil
}
