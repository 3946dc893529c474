package proxy

// FeedEvents passes pieces of a stream through an editor of events, and ends it.
func FeedEvents(edit func(string, []byte) ([]byte, error), most int, strict bool, pieces ...string) (string, error) {
	e := mcpEvents{edit: edit, most: most, strict: strict}
	out := ""
	for _, piece := range pieces {
		part, err := e.feed([]byte(piece))
		if out += string(part); err != nil {
			return out, err
		}
	}
	rest, err := e.close()
	return out + string(rest), err
}

// PickTools cuts the tools that may not be seen out of a message; ok is false where it is unclear.
func PickTools(text string, may func(string) bool) (picked string, ok bool) {
	out, err := pickTools([]byte(text), may)
	return string(out), err == nil
}

// ReadMessages reads a body; "" is no refusal.
func ReadMessages(body string) string {
	_, _, unreadable := readMessages([]byte(body))
	return unreadable
}
