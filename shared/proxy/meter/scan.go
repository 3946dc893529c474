package meter

import "keyless/shared/oauth"

// reader goes once over a request's body, checks that it is strict JSON (RFC 8259) and adds up what it is. It
// refuses what oauth.Object refuses, but for duplicates of members that decide nothing here: those go on as
// they are.
type reader struct {
	text        []byte
	at          int
	depth       int
	elements    int64 // of the array that ended last
	ask         *Ask
	input       input
	seen        uint32 // members that decide something: bits of their place in decisive
	incremental bool
	several     bool  // it had strings or arrays in it
	prompts     int64 // of /completions, 0 where there is one
}

func (r *reader) document() *unreadable {
	r.space()
	if r.peek() != '{' {
		return refuse(notObject)
	}
	if err := r.object(inTop); err != nil {
		return err
	}
	r.space()
	if r.at != len(r.text) {
		return refuse(notJSON)
	}
	return r.settle()
}

// peek is the next byte, 0 at the end, which is no part of JSON.
func (r *reader) peek() byte {
	if r.at < len(r.text) {
		return r.text[r.at]
	}
	return 0
}

func (r *reader) space() {
	for r.at < len(r.text) {
		switch r.text[r.at] {
		case ' ', '\t', '\r', '\n':
			r.at++
		default:
			return
		}
	}
}

// mark takes one byte of punctuation.
func (r *reader) mark(c byte) bool {
	r.space()
	if r.peek() != c {
		return false
	}
	r.at++
	r.input.bytes++
	return true
}

func (r *reader) deeper() *unreadable {
	if r.depth++; r.depth > oauth.MaxJSONDepth {
		return refuse(tooDeep)
	}
	return nil
}

func (r *reader) object(z zone) *unreadable {
	if err := r.deeper(); err != nil {
		return err
	}
	r.mark('{')
	var of source
	for first := true; !r.mark('}'); first = false {
		if !first && !r.mark(',') {
			return refuse(notJSON)
		}
		if err := r.member(z, &of); err != nil {
			return err
		}
	}
	r.depth--
	if z == inSource {
		return r.leave(of)
	}
	return nil
}

// member reads one member of an object.
func (r *reader) member(z zone, of *source) *unreadable {
	r.space()
	from := r.at
	name, ok := r.str()
	if !ok {
		return refuse(notJSON)
	}
	r.input.text(name)
	plain, ok := decoded(r.text[from:r.at])
	if !ok || !r.mark(':') {
		return refuse(notJSON)
	}
	r.space()
	before, start := r.input, r.at
	if err := r.value(z.below(r.ask.Kind, plain)); err != nil {
		return err
	}
	value := r.text[start:r.at]
	if pointsAway(plain, value) || z == inTools && string(plain) == "type" && serverTool(value) {
		r.ask.Unseen = true
	}
	switch z {
	case inSource:
		return of.note(plain, value, str{r.input.bytes - before.bytes, r.input.quarters - before.quarters})
	case inTop, inOptions, inParameters:
		return r.decide(z, plain, start, value)
	}
	return nil
}

func (r *reader) value(z zone) *unreadable {
	switch c := r.peek(); {
	case c == '{':
		return r.object(z)
	case c == '[':
		return r.array(z.element())
	case c == '"':
		start := r.at
		s, ok := r.str()
		if !ok {
			return refuse(notJSON)
		}
		if z.medium() {
			r.input.medium(z, r.text[start:r.at], s)
		} else {
			r.input.text(s)
		}
		return nil
	}
	return r.scalar()
}

func (r *reader) array(z zone) *unreadable {
	if err := r.deeper(); err != nil {
		return err
	}
	r.mark('[')
	count, several := int64(0), false
	for !r.mark(']') {
		if count > 0 && !r.mark(',') {
			return refuse(notJSON)
		}
		r.space()
		several = several || r.peek() == '"' || r.peek() == '['
		if err := r.value(z); err != nil {
			return err
		}
		count++
	}
	r.depth--
	r.elements, r.several = count, several
	return nil
}

// scalar reads a number or a literal.
func (r *reader) scalar() *unreadable {
	from := r.at
	for r.at < len(r.text) && !ends(r.text[r.at]) {
		r.at++
	}
	word := r.text[from:r.at]
	r.input.bytes += int64(len(word))
	switch string(word) {
	case "true", "false", "null":
		return nil
	}
	r.input.quarters += 4
	if !isNumber(word) {
		return refuse(notJSON)
	}
	return nil
}

func ends(c byte) bool {
	return c == ',' || c == '}' || c == ']' || c == ' ' || c == '\t' || c == '\r' || c == '\n'
}

// isNumber keeps to the grammar of RFC 8259 §6.
func isNumber(w []byte) bool {
	w = after(w, '-')
	whole := digits(w)
	if whole == 0 || whole > 1 && w[0] == '0' {
		return false
	}
	w = w[whole:]
	if len(w) > 0 && w[0] == '.' {
		part := digits(w[1:])
		if part == 0 {
			return false
		}
		w = w[1+part:]
	}
	if len(w) > 0 && (w[0] == 'e' || w[0] == 'E') {
		w = after(after(w[1:], '+'), '-')
		part := digits(w)
		return part > 0 && part == len(w)
	}
	return len(w) == 0
}

func after(w []byte, c byte) []byte {
	if len(w) > 0 && w[0] == c {
		return w[1:]
	}
	return w
}

func digits(w []byte) int {
	n := 0
	for n < len(w) && w[n] >= '0' && w[n] <= '9' {
		n++
	}
	return n
}
