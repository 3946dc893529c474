package translate

// finishReason is OpenAI's word for why Anthropic's answer ended. A paused turn and a full context are
// answers that are not whole.
func finishReason(stop string) string {
	switch stop {
	case "max_tokens", "pause_turn", "model_context_window_exceeded":
		return "length"
	case "tool_use":
		return "tool_calls"
	case "refusal":
		return "content_filter"
	}
	return "stop" // end_turn, stop_sequence
}

// stopReason is Anthropic's word for why OpenAI's answer ended. OpenAI does not tell an end from a stop
// sequence, and says "stop" where a named tool had to be called.
func stopReason(finish string, called, refusal bool) string {
	switch {
	case finish == "length":
		return "max_tokens"
	case finish == "content_filter" || refusal:
		return "refusal"
	case called || finish == "tool_calls":
		return "tool_use"
	}
	return "end_turn"
}
