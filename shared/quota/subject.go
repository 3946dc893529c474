package quota

import (
	"strings"
	"time"

	"keyless/shared/registry"
)

// ask is what one subject is asked: whether the call fits under all its rules.
type ask struct {
	space     registry.Space
	tag       string // of its Redis keys
	subject   string // as a Refusal says it
	name      string
	label     string // as a Standing says it
	requestID string
	entry     string // Redis key of the consumer, whose version is compared; "" for the others
	version   string
	rules     []rule
}

// rule is one limit in the window of now.
type rule struct {
	limit  int64
	key    string // in the configuration file, for a Refusal
	unit   unit
	window window
}

// asks lists the subjects of a call that have limits, and its consumer always.
func (q *Quota) asks(c Call, now time.Time) ([]ask, error) {
	var asks []ask
	add := func(one ask, limits *registry.Limits) error {
		one.space, one.requestID = q.space, c.RequestID
		if err := q.rules(&one, limits, now); err != nil {
			return err
		}
		if len(one.rules) > 0 || one.entry != "" {
			asks = append(asks, one)
		}
		return nil
	}
	daily := registry.Limits{TimeZone: c.Domain.TimeZone, CallsPerDay: c.Domain.CallsPerDay()}
	domain := ask{tag: "d", subject: "DOMAIN", name: c.Domain.Name, label: "domain"}
	if err := add(domain, &daily); err != nil {
		return nil, err
	}
	api := ask{tag: "a", subject: "API", name: c.API.Name, label: "api"}
	if err := add(api, c.API.Limits); err != nil {
		return nil, err
	}
	for _, g := range c.Groups {
		one := ask{tag: "g", subject: "GROUP", name: g.Name, label: "group-" + g.Name}
		if err := add(one, g.Limits); err != nil {
			return nil, err
		}
	}
	if c.Consumer == nil {
		return asks, nil
	}
	consumer := ask{
		tag: "c", subject: "CONSUMER", name: c.Consumer.Name, label: "consumer",
		entry: q.space.Entry(registry.KindConsumer, c.Consumer.Name), version: c.Consumer.Version,
	}
	err := add(consumer, c.Consumer.Limits)
	return asks, err
}

func (q *Quota) rules(one *ask, limits *registry.Limits, now time.Time) error {
	if limits == nil {
		return nil
	}
	zone, err := q.zone(limits.TimeZone)
	if err != nil {
		return err
	}
	for _, r := range []rule{
		{limit: limits.CallsPerMinute, unit: minute}, {limit: limits.CallsPerHour, unit: hour},
		{limit: limits.CallsPerDay, unit: day}, {limit: limits.CallsPerMonth, unit: month},
	} {
		if r.limit <= 0 {
			continue
		}
		r.limit = min(r.limit, maxLimit)
		r.key = r.counts()
		if one.tag == "d" {
			r.key = "daily_call_limit"
		}
		r.window = windowAt(r.unit, now.In(zone))
		one.rules = append(one.rules, r)
	}
	return nil
}

// counts is what stands in the name of a counter: what is counted, in which unit.
func (r rule) counts() string { return "calls_per_" + string(r.unit) }

// record names the counters of an ask, as its reservation remembers them: <limit>:<window>, separated by
// spaces.
func (a ask) record() string {
	parts := make([]string, len(a.rules))
	for i, r := range a.rules {
		parts[i] = r.counts() + ":" + r.window.name()
	}
	return strings.Join(parts, " ")
}

// taking is what a request holds of a subject: Redis keys, the reservation's first.
type taking struct {
	keys   []string
	record string
}

// taking is what the request holds by the record, which may be of an earlier window than this ask's.
func (a ask) taking(record string) taking {
	t := taking{record: record, keys: []string{a.space.Reservation(a.tag, a.name, a.requestID)}}
	for part := range strings.SplitSeq(record, " ") {
		limit, window, _ := strings.Cut(part, ":")
		t.keys = append(t.keys, a.space.Counter(a.tag, a.name, limit, window))
	}
	return t
}

// refusal names the full limit that opens last.
func (a ask) refusal(counts []int64, now time.Time) *Refusal {
	var found *Refusal
	for i, r := range a.rules {
		if counts[i] >= r.limit {
			full := &Refusal{Subject: a.subject, Limit: r.key, RetryAfter: r.window.end.Sub(now)}
			found = later(found, full)
		}
	}
	return found
}

// standings says where the limits stand; given: one of each count is about to be given back.
func (a ask) standings(counts []int64, given bool, now time.Time) []Standing {
	list := make([]Standing, len(a.rules))
	for i, r := range a.rules {
		remaining := r.limit - counts[i]
		if given {
			remaining++
		}
		list[i] = Standing{
			Name: a.label + "-" + string(r.unit), Limit: r.limit,
			Remaining: min(max(remaining, 0), r.limit), Reset: r.window.end.Sub(now),
		}
	}
	return list
}
