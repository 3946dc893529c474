package meter

import (
	"bytes"
	"strconv"
)

const (
	// maxFieldName is more than the longest field's name that is known, and a byte order mark.
	maxFieldName = 16
	// maxEvent holds the longest name of an event, and a native comment with the status.
	maxEvent = 64
)

// events splits an event stream (HTML Living Standard §9.2) whose bytes come in any pieces, and hands on the
// data of each event. Lines end in CR, LF or both.
type events struct {
	begun  bool // a line was read: before it a byte order mark may stand
	cr     bool // the last byte was CR: a LF behind it is of the same line end
	line   lineState
	field  [maxFieldName]byte
	width  int // of the field's name
	value  [maxEvent]byte
	length int // of the value of what is no data
	name   [maxEvent]byte
	named  int
	mark   [len(doneMark)]byte // the first bytes of the data
	data   int                 // bytes of data in this event
	lines  int                 // lines of data
	status int                 // that a native comment tells
}

type lineState uint8

const (
	atStart lineState = iota
	inField
	afterColon // one space may follow
	inValue
)

// doneMark ends OpenAI's streams.
const doneMark = "[DONE]"

func (e *events) begin() {
	e.named, e.data, e.lines, e.status = 0, 0, 0, 0
}

func (e *events) isDone() bool { return e.data == len(doneMark) && string(e.mark[:]) == doneMark }

// feed reads up to the end of one event, or of b. Each piece of data goes to pass.
func (e *events) feed(b []byte, pass func([]byte)) (used int, complete bool) {
	for i := 0; i < len(b); {
		c := b[i]
		if e.cr {
			e.cr = false
			if c == '\n' {
				i++
				continue
			}
		}
		switch {
		case c == '\r' || c == '\n':
			e.cr = c == '\r'
			i++
			if e.endLine() {
				return i, true
			}
		case e.line == inValue || e.line == afterColon:
			i += e.run(b[i:], pass)
		default:
			e.letter(c, pass)
			i++
		}
	}
	return len(b), false
}

// letter takes a byte of a field's name.
func (e *events) letter(c byte, pass func([]byte)) {
	if c != ':' {
		e.line = inField
		if e.width < maxFieldName {
			e.field[e.width] = c
		}
		e.width++
		return
	}
	e.line, e.length = afterColon, 0
	if e.isData() {
		e.beginData(pass)
	}
}

func (e *events) beginData(pass func([]byte)) {
	if e.lines > 0 {
		pass([]byte("\n"))
		e.data++
	}
	e.lines++
}

// fieldName is the field's name, "" for a comment.
func (e *events) fieldName() string {
	name := e.field[:min(e.width, maxFieldName)]
	if !e.begun {
		name = bytes.TrimPrefix(name, []byte("\xef\xbb\xbf"))
	}
	return string(name)
}

func (e *events) isData() bool { return e.fieldName() == "data" }

// run takes a value's bytes up to the line's end.
func (e *events) run(b []byte, pass func([]byte)) int {
	skipped := 0
	if e.line == afterColon {
		e.line = inValue
		if b[0] == ' ' {
			skipped, b = 1, b[1:]
		}
	}
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		end = len(b)
	}
	if cr := bytes.IndexByte(b[:end], '\r'); cr >= 0 {
		end = cr
	}
	text := b[:end]
	if e.isData() {
		for i := 0; i < len(text) && e.data+i < len(e.mark); i++ {
			e.mark[e.data+i] = text[i]
		}
		e.data += len(text)
		pass(text)
	} else if e.length < maxEvent {
		e.length += copy(e.value[e.length:], text)
	}
	return skipped + end
}

// endLine ends a line and reports whether that ends an event: the line was empty.
func (e *events) endLine() bool {
	empty := e.line == atStart && e.width == 0
	if !empty {
		value := e.value[:e.length]
		switch e.fieldName() {
		case "event":
			e.named = copy(e.name[:], value)
		case "":
			e.comment(value)
		}
		e.begun = true
	}
	e.line, e.width, e.length = atStart, 0, 0
	return empty
}

// comment reads the status that Model Studio's native streams give as `:HTTP_STATUS/429`.
func (e *events) comment(text []byte) {
	if digits, is := bytes.CutPrefix(text, []byte("HTTP_STATUS/")); is {
		e.status, _ = strconv.Atoi(string(digits))
	}
}
