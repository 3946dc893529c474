package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"keyless/shared/registry"
)

// refusedWithin bounds the write of refusals: the answer is out, and nobody should wait for the statistics.
const refusedWithin = 250 * time.Millisecond

// Refusals counts calls that the gateway itself refused. Make one with NewRefusals; safe for concurrent use. It is apart from Ledger so
// that the data path links no reports.
type Refusals struct {
	client redis.UniversalClient
	space  registry.Space
	now    func() time.Time

	refused refused
}

// NewRefusals counts in Redis, under the prefix cell. now is the process's clock.
func NewRefusals(client redis.UniversalClient, cell string, now func() time.Time) *Refusals {
	return &Refusals{client: client, space: registry.Space(cell), now: now}
}

func (l *Refusals) write(ctx context.Context, sums map[refusal]int64) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refusedWithin)
	defer cancel()
	p := l.client.Pipeline()
	for r, n := range sums {
		who, end := whose(Whose{r.consumer, r.api}), r.day.Add(keepCounters)
		key, index := subjectKey(l.space, who, "u", dayName(r.day)), indexKey(l.space, r.day, shardOf(who))
		p.HIncrBy(ctx, key, refusals+"|"+combination(r.api, "", ""), n)
		p.ExpireAt(ctx, key, end)
		p.SAdd(ctx, index, who)
		p.ExpireAt(ctx, index, end)
	}
	if _, err := p.Exec(ctx); err != nil {
		return fmt.Errorf("count refusals: %w", err)
	}
	return nil
}
