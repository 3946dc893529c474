package admin

import (
	"context"
	"errors"
	"time"

	"keyless/shared/registry"
)

// Probe looks at the store as a server. NewProbe is one for Redis.
type Probe interface {
	// Probe reads what the server tells of itself; what it may not tell stays empty. The error says that it did not answer.
	Probe(ctx context.Context) (ServerFacts, error)
}

// ServerFacts are what a Redis server tells of itself.
type ServerFacts struct {
	Version     string `json:"version,omitempty"`
	Mode        string `json:"mode,omitempty"`        // standalone, sentinel or cluster
	Eviction    string `json:"eviction,omitempty"`    // maxmemory-policy
	Persistence string `json:"persistence,omitempty"` // aof, rdb, both or none
	Used        int64  `json:"used_bytes,omitempty"`
	Most        int64  `json:"max_bytes,omitempty"` // maxmemory; 0: none, or not told
	Note        string `json:"note,omitempty"`      // of health, where the server tells nothing: no fault, and said once
}

// silent is the note on a server that tells nothing of itself, as the embedded store does, which keeps itself in its folder.
const silent = "The store's server tells nothing of itself, as the embedded one of keyless serve: where it is another, see that it is " +
	"Redis 6.2 or newer, keeps its data over a restart and has maxmemory-policy noeviction"

// health is the answer.
type health struct {
	Status   string         `json:"status"` // ok, warning or failed
	Store    storeHealth    `json:"store"`
	Registry registryHealth `json:"registry"`
	Failure  string         `json:"store_failure,omitempty"` // KEYLESS_STORE_FAILURE
	Region   string         `json:"region,omitempty"`
	Time     time.Time      `json:"time"`
	Problems []warning      `json:"problems"`
}

type storeHealth struct {
	Reachable bool  `json:"reachable"`
	Latency   int64 `json:"latency_us"` // of one round trip
	ServerFacts
}

type registryHealth struct {
	Revision  string    `json:"revision,omitempty"`
	Empty     bool      `json:"empty"`
	Opens     bool      `json:"secrets_open"` // the pepper and the upstreams' keys open under the master key
	NotBefore time.Time `json:"not_before,omitzero"`
}

// warning says what to do.
type warning struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

// healthOf asks the store.
func (a *Admin) healthOf(ctx context.Context) health {
	h := health{Failure: a.o.Failure, Region: a.o.Region, Time: a.o.Now().UTC(), Problems: []warning{}}
	began := time.Now()
	revision, err := a.o.Store.Revision(ctx)
	h.Store.Latency = time.Since(began).Microseconds()
	if err != nil {
		a.o.Log.WarnContext(ctx, "admin", "error", err.Error())
		h.warn("store_unreachable", "The store does not answer: look at REDIS_URL, its credentials, the network and the server")
		h.Status = "failed"
		return h
	}
	h.Store.Reachable, h.Registry.Revision = true, revision
	snapshot, err := registry.NewReader(a.o.Store, a.o.Keys, a.o.Now).Current(ctx)
	switch {
	case errors.Is(err, registry.ErrEmpty):
		h.Registry.Empty, h.Registry.Opens = true, true
		h.warn("registry_empty", "Nothing is configured yet: apply a configuration, or create the first objects")
	case err != nil:
		a.o.Log.WarnContext(ctx, "admin", "error", err.Error())
		h.warn("secrets_closed", "What is stored does not open: KEYLESS_MASTER_KEY lacks the key under which it was sealed, or a newer "+
			"version wrote it")
	default:
		h.Registry.Opens, h.Registry.NotBefore = true, snapshot.NotBefore
	}
	a.server(ctx, &h)
	if h.Status = "ok"; len(h.Problems) > 0 {
		h.Status = "warning"
	}
	return h
}

func (h *health) warn(code, text string) { h.Problems = append(h.Problems, warning{code, text}) }

// server judges the settings of the store's server.
func (a *Admin) server(ctx context.Context, h *health) {
	if a.o.Probe == nil {
		return
	}
	facts, err := a.o.Probe.Probe(ctx)
	if err != nil {
		a.o.Log.WarnContext(ctx, "admin", "error", err.Error())
		h.warn("store_silent", "The store's server does not tell its settings")
		return
	}
	if facts == (ServerFacts{}) {
		facts.Note = silent
	}
	h.Store.ServerFacts = facts
	if facts.Eviction != "" && facts.Eviction != "noeviction" {
		h.warn("eviction", "The store may throw away what it holds when memory is short: set maxmemory-policy to noeviction")
	}
	if facts.Persistence == "none" {
		h.warn("persistence", "The store keeps nothing over a restart: turn on appendonly, or snapshots")
	}
}

func getHealth(a *Admin, c *call) (reply, error) { return reply{body: a.healthOf(c.ctx())}, nil }
