package translate

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"unicode"

	"keyless/shared/oauth"
)

// members are those of one object of a request. Each reader takes its member out; what is left at the end is
// judged by rest. A member that is null is as if absent, in both dialects.
type members struct {
	at string // path, "" the body
	of map[string]json.RawMessage
}

const notOneObject = "has to be one JSON object in UTF-8, at most 64 levels deep, without duplicate members"

// document reads a request's body: one JSON object, no member twice at any level, so that we and the upstream
// read one message.
func document(body []byte) (members, error) {
	of, err := oauth.Object(body)
	if err != nil {
		return members{}, refuse("", notOneObject)
	}
	return members{of: of}.withoutNulls(), nil
}

// split reads an object inside a body that document has accepted.
func split(at string, value json.RawMessage) (members, error) {
	if value[0] != '{' {
		return members{at: at}, refuse(at, "has to be an object")
	}
	return members{at, fields(value)}.withoutNulls(), nil
}

func (m members) withoutNulls() members {
	maps.DeleteFunc(m.of, func(_ string, value json.RawMessage) bool { return string(value) == "null" })
	return m
}

// refuse says that a member has no equal, or is not what it has to be.
func refuse(at, reason string) error { return &Unsupported{at, reason} }

func (m members) refuse(name, reason string) error { return refuse(m.path(name), reason) }

func (m members) path(name string) string {
	if m.at == "" {
		return name
	}
	return m.at + "." + name
}

func item(at string, i int) string { return at + "[" + strconv.Itoa(i) + "]" }

// take removes a member and returns it, nil where there is none.
func (m members) take(name string) json.RawMessage {
	value := m.of[name]
	delete(m.of, name)
	return value
}

// literal takes a string and returns it as written; nil where there is none.
func (m members) literal(name string) (json.RawMessage, error) {
	value := m.take(name)
	if value != nil && value[0] != '"' {
		return nil, m.refuse(name, "has to be a string")
	}
	return value, nil
}

// needLiteral takes a string that has to be there, and not empty.
func (m members) needLiteral(name string) (json.RawMessage, error) {
	value, err := m.literal(name)
	if err == nil && (value == nil || string(value) == `""`) {
		err = m.refuse(name, "is missing or empty")
	}
	return value, err
}

// word takes a string and decodes it, "" where there is none.
func (m members) word(name string) (string, error) {
	value, err := m.literal(name)
	if err != nil || value == nil {
		return "", err
	}
	return decoded(value), nil
}

func (m members) list(name string) ([]json.RawMessage, error) {
	value := m.take(name)
	if value == nil {
		return nil, nil
	}
	if value[0] != '[' {
		return nil, m.refuse(name, "has to be an array")
	}
	return elements(value), nil
}

func (m members) flag(name string) (value, there bool, err error) {
	switch raw := m.take(name); string(raw) {
	case "":
		return false, false, nil
	case "true", "false":
		return raw[0] == 't', true, nil
	}
	return false, false, m.refuse(name, "has to be true or false")
}

// number takes a number and returns it as written; nil where there is none.
func (m members) number(name string) (json.RawMessage, error) {
	value := m.take(name)
	if value != nil && value[0] != '-' && (value[0] < '0' || value[0] > '9') {
		return nil, m.refuse(name, "has to be a number")
	}
	return value, nil
}

// count takes a whole number of at least 1; nil where there is none.
func (m members) count(name string) (json.RawMessage, error) {
	value := m.take(name)
	if value == nil {
		return nil, nil
	}
	if n, err := strconv.ParseInt(string(value), 10, 64); err != nil || n < 1 {
		return nil, m.refuse(name, "has to be a whole number of at least 1")
	}
	return value, nil
}

// object takes an object; its own members are nil where there is none.
func (m members) object(name string) (members, error) {
	value := m.take(name)
	if value == nil {
		return members{at: m.path(name)}, nil
	}
	return split(m.path(name), value)
}

// schema takes an object and returns it as written; nil where there is none.
func (m members) schema(name string) (json.RawMessage, error) {
	value := m.take(name)
	if value != nil && value[0] != '{' {
		return nil, m.refuse(name, "has to be an object")
	}
	return value, nil
}

// move takes a number and writes it under the same name.
func (m members) move(name string, out *object) error {
	value, err := m.number(name)
	if value != nil {
		out.raw(name, value)
	}
	return err
}

// rest judges what no reader took, in the order of names, so that the same request is always refused alike.
func (m members) rest(known rules) error {
	for _, name := range slices.Sorted(maps.Keys(m.of)) {
		r, found := known[name]
		if !found {
			return m.refuse(shown(name), "is not known here, so it cannot be translated")
		}
		if !r.hint && !slices.Contains(r.neutral, string(bytes.TrimSpace(m.of[name]))) {
			return m.refuse(name, r.reason)
		}
	}
	return nil
}

// maxShown bounds how much of a caller's own word stands in a sentence. No member of either API is longer.
const maxShown = 64

// shown is a member's name that may stand in a public sentence.
func shown(name string) string {
	odd := func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) }
	if len(name) > maxShown || name == "" || slices.ContainsFunc([]rune(name), odd) {
		return "(a member with an odd name)"
	}
	return name
}
