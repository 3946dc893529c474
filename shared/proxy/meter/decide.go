package meter

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"keyless/shared/oauth"
)

// Bounds of numbers in a body.
const (
	// maxModel is far longer, escapes and quotes included, than the name of any model.
	maxModel = 1024
	// maxEscapedName is more than the longest decisive name has where every letter is escaped.
	maxEscapedName = 256
	// maxChoices is far more than any upstream takes.
	maxChoices = 1 << 20
	// nativeImages is how many pictures Model Studio's models make, at most, where the body does not say how many.
	nativeImages = 4
)

// decisive names the members that a decision rests on. Each may stand once, under exactly this name.
var decisive = [...]struct {
	zone zone
	name string
	of   func(Kind) bool
}{
	{inTop, "model", func(Kind) bool { return true }},
	{inTop, "stream", func(k Kind) bool { return k != Native }},
	{inTop, "stream_options", Kind.asksUsage},
	{inTop, "max_tokens", func(k Kind) bool { return k == Chat || k == Completions || k == Messages }},
	{inTop, "max_completion_tokens", func(k Kind) bool { return k == Chat }},
	{inTop, "max_output_tokens", func(k Kind) bool { return k == Responses }},
	{inTop, "n", func(k Kind) bool { return k == Chat || k == Completions || k == Images }},
	{inTop, "best_of", func(k Kind) bool { return k == Completions }},
	{inTop, "background", func(k Kind) bool { return k == Responses }},
	{inTop, "prompt", func(k Kind) bool { return k == Completions || k == Responses }},
	{inTop, "parameters", func(k Kind) bool { return k == Native }},
	{inOptions, "include_usage", Kind.asksUsage},
	{inParameters, "max_tokens", func(k Kind) bool { return k == Native }},
	{inParameters, "incremental_output", func(k Kind) bool { return k == Native }},
	{inParameters, "n", func(k Kind) bool { return k == Native }},
}

// span is a place in the body; the zero span is none, for no value begins a body.
type span struct{ from, to int }

// places are where Splice changes a body.
type places struct {
	top        int // behind the body's opening brace, 0 for a body that is not JSON
	empty      bool
	model      span
	bounds     [2]span // of the output
	split      bool    // they say different things
	options    span    // the value of stream_options
	usage      span    // the value of its include_usage
	parameters span
}

// decide takes one member of the zones that decide. name is decoded, value begins at start.
func (r *reader) decide(z zone, name []byte, start int, value []byte) *unreadable {
	if z == inTop && strings.EqualFold(string(name), "models") {
		r.ask.ManyModels = true
	}
	for i, d := range decisive {
		alike := len(name) <= 3*len(d.name) && strings.EqualFold(string(name), d.name)
		if !alike || d.zone != z || !d.of(r.ask.Kind) {
			continue
		}
		if string(name) != d.name || r.seen&(1<<i) != 0 {
			return twice(d.name)
		}
		r.seen |= 1 << i
		return r.take(z, d.name, span{start, start + len(value)}, value)
	}
	return nil
}

func (r *reader) take(z zone, name string, place span, value []byte) *unreadable {
	switch name {
	case "model":
		return r.takeModel(place, value)
	case "stream":
		return flag(name, value, &r.ask.Stream)
	case "include_usage":
		r.ask.at.usage = place
		return flag(name, value, &r.ask.WantsUsage)
	case "incremental_output":
		return flag(name, value, &r.incremental)
	case "background":
		return flag(name, value, &r.ask.Background)
	case "stream_options":
		r.ask.at.options = place
		return objectOrNull(value, badOptions)
	case "parameters":
		r.ask.at.parameters = place
		return objectOrNull(value, badParams)
	case "n", "best_of":
		return r.takeCount(name, value)
	case "prompt":
		return r.takePrompt(value)
	}
	return r.takeBound(name, place, value)
}

func (r *reader) takeModel(place span, value []byte) *unreadable {
	r.ask.at.model = place
	if string(value) == "null" {
		return nil
	}
	model, ok := oauth.String(json.RawMessage(value[:min(len(value), maxModel)]))
	if !ok {
		return refuse(badModel)
	}
	r.ask.Model = model
	return nil
}

func (r *reader) takeCount(name string, value []byte) *unreadable {
	n, err := whole(name, value)
	r.ask.Choices = max(r.ask.Choices, n)
	if name == "n" {
		r.ask.Images = n
	}
	return err
}

// takePrompt counts the prompts of /completions, each of which is answered. In /responses a prompt is a
// template that the upstream keeps.
func (r *reader) takePrompt(value []byte) *unreadable {
	switch {
	case r.ask.Kind == Responses:
		r.ask.Unseen = r.ask.Unseen || value[0] == '{'
	case value[0] == '[' && r.several:
		r.prompts = r.elements
	}
	return nil
}

func (r *reader) takeBound(name string, place span, value []byte) *unreadable {
	n, err := whole(name, value)
	if r.ask.at.bounds[0] == (span{}) {
		r.ask.at.bounds[0], r.ask.MaxOutput = place, n
		return err
	}
	r.ask.at.bounds[1], r.ask.at.split = place, n != r.ask.MaxOutput
	if n > 0 && (n < r.ask.MaxOutput || r.ask.MaxOutput == 0) {
		r.ask.MaxOutput = n
	}
	return err
}

// settle judges what only the whole body tells.
func (r *reader) settle() *unreadable {
	r.ask.Choices *= max(1, r.prompts)
	if r.ask.Choices > maxChoices || r.prompts > maxChoices {
		return refuse(tooMany)
	}
	r.ask.Images = r.images()
	open := bytes.IndexByte(r.text, '{') + 1
	r.ask.at.top = open
	r.ask.at.empty = isEmpty(r.text[open:])
	return nil
}

// images is how many the call makes; what makes none has no price for them.
func (r *reader) images() int64 {
	switch {
	case r.ask.Kind == Images:
		return r.ask.Choices
	case r.ask.Kind != Native:
		return 0
	case r.ask.Images > 0:
		return r.ask.Images
	}
	return nativeImages
}

// isEmpty reports whether an object whose brace has been read ends at once.
func isEmpty(rest []byte) bool {
	rest = bytes.TrimLeft(rest, " \t\r\n")
	return len(rest) > 0 && rest[0] == '}'
}

func flag(name string, value []byte, set *bool) *unreadable {
	switch string(value) {
	case "true":
		*set = true
	case "false", "null":
	default:
		return notFlag(name)
	}
	return nil
}

func objectOrNull(value []byte, sentence string) *unreadable {
	if value[0] != '{' && string(value) != "null" {
		return refuse(sentence)
	}
	return nil
}

// whole reads a count; null is as good as absent.
func whole(name string, value []byte) (int64, *unreadable) {
	if string(value) == "null" {
		return 0, nil
	}
	n, err := strconv.ParseUint(string(value[:min(len(value), 12)]), 10, 31)
	if err != nil {
		return 0, notWhole(name)
	}
	return int64(n), nil
}

// decoded is a member's name without quotes and escapes.
func decoded(quoted []byte) ([]byte, bool) {
	if len(quoted) > maxEscapedName || bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1], true
	}
	name, ok := oauth.String(json.RawMessage(quoted))
	return []byte(name), ok
}

// source is what an Anthropic source was found to be.
type source struct {
	kind  []byte // its type, in quotes
	data  str    // what its data were counted as
	sniff []byte // the first bytes of the data
}

func (s *source) note(name, value []byte, counted str) *unreadable {
	switch string(name) {
	case "type":
		if s.kind != nil {
			return refuse(twoSources)
		}
		s.kind = value
	case "data":
		if s.sniff != nil {
			return refuse(twoSources)
		}
		s.data, s.sniff = counted, value
	}
	return nil
}

// leave counts a source's data as what its type says they are: they were counted as text.
func (r *reader) leave(s source) *unreadable {
	switch string(s.kind) {
	case `"base64"`:
		z := inImage
		if bytes.HasPrefix(s.sniff, []byte(`"JVBER`)) { // %PDF-
			z = inDocument
		}
		r.input.untext(s.data)
		r.input.medium(z, s.sniff, s.data)
	case `"url"`:
		r.input.picture()
	case `"file"`:
		r.input.picture()
		r.ask.Unseen = true
	}
	return nil
}
