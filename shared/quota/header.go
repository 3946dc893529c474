package quota

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// retryWorthwhile is the longest wait that a vendor's SDK may sleep through in a call: with a longer one
// they would sleep for hours, so they are told not to.
const retryWorthwhile = time.Minute

// SetHeaders tells the caller where it stands: RateLimit and RateLimit-Policy on every answer of a
// limited route, for limits of calls and of model tokens (…-tokens), and Retry-After with a refusal, with
// "x-should-retry: false" where the wait is over a minute or does not help.
//
// A policy has no window parameter w: a calendar day is not always 86,400 seconds. Times are whole
// seconds, rounded up, so that who waits as told never comes early.
func (a Admission) SetHeaders(h http.Header) {
	var policies, standings []string
	for _, s := range a.Standings {
		if s.tellable() {
			policies = append(policies, fmt.Sprintf(`"%s";q=%d`, s.Name, s.Limit))
			standings = append(standings, fmt.Sprintf(`"%s";r=%d;t=%d`, s.Name, s.Remaining, seconds(s.Reset)))
		}
	}
	if len(policies) > 0 {
		h.Set("RateLimit-Policy", strings.Join(policies, ", "))
		h.Set("RateLimit", strings.Join(standings, ", "))
	}
	if a.Refusal == nil {
		return
	}
	h.Set("Retry-After", strconv.FormatInt(seconds(a.Refusal.RetryAfter), 10))
	if a.Refusal.RetryAfter > retryWorthwhile || a.Refusal.TooLarge {
		h.Set("x-should-retry", "false")
	}
}

// tellable reports whether a caller can do something with the standing: it counts calls or model tokens (a
// quota of money is in no unit of the header, a rate and slots change by the instant) and it can refuse.
func (s Standing) tellable() bool {
	return !s.Shadow && s.Kind != Spend && s.Kind != Rate && s.Kind != Concurrency
}

// seconds rounds up, to one at least: zero would invite a caller to try at once.
func seconds(d time.Duration) int64 { return max(1, int64((d+time.Second-1)/time.Second)) }
