package translate

import (
	"encoding/json"
	"errors"
)

// chatEvent is a chunk of OpenAI's stream, or an error in its place.
type chatEvent struct {
	ID      string          `json:"id"`
	Model   string          `json:"model"`
	Choices []chatPiece     `json:"choices"`
	Usage   *chatUsage      `json:"usage"`
	Error   json.RawMessage `json:"error"`
}

type chatPiece struct {
	Index int `json:"index"`
	Delta struct {
		Content   json.RawMessage `json:"content"`
		Refusal   json.RawMessage `json:"refusal"`
		ToolCalls []call          `json:"tool_calls"`
	} `json:"delta"`
	FinishReason string `json:"finish_reason"`
}

var (
	errToolName = errors.New("a tool call without a name")
	errToolOver = errors.New("arguments of a tool call that has ended")
)

// messagesStream writes Anthropic's events from OpenAI's chunks. Anthropic's blocks stand one after the
// other: a block ends where another begins.
type messagesStream struct {
	*told
	o       AnswerOptions
	used    used
	started bool
	id      string
	blocks  int    // begun
	open    opened // the block that has not ended
	tool    int    // the upstream's index of the call in the open block
	calls   map[int]string
	made    int // calls begun
	refused bool
	finish  string // "" not yet
}

type opened int

const (
	openNothing opened = iota
	openText
	openTool
)

func newMessagesStream(out *told, o AnswerOptions) *messagesStream {
	return &messagesStream{told: out, o: o, calls: map[int]string{}}
}

func (s *messagesStream) tell(data []byte) error {
	if string(data) == "[DONE]" {
		s.end()
		return nil
	}
	var e chatEvent
	if err := json.Unmarshal(data, &e); err != nil {
		return err
	}
	if len(e.Error) > 0 && string(e.Error) != "null" {
		s.fail(readFailure(data).forEvent())
		s.state = failed
		return nil
	}
	s.begin(e.ID, e.Model)
	s.used.takeChat(e.Usage)
	for _, piece := range e.Choices {
		if piece.Index != 0 {
			continue // one answer was asked for
		}
		if err := s.piece(piece); err != nil {
			return err
		}
	}
	return nil
}

// begin writes message_start. How much was put in is not known yet: message_delta tells it in the end.
func (s *messagesStream) begin(id, model string) {
	if s.started {
		return
	}
	s.started = true
	s.id = s.o.id(id)
	var e object
	e.str("type", "message_start")
	e.raw("message", messageObject(s.id, s.o.model(model), nil, []byte("null"), used{}))
	s.send("message_start", e)
}

func (s *messagesStream) send(name string, e object) {
	s.text = append(append(append(s.text, "event: "...), name...), "\ndata: "...)
	s.text = append(append(s.text, e.end()...), "\n\n"...)
}

func (s *messagesStream) piece(p chatPiece) error {
	if !textOrNone(p.Delta.Content) {
		return errContent
	}
	s.say(p.Delta.Content)
	if isText(p.Delta.Refusal) {
		s.refused = true
		s.say(p.Delta.Refusal)
	}
	for _, c := range p.Delta.ToolCalls {
		if err := s.call(c); err != nil {
			return err
		}
	}
	if p.FinishReason != "" {
		s.finish = p.FinishReason
		s.stopBlock()
	}
	return nil
}

// say adds to the text under way, or begins one.
func (s *messagesStream) say(literal []byte) {
	if !isText(literal) {
		return
	}
	if s.open != openText {
		s.startBlock(openText, []byte(`{"type":"text","text":""}`))
	}
	s.delta("text_delta", "text", literal)
}

func (s *messagesStream) startBlock(kind opened, block []byte) {
	s.stopBlock()
	s.open = kind
	e := s.blockEvent("content_block_start")
	e.raw("content_block", block)
	s.send("content_block_start", e)
}

func (s *messagesStream) stopBlock() {
	if s.open != openNothing {
		s.send("content_block_stop", s.blockEvent("content_block_stop"))
		s.blocks++
		s.open = openNothing
	}
}

func (s *messagesStream) blockEvent(kind string) object {
	var e object
	e.str("type", kind)
	e.num("index", int64(s.blocks))
	return e
}

func (s *messagesStream) delta(kind, member string, literal []byte) {
	var d object
	d.str("type", kind)
	d.raw(member, literal)
	e := s.blockEvent("content_block_delta")
	e.raw("delta", d.end())
	s.send("content_block_delta", e)
}

// call takes a piece of a tool call. A call is new by its index, or by another id at the same index, as some
// servers count.
func (s *messagesStream) call(c call) error {
	known, begun := s.calls[c.Index]
	switch {
	case !begun || c.ID != "" && c.ID != known && c.Function.Name != "":
		if err := s.startCall(c); err != nil {
			return err
		}
	case s.open != openTool || s.tool != c.Index:
		if !isText(c.Function.Arguments) {
			return nil
		}
		return errToolOver
	}
	if isText(c.Function.Arguments) {
		s.delta("input_json_delta", "partial_json", c.Function.Arguments)
	}
	return nil
}

func (s *messagesStream) startCall(c call) error {
	if c.Function.Name == "" {
		return errToolName
	}
	if s.made == maxTools {
		return errTools
	}
	s.calls[c.Index] = c.ID
	s.startBlock(openTool, toolUseBlock(c.named(s.id, s.made), quote(c.Function.Name), []byte("{}")))
	s.made++
	s.tool = c.Index
	return nil
}

// end writes why the answer ended, the usage, and the end.
func (s *messagesStream) end() {
	s.begin("", "")
	s.stopBlock()
	var d, e, last object
	d.str("stop_reason", stopReason(s.finish, s.made > 0, s.refused))
	d.raw("stop_sequence", []byte("null"))
	e.str("type", "message_delta")
	e.raw("delta", d.end())
	e.raw("usage", s.used.messages())
	s.send("message_delta", e)
	last.str("type", "message_stop")
	s.send("message_stop", last)
	s.state = ended
}

func (s *messagesStream) fail(f failure) {
	s.text = append(append(append(s.text, "event: error\ndata: "...), f.body(Anthropic)...), "\n\n"...)
}

// whole is so where the answer gave its reason for the end, and only [DONE] is missing, which some servers
// never send.
func (s *messagesStream) whole() bool {
	if s.finish == "" {
		return false
	}
	s.end()
	return true
}
