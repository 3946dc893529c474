package proxy

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"

	"keyless/shared/oauth"
)

// upstreamLong is an answer that is not passed on whole, and cannot be held whole.
var upstreamLong = refusal{status: http.StatusBadGateway, code: "upstream_too_large",
	message: "The upstream's message is longer than 1 MiB, the most from which this caller's tools are picked"}

// picksTools reports whether the caller sees some tools only and the answer may hold a list of them: that of tools/list, and whatever
// comes on a stream of the server's own, where the older transport answers and a broken stream is resumed.
func (c *call) picksTools() bool {
	if !c.isMCP() || !c.decision.LimitsTools() {
		return false
	}
	if c.listens() {
		return true
	}
	for _, lists := range c.mcp.lists {
		if lists {
			return true
		}
	}
	return false
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
	unreadable := len(body) > 0 && (x.Header.Get("Content-Encoding") != "" || !json.Valid(body))
	switch {
	case err != nil:
		err = x.why(err)
		c.end = c.endOf(x, err)
		c.refuse(c.upstreamFailed(err, x))
		return
	case len(body) > maxMessage:
		c.refuse(upstreamLong)
		return
	case unreadable && x.StatusCode != http.StatusAccepted: // the older transport accepts with a word, which no client reads
		c.refuse(upstreamBroken)
		return
	}
	if len(body) > 0 && !unreadable {
		body = pickTools(body, c.mcp.lists, c.decision.MaySeeTool)
	}
	c.answerHeader(x, p.Now())
	c.end = c.endOf(x, nil)
	c.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	c.begin(x.StatusCode)
	_, _ = c.w.Write(body) // who is gone need not read it
}

// pickTools cuts out of a JSON-RPC message, or a batch of them, the tools that the caller may not call. All other bytes stay as they
// are. It changes what looks like the result of tools/list, unless by lists it answers another request of this call; what is not JSON
// says nothing to a client.
func pickTools(text []byte, lists map[string]bool, may func(tool string) bool) []byte {
	if !json.Valid(text) {
		return text
	}
	picker := picker{cursor: cursor{text: text}, lists: lists, may: may}
	picker.space()
	if picker.text[picker.at] == '[' {
		picker.elements(picker.message)
	} else {
		picker.message()
	}
	return picker.rest()
}

// picker goes once over a message and notes what is cut out.
type picker struct {
	cursor
	lists map[string]bool
	may   func(tool string) bool
	cuts  []span // in order
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

// message reads a value and, where it is a response that may be a list, notes the cuts in it.
func (p *picker) message() {
	if p.text[p.at] != '{' {
		p.skip()
		return
	}
	start, other := p.at, false
	p.members(func(name string) {
		from := p.at
		p.skip()
		if name == "id" {
			lists, known := p.lists[idOf(p.text[from:p.at])]
			other = known && !lists
		}
	})
	if other {
		return
	}
	p.at = start
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
