package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
)

// versionBytes of a digest tell two texts of one object apart.
const versionBytes = 16

// versionOf is the version of a stored text; "" where there is none.
func versionOf(text string) string {
	if text == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:versionBytes])
}

// editing is one attempt to carry out an Edit: what the registry is, and the object's text there.
type editing struct {
	Edit
	have      *stored
	text      string
	generated []GeneratedSecret
}

// attempt reads, judges and writes. The error is ErrMoved where somebody else has written meanwhile.
func (e *Editor) attempt(ctx context.Context, edit Edit) (Edited, error) {
	now, err := e.read(ctx, edit)
	if err != nil {
		return Edited{}, err
	}
	version := versionOf(now.text)
	parent, _, _ := strings.Cut(edit.Name, "/")
	switch {
	case edit.Kind == EditClient && now.have.snapshot.Instances[parent] == nil:
		return Edited{}, ErrNoObject
	case edit.Object == nil && now.text == "":
		return Edited{}, ErrNoObject
	case edit.Match == MatchNew && version != "", edit.Match != MatchNew && edit.Match != MatchAny && edit.Match != version:
		return Edited{}, &ConflictError{Current: version}
	case edit.Object == nil:
		return e.remove(ctx, now)
	}
	return e.change(ctx, now)
}

// read reads the registry as far as an edit needs it: the Snapshot's fields, and the object.
func (e *Editor) read(ctx context.Context, edit Edit) (*editing, error) {
	fields, err := e.store.Fields(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the registry: %w", err)
	}
	delete(fields, fieldApplying) // it asks the next Apply to write every consumer again, and no edit does
	have := &stored{fields: fields, clients: map[string]*Client{}, consumers: map[string]*Consumer{}}
	if have.snapshot, err = newSnapshot(fields, nil); err != nil {
		return nil, err
	}
	if err := have.openPepper(e.keys, ""); err != nil {
		return nil, err
	}
	now := &editing{Edit: edit, have: have}
	if now.text, err = e.textOf(ctx, have, edit); err != nil {
		return nil, err
	}
	if now.text == "" {
		return now, nil
	}
	switch edit.Kind {
	case EditClient:
		err = into(have.clients, edit.Name, now.text)
	case EditConsumer:
		err = into(have.consumers, edit.Name, now.text)
	}
	return now, err
}

// textOf is the stored text of the object of an edit; "" where there is none.
func (e *Editor) textOf(ctx context.Context, have *stored, edit Edit) (string, error) {
	if field := edit.place(); field != "" {
		text, there := have.fields[field]
		switch {
		case field == fieldCurrency && there:
			object, err := json.Marshal(settings{Currency: text})
			return string(object), err
		case field == fieldDomain+DefaultDomain && !there: // always exists
			object, err := json.Marshal(have.snapshot.Domains[DefaultDomain])
			return string(object), err
		}
		return text, nil
	}
	entries, _, err := e.store.Entries(ctx, Kind(edit.Kind), edit.Name)
	if err != nil {
		return "", fmt.Errorf("read %s %s: %w", edit.Kind, edit.Name, err)
	}
	return entries[edit.Name].Value, nil
}

// change adds or changes the object: what Apply does with a Config that has this object alone and prunes nothing, in one Change.
func (e *Editor) change(ctx context.Context, now *editing) (Edited, error) {
	object, faults, err := e.object(now)
	if err != nil || len(faults) > 0 {
		return Edited{}, orFaults(faults, err)
	}
	if err := e.abandoned(ctx, now, object); err != nil {
		return Edited{}, err
	}
	want, at := now.have.config(now.Edit, object)
	if faults := now.judge(want, at); len(faults) > 0 {
		return Edited{}, faults
	}
	target := newTarget(want, now.have, e.keys, ApplyOptions{By: now.By, Now: e.now})
	if len(target.faults) > 0 {
		return Edited{}, target.relative(target.faults, at(want))
	}
	if err := e.beside(ctx, now, target.config); err != nil {
		return Edited{}, err
	}
	target.before = true
	target.keepExtras(now.have)
	faults = target.relative(validateBeside(e.opened(target.config), now.have.snapshot), at(target.config))
	if len(faults) > 0 {
		return Edited{}, now.refused(target, faults)
	}
	planned, err := plan(target, now.have)
	if err != nil {
		return Edited{}, err
	}
	generated := target.generated[now.Kind+" "+now.Name]
	now.generated = append(now.generated, generated...)
	return e.write(ctx, now, planned)
}

func orFaults(faults Faults, err error) error {
	if err != nil {
		return err
	}
	return faults
}

// object reads the object of an edit, under its name, with its kept secrets.
func (e *Editor) object(now *editing) (any, Faults, error) {
	object, had := newObject(now.Kind), newObject(now.Kind)
	if faults := decodeStrict(now.Object, object); len(faults) > 0 {
		return nil, faults, nil
	}
	if now.text != "" {
		if err := json.Unmarshal([]byte(now.text), had); err != nil {
			return nil, nil, fmt.Errorf("read the stored %s: %w", now.Kind, err)
		}
	}
	if fault := now.called(object); fault != nil {
		return nil, Faults{*fault}, nil
	}
	if faults := moved(object, had); len(faults) > 0 {
		return nil, faults, nil
	}
	s := &sealer{keys: e.keys, pepper: now.have.pepper}
	return object, s.restore(object, had, now.Name), nil
}

// called gives an object the name of its edit, and the edit the id of a new client.
func (now *editing) called(object any) *Fault {
	name := nameOf(object)
	if name == nil {
		return nil
	}
	if in, is := object.(*Instance); is && in.Clients != nil {
		return &Fault{"clients", "are edited one by one; leave them out"}
	}
	want, key := now.Name, "name"
	switch o := object.(type) {
	case *Instance:
		key = "id"
	case *Client:
		parent, id, _ := strings.Cut(now.Name, "/")
		key, want = "id", id
		if id == "" {
			if want = o.ID; want == "" {
				want = newClientID()
				now.generated = []GeneratedSecret{{"client " + parent + "/" + want, "client_id", Secret(want)}}
			}
			now.Name = parent + "/" + want
		}
	case *Domain:
		o.Name = lower(o.Name)
		want = lower(want)
	}
	if *name == "" {
		*name = want
	}
	if *name != want {
		return &Fault{key, "is not the name under which the object stands, and no edit changes it; add another object"}
	}
	return nil
}

// merged is a plan as one Change. The last text of a field holds: what a plan widens first it narrows in the end.
func (p planned) merged() Change {
	c := Change{Set: maps.Clone(p.first)}
	if c.Set == nil {
		c.Set = map[string]string{}
	}
	for _, s := range p.steps {
		maps.Copy(c.Set, s.change.Set)
		c.Unset = append(c.Unset, s.change.Unset...)
		if s.change.Name != "" {
			c.Kind, c.Name, c.Entry = s.change.Kind, s.change.Name, s.change.Entry
			c.Index, c.Unindex = s.change.Index, s.change.Unindex
		}
	}
	return c
}
