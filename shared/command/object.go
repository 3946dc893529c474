package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"keyless/shared/registry/file"
)

// object is members by their exact names.
type object = map[string]json.RawMessage

// get prints one object as the file has it, or lists those of a kind.
func get(ctx context.Context, t terminal, args []string) error {
	flags, o := t.gatewayFlags()
	prefix := flags.String("prefix", "", "list only what begins with this `text`")
	words, err := t.words(flags, args, "KIND", "[NAME]")
	if err != nil {
		return err
	}
	k, known := kindOf(words[0])
	if !known {
		return usage{fmt.Errorf("there is no kind %q: it is one of %s", words[0], kindNames())}
	}
	g, err := t.gateway(o)
	if err != nil {
		return err
	}
	defer g.close()
	_, id := k.split(words[1])
	if k.single() || id != "" {
		if err := k.check(words[1]); err != nil {
			return err
		}
		return t.show(ctx, g, k, words[1], o.asJSON)
	}
	return t.list(ctx, g, k, strings.TrimSuffix(words[1], "/"), *prefix, o.asJSON)
}

// show prints an object: YAML under a line with its version, which set -f takes back, or JSON.
func (t terminal) show(ctx context.Context, g *gateway, k kind, name string, asJSON bool) error {
	var text []byte
	version, err := g.do(ctx, ask{path: k.path(name)}, &text)
	if err != nil {
		return named(err, k.label(name))
	}
	if asJSON {
		_, err = t.stdout.Write(text)
		return err
	}
	without, err := withoutVersion(text)
	if err != nil {
		return err
	}
	t.say("# version: %s", plain(version))
	return file.WriteJSON(t.stdout, without)
}

// withoutVersion takes the first member, which the admin API has put before an object, away. The order of the others stays.
func withoutVersion(text []byte) ([]byte, error) {
	text = bytes.TrimSpace(text)
	version := struct {
		Version string `json:"version"`
	}{}
	if err := json.Unmarshal(text, &version); err != nil {
		return nil, errors.New("what answered is no admin API")
	}
	member, err := json.Marshal(version)
	if err != nil {
		return nil, err
	}
	rest, is := bytes.CutPrefix(text, member[:len(member)-1])
	if !is {
		return text, nil
	}
	return append([]byte("{"), bytes.TrimPrefix(rest, []byte(","))...), nil
}

// list prints a table of the objects of a kind, or a JSON list of them whole.
func (t terminal) list(ctx context.Context, g *gateway, k kind, parent, prefix string, asJSON bool) error {
	parents := []string{parent}
	if k.inside() && parent == "" {
		parents = nil
		all, _ := kindOf("instance")
		err := g.each(ctx, all.list, url.Values{"limit": {pageLength}}, func(item json.RawMessage) error {
			parents = append(parents, cellOf(item, "id"))
			return nil
		})
		if err != nil {
			return err
		}
	}
	items, rows := []json.RawMessage{}, [][]string{}
	for _, parent := range parents {
		query := url.Values{"limit": {pageLength}, "prefix": {prefix}}
		err := g.each(ctx, k.listPath(parent+"/"), query, func(item json.RawMessage) error {
			items = append(items, item)
			var row []string
			for _, column := range k.columns {
				row = append(row, cellOf(item, column))
			}
			if k.inside() {
				row[0] = parent + "/" + row[0]
			}
			rows = append(rows, row)
			return nil
		})
		if err != nil {
			return named(err, k.label(parent))
		}
	}
	if asJSON {
		return t.json(items)
	}
	return t.table(k.columns, rows)
}

// cellOf is a member of an object as a table has it: a text, the names in a list, or that there is something.
func cellOf(item json.RawMessage, column string) string {
	var members object
	if json.Unmarshal(item, &members) != nil {
		return ""
	}
	if column == "credentials" {
		var has []string
		for _, name := range []string{"jwt", "api_key", "hmac"} {
			if members[name] != nil {
				has = append(has, name)
			}
		}
		return strings.Join(has, ",")
	}
	if column == "status" && members[column] == nil {
		return "enabled"
	}
	return brief(members[column])
}

func brief(value json.RawMessage) string {
	var v any
	if json.Unmarshal(value, &v) != nil {
		return ""
	}
	switch x := v.(type) {
	case nil:
		return ""
	case string:
		return x
	case []any:
		var names []string
		for _, one := range x {
			if members, is := one.(map[string]any); is {
				for _, key := range []string{"api", "value", "id", "name"} {
					if name, is := members[key].(string); is {
						one = name
						break
					}
				}
			}
			names = append(names, fmt.Sprint(one))
		}
		return strings.Join(names, ",")
	case map[string]any:
		if methods, is := x["methods"].([]any); is {
			return strings.Trim(strings.ReplaceAll(fmt.Sprint(methods), " ", ","), "[]")
		}
		return "yes"
	}
	return fmt.Sprint(v)
}

// versionLine is what show writes before an object.
var versionLine = regexp.MustCompile(`(?m)^# version: (\S+)$`)

// set changes members of an object, or makes it; with -f it puts a whole one in place.
func set(ctx context.Context, t terminal, args []string) error {
	flags, o := t.gatewayFlags()
	name := flags.String("f", "", "a `file` with the whole object, YAML or JSON; - is standard input")
	match := flags.String("match", "", "only if the object is of this `version`")
	words, err := t.words(flags, args, "KIND", "[NAME]", "[MEMBER=VALUE...]")
	if err != nil {
		return err
	}
	k, known := kindOf(words[0])
	if !known {
		return usage{fmt.Errorf("there is no kind %q: it is one of %s", words[0], kindNames())}
	}
	id, assignments := "", words[1:]
	if !k.single() && len(words) > 1 {
		id, assignments = words[1], words[2:]
	}
	if err := k.check(id); err != nil {
		return err
	}
	if (*name == "") == (len(assignments) == 0) {
		return usage{errors.New("say MEMBER=VALUE, or -f FILE")}
	}
	g, err := t.gateway(o)
	if err != nil {
		return err
	}
	defer g.close()
	made := changed{}
	if *name != "" {
		made, err = t.setWhole(ctx, g, k, id, *name, *match)
	} else {
		var members object
		if members, err = k.members(assignments, g.lookup, t); err == nil {
			made, err = g.setMembers(ctx, k, id, members, *match)
		}
	}
	if err != nil {
		return named(err, k.label(id))
	}
	return t.made(made, k.label(id), o.asJSON, g.sealed(ctx))
}

// setMembers changes members of an object, or makes one of them where there is none.
func (g *gateway) setMembers(ctx context.Context, k kind, name string, members object, match string) (changed, error) {
	a := ask{method: http.MethodPatch, path: k.path(name), body: members, match: match}
	if match == "" {
		a.match = anyVersion
	}
	done := changed{}
	_, err := g.do(ctx, a, &done.raw)
	if codeOf(err) == "method_not_allowed" { // it has one member, so that the members are all of it
		a.method = http.MethodPut
		_, err = g.do(ctx, a, &done.raw)
	}
	absent := codeOf(err) == "not_found" || k.single() && codeOf(err) == "conflict"
	if !absent || match != "" {
		return done, err
	}
	return g.create(ctx, k, name, members)
}

// create makes a new object.
func (g *gateway) create(ctx context.Context, k kind, name string, members any) (changed, error) {
	text, err := json.Marshal(members)
	if err != nil {
		return changed{}, err
	}
	var all object
	if err := json.Unmarshal(text, &all); err != nil {
		return changed{}, err
	}
	for member, value := range all {
		if string(value) == "null" {
			delete(all, member)
		}
	}
	done := changed{created: true}
	a := ask{method: http.MethodPost, path: k.listPath(name), body: all}
	if k.single() {
		a = ask{method: http.MethodPut, path: k.list, body: all, newOnly: true}
	} else if _, id := k.split(name); id != "" {
		if all[k.key], err = json.Marshal(id); err != nil {
			return changed{}, err
		}
	}
	_, err = g.do(ctx, a, &done.raw)
	return done, err
}

// setWhole puts the object of a file in place. Where the file says of which version it was read, that must still stand.
func (t terminal) setWhole(ctx context.Context, g *gateway, k kind, name, from, match string) (changed, error) {
	text, err := t.file(from)
	if err != nil {
		return changed{}, err
	}
	if found := versionLine.FindSubmatch(text); found != nil && match == "" {
		match = string(found[1])
	}
	var version struct {
		Version string `json:"version"`
	}
	if json.Unmarshal(text, &version) == nil && version.Version != "" {
		if text, err = withoutVersion(text); err != nil {
			return changed{}, err
		}
		if match == "" {
			match = version.Version
		}
	}
	object := k.object()
	positions, err := file.ReadObject(from, text, object, g.lookup)
	if err != nil {
		return changed{}, refused{err}
	}
	done := changed{}
	a := ask{method: http.MethodPut, path: k.path(name), body: object, match: match}
	if match == "" {
		switch _, err := g.do(ctx, ask{path: k.path(name)}, nil); {
		case err == nil:
			a.match = anyVersion
		case codeOf(err) == "not_found":
			done, err = g.create(ctx, k, name, object)
			return done, faultsIn(err, positions)
		default:
			return changed{}, err
		}
	}
	_, err = g.do(ctx, a, &done.raw)
	return done, faultsIn(err, positions)
}

// remove takes an object away.
func remove(ctx context.Context, t terminal, args []string) error {
	flags, o := t.gatewayFlags()
	match := flags.String("match", anyVersion, "only if the object is of this `version`; default any")
	words, err := t.words(flags, args, "KIND", "[NAME]")
	if err != nil {
		return err
	}
	k, known := kindOf(words[0])
	if !known {
		return usage{fmt.Errorf("there is no kind %q: it is one of %s", words[0], kindNames())}
	}
	return t.removeOne(ctx, k, words[1], *match, o)
}

func (t terminal) removeOne(ctx context.Context, k kind, name, match string, o *options) error {
	if err := k.check(name); err != nil {
		return err
	}
	g, err := t.gateway(o)
	if err != nil {
		return err
	}
	defer g.close()
	if _, err := g.do(ctx, ask{method: http.MethodDelete, path: k.path(name), match: match}, nil); err != nil {
		return named(err, k.label(name))
	}
	return t.told("removed", k.label(name), o.asJSON)
}
