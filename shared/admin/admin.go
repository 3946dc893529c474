// Package admin is how the registry is changed: the one path that validates a configuration, makes the signing keys that it needs and
// applies it, and the HTTP API in front of that path.
//
// A request meets it at POST /_/admin/v1/apply, which changes the registry, and /explain, which says what becomes of a request and
// why, with the bootstrap token as Bearer. Without a configured token there is no admin API at all: every path is 404. Answers are RFC
// 9457 problems, a Report or an Explanation; all are no-store.
package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"keyless/shared/accesslog"
	"keyless/shared/auth"
	"keyless/shared/config"
	"keyless/shared/oauth"
	"keyless/shared/registry"
	"keyless/shared/seal"
)

// MaxConfigBytes bounds a configuration: ten thousand consumers fit.
const MaxConfigBytes = 8 << 20

// Ring makes the signing keys of an instance where it has none for its algorithm.
type Ring interface {
	Ensure(ctx context.Context, instance, algorithm string) (created bool, err error)
}

// Options are what the room works with.
type Options struct {
	Store     registry.Store
	Keys      *seal.Keys
	Ring      Ring          // for Apply
	Gate      *auth.Gate    // for Explain: that of the proxy, whose memory of nonces is not asked
	Trail     Trail         // for Explain; nil: no request id is known
	Token     config.Secret // bootstrap bearer; "": no admin API
	PublicURL string
	Now       func() time.Time
	Log       *slog.Logger
}

// Admin serves the admin API. Safe for concurrent use.
type Admin struct{ o Options }

// New makes the admin API.
func New(o Options) *Admin { return &Admin{o} }

// ServeHTTP lets the bearer of the bootstrap token apply a configuration and have requests explained.
func (a *Admin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	switch {
	case a.o.Token == "":
		problem(w, r, http.StatusNotFound, "admin_off", "There is no admin API here: KEYLESS_ADMIN_TOKEN is not set", nil)
	case !a.authenticated(r):
		w.Header().Set("WWW-Authenticate", oauth.Challenge("Bearer", "realm", "admin"))
		problem(w, r, http.StatusUnauthorized, "unauthorized", "The admin API asks for the admin token as Bearer", nil)
	default:
		a.route(w, r)
	}
}

func (a *Admin) route(w http.ResponseWriter, r *http.Request) {
	serve := map[string]http.HandlerFunc{"/_/admin/v1/apply": a.apply, "/_/admin/v1/explain": a.explain}[r.URL.EscapedPath()]
	switch {
	case serve == nil:
		problem(w, r, http.StatusNotFound, "not_found", "The admin API has POST /_/admin/v1/apply and /_/admin/v1/explain", nil)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		problem(w, r, http.StatusMethodNotAllowed, "method_not_allowed", "The admin API is called by POST", nil)
	default:
		serve(w, r)
	}
}

// authenticated compares digests, so that neither content nor length shows in the time taken.
func (a *Admin) authenticated(r *http.Request) bool {
	sent := r.Header.Values("Authorization")
	if len(sent) != 1 {
		return false
	}
	token, is := strings.CutPrefix(sent[0], "Bearer ")
	if !is {
		return false
	}
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(a.o.Token.Reveal()))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

func (a *Admin) apply(w http.ResponseWriter, r *http.Request) {
	want, err := read(w, r)
	if err != nil {
		problem(w, r, http.StatusBadRequest, "bad_request", err.Error(), nil)
		return
	}
	query := r.URL.Query()
	report, err := Apply(r.Context(), a.o, want, query.Get("prune") == "true", query.Get("dry_run") == "true")
	var faults registry.Faults
	switch {
	case errors.As(err, &faults):
		problem(w, r, http.StatusUnprocessableEntity, "invalid_config", "The configuration has faults; nothing was changed", faults)
	case err != nil:
		a.o.Log.ErrorContext(r.Context(), "apply", "error", err.Error())
		problem(w, r, http.StatusServiceUnavailable, "store_unavailable", "The store did not take the change; apply again", nil)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(report)
	}
}

// read takes one strict JSON object in the shape of the configuration file. Its errors are public sentences.
func read(w http.ResponseWriter, r *http.Request) (*registry.Config, error) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxConfigBytes))
	if err != nil {
		return nil, errors.New("a configuration is at most 8 MiB")
	}
	if _, err := oauth.Object(text); err != nil {
		return nil, fmt.Errorf("a configuration is a JSON object: %w", err)
	}
	var c registry.Config
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			return nil, fmt.Errorf("%s is of the wrong kind", kind.Field)
		}
		return nil, errors.New("a configuration has the keys of gateway.yaml and no others")
	}
	return &c, nil
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
	return registry.Apply(ctx, o.Store, o.Keys, want, registry.ApplyOptions{Prune: prune, DryRun: dryRun, Now: o.Now})
}

// problem answers with RFC 9457.
func problem(w http.ResponseWriter, r *http.Request, status int, code, detail string, faults registry.Faults) {
	body := struct {
		Title     string          `json:"title"`
		Status    int             `json:"status"`
		Detail    string          `json:"detail"`
		Code      string          `json:"code"`
		RequestID string          `json:"request_id"`
		Faults    registry.Faults `json:"faults,omitempty"`
	}{http.StatusText(status), status, detail, code, accesslog.RequestID(r), faults}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
