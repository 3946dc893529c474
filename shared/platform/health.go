package platform

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// readyTimeout bounds a readiness check: probes give up after a second or a few.
const readyTimeout = 2 * time.Second

// The public reasons for not being ready.
const (
	reasonEnding  = "The process is about to end."
	reasonFailing = "A part that every call needs does not answer."
)

var errEnding = errors.New("the process is about to end")

// Health answers the paths of health checks and hands everything else to h. GET /_/healthz is 200
// {"status":"ok"} as long as the process serves; GET /_/readyz is the same when ready gives nil within 2 s,
// else 503 {"status":"unavailable","reason":"..."}: the reason is a public sentence, the error itself goes
// to the default logger. A nil ready is always ready. Safe for concurrent use if ready and h are.
func Health(ready func(context.Context) error, h http.Handler) http.Handler {
	return health{ready, slog.Default(), h}
}

// readiness fails once the process is told to end, before anything else is asked.
func (o Options) readiness(process context.Context) func(context.Context) error {
	return func(ctx context.Context) error {
		switch {
		case process.Err() != nil:
			return errEnding
		case o.Ready == nil:
			return nil
		}
		return o.Ready(ctx)
	}
}

type health struct {
	ready func(context.Context) error
	log   *slog.Logger
	next  http.Handler
}

func (c health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	check := r.URL.Path
	if check != "/_/healthz" && check != "/_/readyz" {
		c.next.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		report(w, http.StatusMethodNotAllowed, status{Status: "error", Reason: "Method not allowed."})
		return
	}
	if reason := c.unready(r, check); reason != "" {
		report(w, http.StatusServiceUnavailable, status{Status: "unavailable", Reason: reason})
		return
	}
	report(w, http.StatusOK, status{Status: "ok"})
}

// unready gives the public reason, or nothing.
func (c health) unready(r *http.Request, check string) string {
	if check != "/_/readyz" || c.ready == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	err := c.ready(ctx)
	switch {
	case err == nil:
		return ""
	case errors.Is(err, errEnding):
		return reasonEnding
	}
	c.log.LogAttrs(ctx, slog.LevelWarn, "not ready", slog.Any("error", err))
	return reasonFailing
}

type status struct {
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

func report(w http.ResponseWriter, code int, s status) {
	body, _ := json.Marshal(s) // strings only: cannot fail
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	w.Write(body)
}
