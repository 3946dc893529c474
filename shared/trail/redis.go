package trail

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"keyless/shared/registry"
)

// NewRedis keeps records in Redis, under the prefix cell as a registry does. now is the process's clock.
//
//	{e:<request id>}  string  the record of a refusal, JSON; lives an hour
func NewRedis(client redis.UniversalClient, cell string, now func() time.Time) *Trail {
	return &Trail{server: redisServer{client}, space: registry.Space(cell), now: now}
}

type redisServer struct{ client redis.UniversalClient }

func (s redisServer) set(ctx context.Context, key string, value []byte, keep time.Duration) error {
	return s.client.Set(ctx, key, value, keep).Err()
}

func (s redisServer) get(ctx context.Context, key string) ([]byte, error) {
	value, err := s.client.Get(ctx, key).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return value, err
}
