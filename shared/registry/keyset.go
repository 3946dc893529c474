package registry

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"keyless/shared/oauth"
)

// KeySet is the public half of an instance's signing keys, as keyring writes it.
type KeySet struct {
	Active   string          `json:"active"` // the kid that signs
	JWKS     json.RawMessage `json:"jwks"`   // the document that the JWKS URL answers
	Calendar []KeyDates      `json:"calendar,omitempty"`
	Keys     []oauth.Key     `json:"-"`
}

// KeyDates are a key's place in the calendar.
type KeyDates struct {
	ID    string    `json:"kid"`
	State string    `json:"state"`          // next, active or retired
	Since time.Time `json:"since"`          // when the state began
	Until time.Time `json:"until,omitzero"` // next: may sign from then on; retired: is published until then
}

// DefaultKeyRotation is how long a signing key signs where the instance does not say.
const DefaultKeyRotation = 90 * 24 * time.Hour

// Rotation is how long one signing key of the instance signs.
func (i *Instance) Rotation() time.Duration { return i.KeyRotation.Or(DefaultKeyRotation) }

// Due reports whether another key should sign for the instance by now, because the active one has had its
// time or is of another algorithm, and whether one is ready to: of the instance's algorithm, and published
// for as long as anybody caches. A set without dates, of an earlier version, is never due.
func (k *KeySet) Due(in *Instance, now time.Time) (due, ready bool) {
	for _, d := range k.Calendar {
		switch {
		case d.State == "active" && d.ID == k.Active:
			due = !now.Before(d.Since.Add(in.Rotation())) || !k.signs(d.ID, in.Algorithm())
		case d.State == "next" && !now.Before(d.Until) && k.signs(d.ID, in.Algorithm()):
			ready = true
		}
	}
	return due, due && ready
}

func (k *KeySet) signs(kid, algorithm string) bool {
	return slices.ContainsFunc(k.Keys, func(key oauth.Key) bool {
		return key.ID == kid && key.Allows(algorithm)
	})
}

func (s *Snapshot) readKeySet(instance, text string) error {
	if err := into(s.KeySets, instance, text); err != nil {
		return err
	}
	parsed, err := oauth.ParseJWKSet(s.KeySets[instance].JWKS, oauth.Published)
	s.KeySets[instance].Keys = parsed
	return err
}

// Instances returns all instances by id, as Current does the Snapshot.
func (r *Reader) Instances(ctx context.Context) (map[string]*Instance, error) {
	snapshot, err := r.Current(ctx)
	if err != nil {
		return nil, err
	}
	return snapshot.Instances, nil
}
