package file

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"keyless/shared/registry"
)

// indentation of what Write writes.
const indentation = 2

// Write writes an object of the registry, or a whole Config, as the YAML that Read takes: keys in the order of the types, those of maps and
// JSON documents sorted, so that the same object is the same bytes. Texts are written so that no variable is looked up in them. What is
// stored only must have been taken out before; see registry.Export.
func Write(w io.Writer, object any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(object); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return WriteJSON(w, text.Bytes())
}

// WriteJSON writes one JSON value as YAML, members in the order in which they stand.
func WriteJSON(w io.Writer, text []byte) error {
	reader := json.NewDecoder(bytes.NewReader(text))
	reader.UseNumber()
	root, err := nodeOf(reader)
	if err != nil {
		return fmt.Errorf("read what is to be written: %w", err)
	}
	out := yaml.NewEncoder(w)
	out.SetIndent(indentation)
	if err := out.Encode(root); err != nil {
		return fmt.Errorf("write YAML: %w", err)
	}
	return out.Close()
}

// nodeOf reads the next JSON value as a YAML node.
func nodeOf(reader *json.Decoder) (*yaml.Node, error) {
	token, err := reader.Token()
	if err != nil {
		return nil, err
	}
	switch value := token.(type) {
	case json.Delim:
		return branchOf(reader, value)
	case string:
		return textNode(value), nil
	case json.Number:
		return numberNode(value.String()), nil
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(value)}, nil
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
}

func branchOf(reader *json.Decoder, opens json.Delim) (*yaml.Node, error) {
	node := &yaml.Node{Kind: yaml.SequenceNode}
	if opens == '{' {
		node.Kind = yaml.MappingNode
	}
	for reader.More() {
		child, err := nodeOf(reader)
		if err != nil {
			return nil, err
		}
		if node.Kind == yaml.MappingNode && len(node.Content)%2 == 0 {
			child.Value = strings.ReplaceAll(child.Value, "$${", "${") // in keys no variable is looked up
		}
		node.Content = append(node.Content, child)
	}
	if _, err := reader.Token(); err != nil {
		return nil, err
	}
	if len(node.Content) == 0 {
		node.Style = yaml.FlowStyle
	}
	return node, nil
}

// textNode is a text that reads as itself: "${" is doubled, and what a line could not hold is escaped.
func textNode(text string) *yaml.Node {
	node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: strings.ReplaceAll(text, "${", "$${")}
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' }) || text != strings.TrimSpace(text) {
		node.Style = yaml.DoubleQuotedStyle
	}
	return node
}

func numberNode(text string) *yaml.Node {
	tag := "!!int"
	if strings.ContainsAny(text, ".eE") {
		tag = "!!float"
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text}
}

// ReadObject reads the YAML or JSON of one object into a pointer to a type of the registry, by the rules of Read. It is not validated.
// The error is registry.Faults with name and line where the text is at fault.
func ReadObject(name string, text []byte, into any, lookup func(string) (string, bool)) (Positions, error) {
	d := &decoder{
		lookup: lookup,
		at:     Positions{name: name, lines: map[string]int{}},
		fields: map[reflect.Type][]field{},
	}
	root, syntax := parse(text)
	if syntax.text != "" {
		return d.at, registry.Faults{{Path: fmt.Sprintf("%s:%d", name, syntax.line), Text: syntax.text}}
	}
	d.value(root, reflect.ValueOf(into).Elem(), where{})
	if len(d.faults) > 0 {
		return d.at, d.at.told(d.faults)
	}
	return d.at, nil
}
