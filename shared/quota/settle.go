package quota

import (
	"context"
	"fmt"

	"keyless/shared/ledger"
)

// What becomes of a request's reservation when what it holds is corrected.
const (
	afterBack   = "" // forgotten
	afterSettle = "settled"
	afterFail   = "void:" // and the attempt: a copy of it that is still on its way counts nothing
)

// GiveBack takes an admitted call off the counters of the windows that it was counted in, however late:
// the call, the usage that it holds, its slot. One round trip; none where nothing was counted. A second
// time changes nothing, nor does it for usage that was settled.
func (q *Quota) GiveBack(ctx context.Context, a Admission) error {
	if len(a.taken) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), admitWithin)
	defer cancel()
	after := afterBack
	if a.resent {
		after = afterFail
	}
	if err := q.scripts.settle(ctx, a.changes(after, Used{}), nil); err != nil {
		return fmt.Errorf("give a call back: %w", err)
	}
	return nil
}

// Settle corrects what the call holds to what it used, in the windows in which it was held, frees its slot,
// and writes the entry (nil: none) and its day's counters, once, whatever is sent twice. What was used beyond
// what was held counts in full. One round trip; none where there is nothing to do; nothing for a call that
// was Bypassed. It goes on when the caller hangs up.
//
// Where it fails the call stays charged with what it held, and the same Settle may be tried again within
// fifteen minutes.
func (q *Quota) Settle(ctx context.Context, a Admission, used Used, entry *ledger.Entry) error {
	changes := a.changes(afterSettle, used)
	if a.Bypassed || len(changes) == 0 && entry == nil {
		return nil
	}
	var lines []ledger.Line
	if entry != nil {
		kept := *entry
		if kept.RequestID == "" {
			kept.RequestID = a.requestID
		}
		if kept.At.IsZero() {
			kept.At = q.now()
		}
		var err error
		if lines, err = ledger.Lines(q.space, kept); err != nil {
			return fmt.Errorf("settle a call: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleWithin)
	defer cancel()
	if err := q.scripts.settle(ctx, changes, lines); err != nil {
		return fmt.Errorf("settle a call: %w", err)
	}
	return nil
}

// undo takes off what an admission counted whose answer did not arrive, or may yet count. Its own failure
// adds nothing to that one's.
func (q *Quota) undo(ctx context.Context, requestID string, asks []ask) {
	ctx, cancel := context.WithTimeout(ctx, undoWithin)
	defer cancel()
	a := Admission{requestID: requestID}
	for _, one := range asks {
		if one.holds() {
			a.taken = append(a.taken, one.taking(one.holding()))
		}
	}
	if len(a.taken) > 0 {
		_ = q.scripts.settle(ctx, a.changes(afterFail, Used{}), nil)
	}
}

// change is what settle.lua is told of one subject.
type change struct {
	taking
	requestID string
	after     string
	by        []int64 // for each hold
}

// changes are the differences between what is held and what stays counted: what was used, or nothing.
func (a Admission) changes(after string, used Used) []change {
	list := make([]change, 0, len(a.taken))
	for _, t := range a.taken {
		if after == afterSettle && !t.settles() {
			continue
		}
		one := change{taking: t, requestID: a.requestID, after: after, by: make([]int64, len(t.list))}
		for n, h := range t.list {
			stays := int64(0)
			if after == afterSettle {
				stays = used.of(h)
			}
			one.by[n] = stays - h.amount
		}
		list = append(list, one)
	}
	return list
}

// of is what a counter says in the end for what it holds.
func (u Used) of(h hold) int64 {
	switch h.kind() {
	case Tokens:
		return amount(u.Tokens)
	case Spend:
		return amount(u.Spend)
	}
	return h.amount
}

// amount bounds what others tell: an upstream that tells nonsense must not spoil a counter.
func amount(n int64) int64 { return min(max(n, 0), maxAmount) }
