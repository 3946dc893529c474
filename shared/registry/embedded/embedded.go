// Package embedded is a Redis of one's own for a laptop or a single container: miniredis on a loopback
// socket, so that everything that speaks to Redis speaks to this one unchanged. It exists so that the
// gateway runs where only Go is.
//
// A request meets it as it meets any Redis: through the client of registry.Connect(URL()). The socket
// listens on a free port of 127.0.0.1 and asks for a random password, so that no other user of the
// machine reads it by chance.
//
// Its time is passed by Tick, each second, which also saves what has changed. A process that is killed
// loses at most what was written since; what was written during a save may be there in part, as on any
// server that does not sync each write. A Close loses nothing. It is the only place that keeps a clock
// running between requests.
package embedded

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

const (
	// tickEvery is how far the store's time lags, and how much a killed process loses. Admission
	// tolerates 5 seconds.
	tickEvery = time.Second
	// steadyTries is how often a save begins anew because commands came in between. Under steady traffic
	// they always do.
	steadyTries = 3
)

// Options of a Server.
type Options struct {
	Folder string           // where it is kept, made if need be; "" keeps it in memory only
	Now    func() time.Time // default time.Now
}

// Server is a running store. Safe for concurrent use.
type Server struct {
	redis    *miniredis.Miniredis
	password string
	folder   string
	now      func() time.Time
	lock     *lock // of the folder; nil in memory

	mu     sync.Mutex // guards all below, and that one tick runs at a time
	clock  time.Time  // the store's time, that of the last tick
	saved  [sha256.Size]byte
	seen   int // commands that the store had run before the last save
	closed bool
}

// Start begins to serve, with what the folder holds. A second Start on the same folder fails while the
// first runs, also in another process.
func Start(o Options) (*Server, error) {
	s := &Server{redis: miniredis.NewMiniRedis(), password: rand.Text(), folder: o.Folder, now: o.Now}
	if s.now == nil {
		s.now = time.Now
	}
	s.redis.RequireAuth(s.password)
	s.clock = s.now()
	s.redis.SetTime(s.clock)
	if err := s.open(); err != nil {
		return nil, err
	}
	if err := s.redis.StartAddr("127.0.0.1:0"); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for the embedded store: %w", err), s.lock.release())
	}
	return s, nil
}

// open locks the folder and loads its file.
func (s *Server) open() error {
	if s.folder == "" {
		return nil
	}
	if err := os.MkdirAll(s.folder, 0o700); err != nil {
		return fmt.Errorf("make the folder of the embedded store: %w", err)
	}
	lock, err := takeLock(s.folder)
	if err != nil {
		return err
	}
	s.lock = lock
	if s.saved, err = load(s.redis, s.folder, s.clock); err != nil {
		return errors.Join(err, s.lock.release())
	}
	return nil
}

// URL is what registry.Connect takes. It holds the password.
func (s *Server) URL() string { return "redis://:" + s.password + "@" + s.redis.Addr() }

// Tick passes the store's time and saves it where it has changed.
func (s *Server) Tick() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	now := s.now()
	// By the wall clock: a laptop that slept must notice. Where it was set back this is negative, so that a key expires
	// when its time has come, as on any server.
	s.redis.FastForward(now.Round(0).Sub(s.clock.Round(0)))
	s.redis.SetTime(now)
	s.clock = now
	if s.folder == "" {
		return nil
	}
	return s.saveSteady()
}

// saveSteady saves a state between two commands where the traffic leaves such a moment.
func (s *Server) saveSteady() error {
	before := s.redis.CommandCount()
	if before == s.seen {
		return nil // nothing was asked, so nothing has changed; what expired is dropped by who loads
	}
	var text []byte
	for range steadyTries {
		var err error
		if text, err = dump(s.redis, s.clock); err != nil {
			return err
		}
		after := s.redis.CommandCount()
		if after == before {
			break
		}
		before = after
	}
	return s.save(text, before)
}

func (s *Server) save(text []byte, seen int) error {
	if sum := sha256.Sum256(text); sum != s.saved {
		if err := replace(s.folder, text); err != nil {
			return err
		}
		s.saved = sum
	}
	s.seen = seen
	return nil
}

// Run ticks until the context is done. A failure to save is logged, and tried again at the next tick.
func (s *Server) Run(ctx context.Context) {
	ticker := time.NewTicker(tickEvery) //nolint:forbidigo // the embedded store's clock, the one exception
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := s.Tick(); err != nil {
				slog.Error("the embedded store is not saved", "error", err)
			}
		}
	}
}

// Close ends the connections, saves and leaves the folder. A second Close does nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.redis.Close()
	if s.folder == "" {
		return nil
	}
	text, err := dump(s.redis, s.clock)
	if err == nil {
		err = s.save(text, 0)
	}
	return errors.Join(err, s.lock.release())
}
