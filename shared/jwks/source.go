package jwks

import (
	"crypto/sha256"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"keyless/shared/oauth"
)

const (
	// maxMissing bounds each of the two generations of kids that a source is known not to have: an attacker
	// chooses them, so they are kept as digests of 32 bytes.
	maxMissing = 1024
	// missingFor is how long such a kid is not looked for again. An issuer that publishes a key late is
	// found out after it.
	missingFor = 30 * time.Second
)

// source is one URL with what is known of it.
type source struct {
	url        string
	set        atomic.Pointer[keySet]
	refreshing atomic.Bool  // one request fetches an aged set again
	attempted  atomic.Int64 // wall clock at which the last fetch counts as done, Unix nanoseconds
	missing    kids
}

// keySet is a good set. It is immutable.
type keySet struct {
	keys    []oauth.Key
	stamp   time.Time // of the fetch, by the clock of the instance that fetched
	fetched time.Time // the same, never after the time at which we learned of it
	maxAge  time.Duration
}

// newKeySet reads a fetched text. A set from the future, by the clock of another instance, is of now.
func newKeySet(stored Stored, now time.Time) (*keySet, error) {
	keys, err := oauth.ParseJWKSet(stored.Text, oauth.Fetched)
	if err != nil {
		return nil, err
	}
	fetched := stored.Fetched
	if fetched.After(now) {
		fetched = now
	}
	age := min(max(stored.MaxAge, minAge), maxAge)
	return &keySet{keys: keys, stamp: stored.Fetched, fetched: fetched, maxAge: age}, nil
}

// age is what has passed since the fetch. Where the clock was set back nobody knows, so the set counts as
// aged: it serves on, and is fetched again.
func (k *keySet) age(now time.Time) time.Duration {
	if age := now.Sub(k.fetched); age >= 0 {
		return age
	}
	return k.maxAge
}

func (k *keySet) has(kid string) bool {
	return slices.ContainsFunc(k.keys, func(key oauth.Key) bool { return key.ID == kid })
}

// usable returns the set unless it is older than a day.
func (s *source) usable(now time.Time) *keySet {
	set := s.set.Load()
	if set == nil || set.age(now) >= maxStale {
		return nil
	}
	return set
}

func (s *source) usableOr(now time.Time, other *keySet) *keySet {
	if set := s.usable(now); set != nil {
		return set
	}
	return other
}

// rested reports whether this process, and by the set's age any other, has left the source alone for a while.
func (s *source) rested(now time.Time, every time.Duration) bool {
	if !passed(time.Unix(0, s.attempted.Load()), now, every) {
		return false
	}
	set := s.set.Load()
	return set == nil || passed(set.fetched, now, every)
}

// passed is true too where the clock was set back: the limit must not hold for longer than it says.
func passed(at, now time.Time, period time.Duration) bool {
	since := now.Sub(at)
	return since >= period || since < 0
}

// kids remembers digests of kids, bounded, in two generations. The zero value is ready.
type kids struct {
	mu         sync.Mutex // guards the generations
	young, old map[[sha256.Size]byte]time.Time
}

func (k *kids) has(kid [sha256.Size]byte, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	at, there := k.young[kid]
	if !there {
		at, there = k.old[kid]
	}
	return there && !passed(at, now, missingFor)
}

func (k *kids) add(kid [sha256.Size]byte, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.young == nil || len(k.young) >= maxMissing {
		k.young, k.old = map[[sha256.Size]byte]time.Time{}, k.young
	}
	k.young[kid] = now
}
