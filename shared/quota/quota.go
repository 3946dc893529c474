// Package quota decides how much: whether one more call, and what it may use at most, fits into the limits
// of its domain, its API, its consumer, the consumer's groups and the model. It exists so that "1,000 calls
// a day" and "200,000 tokens a day" mean exactly that on any number of instances, under streams, crashes,
// retries and lost replies, by the calendar of the limit's own time zone.
//
// A request meets it twice. After the gate has decided and before the first byte goes upstream, Admit sends
// one wave to Redis that holds what the call may use under all its limits or under none, and tells in the
// same answer whether what the gate believed is still true. After the last byte Settle corrects what was
// held to what was used, in the windows in which it was held, and writes the ledger. Where no byte reached
// an upstream, GiveBack takes the call off again. A call that does neither stays charged with what it held:
// held and used together never exceed a limit, unless an upstream tells that more was used than was asked.
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
	// settleWithin bounds a settlement, a second try included. What it cannot settle stays charged.
	settleWithin = 2 * time.Second
	// keepReservation is how long a request's part in the counters is remembered by its id: the longest
	// that a function, and so a call that may be given back, lives.
	keepReservation = 15 * time.Minute
	// keepHeld is that of a request that holds usage, and is to be settled, however late: the longest call,
	// and an hour.
	keepHeld = longestCall + time.Hour
	// keepSettled is how long a settled request is known by its id: longer than a settlement is tried.
	keepSettled = 15 * time.Minute
	// keepVoid is how long a request is known whose admission failed: longer than the admission itself may
	// be on its way.
	keepVoid = time.Minute
	// usualCall is the lease of a slot where the call does not say how long it may take: the longest that a
	// function lives. longestCall bounds what it says.
	usualCall   = 15 * time.Minute
	longestCall = 24 * time.Hour
	// keepCounter is how long a counter outlives its window: a report of yesterday, and the longest call, settled
	// after the end, still find it.
	keepCounter = 25 * time.Hour
	// maxLimit is the largest integer of a structured field (RFC 9651 section 3.3.1), and below 2^50, up
	// to which every Lua and every JSON counts exactly.
	maxLimit = 999_999_999_999_999
	// maxAmount is the most that one call can count: above every limit.
	maxAmount = maxLimit + 1
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

	Model      string        // the caller's name for the model, for limits by model; "" none
	Tokens     int64         // model tokens that the call may use at most; 0: nothing metered
	Spend      int64         // millionths of the currency that it may cost at most
	Longest    time.Duration // that the call may take: its slot is free after that; 0: 15 minutes; at most a day
	Revocation string        // digest to look up in the same wave; "" none
}

// Admission is what became of a call: it is Admitted, or Stale (what the gate believed is old: nothing
// counted, decide again), or Revoked (its token was: nothing counted), or there is a Refusal.
type Admission struct {
	Admitted  bool
	Stale     bool
	Revoked   bool
	Bypassed  bool // admitted without being counted: the store is away, and the operator said open
	Refusal   *Refusal
	Standings []Standing // every limit that the call met, in the order domain, API, groups, consumer

	requestID string
	resent    bool // a reply was lost: a copy of the admission may yet be on its way
	taken     []taking
}

// Kind is what a limit counts.
type Kind string

// What a limit counts.
const (
	Calls       Kind = "calls"
	Tokens      Kind = "tokens"
	Spend       Kind = "spend"
	Rate        Kind = "rate"
	Concurrency Kind = "concurrency"
)

// Refusal names the limit that the call ran into; of several the one that opens last.
type Refusal struct {
	Subject    string // DOMAIN, API, GROUP, CONSUMER or MODEL
	Limit      string // its key in the configuration file, as tokens_per_day
	Kind       Kind
	RetryAfter time.Duration
	TooLarge   bool  // the call asks for more than the whole limit: waiting does not help
	Fits       int64 // what would have fitted, in the limit's unit
}

// Standing is where a limit stands after the call, in calls, model tokens or millionths of the currency.
type Standing struct {
	Name      string // subject and window: domain-day, group-batch-minute, consumer-model-day-tokens
	Kind      Kind
	Limit     int64
	Remaining int64
	Reset     time.Duration // until the window ends; of a rate until all of the burst is there again
	Shadow    bool          // the limit reports and does not refuse
	Exceeded  bool          // the call does not fit; of a Shadow limit: and is admitted all the same
}

// Used is what a call used in the end.
type Used struct {
	Tokens int64
	Spend  int64 // millionths of the currency
}

// Quota counts calls and what they use. Make one with NewRedis; safe for concurrent use.
type Quota struct {
	// Open lets a call pass uncounted where the store is away (KEYLESS_STORE_FAILURE=open). A call whose
	// token may have been revoked never does. Set it before the first call.
	Open bool

	scripts *scripts
	space   registry.Space
	now     func() time.Time
	zones   sync.Map // name → *time.Location; the tz database bounds it
}

// Admit holds what the call may use under all limits that it meets, or under none. One round trip: the
// revision, the revocation, the consumer's version, and a script for each subject with limits; one more
// where something is taken off again because a limit refuses or the gate's knowledge is Stale. The same
// RequestID again gives the same admission and counts nothing, but for a rate, which it may count twice.
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
	seen, err := q.wave(ctx, c, asks)
	if err != nil {
		q.undo(ctx, c.RequestID, asks)
		if q.Open && c.Revocation == "" && away(err) {
			return Admission{Admitted: true, Bypassed: true}, nil
		}
		return Admission{}, fmt.Errorf("admit a call: %w", err)
	}
	a, err := judge(c, asks, seen, now)
	if a.Admitted {
		return a, nil
	}
	if back := q.GiveBack(ctx, a); back != nil {
		return Admission{}, errors.Join(err, back)
	}
	a.taken = nil
	return a, err
}

func (q *Quota) wave(ctx context.Context, c Call, asks []ask) (sight, error) {
	ctx, cancel := context.WithTimeout(ctx, admitWithin)
	defer cancel()
	revoked := ""
	if c.Revocation != "" {
		revoked = q.space.Revoked(c.Revocation)
	}
	return q.scripts.admit(ctx, q.space.Snapshot(), revoked, asks)
}

// The answers of the admission script.
const (
	statusAdmitted = 0
	statusFull     = 1
	statusClock    = 2
	statusStale    = 3
	statusVoid     = 4
)

// errVoid says that the admission of this request has failed and was taken back.
var errVoid = errors.New("the request was given up")

// judge makes one admission of the subjects' answers. What it does not admit holds what is to be given back.
func judge(c Call, asks []ask, seen sight, now time.Time) (Admission, error) {
	a := Admission{Admitted: true, requestID: c.RequestID, resent: seen.resent}
	stale := seen.revision != c.Revision
	var err error
	for i, answer := range seen.answers {
		switch {
		case answer.held.holds():
			a.taken = append(a.taken, asks[i].taking(answer.held))
		case seen.resent && asks[i].holds(): // the copy on its way may find that it fits after all
			a.taken = append(a.taken, asks[i].taking(asks[i].holding()))
		}
		switch answer.status {
		case statusAdmitted:
		case statusFull:
			a.Admitted = false
			a.Refusal = later(a.Refusal, asks[i].refusal(answer, now))
		case statusStale:
			stale = true
		case statusVoid:
			err = errVoid
		default:
			err = ErrClock
		}
	}
	if stale || seen.revoked || err != nil {
		gone := Admission{requestID: c.RequestID, resent: seen.resent, taken: a.taken}
		gone.Revoked = err == nil && seen.revoked
		gone.Stale = err == nil && !seen.revoked
		return gone, err
	}
	for i, answer := range seen.answers {
		a.Standings = append(a.Standings, asks[i].standings(answer, a.Admitted, now)...)
	}
	return a, nil
}
