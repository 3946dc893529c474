// Package quota decides how much: whether one more call fits into the limits of its domain, its API, its
// consumer and the consumer's groups. It exists so that "1,000 calls a day" means exactly that on any
// number of instances, through retries and lost replies, by the calendar of the limit's own time zone.
//
// A request meets it once, after the gate has decided and before the first byte goes upstream: Admit
// sends one wave to Redis that counts the call under all its limits or under none, and tells in the same
// answer whether what the gate believed is still true. Where no byte reached an upstream, GiveBack takes
// the call off again.
//
// Nothing is kept in the process but time zones; safe for concurrent use. Headers: RateLimit and
// RateLimit-Policy (https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/, structured
// fields of RFC 9651), Retry-After (RFC 9110 section 10.2.3), 429 (RFC 6585 section 4).
package quota

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"keyless/shared/registry"
)

const (
	// admitWithin bounds an admission, a second try after a lost reply included: the caller waits for it,
	// and a store that takes longer is away.
	admitWithin = time.Second
	// undoWithin bounds the attempt to take off what a failed admission may have counted: the answer is a
	// failure already, and a caller should not wait for a store that is away twice.
	undoWithin = 250 * time.Millisecond
	// tolerance is how far the process's clock and Redis' may differ before a window of the one is no
	// window of the other: above what NTP leaves, below what a caller could use.
	tolerance = 5 * time.Second
	// keepReservation is how long a request's part in the counters is remembered by its id: the longest
	// that a function, and so a call that may be given back, lives.
	keepReservation = 15 * time.Minute
	// keepCounter is how long a counter outlives its window: a report of yesterday, and a call given back
	// just after the end, still find it.
	keepCounter = 24 * time.Hour
	// maxLimit is the largest integer of a structured field (RFC 9651 section 3.3.1), and below 2^50, up
	// to which every Lua and every JSON counts exactly.
	maxLimit = 999_999_999_999_999
)

// ErrClock says that this process's clock and that of Redis differ by more than five seconds at the edge
// of a window. Nothing is counted; a failure of ours, 503.
var ErrClock = errors.New("the clocks of this process and of the store differ by more than 5 seconds")

// Call is a call that the gate has allowed, with what it believed when it did.
type Call struct {
	RequestID string // ours; the same id never counts twice
	Revision  string // of the Snapshot that decided
	Domain    *registry.Domain
	API       *registry.API
	Consumer  *registry.Consumer // nil: open API
	Groups    []*registry.Group  // of the consumer
}

// Admission is what became of a call: it is Admitted, or Stale (what the gate believed is old: nothing
// counted, decide again), or there is a Refusal.
type Admission struct {
	Admitted  bool
	Stale     bool
	Refusal   *Refusal
	Standings []Standing // every limit that the call met, in the order domain, API, groups, consumer

	taken []taking
}

// Refusal names the limit that the call ran into; of several the one that opens last.
type Refusal struct {
	Subject    string // DOMAIN, API, GROUP or CONSUMER
	Limit      string // its key in the configuration file
	RetryAfter time.Duration
}

// Standing is where a limit stands after the call, in calls.
type Standing struct {
	Name      string // subject and window: domain-day, group-batch-minute
	Limit     int64
	Remaining int64
	Reset     time.Duration // until the window ends
}

// Quota counts calls. Make one with NewRedis; safe for concurrent use.
type Quota struct {
	scripts *scripts
	space   registry.Space
	now     func() time.Time
	zones   sync.Map // name → *time.Location; the tz database bounds it
}

// Admit counts the call under all limits that it meets, or under none. One round trip: the revision, the
// consumer's version, and a script for each subject with limits; one more where something is taken off
// again because a limit refuses or the gate's knowledge is Stale. The same RequestID again gives the same
// admission and counts nothing.
//
// It goes on when the caller hangs up, for what is counted must be known. The error is ErrClock, an
// unknown time zone, or wraps the store's; nothing is counted then, as far as the store still hears us.
func (q *Quota) Admit(ctx context.Context, c Call) (Admission, error) {
	now := q.now()
	asks, err := q.asks(c, now)
	if err != nil {
		return Admission{}, err
	}
	ctx = context.WithoutCancel(ctx)
	seen, err := q.wave(ctx, asks)
	if err != nil {
		q.undo(ctx, asks)
		return Admission{}, fmt.Errorf("admit a call: %w", err)
	}
	a, err := judge(c.Revision, asks, seen, now)
	if a.Admitted {
		return a, nil
	}
	if back := q.GiveBack(ctx, a); back != nil {
		return Admission{}, errors.Join(err, back)
	}
	a.taken = nil
	return a, err
}

func (q *Quota) wave(ctx context.Context, asks []ask) (sight, error) {
	ctx, cancel := context.WithTimeout(ctx, admitWithin)
	defer cancel()
	return q.scripts.admit(ctx, q.space.Snapshot(), asks)
}

// undo takes off what an admission counted whose answer did not arrive. Its own failure adds nothing to
// that one's.
func (q *Quota) undo(ctx context.Context, asks []ask) {
	ctx, cancel := context.WithTimeout(ctx, undoWithin)
	defer cancel()
	var taken []taking
	for _, one := range asks {
		if len(one.rules) > 0 {
			taken = append(taken, one.taking(one.record()))
		}
	}
	if len(taken) > 0 {
		_ = q.scripts.giveBack(ctx, taken)
	}
}

// GiveBack takes an admitted call off the counters of the windows that it was counted in, however late.
// One round trip; none where nothing was counted. A second time changes nothing.
func (q *Quota) GiveBack(ctx context.Context, a Admission) error {
	if len(a.taken) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), admitWithin)
	defer cancel()
	if err := q.scripts.giveBack(ctx, a.taken); err != nil {
		return fmt.Errorf("give a call back: %w", err)
	}
	return nil
}

// The answers of the admission script.
const (
	statusAdmitted = 0
	statusFull     = 1
	statusClock    = 2
	statusStale    = 3
)

// judge makes one admission of the subjects' answers.
func judge(revision string, asks []ask, seen sight, now time.Time) (Admission, error) {
	a := Admission{Admitted: true, Stale: seen.revision != revision}
	var err error
	for i, answer := range seen.answers {
		if answer.record != "" {
			a.taken = append(a.taken, asks[i].taking(answer.record))
		}
		switch answer.status {
		case statusAdmitted:
		case statusFull:
			a.Admitted = false
			a.Refusal = later(a.Refusal, asks[i].refusal(answer.counts, now))
		case statusStale:
			a.Stale = true
		default:
			err = ErrClock
		}
	}
	if a.Stale || err != nil {
		return Admission{Stale: err == nil, taken: a.taken}, err
	}
	for i, answer := range seen.answers {
		// What another subject's refusal gives back stands in the count still.
		given := answer.status == statusAdmitted && !a.Admitted
		a.Standings = append(a.Standings, asks[i].standings(answer.counts, given, now)...)
	}
	return a, nil
}

// later returns the refusal that opens last.
func later(a, b *Refusal) *Refusal {
	if a == nil || b != nil && b.RetryAfter > a.RetryAfter {
		return b
	}
	return a
}
