package proxy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisCircuits keeps open circuits in Redis: <cell>:{u:<upstream>}:open is the time in Unix milliseconds until which the upstream is
// left alone, and <cell>:{u:<upstream>}:probe stands while one process tries it. Both end by themselves.
type redisCircuits struct {
	client redis.UniversalClient
	cell   string
	now    func() time.Time
}

// NewCircuits shares circuits between the processes of a cell. Each method is one round trip. Safe for concurrent use.
func NewCircuits(client redis.UniversalClient, cell string, now func() time.Time) Circuits {
	return &redisCircuits{client: client, cell: cell, now: now}
}

func (c *redisCircuits) key(upstream, what string) string {
	return c.cell + ":{u:" + upstream + "}:" + what
}

func (c *redisCircuits) Learn(ctx context.Context, upstream string) (time.Time, error) {
	millis, err := c.client.Get(ctx, c.key(upstream, "open")).Int64()
	switch {
	case errors.Is(err, redis.Nil):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, fmt.Errorf("read the circuit of %s: %w", upstream, err)
	}
	// A clock that is ahead must not close an upstream for long.
	return earlier(time.UnixMilli(millis), c.now().Add(pause)), nil
}

func (c *redisCircuits) Tell(ctx context.Context, upstream string, until time.Time) error {
	var err error
	if lasts := until.Sub(c.now()); lasts > 0 {
		pipe := c.client.Pipeline()
		pipe.Set(ctx, c.key(upstream, "open"), until.UnixMilli(), lasts)
		pipe.Del(ctx, c.key(upstream, "probe"))
		_, err = pipe.Exec(ctx)
	} else {
		err = c.client.Del(ctx, c.key(upstream, "open"), c.key(upstream, "probe")).Err()
	}
	if err != nil {
		return fmt.Errorf("write the circuit of %s: %w", upstream, err)
	}
	return nil
}

func (c *redisCircuits) Probe(ctx context.Context, upstream string, within time.Duration) (bool, error) {
	mine, err := c.client.SetNX(ctx, c.key(upstream, "probe"), 1, within).Result()
	if err != nil {
		return false, fmt.Errorf("ask to try %s: %w", upstream, err)
	}
	return mine, nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
