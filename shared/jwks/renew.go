package jwks

import (
	"context"
	"log/slog"
	"time"
)

// pollEvery is how often an instance looks whether another has finished its fetch.
const pollEvery = 100 * time.Millisecond

// renewal says how a set is renewed.
type renewal struct {
	every time.Duration // the least time since the last fetch
	wait  bool          // for the fetch of another instance
	anew  bool          // past the caches between us and the issuer
}

// renew brings a source up to date: from the second level where that has a newer set, else from its issuer.
// Requests that come meanwhile wait for the same flight, each as long as it likes. That nothing new was found
// is no error; it returns the context's only.
func (c *Cache) renew(ctx context.Context, s *source, r renewal) error {
	if !s.rested(c.time(), r.every) {
		return nil
	}
	landed := c.flight.DoChan(s.url, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightWithin)
		defer cancel()
		c.fly(ctx, s, r)
		return nil, nil
	})
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-landed:
		return nil
	}
}

func (c *Cache) fly(ctx context.Context, s *source, r renewal) {
	if !s.rested(c.time(), r.every) || c.adopt(ctx, s) {
		return
	}
	if rest := c.lease(ctx, s, r.every); rest > 0 {
		if r.wait {
			c.await(ctx, s, min(rest, fetchWithin))
		}
		s.attempted.Store(c.time().Add(rest - r.every).UnixNano())
		return
	}
	stored, err := c.fetch.get(ctx, s.url, r.anew)
	now := c.time()
	s.attempted.Store(now.UnixNano())
	stored.Fetched = now
	var set *keySet
	if err == nil {
		set, err = newKeySet(stored, now)
	}
	if err != nil {
		c.log.LogAttrs(ctx, slog.LevelWarn, "key set not renewed",
			slog.String("url", printable(s.url)), slog.String("reason", err.Error()))
		return
	}
	s.set.Store(set)
	if c.shared != nil {
		c.note(ctx, "put", c.shared.Put(ctx, s.url, stored))
	}
}

// adopt takes a set from the second level if it is newer than the one at hand.
func (c *Cache) adopt(ctx context.Context, s *source) bool {
	if c.shared == nil {
		return false
	}
	stored, there, err := c.shared.Get(ctx, s.url)
	c.note(ctx, "get", err)
	if err != nil || !there {
		return false
	}
	held := s.set.Load()
	if held != nil && !stored.Fetched.After(held.stamp) {
		return false
	}
	set, err := newKeySet(stored, c.time())
	c.note(ctx, "parse", err)
	if err != nil || set.age(c.time()) >= maxStale {
		return false
	}
	s.set.Store(set)
	return true
}

// lease asks for the right to fetch: 0 grants it, also where the second level is away, for then each process
// keeps to the limit by itself.
func (c *Cache) lease(ctx context.Context, s *source, every time.Duration) time.Duration {
	if c.shared == nil {
		return 0
	}
	rest, err := c.shared.Lease(ctx, s.url, every)
	c.note(ctx, "lease", err)
	if err != nil {
		return 0
	}
	return min(rest, every)
}

// await looks for what another instance is fetching, until it is there or its fetch must have ended.
func (c *Cache) await(ctx context.Context, s *source, most time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	poll := time.NewTicker(pollEvery) //nolint:forbidigo // it ends with the request that waits
	defer poll.Stop()
	for !c.adopt(ctx, s) {
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		}
	}
}

// note logs a fault of the second level; the first does its work alone meanwhile.
func (c *Cache) note(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		c.log.LogAttrs(ctx, slog.LevelWarn, "shared key sets away",
			slog.String("call", what), slog.String("reason", err.Error()))
	}
}
