package translate

import (
	"errors"
	"fmt"
)

// MaxFrame bounds one event of a stream: the largest are tool calls and texts that come whole, and no
// provider sends a tenth of it.
const MaxFrame = 1 << 20

// maxTools bounds the tool calls of one answer, of which a stream remembers the ids: no model makes a tenth
// of them.
const maxTools = 1024

var errTools = errors.New("the upstream's stream has too many tool calls")

// ping keeps the caller's connection busy where the upstream keeps ours: a comment, which no reader of events
// sees.
const ping = ":\n\n"

// Stream turns the events of one answer, as they come. It belongs to one goroutine and holds no resources.
type Stream struct {
	frames frames
	to     teller
	out    *told
	err    error
}

// told is what there is for the caller, and how the stream stands.
type told struct {
	text  []byte
	state state
}

type state int

const (
	running state = iota
	ended         // properly: the caller has the end
	failed        // the caller has the upstream's error event
)

// teller writes one dialect's events.
type teller interface {
	// tell takes one event's data.
	tell(data []byte) error
	// fail writes the upstream's error as an event.
	fail(f failure)
	// whole writes the end where the upstream's stream is whole though it did not say so, and reports whether
	// it is.
	whole() bool
}

// NewStream begins an answer that comes in from's dialect and is told in to's.
func NewStream(from, to Dialect, o AnswerOptions) *Stream {
	differ(from, to)
	out := &told{}
	if from == OpenAI {
		return &Stream{out: out, to: newMessagesStream(out, o)}
	}
	return &Stream{out: out, to: newChatStream(out, o)}
}

// Write takes the next bytes, split anywhere, and returns whole events for the caller, often none. What it
// returns is valid until the next call. After an error nothing more can be made of the stream; what was
// returned with it is still the caller's, and the caller was not told. An error event of the upstream is no
// error here: it is told, what follows is ignored, and Close returns ErrFailed.
func (s *Stream) Write(chunk []byte) ([]byte, error) {
	s.out.text = s.out.text[:0]
	if s.err == nil && s.out.state == running {
		s.err = s.frames.feed(chunk, s)
	}
	return s.out.text, s.err
}

// Close ends the stream when the upstream's has ended, and returns the last events. The error is ErrCut where
// the upstream's end was no proper one, ErrFailed where it was an error event that the caller has, else what
// Write returned. Close again returns it again.
func (s *Stream) Close() ([]byte, error) {
	s.out.text = s.out.text[:0]
	if s.err == nil && s.out.state == running && s.frames.close(s) != nil {
		s.err = ErrCut // half an event
	}
	switch {
	case s.err != nil:
	case s.out.state == failed:
		s.err = ErrFailed
	case s.out.state == running && s.to.whole():
		s.out.state = ended
	case s.out.state == running:
		s.err = ErrCut
	}
	return s.out.text, s.err
}

// event takes one event's data from frames.
func (s *Stream) event(data []byte, failing bool) error {
	if s.out.state != running {
		return nil
	}
	if failing {
		s.fail(data)
		return nil
	}
	if err := s.to.tell(data); err != nil {
		return fmt.Errorf("translate an event: %w", err)
	}
	return nil
}

func (s *Stream) fail(data []byte) {
	s.to.fail(readFailure(data).forEvent())
	s.out.state = failed
}

func (s *Stream) comment() {
	if s.out.state == running {
		s.out.text = append(s.out.text, ping...)
	}
}
