package proxy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisAnswers keeps answers in Redis: <cell>:{h:<name>} is one, sealed, and ends by itself.
type redisAnswers struct {
	client redis.UniversalClient
	cell   string
}

// NewAnswers keeps cached answers in a cell's store. Each method is one round trip. Safe for concurrent use.
func NewAnswers(client redis.UniversalClient, cell string) Answers {
	return &redisAnswers{client, cell}
}

func (a *redisAnswers) key(name string) string { return a.cell + ":{h:" + name + "}" }

func (a *redisAnswers) Recall(ctx context.Context, name string) ([]byte, error) {
	sealed, err := a.client.Get(ctx, a.key(name)).Bytes()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read a cached answer: %w", err)
	}
	return sealed, nil
}

func (a *redisAnswers) Keep(ctx context.Context, name string, sealed []byte, lasts time.Duration) error {
	if err := a.client.Set(ctx, a.key(name), sealed, lasts).Err(); err != nil {
		return fmt.Errorf("write a cached answer: %w", err)
	}
	return nil
}
