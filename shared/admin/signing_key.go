package admin

import (
	"context"
	"errors"
	"net/http"

	"keyless/shared/keyring"
	"keyless/shared/registry"
)

type keyList struct {
	Keys []keyring.Key `json:"keys"`
}

type signsWith struct {
	Signs string `json:"signs"` // the kid that signs from now on
}

type revokeKey struct {
	KeyID string `json:"kid"`
}

// The actions of the audit trail on signing keys.
const (
	actionRotate = "rotate"
	actionRevoke = "revoke"
)

// instance reads the instance that the path names.
func (a *Admin) instance(c *call) (*registry.Instance, error) {
	object, err := a.editor.Object(c.ctx(), registry.EditInstance, c.vars["instance"])
	if err != nil {
		return nil, err
	}
	instance := &registry.Instance{}
	return instance, unmarshal(object.Value, instance)
}

// listKeys answers the published keys of an instance and their places in the calendar.
func listKeys(a *Admin, c *call) (reply, error) {
	if _, err := a.instance(c); err != nil {
		return reply{}, err
	}
	keys, err := a.o.Ring.Keys(c.ctx(), c.vars["instance"])
	if err != nil {
		return reply{}, err
	}
	if keys == nil {
		keys = []keyring.Key{}
	}
	return reply{body: keyList{keys}}, nil
}

// rotateKey makes the next key sign at once. Where none waits, one is made and published first: verifiers of ours ask at most a second
// apart for the newest set.
func rotateKey(a *Admin, c *call) (reply, error) {
	instance, err := a.instance(c)
	if err != nil {
		return reply{}, err
	}
	return a.onKeys(c, actionRotate, "to the next key", func(ctx context.Context) (string, error) {
		kid, err := a.o.Ring.Rotate(ctx, instance.ID, instance.Algorithm())
		if !errors.Is(err, keyring.ErrNoNext) {
			return kid, err
		}
		if _, err := a.o.Ring.Ensure(ctx, instance.ID, instance.Algorithm()); err != nil {
			return "", err
		}
		return "", refuse(http.StatusConflict, "no_next_key", "No key waited to sign; one was published just now, so rotate again in "+
			"two seconds").with("Retry-After", "2")
	})
}

// revokeSigningKey removes a key at once: what it signed verifies nowhere of ours from the next request on.
func revokeSigningKey(a *Admin, c *call) (reply, error) {
	var asked revokeKey
	if err := c.into(&asked, maxBody); err != nil {
		return reply{}, err
	}
	if asked.KeyID == "" {
		return reply{}, fault("kid", "is required; write that of the key to revoke")
	}
	instance, err := a.instance(c)
	if err != nil {
		return reply{}, err
	}
	keys, err := a.o.Ring.Keys(c.ctx(), instance.ID)
	if err != nil {
		return reply{}, err
	}
	if !published(keys, asked.KeyID) {
		return reply{}, keyring.ErrNoKey
	}
	return a.onKeys(c, actionRevoke, "of "+asked.KeyID, func(ctx context.Context) (string, error) {
		return a.o.Ring.Revoke(ctx, instance.ID, asked.KeyID, instance.Algorithm())
	})
}

func published(keys []keyring.Key, kid string) bool {
	for _, k := range keys {
		if k.ID == kid {
			return true
		}
	}
	return false
}

// onKeys does something to signing keys, which stand outside the registry's objects: so an entry of the audit trail says before that it
// is about to be done, and another what became of it. It goes on where the caller hangs up.
func (a *Admin) onKeys(c *call, action, what string, do func(context.Context) (string, error)) (reply, error) {
	ctx := context.WithoutCancel(c.ctx())
	event := registry.AuditEvent{
		By: c.actor(), Action: action, Kind: "signing_key", Name: c.vars["instance"], Note: "asked for: " + action + " " + what,
	}
	if err := a.editor.Record(ctx, event); err != nil {
		return reply{}, err
	}
	kid, err := do(ctx)
	event.Note = "done: " + kid + " signs"
	if err != nil {
		event.Note = "not done, or it is not known"
	}
	if recorded := a.editor.Record(ctx, event); recorded != nil {
		a.o.Log.ErrorContext(ctx, "admin", "error", recorded.Error()) // the first entry stands
	}
	return reply{body: signsWith{kid}}, err
}
