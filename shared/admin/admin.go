// Package admin is how the registry is read and changed over HTTP: every object of the configuration file, secrets and keys, what was
// used, who did what; and the one path that applies a configuration as a whole. The web console and the command line are its clients.
//
// A request meets it at /_/admin/v1/…: who calls (Admin.caller), which route of the one table that is (routes), whether the caller
// may (Caller.may, denied by default), then the route's own function, which returns a reply or an error; the one table of errors
// makes problems of RFC 9457 of the latter. Every change rests on a version (If-Match, RFC 9110 §13), is judged by registry.Editor, and
// is written with its audit entry in one atomic write. All answers are no-store.
//
// Without any credential configured - no bootstrap token and no client with a permission on registry.AdminServer - there is no admin
// API: every path is 404. Nothing here starts a goroutine or a timer; safe for concurrent use.
package admin

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"keyless/shared/accesslog"
	"keyless/shared/auth"
	"keyless/shared/config"
	"keyless/shared/keyring"
	"keyless/shared/ledger"
	"keyless/shared/oauth"
	"keyless/shared/registry"
	"keyless/shared/seal"
)

// Prefix stands before every path of the admin API.
const Prefix = "/_/admin/v1"

// MaxConfigBytes bounds a configuration: ten thousand consumers fit.
const MaxConfigBytes = 8 << 20

// Ring keeps the signing keys of instances; *keyring.Ring satisfies it. Ensure makes what an instance lacks for its algorithm; Rotate and
// Revoke return the kid that signs afterwards.
type Ring interface {
	Ensure(ctx context.Context, instance, algorithm string) (created bool, err error)
	Keys(ctx context.Context, instance string) ([]keyring.Key, error)
	Rotate(ctx context.Context, instance, algorithm string) (string, error)
	Revoke(ctx context.Context, instance, kid, algorithm string) (string, error)
}

// Ledger answers what was used; *ledger.Ledger satisfies it.
type Ledger interface {
	Report(ctx context.Context, q ledger.Question) ([]ledger.Row, error)
	Entries(ctx context.Context, of ledger.Whose, day, after string, limit int) ([]ledger.Entry, string, error)
}

// Revocations knows which tokens were revoked; *quota.Quota satisfies it.
type Revocations interface {
	Revoked(ctx context.Context, digests ...string) ([]bool, error)
}

// Options are what the room works with. Apply needs Store, Keys, Ring and Now, Explain Store, Keys, Gate, Trail, Now and Log.
type Options struct {
	Store       registry.Store
	Keys        *seal.Keys
	Ring        Ring
	Gate        *auth.Gate    // for Explain: that of the proxy, whose memory of nonces is not asked
	Trail       Trail         // for Explain; nil: no request id is known
	Ledger      Ledger        // nil: usage and ledger are 404
	Revocations Revocations   // nil: no token was ever revoked
	Probe       Probe         // nil: health tells nothing of the store but whether it answers
	Token       config.Secret // bootstrap bearer; "": only tokens of our own instances are taken
	PublicURL   string
	Failure     string // KEYLESS_STORE_FAILURE, told by health
	Region      string // told by health
	Now         func() time.Time
	Log         *slog.Logger

	By registry.Actor // who calls Apply, where that is not the HTTP API
}

// Admin serves the admin API. Safe for concurrent use.
type Admin struct {
	o      Options
	reader *registry.Reader
	editor *registry.Editor
	routes []route
	known  configured
}

// New makes the admin API.
func New(o Options) *Admin {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Admin{
		o: o, reader: registry.NewReader(o.Store, o.Keys, o.Now), editor: registry.NewEditor(o.Store, o.Keys, o.Now), routes: routes(),
	}
}

// ServeHTTP answers a request: who, what, whether, and then the doing.
func (a *Admin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodHead {
		w = headless{w}
	}
	c := &call{w: w, r: r}
	answer, err := a.answer(c)
	if err == nil {
		err = answer.write(w)
	}
	if err != nil {
		a.refuse(c, err)
	}
}

func (a *Admin) answer(c *call) (reply, error) {
	caller, err := a.caller(c.r)
	if err != nil {
		return reply{}, err
	}
	c.caller = caller
	accesslog.Add(c.r.Context(), slog.String("admin", caller.Who))
	route, vars, err := a.find(c.r)
	if err != nil {
		return reply{}, err
	}
	c.vars = vars
	if err := caller.permit(route.right, vars["instance"]); err != nil {
		return reply{}, err
	}
	if c.query, err = route.parameters(c.r.URL.RawQuery); err != nil {
		return reply{}, err
	}
	return route.serve(a, c)
}

// call is one request on its way.
type call struct {
	w      http.ResponseWriter
	r      *http.Request
	caller Caller
	vars   map[string]string // of the route's pattern
	query  url.Values        // the route's own parameters, each once at most
}

func (c *call) ctx() context.Context { return c.r.Context() }

// actor is who stands in the audit trail.
func (c *call) actor() registry.Actor {
	return registry.Actor{Who: c.caller.Who, RequestID: accesslog.RequestID(c.r)}
}

// Apply makes the registry equal to the configuration, or with prune off adds and changes only. It validates everything, makes the
// signing keys of instances that lack them, so that a JWKS URL is never empty, and writes. A dry run writes nothing.
// The error is registry.Faults where the configuration is wrong.
func Apply(ctx context.Context, o Options, want *registry.Config, prune, dryRun bool) (registry.Report, error) {
	if faults := registry.Validate(want); len(faults) > 0 {
		return registry.Report{}, faults
	}
	for i := range want.Instances {
		if dryRun {
			break
		}
		one := &want.Instances[i]
		if _, err := o.Ring.Ensure(ctx, one.ID, one.Algorithm()); err != nil {
			return registry.Report{}, fmt.Errorf("make signing keys of instance %s: %w", one.ID, err)
		}
	}
	return registry.Apply(ctx, o.Store, o.Keys, want, registry.ApplyOptions{
		Prune: prune, DryRun: dryRun, Now: o.Now, By: o.By, Progress: watcher(ctx),
	})
}

// realm is the challenge of the admin API.
var realm = oauth.Challenge("Bearer", "realm", "admin")
