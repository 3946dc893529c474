package translate

import (
	"bytes"
	"encoding/json"
	"strings"

	"keyless/shared/oauth"
)

// What is here reads values inside a body that oauth.Object has accepted, so the grammar need not be checked
// again: a prompt of megabytes is scanned once for each level that it stands in, most of it by
// bytes.IndexByte.

// fields splits an object into its members.
func fields(text json.RawMessage) map[string]json.RawMessage {
	members := map[string]json.RawMessage{}
	for at := next(text, 1); text[at] != '}'; at = next(text, at) {
		end := skip(text, at)
		name := decoded(text[at:end])
		start := next(text, end)
		at = skip(text, start)
		members[name] = text[start:at:at]
	}
	return members
}

// elements splits an array.
func elements(text json.RawMessage) []json.RawMessage {
	var items []json.RawMessage
	for at := next(text, 1); text[at] != ']'; at = next(text, at) {
		end := skip(text, at)
		items = append(items, text[at:end:end])
		at = end
	}
	return items
}

// next is where the next value begins, or the end of what holds it.
func next(text []byte, at int) int {
	for strings.IndexByte(" \t\r\n,:", text[at]) >= 0 {
		at++
	}
	return at
}

// skip is the end of the value that begins at at.
func skip(text []byte, at int) int {
	switch text[at] {
	case '"':
		return skipString(text, at)
	case '{', '[':
		return skipNested(text, at)
	}
	for at < len(text) && strings.IndexByte(",]} \t\r\n", text[at]) < 0 {
		at++
	}
	return at
}

func skipNested(text []byte, at int) int {
	for depth := 0; ; at++ {
		switch text[at] {
		case '"':
			at = skipString(text, at) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return at + 1
			}
		}
	}
}

func skipString(text []byte, at int) int {
	for at++; ; at++ {
		at += bytes.IndexByte(text[at:], '"')
		escapes := 0
		for text[at-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return at + 1
		}
	}
}

// decoded is the text of a string.
func decoded(literal []byte) string {
	if bytes.IndexByte(literal, '\\') < 0 {
		return string(literal[1 : len(literal)-1])
	}
	s, _ := oauth.String(literal)
	return s
}
