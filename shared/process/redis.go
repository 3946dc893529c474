// Package process is what every one of our processes stands on: the configuration, a logger, the store, the master keys, the reader of
// the registry. The doors in functions/ open it and add the rooms that they need; so what a function does not use is not linked.
//
// Nothing here touches the network before the first request does.
package process

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"time"
	_ "time/tzdata" // images of functions have no time zones, and the day of a limit is some zone's

	"github.com/redis/go-redis/v9"

	"keyless/shared/accesslog"
	"keyless/shared/config"
	"keyless/shared/platform"
	"keyless/shared/registry"
	"keyless/shared/seal"
)

// Process holds the parts. They live as long as the process; each is safe for concurrent use.
type Process struct {
	Config config.Config
	Log    *slog.Logger
	Redis  redis.UniversalClient
	Keys   *seal.Keys // master keys
	Reader *registry.Reader
}

// Open reads the environment and makes the parts of a process on the store at REDIS_URL.
func Open(lookup func(string) (string, bool), defaults config.Defaults) (*Process, error) {
	c, err := config.Load(lookup, defaults)
	if err != nil {
		return nil, err
	}
	return On(c, os.Stderr)
}

// On makes the parts from a configuration; the log goes to w.
func On(c config.Config, w io.Writer) (*Process, error) {
	keys, err := masterKeys(c.MasterKey.Reveal())
	if err != nil {
		return nil, fmt.Errorf("KEYLESS_MASTER_KEY: %w", err)
	}
	client, err := registry.Connect(c.RedisURL.Reveal())
	if err != nil {
		return nil, fmt.Errorf("REDIS_URL: %w", err)
	}
	return &Process{
		Config: c, Log: config.NewLogger(w, c), Redis: client, Keys: keys,
		Reader: registry.NewReader(registry.NewRedis(client, c.Cell), keys, time.Now),
	}, nil
}

// SigningKeys are the master keys that seal private signing keys.
func (p *Process) SigningKeys() (*seal.Keys, error) {
	keys, err := masterKeys(p.Config.SigningMasterKey.Reveal())
	if err != nil {
		return nil, fmt.Errorf("KEYLESS_SIGNING_MASTER_KEY: %w", err)
	}
	return keys, nil
}

// Store is the registry's store on the process's Redis.
func (p *Process) Store() registry.Store { return registry.NewRedis(p.Redis, p.Config.Cell) }

// Logged puts the access log in front of a handler.
func (p *Process) Logged(h http.Handler) http.Handler {
	return accesslog.Handler(p.Log, p.Config.TrustedProxies, h)
}

// garbage is how much of what is in use may be garbage, in percent: half of Go's own, for functions are paid by their memory, and what
// they hold is small enough to be looked through twice as often.
const garbage = 50

// Thrifty makes the process keep less garbage, unless GOGC says otherwise.
func Thrifty(lookup func(string) (string, bool)) {
	if _, said := lookup("GOGC"); !said {
		debug.SetGCPercent(garbage)
	}
}

// Main is the whole of a function's main: it serves what open makes under the platform that the environment names, and ends the
// process with 1 and one line on stderr where that fails.
func Main(open func(lookup func(string) (string, bool)) (*Process, http.Handler, platform.EventHandler, error)) {
	Thrifty(os.LookupEnv)
	p, h, event, err := open(os.LookupEnv)
	if err == nil {
		err = platform.Serve(context.Background(), platform.Options{
			Runtime: p.Config.Runtime, Stream: p.Config.ResponseStream, Event: event, Ready: p.Reader.Ready, Log: p.Log,
		}, p.Logged(h))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
