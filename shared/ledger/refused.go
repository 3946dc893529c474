package ledger

import (
	"context"
	"sync"
	"time"
)

const (
	// refusedEvery is how often a process writes refusals at most: a consumer who runs into its limit a thousand times a second costs
	// the store one write.
	refusedEvery = time.Second
	// maxRefused bounds the sums that wait to be written; what does not fit is lost, for refusals cost nobody anything.
	maxRefused = 1024
)

// refused sums up refusals until they are written. The zero value is ready.
type refused struct {
	mu      sync.Mutex // guards what follows
	written time.Time
	sums    map[refusal]int64
}

// refusal is what refusals are summed up by.
type refusal struct {
	day           time.Time
	consumer, api string
}

// count adds one and returns the sums that are due to be written, nil where none are.
func (r *refused) count(one refusal, now time.Time) map[refusal]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sums == nil {
		r.sums = map[refusal]int64{}
	}
	if _, there := r.sums[one]; there || len(r.sums) < maxRefused {
		r.sums[one]++
	}
	if since := now.Round(0).Sub(r.written); since >= 0 && since < refusedEvery {
		return nil
	}
	due := r.sums
	r.sums, r.written = nil, now.Round(0)
	return due
}

// Refused counts a call of a consumer that the gateway itself refused: in the counters of its day, under the API, with no upstream and no
// model. At most one round trip a second; what waits when a process ends is lost.
func (l *Refusals) Refused(ctx context.Context, consumer, api string) error {
	now := l.now()
	due := l.refused.count(refusal{dayOf(now), consumer, api}, now)
	if due == nil {
		return nil
	}
	return l.write(ctx, due)
}
