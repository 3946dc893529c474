package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"keyless/shared/oauth"
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

// endpoint is what a Redis URL says.
type endpoint struct {
	nodes    []string // host:port
	cluster  bool
	master   string // the name that Sentinels know; "" without Sentinel
	secure   bool   // TLS
	username string
	password string
	db       int
}

// The kinds of a deployment by the URL's scheme, without TLS; "rediss" in place of "redis" adds it.
const (
	schemeSingle   = "redis"
	schemeSentinel = "redis+sentinel"
	schemeCluster  = "redis+cluster"
)

const (
	defaultPort         = "6379"
	defaultSentinelPort = "26379"
	// maxDatabase is far above the 16 databases that a server has by default; a larger number is a slip.
	maxDatabase = 1023
)

// The faults of a Redis URL. They never quote it: it may hold a password.
var (
	errScheme = errors.New("a Redis URL begins with redis://, rediss://, redis+sentinel://, " +
		"rediss+sentinel://, redis+cluster:// or rediss+cluster://")
	errUserinfo = errors.New("user and password of a Redis URL stand before @, percent-encoded: " +
		"redis://:pass%2Fword@host:6379/0")
	errNodes = errors.New("a Redis URL names host:port, for Sentinel and Cluster several separated by commas")
	errPath  = errors.New("the path of a Redis URL is /database; for Sentinel /master or /master/database; " +
		"for Cluster nothing")
	errExtra = errors.New("a Redis URL has no query and no fragment: the options of the connection are fixed")
)

// parseEndpoint reads the forms that Connect takes. It does not use url.Parse for the whole, which refuses
// lists of hosts and quotes the password in its errors.
func parseEndpoint(text string) (endpoint, error) {
	scheme, rest, ok := strings.Cut(strings.TrimSpace(text), "://")
	if !ok {
		return endpoint{}, errScheme
	}
	var e endpoint
	plain, tls := strings.CutPrefix(scheme, "rediss")
	if e.secure = tls; tls {
		scheme = schemeSingle + plain
	}
	if scheme != schemeSingle && scheme != schemeSentinel && scheme != schemeCluster {
		return endpoint{}, errScheme
	}
	e.cluster = scheme == schemeCluster
	if strings.ContainsAny(rest, "?#") {
		return endpoint{}, errExtra
	}
	authority, path, _ := strings.Cut(rest, "/")
	hosts := authority
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		hosts = authority[at+1:]
		if !e.userinfo(authority[:at]) {
			return endpoint{}, errUserinfo
		}
	}
	if !e.hosts(hosts, scheme) {
		return endpoint{}, errNodes
	}
	if !e.path(path, scheme) {
		return endpoint{}, errPath
	}
	return e, nil
}

func (e *endpoint) userinfo(text string) bool {
	name, password, _ := strings.Cut(text, ":")
	var errName, errPassword error
	e.username, errName = url.PathUnescape(name)
	e.password, errPassword = url.PathUnescape(password)
	return errName == nil && errPassword == nil
}

func (e *endpoint) hosts(text, scheme string) bool {
	port := defaultPort
	if scheme == schemeSentinel {
		port = defaultSentinelPort
	}
	for node := range strings.SplitSeq(text, ",") {
		address, ok := hostPort(node, port)
		if !ok {
			return false
		}
		e.nodes = append(e.nodes, address)
	}
	return len(e.nodes) == 1 || scheme != schemeSingle
}

// hostPort completes a host by the port; an IPv6 address stands in brackets.
func hostPort(node, port string) (string, bool) {
	host, given, err := net.SplitHostPort(node)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(node, "["), "]")
		if strings.Contains(host, ":") != strings.HasPrefix(node, "[") {
			return "", false
		}
		given = port
	}
	n, err := strconv.ParseUint(given, 10, 16)
	if err != nil || n == 0 || host == "" || strings.ContainsAny(host, " \t\r\n@[]") {
		return "", false
	}
	return net.JoinHostPort(host, given), true
}

func (e *endpoint) path(text, scheme string) bool {
	if scheme == schemeSentinel {
		e.master, text, _ = strings.Cut(text, "/")
		if !oauth.ValidName(e.master) {
			return false
		}
	}
	if text == "" {
		return true
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n > maxDatabase || e.cluster {
		return false
	}
	e.db = int(n)
	return true
}
