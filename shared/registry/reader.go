package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"keyless/shared/oauth"
	"keyless/shared/seal"
)

// Bounds of what a process keeps.
const (
	// checkEvery is how often a process at most asks the store whether a refusal rests on old knowledge: an attacker who is refused a
	// thousand times a second costs the store one read.
	checkEvery = time.Second
	// servesFor is how long what a process knows serves while the store is away: longer, and a disabled consumer would be let in for
	// as long as an outage lasts.
	servesFor = 5 * time.Minute
	// attempts is how often a decision is made anew when what it rested on has changed meanwhile.
	attempts = 3
	// maxKept bounds each of the two generations of remembered index entries; a value nobody has is remembered too.
	maxKept = 4096
	// maxCandidates bounds the consumers that one index entry may lead to.
	maxCandidates = 64
	// loadWithin bounds a load that several requests wait for together.
	loadWithin = 3 * time.Second
)

// Refusals of the registry itself, for an edge to answer with 503.
var (
	// ErrBusy says that the registry changed on every attempt.
	ErrBusy = errors.New("the registry changes faster than a decision can be made")
	// ErrEmpty says that nothing was ever applied to the store.
	ErrEmpty = errors.New("the registry is empty: run keyless apply -f gateway.yaml")
)

// Reader finds what is known, from memory where it is fresh. Safe for concurrent use.
//
// Round trips: none warm; one for a cold Snapshot; one for consumers not met before; one for a client, always.
type Reader struct {
	store Store
	keys  *seal.Keys // nil in a function that opens no secret
	now   func() time.Time

	snapshot atomic.Pointer[loaded]
	flight   singleflight.Group

	mu         sync.Mutex // guards the two generations
	young, old map[string]found

	uses uses // of clients' secrets
}

type loaded struct {
	*Snapshot
	checked time.Time // wall clock of the last time that the store confirmed the revision
}

type found struct {
	revision  string
	consumers []*Consumer
}

// NewReader reads from a store, opening secrets with the keys.
func NewReader(store Store, keys *seal.Keys, now func() time.Time) *Reader {
	return &Reader{store: store, keys: keys, now: now, young: map[string]found{}}
}

// Snapshot returns the Snapshot that the process holds, or loads it. It may be old; see Current and Consult.
func (r *Reader) Snapshot(ctx context.Context) (*Snapshot, error) {
	if s := r.snapshot.Load(); s != nil {
		return s.Snapshot, nil
	}
	return r.load(ctx)
}

// Current returns the Snapshot after asking the store, at most once a second, whether it is the newest. While the store is away the
// one in memory serves.
func (r *Reader) Current(ctx context.Context) (*Snapshot, error) {
	held := r.snapshot.Load()
	if held == nil {
		return r.load(ctx)
	}
	if r.confirmed(held) {
		return held.Snapshot, nil
	}
	revision, err := r.store.Revision(ctx)
	if err != nil {
		if r.now().Round(0).Sub(held.checked.Round(0)) > servesFor {
			return nil, fmt.Errorf("read the registry: %w", err)
		}
		return held.Snapshot, nil
	}
	if revision != held.Revision {
		return r.load(ctx)
	}
	r.snapshot.CompareAndSwap(held, &loaded{held.Snapshot, r.now()})
	return held.Snapshot, nil
}

// confirmed reports whether the store was asked within checkEvery. Wall clocks are compared: a frozen process must notice.
func (r *Reader) confirmed(held *loaded) bool {
	age := r.now().Round(0).Sub(held.checked.Round(0))
	return age >= 0 && age < checkEvery
}

// load reads the Snapshot; requests that come meanwhile wait for the same one, each as long as it likes.
func (r *Reader) load(ctx context.Context) (*Snapshot, error) {
	result := r.flight.DoChan("snapshot", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadWithin)
		defer cancel()
		fields, err := r.store.Fields(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the registry: %w", err)
		}
		snapshot, err := newSnapshot(fields, r.keys)
		if err != nil {
			return nil, err
		}
		if snapshot.Empty() {
			return nil, ErrEmpty
		}
		r.snapshot.Store(&loaded{snapshot, r.now()})
		return snapshot, nil
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case done := <-result:
		if done.Err != nil {
			return nil, done.Err
		}
		return done.Val.(*Snapshot), nil
	}
}

// Result says what became of a decision that was made on a View.
type Result int

// The results of a decision.
const (
	Final   Result = iota // it stands
	Refused               // it stands unless what it rests on is old
	Stale                 // the store knows newer: decide again
)

// View is what one decision sees: a Snapshot and the consumers found through it.
type View struct {
	*Snapshot
	reader *Reader
	anew   bool      // ask the store, not the memory
	used   *[]string // what earlier attempts of the same consultation used up; see Once
}

// Once runs use, unless an earlier attempt of the same consultation ran it for the key and was told that it is the first: what one
// request uses up stays its own, however often the request is decided.
func (v View) Once(key string, use func() (bool, error)) (bool, error) {
	if v.used != nil && slices.Contains(*v.used, key) {
		return true, nil
	}
	first, err := use()
	if first && err == nil && v.used != nil {
		*v.used = append(*v.used, key)
	}
	return first, err
}

// Consult runs decide on what the process knows, and again on what the store knows where the result is Stale, or Refused on knowledge
// that turns out to be old. After three attempts it gives up with ErrBusy.
func (r *Reader) Consult(ctx context.Context, decide func(View) (Result, error)) error {
	snapshot, err := r.Snapshot(ctx)
	var used []string
	for attempt := range attempts {
		if err != nil {
			return err
		}
		result, err := decide(View{snapshot, r, attempt > 0, &used})
		if err != nil || result == Final {
			return err
		}
		if result == Refused {
			current, err := r.Current(ctx)
			if err != nil || current.Revision == snapshot.Revision {
				return err
			}
			snapshot = current
			continue
		}
		if snapshot, err = r.load(ctx); err != nil {
			return err
		}
	}
	return ErrBusy
}

// Consumers finds the enabled consumers that stand under any of the indexes, each once, by name. Values that nobody has are
// remembered too, until the revision moves.
func (v View) Consumers(ctx context.Context, indexes ...string) ([]*Consumer, error) {
	var list []*Consumer
	missing := indexes
	if !v.anew {
		missing = nil
		for _, index := range indexes {
			known, ok := v.reader.remembered(index, v.Revision)
			if !ok {
				missing = append(missing, index)
			}
			list = append(list, known...)
		}
	}
	if len(missing) > 0 {
		read, err := v.reader.indexed(ctx, missing, v.Revision, v.anew)
		if err != nil {
			return nil, err
		}
		list = append(list, read...)
	}
	slices.SortFunc(list, func(a, b *Consumer) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(list, func(a, b *Consumer) bool { return a.Name == b.Name }), nil
}

// indexed reads index entries. An index holds a copy of the consumer's entry, so that one round trip suffices; anew reads the entry
// itself too, which is the truth.
func (r *Reader) indexed(ctx context.Context, indexes []string, revision string, anew bool) ([]*Consumer, error) {
	entries, seen, err := r.store.Indexed(ctx, indexes...)
	if err != nil {
		return nil, fmt.Errorf("find consumers: %w", err)
	}
	if anew {
		if entries, err = r.truth(ctx, entries); err != nil {
			return nil, err
		}
	}
	var all []*Consumer
	for i, byName := range entries {
		if len(byName) > maxCandidates {
			return nil, fmt.Errorf("find consumers: more than %d share one credential value", maxCandidates)
		}
		var list []*Consumer
		for name, entry := range byName {
			c, err := r.consumer(name, entry)
			if err != nil {
				return nil, err
			}
			if c.Status.On() {
				list = append(list, c)
			}
		}
		if seen == revision {
			r.remember(indexes[i], found{revision, list})
		}
		all = append(all, list...)
	}
	return all, nil
}

func (r *Reader) truth(ctx context.Context, copies []map[string]Entry) ([]map[string]Entry, error) {
	var names []string
	for _, byName := range copies {
		for name := range byName {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return copies, nil
	}
	entries, _, err := r.store.Entries(ctx, KindConsumer, names...)
	if err != nil {
		return nil, fmt.Errorf("read consumers: %w", err)
	}
	for _, byName := range copies {
		for name := range byName {
			if entry, there := entries[name]; there {
				byName[name] = entry
			} else {
				delete(byName, name)
			}
		}
	}
	return copies, nil
}

func (r *Reader) consumer(name string, entry Entry) (*Consumer, error) {
	c := &Consumer{Version: entry.Version}
	if err := json.Unmarshal([]byte(entry.Value), c); err != nil {
		return nil, fmt.Errorf("read consumer %s: %w", name, err)
	}
	return c, r.open(c)
}

// open opens the secrets that verifying needs clear.
func (r *Reader) open(c *Consumer) error {
	if c.JWT != nil && c.JWT.JWKS != "" {
		clear, err := open(r.keys, placeConsumerJWKS(c.Name), c.JWT.JWKS)
		if err != nil {
			return err
		}
		if c.JWT.keys, err = oauth.ParseJWKSet([]byte(clear), oauth.Pasted); err != nil {
			return fmt.Errorf("read the JWK Set of consumer %s: %w", c.Name, err)
		}
	}
	for upstream, key := range c.UpstreamKeys {
		clear, err := open(r.keys, placeConsumerUpstreamKey(c.Name, upstream), key)
		if err != nil {
			return err
		}
		c.UpstreamKeys[upstream] = clear
	}
	if c.HMAC == nil {
		return nil
	}
	for i := range c.HMAC.Keys {
		key := &c.HMAC.Keys[i]
		clear, err := open(r.keys, placeHMACSecret(c.Name, key.AccessKey), key.SecretKey)
		if err != nil {
			return err
		}
		key.SecretKey = clear
	}
	return nil
}

// remembered and remember keep two generations: when the young one is full it becomes the old one, so that what is used stays and
// the memory is bounded.
func (r *Reader) remembered(index, revision string) ([]*Consumer, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, ok := r.young[index]
	if !ok {
		if f, ok = r.old[index]; ok && f.revision == revision {
			r.keep(index, f)
		}
	}
	return f.consumers, ok && f.revision == revision
}

func (r *Reader) remember(index string, f found) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keep(index, f)
}

func (r *Reader) keep(index string, f found) {
	if len(r.young) >= maxKept {
		r.young, r.old = map[string]found{}, r.young
	}
	r.young[index] = f
}

// Client reads a client as it is now, with the Snapshot of the same revision; nil where the instance has none of this id.
func (r *Reader) Client(ctx context.Context, instance, id string) (*Client, *Snapshot, error) {
	snapshot, err := r.Snapshot(ctx)
	if err != nil {
		return nil, nil, err
	}
	name := instance + "/" + id
	entries, revision, err := r.store.Entries(ctx, KindClient, name)
	if err != nil {
		return nil, nil, fmt.Errorf("read client: %w", err)
	}
	for range attempts { // a load that was under way already may end in an older one
		if revision == snapshot.Revision {
			break
		}
		if snapshot, err = r.load(ctx); err != nil {
			return nil, nil, err
		}
	}
	entry, there := entries[name]
	if !there {
		return nil, snapshot, nil
	}
	c := &Client{}
	if err := json.Unmarshal([]byte(entry.Value), c); err != nil {
		return nil, nil, fmt.Errorf("read client %s: %w", name, err)
	}
	return c, snapshot, nil
}

// Ready reports whether the store answers and holds a registry.
func (r *Reader) Ready(ctx context.Context) error {
	revision, err := r.store.Revision(ctx)
	if err == nil && revision == "" {
		return ErrEmpty
	}
	return err
}
