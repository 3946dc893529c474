package keyring

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// The states of a key, in the order in which it passes through them. All are published.
const (
	Next    = "next"    // waits: whoever caches the set learns of it before it signs
	Active  = "active"  // signs; exactly one at any time
	Retired = "retired" // verifies what it signed
)

const (
	// lead is how long a key is published before it signs. Others keep a set for five minutes, as discovery
	// tells them; an hour covers who keeps it longer than he was told.
	lead = time.Hour
	// tail is how long a key is published after it signed: the longest life of a token, which the registry
	// bounds by a day, and half an hour for clocks that differ and requests that were on their way.
	tail = 24*time.Hour + 30*time.Minute
	// maxPublished keeps a set of RSA keys below the 256 KiB that verifiers of ours read. The calendar needs
	// three or four; only somebody who rotates by hand all day gets near.
	maxPublished = 512
)

// Key is a published key and its place in the calendar. Times are UTC, in whole milliseconds.
type Key struct {
	ID        string    `json:"kid"`
	Algorithm string    `json:"algorithm"`
	State     string    `json:"state"`
	Since     time.Time `json:"since"` // when the state began
	// Until is when the state may end: a next key signs from then on at the earliest, a retired one is
	// published until then. An active one signs as long as the instance's configuration says.
	Until time.Time `json:"until,omitzero"`

	public json.RawMessage
}

// calendar is an instance's keys: the active one first, then those that wait, then those that signed. Its
// methods change nothing: they return another.
type calendar []Key

// document is the stored form of a calendar, as registry.KeySet reads it:
// {"active":kid,"jwks":{"keys":[…]},"calendar":[{"kid","state","since","until"}]}.
type document struct {
	Active string `json:"active"`
	JWKS   struct {
		Keys []json.RawMessage `json:"keys"`
	} `json:"jwks"`
	Calendar []dates `json:"calendar,omitempty"`
}

type dates struct {
	ID    string    `json:"kid"`
	State string    `json:"state"`
	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"`
}

// readCalendar reads the stored form, "" being a calendar without keys. Keys without dates are of a version
// that kept none: their time begins now.
func readCalendar(text string, now time.Time) (calendar, error) {
	if text == "" {
		return nil, nil
	}
	var stored document
	if err := json.Unmarshal([]byte(text), &stored); err != nil {
		return nil, fmt.Errorf("it is not {\"active\",\"jwks\",\"calendar\"}: %w", err)
	}
	c := make(calendar, len(stored.JWKS.Keys))
	for i, one := range stored.JWKS.Keys {
		var jwk struct {
			ID        string `json:"kid"`
			Algorithm string `json:"alg"`
		}
		if err := json.Unmarshal(one, &jwk); err != nil {
			return nil, fmt.Errorf("keys[%d]: %w", i, err)
		}
		c[i] = Key{ID: jwk.ID, Algorithm: jwk.Algorithm, public: one}
		c[i].State, c[i].Since, c[i].Until = Retired, now, now.Add(tail)
		at := slices.IndexFunc(stored.Calendar, func(d dates) bool { return d.ID == jwk.ID })
		switch {
		case at >= 0:
			d := stored.Calendar[at]
			c[i].State, c[i].Since, c[i].Until = d.State, d.Since, d.Until
		case jwk.ID == stored.Active:
			c[i].State, c[i].Until = Active, time.Time{}
		}
	}
	return c, nil
}

// text is the stored form.
func (c calendar) text() (string, error) {
	stored := document{Active: c.active().ID}
	for _, k := range c {
		stored.JWKS.Keys = append(stored.JWKS.Keys, k.public)
		stored.Calendar = append(stored.Calendar, dates{k.ID, k.State, k.Since, k.Until})
	}
	text, err := json.Marshal(stored)
	return string(text), err
}

// active is the key that signs; the zero Key where there is none.
func (c calendar) active() Key {
	for _, k := range c {
		if k.State == Active {
			return k
		}
	}
	return Key{}
}

// waiting is the position of the first key of the algorithm that waits, -1 if there is none.
func (c calendar) waiting(algorithm string) int {
	return slices.IndexFunc(c, func(k Key) bool { return k.State == Next && k.Algorithm == algorithm })
}

// ready is the same for a key that may sign by now.
func (c calendar) ready(algorithm string, now time.Time) int {
	return slices.IndexFunc(c, func(k Key) bool {
		return k.State == Next && k.Algorithm == algorithm && !now.Before(k.Until)
	})
}

// due reports whether another key should sign: the active one has had its time, or is of another algorithm.
// A rotation of 0 says that a key has all the time there is.
func (c calendar) due(algorithm string, rotation time.Duration, now time.Time) bool {
	active := c.active()
	served := rotation > 0 && !now.Before(active.Since.Add(rotation))
	return active.ID != "" && (served || active.Algorithm != algorithm)
}

// tended is the calendar as it should stand now, but for keys that are still to be made: without what has had
// its time, without keys of another algorithm that never signed, and with the next key active where that is
// due.
func (c calendar) tended(algorithm string, rotation time.Duration, now time.Time) calendar {
	c = c.current(now)
	c = slices.DeleteFunc(c, func(k Key) bool { return k.State == Next && k.Algorithm != algorithm })
	at := c.ready(algorithm, now)
	if at < 0 || c.active().ID != "" && !c.due(algorithm, rotation, now) {
		return c
	}
	return c.promoted(at, now)
}

// current is the calendar without the retired keys whose time is over.
func (c calendar) current(now time.Time) calendar {
	return slices.DeleteFunc(slices.Clone(c), func(k Key) bool {
		return k.State == Retired && !now.Before(k.Until)
	})
}

// promoted makes the key at a position sign; the one that did retires.
func (c calendar) promoted(at int, now time.Time) calendar {
	after := calendar{c[at]}
	after[0].State, after[0].Since, after[0].Until = Active, now, time.Time{}
	var retired calendar
	for i, k := range c {
		switch {
		case i == at:
		case k.State == Next:
			after = append(after, k)
		case k.State == Active:
			k.State, k.Since, k.Until = Retired, now, now.Add(tail)
			retired = append(retired, k)
		default:
			retired = append(retired, k)
		}
	}
	return append(after, retired...)
}

// without is the calendar without one key. Where that signed, the first key of the algorithm that waits does
// from now on, however short it has waited.
func (c calendar) without(kid, algorithm string, now time.Time) calendar {
	after := slices.DeleteFunc(slices.Clone(c), func(k Key) bool { return k.ID == kid })
	if at := after.waiting(algorithm); at >= 0 && after.active().ID == "" {
		return after.promoted(at, now)
	}
	return after
}

// with adds a new key behind those that sign or wait.
func (c calendar) with(made *pair, state string, now time.Time) calendar {
	k := Key{ID: made.kid, Algorithm: made.algorithm, public: made.public, State: state, Since: now}
	if state == Next {
		k.Until = now.Add(lead)
	}
	at := slices.IndexFunc(c, func(k Key) bool { return k.State == Retired })
	if at < 0 {
		at = len(c)
	}
	if state == Active {
		at = 0
	}
	return slices.Insert(slices.Clone(c), at, k)
}

// lacking are the states in which a key of the algorithm is still to be made.
func (c calendar) lacking(algorithm string) []string {
	var states []string
	if c.active().ID == "" {
		states = append(states, Active)
	}
	if c.waiting(algorithm) < 0 {
		states = append(states, Next)
	}
	return states
}

// gone are the kids that another calendar no longer has.
func (c calendar) gone(after calendar) []string {
	var kids []string
	for _, k := range c {
		if !slices.ContainsFunc(after, func(other Key) bool { return other.ID == k.ID }) {
			kids = append(kids, k.ID)
		}
	}
	return kids
}
