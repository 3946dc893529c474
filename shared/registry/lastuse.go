package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"
)

// useEvery is how exactly the last use of a secret is known: to the day, which tells a forgotten secret from
// one that is in use, for one write a day.
const useEvery = 24 * time.Hour

// maxUses bounds each of the two generations of remembered uses.
const maxUses = 4096

// UseStore is what a Store must do more to remember when secrets were last used: in fields of the client's
// own hash beside its entry, used:<secret id> → Unix seconds, which no rewrite of the entry touches and its
// removal takes along. NewRedis and NewMemory do it.
type UseStore interface {
	Store
	// MarkUsed notes a use unless one within useEvery stands there, or there is no such client. One round
	// trip.
	MarkUsed(ctx context.Context, client, secret string, at time.Time) error
	// UsedAt reads the last uses by secret id. One round trip.
	UsedAt(ctx context.Context, client string) (map[string]time.Time, error)
}

// fieldUsed stands before the id of a secret.
const fieldUsed = "used:"

var errNoUses = errors.New("the store does not remember when secrets are used")

// LastUsed reads when the secrets of a client were last used, to the day, by secret id; what was never used,
// or not since this is noted, is absent. One round trip.
func LastUsed(ctx context.Context, store Store, instance, client string) (map[string]time.Time, error) {
	uses, can := store.(UseStore)
	if !can {
		return nil, errNoUses
	}
	at, err := uses.UsedAt(ctx, instance+"/"+client)
	if err != nil {
		return nil, fmt.Errorf("read the last use of the secrets of client %s/%s: %w", instance, client, err)
	}
	return at, nil
}

// uses are the ones that a process has noted. The zero value is ready.
type uses struct {
	mu         sync.Mutex // guards the generations
	young, old map[string]time.Time
}

// due reports whether a use should be noted, and takes it for noted: one that fails is lost until tomorrow,
// so that a store that cannot be written is not asked on each request.
func (u *uses) due(key string, at time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	last, known := u.young[key]
	if !known {
		last, known = u.old[key]
	}
	if since := at.Round(0).Sub(last.Round(0)); known && since >= 0 && since < useEvery {
		return false
	}
	if u.young == nil || len(u.young) >= maxUses {
		u.young, u.old = map[string]time.Time{}, u.young
	}
	u.young[key] = at
	return true
}

// SecretUsed notes that a secret of a client proved it just now. One round trip, at most once a day for each
// secret in each process; none otherwise.
func (r *Reader) SecretUsed(ctx context.Context, instance, client, secret string) error {
	store, can := r.store.(UseStore)
	if !can {
		return errNoUses
	}
	now := r.now()
	if !r.uses.due(instance+"/"+client+"/"+secret, now) {
		return nil
	}
	if err := store.MarkUsed(ctx, instance+"/"+client, secret, now); err != nil {
		return fmt.Errorf("note the use of a secret of client %s/%s: %w", instance, client, err)
	}
	return nil
}

func (m *memory) MarkUsed(ctx context.Context, client, secret string, at time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, there := m.entries[KindClient][client]; !there {
		return ctx.Err()
	}
	if since := at.Sub(m.used[client][secret]); since >= 0 && since < useEvery {
		return ctx.Err()
	}
	if m.used[client] == nil {
		m.used[client] = map[string]time.Time{}
	}
	m.used[client][secret] = time.Unix(at.Unix(), 0)
	return ctx.Err()
}

func (m *memory) UsedAt(ctx context.Context, client string) (map[string]time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := map[string]time.Time{}
	maps.Copy(at, m.used[client])
	return at, ctx.Err()
}
