package console

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// parse reads a field from a form: its value as it stands in the object, nil for none, and what is wrong with what was typed. name is
// that of the input: the field's path, or longer in a row.
func (f *field) parse(form url.Values, name string) (any, string) {
	text := form.Get(name)
	trimmed := strings.TrimSpace(text)
	switch f.as {
	case asCheck:
		return f.parseCheck(trimmed), ""
	case asLines, asCauses:
		return parseLines(text, f.as == asCauses), ""
	case asPairs:
		return parsePairs(text)
	case asMany:
		return parseMany(form[name]), ""
	case asSecrets:
		return parseSecrets(form[name+".keep"], text), ""
	case asRows:
		return f.parseRows(form, name)
	case asMethods:
		return parseMethods(form, name), ""
	case asPEM:
		return parsePEM(text), ""
	}
	switch {
	case text == "" || trimmed == "" && f.path != "prefix" && !strings.HasSuffix(f.path, ".prefix"):
		return nil, ""
	case f.as == asNumber:
		return parseNumber(trimmed)
	case f.as == asJSON:
		return parseJSON(trimmed)
	case f.as == asTime:
		return parseTime(trimmed)
	case f.as == asChoice:
		if trimmed == f.absent {
			return nil, ""
		}
		return trimmed, ""
	case strings.HasSuffix(f.path, "prefix"):
		return text, "" // a space at its end counts
	case f.as == asArea:
		return strings.ReplaceAll(text, "\r\n", "\n"), ""
	}
	return trimmed, ""
}

func (f *field) parseCheck(text string) any {
	switch {
	case text == "":
		return nil
	case len(f.choices) == 1:
		return f.choices[0]
	}
	return true
}

// maxDigits keeps a number in 64 bits.
const maxDigits = 18

func parseNumber(text string) (any, string) {
	digits := strings.ReplaceAll(strings.ReplaceAll(text, ",", ""), "_", "")
	plain := strings.TrimPrefix(digits, "-")
	if plain == "" || len(plain) > maxDigits || strings.Trim(plain, "0123456789") != "" || len(plain) > 1 && plain[0] == '0' {
		return nil, "is not a whole number"
	}
	return json.Number(digits), ""
}

func parseJSON(text string) (any, string) {
	var value any
	if err := decode([]byte(text), &value); err != nil {
		return nil, "is not valid JSON"
	}
	return value, ""
}

// parseTime reads what an input of a date and time sends, which is UTC here, or RFC 3339.
func parseTime(text string) (any, string) {
	for _, form := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", time.RFC3339} {
		if at, err := time.Parse(form, text); err == nil {
			return at.UTC().Format(time.RFC3339), ""
		}
	}
	return nil, "is not a time, such as 2027-01-31T12:00"
}

// lines are the texts of a list, one a line.
func lines(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}

func parseLines(text string, numbers bool) any {
	var all []any
	for _, line := range lines(text) {
		if number, wrong := parseNumber(line); numbers && wrong == "" {
			all = append(all, number)
		} else {
			all = append(all, line)
		}
	}
	return orNil(all)
}

func orNil(all []any) any {
	if len(all) == 0 {
		return nil
	}
	return all
}

func parsePairs(text string) (any, string) {
	pairs := map[string]any{}
	for _, line := range lines(text) {
		name, value, has := strings.Cut(line, ":")
		if rest := strings.TrimSpace(line); strings.HasPrefix(rest, `"`) { // a name that has a colon in it
			var quoted string
			decoder := json.NewDecoder(strings.NewReader(rest))
			if decoder.Decode(&quoted) == nil {
				name, value = quoted, rest[decoder.InputOffset():]
				value, has = strings.CutPrefix(strings.TrimSpace(value), ":")
			}
		}
		if !has || strings.TrimSpace(name) == "" {
			return nil, "has a line without a name and a colon"
		}
		pairs[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	if len(pairs) == 0 {
		return nil, ""
	}
	return pairs, ""
}

func parseMany(sent []string) any {
	var all []any
	for _, one := range sent {
		if one != "" {
			all = append(all, one)
		}
	}
	return orNil(all)
}

// parseSecrets keeps the marks of what is stored, and adds what is new.
func parseSecrets(kept []string, text string) any {
	var all []any
	for _, mark := range kept {
		all = append(all, mark)
	}
	for _, line := range lines(text) {
		all = append(all, line)
	}
	return orNil(all)
}

func parsePEM(text string) any {
	var all []any
	for block := range strings.SplitSeq(strings.ReplaceAll(text, "\r\n", "\n"), "-----BEGIN ") {
		if block = strings.TrimSpace(block); block != "" {
			all = append(all, "-----BEGIN "+block+"\n")
		}
	}
	return orNil(all)
}

// parseMethods reads `authentication` of an API: the word disabled, or methods, of which the first one's message is told to who sends
// nothing.
func parseMethods(form url.Values, name string) any {
	if form.Get(name) == "disabled" {
		return "disabled"
	}
	methods := form[name+".methods"]
	if first := form.Get(name + ".first"); slices.Contains(methods, first) {
		methods = append([]string{first}, slices.DeleteFunc(slices.Clone(methods), func(m string) bool { return m == first })...)
	}
	if all := parseMany(methods); all != nil && !slices.Equal(methods, allMethods) {
		return map[string]any{"methods": all}
	}
	return nil
}

// maxRows bounds the rows of a form.
const maxRows = 500

// restOf is the input of a row that holds the members without a field.
const restOf = "_rest"

// parseRows reads a list of objects; a row with nothing in it is none.
func (f *field) parseRows(form url.Values, name string) (any, string) {
	var all []any
	for i := range maxRows {
		at := fmt.Sprintf("%s.%d", name, i)
		if _, there := form[at+"."+f.columns[0].path]; !there {
			break
		}
		row, empty := object{}, true
		if rest := form.Get(at + "." + restOf); rest != "" {
			_ = decode([]byte(rest), &row) // of our own making; the API judges it
		}
		for n := range f.columns {
			column := &f.columns[n]
			value, wrong := column.parse(form, at+"."+column.path)
			if wrong != "" {
				return nil, fmt.Sprintf("has in row %d: %s %s", i+1, column.label, wrong)
			}
			row.set(column.path, value)
			empty = empty && value == nil
		}
		if !empty {
			all = append(all, map[string]any(row))
		}
	}
	return orNil(all), ""
}
