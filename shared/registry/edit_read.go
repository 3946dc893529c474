package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Object reads one object. The error is ErrNoObject where there is none. One or two round trips.
func (e *Editor) Object(ctx context.Context, kind, name string) (Object, error) {
	have, err := e.fields(ctx, kind)
	if err != nil {
		return Object{}, err
	}
	text, err := e.textOf(ctx, have, Edit{Kind: kind, Name: name})
	if err != nil {
		return Object{}, err
	}
	if text == "" {
		return Object{}, ErrNoObject
	}
	if kind == EditDomain {
		name = lower(name)
	}
	return objectOf(kind, name, text)
}

func objectOf(kind, name, text string) (Object, error) {
	value, err := redacted(kind, text)
	return Object{Name: name, Version: versionOf(text), Value: value}, err
}

// fields reads the Snapshot for a kind that stands in it.
func (e *Editor) fields(ctx context.Context, kind string) (*stored, error) {
	if newObject(kind) == nil {
		return nil, fmt.Errorf("there is no kind of object %q", kind)
	}
	if kind == EditClient || kind == EditConsumer {
		return &stored{}, nil
	}
	fields, err := e.store.Fields(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the registry: %w", err)
	}
	snapshot, err := newSnapshot(fields, nil)
	return &stored{fields: fields, snapshot: snapshot}, err
}

// List reads a page of objects by name, and the name to go on after; "" at the end. One or two round trips.
func (e *Editor) List(ctx context.Context, kind string, o ListOptions) ([]Object, string, error) {
	have, err := e.fields(ctx, kind)
	if err != nil {
		return nil, "", err
	}
	names, err := e.names(ctx, have, kind, o)
	if err != nil {
		return nil, "", err
	}
	slices.Sort(names)
	from, found := slices.BinarySearch(names, o.After)
	if found {
		from++
	}
	names = names[from:]
	next := ""
	if limit := min(max(o.Limit, 1), MaxPage); len(names) > limit {
		names, next = names[:limit], names[limit-1]
	}
	texts, err := e.texts(ctx, have, kind, names)
	if err != nil {
		return nil, "", err
	}
	list := make([]Object, 0, len(names))
	for _, name := range names {
		if texts[name] == "" { // removed meanwhile
			continue
		}
		object, err := objectOf(kind, name, texts[name])
		if err != nil {
			return nil, "", err
		}
		list = append(list, object)
	}
	return list, next, nil
}

// names are those of a kind that fit, behind the one to begin after.
func (e *Editor) names(ctx context.Context, have *stored, kind string, o ListOptions) ([]string, error) {
	prefix, all := o.Prefix, []string{}
	switch kind {
	case EditClient, EditConsumer:
		if kind == EditClient && o.Parent != "" {
			prefix = o.Parent + "/" + prefix
		}
		var err error
		if all, err = e.store.Names(ctx, Kind(kind)); err != nil {
			return nil, fmt.Errorf("list every %s: %w", kind, err)
		}
	case EditGlobal, EditPrices, EditSettings:
		all = []string{""}
	case EditDomain:
		prefix = lower(prefix)
		all = slices.Collect(maps.Keys(have.snapshot.Domains))
	default:
		for field := range have.fields {
			if name, is := strings.CutPrefix(field, kind+":"); is {
				all = append(all, name)
			}
		}
	}
	return slices.DeleteFunc(all, func(name string) bool {
		return !strings.HasPrefix(name, prefix) || o.After != "" && name <= o.After
	}), nil
}

func (e *Editor) texts(ctx context.Context, have *stored, kind string, names []string) (map[string]string, error) {
	texts := map[string]string{}
	if kind == EditClient || kind == EditConsumer {
		entries, _, err := e.store.Entries(ctx, Kind(kind), names...)
		if err != nil {
			return nil, fmt.Errorf("read a page of %ss: %w", kind, err)
		}
		for name, entry := range entries {
			texts[name] = entry.Value
		}
		return texts, nil
	}
	for _, name := range names {
		text, err := e.textOf(ctx, have, Edit{Kind: kind, Name: name})
		if err != nil {
			return nil, err
		}
		texts[name] = text
	}
	return texts, nil
}

// Reveal opens a client's sealed secret, once its audit entry stands. The error is ErrNoObject where there is none, or only its hash.
// Three round trips.
func (e *Editor) Reveal(ctx context.Context, by Actor, instance, client, secretID string) (string, error) {
	name := instance + "/" + client
	have, err := e.fields(ctx, EditInstance)
	if err != nil {
		return "", err
	}
	text, err := e.textOf(ctx, have, Edit{Kind: EditClient, Name: name})
	if err != nil {
		return "", err
	}
	in := have.snapshot.Instances[instance]
	if text == "" || in == nil || in.SecretStorage == StorageHashed {
		return "", ErrNoObject
	}
	var c Client
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return "", fmt.Errorf("read client %s: %w", name, err)
	}
	sealed := c.secret(secretID).Value
	if !strings.HasPrefix(string(sealed), sealedPrefix) {
		return "", ErrNoObject
	}
	clear, err := open(e.keys, PlaceClientSecret(instance, client, secretID), sealed)
	if err != nil {
		return "", err
	}
	event := AuditEvent{By: by, Action: ActionShow, Kind: EditClient, Name: name, Note: "secret " + secretID}
	if err := e.Record(ctx, event); err != nil {
		return "", err
	}
	return clear.Reveal(), nil
}
