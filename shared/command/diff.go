package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"

	"keyless/shared/registry"
)

// difference is one object that an apply with --prune would touch.
type difference struct {
	Action  string        `json:"action"`
	Kind    string        `json:"kind"`
	Name    string        `json:"name"`
	Members []valueChange `json:"members,omitempty"`
}

// valueChange is one value that differs. A secret shows as what it is, never its value.
type valueChange struct {
	Path   string `json:"path"`
	Before any    `json:"before,omitempty"`
	After  any    `json:"after,omitempty"`
}

// aSecret stands for one in a difference.
const aSecret = "(secret)"

// maxCompared bounds the changed objects that are read to tell their members; of the rest the names are told.
const maxCompared = 200

// diff says how the registry differs from a file.
func diff(ctx context.Context, t terminal, args []string) error {
	flags, o := t.gatewayFlags()
	name := flags.String("f", "", "the configuration `file`; - is standard input")
	if err := t.parse(flags, args); err != nil {
		return err
	}
	want, g, err := t.configuration(*name, o)
	if err != nil {
		return err
	}
	defer g.close()
	report, err := want.apply(ctx, g, true, true)
	if err != nil {
		return err
	}
	list := []difference{}
	compared, told := 0, t.progress("compared:")
	for i, c := range report.Changes {
		d := difference{Action: c.Action, Kind: c.Kind, Name: c.Name}
		if c.Action == registry.ActionChange && compared < maxCompared {
			compared++
			if d.Members, err = want.members(ctx, g, c); err != nil {
				return err
			}
		}
		list = append(list, d)
		told(i+1, len(report.Changes))
	}
	if o.asJSON {
		err = t.json(list)
	} else {
		t.differences(list)
	}
	if err == nil && len(list) > 0 {
		return errDiffers
	}
	return err
}

func (t terminal) differences(list []difference) {
	for _, d := range list {
		m := marks[d.Action]
		t.say("%s", t.paint(m.colour, plain(strings.TrimSpace(m.mark+" "+d.Kind+" "+d.Name))))
		for _, one := range d.Members {
			t.say("    %s: %s → %s", plain(one.Path), shown(one.Before), shown(one.After))
		}
	}
	if len(list) == 0 {
		t.say("no differences")
		return
	}
	t.say("%d objects differ", len(list))
}

// maxShown bounds a value in a line.
const maxShown = 120

func shown(v any) string {
	if v == nil {
		return "(absent)"
	}
	text, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	line := []rune(plain(string(text)))
	if len(line) > maxShown {
		line = append(line[:maxShown], '…')
	}
	return string(line)
}

// members compares an object of the file with the one that is stored.
func (c configured) members(ctx context.Context, g *gateway, changed registry.Changed) ([]valueChange, error) {
	k, known := kindOf(changed.Kind)
	after := c.object(k, changed.Name)
	if !known || after == nil {
		return nil, nil
	}
	before := reflect.New(reflect.TypeOf(after).Elem()).Interface()
	if _, err := g.do(ctx, ask{path: k.path(changed.Name)}, before); err != nil && codeOf(err) != "not_found" {
		return nil, err
	}
	var list []valueChange
	compare("", tree(before), tree(after), &list)
	if len(list) == 0 {
		list = []valueChange{{Path: "a secret", Before: aSecret, After: "(another)"}}
	}
	return list, nil
}

// object finds an object of the configuration as the admin API has it; nil where there is none.
func (c configured) object(k kind, name string) any {
	switch k.name {
	case "instance", "client":
		parent, id, _ := strings.Cut(name, "/")
		for _, in := range c.Instances {
			if in.ID != parent {
				continue
			}
			if k.name == "instance" {
				in.Clients = nil
				return &in
			}
			return found(in.Clients, func(x registry.Client) bool { return x.ID == id })
		}
		return nil
	case "domain":
		return found(c.Domains, func(x registry.Domain) bool { return strings.EqualFold(x.Name, name) })
	case "upstream":
		return found(c.Upstreams, func(x registry.Upstream) bool { return x.Name == name })
	case "api":
		return found(c.APIs, func(x registry.API) bool { return x.Name == name })
	case "group":
		return found(c.Groups, func(x registry.Group) bool { return x.Name == name })
	case "consumer":
		return found(c.Consumers, func(x registry.Consumer) bool { return x.Name == name })
	case "global-authentication":
		return c.GlobalAuthentication
	case "prices":
		return &prices{c.Prices}
	case "settings":
		return &settings{c.Currency}
	}
	return nil
}

func found[T any](list []T, is func(T) bool) any {
	if i := slices.IndexFunc(list, is); i >= 0 {
		return &list[i]
	}
	return nil
}

// tree is an object as JSON has it, secrets by their mark alone.
func tree(object any) any {
	copied, err := json.Marshal(object)
	if err != nil {
		return nil
	}
	own := reflect.New(reflect.TypeOf(object).Elem())
	if json.Unmarshal(copied, own.Interface()) != nil {
		return nil
	}
	hideSecrets(own)
	text, err := json.Marshal(own.Interface())
	if err != nil {
		return nil
	}
	reader := json.NewDecoder(bytes.NewReader(text))
	reader.UseNumber()
	var v any
	if reader.Decode(&v) != nil {
		return nil
	}
	return v
}

// hideSecrets puts the mark in place of every secret of a value that may be set.
func hideSecrets(v reflect.Value) {
	secret := reflect.TypeFor[registry.Secret]()
	switch {
	case v.Type() == secret:
		if v.Len() > 0 {
			v.SetString(aSecret)
		}
	case v.Kind() == reflect.Pointer && !v.IsNil():
		hideSecrets(v.Elem())
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8:
		for i := range v.Len() {
			hideSecrets(v.Index(i))
		}
	case v.Kind() == reflect.Map && v.Type().Elem() == secret:
		for _, key := range v.MapKeys() {
			v.SetMapIndex(key, reflect.ValueOf(registry.Secret(aSecret)))
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() && v.Field(i).CanSet() && field.Tag.Get("file") != "-" {
				hideSecrets(v.Field(i))
			}
		}
	}
}

// compare lists the values that differ. A secret or a generated value that the file leaves out is no difference.
func compare(path string, before, after any, list *[]valueChange) {
	switch a := after.(type) {
	case map[string]any:
		if b, same := before.(map[string]any); same {
			compareMembers(path, b, a, list)
			return
		}
	case []any:
		if b, same := before.([]any); same && len(a) == len(b) {
			for i := range a {
				compare(fmt.Sprintf("%s[%d]", path, i), b[i], a[i], list)
			}
			return
		}
	}
	kept := after == nil && (before == aSecret || path == "jwt.value")
	if !kept && !reflect.DeepEqual(before, after) {
		*list = append(*list, valueChange{path, before, after})
	}
}

func compareMembers(path string, before, after map[string]any, list *[]valueChange) {
	names := map[string]bool{}
	for name := range before {
		names[name] = true
	}
	for name := range after {
		names[name] = true
	}
	sorted := make([]string, 0, len(names))
	for name := range names {
		sorted = append(sorted, name)
	}
	sort.Strings(sorted)
	for _, name := range sorted {
		compare(strings.TrimPrefix(path+"."+name, "."), before[name], after[name], list)
	}
}
