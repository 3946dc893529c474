package meter

import (
	"encoding/binary"
	"unicode/utf8"
)

// str is what a string counts.
type str struct{ bytes, quarters int64 }

// str moves past a string, from quote to quote.
func (r *reader) str() (str, bool) {
	if r.peek() != '"' {
		return str{}, false
	}
	t, i := r.text, r.at+1
	s := str{bytes: 2} // the quotes
	from := i
	for i < len(t) {
		if i+8 <= len(t) && ordinary(binary.LittleEndian.Uint64(t[i:])) {
			i += 8
			continue
		}
		switch c := t[i]; {
		case c == '"':
			n := int64(i - from)
			r.at = i + 1
			s.bytes += n
			s.quarters += n
			return s, true
		case c == '\\':
			n := escape(t[i:], &s)
			if n == 0 {
				return s, false
			}
			i += n
		case c < 0x20:
			return s, false
		case c < utf8.RuneSelf:
			i++
		default:
			char, n := utf8.DecodeRune(t[i:])
			if char == utf8.RuneError && n == 1 {
				return s, false
			}
			i += n
			s.quarters += 4 - int64(n)
		}
	}
	return s, false
}

// escape is the length of an escape, 0 for none that is valid; it takes from s what it has beyond the bytes
// that it stands for.
func escape(t []byte, s *str) int {
	if len(t) < 2 {
		return 0
	}
	switch t[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.bytes--
		s.quarters--
		return 2
	case 'u':
		if len(t) < 6 {
			return 0
		}
		for _, c := range t[2:6] {
			if !isHex(c) {
				return 0
			}
		}
		s.bytes -= 3
		s.quarters -= 2
		return 6
	}
	return 0
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// ordinary reports whether eight bytes are ASCII without quote, backslash and control characters, so that a
// string goes on behind them.
func ordinary(w uint64) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	quote, slash := w^(ones*'"'), w^(ones*'\\')
	return (w|(w-ones*0x20)|(quote-ones)|(slash-ones))&highs == 0
}
