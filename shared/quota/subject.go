package quota

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"keyless/shared/registry"
)

// ask is what one subject is asked: whether the call fits under all its rules, rates and slots.
type ask struct {
	space     registry.Space
	tag       string // of its Redis keys
	subject   string // as a Refusal says it
	name      string
	label     string // as a Standing says it
	requestID string
	attempt   string // tells this admission of the request from an earlier one that was given back
	entry     string // Redis key of the consumer, whose version is compared; "" for the others
	version   string
	rules     []rule
	rates     []rate
	slots     int64         // calls at once; 0: any number
	longest   time.Duration // that the call may take
}

// asks lists the subjects of a call that have limits, and its consumer always.
func (q *Quota) asks(c Call, now time.Time) ([]ask, error) {
	var asks []ask
	attempt := strconv.FormatUint(rand.Uint64(), 36)
	add := func(one ask, limits *registry.Limits) error {
		one.space, one.requestID, one.attempt, one.longest = q.space, c.RequestID, attempt, usualCall
		if c.Longest > 0 {
			one.longest = min(c.Longest, longestCall)
		}
		if err := q.limits(&one, limits, c, now); err != nil {
			return err
		}
		if one.holds() || one.entry != "" {
			asks = append(asks, one)
		}
		return nil
	}
	daily := registry.Limits{TimeZone: c.Domain.TimeZone, CallsPerDay: c.Domain.CallsPerDay()}
	domain := ask{tag: "d", subject: "DOMAIN", name: c.Domain.Name, label: "domain"}
	if err := add(domain, &daily); err != nil {
		return nil, err
	}
	api := ask{tag: "a", subject: "API", name: c.API.Name, label: "api", slots: max(c.API.Concurrency, 0)}
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

// holds reports whether an admission leaves anything behind.
func (a ask) holds() bool { return len(a.rules)+len(a.rates) > 0 || a.slots > 0 }

// holding is what the call holds of the subject once it is admitted.
func (a ask) holding() holding {
	list := make([]hold, len(a.rules))
	for i, r := range a.rules {
		list[i] = hold{r.counter, r.window.name(), r.ask}
	}
	return recorded(a.attempt, list, a.slots > 0)
}

// taking completes a holding, which may be of an earlier window than this ask's, by its Redis keys.
func (a ask) taking(h holding) taking {
	t := taking{holding: h, keys: []string{a.space.Reservation(a.tag, a.name, a.requestID)}}
	for _, one := range h.list {
		t.keys = append(t.keys, a.space.Counter(a.tag, a.name, one.counter, one.window))
	}
	if h.slot {
		t.keys = append(t.keys, a.slotsKey())
	}
	return t
}

// prefix is what the Redis keys of the subject begin with.
func (a ask) prefix() string { return string(a.space) + ":{" + a.tag + ":" + a.name + "}" }

// slotsKey is the sorted set of the requests that are on their way, by the end of their lease.
func (a ask) slotsKey() string { return a.prefix() + ":s" }

// rateKey is when the next call would conform.
func (a ask) rateKey(r rate) string { return a.prefix() + ":p:" + r.counter }

// keep is how long the reservation lives: a request that holds what is to be settled is settled late.
func (a ask) keep() time.Duration {
	for _, r := range a.rules {
		if r.kind != Calls {
			return keepHeld
		}
	}
	return max(keepReservation, a.longest)
}

// limitsOf finds the limits by model: the model's own name, else the longest prefix before a star. The glob
// under which they stand is the counter's name.
func limitsOf(models map[string]registry.Limits, model string) (string, *registry.Limits) {
	if model == "" {
		return "", nil
	}
	best, found := "", false
	for glob := range models {
		prefix, open := strings.CutSuffix(glob, "*")
		if glob == model {
			best, found = glob, true
			break
		}
		if open && strings.HasPrefix(model, prefix) && (!found || len(glob) > len(best)) {
			best, found = glob, true
		}
	}
	if !found {
		return "", nil
	}
	limits := models[best]
	return best, &limits
}
