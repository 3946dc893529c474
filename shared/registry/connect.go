package registry

import (
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"

	"keyless/shared/oauth"
)

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
