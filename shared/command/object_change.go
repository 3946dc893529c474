package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"strings"

	"keyless/shared/registry"
	"keyless/shared/registry/file"
)

// changed is what the admin API answered to a change: the object as it stands now.
type changed struct {
	raw     []byte
	created bool
}

// made tells of a change, and shows what was generated.
func (t terminal) made(c changed, label string, asJSON bool, sealed func(instance string) bool) error {
	if asJSON {
		_, err := t.stdout.Write(c.raw)
		return err
	}
	var answer struct {
		Version   string                     `json:"version"`
		Generated []registry.GeneratedSecret `json:"generated"`
	}
	if err := json.Unmarshal(c.raw, &answer); err != nil {
		return fmt.Errorf("read the admin API's answer: %w", err)
	}
	what := "changed"
	if c.created {
		what = "created"
	}
	t.generated(answer.Generated, false, sealed)
	return t.told(what, label, false)
}

// told says that something was done.
func (t terminal) told(what, label string, asJSON bool) error {
	if asJSON {
		return t.json(map[string]string{"done": what, "object": label})
	}
	t.say("%s %s", what, plain(label))
	return nil
}

// turn is a command that enables or disables an object.
func turn(kindName string, to registry.Status) func(context.Context, terminal, []string) error {
	return func(ctx context.Context, t terminal, args []string) error {
		flags, o := t.gatewayFlags()
		words, err := t.words(flags, args, "NAME")
		if err != nil {
			return err
		}
		k, _ := kindOf(kindName)
		if err := k.check(words[0]); err != nil {
			return err
		}
		return t.change(ctx, o, k.label(words[0]), string(to), ask{
			method: http.MethodPatch, path: k.path(words[0]), match: anyVersion, body: map[string]registry.Status{"status": to},
		})
	}
}

// change makes one call that changes something, and tells of it.
func (t terminal) change(ctx context.Context, o *options, label, what string, a ask) error {
	g, err := t.gateway(o)
	if err != nil {
		return err
	}
	defer g.close()
	if _, err := g.do(ctx, a, nil); err != nil {
		return named(err, label)
	}
	return t.told(what, label, o.asJSON)
}

// members reads assignments of a kind's members: MEMBER=VALUE, or MEMBER= to take it away. MEMBER may be a path such as
// limits.calls_per_day. VALUE is read as the member is: a text as it stands, a list with commas or as YAML, anything else as YAML;
// ${NAME} is a variable of the environment, @FILE the content of a file, @- standard input.
func (k kind) members(assignments []string, lookup func(string) (string, bool), t terminal) (object, error) {
	all := map[string]any{}
	for _, one := range assignments {
		path, text, is := strings.Cut(one, "=")
		if !is || path == "" {
			return nil, usage{fmt.Errorf("%q is not MEMBER=VALUE", one)}
		}
		kindOf, err := memberType(reflect.TypeOf(k.object()).Elem(), strings.Split(path, "."))
		if err != nil {
			return nil, usage{fmt.Errorf("%s: %w", path, err)}
		}
		value := json.RawMessage("null")
		if text != "" {
			if text, err = t.fromFile(text); err != nil {
				return nil, err
			}
			if value, err = valueOf(path, text, kindOf, lookup); err != nil {
				return nil, err
			}
		}
		place(all, strings.Split(path, "."), value)
	}
	text, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	var members object
	return members, json.Unmarshal(text, &members)
}

// fromFile reads a value that stands elsewhere.
func (t terminal) fromFile(text string) (string, error) {
	name, is := strings.CutPrefix(text, "@")
	switch {
	case !is:
		return text, nil
	case name == "-":
		text, err := t.read()
		return strings.TrimRight(text, "\r\n"), err
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("read a value: %w", err)
	}
	return strings.TrimRight(string(content), "\r\n"), nil
}

func place(members map[string]any, path []string, value json.RawMessage) {
	for ; len(path) > 1; path = path[1:] {
		below, is := members[path[0]].(map[string]any)
		if !is {
			below = map[string]any{}
			members[path[0]] = below
		}
		members = below
	}
	members[path[0]] = value
}

// memberType finds the type of a member by its path.
func memberType(t reflect.Type, path []string) (reflect.Type, error) {
	for _, name := range path {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		switch {
		case t.Kind() == reflect.Map:
			t = t.Elem()
			continue
		case t.Kind() != reflect.Struct:
			return nil, fmt.Errorf("%q is below what has no members", name)
		}
		below, known := field(t, name)
		if !known {
			return nil, fmt.Errorf("there is no member %q; it has %s", name, strings.Join(fields(t), ", "))
		}
		t = below
	}
	return t, nil
}

func field(t reflect.Type, name string) (reflect.Type, bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		if key, _, _ := strings.Cut(f.Tag.Get("json"), ","); key == name && key != "-" && f.Tag.Get("file") != "-" {
			return f.Type, true
		}
	}
	return nil, false
}

func fields(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		f := t.Field(i)
		if key, _, _ := strings.Cut(f.Tag.Get("json"), ","); key != "" && key != "-" && f.Tag.Get("file") != "-" {
			names = append(names, key)
		}
	}
	return names
}

// valueOf reads a value as a member of its type is read in a file.
func valueOf(path, text string, of reflect.Type, lookup func(string) (string, bool)) (json.RawMessage, error) {
	form, whole := text, of // behind a pointer 0 is a value
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	isList := of.Kind() == reflect.Slice && of.Elem().Kind() == reflect.String
	switch {
	case of.Kind() == reflect.String, of == reflect.TypeFor[registry.Duration]():
		form = quoted(text)
	case isList && !strings.HasPrefix(text, "["):
		var items []string
		for item := range strings.SplitSeq(text, ",") {
			items = append(items, quoted(strings.TrimSpace(item)))
		}
		form = "[" + strings.Join(items, ", ") + "]"
	}
	into := reflect.New(whole)
	if _, err := file.ReadObject(path, []byte(form), into.Interface(), lookup); err != nil {
		return nil, refused{err}
	}
	var value bytes.Buffer
	encoder := json.NewEncoder(&value)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(into.Interface())
	return bytes.TrimSpace(value.Bytes()), err
}

// quoted is a text as a YAML scalar that is a text: that of JSON.
func quoted(text string) string {
	value, err := json.Marshal(text)
	if err != nil {
		return `""`
	}
	return string(value)
}
