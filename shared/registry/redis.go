package registry

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisStore is the Store of everything but unit tests.
type redisStore struct {
	client redis.UniversalClient
	space  Space
	head   atomic.Pointer[AuditHead] // the newest audit entry that this process knows; a guess that saves a round trip
}

// NewRedis makes a Store under the prefix cell, default kg. Any server from Redis 6.2 on will do, also
// Valkey.
func NewRedis(client redis.UniversalClient, cell string) Store {
	s := &redisStore{client: client, space: Space(cell)}
	s.head.Store(&AuditHead{})
	return s
}

// filler puts commands into a pipeline.
type filler func(context.Context, redis.Pipeliner)

// wave sends commands as one pipeline: one round trip, on a cluster one to each node, in parallel. A nil
// reply is no error here; what it means is the caller's matter.
func (s *redisStore) wave(ctx context.Context, fill filler) error {
	return s.send(ctx, s.client.Pipeline(), fill)
}

// atomic sends commands on keys of one slot as one transaction: all or none, one round trip.
func (s *redisStore) atomic(ctx context.Context, fill filler) error {
	return s.send(ctx, s.client.TxPipeline(), fill)
}

func (s *redisStore) send(ctx context.Context, p redis.Pipeliner, fill filler) error {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	fill(ctx, p)
	if p.Len() == 0 {
		return nil
	}
	replies, err := p.Exec(ctx)
	if err == nil || !errors.Is(err, redis.Nil) {
		return err
	}
	for _, reply := range replies {
		if err := reply.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
	}
	return nil
}

func (s *redisStore) Fields(ctx context.Context) (map[string]string, error) {
	var fields *redis.MapStringStringCmd
	err := s.wave(ctx, func(ctx context.Context, p redis.Pipeliner) {
		fields = p.HGetAll(ctx, s.space.Snapshot())
	})
	if err != nil {
		return nil, fmt.Errorf("read the Snapshot: %w", err)
	}
	return shown(fields.Val()), nil
}

func (s *redisStore) Revision(ctx context.Context) (string, error) {
	_, revision, err := s.Entries(ctx, KindConsumer)
	return revision, err
}

func (s *redisStore) Entries(
	ctx context.Context, kind Kind, names ...string,
) (map[string]Entry, string, error) {
	var revision *redis.StringCmd
	replies := map[string]*redis.SliceCmd{}
	err := s.wave(ctx, func(ctx context.Context, p redis.Pipeliner) {
		revision = p.HGet(ctx, s.space.Snapshot(), FieldRevision)
		for _, name := range names {
			replies[name] = p.HMGet(ctx, s.space.Entry(kind, name), FieldVersion, FieldEntry)
		}
	})
	if err != nil {
		return nil, "", fmt.Errorf("read entries: %w", err)
	}
	found := map[string]Entry{}
	for name, reply := range replies {
		version, isVersion := reply.Val()[0].(string)
		value, isValue := reply.Val()[1].(string)
		if isVersion && isValue {
			found[name] = Entry{Version: version, Value: value}
		}
	}
	return found, revision.Val(), nil
}

func (s *redisStore) Indexed(ctx context.Context, indexes ...string) ([]map[string]Entry, string, error) {
	var revision *redis.StringCmd
	replies := make([]*redis.MapStringStringCmd, len(indexes))
	err := s.wave(ctx, func(ctx context.Context, p redis.Pipeliner) {
		revision = p.HGet(ctx, s.space.Snapshot(), FieldRevision)
		for i, index := range indexes {
			replies[i] = p.HGetAll(ctx, s.space.Index(index))
		}
	})
	if err != nil {
		return nil, "", fmt.Errorf("read indexes: %w", err)
	}
	found := make([]map[string]Entry, len(indexes))
	for i, reply := range replies {
		found[i] = map[string]Entry{}
		for name, text := range reply.Val() {
			if version, value, there := strings.Cut(text, "\n"); there {
				found[i][name] = Entry{Version: version, Value: value}
			}
		}
	}
	return found, revision.Val(), nil
}

func (s *redisStore) Names(ctx context.Context, kind Kind) ([]string, error) {
	var names *redis.StringSliceCmd
	err := s.wave(ctx, func(ctx context.Context, p redis.Pipeliner) {
		names = p.SMembers(ctx, s.space.Names(kind))
	})
	if err != nil {
		return nil, fmt.Errorf("list names: %w", err)
	}
	return names.Val(), nil
}

// resealField, resealEntry and resealIndex replace a text by one that means the same, where it is still what was
// read: neither a revision nor a version moves. KEYS: the hash. ARGV: field, before, after · version, before,
// after · name, version, after.
var (
	resealField = redis.NewScript(`
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1`)
	resealEntry = redis.NewScript(`
if redis.call('HGET', KEYS[1], 'version') ~= ARGV[1] then return 0 end
if redis.call('HGET', KEYS[1], 'entry') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'entry', ARGV[3])
return 1`)
	resealIndex = redis.NewScript(`
local copy = redis.call('HGET', KEYS[1], ARGV[1])
local head = ARGV[2] .. '\n'
if not copy or string.sub(copy, 1, #head) ~= head then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], head .. ARGV[3])
return 1`)
)

func (s *redisStore) ResealField(ctx context.Context, field, before, after string) (bool, error) {
	return s.reseal(ctx, resealField, s.space.Snapshot(), field, before, after)
}

func (s *redisStore) ResealEntry(
	ctx context.Context, kind Kind, name string, before Entry, after string, indexes []string,
) (bool, error) {
	for _, index := range indexes {
		if _, err := s.reseal(ctx, resealIndex, s.space.Index(index), name, before.Version, after); err != nil {
			return false, err
		}
	}
	return s.reseal(ctx, resealEntry, s.space.Entry(kind, name), before.Version, before.Value, after)
}

func (s *redisStore) reseal(ctx context.Context, script *redis.Script, key string, arguments ...any) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	done, err := script.Run(ctx, s.client, []string{key}, arguments...).Int()
	if err != nil {
		return false, fmt.Errorf("seal %s again: %w", key, err)
	}
	return done == 1, nil
}

// markUsed notes a use. KEYS: the client's hash. ARGV: field, Unix seconds, seconds within which a use stands.
var markUsed = redis.NewScript(`
if redis.call('HEXISTS', KEYS[1], 'entry') == 0 then return 0 end
local had = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
local since = tonumber(ARGV[2]) - had
if since >= 0 and since < tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1`)

func (s *redisStore) MarkUsed(ctx context.Context, client, secret string, at time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	key := s.space.Entry(KindClient, client)
	return markUsed.Run(ctx, s.client, []string{key}, fieldUsed+secret, at.Unix(), int64(useEvery/time.Second)).Err()
}

func (s *redisStore) UsedAt(ctx context.Context, client string) (map[string]time.Time, error) {
	var fields *redis.MapStringStringCmd
	err := s.wave(ctx, func(ctx context.Context, p redis.Pipeliner) {
		fields = p.HGetAll(ctx, s.space.Entry(KindClient, client))
	})
	if err != nil {
		return nil, err
	}
	at := map[string]time.Time{}
	for field, text := range fields.Val() {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if secret, is := strings.CutPrefix(field, fieldUsed); is && err == nil {
			at[secret] = time.Unix(seconds, 0)
		}
	}
	return at, nil
}
