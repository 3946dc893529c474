// Package jwks finds the public keys of other issuers. It exists because a verifier must survive what issuers
// do (outages, rotations, captive portals) and what attackers do with them (floods of unknown kids, URLs that
// point inside), which a background refresher in a frozen function does not.
//
// How a request meets it: the gate asks Cache.Keys for the set at a consumer's URL, and for a kid. A set that
// is fresh enough and has the kid costs nothing. One that has aged is fetched again by the request that
// notices, while all others go on with it; one without the kid is fetched again, at most once in ten seconds
// for all instances together, and the request waits. Fetched sets are shared through a second level (Shared),
// so that a cold process need not fetch. Nothing happens between requests, and a fetch ends within its own
// deadline whatever becomes of the request that began it.
//
// Sources: RFC 7517 §5, RFC 8725 §3.10, RFC 9111 §5.2.2.1 (max-age), RFC 5861 §4 (stale if error).
package jwks

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"keyless/shared/oauth"
)

// The clock of a key set. Ages compare wall clocks: a frozen process must notice what has passed.
const (
	// minAge and maxAge clamp the issuer's max-age: below, an issuer makes every minute a fetch; above, a key
	// that it removed would verify for longer than an hour.
	minAge = time.Minute
	maxAge = time.Hour
	// defaultAge holds where the issuer names none.
	defaultAge = 10 * time.Minute
	// maxStale is how long the last good set serves while the issuer fails. Past it nobody knows whether the
	// keys still hold.
	maxStale = 24 * time.Hour
	// fetchEvery is the least time between two fetches of one source by all instances together: what a flood
	// of random kids costs its issuer.
	fetchEvery = 10 * time.Second
	// retryEvery takes the place of fetchEvery where there is no set to serve meanwhile. It is as long as a
	// fetch may take, so that of many cold instances one fetches at a time.
	retryEvery = fetchWithin
	// flightWithin bounds a fetch with what surrounds it: reads and writes of the second level.
	flightWithin = fetchWithin + 2*time.Second
)

// maxSources bounds each of the two generations of sources that a process holds; with sets of a few KiB they
// take a few MiB. What falls out is still in the second level.
const maxSources = 512

// ErrUnavailable says that there is no usable key set: never fetched, or older than a day. It does not say
// why, for an address that is refused must look like one that does not answer; the log does.
var ErrUnavailable = errors.New("the key set is not available")

// Shared is the second level, one for all instances. NewRedis implements it. Its failure costs fetches and
// nothing else.
type Shared interface {
	// Get reads the last good set of a URL; ok is false where there is none.
	Get(ctx context.Context, url string) (set Stored, ok bool, err error)
	// Put keeps a good set for a day.
	Put(ctx context.Context, url string, set Stored) error
	// Lease gives the right to fetch for a while and returns 0, or how long another still holds it.
	Lease(ctx context.Context, url string, period time.Duration) (time.Duration, error)
}

// Stored is a set as it was fetched.
type Stored struct {
	Text    []byte        // the JWK Set, at most oauth.MaxKeySetBytes
	Fetched time.Time     // wall clock of the instance that fetched
	MaxAge  time.Duration // clamped
}

// Options of a Cache.
type Options struct {
	Shared        Shared           // nil: this process only
	AllowPrivate  bool             // also private addresses (RFC 1918, 4193, 6598), by http too
	AllowLoopback bool             // also loopback addresses, by http too
	Now           func() time.Time // nil: time.Now
	Log           *slog.Logger     // nil: slog.Default
	RootCAs       *x509.CertPool   // nil: the system's
}

// Cache holds the key sets of other issuers. Safe for concurrent use.
type Cache struct {
	shared Shared
	fetch  *fetcher
	now    func() time.Time
	log    *slog.Logger
	flight singleflight.Group // by URL

	documents documents // of issuers, by discovery

	mu         sync.Mutex // guards the two generations
	young, old map[string]*source
}

// New makes an empty Cache. It opens no connection.
func New(o Options) *Cache {
	c := &Cache{shared: o.Shared, fetch: newFetcher(o), now: o.Now, log: o.Log, young: map[string]*source{}}
	if c.now == nil {
		c.now = time.Now
	}
	if c.log == nil {
		c.log = slog.Default()
	}
	return c
}

// Keys returns the keys of the JWK Set at a URL, all of them: the caller picks by kid. A fragment behind the URL names an edition: it is
// part of the name under which the set is kept, and never leaves for the issuer. Where kid is not empty
// and not among them, the set has been fetched again first, within the limit. The error is ErrUnavailable or
// the context's. The keys are shared and immutable.
//
// Round trips: none while the set is fresh enough and has the kid.
func (c *Cache) Keys(ctx context.Context, url, kid string) ([]oauth.Key, error) {
	s := c.source(url)
	set := s.usable(c.time())
	switch {
	case set == nil:
		return c.first(ctx, s)
	case set.age(c.time()) >= set.maxAge:
		set = c.refreshed(ctx, s, set)
	}
	if kid == "" || set.has(kid) {
		return set.keys, nil
	}
	return c.withKid(ctx, s, set, kid)
}

// first waits for a set where there is none.
func (c *Cache) first(ctx context.Context, s *source) ([]oauth.Key, error) {
	if err := c.renew(ctx, s, renewal{every: retryEvery, wait: true}); err != nil {
		return nil, fmt.Errorf("wait for key set %s: %w", printable(s.url), err)
	}
	set := s.usable(c.time())
	if set == nil {
		return nil, fmt.Errorf("fetch key set %s: %w", printable(s.url), ErrUnavailable)
	}
	return set.keys, nil
}

// refreshed fetches an aged set again in one request; the others, and all of them where it fails, get the
// old one.
func (c *Cache) refreshed(ctx context.Context, s *source, set *keySet) *keySet {
	if !s.refreshing.CompareAndSwap(false, true) {
		return set
	}
	defer s.refreshing.Store(false)
	if err := c.renew(ctx, s, renewal{every: fetchEvery}); err != nil {
		return set
	}
	return s.usableOr(c.time(), set)
}

// withKid fetches a set again that lacks the kid. A kid that was looked for lately is not looked for again.
func (c *Cache) withKid(ctx context.Context, s *source, set *keySet, kid string) ([]oauth.Key, error) {
	digest := sha256.Sum256([]byte(kid))
	if s.missing.has(digest, c.time()) {
		return set.keys, nil
	}
	for range 2 { // the first renewal may find another instance's set, older than the kid
		if err := c.renew(ctx, s, renewal{every: fetchEvery, wait: true, anew: true}); err != nil {
			return nil, fmt.Errorf("wait for key set %s: %w", printable(s.url), err)
		}
		set = s.usableOr(c.time(), set)
		if set.has(kid) {
			return set.keys, nil
		}
	}
	s.missing.add(digest, c.time())
	return set.keys, nil
}

// time is the wall clock, without the monotonic reading that stands still in a frozen process.
func (c *Cache) time() time.Time { return c.now().Round(0) }

// source finds a source, in two generations: when the young one is full it becomes the old one, so that what
// is used stays and the memory is bounded.
func (c *Cache) source(url string) *source {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.young[url]
	if s != nil {
		return s
	}
	if s = c.old[url]; s == nil {
		s = &source{url: url}
	}
	if len(c.young) >= maxSources {
		c.young, c.old = map[string]*source{}, c.young
	}
	c.young[url] = s
	return s
}
