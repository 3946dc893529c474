package quota

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// holding is what one request holds of one subject: what its reservation remembers.
type holding struct {
	attempt string // the admission that took it
	list    []hold
	slot    bool // one of the subject's slots of calls at once
	record  string
}

// hold is an amount in a counter.
type hold struct {
	counter string // tokens_per_day, or model/<glob>/tokens_per_day with the glob percent-encoded
	window  string
	amount  int64
}

// kind is what the counter counts.
func (h hold) kind() Kind {
	name := h.counter[strings.LastIndexByte(h.counter, '/')+1:]
	what, _, _ := strings.Cut(name, "_")
	return Kind(what)
}

const (
	// recordFormat stands before every record, so that a later one can be told.
	recordFormat = "2"
	recordSlot   = "slot"
	// maxRecord bounds the parts of a record: those of all limits and of a model's, and room for what a
	// later version counts.
	maxRecord = 64
)

// recorded writes a holding as its reservation remembers it: the format, the attempt,
// <counter>:<window>:<amount> for each counter, and "slot", separated by spaces.
func recorded(attempt string, list []hold, slot bool) holding {
	parts := []string{recordFormat, attempt}
	for _, h := range list {
		parts = append(parts, h.counter+":"+h.window+":"+strconv.FormatInt(h.amount, 10))
	}
	if slot {
		parts = append(parts, recordSlot)
	}
	return holding{attempt: attempt, list: list, slot: slot, record: strings.Join(parts, " ")}
}

// readRecord is its inverse. What is remembered of a settled request holds nothing.
func readRecord(record string) (holding, error) {
	if record == "" || record == afterSettle {
		return holding{}, nil
	}
	parts := strings.Split(record, " ")
	if parts[0] != recordFormat || len(parts) < 2 || len(parts) > maxRecord {
		return holding{}, fmt.Errorf("read a reservation: %w", errReply)
	}
	h := holding{attempt: parts[1], record: record}
	for _, part := range parts[2:] {
		if part == recordSlot {
			h.slot = true
			continue
		}
		fields := strings.Split(part, ":")
		if len(fields) != 3 {
			return holding{}, fmt.Errorf("read a reservation: %w", errReply)
		}
		held, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil {
			return holding{}, fmt.Errorf("read a reservation: %w", errReply)
		}
		h.list = append(h.list, hold{fields[0], fields[1], held})
	}
	return h, nil
}

// holds reports whether there is anything to give back.
func (h holding) holds() bool { return h.record != "" }

// settles reports whether a settlement changes anything: what counts calls alone is settled when it is
// admitted.
func (h holding) settles() bool {
	return h.slot || slices.ContainsFunc(h.list, func(one hold) bool { return one.kind() != Calls })
}

// taking is a holding with its Redis keys: the reservation, the counters, the slots where one is held.
type taking struct {
	holding
	keys []string
}
