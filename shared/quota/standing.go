package quota

import "time"

// slotWait is what a caller is told to wait where all slots of an API are taken: nobody knows when one is
// free, and calls are short.
const slotWait = time.Second

// refusal names the full limit that opens last; nil where the subject is not full.
func (a ask) refusal(seen answer, now time.Time) *Refusal {
	var found *Refusal
	for i, r := range a.rules {
		if r.shadow || !r.full(seen.counts[i]) {
			continue
		}
		found = later(found, &Refusal{
			Subject: r.subject, Limit: r.key, Kind: r.kind, RetryAfter: r.window.end.Sub(now),
			TooLarge: r.ask > r.limit, Fits: r.fits(seen.counts[i]),
		})
	}
	for i, r := range a.rates {
		if wait := r.wait(seen.backlogs[i]); wait > 0 && !r.shadow {
			found = later(found, &Refusal{Subject: r.subject, Limit: "rate", Kind: Rate, RetryAfter: wait})
		}
	}
	if a.slots > 0 && seen.slots >= a.slots {
		found = later(found, &Refusal{
			Subject: a.subject, Limit: "concurrency", Kind: Concurrency, RetryAfter: slotWait,
		})
	}
	return found
}

// later returns the refusal that opens last; one that does not open at all is the last.
func later(a, b *Refusal) *Refusal {
	switch {
	case a == nil:
		return b
	case b == nil || a.TooLarge && !b.TooLarge:
		return a
	case b.TooLarge && !a.TooLarge || b.RetryAfter > a.RetryAfter:
		return b
	}
	return a
}

// standings says where the limits of the subject stand. Where it counted a call that another subject refused,
// that is about to be given back.
func (a ask) standings(seen answer, admitted bool, now time.Time) []Standing {
	list := make([]Standing, 0, len(a.rules)+len(a.rates)+1)
	for i, r := range a.rules {
		before := seen.counts[i]
		if seen.status == statusAdmitted {
			before -= r.held(seen)
		}
		after := before
		if admitted {
			after = seen.counts[i]
		}
		list = append(list, Standing{
			Name: r.name, Kind: r.kind, Limit: r.limit, Remaining: min(r.fits(after), r.limit),
			Reset: r.window.end.Sub(now), Shadow: r.shadow,
			Exceeded: r.full(before) && (r.shadow || seen.status == statusFull),
		})
	}
	for i, r := range a.rates {
		backlog, exceeded := seen.backlogs[i], r.wait(seen.backlogs[i]) > 0
		if seen.status == statusAdmitted && !exceeded {
			backlog += r.every
		}
		list = append(list, Standing{
			Name: r.name, Kind: Rate, Limit: r.burst, Remaining: r.left(backlog), Shadow: r.shadow,
			Reset: time.Duration(backlog) * time.Microsecond, Exceeded: exceeded,
		})
	}
	if a.slots > 0 {
		list = append(list, Standing{
			Name: a.label + "-concurrency", Kind: Concurrency, Limit: a.slots,
			Remaining: max(a.slots-seen.slots, 0), Exceeded: seen.status == statusFull && seen.slots >= a.slots,
		})
	}
	return list
}

// held is what the request holds in the rule's counter of now; 0 where it holds an earlier window's.
func (r rule) held(seen answer) int64 {
	for _, h := range seen.held.list {
		if h.counter == r.counter && h.window == r.window.name() {
			return h.amount
		}
	}
	return 0
}
