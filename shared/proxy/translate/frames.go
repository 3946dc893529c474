package translate

import (
	"bytes"
	"errors"
)

var errFrame = errors.New("an event of the upstream's stream is too large")

// frames splits a stream into its events' data (HTML Living Standard §9.2). What it holds is bounded by
// MaxFrame twice: a line that has not ended, and the data of the event before it.
type frames struct {
	line    []byte // begun in an earlier chunk
	data    []byte
	has     bool // the event under way has data
	failing bool // the event under way is called "error"
	cr      bool // the last line ended in CR: an LF belongs to it
	begun   bool
}

// receiver takes what a stream holds.
type receiver interface {
	event(data []byte, failing bool) error
	comment()
}

func (f *frames) feed(chunk []byte, to receiver) error {
	for len(chunk) > 0 {
		if f.cr && chunk[0] == '\n' {
			f.cr = false
			chunk = chunk[1:]
			continue
		}
		f.cr = false
		end := bytes.IndexByte(chunk, '\n')
		if cr := bytes.IndexByte(chunk[:max(end, 0)], '\r'); end >= 0 && cr >= 0 {
			end = cr
		} else if end < 0 {
			end = bytes.IndexByte(chunk, '\r')
		}
		if end < 0 {
			f.line = append(f.line, chunk...)
			return f.checkLine(f.line)
		}
		line := chunk[:end]
		if len(f.line) > 0 {
			f.line = append(f.line, line...)
			line = f.line
		}
		f.cr = chunk[end] == '\r'
		chunk = chunk[end+1:]
		if err := f.checkLine(line); err != nil {
			return err
		}
		err := f.endLine(line, to)
		f.line = f.line[:0]
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *frames) checkLine(line []byte) error {
	if len(line) > MaxFrame {
		return errFrame
	}
	return nil
}

func (f *frames) endLine(line []byte, to receiver) error {
	if !f.begun {
		f.begun = true
		line = bytes.TrimPrefix(line, []byte("\uFEFF"))
	}
	if len(line) == 0 {
		return f.dispatch(to)
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "":
		to.comment()
	case "event":
		f.failing = string(value) == "error"
	case "data":
		if f.has {
			f.data = append(f.data, '\n')
		}
		f.data = append(f.data, value...)
		f.has = true
		if len(f.data) > MaxFrame {
			return errFrame
		}
	}
	return nil
}

// dispatch ends the event under way.
func (f *frames) dispatch(to receiver) error {
	has, failing, data := f.has, f.failing, f.data
	f.has, f.failing, f.data = false, false, f.data[:0]
	if !has || len(data) == 0 {
		return nil
	}
	return to.event(data, failing)
}

// close ends the last event, where its empty line, or the end of its line, is missing.
func (f *frames) close(to receiver) error {
	if len(f.line) > 0 {
		line := f.line
		f.line = nil
		if err := f.endLine(line, to); err != nil {
			return err
		}
	}
	return f.dispatch(to)
}
