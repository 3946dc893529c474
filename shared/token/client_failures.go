package token

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"keyless/shared/oauth"
)

// Failures counts failed authentications; *quota.Quota satisfies it.
type Failures interface {
	// ClientFailed counts one of a client from an address and returns how long to wait before the next, 0 where the
	// limits hold. One round trip.
	ClientFailed(ctx context.Context, client, address string) (time.Duration, error)
}

// suspect is who fails: a client, as the caller claims, from an address.
type suspect struct{ client, address string }

func (e *endpoint) suspect(r *http.Request, instance, id string) suspect {
	if !oauth.ValidName(id) {
		id = "" // all that is no name is one, so that it fills no memory
	}
	return suspect{instance + "/" + id, e.proxies.Client(r)}
}

// maxBlocked bounds each of the two generations of suspects; what falls out is counted again in Redis.
const maxBlocked = 4096

// blocks remembers until when a suspect is refused unheard. A client is never blocked as a whole: whoever knows its
// name could lock it out; nor is an address, which a company's machines share. The zero value is ready.
type blocks struct {
	mu         sync.Mutex // guards the generations
	young, old map[suspect]time.Time
}

func (b *blocks) until(s suspect) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t, there := b.young[s]; there {
		return t
	}
	return b.old[s]
}

func (b *blocks) add(s suspect, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.young == nil || len(b.young) >= maxBlocked {
		b.young, b.old = map[suspect]time.Time{}, b.young
	}
	b.young[s] = until
}

// maxBlock is the longest that anybody is refused unheard, also where the clock was set back.
const maxBlock = time.Minute

// blocked returns how long the suspect has to wait still. No round trip.
func (e *endpoint) blocked(s suspect) time.Duration {
	wait := e.blocks.until(s).Round(0).Sub(e.now().Round(0))
	if wait > maxBlock {
		return 0
	}
	return wait
}

// failed counts a failure and returns how long to wait. One round trip. Where it cannot be counted the refusal stands
// as it is.
func (e *endpoint) failed(ctx context.Context, s suspect) time.Duration {
	if e.failures == nil {
		return 0
	}
	wait, err := e.failures.ClientFailed(ctx, s.client, s.address)
	if err != nil {
		e.log.LogAttrs(ctx, slog.LevelWarn, "failed authentication not counted", slog.String("reason", err.Error()))
		return 0
	}
	if wait > 0 {
		e.blocks.add(s, e.now().Add(min(wait, maxBlock)))
	}
	return wait
}

// throttle tells the caller when to come again (RFC 6585 §4, RFC 9110 §10.2.3: whole seconds).
func throttle(w http.ResponseWriter, wait time.Duration) reason {
	seconds := int64((wait + time.Second - 1) / time.Second)
	w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
	return throttled
}
