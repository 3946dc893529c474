package file

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var numbered = regexp.MustCompile(`^line (\d+): (.*)$`)

// ofParser are the parser's errors, whose line the library counts from zero; those of its scanner it counts
// from one, and on the first line it names none.
var ofParser = []string{
	"did not find expected node content", "did not find expected '-' indicator", "did not find expected key",
	"did not find expected ',' or ']'", "did not find expected ',' or '}'", "found undefined tag handle",
	"did not find expected <document start>",
}

// syntax words an error of the YAML library, which never quotes a value.
func syntax(text []byte, err error) placed {
	if errors.Is(err, io.EOF) {
		return placed{line: 1, text: "the file is empty; write version: 1 and what the gateway shall know"}
	}
	said := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if m := numbered.FindStringSubmatch(said); m != nil {
		line, _ = strconv.Atoi(m[1])
		said = m[2]
		if slices.Contains(ofParser, said) {
			line++
		}
	}
	switch {
	case strings.HasPrefix(said, "unknown anchor "):
		name, _, _ := strings.Cut(strings.TrimPrefix(said, "unknown anchor '"), "'")
		at := max(bytes.Index(text, []byte("*"+name)), 0)
		return placed{line: 1 + bytes.Count(text[:at], []byte("\n")), text: "an alias (*) is not read; " +
			"write the value out, or put a text that begins with * in quotes"}
	case said == "control characters are not allowed":
		at := max(bytes.IndexFunc(text, func(r rune) bool {
			return r < ' ' && r != '\n' && r != '\r' && r != '\t' || r >= 0x7f && r < 0xa0 && r != 0x85
		}), 0)
		line = 1 + bytes.Count(text[:at], []byte("\n"))
	case said == "did not find expected alphabetic or numeric character":
		said = "a text that begins with * or & stands in quotes"
	case strings.Contains(said, "tab character"):
		said += "; indent with spaces"
	case strings.HasSuffix(said, "or '}'") || strings.HasSuffix(said, "or ']'"):
		said += "; inside { } and [ ] a text such as ${NAME} stands in quotes"
	}
	return placed{line: line, text: "this is not YAML: " + said}
}
