package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The Store's own fields of the Snapshot's hash.
const (
	fieldTurn    = "turn"    // number SP id of the last change that began
	fieldPending = "pending" // version SP JSON of the change that is under way
	fieldAudit   = "audit"   // Seq SP Hash of the newest audit entry
)

const (
	// rememberRemoval is for how many seconds a removed object is remembered, so that a write of it that was held up on its way finds
	// that it comes late: longer than any function sleeps with a request in its hands.
	rememberRemoval = 24 * 60 * 60
	// writeAttempts bounds how often a change is sent: each time somebody else wrote before, so that fifty writers at once all get through.
	writeAttempts = 100
	// longestPause and pauseStep keep those who wait for each other apart: fifty who each take some milliseconds.
	longestPause = 250 * time.Millisecond
	pauseStep    = 5 * time.Millisecond
	// tailLength is that of the random end of a version, which tells apart two stores that came back from one backup.
	tailLength = 5
)

// shown are the fields of a Snapshot without the Store's own.
func shown(fields map[string]string) map[string]string {
	for _, own := range []string{fieldTurn, fieldPending, fieldAudit} {
		delete(fields, own)
	}
	return fields
}

// pending is what is left to do of a change with an object, as it is stored while it is under way.
type pending struct {
	Kind    Kind     `json:"kind"`
	Name    string   `json:"name"`
	Entry   []byte   `json:"entry"` // null: the object is removed
	Index   []string `json:"index,omitempty"`
	Unindex []string `json:"unindex,omitempty"`
	Unset   []string `json:"unset,omitempty"`
	Next    string   `json:"next"`
}

// writing is a change on its way. Its id tells a repeated first part from a second change.
type writing struct {
	c       Change
	id      string
	next    string
	pending pending
	version string
}

func newWriting(c Change) writing {
	w := writing{c: c, id: newEdition(), next: c.Next}
	if w.next == "" {
		w.next = newEdition()
	}
	if c.Name != "" {
		w.pending = pending{
			Kind: c.Kind, Name: c.Name, Index: c.Index, Unset: c.Unset, Next: w.next,
			Unindex: slices.DeleteFunc(slices.Clone(c.Unindex), func(index string) bool {
				return c.Entry != nil && slices.Contains(c.Index, index)
			}),
		}
		if c.Entry != nil {
			w.pending.Entry = []byte(c.Entry.Value)
		}
	}
	return w
}

func (w *writing) kind() Kind {
	if w.c.Kind == "" {
		return KindConsumer
	}
	return w.c.Kind
}

// arguments are those of begin.lua where the newest audit entry is known, and the newest one afterwards.
func (w *writing) arguments(known AuditHead) ([]any, AuditHead, error) {
	head, entry, change, add := known, "", "", ""
	if w.c.Audit != nil {
		var err error
		if entry, head, err = w.c.Audit.after(known, w.id); err != nil {
			return nil, head, err
		}
	}
	revision, unset := "", w.c.Unset
	if w.c.moves() {
		revision = w.next
	}
	if w.c.Name != "" {
		text, err := json.Marshal(w.pending)
		if err != nil {
			return nil, head, fmt.Errorf("write down a change: %w", err)
		}
		revision, change, unset = w.id, string(text), nil
		if w.c.Entry != nil {
			add = w.c.Name
		}
	}
	list := []any{w.id, w.c.Expect, revision, known.text(), head.text(), entry, w.id[:tailLength], change, add}
	fields := slices.DeleteFunc(slices.Sorted(maps.Keys(w.c.Set)), func(f string) bool { return f == fieldRevision })
	list = append(list, len(fields))
	for _, field := range fields {
		list = append(list, field, w.c.Set[field])
	}
	for _, field := range unset {
		list = append(list, field)
	}
	return list, head, nil
}

// empty reports whether a change changes nothing.
func (c Change) empty() bool {
	return len(c.Set) == 0 && len(c.Unset) == 0 && c.Name == "" && !c.Revision && c.Audit == nil
}

// moves reports whether a change moves the revision: one that only adds an audit entry does not.
func (c Change) moves() bool {
	return c.Revision || len(c.Set) > 0 || len(c.Unset) > 0 || c.Name != ""
}

// text is the stored form of a head.
func (h AuditHead) text() string {
	if h.Seq == 0 {
		return ""
	}
	return strconv.FormatInt(h.Seq, 10) + " " + h.Hash
}

func parseHead(text string) *AuditHead {
	seq, hash, _ := strings.Cut(text, " ")
	n, _ := strconv.ParseInt(seq, 10, 64) // what is no number is no head
	return &AuditHead{Seq: n, Hash: hash}
}

// pause waits a little before every attempt but the first two.
func pause(ctx context.Context, attempt int) error {
	if attempt < 2 {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(rand.N(min(longestPause, time.Duration(attempt)*pauseStep))):
		return nil
	}
}
