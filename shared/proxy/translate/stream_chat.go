package translate

import (
	"encoding/json"
	"strconv"
)

// messagesEvent is every event of Anthropic's stream at once.
type messagesEvent struct {
	Type    string `json:"type"`
	Index   int    `json:"index"`
	Message struct {
		ID    string         `json:"id"`
		Model string         `json:"model"`
		Usage *messagesUsage `json:"usage"`
	} `json:"message"`
	Block block          `json:"content_block"`
	Delta delta          `json:"delta"`
	Usage *messagesUsage `json:"usage"`
}

type delta struct {
	Type       string          `json:"type"`
	Text       json.RawMessage `json:"text"`
	Thinking   json.RawMessage `json:"thinking"`
	Partial    json.RawMessage `json:"partial_json"`
	StopReason string          `json:"stop_reason"`
}

// chatStream writes OpenAI's chunks from Anthropic's events.
type chatStream struct {
	*told
	o        AnswerOptions
	used     used
	head     []byte // of every chunk, up to the delta
	tools    int    // calls begun
	open     map[int]*openCall
	finished bool
}

// openCall is a tool_use block whose end has not come.
type openCall struct {
	number int
	told   bool // arguments have been
}

func newChatStream(out *told, o AnswerOptions) *chatStream {
	return &chatStream{told: out, o: o, open: map[int]*openCall{}}
}

func (s *chatStream) tell(data []byte) error {
	var e messagesEvent
	if err := json.Unmarshal(data, &e); err != nil {
		return err
	}
	switch e.Type {
	case "message_start":
		s.begin(e)
	case "content_block_start":
		return s.startBlock(e)
	case "content_block_delta":
		s.delta(e)
	case "content_block_stop":
		s.stopBlock(e.Index)
	case "message_delta":
		s.used.takeMessages(e.Usage)
		if e.Delta.StopReason != "" {
			s.finish(e.Delta.StopReason)
		}
	case "message_stop":
		s.end()
	case "ping":
		s.text = append(s.text, ping...)
	case "error":
		s.fail(readFailure(data).forEvent())
		s.state = failed
	}
	return nil // an event of another type is one that we need not know
}

// begin writes the first chunk; only message_start tells the id, and only once.
func (s *chatStream) begin(e messagesEvent) {
	if s.head != nil {
		return
	}
	s.used.takeMessages(e.Message.Usage)
	var o object
	o.str("id", s.o.id(e.Message.ID))
	o.str("object", "chat.completion.chunk")
	o.num("created", s.o.created())
	o.str("model", s.o.model(e.Message.Model))
	s.head = append([]byte("data: "), o.text...)
	s.chunk([]byte(`{"role":"assistant","content":""}`), nil)
}

// chunk writes one chunk. finish nil is none.
func (s *chatStream) chunk(delta, finish []byte) {
	if s.head == nil {
		s.begin(messagesEvent{})
	}
	if finish == nil {
		finish = []byte("null")
	}
	t := append(append(s.text, s.head...), `,"choices":[{"index":0,"delta":`...)
	t = append(append(t, delta...), `,"logprobs":null,"finish_reason":`...)
	t = append(append(t, finish...), `}]`...)
	if s.o.IncludeUsage {
		t = append(t, `,"usage":null`...)
	}
	s.text = append(t, "}\n\n"...)
}

// piece writes a chunk with a text.
func (s *chatStream) piece(member string, literal []byte) {
	if isText(literal) {
		var o object
		o.raw(member, literal)
		s.chunk(o.end(), nil)
	}
}

func (s *chatStream) startBlock(e messagesEvent) error {
	switch b := e.Block; b.Type {
	case "text":
		s.piece("content", b.Text)
	case "thinking":
		s.piece("reasoning_content", b.Thinking)
	case "tool_use":
		if s.tools == maxTools {
			return errTools
		}
		call := &openCall{number: s.tools}
		s.open[e.Index] = call
		s.tools++
		var f, o object
		f.str("name", b.Name)
		f.str("arguments", "")
		o.num("index", int64(call.number))
		o.str("id", callID(b.ID))
		o.str("type", "function")
		o.raw("function", f.end())
		s.calls(o.end())
		if input := orEmpty(b.Input); string(input) != "{}" { // some servers send it whole, and no pieces
			s.arguments(call, quote(string(input)))
		}
	}
	return nil
}

func (s *chatStream) calls(call []byte) {
	var o object
	o.raw("tool_calls", list([][]byte{call}))
	s.chunk(o.end(), nil)
}

func (s *chatStream) delta(e messagesEvent) {
	switch d := e.Delta; d.Type {
	case "text_delta":
		s.piece("content", d.Text)
	case "thinking_delta":
		s.piece("reasoning_content", d.Thinking)
	case "input_json_delta":
		if call := s.open[e.Index]; call != nil && isText(d.Partial) {
			s.arguments(call, d.Partial)
		}
	}
	// Signatures and citations have no equal, nor has the input of a tool that is not the caller's.
}

func (s *chatStream) arguments(c *openCall, literal []byte) {
	c.told = true
	index := strconv.AppendInt(nil, int64(c.number), 10)
	var f, o object
	f.raw("arguments", literal)
	o.raw("index", index)
	o.raw("function", f.end())
	s.calls(o.end())
}

// stopBlock ends a block. A tool's input of which nothing came is {}, which OpenAI's callers want to read.
func (s *chatStream) stopBlock(index int) {
	call := s.open[index]
	if call == nil {
		return
	}
	if !call.told {
		s.arguments(call, []byte(`"{}"`))
	}
	delete(s.open, index)
}

func (s *chatStream) finish(stop string) {
	if !s.finished {
		s.finished = true
		s.chunk([]byte("{}"), quote(finishReason(stop)))
	}
}

// end writes the usage, if the caller asked for it, and the end.
func (s *chatStream) end() {
	s.finish("end_turn")
	if s.o.IncludeUsage {
		s.text = append(append(s.text, s.head...), `,"choices":[],"usage":`...)
		s.text = append(append(s.text, s.used.chat()...), "}\n\n"...)
	}
	s.text = append(s.text, "data: [DONE]\n\n"...)
	s.state = ended
}

func (s *chatStream) fail(f failure) {
	s.text = append(append(append(s.text, "data: "...), f.body(OpenAI)...), "\n\n"...)
}

// whole is never so: Anthropic says message_stop.
func (s *chatStream) whole() bool { return false }
