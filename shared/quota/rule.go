package quota

import (
	"fmt"
	"net/url"
	"time"

	"keyless/shared/registry"
)

// rule is one limit in the window of now.
type rule struct {
	kind    Kind
	limit   int64
	ask     int64  // what the call counts in it
	key     string // in the configuration file, for a Refusal
	counter string // in the name of its Redis key
	subject string // as a Refusal says it
	name    string // as a Standing says it
	unit    unit
	window  window
	shadow  bool
}

// rate is a limit that smooths: a call in every interval, and some at once (GCRA, ITU-T I.371).
type rate struct {
	every   int64 // microseconds
	burst   int64
	counter string
	subject string
	name    string
	shadow  bool
}

// limits adds the rules of a subject, and those that it has for the call's model.
func (q *Quota) limits(one *ask, limits *registry.Limits, c Call, now time.Time) error {
	if limits == nil {
		return nil
	}
	own := scope{subject: one.subject, label: one.label, zone: limits.TimeZone, shadow: limits.Shadow}
	if err := q.rules(one, own, limits, c, now); err != nil {
		return err
	}
	glob, byModel := limitsOf(limits.Models, c.Model)
	if byModel == nil {
		return nil
	}
	model := scope{
		subject: "MODEL", label: one.label + "-model", zone: limits.TimeZone,
		counter: "model/" + url.QueryEscape(glob) + "/", shadow: limits.Shadow || byModel.Shadow,
	}
	if byModel.TimeZone != "" {
		model.zone = byModel.TimeZone
	}
	return q.rules(one, model, byModel, c, now)
}

// scope is what the rules of one Limits share.
type scope struct {
	subject, label string
	counter        string // before the name of each counter
	zone           string
	shadow         bool
}

func (q *Quota) rules(one *ask, s scope, l *registry.Limits, c Call, now time.Time) error {
	zone, err := q.zone(s.zone)
	if err != nil {
		return err
	}
	daily, err := spend(l.SpendPerDay)
	if err != nil {
		return err
	}
	monthly, err := spend(l.SpendPerMonth)
	if err != nil {
		return err
	}
	tokens, cost := amount(c.Tokens), amount(c.Spend)
	for _, r := range []rule{
		{kind: Calls, ask: 1, limit: l.CallsPerMinute, unit: minute},
		{kind: Calls, ask: 1, limit: l.CallsPerHour, unit: hour},
		{kind: Calls, ask: 1, limit: l.CallsPerDay, unit: day},
		{kind: Calls, ask: 1, limit: l.CallsPerMonth, unit: month},
		{kind: Tokens, ask: tokens, limit: l.TokensPerMinute, unit: minute},
		{kind: Tokens, ask: tokens, limit: l.TokensPerHour, unit: hour},
		{kind: Tokens, ask: tokens, limit: l.TokensPerDay, unit: day},
		{kind: Tokens, ask: tokens, limit: l.TokensPerMonth, unit: month},
		{kind: Spend, ask: cost, limit: daily, unit: day},
		{kind: Spend, ask: cost, limit: monthly, unit: month},
	} {
		if r.limit <= 0 {
			continue
		}
		r.limit = min(r.limit, maxLimit)
		r.key = string(r.kind) + "_per_" + string(r.unit)
		r.counter = s.counter + r.key
		r.name = s.label + "-" + string(r.unit)
		if r.kind != Calls {
			r.name += "-" + string(r.kind)
		}
		if one.tag == "d" {
			r.key = "daily_call_limit"
		}
		r.subject, r.shadow = s.subject, s.shadow
		r.window = windowAt(r.unit, now.In(zone))
		one.rules = append(one.rules, r)
	}
	one.rates = append(one.rates, rates(s, l.Rate)...)
	return nil
}

// spend reads a limit of money in millionths of the currency, exactly; "" is none.
func spend(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	micros, ok := registry.Decimal(text, registry.SpendPlaces)
	if !ok {
		return 0, fmt.Errorf("read a limit of money %q: not a decimal number", text)
	}
	return micros, nil
}

// maxBurst keeps the arithmetic of a rate exact: a burst at one call a second is 10^15 microseconds.
const maxBurst = 1_000_000_000

// rates reads a rate; where it names no burst, a second's worth may come at once. An interval is rounded up
// to a microsecond, so that the rate is never above what is written.
func rates(s scope, r *registry.Rate) []rate {
	if r == nil || r.PerSecond <= 0 {
		return nil
	}
	const second = int64(time.Second / time.Microsecond)
	one := rate{
		every: (second + r.PerSecond - 1) / r.PerSecond, burst: r.Burst, counter: s.counter + "rate",
		subject: s.subject, name: s.label + "-rate", shadow: s.shadow,
	}
	if one.burst <= 0 {
		one.burst = r.PerSecond
	}
	one.every, one.burst = max(one.every, 1), min(one.burst, maxBurst)
	return []rate{one}
}

// fits is what of the limit is left where the counter says count.
func (r rule) fits(count int64) int64 { return max(r.limit-count, 0) }

// full reports whether a call does not fit any more where the counter says count before it. A call that asks
// for nothing fits unless the limit is reached.
func (r rule) full(count int64) bool { return count+max(r.ask, 1) > r.limit }

// wait is how long a call waits where the rate has the backlog, both in microseconds; 0: it conforms.
func (r rate) wait(backlog int64) time.Duration {
	return time.Duration(max(backlog+r.every-r.every*r.burst, 0)) * time.Microsecond
}

// left is how many calls may come at once.
func (r rate) left(backlog int64) int64 {
	return min(max(r.every*r.burst-backlog, 0)/r.every, r.burst)
}
