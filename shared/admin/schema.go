package admin

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"

	"keyless/shared/registry"
)

// schemas are the types of the document, each written once.
type schemas struct {
	named members
	types map[string]reflect.Type
}

// of is the schema of a value's type.
func (s *schemas) of(value any) members { return s.typed(reflect.TypeOf(value)) }

// special are the types whose JSON is not what their Go form says.
var special = map[reflect.Type]members{
	reflect.TypeFor[time.Time]():         {"type": "string", "format": "date-time"},
	reflect.TypeFor[registry.Secret]():   {"type": []any{"string", "object"}, "description": "A secret; reads [kept] where it is set"},
	reflect.TypeFor[registry.Duration](): {"type": "string", "pattern": "^[0-9]+[smhd]$", "examples": []any{"15m"}},
	reflect.TypeFor[registry.Status]():   {"type": "string", "enum": []any{"enabled", "disabled"}},
	reflect.TypeFor[registry.Strings](): {
		"oneOf": []any{members{"type": "string"}, members{"type": "array", "items": members{"type": "string"}}},
	},
	reflect.TypeFor[registry.Authentication](): {"oneOf": []any{
		members{"const": "disabled"},
		members{"type": "object", "required": []any{"methods"}, "additionalProperties": false, "properties": members{
			"methods": members{"type": "array", "items": members{"enum": []any{"jwt", "api_key", "hmac"}}},
		}},
	}},
	reflect.TypeFor[registry.KeySource](): {"oneOf": []any{
		members{"const": "bearer"},
		members{"type": "object", "required": []any{"header"}, "properties": members{"header": members{"type": "string"}}},
		members{"type": "object", "required": []any{"query"}, "properties": members{"query": members{"type": "string"}}},
	}},
	reflect.TypeFor[json.RawMessage](): {},
}

func (s *schemas) typed(t reflect.Type) members {
	if known, is := special[t]; is {
		return known
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.typed(t.Elem())
	case reflect.Slice:
		return members{"type": "array", "items": s.typed(t.Elem())}
	case reflect.Map:
		return members{"type": "object", "additionalProperties": s.typed(t.Elem())}
	case reflect.Struct:
		return s.reference(t)
	case reflect.Bool:
		return members{"type": "boolean"}
	case reflect.String:
		return members{"type": "string"}
	case reflect.Int, reflect.Int64:
		return members{"type": "integer"}
	}
	return members{} // any
}

// reference describes a struct once, under its name.
func (s *schemas) reference(t reflect.Type) members {
	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	if known := s.types[name]; known != nil && known != t {
		panic("admin: two types are called " + name) // of the table of routes
	}
	if _, known := s.named[name]; !known {
		s.types[name] = t
		s.named[name] = members{} // a type may hold itself
		properties, required := members{}, []any{}
		s.fields(t, properties, &required)
		object := members{"type": "object", "properties": properties}
		if len(required) > 0 {
			object["required"] = required
		}
		s.named[name] = object
	}
	return members{"$ref": "#/components/schemas/" + name}
}

func (s *schemas) fields(t reflect.Type, properties members, required *[]any) {
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && name == "":
			s.fields(field.Type, properties, required)
			continue
		case !field.IsExported() || name == "-" || name == "" || field.Tag.Get("file") == "-":
			continue
		}
		properties[name] = s.typed(field.Type)
		if options == "" {
			*required = append(*required, name)
		}
	}
}
