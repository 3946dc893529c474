// Package meter reads what a call to a model asks and what its answer used, from the bytes as they pass.
//
// A request's body is read once by Read, which finds the few members that decide something and a bound of the
// input, and Splice changes some of them in place: all other bytes reach the upstream as the caller wrote
// them. An answer is fed to a Meter piece by piece; it finds usage, the first content, an error inside a 200
// and the end, in memory that does not grow with the answer, and hides the usage chunk of OpenAI's streams
// from a caller who did not ask for it. Nothing here does I/O or knows time.
//
// Wire formats: OpenAI's, Anthropic's, Model Studio's native one (see Kind); event streams by HTML
// Living Standard §9.2; JSON by RFC 8259.
package meter

import "keyless/shared/ledger"

// maxHeld bounds an event that may have to be hidden. The usage chunk has a few hundred bytes; a larger event
// passes.
const maxHeld = 1 << 20

// maxKept is how much room a stream keeps for its next event.
const maxKept = 64 << 10

// emptied is a buffer without its bytes, and without its room where that was for a rare event.
func emptied(buffer []byte) []byte {
	if cap(buffer) > maxKept {
		return nil
	}
	return buffer[:0]
}

// Following is how an answer is followed.
type Following struct {
	Kind       Kind  // of the upstream's answer, which differs from the caller's where it is translated
	Events     bool  // text/event-stream; else one JSON document (or something else, which tells nothing)
	HideUsage  bool  // drop the chunk of OpenAI's streams that only tells usage: the caller did not ask for it
	Cumulative bool  // Ask.Cumulative
	Choices    int64 // Ask.Choices: how many ends a stream without [DONE] has
}

// Meter follows one answer. It belongs to one goroutine and holds no resources.
type Meter struct {
	how      Following
	document document
	events   events
	data     func([]byte) // takes the data of events

	frame    frame // of the event, or the document, under way
	told     tally // the usage object under way
	used     ledger.Usage
	known    bool
	model    string
	quarters int64 // of tokens of output
	content  bool
	finished bool
	finishes int64 // choices that gave a reason
	closing  bool  // see Closing
	failed   *Failure

	size    int    // bytes of the event under way
	held    []byte // those of them that wait; all or none
	free    bool   // the event under way is not to be hidden
	dropped bool   // the last event was
	out     []byte
}

// New begins an answer.
func New(f Following) *Meter {
	m := &Meter{how: f}
	m.document.tell = m
	m.how.HideUsage = f.HideUsage && f.Events && f.Kind.asksUsage()
	m.data = m.document.feed
	if f.Kind == Opaque {
		m.data = func([]byte) {}
	}
	return m
}

// Feed takes the next bytes, split anywhere, and returns what may be passed on now: the same bytes, save for
// a hidden chunk and for the event that may yet become one. The result is valid until the next Feed or until
// chunk is written to.
func (m *Meter) Feed(chunk []byte) []byte {
	switch {
	case len(chunk) == 0:
		return nil
	case m.how.Events:
		m.content = m.content || m.how.Kind == Opaque
		return m.feedEvents(chunk)
	case m.how.Kind == Opaque:
		m.content = true
		return chunk
	}
	before := m.document.state
	m.document.feed(chunk)
	if now := m.document.state; now != before && (now == ended || now == broken) {
		m.dispatch()
	}
	return chunk
}

func (m *Meter) feedEvents(chunk []byte) []byte {
	m.out = emptied(m.out)
	whole := true // what passes is chunk from its beginning
	passed := 0
	for at := 0; at < len(chunk); {
		held := len(m.held)
		n, pass := m.step(chunk[at:])
		if whole && (held > 0 || passed != at) && pass {
			whole = false
			m.out = append(m.out, chunk[:passed]...)
		}
		if pass && !whole {
			m.out = append(append(m.out, m.held...), chunk[at:at+n]...)
		}
		if pass {
			passed = at + n
			m.held = emptied(m.held)
		}
		at += n
	}
	if whole {
		return chunk[:passed]
	}
	return m.out
}

// step takes bytes of one event and says whether they, and what is held before them, pass.
func (m *Meter) step(chunk []byte) (used int, pass bool) {
	if m.size == 0 && m.events.cr && chunk[0] == '\n' { // the end of the line that ended the last event
		m.events.cr = false
		return 1, !m.dropped
	}
	n, complete := m.events.feed(chunk, m.data)
	m.size += n
	m.free = m.free || !m.how.HideUsage || m.frame.choice || m.size > maxHeld
	switch {
	case complete:
		return n, m.endEvent()
	case m.free:
		return n, true
	}
	m.held = append(m.held, chunk[:n]...)
	return n, false
}

// endEvent reports whether the event that ended passes.
func (m *Meter) endEvent() bool {
	m.dropped = !m.free && m.frame.onlyUsage() && m.document.state == ended
	if m.dropped {
		m.held = emptied(m.held)
	}
	m.dispatch()
	m.size, m.free = 0, false
	m.events.begin()
	m.document.begin()
	return !m.dropped
}

// Close ends the answer, whole or cut, and returns what was held back and may be passed on: an event without
// its empty line, but not the beginning of one that was cut.
func (m *Meter) Close() []byte {
	if !m.how.Events {
		return nil
	}
	m.finished = m.finished || m.finishes > 0 && m.finishes >= m.how.Choices && m.how.Kind != Native
	if m.size == 0 {
		return nil
	}
	held := m.held
	m.held = nil
	m.events.endLine()
	cut := m.document.state != ended && m.document.state != broken && m.events.data > 0
	m.free = m.free || m.size > maxHeld
	if !m.endEvent() || cut {
		return nil
	}
	return held
}

// Usage is what the upstream said was used. Known is false where it said nothing, or nothing but zeros, or
// nonsense. Of an answer that is not Finished it may be the first half: Anthropic tells the input first.
func (m *Meter) Usage() (used ledger.Usage, known bool) { return m.used, m.known }

// Output is a guess at the tokens of output that came so far: a quarter of the bytes of ASCII text, one for
// each other character.
func (m *Meter) Output() int64 { return (m.quarters + 3) / 4 }

// Model is what the upstream called the model, "" where it did not say; at most 128 bytes.
func (m *Meter) Model() string { return m.model }

// Content reports whether content has come: text, reasoning, a tool call, an image. Opaque answers are
// content from the first byte.
func (m *Meter) Content() bool { return m.content }

// Failed is the first error that the upstream reported within the answer, nil none.
func (m *Meter) Failed() *Failure { return m.failed }

// Finished reports whether the answer said that it is whole: [DONE], message_stop, response.completed, a
// native finish reason, the end of the JSON object. After Close it also holds for a chat stream without
// [DONE] whose choices all gave a finish reason.
func (m *Meter) Finished() bool { return m.finished }

// Closing reports whether the caller may have had all that is to come but the usage: the model gave its reasons to
// finish, a whole item of /responses came, or the answer is one document whose content has begun. Content may
// still follow.
func (m *Meter) Closing() bool {
	document := !m.how.Events && m.document.state != broken && (m.frame.content || m.frame.finishes > 0)
	return m.closing || m.finished || document
}

// Between reports whether what was passed on ends between two events: only there may a comment or an event of
// ours stand.
func (m *Meter) Between() bool { return m.size == 0 || len(m.held) > 0 }
