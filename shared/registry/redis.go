package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Bounds of a Redis connection. The client's own defaults repeat writes, wait five seconds and keep what a
// frozen process can no longer use.
const (
	// callWithin bounds one call of a Store, dialing included: a caller waits for a decision, and what
	// takes longer is a store that is away.
	callWithin = time.Second
	// maxConnections is what one process uses at most: a connection carries thousands of calls a second,
	// and a thousand function instances share one server's maxclients.
	maxConnections = 8
	// maxIdle closes what was frozen with its process: platforms cut idle connections silently.
	maxIdle = 30 * time.Second
	// maxLifetime follows a DNS name that has moved to another server, with jitter so that not all move at
	// once.
	maxLifetime       = 10 * time.Minute
	maxLifetimeJitter = time.Minute
	// clusterReload is how old a process's map of the cluster may be; the client's minute is a minute of
	// failures.
	clusterReload = time.Second
)

// silence keeps the client library from writing to the process's error stream, where a log of JSON lines
// stands: whatever fails comes back as the error of a call.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

func init() { redis.SetLogger(silence{}) }

// Connect makes a client for redis://[user:password@]host[:port][/db], rediss:// (TLS),
// redis+sentinel://[user:password@]host:port,host:port/master[/db] and
// redis+cluster://[…@]host:port,host:port, both also with rediss+. User and password are those of the data
// nodes. It does not dial. No error holds the URL.
func Connect(url string) (redis.UniversalClient, error) {
	e, err := parseEndpoint(url)
	if err != nil {
		return nil, err
	}
	o := options(e)
	switch {
	case e.master != "":
		return redis.NewFailoverClient(o.Failover()), nil
	case e.cluster:
		return newCluster(o), nil
	}
	return redis.NewClient(o.Simple()), nil
}

func options(e endpoint) *redis.UniversalOptions {
	o := &redis.UniversalOptions{
		Addrs: e.nodes, MasterName: e.master, DB: e.db,
		Username: e.username, Password: e.password, Protocol: 3,
		MaxRetries:            -1, // a write whose answer was lost must not be sent again blindly
		ContextTimeoutEnabled: true,
		DialTimeout:           callWithin,
		DialerRetries:         1,
		ReadTimeout:           callWithin,
		WriteTimeout:          callWithin,
		PoolTimeout:           callWithin,
		PoolSize:              maxConnections,
		PipelinePoolSize:      -1, // pipelines share the pool: a cold process dials once
		ConnMaxIdleTime:       maxIdle,
		ConnMaxLifetime:       maxLifetime,
		ConnMaxLifetimeJitter: maxLifetimeJitter,
		DisableIdentity:       true, // a round trip less on each new connection
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled, // another round trip, and goroutines
		},
	}
	if e.secure {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return o
}

func newCluster(o *redis.UniversalOptions) redis.UniversalClient {
	c := o.Cluster()
	c.ClusterStateReloadInterval = clusterReload
	client := redis.NewClusterClient(c)
	client.OnNewNode(func(node *redis.Client) { node.AddHook(reloadOnDial{client}) })
	return client
}

// reloadOnDial asks for a new map of the cluster when a node cannot be reached: it is probably no longer
// the master.
type reloadOnDial struct{ cluster *redis.ClusterClient }

func (h reloadOnDial) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := next(ctx, network, address)
		if err != nil {
			h.cluster.ReloadState(ctx)
		}
		return conn, err
	}
}

func (reloadOnDial) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (reloadOnDial) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// redisStore is the Store of everything but unit tests.
type redisStore struct {
	client redis.UniversalClient
	space  Space
}

// NewRedis makes a Store under the prefix cell, default kg. Any server from Redis 6.2 on will do, also
// Valkey.
func NewRedis(client redis.UniversalClient, cell string) Store {
	return &redisStore{client: client, space: Space(cell)}
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
	return fields.Val(), nil
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
			version, value, _ := strings.Cut(text, "\n")
			found[i][name] = Entry{Version: version, Value: value}
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

// Write sends up to five parts one after another: the fields, the object, its indexes, what no longer leads
// to it, and what ends the change. Where one fails the change is half done and safe: a second Write of the
// same completes it.
func (s *redisStore) Write(ctx context.Context, c Change) error {
	version := newEdition()
	parts := []struct {
		what string
		send func(context.Context, filler) error
		fill filler
	}{
		{"fields", s.atomic, func(ctx context.Context, p redis.Pipeliner) { s.begin(ctx, p, c) }},
		{"entry", s.wave, func(ctx context.Context, p redis.Pipeliner) { s.object(ctx, p, c, version) }},
		{"indexes", s.wave, func(ctx context.Context, p redis.Pipeliner) { s.index(ctx, p, c, version) }},
		{"old indexes", s.wave, func(ctx context.Context, p redis.Pipeliner) { s.unindex(ctx, p, c) }},
		{"revision", s.atomic, func(ctx context.Context, p redis.Pipeliner) { s.end(ctx, p, c) }},
	}
	for _, part := range parts {
		if err := part.send(ctx, part.fill); err != nil {
			return fmt.Errorf("write %s of a change: %w", part.what, err)
		}
	}
	return nil
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

func (s *redisStore) begin(ctx context.Context, p redis.Pipeliner, c Change) {
	if len(c.Set) > 0 {
		p.HSet(ctx, s.space.Snapshot(), c.Set)
		p.HSet(ctx, s.space.Snapshot(), FieldRevision, newEdition())
	}
	if c.Name != "" && c.Entry != nil {
		p.SAdd(ctx, s.space.Names(c.Kind), c.Name)
	}
}

func (s *redisStore) object(ctx context.Context, p redis.Pipeliner, c Change, version string) {
	switch key := s.space.Entry(c.Kind, c.Name); {
	case c.Name == "":
	case c.Entry == nil:
		p.Del(ctx, key)
	default:
		p.HSet(ctx, key, FieldVersion, version, FieldEntry, c.Entry.Value)
	}
}

func (s *redisStore) index(ctx context.Context, p redis.Pipeliner, c Change, version string) {
	if c.Name == "" || c.Entry == nil {
		return
	}
	for _, index := range c.Index {
		p.HSet(ctx, s.space.Index(index), c.Name, version+"\n"+c.Entry.Value)
	}
}

func (s *redisStore) unindex(ctx context.Context, p redis.Pipeliner, c Change) {
	for _, index := range c.Unindex {
		p.HDel(ctx, s.space.Index(index), c.Name)
	}
}

func (s *redisStore) end(ctx context.Context, p redis.Pipeliner, c Change) {
	if len(c.Unset) > 0 {
		p.HDel(ctx, s.space.Snapshot(), c.Unset...)
	}
	if c.Name != "" && c.Entry == nil {
		p.SRem(ctx, s.space.Names(c.Kind), c.Name)
	}
	if c.movesRevisionLast() {
		p.HSet(ctx, s.space.Snapshot(), FieldRevision, newEdition())
	}
}
