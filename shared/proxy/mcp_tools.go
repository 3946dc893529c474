package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"

	"keyless/shared/oauth"
)

// upstreamLong is an answer that is not passed on whole, and cannot be held whole.
var upstreamLong = refusal{status: http.StatusBadGateway, code: "upstream_too_large",
	message: "The upstream's message is longer than 1 MiB, the most from which this caller's tools are picked"}

// picksTools reports whether the caller sees some tools only and the answer may hold a list of them. Any may that does not answer a
// listless call: on a stream of the server's own the older transport answers, and a broken stream is resumed.
func (c *call) picksTools() bool {
	return c.isMCP() && c.decision.LimitsTools() && !c.mcp.listless
}

// picksWhole reports whether an answer is one document from which tools are to be picked.
func (c *call) picksWhole(x *exchange) bool {
	return !x.events && x.StatusCode < http.StatusMultipleChoices && c.picksTools()
}

// relayPicked passes an answer on without the tools that the caller may not call.
func (p *proxy) relayPicked(c *call, x *exchange) {
	x.watch.Reset(x.idle)
	body, err := io.ReadAll(io.LimitReader(&watched{x}, maxMessage+1))
	x.watch.Stop()
	switch {
	case err != nil:
		err = x.why(err)
		c.end = c.endOf(x, err)
		c.refuse(c.upstreamFailed(err, x))
		return
	case len(body) > maxMessage:
		c.refuse(upstreamLong)
		return
	}
	picked, unclear := pickTools(body, c.decision.MaySeeTool)
	if unclear != nil || len(body) > 0 && x.Header.Get("Content-Encoding") != "" {
		c.refuse(upstreamBroken)
		return
	}
	c.answerHeader(x, p.Now())
	c.end = c.endOf(x, nil)
	if len(picked) > 0 { // a 204 and the answer to a HEAD have no body, whatever length is told
		c.w.Header().Set("Content-Length", strconv.Itoa(len(picked)))
	}
	c.begin(x.StatusCode)
	_, _ = c.w.Write(picked) // who is gone need not read it
}

// errUnclear is a message of which another reader may read a list that we do not.
var errUnclear = errors.New("a message of the upstream is not strict JSON, and tools cannot be picked from it")

// pickTools cuts out of a JSON-RPC message, or a batch of them, the tools that the caller may not call. All other bytes stay as they
// are. It changes what looks like the result of tools/list. The error is errUnclear.
func pickTools(text []byte, may func(tool string) bool) ([]byte, error) {
	if isWord(text) {
		return text, nil
	}
	if !isStrict(text) {
		return nil, errUnclear
	}
	picker := picker{cursor: cursor{text: text}, may: may}
	picker.space()
	if picker.text[picker.at] == '[' {
		picker.elements(picker.message)
	} else {
		picker.message()
	}
	return picker.rest(), nil
}

// maxWord bounds what passes without being read as JSON.
const maxWord = 64

// isWord reports whether a text is too short and plain for a message, as the word with which the older transport accepts one, and the
// data of an event that only keeps a connection.
func isWord(text []byte) bool { return len(text) <= maxWord && !bytes.ContainsAny(text, "{[") }

// isStrict reports whether all readers understand a text as one JSON value, and as the same: lenient ones read NaN, or drop what is not
// UTF-8, and of a member that stands twice some take the first and some the last.
func isStrict(text []byte) bool {
	if !json.Valid(text) {
		return false
	}
	_, err := oauth.Object(slices.Concat([]byte(`{"message":`), text, []byte("}")))
	return err == nil
}

// picker goes once over a message and notes what is cut out.
type picker struct {
	cursor
	may  func(tool string) bool
	cuts []span // in order
}

type span struct{ from, to int }

// rest is the text without what was cut.
func (p *picker) rest() []byte {
	if len(p.cuts) == 0 {
		return p.text
	}
	out, at := make([]byte, 0, len(p.text)), 0
	for _, cut := range p.cuts {
		out = append(out, p.text[at:cut.from]...)
		at = cut.to
	}
	return append(out, p.text[at:]...)
}

// message reads a value and, where it is a response that looks like a list, notes the cuts in it.
func (p *picker) message() {
	if p.text[p.at] != '{' {
		p.skip()
		return
	}
	p.members(func(name string) {
		if name != "result" || p.text[p.at] != '{' {
			p.skip()
			return
		}
		p.members(func(name string) {
			if name != "tools" || p.text[p.at] != '[' {
				p.skip()
				return
			}
			p.tools()
		})
	})
}

// tools notes what is cut of a list: each tool that goes with the comma before it, or where it is the first that goes, all up to the
// first that stays.
func (p *picker) tools() {
	var list []span
	var stays []bool
	p.elements(func() {
		from := p.at
		stays = append(stays, p.maySee())
		list = append(list, span{from, p.at})
	})
	first := 0
	for first < len(list) && !stays[first] {
		first++
	}
	switch {
	case first == len(list) && first > 0:
		p.cuts = append(p.cuts, span{list[0].from, list[first-1].to})
		return
	case first > 0:
		p.cuts = append(p.cuts, span{list[0].from, list[first].from})
	}
	for i := first + 1; i < len(list); i++ {
		if !stays[i] {
			p.cuts = append(p.cuts, span{list[i-1].to, list[i].to})
		}
	}
}

// maySee reads one tool. One that has no name, or another one too, is not shown.
func (p *picker) maySee() bool {
	if p.text[p.at] != '{' {
		p.skip()
		return false
	}
	hasName, may := false, true
	p.members(func(member string) {
		from := p.at
		p.skip()
		if member == "name" {
			name, _ := oauth.String(p.text[from:p.at])
			hasName, may = true, may && p.may(name)
		}
	})
	return hasName && may
}

// cursor goes over a text that is valid JSON.
type cursor struct {
	text []byte
	at   int
}

func (s *cursor) space() {
	for s.at < len(s.text) && (s.text[s.at] == ' ' || s.text[s.at] == '\t' || s.text[s.at] == '\r' || s.text[s.at] == '\n') {
		s.at++
	}
}

// skip goes past one value.
func (s *cursor) skip() {
	for depth := 0; ; {
		switch s.text[s.at] {
		case '"':
			s.str()
		case '{', '[':
			depth++
			s.at++
		case '}', ']':
			depth--
			s.at++
		default:
			s.at++
		}
		if depth > 0 {
			continue
		}
		switch { // a number or a literal goes on to where it must end
		case s.at == len(s.text):
			return
		case s.text[s.at-1] == '"' || s.text[s.at-1] == '}' || s.text[s.at-1] == ']':
			return
		}
		switch s.text[s.at] {
		case ',', '}', ']', ' ', '\t', '\r', '\n':
			return
		}
	}
}

func (s *cursor) str() {
	for s.at++; s.text[s.at] != '"'; s.at++ {
		if s.text[s.at] == '\\' {
			s.at++
		}
	}
	s.at++
}

// members goes over an object. Each finds the cursor before the value, and leaves it behind.
func (s *cursor) members(each func(name string)) {
	s.sequence('}', func() {
		from := s.at
		s.str()
		name, _ := oauth.String(s.text[from:s.at])
		s.space()
		s.at++ // the colon
		s.space()
		each(name)
	})
}

// elements goes over an array likewise.
func (s *cursor) elements(each func()) { s.sequence(']', each) }

func (s *cursor) sequence(end byte, each func()) {
	s.at++ // what opens it
	for s.space(); s.text[s.at] != end; s.space() {
		if s.text[s.at] == ',' {
			s.at++
			s.space()
		}
		each()
	}
	s.at++
}
