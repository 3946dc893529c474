package meter

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// Change is what we change in a body. The zero value changes nothing.
type Change struct {
	Model *string // the upstream's name for the model
	// MaxOutput in tokens goes to every member that bounds the output, else into a new one; 0: neither, save that
	// two members that say different things both get Ask.MaxOutput, whichever of them the upstream reads. A
	// second one is never added: OpenAI and others refuse both in one body.
	MaxOutput    int64
	IncludeUsage bool // ask for the usage chunk, on streams of kinds that send it on demand
}

// edit puts text where the span is.
type edit struct {
	span
	text []byte
}

// Splice returns the body that a was read from with these bytes changed and every other byte as it was; the
// same slice where nothing changes. A body that is not JSON stays as it is. body itself is not written to.
// Safe for concurrent use.
func (a Ask) Splice(body []byte, c Change) []byte {
	if a.at.top == 0 {
		return body
	}
	var edits []edit
	var added [][]byte // members, behind the opening brace
	if c.Model != nil {
		added = put(a.at.model, "model", quoted(*c.Model), &edits, added)
	}
	if a.at.split && c.MaxOutput == 0 {
		c.MaxOutput = a.MaxOutput
	}
	if c.MaxOutput > 0 {
		added = a.bound(body, c, &edits, added)
	}
	if c.IncludeUsage && a.Stream && !a.WantsUsage && a.Kind.asksUsage() {
		added = a.askUsage(body, &edits, added)
	}
	if len(added) > 0 {
		edits = append(edits, insert(a.at.top, a.at.empty, bytes.Join(added, []byte(","))))
	}
	return apply(body, edits)
}

// put sets a member: over its value where there is one, else as a member to add.
func put(at span, name string, value []byte, edits *[]edit, added [][]byte) [][]byte {
	if at != (span{}) {
		*edits = append(*edits, edit{at, value})
		return added
	}
	return append(added, member(name, value))
}

func member(name string, value []byte) []byte {
	return slices.Concat([]byte(`"`+name+`":`), value)
}

// bound sets the most output. Where both of OpenAI's members are there both get it; where none is, the one
// that the model knows.
func (a Ask) bound(body []byte, c Change, edits *[]edit, added [][]byte) [][]byte {
	value := strconv.AppendInt(nil, c.MaxOutput, 10)
	if a.at.bounds[1] != (span{}) {
		*edits = append(*edits, edit{a.at.bounds[1], value})
	}
	model := a.Model
	if c.Model != nil {
		model = *c.Model
	}
	name := a.Kind.boundName(model)
	switch at := a.at.bounds[0]; {
	case name == "":
		return added
	case at != (span{}):
		return put(at, name, value, edits, added)
	case a.Kind == Native:
		return within(body, a.at.parameters, "parameters", member(name, value), edits, added)
	}
	return append(added, member(name, value))
}

// boundName is the member that bounds the output of a kind, "" where none does. OpenAI's reasoning models
// take only the newer name, and most others who speak its format know the older one.
func (k Kind) boundName(model string) string {
	switch k {
	case Chat:
		reasons := len(model) > 1 && model[0] == 'o' && model[1] >= '1' && model[1] <= '9'
		if reasons || strings.HasPrefix(model, "gpt-5") {
			return "max_completion_tokens"
		}
		return "max_tokens"
	case Completions, Messages, Native:
		return "max_tokens"
	case Responses:
		return "max_output_tokens"
	}
	return ""
}

func (a Ask) askUsage(body []byte, edits *[]edit, added [][]byte) [][]byte {
	if a.at.usage != (span{}) {
		*edits = append(*edits, edit{a.at.usage, []byte("true")})
		return added
	}
	return within(body, a.at.options, "stream_options", []byte(`"include_usage":true`), edits, added)
}

// within adds a member to an object that is a member itself, and may be missing or null.
func within(body []byte, at span, name string, inner []byte, edits *[]edit, added [][]byte) [][]byte {
	if at != (span{}) && body[at.from] == '{' {
		*edits = append(*edits, insert(at.from+1, isEmpty(body[at.from+1:at.to]), inner))
		return added
	}
	return put(at, name, slices.Concat([]byte("{"), inner, []byte("}")), edits, added)
}

// insert adds members behind an opening brace.
func insert(at int, empty bool, members []byte) edit {
	if !empty {
		members = append(slices.Clone(members), ',')
	}
	return edit{span{at, at}, members}
}

func apply(body []byte, edits []edit) []byte {
	if len(edits) == 0 {
		return body
	}
	slices.SortFunc(edits, func(x, y edit) int { return x.from - y.from })
	size := len(body)
	for _, e := range edits {
		size += len(e.text) - (e.to - e.from)
	}
	out, from := make([]byte, 0, size), 0
	for _, e := range edits {
		out = append(append(out, body[from:e.from]...), e.text...)
		from = e.to
	}
	return append(out, body[from:]...)
}

// quoted is a JSON string. HTML's marks need no escape here, so that the name is the one that was configured.
func quoted(s string) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(s) // a string always encodes
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}
