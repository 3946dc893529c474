package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
)

// mcpEvents passes an event stream on (HTML Living Standard §9.2), whole event by whole event where one may have to be edited. What is
// not edited leaves byte for byte. It belongs to one goroutine.
type mcpEvents struct {
	edit   func(name string, data []byte) ([]byte, error) // nil: nothing is edited, and nothing held
	most   int                                            // bytes of an event that are held
	strict bool                                           // a longer event breaks the stream, rather than pass unedited

	held  []byte // of the event under way
	size  int    // of it, held or passed
	line  int    // bytes of the line under way
	free  bool   // the event under way passes as it comes, the first bytes of each line when they tell its field
	told  bool   // those of the line under way have passed
	cr    bool   // the last line ended in CR: an LF that follows belongs to it
	begun bool   // the first event was seen
	out   []byte
}

var errMessageLong = errors.New("a message of the upstream is too long for tools to be picked from it")

// feed takes the next bytes, split anywhere, and returns what may pass now. It is valid until the next feed.
func (e *mcpEvents) feed(chunk []byte) ([]byte, error) {
	e.out = emptied(e.out)
	for rest := chunk; len(rest) > 0; {
		if e.cr && rest[0] == '\n' {
			e.cr = false
			if e.size == 0 {
				e.out = append(e.out, '\n') // of the line that ended the last event
			} else if err := e.keep(rest[:1]); err != nil {
				return e.out, err
			}
			rest = rest[1:]
			continue
		}
		e.cr = false
		n := bytes.IndexAny(rest, "\r\n")
		if n < 0 {
			e.line += len(rest)
			err := e.keep(rest)
			return e.passed(chunk), err
		}
		blank := e.line+n == 0
		if err := e.keep(rest[:n+1]); err != nil {
			return e.out, err
		}
		e.line, e.cr = 0, rest[n] == '\r'
		if blank {
			if err := e.endEvent(); err != nil {
				return e.out, err
			}
		}
		rest = rest[n+1:]
	}
	return e.passed(chunk), nil
}

// passed is what leaves of a chunk. Where nothing is edited that is the chunk.
func (e *mcpEvents) passed(chunk []byte) []byte {
	if e.edit == nil {
		return chunk
	}
	return e.out
}

// keep takes bytes of the event under way.
func (e *mcpEvents) keep(part []byte) error {
	e.size += len(part)
	switch {
	case e.edit == nil:
		return nil
	case e.free:
		return e.passOn(part)
	}
	e.held = append(e.held, part...)
	if len(e.held) <= e.most {
		return nil
	}
	if e.strict {
		return errMessageLong
	}
	return e.letGo()
}

// letGo passes what is held of an event that is too long for it, and its rest as it comes.
func (e *mcpEvents) letGo() error {
	lines, begun := linesOf(e.held), []byte(nil)
	if last := len(lines) - 1; !endsLine(lines[last]) {
		lines, begun = lines[:last], lines[last]
	}
	if name, _, _ := e.fields(lines); name == endpointEvent {
		return errEndpoint
	}
	e.out = append(e.out, e.held[:len(e.held)-len(begun)]...)
	e.held, e.free, e.told, e.begun = emptied(e.held), true, false, true
	return e.passOn(begun)
}

// passOn takes a part of a line of an event that is not held. An event may name itself last: the line that does waits for its end, and
// where it turns out to name a URL breaks the stream.
func (e *mcpEvents) passOn(part []byte) error {
	ends := endsLine(part)
	if !e.told {
		e.held = append(e.held, part...)
		field, name := fieldOf(e.held)
		names := string(field) == "event"
		if !ends && (len(e.held) < len("event:") || names && len(e.held) <= e.most) {
			return nil
		}
		if names && string(name) == endpointEvent {
			return errEndpoint
		}
		part, e.held = e.held, emptied(e.held)
	}
	e.out, e.told = append(e.out, part...), !ends
	return nil
}

func endsLine(part []byte) bool {
	return bytes.HasSuffix(part, []byte("\n")) || bytes.HasSuffix(part, []byte("\r"))
}

func (e *mcpEvents) endEvent() error {
	held := e.held
	edits := e.edit != nil && !e.free
	e.held, e.size, e.free = emptied(e.held), 0, false
	if !edits {
		return nil
	}
	event, err := e.edited(held)
	e.out = append(e.out, event...)
	return err
}

// edited is an event with its data edited.
func (e *mcpEvents) edited(event []byte) ([]byte, error) {
	lines := linesOf(event)
	name, data, has := e.fields(lines)
	e.begun = true
	if !has {
		return event, nil
	}
	changed, err := e.edit(name, data)
	if err != nil || bytes.Equal(changed, data) {
		if err != nil {
			event = nil
		}
		return event, err
	}
	var out []byte
	written := false
	for _, line := range lines {
		field, _ := fieldOf(line)
		if string(field) != "data" {
			out = append(out, line...)
			continue
		}
		if written {
			continue
		}
		written = true
		end := line[len(bytes.TrimRight(line, "\r\n")):]
		for one := range bytes.SplitSeq(changed, []byte("\n")) {
			out = append(append(append(out, "data: "...), one...), end...)
		}
	}
	return out, nil
}

// fields reads an event's name and its data.
func (e *mcpEvents) fields(lines [][]byte) (name string, data []byte, has bool) {
	if !e.begun && len(lines) > 0 {
		lines[0] = bytes.TrimPrefix(lines[0], []byte("\ufeff")) // which readers drop
	}
	for _, line := range lines {
		switch field, value := fieldOf(line); string(field) {
		case "event":
			name = string(value)
		case "data":
			if has {
				data = append(data, '\n')
			}
			data, has = append(data, value...), true
		}
	}
	return name, data, has
}

// linesOf splits an event into lines, each with its end.
func linesOf(event []byte) [][]byte {
	var lines [][]byte
	for len(event) > 0 {
		n := bytes.IndexAny(event, "\r\n")
		switch {
		case n < 0:
			n = len(event)
		case event[n] == '\r' && n+1 < len(event) && event[n+1] == '\n':
			n += 2
		default:
			n++
		}
		lines = append(lines, event[:n:n])
		event = event[n:]
	}
	return lines
}

func fieldOf(line []byte) (field, value []byte) {
	field, value, _ = bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(":"))
	return field, bytes.TrimPrefix(value, []byte(" "))
}

// close ends the stream. What was begun and not ended is no event (HTML Living Standard §9.2.6): where tools are picked it leaves only
// if it is whole in all but its last line.
func (e *mcpEvents) close() ([]byte, error) {
	e.out = emptied(e.out)
	if len(e.held) == 0 || e.free {
		return e.held, nil
	}
	if _, data, has := e.fields(linesOf(e.held)); e.strict && has && !json.Valid(data) {
		return nil, nil
	}
	err := e.endEvent()
	return e.out, err
}

// between reports whether an event of ours may stand here.
func (e *mcpEvents) between() bool { return e.size == 0 || e.edit != nil && !e.free }

// keptRoom is how much room a buffer keeps for its next use.
const keptRoom = 64 << 10

func emptied(buffer []byte) []byte {
	if cap(buffer) > keptRoom {
		return nil
	}
	return buffer[:0]
}
