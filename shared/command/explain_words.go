package command

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// shellWords splits a pasted command as a POSIX shell would, with $'…' besides, which browsers write in "copy as cURL". It ends at an
// unquoted |. What only a shell can fill in, and what would be a second command, is an error; no error holds any of the text but the
// name of a variable.
func shellWords(text string) ([]string, error) {
	s := splitter{rest: strings.ReplaceAll(text, "\r\n", "\n")}
	for s.rest != "" {
		if done, err := s.next(); err != nil || done {
			return s.words, err
		}
	}
	s.end()
	return s.words, nil
}

type splitter struct {
	rest  string
	word  strings.Builder
	open  bool // a word has begun, if only with quotes
	words []string
}

func (s *splitter) end() {
	if s.open {
		s.words = append(s.words, s.word.String())
	}
	s.word.Reset()
	s.open = false
}

func (s *splitter) take(text string) {
	s.word.WriteString(text)
	s.open = true
}

// next goes past one character, or one quoted text. It reports whether the command ends there.
func (s *splitter) next() (bool, error) {
	c, after := s.rest[0], s.rest[1:]
	switch {
	case strings.HasPrefix(s.rest, "\\\n"):
		s.rest = after[1:]
	case c == '\\' && after == "":
		return false, errors.New("the command ends in a backslash")
	case c == '\\':
		_, size := utf8.DecodeRuneInString(after)
		s.take(after[:size])
		s.rest = after[size:]
	case c == ' ' || c == '\t' || c == '\n':
		s.end()
		s.rest = after
	case c == '\'':
		end := strings.IndexByte(after, '\'')
		if end < 0 {
			return false, errQuote
		}
		s.take(after[:end])
		s.rest = after[end+1:]
	case c == '"':
		return false, s.double(after)
	case strings.HasPrefix(s.rest, "$'"):
		return false, s.ansi(s.rest[2:])
	case c == '|':
		s.end()
		return true, nil
	case strings.IndexByte(";&<>()", c) >= 0:
		return false, fmt.Errorf("there is a %q outside quotes: quote URLs, and give one curl command alone", c)
	default:
		if err := expands(s.rest); err != nil {
			return false, err
		}
		s.take(s.rest[:1])
		s.rest = after
	}
	return false, nil
}

var errQuote = errors.New("a quote is not closed")

// expands refuses what a shell would fill in.
func expands(text string) error {
	if text[0] == '`' || strings.HasPrefix(text, "$(") {
		return errors.New("the command has a substitution, which only a shell fills in: run keyless explain -- curl …")
	}
	name, is := strings.CutPrefix(text, "$")
	if !is {
		return nil
	}
	name = strings.TrimPrefix(name, "{")
	end := strings.IndexFunc(name, func(r rune) bool {
		return r != '_' && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	if end < 0 {
		end = len(name)
	}
	const longest = 64 // of a variable's name in a message
	if end == 0 {
		return nil
	}
	return fmt.Errorf("the command has the variable $%s, which only a shell fills in: run keyless explain -- curl …",
		name[:min(end, longest)])
}

// double reads on behind an opening double quote.
func (s *splitter) double(text string) error {
	s.open = true
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			s.rest = text[i+1:]
			return nil
		case c == '\\' && i+1 < len(text) && strings.IndexByte("\\\"$`\n", text[i+1]) >= 0:
			if i++; text[i] != '\n' {
				s.word.WriteByte(text[i])
			}
		default:
			if err := expands(text[i:]); err != nil {
				return err
			}
			s.word.WriteByte(c)
		}
	}
	return errQuote
}

// ansi reads on behind $'.
func (s *splitter) ansi(text string) error {
	s.open = true
	plain := map[byte]string{'n': "\n", 't': "\t", 'r': "\r", '\\': "\\", '\'': "'", '"': "\"", '?': "?"}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\'':
			s.rest = text[i+1:]
			return nil
		case c != '\\' || i+1 == len(text):
			s.word.WriteByte(c)
		default:
			i++
			if clear, known := plain[text[i]]; known {
				s.word.WriteString(clear)
				continue
			}
			width, err := s.coded(text[i:])
			if err != nil {
				return err
			}
			i += width
		}
	}
	return errQuote
}

// coded reads \xHH and \uHHHH and returns how many digits they have.
func (s *splitter) coded(text string) (int, error) {
	width := map[byte]int{'x': 2, 'u': 4}[text[0]]
	var n rune
	if width == 0 || len(text) <= width {
		return 0, errors.New("the command has an escape in $'…' that is not known here")
	}
	for _, c := range []byte(text[1 : 1+width]) {
		digit := strings.IndexByte("0123456789abcdef", c|0x20)
		if digit < 0 {
			return 0, errors.New("the command has an escape in $'…' that is not known here")
		}
		n = n<<4 | rune(digit)
	}
	if text[0] == 'x' {
		s.word.WriteByte(byte(n))
	} else {
		s.word.WriteRune(n)
	}
	return width, nil
}
