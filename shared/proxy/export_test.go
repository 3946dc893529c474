package proxy

import (
	"io"
	"keyless/shared/auth"
	"net/http"
	"time"
)

// Patience is what a configuration file cannot say: fractions of a second. Zero is the default.
type Patience struct{ Connect, FirstByte, Idle, Total, Write, Quiet, Drain, Closing, Listen time.Duration }

// NewImpatient makes a proxy that waits for less.
func NewImpatient(o Options, less Patience) http.Handler {
	p := newProxy(o)
	for to, given := range map[*time.Duration]time.Duration{
		&p.patience.connect: less.Connect, &p.patience.firstByte: less.FirstByte, &p.patience.idle: less.Idle,
		&p.patience.total: less.Total, &p.patience.write: less.Write, &p.patience.quiet: less.Quiet,
		&p.patience.drain: less.Drain, &p.patience.listen: less.Listen, &p.patience.closing: less.Closing,
	} {
		if given > 0 {
			*to = given
		}
	}
	return p
}

// OfDecision is what a refused decision is answered with.
func OfDecision(d auth.Decision) (status int, code, message, challenge string) {
	r := ofDecision(d)
	return r.status, r.code, r.message, r.challenge
}

// Masked is a body in which a secret is masked.
func Masked(body io.ReadCloser, secret string) io.Reader {
	return &masked{ReadCloser: body, secret: []byte(secret)}
}

// Budget is the budget of retries.
type Budget struct{ b *budget }

// NewBudget makes one.
func NewBudget(now func() time.Time) Budget { return Budget{newBudget(now)} }

// Call counts a call, Retry asks for a retry.
func (b Budget) Call()       { b.b.call() }
func (b Budget) Retry() bool { return b.b.retry() }
