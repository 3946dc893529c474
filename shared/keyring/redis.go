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

// replace changes the key set of one instance where it is still what the caller read. Both keys carry the
// Snapshot's hash tag. KEYS: Snapshot, keyring. ARGV: field, before, after, kid or "", sealed, revision, and
// the revision's field.
var replace = redis.NewScript(`
local now = redis.call('HGET', KEYS[1], ARGV[1])
if (now or '') ~= ARGV[2] then return 0 end
if ARGV[4] ~= '' then redis.call('HSET', KEYS[2], ARGV[4], ARGV[5]) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3], ARGV[7], ARGV[6])
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

func (s *redisStore) Replace(
	ctx context.Context, instance, before, after, kid, sealed string,
) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	done, err := replace.Run(ctx, s.client, []string{s.snapshot(), s.keyring(instance)},
		fieldKeySet+instance, before, after, kid, sealed, newEdition(), fieldRevision).Int()
	if err != nil {
		return false, fmt.Errorf("write %s%s: %w", fieldKeySet, instance, err)
	}
	return done == 1, nil
}

func newEdition() string {
	b := make([]byte, editionBytes)
	_, _ = rand.Read(b) // crypto/rand.Read never returns an error
	return hex.EncodeToString(b)
}
