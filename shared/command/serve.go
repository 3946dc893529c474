package command

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"keyless/shared/config"
	"keyless/shared/console"
	"keyless/shared/demo"
	"keyless/shared/platform"
	"keyless/shared/platform/server"
	"keyless/shared/process"
	"keyless/shared/registry"
)

// serving is a process of `keyless serve`: what it listens on, and what runs until ctx ends.
type serving struct {
	URL     string
	Secrets demo.Secrets // with the demo only
	empty   bool         // nothing was ever applied
	away    bool         // the store does not answer yet
	console string       // where people look at it
	own     bool         // the store is the embedded one
	run     func() error
}

// serve runs everything until it is told to end.
func serve(ctx context.Context, t terminal, args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	withDemo := flags.Bool("demo", false, "with the demo model and its configuration")
	if err := t.parse(flags, args); err != nil {
		return err
	}
	c, err := config.Load(t.lookup, config.Serve())
	if err != nil {
		return err
	}
	process.Thrifty(t.lookup)
	s, err := start(ctx, t, c, *withDemo)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.stdout, "Keyless Gateway serves %s\n", s.URL)
	if s.away && t.variable("REDIS_URL") != "" { // the embedded store is here
		fmt.Fprintln(t.stderr, "the store at REDIS_URL does not answer yet; keyless doctor tells more")
	}
	switch {
	case *withDemo:
		fmt.Fprintf(t.stdout, "console: %s%s\n", s.console, signIn(c))
		recipe(t.stdout, s.URL, s.Secrets)
	case s.empty:
		fmt.Fprintln(t.stdout, "Nothing is configured yet: keyless apply -f gateway.yaml, from this folder")
	}
	return s.run()
}

// signIn is what a person needs who opens the console, "" where that is there.
func signIn(c config.Config) string {
	if c.AdminToken != "" {
		return ""
	}
	return " (start with KEYLESS_ADMIN_TOKEN=… to sign in)"
}

// start listens, opens the store, applies the configuration and wires the functions. Nothing serves before run.
func start(ctx context.Context, t terminal, c config.Config, withDemo bool) (*serving, error) {
	listener, err := listen(c, c.Addr)
	if err != nil {
		return nil, err
	}
	if !c.PublicURLSet {
		c.PublicURL = config.URLOf(listener.Addr().String(), c.TLSCert != "")
	}
	ctx, cancel := context.WithCancel(ctx)
	own := c.RedisURL == ""
	c, closeStore, err := embed(ctx, c)
	if err != nil {
		cancel()
		return nil, errors.Join(err, listener.Close())
	}
	s := &serving{URL: c.PublicURL, console: adminURL(c) + console.Prefix + "/", own: own}
	ready, err := s.open(ctx, t, c, listener, withDemo)
	if err != nil {
		cancel()
		return nil, errors.Join(err, listener.Close(), closeStore())
	}
	s.run = func() error {
		defer cancel()
		return errors.Join(ready(), closeStore())
	}
	return s, nil
}

// open makes the process's parts and returns what serves with them.
func (s *serving) open(
	ctx context.Context, t terminal, c config.Config, listener net.Listener, withDemo bool,
) (func() error, error) {
	p, err := process.On(c, t.stderr)
	if err != nil {
		return nil, err
	}
	group, ctx := errgroup.WithContext(ctx)
	if withDemo {
		if err := s.demo(ctx, t, p, group); err != nil {
			return nil, err
		}
	} else if err := applyConfigured(ctx, t, p); err != nil {
		return nil, err
	} else {
		group.Go(func() error { return follower{t, p, p.Config.ConfigFile}.follow(ctx) })
	}
	err = p.Reader.Ready(ctx)
	s.empty = errors.Is(err, registry.ErrEmpty)
	s.away = err != nil && !s.empty && ctx.Err() == nil
	h, err := wire(p)
	if err != nil {
		return nil, err
	}
	if err := h.serve(ctx, group, p, listener); err != nil {
		return nil, err
	}
	withdraw, err := announce(c, s.own)
	if err != nil {
		return nil, err
	}
	return func() error {
		defer withdraw()
		defer p.Redis.Close()
		return group.Wait()
	}, nil
}

// serve puts the functions behind the public listener, and admin behind its own where it has one.
func (h *handlers) serve(ctx context.Context, group *errgroup.Group, p *process.Process, public net.Listener) error {
	front := func(listener net.Listener, next http.Handler) func() error {
		return func() error {
			return server.Serve(ctx, server.Options{Listener: listener, Log: p.Log},
				platform.Health(p.Reader.Ready, p.Logged(next)))
		}
	}
	if p.Config.AdminAddr != "" {
		listener, err := listen(p.Config, p.Config.AdminAddr)
		if err != nil {
			return err
		}
		group.Go(front(listener, h.admin))
		h.admin = http.NotFoundHandler()
	}
	group.Go(front(public, h))
	return nil
}

// demo starts the demo's upstream on a free loopback port and applies the demo's configuration.
func (s *serving) demo(ctx context.Context, t terminal, p *process.Process, group *errgroup.Group) error {
	upstream, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the demo model: %w", err)
	}
	s.Secrets = demoSecrets(p.Config.MasterKey)
	group.Go(func() error {
		return server.Serve(ctx, server.Options{Listener: upstream, Log: p.Log}, demo.Upstream(s.Secrets, time.Now))
	})
	variables := s.Secrets.Variables("http://" + upstream.Addr().String())
	variables["KEYLESS_PUBLIC_URL"] = p.Config.PublicURL
	_, err = applyText(ctx, p, t.overlay(variables), "gateway.yaml", demo.Config, true, false)
	return err
}

// demoSecrets derives the demo's secrets from the master key, so that a store that is opened again has the same ones.
func demoSecrets(master config.Secret) demo.Secrets {
	derive := func(what string) []byte {
		mac := hmac.New(sha256.New, []byte(master.Reveal()))
		mac.Write([]byte("keyless demo: " + what))
		return mac.Sum(nil)
	}
	text := base64.RawURLEncoding
	return demo.Secrets{
		Client:   text.EncodeToString(derive("client secret")),
		Provider: "demo-" + text.EncodeToString(derive("provider key")),
		Accounts: derive("accounts backend"),
	}
}

// demoUpstream runs the demo model alone, for a gateway elsewhere.
func demoUpstream(ctx context.Context, t terminal, args []string) error {
	flags := flag.NewFlagSet("demo-upstream", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:8081", "listen `address`")
	if err := t.parse(flags, args); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	key := t.variable("DEMO_PROVIDER_KEY")
	if key == "" {
		key = demoSecrets(config.Secret(time.Now().String())).Provider
	}
	fmt.Fprintf(t.stdout, "demo model: base_url http://%s/v1, api key %s\n", listener.Addr(), key)
	return server.Serve(ctx, server.Options{Listener: listener}, demo.Model(key))
}
