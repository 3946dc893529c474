package registry_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"keyless/shared/registry"
	"keyless/shared/seal"
)

// trail is a registry with an audit trail of some entries, and the Redis that keeps it.
func trail(t *testing.T) (*bureau, *miniredis.Miniredis) {
	t.Helper()
	server := miniredis.RunT(t)
	b := newBureau(t, registry.NewRedis(connect(t, "redis://"+server.Addr()), "kg"), small)
	for i := range 6 {
		b.must("group", fmt.Sprintf("g%d", i), `{}`)
	}
	return b, server
}

func TestEveryChangeHasItsEntry(t *testing.T) {
	t.Parallel()
	for name, store := range stores(t) {
		b := &bureau{t: t, store: store, keys: masterKeys(t)}
		b.Editor = registry.NewEditor(store, b.keys, func() time.Time { return time.Unix(1_900_000_000, 5).In(time.FixedZone("", 3600)) })
		apply(t, store, b.keys, small, registry.ApplyOptions{By: someone})
		b.must("group", "g", `{"limits":{"calls_per_day":7}}`)
		b.must("group", "g2", `{}`)
		b.must("group", "g2", "")
		before, err := store.Revision(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Record(t.Context(), registry.AuditEvent{By: someone, Action: "sign_in", Note: "by token"}); err != nil {
			t.Fatal(err)
		}
		if after, err := store.Revision(t.Context()); err != nil || after != before {
			t.Errorf("%s: an entry without a change moves the revision", name)
		}
		var got []string
		entries, err := b.Audit(t.Context(), 0, 500)
		for i, e := range entries {
			got = append(got, strings.TrimSpace(e.Action+" "+e.Kind+" "+e.Name))
			if e.Seq != int64(i)+1 || e.Who != "ann" || e.RequestID != "r-1" || e.At.IsZero() || len(e.Hash) != 64 {
				t.Errorf("%s: %+v", name, e)
			}
		}
		want := "apply, add instance a, add domain default, add upstream u, add group g, add api p, add client a/c, " +
			"add consumer one, apply, change group g, add group g2, remove group g2, sign_in"
		if err != nil || strings.Join(got, ", ") != want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		change := entries[9]
		if string(change.Before) != `{"name":"g"}` || string(change.After) != `{"name":"g","limits":{"calls_per_day":7}}` ||
			change.At != time.Unix(1_900_000_000, 5).UTC() {
			t.Errorf("%s: %+v", name, change)
		}
		if entries[11].After != nil || string(entries[11].Before) != `{"name":"g2"}` || entries[12].Before != nil {
			t.Errorf("%s: %+v", name, entries[11:])
		}
		page, err := b.Audit(t.Context(), 10, 2)
		if err != nil || len(page) != 2 || page[0].Seq != 11 {
			t.Errorf("%s: page %+v, %v", name, page, err)
		}
	}
}

// A12: whoever removes, changes, moves or adds an entry is found out, at its place.
func TestA12TamperedTrailIsFound(t *testing.T) {
	t.Parallel()
	const key = "kg:{s}:audit"
	set := func(server *miniredis.Miniredis, list []string) {
		server.Del(key)
		if len(list) > 0 {
			_, _ = server.Push(key, list...)
		}
	}
	for name, row := range map[string]struct {
		tamper func(*miniredis.Miniredis, []string)
		broken int64
		why    string
	}{
		"nothing": {func(*miniredis.Miniredis, []string) {}, 0, ""},
		"an entry altered": {func(s *miniredis.Miniredis, l []string) {
			l[4] = strings.Replace(l[4], `"action":"add"`, `"action":"change"`, 1)
			set(s, l)
		}, 5, "altered"},
		"an entry altered, with a hash that fits": {func(s *miniredis.Miniredis, l []string) {
			var e registry.AuditEntry
			_ = json.Unmarshal([]byte(l[4]), &e)
			e.Who = "eve"
			l[4] = hashed(e)
			set(s, l)
		}, 6, "replaced"},
		"a member added":      {func(s *miniredis.Miniredis, l []string) { l[4] = `{"x":1,` + l[4][1:]; set(s, l) }, 5, "altered"},
		"an entry unreadable": {func(s *miniredis.Miniredis, l []string) { l[4] = "x"; set(s, l) }, 5, "cannot be read"},
		"an entry removed": {func(s *miniredis.Miniredis, l []string) { set(s, append(l[:4:4], l[5:]...)) }, 5,
			"number 6 stands here"},
		"the first removed": {func(s *miniredis.Miniredis, l []string) { set(s, l[1:]) }, 1, "number 2 stands here"},
		"two exchanged": {func(s *miniredis.Miniredis, l []string) { l[4], l[5] = l[5], l[4]; set(s, l) }, 5,
			"number 6 stands here"},
		"an entry twice":       {func(s *miniredis.Miniredis, l []string) { set(s, append(l[:5:5], l[4:]...)) }, 6, "number 5 stands here"},
		"the end cut off":      {func(s *miniredis.Miniredis, l []string) { set(s, l[:len(l)-2]) }, 14, "removed at the end"},
		"all removed":          {func(s *miniredis.Miniredis, l []string) { set(s, nil) }, 1, "removed at the end"},
		"one added":            {func(s *miniredis.Miniredis, l []string) { set(s, append(l, follower(l))) }, 16, "added at the end"},
		"the last replaced":    {func(s *miniredis.Miniredis, l []string) { set(s, append(l[:14:14], follower(l[:14]))) }, 15, "not the one"},
		"the head turned back": {func(s *miniredis.Miniredis, l []string) { s.HSet("kg:{s}", "audit", "") }, 1, "added at the end"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, server := trail(t)
			list, err := server.List(key)
			if err != nil || len(list) != 15 {
				t.Fatalf("%d entries, %v", len(list), err)
			}
			row.tamper(server, list)
			verdict, err := b.VerifyAudit(t.Context(), nil)
			if err != nil || verdict.Broken != row.broken || !strings.Contains(verdict.Why, row.why) {
				t.Errorf("%+v, %v", verdict, err)
			}
		})
	}
}

// hashed is an entry as an intruder would store it who knows how entries are hashed.
func hashed(e registry.AuditEntry) string {
	e.Hash = ""
	text, _ := json.Marshal(e)
	digest := sha256.Sum256(text)
	e.Hash = hex.EncodeToString(digest[:])
	text, _ = json.Marshal(e)
	return string(text)
}

// follower is a forged entry behind others.
func follower(list []string) string {
	var last registry.AuditEntry
	_ = json.Unmarshal([]byte(list[len(list)-1]), &last)
	return hashed(registry.AuditEntry{Seq: last.Seq + 1, Action: "forged", Previous: last.Hash})
}

func TestAuditOfManyPages(t *testing.T) {
	t.Parallel()
	for name, store := range stores(t) {
		b := newBureau(t, store, "version: 1\n")
		for range 2 * registry.MaxAuditPage {
			if err := b.Record(t.Context(), registry.AuditEvent{Action: "x"}); err != nil {
				t.Fatal(err)
			}
		}
		var count int64
		verdict, err := b.VerifyAudit(t.Context(), func(e registry.AuditEntry) {
			if count++; e.Seq != count {
				t.Errorf("%s: entry %d is the %dth", name, e.Seq, count)
			}
		})
		if err != nil || verdict.Broken != 0 || verdict.Entries != count || verdict.Head != count || count < 1000 {
			t.Errorf("%s: %+v, %d, %v", name, verdict, count, err)
		}
	}
}

// A new master key seals everything anew, and the trail is whole.
func TestAuditOutlivesTheMasterKey(t *testing.T) {
	t.Parallel()
	for name, store := range stores(t) {
		older, newer := seal.NewMasterKey(), seal.NewMasterKey()
		b := &bureau{t: t, store: store, keys: ring(t, older)}
		b.Editor = registry.NewEditor(store, b.keys, time.Now)
		apply(t, store, b.keys, marks, registry.ApplyOptions{})
		b.must("group", "g", `{}`)
		b.keys = ring(t, newer, older)
		done, err := registry.Rewrap(t.Context(), store, b.keys)
		if err != nil || done.Sealed == 0 || done.Missed != 0 {
			t.Fatalf("%s: %+v, %v", name, done, err)
		}
		b.keys = ring(t, newer)
		b.Editor = registry.NewEditor(store, b.keys, time.Now)
		b.must("consumer", "k", string(b.object("consumer", "k").Value))
		b.must("group", "h", `{}`)
		if secret, err := b.Reveal(t.Context(), someone, "a", "c", "s1"); err != nil || secret != "marker-client-secret-1" {
			t.Errorf("%s: %q, %v", name, secret, err)
		}
		b.whole()
	}
}
