package file

import (
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"keyless/shared/registry"
)

// text reads a string. Where it cannot be read the raw text is returned, so that validation finds a value
// there and reports nothing that only follows.
func (d *decoder) text(n *yaml.Node, w where) string {
	switch {
	case n.Kind != yaml.ScalarNode:
		d.fault(n.Line, w, "is not a text; write a single value")
		return ""
	case n.ShortTag() != "!!str":
		d.fault(n.Line, w, "is not a text but looks like a number, a date or true and false; quote it")
		return n.Value
	}
	return d.expand(n, w)
}

// expand replaces ${NAME} by what lookup says, and $${ by ${.
func (d *decoder) expand(n *yaml.Node, w where) string {
	rest, whole := n.Value, true
	var out strings.Builder
	for {
		at := strings.Index(rest, "${")
		if at < 0 {
			break
		}
		if at > 0 && rest[at-1] == '$' {
			out.WriteString(rest[:at-1] + "${")
			rest = rest[at+2:]
			continue
		}
		out.WriteString(rest[:at])
		name, after, closed := strings.Cut(rest[at+2:], "}")
		if !closed || !variable(name) {
			d.fault(n.Line, w, "has ${ without NAME} behind it; write ${NAME}, or $${ for the characters themselves")
			return n.Value
		}
		value, _ := d.lookup(name)
		if value == "" {
			d.fault(n.Line, w, "the environment variable %s is not set or empty; set it", name)
			whole = false
		}
		out.WriteString(value)
		rest = after
	}
	if !whole {
		return n.Value
	}
	out.WriteString(rest)
	return out.String()
}

// variable reports whether a text is the name of an environment variable (POSIX.1-2017 §8.1, either case).
func variable(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c == '_' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// integer reads a decimal number. Zero is refused where it would read as absent.
func (d *decoder) integer(n *yaml.Node, w where) int64 {
	number, err := strconv.ParseInt(n.Value, 10, 64)
	switch {
	case n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || err != nil:
		d.fault(n.Line, w, "is not a whole number; write digits only, without quotes")
		return 0
	case number == 0 && !w.pointed:
		d.fault(n.Line, w, "is 0, which reads as absent; write another number, or leave the key out")
	}
	return number
}

func (d *decoder) truth(n *yaml.Node, w where) bool {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || n.Value != "true" && n.Value != "false" {
		d.fault(n.Line, w, "is neither true nor false; write one of them, without quotes")
	}
	return n.Value == "true"
}

func (d *decoder) duration(n *yaml.Node, w where) registry.Duration {
	const instead = "is not a duration; write 90s, 15m, 1h or 7d"
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		d.fault(n.Line, w, instead)
		return 0
	}
	before := len(d.faults)
	duration, err := registry.ParseDuration(d.expand(n, w))
	switch {
	case len(d.faults) > before:
	case err != nil:
		d.fault(n.Line, w, instead)
	case duration == 0 && !w.pointed:
		d.fault(n.Line, w, "is 0, which reads as absent; write a longer one, or leave the key out")
	}
	return duration
}

func (d *decoder) time(n *yaml.Node, w where) time.Time {
	const instead = "is not a time; write such as 2027-06-30T00:00:00Z"
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" && n.ShortTag() != "!!timestamp" {
		d.fault(n.Line, w, instead)
		return time.Time{}
	}
	before := len(d.faults)
	moment, err := time.Parse(time.RFC3339, d.expand(n, w))
	if err != nil && len(d.faults) == before {
		d.fault(n.Line, w, instead)
	}
	return moment
}

// secret reads a secret, which is never empty: absent asks for a generated one, and must not be the result of
// a slip.
func (d *decoder) secret(n *yaml.Node, w where) registry.Secret {
	if n.Kind == yaml.MappingNode && strings.HasSuffix(w.path, ".jwks") {
		return registry.Secret(d.document(n, w))
	}
	text := d.text(n, w)
	if text == "" && n.Kind == yaml.ScalarNode {
		d.fault(n.Line, w, "is an empty secret; write it, or leave the key out")
	}
	return registry.Secret(text)
}

// word reads an item that is a text or a whole number.
func (d *decoder) word(n *yaml.Node, w where) any {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!int" {
		return d.integer(n, w)
	}
	return d.text(n, w)
}
