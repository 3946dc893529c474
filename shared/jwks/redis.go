package jwks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"keyless/shared/seal"
)

// callWithin bounds one call of the second level: waiting longer costs more than a fetch.
const callWithin = time.Second

type redisShared struct {
	client redis.UniversalClient
	cell   string
}

// NewRedis keeps fetched sets in Redis under the prefix cell: <cell>:{j:<digest of the URL>}, a JSON string
// {"text","fetched" (Unix ms),"max_age" (s)}, for a day; and <cell>:{j:<digest>}:lease while somebody may
// fetch. Each call is one round trip.
func NewRedis(client redis.UniversalClient, cell string) Shared { return &redisShared{client, cell} }

func (s *redisShared) key(url string) string { return s.cell + ":{j:" + seal.Digest(url) + "}" }

type entry struct {
	Text    string `json:"text"`
	Fetched int64  `json:"fetched"`
	MaxAge  int64  `json:"max_age"`
}

func (s *redisShared) Get(ctx context.Context, url string) (Stored, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	text, err := s.client.Get(ctx, s.key(url)).Bytes()
	if errors.Is(err, redis.Nil) {
		return Stored{}, false, nil
	}
	if err != nil {
		return Stored{}, false, fmt.Errorf("read a shared key set: %w", err)
	}
	var e entry
	if err := json.Unmarshal(text, &e); err != nil {
		return Stored{}, false, fmt.Errorf("read a shared key set: %w", err)
	}
	return Stored{
		Text: []byte(e.Text), Fetched: time.UnixMilli(e.Fetched), MaxAge: time.Duration(e.MaxAge) * time.Second,
	}, true, nil
}

func (s *redisShared) Put(ctx context.Context, url string, set Stored) error {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	text, err := json.Marshal(entry{string(set.Text), set.Fetched.UnixMilli(), int64(set.MaxAge / time.Second)})
	if err != nil {
		return fmt.Errorf("write a shared key set: %w", err)
	}
	if err := s.client.Set(ctx, s.key(url), text, maxStale).Err(); err != nil {
		return fmt.Errorf("write a shared key set: %w", err)
	}
	return nil
}

func (s *redisShared) Lease(ctx context.Context, url string, period time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	key := s.key(url) + ":lease"
	var granted *redis.BoolCmd
	var rest *redis.DurationCmd
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		granted = p.SetNX(ctx, key, "1", period)
		rest = p.PTTL(ctx, key)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("lease a fetch: %w", err)
	}
	if granted.Val() {
		return 0, nil
	}
	return max(rest.Val(), time.Millisecond), nil
}
