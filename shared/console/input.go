package console

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// input is a field as a page shows it.
type input struct {
	*field
	Name    string // of the form's value
	Value   string
	Checked bool
	Choices []choice
	Kept    []string // marks of secrets
	Rows    []row
	Fault   string
	Theirs  string // what somebody else has written meanwhile
}

// row is one object of a list.
type row struct {
	Inputs []input
	Rest   string // members without a field, as JSON
	Name   string
}

type choice struct {
	Value, Label string
	Chosen       bool
}

// Accessors for the templates: the description stays unexported.
func (i input) Label() string   { return i.field.label }
func (i input) Hint() string    { return i.field.hint }
func (i input) As() string      { return i.field.as }
func (i input) Example() string { return i.field.example }
func (i input) Required() bool  { return i.field.required }

// ID is the input's id, and of what describes it with a suffix.
func (i input) ID() string {
	return "f-" + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, i.Name)
}

// choicesOf are lists of names by the path of the admin API that they come from.
type choicesOf map[string][]string

// show makes the input of a field from an object.
func (f *field) show(o object, name string, offered choicesOf) input {
	in := input{field: f, Name: name}
	value := o.at(f.path)
	switch f.as {
	case asArea, asText, asNumber, asTime:
		in.Value = o.text(f.path)
		if f.as == asTime {
			in.Value = strings.TrimSuffix(in.Value, "Z")
		}
	case asCheck:
		in.Checked = value == true || len(f.choices) == 1 && value == f.choices[0]
	case asChoice:
		in.Choices = f.offer(orAbsent(o.text(f.path), f.absent), offered)
	case asLines, asCauses:
		in.Value = strings.Join(o.strings(f.path), "\n")
	case asPEM:
		in.Value = strings.Join(o.strings(f.path), "")
	case asPairs:
		in.Value = pairsOf(value)
	case asMany, asMethods:
		in.Choices = f.offerMany(o, offered)
		in.Checked = value == "disabled"
	case asSecrets:
		in.Kept = o.strings(f.path)
	case asJSON:
		in.Value = indented(value)
	case asRows:
		in.Rows = f.showRows(o.list(f.path), name, offered)
	}
	return in
}

func orAbsent(text, absent string) string {
	if text == "" {
		return absent
	}
	return text
}

func (f *field) word(value string) string {
	if word, has := f.words[value]; has {
		return word
	}
	return value
}

// offer are the choices of one; what is chosen already is offered too, whatever it is.
func (f *field) offer(chosen string, offered choicesOf) []choice {
	values := f.choices
	if f.from != "" {
		values = append([]string{""}, offered[f.from]...)
	}
	if !slices.Contains(values, chosen) && chosen != "" {
		values = append(slices.Clone(values), chosen)
	}
	all := make([]choice, len(values))
	for i, value := range values {
		all[i] = choice{value, f.word(value), value == chosen}
	}
	return all
}

// allMethods are those of consumers, in the order in which an API takes them unless it says otherwise.
var allMethods = []string{"jwt", "api_key", "hmac"}

// wordOfMethod are the methods as people call them.
var wordOfMethod = map[string]string{"jwt": "JWT", "api_key": "API Key", "hmac": "HMAC"}

func (f *field) offerMany(o object, offered choicesOf) []choice {
	chosen, values := o.strings(f.path), f.choices
	if f.as == asMethods {
		values, chosen = allMethods, o.strings(f.path+".methods")
		if o.at(f.path) == nil {
			chosen = allMethods
		}
		f = &field{words: wordOfMethod}
	}
	all := []choice{}
	for _, value := range slices.Concat(chosen, values, offered[f.from]) {
		if !slices.ContainsFunc(all, func(c choice) bool { return c.Value == value }) {
			all = append(all, choice{value, f.word(value), slices.Contains(chosen, value)})
		}
	}
	return all
}

// pairsOf are names and values, one pair a line; a name with a colon stands in quotes.
func pairsOf(value any) string {
	pairs, _ := value.(map[string]any)
	var all []string
	for name, value := range pairs {
		if strings.ContainsAny(name, `:"`) {
			name = compact(name)
		}
		all = append(all, name+": "+textOf(value))
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// showRows shows the items of a list and an empty row.
func (f *field) showRows(items []object, name string, offered choicesOf) []row {
	var all []row
	for i, item := range append(items, object{}) {
		at := fmt.Sprintf("%s.%d", name, i)
		r := row{Name: at}
		rest := item.clone()
		for n := range f.columns {
			column := &f.columns[n]
			in := column.show(item, at+"."+column.path, offered)
			if in.field.label != "" {
				labelled := *column
				labelled.label = column.label + ", row " + strconv.Itoa(i+1)
				in.field = &labelled
			}
			r.Inputs = append(r.Inputs, in)
			rest.set(column.path, nil)
		}
		if len(rest) > 0 {
			r.Rest = compact(rest)
		}
		all = append(all, r)
	}
	return all
}

// Headings are the labels of a list's columns.
func (i input) Headings() []string {
	var all []string
	for _, column := range i.field.columns {
		all = append(all, column.label)
	}
	return all
}

// formSection is a section as a page shows it.
type formSection struct {
	Title, Says string
	Inputs      []input
}

// showForm makes the inputs of a form from an object.
func showForm(form []section, o object, offered choicesOf, faults map[string]string) []formSection {
	all := make([]formSection, len(form))
	for i, s := range form {
		all[i] = formSection{Title: s.title, Says: s.says}
		for n := range s.fields {
			f := &s.fields[n]
			in := f.show(o, f.path, offered)
			in.Fault = faults[f.path]
			all[i].Inputs = append(all[i].Inputs, in)
		}
	}
	return all
}

// retype puts back what was typed and cannot be read.
func retype(sections []formSection, form url.Values, unread map[string]string) {
	for s := range sections {
		for i := range sections[s].Inputs {
			in := &sections[s].Inputs[i]
			if unread[in.Name] != "" && in.Rows == nil {
				in.Value = form.Get(in.Name)
			}
		}
	}
}

// offered reads the names that a form offers to choose from. What the visitor may not read is not offered.
func (v *visit) offered(form []section) (choicesOf, error) {
	all := choicesOf{}
	for _, s := range form {
		for _, f := range s.fields {
			for _, from := range append([]field{f}, f.columns...) {
				if from.from == "" || all[from.from] != nil || !v.may("gateway.read", "") {
					continue
				}
				names, err := v.names(from.from, "name")
				if err != nil {
					return nil, err
				}
				all[from.from] = names
			}
		}
	}
	return all, nil
}

// write sets the fields of a form in an object, and returns what cannot be read by the paths of fields.
func write(form []section, values url.Values, o object) map[string]string {
	unread := map[string]string{}
	for _, s := range form {
		for n := range s.fields {
			f := &s.fields[n]
			value, wrong := f.parse(values, f.path)
			if wrong != "" {
				unread[f.path] = wrong
				continue
			}
			if value == nil && f.absent != "" && o.text(f.path) == f.absent {
				continue // it says what its absence says
			}
			o.set(f.path, value)
		}
	}
	return unread
}
