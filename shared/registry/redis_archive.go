package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

func (s *redisStore) Raw(ctx context.Context) (Raw, error) {
	var fields *redis.MapStringStringCmd
	err := s.wave(ctx, func(ctx context.Context, p redis.Pipeliner) {
		fields = p.HGetAll(ctx, s.space.Snapshot())
	})
	if err != nil {
		return Raw{}, fmt.Errorf("read the registry: %w", err)
	}
	raw := Raw{Fields: fields.Val(), Keyrings: map[string]map[string]string{}}
	rings := map[string]*redis.MapStringStringCmd{}
	err = s.wave(ctx, func(ctx context.Context, p redis.Pipeliner) {
		for field := range raw.Fields {
			if instance, is := strings.CutPrefix(field, fieldKeySet); is {
				rings[instance] = p.HGetAll(ctx, s.space.Keyring(instance))
			}
		}
	})
	if err != nil {
		return Raw{}, fmt.Errorf("read the sealed signing keys: %w", err)
	}
	for instance, ring := range rings {
		if len(ring.Val()) > 0 {
			raw.Keyrings[instance] = ring.Val()
		}
	}
	return raw, nil
}

// Clear leaves of the Snapshot's hash the audit trail's head and the turn, from then on which versions count.
func (s *redisStore) Clear(ctx context.Context, turn string) error {
	raw, err := s.Raw(ctx)
	if err != nil {
		return err
	}
	err = s.atomic(ctx, func(ctx context.Context, p redis.Pipeliner) {
		p.Del(ctx, s.space.Snapshot(), s.space.Names(KindClient), s.space.Names(KindConsumer))
		p.HSet(ctx, s.space.Snapshot(), fieldTurn, turn)
		if head := raw.Fields[fieldAudit]; head != "" {
			p.HSet(ctx, s.space.Snapshot(), fieldAudit, head)
		}
		for instance := range raw.Keyrings {
			p.Del(ctx, s.space.Keyring(instance))
		}
	})
	if err != nil {
		return fmt.Errorf("clear the registry: %w", err)
	}
	return nil
}

func (s *redisStore) Place(ctx context.Context, version string, objects []pending) error {
	for part := range slices.Chunk(objects, entriesAtOnce) {
		err := s.again(ctx, func() error {
			return s.wave(ctx, func(ctx context.Context, p redis.Pipeliner) {
				for _, object := range part {
					s.object(ctx, p, version, object)
				}
			})
		})
		if err != nil {
			return fmt.Errorf("place entries: %w", err)
		}
	}
	return nil
}

func (s *redisStore) Open(ctx context.Context, raw Raw, names map[Kind][]string, audit []string) error {
	for kind, all := range names {
		for part := range slices.Chunk(all, entriesAtOnce) {
			err := s.wave(ctx, func(ctx context.Context, p redis.Pipeliner) {
				p.SAdd(ctx, s.space.Names(kind), part)
			})
			if err != nil {
				return fmt.Errorf("place names: %w", err)
			}
		}
	}
	if err := s.bringAudit(ctx, audit); err != nil {
		return err
	}
	err := s.atomic(ctx, func(ctx context.Context, p redis.Pipeliner) {
		for instance, ring := range raw.Keyrings {
			p.Del(ctx, s.space.Keyring(instance))
			p.HSet(ctx, s.space.Keyring(instance), ring)
		}
		if len(audit) > 0 {
			p.Rename(ctx, s.broughtAudit(), s.space.Audit())
		}
		p.HSet(ctx, s.space.Snapshot(), raw.Fields)
	})
	if err != nil {
		return fmt.Errorf("open the registry: %w", err)
	}
	s.head.Store(&AuditHead{})
	return nil
}

// broughtAudit is where an audit trail waits until it takes its place together with its head.
func (s *redisStore) broughtAudit() string { return s.space.Audit() + ":brought" }

func (s *redisStore) bringAudit(ctx context.Context, audit []string) error {
	err := s.wave(ctx, func(ctx context.Context, p redis.Pipeliner) { p.Del(ctx, s.broughtAudit()) })
	for part := range slices.Chunk(audit, entriesAtOnce) {
		if err != nil {
			break
		}
		err = s.wave(ctx, func(ctx context.Context, p redis.Pipeliner) { p.RPush(ctx, s.broughtAudit(), part) })
	}
	if err != nil {
		return fmt.Errorf("bring the audit trail: %w", err)
	}
	return nil
}
