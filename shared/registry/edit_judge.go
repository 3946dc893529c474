package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// judge judges an object as it was written, before its secrets are sealed.
func (now *editing) judge(want *Config, at func(*Config) spot) Faults {
	config := *want
	t := &target{config: &config, extras: map[string]string{}, before: true}
	t.keepExtras(now.have)
	return t.relative(validateBeside(&config, now.have.snapshot), at(&config))
}

// relative gives faults paths that begin in the edited object. One in another object keeps that object's name before its path.
func (t *target) relative(faults Faults, at spot) Faults {
	for i, f := range faults {
		if object, path := t.extraAt(f.Path); object != "" {
			faults[i].Path = object + ": " + strings.TrimPrefix(f.Path[len(path):], ".")
		} else if own, is := strings.CutPrefix(f.Path, string(at)); is && at != "" && (own == "" || own[0] == '.' || own[0] == '[') {
			faults[i].Path = strings.TrimPrefix(own, ".")
		}
	}
	return faults
}

// extraAt is the object that the registry has and the Config lacks in which a path leads, and the path of that object.
func (t *target) extraAt(path string) (string, string) {
	for ; path != ""; path = path[:max(strings.LastIndexAny(path, ".["), 0)] {
		if object, ok := t.extras[path]; ok {
			return object, path
		}
	}
	return "", ""
}

// others are the objects, besides the edited one, in which faults stand; false where one stands in the edited one.
func (t *target) others(faults Faults) ([]string, bool) {
	var names []string
	for _, f := range faults {
		object, _, is := strings.Cut(f.Path, ": ")
		if !is || !slices.Contains(t.extra, object) {
			return nil, false
		}
		if !slices.Contains(names, object) && len(names) < maxReferrers {
			names = append(names, object)
		}
	}
	return names, true
}

// refused is the refusal of an edit with faults: of an instance that gives up what others name, those others.
func (now *editing) refused(t *target, faults Faults) error {
	names, elsewhere := t.others(faults)
	if had := now.have.snapshot.Instances[now.Name]; now.Kind == EditInstance && had != nil && elsewhere {
		for i := range t.config.Instances {
			in := t.config.Instances[i]
			if in.ID == now.Name && !same(widened(in, had).ResourceServers, in.ResourceServers) {
				return &ReferencedError{By: names}
			}
		}
	}
	return faults
}

func same(a, b []ResourceServer) bool {
	return slices.EqualFunc(a, b, func(a, b ResourceServer) bool {
		return a.Identifier == b.Identifier && slices.Equal(a.Scopes, b.Scopes)
	})
}

// beside reads the objects that stand beside the edited one and are entries: the consumers that its credentials lead to, and the
// clients of an instance.
func (e *Editor) beside(ctx context.Context, now *editing, config *Config) error {
	switch now.Kind {
	case EditInstance:
		return e.clientsOf(ctx, now)
	case EditConsumer:
		found, _, err := e.store.Indexed(ctx, indexes(&config.Consumers[0])...)
		if err != nil {
			return fmt.Errorf("find consumers of the same credentials: %w", err)
		}
		for _, byName := range found {
			for name, entry := range byName {
				if name == now.Name {
					continue
				}
				if err := into(now.have.consumers, name, entry.Value); err != nil {
					return fmt.Errorf("read consumer %s: %w", name, err)
				}
			}
		}
	}
	return nil
}

func (e *Editor) clientsOf(ctx context.Context, now *editing) error {
	names, err := e.store.Names(ctx, KindClient)
	if err != nil {
		return fmt.Errorf("list the clients of instance %s: %w", now.Name, err)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, now.Name+"/") })
	for part := range slices.Chunk(names, entriesAtOnce) {
		entries, _, err := e.store.Entries(ctx, KindClient, part...)
		if err != nil {
			return fmt.Errorf("read the clients of instance %s: %w", now.Name, err)
		}
		for name, entry := range entries {
			if err := into(now.have.clients, name, entry.Value); err != nil {
				return fmt.Errorf("read client %s: %w", name, err)
			}
		}
	}
	return nil
}

// opened is a Config whose consumers have their key sets clear, so that two sealed copies of one key are found to be one.
func (e *Editor) opened(c *Config) *Config {
	config := *c
	config.Consumers = slices.Clone(c.Consumers)
	for i := range config.Consumers {
		consumer := &config.Consumers[i]
		if consumer.JWT == nil {
			continue
		}
		if clear, err := open(e.keys, placeConsumerJWKS(consumer.Name), consumer.JWT.JWKS); err == nil {
			jwt := *consumer.JWT
			jwt.JWKS, consumer.JWT = clear, &jwt
		}
	}
	return &config
}

// write carries out what is planned as one Change with its audit entry, unless the object is what it shall be.
func (e *Editor) write(ctx context.Context, now *editing, planned planned) (Edited, error) {
	done := Edited{Version: versionOf(now.text), Revision: now.have.snapshot.Revision, Generated: now.generated}
	n := slices.IndexFunc(planned.steps, now.is)
	var err error
	if n < 0 {
		done.Change = Changed{Kind: now.Kind, Name: now.Name}
		done.Object, err = redacted(now.Kind, now.text)
		return done, err
	}
	change, action := planned.merged(), ActionChange
	text := change.Set[now.place()]
	if change.Entry != nil {
		text = change.Entry.Value
	}
	if now.text == "" {
		action = ActionAdd
	}
	if now.Kind == EditSettings {
		object, err := json.Marshal(settings{Currency: text})
		if err != nil {
			return Edited{}, fmt.Errorf("write the settings: %w", err)
		}
		text = string(object)
	}
	done.Change = Changed{action, now.Kind, now.Name}
	if done.Object, err = redacted(now.Kind, text); err != nil {
		return Edited{}, err
	}
	done.Version = versionOf(text)
	done.Revision, err = e.send(ctx, now, change, step{told: done.Change, had: now.text, has: text})
	return done, err
}

// is reports whether a step is that of the edited object.
func (now *editing) is(s step) bool {
	kind := now.Kind
	if kind == EditSettings {
		kind = kindCurrency
	}
	name := now.Name
	if kind == EditDomain {
		name = lower(name)
	}
	return s.told.Kind == kind && (single(now.Kind) || s.told.Name == name) || now.Kind == EditInstance && s.told.Kind == "" &&
		s.change.Set[fieldInstance+name] != ""
}

// send writes a change onto the revision on which it was judged, and returns the one after it.
func (e *Editor) send(ctx context.Context, now *editing, c Change, s step) (string, error) {
	var err error
	if c.Audit, err = s.entry(now.By, e.now()); err != nil {
		return "", err
	}
	c.Expect = now.have.snapshot.Revision
	if now.have.newPepper { // also where signing keys were published before the first object
		set, err := now.have.found(e.keys)
		if err != nil {
			return "", err
		}
		if c.Set == nil {
			c.Set = map[string]string{}
		}
		maps.Copy(c.Set, set)
	}
	if c.Expect == "" {
		c.Expect = ExpectEmpty
	}
	c.Next = newEdition()
	return c.Next, e.store.Write(ctx, c)
}
