package translate

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// object writes a JSON object member by member, so that values which are only moved keep their bytes. The
// zero value is empty.
type object struct{ text []byte }

// raw adds a member whose value is JSON already. name is one of ours and needs no escape.
func (o *object) raw(name string, value []byte) {
	if len(o.text) == 0 {
		o.text = append(o.text, '{')
	} else {
		o.text = append(o.text, ',')
	}
	o.text = append(append(append(o.text, '"'), name...), `":`...)
	o.text = append(o.text, value...)
}

func (o *object) str(name, value string) { o.raw(name, quote(value)) }

func (o *object) num(name string, value int64) { o.raw(name, strconv.AppendInt(nil, value, 10)) }

func (o *object) end() []byte {
	if len(o.text) == 0 {
		return []byte("{}")
	}
	return append(o.text, '}')
}

// list writes a JSON array.
func list(items [][]byte) []byte {
	size := 2 + len(items)
	for _, item := range items {
		size += len(item)
	}
	text := append(make([]byte, 0, size), '[')
	for i, item := range items {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, item...)
	}
	return append(text, ']')
}

// quote writes a string, without the escapes for HTML that json.Marshal adds.
func quote(s string) []byte {
	if plainText(s) {
		return append(append(append(make([]byte, 0, len(s)+2), '"'), s...), '"')
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes
	return bytes.TrimSuffix(text.Bytes(), []byte("\n"))
}

// plainText reports whether a string needs no escape, as names, ids and base64 do.
func plainText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// prefixed puts text before a string that stays as it was written. prefix needs no escape.
func prefixed(prefix string, literal json.RawMessage) []byte {
	text := make([]byte, 0, len(prefix)+len(literal))
	return append(append(append(text, '"'), prefix...), literal[1:]...)
}

// textPart is a part of text, which both dialects write alike.
func textPart(literal []byte) []byte {
	var o object
	o.raw("type", []byte(`"text"`))
	o.raw("text", literal)
	return o.end()
}
