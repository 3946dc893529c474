package proxy

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"keyless/shared/registry"
)

// How long a key of an upstream rests.
const (
	// restsRefused is for a key that the upstream does not accept: somebody has to mend it, and finds it back in use soon after.
	restsRefused = 5 * time.Minute
	// restsForbidden is short: a 403 may be about what was asked, and then about no other call.
	restsForbidden = 30 * time.Second
	// restsThrottled is for one that is used too much, where the upstream does not say how long; maxRest bounds what it says.
	restsThrottled = 30 * time.Second
	maxRest        = 5 * time.Minute
	// maxResting is above what a registry has; beyond, all is forgotten.
	maxResting = 4096
)

// providerKey is a key of an upstream.
type providerKey struct{ upstream, value string }

// resting remembers which keys were refused lately, in this process. A key comes back by itself.
type resting struct {
	now func() time.Time

	mu    sync.Mutex // guards until
	until map[providerKey]time.Time
}

func newResting(now func() time.Time) *resting {
	return &resting{now: func() time.Time { return now().Round(0) }, until: map[providerKey]time.Time{}}
}

func (r *resting) rest(key providerKey, lasts time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.until) >= maxResting {
		clear(r.until)
	}
	r.until[key] = r.now().Add(lasts)
}

// end returns until when a key rests, the zero time where it does not.
func (r *resting) end(key providerKey) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	until, is := r.until[key]
	if is && !r.now().Before(until) {
		delete(r.until, key)
		return time.Time{}
	}
	return until
}

// choose picks one of an upstream's keys that was not tried, by chance among those that do not rest; where all do and none was tried,
// the one that is back first. The key is "" for an upstream that has none.
func (r *resting) choose(u *registry.Upstream, tried []string) (key string, found bool) {
	if len(u.APIKeys) == 0 {
		return "", len(tried) == 0
	}
	var ready []string
	first, back := "", time.Time{}
	for _, k := range u.APIKeys {
		value := k.Reveal()
		if slices.Contains(tried, value) {
			continue
		}
		end := r.end(providerKey{u.Name, value})
		if end.IsZero() {
			ready = append(ready, value)
		} else if first == "" || end.Before(back) {
			first, back = value, end
		}
	}
	switch {
	case len(ready) > 0:
		return ready[rand.IntN(len(ready))], true
	case len(tried) == 0:
		return first, true
	}
	return "", false
}

// rests reports whether all keys of an upstream do.
func (r *resting) rests(u *registry.Upstream) bool {
	for _, k := range u.APIKeys {
		if r.end(providerKey{u.Name, k.Reveal()}).IsZero() {
			return false
		}
	}
	return len(u.APIKeys) > 0
}

// restOf is how long a key rests after an answer.
func restOf(x *exchange, now time.Time) time.Duration {
	switch x.StatusCode {
	case http.StatusTooManyRequests:
	case http.StatusForbidden:
		return restsForbidden
	default:
		return restsRefused
	}
	if wait := waitOf(x.Header, now); wait >= 0 {
		return min(max(wait, time.Second), maxRest)
	}
	return restsThrottled
}
