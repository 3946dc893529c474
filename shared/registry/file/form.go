package file

import (
	"encoding/json"
	"reflect"

	"go.yaml.in/yaml/v3"

	"keyless/shared/registry"
)

// strings reads one text or a list of them. An empty text is no list.
func (d *decoder) strings(n *yaml.Node, w where) registry.Strings {
	if n.Kind != yaml.SequenceNode {
		if text := d.text(n, w); text != "" {
			return registry.Strings{text}
		}
		return nil
	}
	var list []string
	d.list(n, reflect.ValueOf(&list).Elem(), w)
	return list
}

func (d *decoder) authentication(n *yaml.Node, to *registry.Authentication, w where) {
	if n.Kind == yaml.MappingNode {
		var form struct {
			Methods []string `json:"methods"`
		}
		d.object(n, reflect.ValueOf(&form).Elem(), w)
		to.Methods = form.Methods
		return
	}
	if n.Kind != yaml.ScalarNode || n.Value != string(registry.Disabled) {
		d.fault(n.Line, w, "is neither disabled nor {methods: [ … ]}; write one of them")
		return
	}
	to.Disabled = true
}

func (d *decoder) keySource(n *yaml.Node, to *registry.KeySource, w where) {
	const instead = "is not a place of a key; write bearer, {header: NAME} or {query: NAME}"
	if n.Kind == yaml.MappingNode {
		var form struct {
			Header string `json:"header"`
			Query  string `json:"query"`
		}
		d.object(n, reflect.ValueOf(&form).Elem(), w)
		if (form.Header == "") == (form.Query == "") {
			d.fault(n.Line, w, instead)
		}
		*to = registry.KeySource{Header: form.Header, Query: form.Query}
		return
	}
	if n.Kind != yaml.ScalarNode || n.Value != "bearer" {
		d.fault(n.Line, w, instead)
	}
}

// document reads a JSON document, written as YAML or as a text that holds JSON.
func (d *decoder) document(n *yaml.Node, w where) json.RawMessage {
	if n.Kind == yaml.ScalarNode {
		before := len(d.faults)
		text := d.text(n, w)
		if !json.Valid([]byte(text)) && len(d.faults) == before {
			d.fault(n.Line, w, "is not JSON; write a mapping, or JSON in quotes")
		}
		if !json.Valid([]byte(text)) {
			return nil
		}
		return json.RawMessage(text)
	}
	text, err := json.Marshal(d.tree(n, w))
	if err != nil {
		d.fault(n.Line, w, "cannot be written as JSON; write JSON in quotes")
	}
	return text
}

// tree turns nodes into what encoding/json writes.
func (d *decoder) tree(n *yaml.Node, w where) any {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return nil
	}
	if !d.plain(n, w) {
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		members := map[string]any{}
		for key, value := range d.members(n, w) {
			members[key.Value] = d.tree(value, w.key(key.Value))
		}
		return members
	case yaml.SequenceNode:
		items := make([]any, len(n.Content))
		for i, item := range n.Content {
			items[i] = d.tree(item, w.item(i))
		}
		return items
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		if !json.Valid([]byte(n.Value)) {
			d.fault(n.Line, w, "is not a number of JSON; write it in digits, or quote it")
			return nil
		}
		return json.Number(n.Value)
	case "!!bool":
		return d.truth(n, w)
	}
	return d.text(n, w)
}
