package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// object is an object of the admin API by its members. Numbers are json.Number.
type object map[string]any

// at is the value at a path of members with dots between; nil where there is none.
func (o object) at(path string) any {
	name, rest, deeper := strings.Cut(path, ".")
	value := o[name]
	if !deeper {
		return value
	}
	inner, is := value.(map[string]any)
	if !is {
		return nil
	}
	return object(inner).at(rest)
}

// set puts a value at a path, nil removes it. An object that becomes empty is removed too.
func (o object) set(path string, value any) {
	name, rest, deeper := strings.Cut(path, ".")
	if !deeper {
		if value == nil {
			delete(o, name)
		} else {
			o[name] = value
		}
		return
	}
	inner, is := o[name].(map[string]any)
	if !is {
		if inner = map[string]any{}; value == nil {
			return
		}
	}
	object(inner).set(rest, value)
	if o[name] = inner; len(inner) == 0 {
		delete(o, name)
	}
}

// text is a value at a path as a page shows it in one field.
func (o object) text(path string) string { return textOf(o.at(path)) }

// list are the objects of a list at a path.
func (o object) list(path string) []object {
	items, _ := o.at(path).([]any)
	var all []object
	for _, item := range items {
		if one, is := item.(map[string]any); is {
			all = append(all, one)
		}
	}
	return all
}

// strings are the texts of a list at a path, or the one text.
func (o object) strings(path string) []string {
	switch value := o.at(path).(type) {
	case string:
		return []string{value}
	case []any:
		all := make([]string, len(value))
		for i, item := range value {
			all[i] = textOf(item)
		}
		return all
	}
	return nil
}

// clone is a copy that shares nothing.
func (o object) clone() object {
	again := object{}
	if err := decode([]byte(compact(o)), &again); err != nil {
		panic("console: an object that is no JSON") // it came from JSON
	}
	return again
}

func textOf(value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case string:
		return value
	case bool, json.Number:
		return fmt.Sprint(value)
	}
	return compact(value)
}

// compact is a value as JSON with its members in order, so that equal values are equal texts.
func compact(value any) string {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic("console: a value that is no JSON") // it came from JSON, or from a form as texts
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// indented is a value as JSON to read.
func indented(value any) string {
	var text bytes.Buffer
	if value == nil || json.Indent(&text, []byte(compact(value)), "", "  ") != nil {
		return ""
	}
	return text.String()
}

// decode reads one JSON value; numbers stay as they are written.
func decode(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if decoder.More() {
		return fmt.Errorf("more than one value")
	}
	return nil
}

// changes are the paths at which two objects differ, with both values: at most so many.
func changes(was, is any, path string, most int) []change {
	a, aIs := was.(map[string]any)
	b, bIs := is.(map[string]any)
	if !aIs || !bIs {
		if compact(was) == compact(is) {
			return nil
		}
		return []change{{path, short(was), short(is)}}
	}
	both := map[string]bool{}
	for name := range a {
		both[name] = true
	}
	for name := range b {
		both[name] = true
	}
	var all []change
	for _, name := range slices.Sorted(maps.Keys(both)) {
		if len(all) < most {
			all = append(all, changes(a[name], b[name], strings.TrimPrefix(path+"."+name, "."), most)...)
		}
	}
	return all
}

// change is a value that somebody else has changed.
type change struct{ Path, Was, Is string }

// maxShort bounds a value in a line of text.
const maxShort = 120

func short(value any) string {
	text := []rune(textOf(value))
	if len(text) > maxShort {
		return string(text[:maxShort]) + "…"
	}
	return string(text)
}
