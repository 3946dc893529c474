// Package ledger keeps what was used and what it cost: one entry for each call that reached an upstream, and
// counters of each day. It exists so that a bill can be checked call by call, and asked for by consumer, API,
// upstream, model and day, without a database beside Redis.
//
// A request meets it at its end: quota settles it, and runs the Lines of its Entry in the same wave, which
// write the entry and add to the counters exactly once. Prices reckon the cost before that, and, before the
// call, what it may cost at most. Reports read the counters of the names that have any on a day.
//
// Money is whole millionths of the registry's currency; no amount is ever a floating point number. Days are
// UTC. Nothing is kept in the process; all is safe for concurrent use.
package ledger

import "time"

// Usage is what a call used, in model tokens by kind, and in images. Input holds CachedInput, Output holds
// Reasoning.
type Usage struct {
	Input       int64 `json:"input,omitempty"`
	CachedInput int64 `json:"cached_input,omitempty"`
	Output      int64 `json:"output,omitempty"`
	Reasoning   int64 `json:"reasoning,omitempty"`
	Images      int64 `json:"images,omitempty"`
}

// Tokens is what a limit of model tokens counts.
func (u Usage) Tokens() int64 { return u.Input + u.Output }

// Entry is one call.
type Entry struct {
	RequestID     string    `json:"request_id"`
	At            time.Time `json:"at"` // of admission
	Domain        string    `json:"domain"`
	API           string    `json:"api"`
	Consumer      string    `json:"consumer,omitempty"` // "" on an open API
	Client        string    `json:"client,omitempty"`   // client_id of the token
	Subject       string    `json:"subject,omitempty"`  // sub of the token
	Upstream      string    `json:"upstream,omitempty"` // that answered, "" where none was reached
	Model         string    `json:"model,omitempty"`    // the caller's name
	UpstreamModel string    `json:"upstream_model,omitempty"`
	Usage         Usage     `json:"usage,omitzero"`
	Estimated     bool      `json:"estimated,omitempty"` // the upstream did not tell, so usage is reckoned
	Cost          int64     `json:"cost,omitempty"`      // millionths of the currency
	Status        int       `json:"status"`
	End           string    `json:"end"` // how it ended: one of the End constants
	Attempts      int       `json:"attempts,omitempty"`
	Latency       int64     `json:"latency_ms"`
	FirstToken    int64     `json:"first_token_ms,omitempty"` // to the first content of a stream
	Cached        bool      `json:"cached,omitempty"`         // answered from the cache
}

// How a call ended.
const (
	EndComplete   = "complete"
	EndClientGone = "client_gone"
	EndCut        = "upstream_cut"
	EndError      = "upstream_error"
	EndTimeout    = "timeout"
)
