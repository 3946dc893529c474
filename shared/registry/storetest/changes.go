package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"keyless/shared/registry"
)

func expects(t *testing.T, s registry.Store) {
	changes := []registry.Change{
		{Set: map[string]string{"api:a": "1"}}, {Unset: []string{"api:a"}}, {Revision: true}, put("c", "1", "i"),
		{Kind: client, Name: "a/b", Entry: &registry.Entry{Value: "{}"}}, {Kind: consumer, Name: "c", Unindex: []string{"i"}},
	}
	for i, change := range changes {
		before := revision(t, s)
		change.Audit = &registry.AuditEntry{Action: "x"}
		change.Expect = "0000000000000000"
		if err := s.Write(t.Context(), change); !errors.Is(err, registry.ErrMoved) || revision(t, s) != before {
			t.Errorf("change %d on another revision: %v", i, err)
		}
		change.Expect = before
		if before == "" {
			change.Expect = registry.ExpectEmpty
		}
		write(t, s, change)
		if now := revision(t, s); now == before {
			t.Errorf("change %d does not move the revision", i)
		}
		if err := s.Write(t.Context(), change); !errors.Is(err, registry.ErrMoved) {
			t.Errorf("change %d once more: %v", i, err)
		}
	}
	if _, head, err := s.Audited(t.Context(), 0, 1); err != nil || head.Seq != int64(len(changes)) {
		t.Errorf("%d audit entries, %v", head.Seq, err)
	}
}

func leaves(t *testing.T, s registry.Store) {
	for i, change := range []registry.Change{
		{Set: map[string]string{"api:a": "1"}}, put("c", "1", "i"), {Kind: consumer, Name: "c", Unindex: []string{"i"}}, {Revision: true},
	} {
		change.Next = fmt.Sprintf("next-%d", i)
		write(t, s, change)
		if now := revision(t, s); now != change.Next {
			t.Errorf("change %d leaves %s", i, now)
		}
	}
}

// trail reads the audit trail and checks that it is one chain.
func trail(t *testing.T, s registry.Store) []registry.AuditEntry {
	t.Helper()
	texts, head, err := s.Audited(t.Context(), 0, 10000)
	if err != nil {
		t.Fatal(err)
	}
	var list []registry.AuditEntry
	var last registry.AuditHead
	for i, text := range texts {
		var e registry.AuditEntry
		if err := json.Unmarshal([]byte(text), &e); err != nil || e.Seq != int64(i)+1 || e.Previous != last.Hash || e.ID == "" {
			t.Errorf("entry %d: %s, %v", i+1, text, err)
		}
		last = registry.AuditHead{Seq: e.Seq, Hash: e.Hash}
		list = append(list, e)
	}
	if head != last {
		t.Errorf("the head is %+v, the last entry %+v", head, last)
	}
	return list
}

func audited(t *testing.T, s registry.Store) {
	if list := trail(t, s); len(list) != 0 {
		t.Errorf("%d entries in an empty store", len(list))
	}
	write(t, s, registry.Change{Revision: true})
	before := revision(t, s)
	write(t, s, registry.Change{Audit: &registry.AuditEntry{Action: "alone", Note: "\n\"<é>", Seq: 7, ID: "mine", Previous: "x", Hash: "y"}})
	if revision(t, s) != before {
		t.Error("an audit entry alone moves the revision")
	}
	change := put("c", "1", "i")
	change.Audit = &registry.AuditEntry{Action: "add"}
	write(t, s, change)
	change.Expect = "0000000000000000"
	if err := s.Write(t.Context(), change); !errors.Is(err, registry.ErrMoved) {
		t.Error(err)
	}
	list := trail(t, s)
	if len(list) != 2 || list[0].Note != "\n\"<é>" || list[0].ID == "mine" || list[1].Action != "add" {
		t.Errorf("%+v", list)
	}
	if f := all(t, s); len(f) != 1 {
		t.Errorf("what is the store's own is shown: %v", f)
	}
}

func chained(t *testing.T, s registry.Store) {
	const count, each = 6, 8
	var group sync.WaitGroup
	for w := range count {
		group.Go(func() {
			for n := range each {
				change := registry.Change{Audit: &registry.AuditEntry{Action: fmt.Sprintf("%d %d", w, n)}}
				if n%2 == 0 {
					change.Set = map[string]string{fmt.Sprintf("api:%d-%d", w, n): "1"}
				}
				if err := s.Write(t.Context(), change); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	seen := map[string]bool{}
	for _, e := range trail(t, s) {
		seen[e.Action] = true
	}
	if len(seen) != count*each {
		t.Errorf("%d entries", len(seen))
	}
}
