package file

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"keyless/shared/registry"
)

// decoder fills registry types from YAML nodes by the json tags of their fields. It notes faults and goes on.
type decoder struct {
	lookup func(string) (string, bool)
	at     Positions
	faults []placed
	fields map[reflect.Type][]field
}

// field is a key that a struct knows.
type field struct {
	key   string
	index int
}

// where says which value is read.
type where struct {
	path    string
	depth   int
	pointed bool // behind a pointer, so that zero is not the same as absent
}

func (w where) key(name string) where {
	if len(name) > maxKeyShown || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		name = strconv.Quote(name[:min(len(name), maxKeyShown)])
	}
	if w.path != "" {
		name = w.path + "." + name
	}
	return where{path: name, depth: w.depth + 1}
}

func (w where) item(i int) where {
	return where{path: fmt.Sprintf("%s[%d]", w.path, i), depth: w.depth + 1}
}

func (d *decoder) fault(line int, w where, format string, args ...any) {
	if len(d.faults) < maxFaults {
		d.faults = append(d.faults, placed{line: line, path: w.path, text: fmt.Sprintf(format, args...)})
	}
}

// plain refuses what could make a node mean something that does not stand in its place.
func (d *decoder) plain(n *yaml.Node, w where) bool {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.fault(n.Line, w, "anchors and aliases are not read; write the value out")
	case !strings.HasPrefix(n.ShortTag(), "!!"):
		d.fault(n.Line, w, "tags are not read; write the bare value")
	case n.ShortTag() == "!!null":
		d.fault(n.Line, w, "has no value; write one, or leave the key out")
	case w.depth > maxDepth:
		d.fault(n.Line, w, "is nested deeper than %d levels", maxDepth)
	default:
		return true
	}
	return false
}

func (d *decoder) value(n *yaml.Node, v reflect.Value, w where) {
	if !d.plain(n, w) {
		return
	}
	if _, known := d.at.lines[w.path]; !known && w.path != "" {
		d.at.lines[w.path] = n.Line
	}
	if d.form(n, v, w) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		w.pointed = true
		d.value(n, v.Elem(), w)
	case reflect.Struct:
		d.object(n, v, w)
	case reflect.Map:
		d.entries(n, v, w)
	case reflect.Slice:
		d.list(n, v, w)
	case reflect.String:
		v.SetString(d.text(n, w))
	case reflect.Int, reflect.Int64:
		v.SetInt(d.integer(n, w))
	case reflect.Bool:
		v.SetBool(d.truth(n, w))
	case reflect.Interface:
		v.Set(reflect.ValueOf(d.word(n, w)))
	default:
		panic("file: a registry type has a field of a kind that the decoder does not read: " + v.Type().String())
	}
}

// form reads the types that have a form of their own.
func (d *decoder) form(n *yaml.Node, v reflect.Value, w where) bool {
	switch to := v.Addr().Interface().(type) {
	case *registry.Duration:
		*to = d.duration(n, w)
	case *time.Time:
		*to = d.time(n, w)
	case *registry.Secret:
		*to = d.secret(n, w)
	case *registry.Strings:
		*to = d.strings(n, w)
	case *json.RawMessage:
		*to = d.document(n, w)
	case *registry.Authentication:
		d.authentication(n, to, w)
	case *registry.KeySource:
		d.keySource(n, to, w)
	default:
		return false
	}
	return true
}

func (d *decoder) object(n *yaml.Node, v reflect.Value, w where) {
	known := d.known(v.Type())
	for key, value := range d.members(n, w) {
		at := w.key(key.Value)
		i := slices.IndexFunc(known, func(f field) bool { return f.key == key.Value })
		if i < 0 {
			d.unknown(key, at, known)
			continue
		}
		d.at.lines[at.path] = key.Line
		d.value(value, v.Field(known[i].index), at)
	}
}

// members yields the pairs of a mapping, each key once.
func (d *decoder) members(n *yaml.Node, w where) func(func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		if n.Kind != yaml.MappingNode {
			d.fault(n.Line, w, "is not a mapping; write key: value pairs")
			return
		}
		first := make(map[string]int, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			line, twice := first[key.Value]
			switch {
			case key.Kind != yaml.ScalarNode || key.Anchor != "" || key.ShortTag() == "!!merge":
				d.fault(key.Line, w, "has a key that is not a plain word; write the keys out one by one")
			case key.ShortTag() != "!!str":
				d.fault(key.Line, w, "has a key that looks like a number or another value; put it in quotes")
			case twice:
				d.fault(key.Line, w.key(key.Value), "stands twice, first on line %d; remove one", line)
			default:
				first[key.Value] = key.Line
				if !yield(key, value) {
					return
				}
			}
		}
	}
}

func (d *decoder) entries(n *yaml.Node, v reflect.Value, w where) {
	v.Set(reflect.MakeMap(v.Type()))
	for key, value := range d.members(n, w) {
		at := w.key(key.Value)
		d.at.lines[at.path] = key.Line
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(value, element, at)
		v.SetMapIndex(reflect.ValueOf(key.Value), element)
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, w where) {
	if n.Kind != yaml.SequenceNode {
		d.fault(n.Line, w, "is not a list; write [ … ], or one item a line behind -")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		d.value(item, v.Index(i), w.item(i))
	}
}

// known lists the keys of a struct: its json tags, without what is stored only.
func (d *decoder) known(t reflect.Type) []field {
	if known, ok := d.fields[t]; ok {
		return known
	}
	var known []field
	for i := range t.NumField() {
		f := t.Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && key != "" && key != "-" && f.Tag.Get("file") != "-" {
			known = append(known, field{key: key, index: i})
		}
	}
	d.fields[t] = known
	return known
}
