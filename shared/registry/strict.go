package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"keyless/shared/oauth"
)

// maxObject bounds the JSON of one object: the largest are a resource server with thousands of scopes.
const maxObject = 1 << 20

// decodeStrict reads an object as the file's reader does: every key exactly as it is written there, none twice, none without a value.
func decodeStrict(text json.RawMessage, into any) Faults {
	if len(text) > maxObject {
		return Faults{{Text: "is larger than 1 MiB; write less"}}
	}
	return Decode(text, into)
}

// Decode reads JSON into a Config, or into whatever struct, as the file's reader does: every key exactly as it is written there, none
// twice, none without a value. The paths of faults begin in the text.
func Decode(text json.RawMessage, into any) Faults {
	if _, err := oauth.Object([]byte(`{"object":` + string(text) + `}`)); err != nil {
		return Faults{{Text: "cannot be read: " + err.Error()}}
	}
	var faults Faults
	checkKeys(text, reflect.TypeOf(into), "", &faults)
	if len(faults) > 0 {
		return faults
	}
	err := json.Unmarshal(text, into)
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind):
		return Faults{{kind.Field, "is of the wrong kind; write it as in the file"}}
	case err != nil: // of a type with a form of its own, whose sentences are for the reader
		return Faults{{Text: err.Error()}}
	}
	return nil
}

// checkKeys judges the keys of a text that is valid JSON.
func checkKeys(text json.RawMessage, t reflect.Type, path string, faults *Faults) {
	if string(text) == "null" {
		*faults = append(*faults, Fault{path, "has no value; write one, or leave the key out"})
		return
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) && t != reflect.TypeFor[Secret](): // a form of its own
	case t.Kind() == reflect.Map:
		var members map[string]json.RawMessage
		_ = json.Unmarshal(text, &members) // what is no object is of the wrong kind, as decoding finds
		for _, name := range slices.Sorted(maps.Keys(members)) {
			checkKeys(members[name], t.Elem(), path+"."+name, faults)
		}
	case t.Kind() == reflect.Slice:
		var items []json.RawMessage
		if json.Unmarshal(text, &items) == nil {
			for i, item := range items {
				checkKeys(item, t.Elem(), fmt.Sprintf("%s[%d]", path, i), faults)
			}
		}
	case t == reflect.TypeFor[Secret]():
		if text[0] == '{' && !strings.HasSuffix(path, "jwks") {
			*faults = append(*faults, Fault{path, "is not a text; write a single value"})
		}
	case t.Kind() == reflect.Struct:
		var members map[string]json.RawMessage
		if json.Unmarshal(text, &members) != nil {
			*faults = append(*faults, Fault{path, "is not an object; write its keys and values"})
			return
		}
		checkMembers(members, t, path, faults)
	}
}

func checkMembers(members map[string]json.RawMessage, t reflect.Type, path string, faults *Faults) {
	known := map[string]reflect.Type{}
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.IsExported() && name != "" && name != "-" && field.Tag.Get("file") != "-" {
			known[name] = field.Type
		}
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		at := strings.TrimPrefix(path+"."+name, ".")
		if kind, is := known[name]; is {
			checkKeys(members[name], kind, at, faults)
		} else {
			*faults = append(*faults, Fault{path, fmt.Sprintf("has the unknown key %q; remove it", name[:min(len(name), maxTitle)])})
		}
	}
}

// UnmarshalJSON reads a string, or a JWK Set that is written as an object, as its text.
func (s *Secret) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '{' {
		*s = Secret(text)
		return nil
	}
	return json.Unmarshal(text, (*string)(s))
}
