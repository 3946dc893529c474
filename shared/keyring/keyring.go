// Package keyring keeps the signing keys of our own instances: the private half sealed, the public half
// beside it in the Snapshot's hash, where every verifier of ours finds it. It exists so that one small room
// alone ever holds a private signing key in clear, and so that keys change without anybody noticing: each is
// published before it signs (next), signs alone (active), and is published after it signed (retired).
//
// How a request meets it: the token endpoint signs with the kid that the Snapshot calls active (Ring.Sign);
// the first signature with a key loads and opens it, later ones cost no round trip. Where the Snapshot says
// that another key is due, the endpoint makes the next one active first (Ring.Promote), which is one script
// however many processes try. Keys are made by apply, by the command line and by a scheduled event (Ensure,
// Tend, Rotate, Revoke) and on no request path: an RSA key takes seconds of CPU.
//
// Sources: RFC 7517 (JWK), RFC 7518 (algorithms), RFC 7638 (thumbprint as kid), RFC 8037 (Ed25519), RFC 7515
// (compact serialization), RFC 9068 §2.1 (typ), OpenID Connect Core §10.1.1 (rotation). The library is jwx
// v2; what it makes is checked by tests. Nothing here starts a goroutine or a timer.
package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"keyless/shared/oauth"
	"keyless/shared/seal"
)

// attempts is how often a change starts anew because somebody else wrote meanwhile. Whoever wrote has mostly
// done the same, so that the second attempt finds it done.
const attempts = 8

var (
	// ErrNoKey says that the instance has no key of this kid.
	ErrNoKey = errors.New("no signing key of this kid is stored")
	// ErrNoNext says that no key waits to sign.
	ErrNoNext = errors.New("no next signing key is published")
	// ErrBusy says that the key set changed on every attempt.
	ErrBusy = errors.New("the key set changes faster than it can be written")
	// ErrFull says that no more keys are published at once.
	ErrFull = fmt.Errorf("%d signing keys are published: those that signed must leave first", maxPublished)
)

// Edit is one change of an instance's keys, all or nothing: the document of public keys from Before ("" for
// none) to After, sealed private keys that come by kid, and kids that go.
type Edit struct {
	Before, After string
	Add           map[string]string
	Drop          []string
}

// Store keeps the two halves. NewRedis is the one implementation.
type Store interface {
	// Public reads the document of an instance's public keys, "" where there is none.
	Public(ctx context.Context, instance string) (string, error)
	// Private reads a sealed private key, "" where there is none.
	Private(ctx context.Context, instance, kid string) (string, error)
	// Privates reads all sealed private keys of an instance, by kid.
	Privates(ctx context.Context, instance string) (map[string]string, error)
	// Replace carries out an Edit where its Before still stands, and moves the registry's revision. It reports
	// whether it did.
	Replace(ctx context.Context, instance string, e Edit) (bool, error)
	// Reseal puts after in the place of a sealed private key where before still stands.
	Reseal(ctx context.Context, instance, kid, before, after string) (bool, error)
}

// Ring signs with the keys of all instances and keeps their calendars. Safe for concurrent use.
type Ring struct {
	store Store
	keys  *seal.Keys
	clock func() time.Time

	mu     sync.Mutex // guards opened; never held across I/O
	opened map[string]*signer
}

// New makes a Ring whose private keys are sealed under the master keys.
func New(store Store, keys *seal.Keys) *Ring {
	return &Ring{store: store, keys: keys, clock: time.Now, opened: map[string]*signer{}}
}

// WithClock makes a Ring on the same store that takes the time from now.
func (r *Ring) WithClock(now func() time.Time) *Ring {
	return &Ring{store: r.store, keys: r.keys, clock: now, opened: map[string]*signer{}}
}

// now has the grain in which times are stored.
func (r *Ring) now() time.Time { return r.clock().UTC().Truncate(time.Millisecond) }

// Ensure sees that the instance has an active key and a next one of the algorithm (one of
// oauth.SigningAlgorithms; RSA keys have 2048 bits). The first key of an instance is active at once. Where
// the active key is of another algorithm, the next one takes its place once it has been published for an
// hour, here or in Promote. It reports whether this call changed anything; of many callers at once one does.
// Two round trips, one where all is there already.
func (r *Ring) Ensure(ctx context.Context, instance, algorithm string) (bool, error) {
	return r.Tend(ctx, instance, algorithm, 0)
}

// Tend does what Ensure does, and makes the next key active where the active one has signed for the rotation
// and the next was published for an hour.
func (r *Ring) Tend(ctx context.Context, instance, algorithm string, rotation time.Duration) (bool, error) {
	_, changed, err := r.edit(ctx, instance, algorithm, func(c calendar, now time.Time) (becomes, error) {
		after := c.tended(algorithm, rotation, now)
		return becomes{after, after.lacking(algorithm)}, nil
	})
	return changed, err
}

// Promote makes the next key of the algorithm sign in the place of the active one, where that still signs and
// a next key was published for an hour. It returns the kid that signs now, whoever saw to it, and makes no
// key: this is for a request's path. Two round trips, one where there is nothing to do.
func (r *Ring) Promote(ctx context.Context, instance, active, algorithm string) (string, error) {
	after, _, err := r.edit(ctx, instance, algorithm, func(c calendar, now time.Time) (becomes, error) {
		at := c.ready(algorithm, now)
		if c.active().ID != active || at < 0 {
			return becomes{c, nil}, nil
		}
		return becomes{c.promoted(at, now).current(now), nil}, nil
	})
	return after.active().ID, err
}

// Rotate makes the next key of the algorithm sign at once, however short it was published, and makes another
// next one. It returns the kid that signs now, or ErrNoNext.
func (r *Ring) Rotate(ctx context.Context, instance, algorithm string) (string, error) {
	after, _, err := r.edit(ctx, instance, algorithm, func(c calendar, now time.Time) (becomes, error) {
		at := c.waiting(algorithm)
		if at < 0 {
			return becomes{}, ErrNoNext
		}
		after := c.promoted(at, now).current(now)
		return becomes{after, after.lacking(algorithm)}, nil
	})
	return after.active().ID, err
}

// Revoke removes a key at once, both halves: what it signed verifies nowhere of ours from the next request
// on. Where it was active, the next key of the algorithm signs, or a new one. It returns the kid that signs
// now, or ErrNoKey.
func (r *Ring) Revoke(ctx context.Context, instance, kid, algorithm string) (string, error) {
	after, _, err := r.edit(ctx, instance, algorithm, func(c calendar, now time.Time) (becomes, error) {
		if !slices.ContainsFunc(c, func(k Key) bool { return k.ID == kid }) {
			return becomes{}, ErrNoKey
		}
		after := c.without(kid, algorithm, now)
		states := after.lacking(algorithm)
		if len(after) >= maxPublished-1 { // a full set keeps nobody from revoking
			states = slices.DeleteFunc(states, func(state string) bool { return state == Next })
		}
		return becomes{after, states}, nil
	})
	r.forget(place(instance, kid))
	return after.active().ID, err
}

// Keys lists an instance's keys: the active one, those that wait, those that signed. One round trip.
func (r *Ring) Keys(ctx context.Context, instance string) ([]Key, error) {
	c, _, err := r.read(ctx, instance)
	return c, err
}

func (r *Ring) read(ctx context.Context, instance string) (calendar, string, error) {
	text, err := r.store.Public(ctx, instance)
	if err != nil {
		return nil, "", fmt.Errorf("read the key set of %s: %w", instance, err)
	}
	c, err := readCalendar(text, r.now())
	if err != nil {
		return nil, "", fmt.Errorf("read the key set of %s: %w", instance, err)
	}
	return c, text, nil
}

// change says what a calendar becomes.
type change func(c calendar, now time.Time) (becomes, error)

// becomes is a calendar, and the states in which a new key of the algorithm is still to be made for it.
type becomes struct {
	calendar
	states []string
}

// edit carries out a change, anew where somebody else wrote since the calendar was read. It returns the
// calendar that stands, and whether this call wrote it.
func (r *Ring) edit(ctx context.Context, instance, algorithm string, change change) (calendar, bool, error) {
	if !slices.Contains(oauth.SigningAlgorithms, algorithm) {
		return nil, false, fmt.Errorf("signing keys of %s: %q is no algorithm to sign with", instance, algorithm)
	}
	for range attempts {
		c, text, err := r.read(ctx, instance)
		if err != nil {
			return nil, false, err
		}
		to, err := change(c, r.now())
		if err != nil {
			return nil, false, fmt.Errorf("signing keys of %s: %w", instance, err)
		}
		e := Edit{Before: text, Drop: c.gone(to.calendar), Add: map[string]string{}}
		after, err := r.make(instance, algorithm, to, e.Add)
		if err != nil {
			return nil, false, err
		}
		if e.After, err = after.text(); err != nil {
			return nil, false, fmt.Errorf("write the key set of %s: %w", instance, err)
		}
		if e.After == e.Before {
			return after, false, nil
		}
		done, err := r.store.Replace(ctx, instance, e)
		if err != nil {
			return nil, false, fmt.Errorf("write the key set of %s: %w", instance, err)
		}
		if done {
			return after, true, nil
		}
	}
	return nil, false, fmt.Errorf("signing keys of %s: %w", instance, ErrBusy)
}

// make adds new keys to a calendar, and their sealed private halves to add.
func (r *Ring) make(instance, algorithm string, to becomes, add map[string]string) (calendar, error) {
	c := to.calendar
	for _, state := range to.states {
		if len(c) >= maxPublished {
			return nil, fmt.Errorf("signing keys of %s: %w", instance, ErrFull)
		}
		made, err := generate(algorithm)
		if err != nil {
			return nil, err
		}
		if add[made.kid], err = r.keys.Seal(place(instance, made.kid), made.private); err != nil {
			return nil, fmt.Errorf("seal a signing key of %s: %w", instance, err)
		}
		c = c.with(made, state, r.now())
	}
	return c, nil
}
