package keyring

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// callWithin bounds one call: what takes longer is a store that is away.
	callWithin = time.Second
	// editionBytes make a revision as the registry makes it: random, 16 hexadecimal characters, so that a
	// store which came back older never repeats one.
	editionBytes = 8

	fieldKeySet   = "jwks:"
	fieldRevision = "revision"
)

// replace carries out an Edit where the document is still what its author read: one step, so that whoever is
// killed has done all of it or nothing. Where there was no document, private keys beside it are those of an
// instance that was removed. Both keys carry the Snapshot's hash tag. KEYS: Snapshot, keyring. ARGV: field,
// before, after, the revision's field, revision, the number of keys to add, their kids and sealed forms, and
// the kids to drop.
var replace = redis.NewScript(`
local now = redis.call('HGET', KEYS[1], ARGV[1])
if (now or '') ~= ARGV[2] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[2]) end
local dropped = 7 + 2 * tonumber(ARGV[6])
for i = 7, dropped - 1, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
for i = dropped, #ARGV do redis.call('HDEL', KEYS[2], ARGV[i]) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3], ARGV[4], ARGV[5])
return 1`)

// reseal replaces a sealed key that is still what was read. KEYS: keyring. ARGV: kid, before, after.
var reseal = redis.NewScript(`
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1`)

type redisStore struct {
	client redis.UniversalClient
	cell   string
}

// NewRedis keeps keys in Redis under the prefix cell. Private: the hash <cell>:{s}:keyring:<instance>, kid to
// sealed JWK. Public: the field jwks:<instance> of the hash <cell>:{s}, the Snapshot's. They are the names
// of registry.Space, as a test checks. Each call is one round trip.
func NewRedis(client redis.UniversalClient, cell string) Store { return &redisStore{client, cell} }

func (s *redisStore) snapshot() string               { return s.cell + ":{s}" }
func (s *redisStore) keyring(instance string) string { return s.cell + ":{s}:keyring:" + instance }

func (s *redisStore) Public(ctx context.Context, instance string) (string, error) {
	return s.field(ctx, s.snapshot(), fieldKeySet+instance)
}

func (s *redisStore) Private(ctx context.Context, instance, kid string) (string, error) {
	return s.field(ctx, s.keyring(instance), kid)
}

func (s *redisStore) field(ctx context.Context, key, field string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	text, err := s.client.HGet(ctx, key, field).Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read %s of %s: %w", field, key, err)
	}
	return text, nil
}

func (s *redisStore) Privates(ctx context.Context, instance string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	all, err := s.client.HGetAll(ctx, s.keyring(instance)).Result()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", s.keyring(instance), err)
	}
	return all, nil
}

func (s *redisStore) Replace(ctx context.Context, instance string, e Edit) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	arguments := []any{fieldKeySet + instance, e.Before, e.After, fieldRevision, newEdition(), len(e.Add)}
	for kid, sealed := range e.Add {
		arguments = append(arguments, kid, sealed)
	}
	for _, kid := range e.Drop {
		arguments = append(arguments, kid)
	}
	done, err := replace.Run(ctx, s.client, []string{s.snapshot(), s.keyring(instance)}, arguments...).Int()
	if err != nil {
		return false, fmt.Errorf("write %s%s: %w", fieldKeySet, instance, err)
	}
	return done == 1, nil
}

func (s *redisStore) Reseal(ctx context.Context, instance, kid, before, after string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	done, err := reseal.Run(ctx, s.client, []string{s.keyring(instance)}, kid, before, after).Int()
	if err != nil {
		return false, fmt.Errorf("write %s of %s: %w", kid, s.keyring(instance), err)
	}
	return done == 1, nil
}

func newEdition() string {
	b := make([]byte, editionBytes)
	_, _ = rand.Read(b) // crypto/rand.Read never returns an error
	return hex.EncodeToString(b)
}
