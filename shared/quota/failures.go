package quota

import (
	"context"
	"fmt"
	"time"

	"keyless/shared/seal"
)

// pace is a limit of failures: so many at once, then one in every interval.
type pace struct {
	every time.Duration
	burst int
}

// How often an authentication may fail. Whoever mistypes a secret does not notice; whoever guesses gets nowhere against
// 256 random bits, nor against the 16 characters of a brought secret.
var (
	// paceOfBoth is that of one client from one address: a person who configures a job fails a few times.
	paceOfBoth = pace{6 * time.Second, 10}
	// paceOfClient and paceOfAddress are wider: a company's machines share one address, and a rotation that went wrong
	// fails on all machines of a client at once.
	paceOfClient  = pace{time.Second, 60}
	paceOfAddress = pace{time.Second, 60}
)

// ClientFailed counts a failed authentication of a client (instance and client_id, whatever the caller claims) from an
// address, and returns how long to wait before the next try, 0 where the limits hold: of the client from the address
// one in 6 s and 10 at once; of the client, and of the address, one a second and 60 at once. One round trip, and none
// where nothing fails.
//
//	{f:<digest>}  int64  when the next failure would conform, Unix milliseconds; lives until then
//
// Source: RFC 6749 §2.3.1 (MUST protect against brute force), ITU-T I.371 (the algorithm).
func (q *Quota) ClientFailed(ctx context.Context, client, address string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, admitWithin)
	defer cancel()
	limits := []struct {
		digest string
		pace
	}{
		{seal.Digest("failed client at address", client, address), paceOfBoth},
		{seal.Digest("failed client", client), paceOfClient},
		{seal.Digest("failed address", address), paceOfAddress},
	}
	lines := make([]line, len(limits))
	for i, limit := range limits {
		lines[i] = line{
			Keys: []string{string(q.space) + ":{f:" + limit.digest + "}"},
			Args: []any{limit.every.Milliseconds(), limit.burst},
		}
	}
	waits, err := q.scripts.failed(ctx, lines)
	if err != nil {
		return 0, fmt.Errorf("count a failed authentication: %w", err)
	}
	longest := time.Duration(0)
	for _, wait := range waits {
		longest = max(longest, time.Duration(wait)*time.Millisecond)
	}
	return longest, nil
}
