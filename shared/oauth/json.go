package oauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// MaxJSONDepth bounds nesting: no token, key set, configuration or tool schema nests deeper, and deep nesting is a way to burn CPU.
const MaxJSONDepth = 64

// Object splits a JSON object into its members, by exact name, each with its text as sent.
// It refuses what encoding/json lets pass and what makes two readers see two messages: invalid UTF-8, a second value, a duplicate
// member at any level, nesting deeper than MaxJSONDepth (RFC 7515 §4, RFC 7519 §4, RFC 8259 §4).
func Object(text []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("not valid UTF-8")
	}
	if !json.Valid(text) {
		return nil, errors.New("not one valid JSON value")
	}
	w := walker{text: text}
	w.space()
	if w.text[w.at] != '{' {
		return nil, errors.New("not a JSON object")
	}
	members := map[string]json.RawMessage{}
	err := w.object(1, func(name string, value []byte) { members[name] = value })
	if err != nil {
		return nil, err
	}
	return members, nil
}

// walker goes once over a text that json.Valid has accepted, so it need not check the grammar again.
type walker struct {
	text []byte
	at   int
}

func (w *walker) space() {
	for w.at < len(w.text) {
		switch w.text[w.at] {
		case ' ', '\t', '\r', '\n':
			w.at++
		default:
			return
		}
	}
}

func (w *walker) object(depth int, member func(name string, value []byte)) error {
	if depth > MaxJSONDepth {
		return fmt.Errorf("nested deeper than %d levels", MaxJSONDepth)
	}
	seen := map[string]struct{}{}
	w.at++ // {
	for w.space(); w.text[w.at] != '}'; w.space() {
		if w.text[w.at] == ',' {
			w.at++
			w.space()
		}
		name, err := w.name()
		if err != nil {
			return err
		}
		if _, twice := seen[name]; twice {
			return errors.New("a member stands twice in one object")
		}
		seen[name] = struct{}{}
		w.space()
		w.at++ // :
		w.space()
		start := w.at
		if err := w.value(depth); err != nil {
			return err
		}
		if member != nil {
			member(name, w.text[start:w.at])
		}
	}
	w.at++ // }
	return nil
}

func (w *walker) value(depth int) error {
	switch w.text[w.at] {
	case '{':
		return w.object(depth+1, nil)
	case '[':
		return w.array(depth + 1)
	case '"':
		w.str()
	default:
		for w.at < len(w.text) && !ends(w.text[w.at]) {
			w.at++
		}
	}
	return nil
}

func (w *walker) array(depth int) error {
	if depth > MaxJSONDepth {
		return fmt.Errorf("nested deeper than %d levels", MaxJSONDepth)
	}
	w.at++ // [
	for w.space(); w.text[w.at] != ']'; w.space() {
		if w.text[w.at] == ',' {
			w.at++
			w.space()
		}
		if err := w.value(depth); err != nil {
			return err
		}
	}
	w.at++ // ]
	return nil
}

// str moves past a string and reports whether it holds an escape.
func (w *walker) str() bool {
	escaped := false
	for w.at++; w.text[w.at] != '"'; w.at++ {
		if w.text[w.at] == '\\' {
			escaped = true
			w.at++
		}
	}
	w.at++
	return escaped
}

// name reads a member name in its decoded form, so that "iss" and "\u0069ss" are one.
func (w *walker) name() (string, error) {
	start := w.at
	if !w.str() {
		return string(w.text[start+1 : w.at-1]), nil
	}
	var name string
	if err := json.Unmarshal(w.text[start:w.at], &name); err != nil {
		return "", errors.New("a member name cannot be decoded")
	}
	return name, nil
}

func ends(c byte) bool {
	return c == ',' || c == '}' || c == ']' || c == ' ' || c == '\t' || c == '\r' || c == '\n'
}

// String decodes a JSON string; ok is false for every other kind of value.
func String(text json.RawMessage) (string, bool) {
	if len(text) < 2 || text[0] != '"' {
		return "", false
	}
	var s string
	if json.Unmarshal(text, &s) != nil {
		return "", false
	}
	return s, true
}

// Strings decodes a JSON string or an array of strings, the two forms of `aud` (RFC 7519 §4.1.3); ok is false for anything else.
func Strings(text json.RawMessage) ([]string, bool) {
	if s, ok := String(text); ok {
		return []string{s}, true
	}
	var raw []json.RawMessage
	if len(text) == 0 || text[0] != '[' || json.Unmarshal(text, &raw) != nil {
		return nil, false
	}
	list := make([]string, len(raw))
	for i, item := range raw {
		s, ok := String(item)
		if !ok {
			return nil, false
		}
		list[i] = s
	}
	return list, true
}
