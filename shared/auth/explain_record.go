package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Trail keeps why a live request was refused, so that an operator can ask about its id later. It bounds how much it keeps, sets its
// own deadline and is safe for concurrent use. *trail.Trail is one.
type Trail interface {
	Keep(ctx context.Context, requestID string, record []byte) error
}

// Record is a refusal as it is kept: names and facts only, no secret, no claim's value.
type Record struct {
	At       time.Time `json:"at"`
	API      string    `json:"api"`
	Consumer string    `json:"consumer,omitempty"`
	Method   string    `json:"method,omitempty"`
	Reason   Reason    `json:"reason,omitempty"` // "" where not the gate refused
	Limit    string    `json:"limit,omitempty"`  // that was reached, as the configuration file names it
	Status   int       `json:"status"`
	Code     string    `json:"code"`
	Message  string    `json:"message"`
	Steps    []Step    `json:"steps"`
}

// Proven reports whether the caller is known beyond doubt, refused or not: its key is held, or its signature verified. Only then is a
// refusal worth a write: whoever can prove nothing must not make us write.
func (d *Decision) Proven() bool {
	return d.Consumer != nil || d.Subject != "" || d.Reason == JWTExpired || d.Reason == HMACReplayedNonce
}

// Record makes the record of a refusal: by the gate, or of a proven caller by what stands behind it, as a limit.
func (d *Decision) Record(at time.Time, status int, code, message string) Record {
	r := Record{
		At: at.UTC(), Method: d.Method, Reason: d.Reason, Status: status, Code: code, Message: message, Steps: d.Trace,
	}
	if d.API != nil {
		r.API = d.API.Name
	}
	if d.Consumer != nil {
		r.Consumer = d.Consumer.Name
	}
	return r
}

// Keep keeps a record of a proven caller's refusal under the request's id; it does nothing without a trail, and for anybody else. An
// edge calls it after the answer is written and before the handler returns. One round trip at most; it goes on when the client hangs up.
func (d *Decision) Keep(ctx context.Context, t Trail, requestID string, r Record) error {
	if t == nil || !d.Proven() {
		return nil
	}
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write the record of a refusal: %w", err)
	}
	return t.Keep(context.WithoutCancel(ctx), requestID, text)
}
