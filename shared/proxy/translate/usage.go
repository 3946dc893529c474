package translate

// used is what an answer used, in Anthropic's way: input leaves out what was read from the cache and what was
// written to it. OpenAI's prompt_tokens holds all three.
type used struct {
	input, read, wrote int64
	output, thinking   int64
}

// messagesUsage is Anthropic's usage object. In a stream it comes twice, and what the second does not tell,
// the first told.
type messagesUsage struct {
	Input   *int64 `json:"input_tokens"`
	Wrote   *int64 `json:"cache_creation_input_tokens"`
	Read    *int64 `json:"cache_read_input_tokens"`
	Output  *int64 `json:"output_tokens"`
	Details *struct {
		Thinking int64 `json:"thinking_tokens"`
	} `json:"output_tokens_details"`
}

func (u *used) takeMessages(m *messagesUsage) {
	if m == nil {
		return
	}
	for _, count := range []struct {
		to   *int64
		from *int64
	}{{&u.input, m.Input}, {&u.wrote, m.Wrote}, {&u.read, m.Read}, {&u.output, m.Output}} {
		if count.from != nil {
			*count.to = *count.from
		}
	}
	if m.Details != nil {
		u.thinking = m.Details.Thinking
	}
}

// chatUsage is OpenAI's usage object.
type chatUsage struct {
	Prompt     int64 `json:"prompt_tokens"`
	Completion int64 `json:"completion_tokens"`
	Hit        int64 `json:"prompt_cache_hit_tokens"` // DeepSeek's word for what was cached
	PromptIn   *struct {
		Cached int64 `json:"cached_tokens"`
		Wrote  int64 `json:"cache_write_tokens"`
	} `json:"prompt_tokens_details"`
	CompletionIn *struct {
		Reasoning int64 `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
}

func (u *used) takeChat(c *chatUsage) {
	if c == nil {
		return
	}
	*u = used{read: c.Hit, output: c.Completion}
	if c.PromptIn != nil {
		u.read, u.wrote = max(c.Hit, c.PromptIn.Cached), c.PromptIn.Wrote
	}
	if c.CompletionIn != nil {
		u.thinking = c.CompletionIn.Reasoning
	}
	u.input = max(0, c.Prompt-u.read-u.wrote)
}

// messages writes Anthropic's usage object.
func (u used) messages() []byte {
	var out object
	out.num("input_tokens", u.input)
	out.num("cache_creation_input_tokens", u.wrote)
	out.num("cache_read_input_tokens", u.read)
	out.num("output_tokens", u.output)
	if u.thinking > 0 {
		var details object
		details.num("thinking_tokens", u.thinking)
		out.raw("output_tokens_details", details.end())
	}
	return out.end()
}

// chat writes OpenAI's usage object.
func (u used) chat() []byte {
	var prompt, completion, out object
	input := u.input + u.read + u.wrote
	out.num("prompt_tokens", input)
	out.num("completion_tokens", u.output)
	out.num("total_tokens", input+u.output)
	prompt.num("cached_tokens", u.read)
	if u.wrote > 0 {
		prompt.num("cache_write_tokens", u.wrote)
	}
	out.raw("prompt_tokens_details", prompt.end())
	if u.thinking > 0 {
		completion.num("reasoning_tokens", u.thinking)
		out.raw("completion_tokens_details", completion.end())
	}
	return out.end()
}
