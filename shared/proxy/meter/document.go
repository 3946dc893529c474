package meter

import "encoding/binary"

// Bounds of what is kept of a document.
const (
	// maxName is longer than any name that is known.
	maxName = 32
	// maxWord holds the longest model name, type and number that is read.
	maxWord = 128
	// maxLevels is how deep a document is followed; none that an upstream sends is deeper.
	maxLevels = 64
)

// listener is told what stands where in a document.
type listener interface {
	opened(p path)                            // an object or array begins
	closed(p path)                            // it ended
	said(p path, word []byte, quarters int64) // a string, its first bytes, and a guess at its quarter tokens
	counted(p path, word []byte)              // a number or a literal
}

// document reads one JSON document whose bytes come in any pieces, in memory that does not depend on them. It
// is tolerant: it finds what it knows in what is valid, and stops at what cannot be JSON.
type document struct {
	tell   listener
	state  state
	depth  int
	list   uint64 // a bit for each level: an array
	levels [maxLevels + 1]path
	at     path // of the value that comes or is being read

	word     [maxWord]byte
	length   int // of what was read, beyond maxWord too
	quarters int64
	escaped  uint8 // bytes of an escape that are to come; escapeMark: its letter
}

type state uint8

const (
	wantsValue state = iota
	wantsName
	wantsColon
	wantsComma
	inName
	inText
	inScalar
	ended
	broken
)

const escapeMark = 0xff

// begin makes ready for a new document.
func (d *document) begin() {
	d.state, d.depth, d.list, d.at, d.escaped = wantsValue, 0, 0, root, 0
}

// feed reads on.
func (d *document) feed(b []byte) {
	for i := 0; i < len(b) && d.state != broken; {
		switch d.state {
		case inName, inText:
			i += d.text(b[i:])
		case inScalar:
			i += d.scalar(b[i:])
		default:
			d.mark(b[i])
			i++
		}
	}
}

// mark takes a byte outside strings, numbers and literals.
func (d *document) mark(c byte) {
	switch {
	case c == ' ' || c == '\t' || c == '\n' || c == '\r':
	case d.state == wantsValue:
		d.value(c)
	case d.state == wantsName && c == '"':
		d.state, d.length, d.quarters = inName, 0, 0
	case d.state == wantsName && c == '}':
		d.close(c)
	case d.state == wantsColon && c == ':':
		d.state = wantsValue
	case d.state == wantsComma && c == ',':
		d.next()
	case d.state == wantsComma && (c == '}' || c == ']'):
		d.close(c)
	default:
		d.state = broken
	}
}

func (d *document) inList() bool { return d.list&(1<<(d.depth-1)) != 0 }

// next makes ready for the next member or element.
func (d *document) next() {
	d.state = wantsName
	if d.inList() {
		d.state, d.at = wantsValue, child(d.levels[d.depth], item)
	}
}

func (d *document) value(c byte) {
	switch c {
	case '{', '[':
		d.open(c)
	case ']':
		d.close(c) // an empty array, or one that ends in a comma
	case '"':
		d.state, d.length, d.quarters = inText, 0, 0
	default:
		if d.depth == 0 {
			d.state = broken // no answer is a bare number
			return
		}
		d.state, d.length = inScalar, 0
		d.keep(c)
	}
}

func (d *document) open(c byte) {
	if d.depth == maxLevels {
		d.state = broken
		return
	}
	d.depth++
	d.levels[d.depth] = d.at
	d.tell.opened(d.at)
	if c == '[' {
		d.list |= 1 << (d.depth - 1)
	} else {
		d.list &^= 1 << (d.depth - 1)
	}
	d.next()
}

func (d *document) close(c byte) {
	if d.depth == 0 || d.inList() != (c == ']') {
		d.state = broken
		return
	}
	at := d.levels[d.depth]
	d.depth--
	d.tell.closed(at)
	d.done()
}

// done ends a value.
func (d *document) done() {
	d.state = wantsComma
	if d.depth == 0 {
		d.state = ended
	}
}

func (d *document) keep(c byte) {
	if d.length < maxWord {
		d.word[d.length] = c
	}
	d.length++
}

// kept is what was read, cut where it is long.
func (d *document) kept() []byte { return d.word[:min(d.length, maxWord)] }

// scalar reads a number or a literal up to what ends it.
func (d *document) scalar(b []byte) int {
	for i, c := range b {
		if ends(c) {
			d.tell.counted(d.at, d.kept())
			d.done()
			return i
		}
		d.keep(c)
	}
	return len(b)
}

// text reads in a string, up to its closing quote at most.
func (d *document) text(b []byte) int {
	for i := 0; i < len(b); {
		skips := d.length >= maxWord || d.state == inText && d.at == lost // nothing more is kept
		if skips && d.escaped == 0 && i+8 <= len(b) && ordinary(binary.LittleEndian.Uint64(b[i:])) {
			i += 8
			d.length = min(d.length+8, maxLength)
			d.quarters += 8
			continue
		}
		c := b[i]
		i++
		switch {
		case d.escaped != 0:
			d.escape(c)
		case c == '\\':
			d.escaped = escapeMark
		case c == '"':
			d.endText()
			return i
		default:
			d.keep(c)
			d.quarters += weight(c)
		}
	}
	return len(b)
}

// maxLength is where the length of a string stops to matter.
const maxLength = 1 << 20

// weight is a byte's part in quarter tokens: one for ASCII, four for the first byte of any other character.
func weight(c byte) int64 {
	switch {
	case c < 0x80:
		return 1
	case c >= 0xc0:
		return 4
	}
	return 0
}

// escape takes a byte of an escape. What it stands for matters in none of the words that are read: its letter
// is kept.
func (d *document) escape(c byte) {
	switch {
	case d.escaped != escapeMark:
		d.escaped--
	case c == 'u':
		d.escaped = 4
		d.keep('?')
		d.quarters += 4
	default:
		d.escaped = 0
		d.keep(c)
		d.quarters++
	}
}

func (d *document) endText() {
	if d.state == inText {
		d.tell.said(d.at, d.kept(), d.quarters)
		d.done()
		if d.depth == 0 {
			d.state = broken // no answer is a bare string
		}
		return
	}
	n := other
	if d.length <= maxName {
		n = known(d.kept())
	}
	d.at, d.state = child(d.levels[d.depth], n), wantsColon
}
