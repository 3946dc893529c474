// Package file reads the configuration file: YAML whose keys are the JSON names of the registry's types. It
// exists so that a mistake is found before anything is written: every key must be known, every value of its
// kind, and all that is wrong is told at once, each with its line and what to write instead.
//
// No request meets it: the command line and the admin function link it, the functions on a call's path do
// not, and nothing else links a YAML parser. Of YAML 1.2 it takes one document of mappings, sequences and
// scalars; anchors, aliases, merge keys and tags of one's own are refused: what a value means stands in its
// place.
package file

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"keyless/shared/registry"
)

const (
	// maxBytes bounds a file: ten thousand consumers take half of it.
	maxBytes = 8 << 20
	// maxDepth bounds nesting: the schema has eight levels, a claim's value or a key set a few more.
	maxDepth = 32
	// maxFaults bounds what is remembered of a file that is not one of ours at all.
	maxFaults = 10000
)

// Positions knows the line of each value of a file, so that what is found wrong later is told with its line.
type Positions struct {
	name  string
	lines map[string]int
}

// Read reads a file of the given name, which stands in the faults. A text ${NAME} inside a string is replaced
// by what lookup says, once and after parsing, so that no variable can add a key; $${ stands for ${ itself. A
// variable that is missing or empty is a fault.
//
// The error is registry.Faults where the text is at fault: all of them, also those of registry.Validate, by
// line. A file without faults of form is returned without being validated: Apply does that, and Explain gives
// its faults their lines. No fault holds the value of a variable.
func Read(name string, text []byte, lookup func(string) (string, bool)) (*registry.Config, Positions, error) {
	d := &decoder{
		lookup: lookup,
		at:     Positions{name: name, lines: map[string]int{}},
		fields: map[reflect.Type][]field{},
	}
	config := &registry.Config{}
	root, syntax := parse(text)
	if syntax.text != "" {
		return nil, d.at, registry.Faults{{Path: fmt.Sprintf("%s:%d", name, syntax.line), Text: syntax.text}}
	}
	d.value(root, reflect.ValueOf(config).Elem(), where{})
	switch {
	case len(d.faults) == 0:
		return config, d.at, nil
	case root.Kind != yaml.MappingNode:
		return nil, d.at, d.all(nil)
	}
	return nil, d.at, d.all(registry.Validate(config))
}

// Explain gives registry.Faults in err their lines, in the order of the file; any other error passes.
func (p Positions) Explain(err error) error {
	var faults registry.Faults
	if !errors.As(err, &faults) {
		return err
	}
	list := make([]placed, 0, len(faults))
	for _, f := range faults {
		list = append(list, placed{line: p.Line(f.Path), path: f.Path, text: f.Text})
	}
	return p.told(list)
}

// Line returns the line of a path such as "consumers[3].jwt.claim", or of the nearest value around it that
// the file has.
func (p Positions) Line(path string) int {
	for path != "" {
		if line, ok := p.lines[path]; ok {
			return line
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return 1
}

// placed is a fault with its line.
type placed struct {
	line int
	path string
	text string
}

func (p Positions) told(list []placed) registry.Faults {
	slices.SortStableFunc(list, func(a, b placed) int { return cmp.Compare(a.line, b.line) })
	faults := make(registry.Faults, 0, len(list))
	for _, f := range list {
		path := fmt.Sprintf("%s:%d", p.name, f.line)
		if f.path != "" {
			path += ": " + f.path
		}
		faults = append(faults, registry.Fault{Path: path, Text: f.text})
	}
	return faults
}

// all adds those faults of validation that do not follow from a value that could not be read.
func (d *decoder) all(validation registry.Faults) registry.Faults {
	unread := make(map[string]bool, len(d.faults))
	for _, f := range d.faults {
		unread[f.path] = true
	}
	list := d.faults
next:
	for _, f := range validation {
		for path := f.Path; path != ""; path = path[:max(strings.LastIndexAny(path, ".["), 0)] {
			if unread[path] {
				continue next
			}
		}
		list = append(list, placed{line: d.at.Line(f.Path), path: f.Path, text: f.Text})
	}
	return d.at.told(list)
}

// parse returns the one document's root, or what is wrong with the text.
func parse(text []byte) (*yaml.Node, placed) {
	if len(text) > maxBytes {
		return nil, placed{line: 1, text: "the file is larger than 8 MiB; apply it in parts"}
	}
	reader := yaml.NewDecoder(bytes.NewReader(text))
	var document, second yaml.Node
	if err := reader.Decode(&document); err != nil {
		return nil, syntax(text, err)
	}
	if err := reader.Decode(&second); err == nil {
		return nil, placed{line: second.Line, text: "a second document begins here; write one, without ---"}
	} else if !errors.Is(err, io.EOF) {
		return nil, syntax(text, err)
	}
	return document.Content[0], placed{}
}
