package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// maxReferrers bounds whom a ReferencedError names.
const maxReferrers = 20

// remove removes the object, unless others refer to it.
func (e *Editor) remove(ctx context.Context, now *editing) (Edited, error) {
	if now.Kind == EditDomain && lower(now.Name) == DefaultDomain {
		return Edited{}, Faults{{"name", "is the default domain, which always exists; change it instead"}}
	}
	by, err := e.referrers(ctx, now)
	if err != nil {
		return Edited{}, err
	}
	if len(by) > 0 {
		return Edited{}, &ReferencedError{By: by}
	}
	c := Change{}
	switch now.Kind {
	case EditClient:
		c.Kind, c.Name = KindClient, now.Name
	case EditConsumer:
		c.Kind, c.Name, c.Unindex = KindConsumer, now.Name, indexes(now.have.consumers[now.Name])
	case EditInstance:
		c.Unset = []string{now.place(), FieldKeySet(now.Name)} // nothing verifies what a removed issuer has signed
	default:
		c.Unset = []string{now.place()}
	}
	done := Edited{Change: Changed{ActionRemove, now.Kind, now.Name}}
	done.Revision, err = e.send(ctx, now, c, step{told: done.Change, had: now.text})
	return done, err
}

// referrers are the objects that would not be valid without the object. Those of the Snapshot are all at hand; where entries may refer
// to it, all are read.
func (e *Editor) referrers(ctx context.Context, now *editing) ([]string, error) {
	r := &referring{now: now}
	if now.Kind == EditClient || now.Kind == EditConsumer || single(now.Kind) {
		return nil, nil
	}
	if now.Kind == EditInstance { // its clients are part of it, and go first
		if err := e.clientsOf(ctx, now); err != nil {
			return nil, err
		}
		for name := range now.have.clients {
			r.add("client " + name)
		}
	}
	r.judge(nil)
	ofConsumers := now.Kind == EditGroup || now.Kind == EditUpstream ||
		now.Kind == EditAPI && now.have.snapshot.Authorized[now.Name]
	if !ofConsumers {
		return r.sorted(), nil
	}
	names, err := e.store.Names(ctx, KindConsumer)
	if err != nil {
		return nil, fmt.Errorf("list the consumers: %w", err)
	}
	for part := range slices.Chunk(names, entriesAtOnce) {
		if len(r.names) >= maxReferrers {
			break
		}
		entries, _, err := e.store.Entries(ctx, KindConsumer, part...)
		if err != nil {
			return nil, fmt.Errorf("read the consumers: %w", err)
		}
		consumers := map[string]*Consumer{}
		for name, entry := range entries {
			consumer := &Consumer{}
			if err := json.Unmarshal([]byte(entry.Value), consumer); err != nil {
				return nil, fmt.Errorf("read consumer %s: %w", name, err)
			}
			consumers[name] = consumer
		}
		r.judge(consumers)
	}
	return r.sorted(), nil
}

// referring collects who refers to an object that is to be removed.
type referring struct {
	now   *editing
	names []string
}

func (r *referring) add(name string) {
	if !slices.Contains(r.names, name) {
		r.names = append(r.names, name)
	}
}

func (r *referring) sorted() []string {
	slices.Sort(r.names)
	return r.names[:min(len(r.names), maxReferrers)]
}

// judge adds the objects that have a fault without the object, and none with it.
func (r *referring) judge(consumers map[string]*Consumer) {
	with, without := r.faults(consumers, false), r.faults(consumers, true)
	for f := range without {
		if !with[f] {
			object, _, _ := strings.Cut(f.Path, ": ")
			if object == f.Path { // of what stands once, such as global authentication
				object = f.Path[:min(len(f.Path), max(strings.IndexAny(f.Path+".", ".["), 0))]
			}
			r.add(object)
		}
	}
}

// faults are those of the Snapshot's objects and some consumers, by the object and the path in it.
func (r *referring) faults(consumers map[string]*Consumer, without bool) map[Fault]bool {
	snapshot := *r.now.have.snapshot
	if without {
		switch name := r.now.Name; r.now.Kind {
		case EditInstance:
			snapshot.Instances = lacking(snapshot.Instances, name)
		case EditDomain:
			snapshot.Domains = lacking(snapshot.Domains, lower(name))
		case EditUpstream:
			snapshot.Upstreams = lacking(snapshot.Upstreams, name)
		case EditAPI:
			snapshot.APIs = lacking(snapshot.APIs, name)
		case EditGroup:
			snapshot.Groups = lacking(snapshot.Groups, name)
		}
	}
	config := &Config{Version: 1}
	t := &target{config: config, extras: map[string]string{}}
	t.keepExtras(&stored{fields: r.now.have.fields, snapshot: &snapshot, consumers: consumers})
	all := map[Fault]bool{}
	for _, f := range t.relative(validateBeside(config, &snapshot), "") {
		all[Fault{Path: f.Path}] = true
	}
	return all
}

func lacking[T any](objects map[string]*T, name string) map[string]*T {
	rest := make(map[string]*T, len(objects))
	for n, object := range objects {
		if n != name {
			rest[n] = object
		}
	}
	return rest
}
