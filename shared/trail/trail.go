// Package trail remembers for an hour why live requests were refused, so that an operator who is given a request id can ask about it.
//
// A request meets it after its answer is written, and only where the caller is proven: a stranger's refusal costs no write, and is
// explained by sending the request itself to explain. What one process writes is bounded by the second, so that a caller who runs into
// its limit a thousand times a second costs the store ten writes.
//
// It knows nothing of what it keeps: the record is auth.Record as JSON. Nothing here outlives its request; safe for concurrent use.
package trail

import (
	"context"
	"fmt"
	"sync"
	"time"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

const (
	// keepFor is how long a refusal can be asked about: as long as somebody who saw it is still at it.
	keepFor = time.Hour
	// perSecond bounds the writes of one process: an operator asks about one refusal of many alike.
	perSecond = 10
	// maxRecordBytes bounds a record: a trace has some ten steps of a hundred bytes each.
	maxRecordBytes = 8 << 10
	// within bounds a call: the answer is out, and nobody should wait for its explanation.
	within = 250 * time.Millisecond
)

// Trail is a store of records by request id.
type Trail struct {
	server server
	space  registry.Space
	now    func() time.Time

	mu     sync.Mutex // guards both below
	second int64      // the wall clock's, in Unix time
	kept   int        // in that second
}

// server is what Redis does for us.
type server interface {
	set(ctx context.Context, key string, value []byte, keep time.Duration) error
	get(ctx context.Context, key string) ([]byte, error) // nil where there is none
}

// Keep keeps a record for an hour. What is beyond the bounds is dropped, which is no error. One round trip.
func (t *Trail) Keep(ctx context.Context, requestID string, record []byte) error {
	if !oauth.ValidName(requestID) || len(record) > maxRecordBytes || !t.mayKeep() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := t.server.set(ctx, t.key(requestID), record, keepFor); err != nil {
		return fmt.Errorf("keep the record of a refusal: %w", err)
	}
	return nil
}

// Find returns the record of a request, nil where there is none. One round trip.
func (t *Trail) Find(ctx context.Context, requestID string) ([]byte, error) {
	if !oauth.ValidName(requestID) {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 4*within) // an operator waits for this one
	defer cancel()
	record, err := t.server.get(ctx, t.key(requestID))
	if err != nil {
		return nil, fmt.Errorf("find the record of a refusal: %w", err)
	}
	return record, nil
}

func (t *Trail) key(requestID string) string { return string(t.space) + ":{e:" + requestID + "}" }

// mayKeep counts one more record of this second, unless it is full.
func (t *Trail) mayKeep() bool {
	second := t.now().Unix()
	t.mu.Lock()
	defer t.mu.Unlock()
	if second != t.second {
		t.second, t.kept = second, 0
	}
	t.kept++
	return t.kept <= perSecond
}
