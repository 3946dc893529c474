package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"keyless/shared/registry"
)

// target is an object that a call is about.
type target struct {
	kind string // of registry.Edit
	name string
}

// instance is the one that the object is, or belongs to; "" where it is the gateway's.
func (t target) instance() string {
	if t.kind != registry.EditInstance && t.kind != registry.EditClient {
		return ""
	}
	instance, _, _ := strings.Cut(t.name, "/")
	return instance
}

// rewrite makes of an object what it shall be; nil stands for none, both ways. The version is that of the object.
type rewrite func(now json.RawMessage) (json.RawMessage, error)

const (
	// rewriteAttempts bounds how often a rewrite without a version of its caller's begins anew because others changed the object
	// meanwhile: fifty at once all get through.
	rewriteAttempts = 100
	// rewritePause is the longest pause before the next attempt.
	rewritePause = 20 * time.Millisecond
)

// change carries out a rewrite on the edition that the condition names, or, where it names none, on the one that stands. Whatever the
// caller's condition, the registry is changed only where the object is still the one that was rewritten and judged.
func (a *Admin) change(c *call, t target, cond condition, to rewrite) (registry.Edited, error) {
	for attempt := range rewriteAttempts {
		now, err := a.now(c.ctx(), t)
		if err != nil {
			return registry.Edited{}, err
		}
		if err := cond.holds(now.Version); err != nil {
			return registry.Edited{}, err
		}
		object, err := to(now.Value)
		if err != nil {
			return registry.Edited{}, err
		}
		done, err := a.edit(c, t, now, object)
		var conflict *registry.ConflictError
		if cond.version != "" || cond.absent || !errors.As(err, &conflict) {
			return done, err
		}
		if err := rest(c.ctx(), attempt); err != nil {
			return registry.Edited{}, err
		}
	}
	return registry.Edited{}, registry.ErrBusy
}

func rest(ctx context.Context, attempt int) error {
	pause := min(time.Duration(attempt+1)*time.Millisecond, rewritePause)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(rand.N(pause)):
		return nil
	}
}

// now reads an object; an empty one where there is none.
func (a *Admin) now(ctx context.Context, t target) (registry.Object, error) {
	object, err := a.editor.Object(ctx, t.kind, t.name)
	if errors.Is(err, registry.ErrNoObject) {
		return registry.Object{}, nil
	}
	return object, err
}

// edit writes an object onto the one that was read, where the caller may.
func (a *Admin) edit(c *call, t target, now registry.Object, object json.RawMessage) (registry.Edited, error) {
	edit := registry.Edit{Kind: t.kind, Name: t.name, Object: object, Match: now.Version, By: c.actor()}
	if edit.Match == "" {
		edit.Match = registry.MatchNew
	}
	if t.kind == registry.EditClient {
		if err := c.caller.guardEdit(t.instance(), now.Value, object); err != nil {
			return registry.Edited{}, err
		}
	}
	if t.kind == registry.EditInstance && object != nil {
		if err := a.signingKeys(c.ctx(), t.name, object); err != nil {
			return registry.Edited{}, err
		}
	}
	return a.editor.Edit(c.ctx(), edit)
}

// guardEdit is guard on the texts of a client. What cannot be read as one is the Editor's to refuse.
func (c Caller) guardEdit(instance string, texts ...json.RawMessage) error {
	for _, text := range texts {
		client := &registry.Client{}
		if text == nil || len(registry.Decode(text, client)) > 0 {
			continue
		}
		if err := c.guard(instance, client); err != nil {
			return err
		}
	}
	return nil
}

// signingKeys makes the keys of an instance that is about to be written, so that a JWKS URL is never empty. One that is not valid gets
// none; the Editor refuses it.
func (a *Admin) signingKeys(ctx context.Context, id string, text json.RawMessage) error {
	instance := registry.Instance{}
	if len(registry.Decode(text, &instance)) > 0 {
		return nil
	}
	instance.ID = id
	if len(registry.Validate(&registry.Config{Version: 1, Instances: []registry.Instance{instance}})) > 0 {
		return nil
	}
	if _, err := a.o.Ring.Ensure(ctx, id, instance.Algorithm()); err != nil {
		return fmt.Errorf("make signing keys of instance %s: %w", id, err)
	}
	return nil
}

// merge applies a merge patch, RFC 7396 §2, to an object; both are members by their exact names.
func merge(object, patch map[string]json.RawMessage) (json.RawMessage, error) {
	merged := map[string]json.RawMessage{}
	for name, value := range object {
		merged[name] = value
	}
	for name, value := range patch {
		if string(value) == "null" {
			delete(merged, name)
			continue
		}
		if value[0] == '{' {
			var inner, under map[string]json.RawMessage
			if err := unmarshal(value, &inner); err != nil {
				return nil, err
			}
			if had := merged[name]; len(had) > 0 && had[0] == '{' {
				if err := unmarshal(had, &under); err != nil {
					return nil, err
				}
			}
			var err error
			if value, err = merge(under, inner); err != nil {
				return nil, err
			}
		}
		merged[name] = value
	}
	return json.Marshal(merged)
}
