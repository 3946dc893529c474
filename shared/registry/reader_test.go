package registry_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keyless/shared/registry"
)

// observed is a Store that counts its calls, can be away, and can wait.
type observed struct {
	registry.Store
	fields, revisions, indexed, entries atomic.Int64

	away atomic.Bool
	gate chan struct{} // where set, Fields waits for it to be closed
}

var errAway = errors.New("away")

func (w *observed) failure() error {
	if w.away.Load() {
		return errAway
	}
	return nil
}

func (w *observed) Fields(ctx context.Context) (map[string]string, error) {
	w.fields.Add(1)
	if w.gate != nil {
		<-w.gate
	}
	if err := w.failure(); err != nil {
		return nil, err
	}
	return w.Store.Fields(ctx)
}

func (w *observed) Revision(ctx context.Context) (string, error) {
	w.revisions.Add(1)
	if err := w.failure(); err != nil {
		return "", err
	}
	return w.Store.Revision(ctx)
}

func (w *observed) Entries(
	ctx context.Context, kind registry.Kind, names ...string,
) (map[string]registry.Entry, string, error) {
	w.entries.Add(1)
	if err := w.failure(); err != nil {
		return nil, "", err
	}
	return w.Store.Entries(ctx, kind, names...)
}

func (w *observed) Indexed(ctx context.Context, i ...string) ([]map[string]registry.Entry, string, error) {
	w.indexed.Add(1)
	if err := w.failure(); err != nil {
		return nil, "", err
	}
	return w.Store.Indexed(ctx, i...)
}

// calls tells and forgets what was counted: fields, revisions, indexed, entries.
func (w *observed) calls() string {
	return fmt.Sprint(w.fields.Swap(0), w.revisions.Swap(0), w.indexed.Swap(0), w.entries.Swap(0))
}

// office is a reader over a observed store, with a clock that the test sets.
type office struct {
	*registry.Reader
	store *observed
	now   atomic.Int64
}

func newOffice(t testing.TB) *office {
	t.Helper()
	_, memory := reader(t, map[string]string{"api:a": `{"name":"a","base_path":"/a"}`})
	o := &office{store: &observed{Store: memory}}
	o.now.Store(time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC).UnixNano())
	o.Reader = registry.NewReader(o.store, nil, func() time.Time { return time.Unix(0, o.now.Load()) })
	return o
}

func (o *office) advance(by time.Duration) { o.now.Add(int64(by)) }

func (o *office) write(t testing.TB, c registry.Change) {
	t.Helper()
	if err := o.store.Write(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// hire writes a consumer under an index, and moves the revision.
func (o *office) hire(t testing.TB, name, status, index string) {
	t.Helper()
	o.write(t, registry.Change{Kind: registry.KindConsumer, Name: name, Index: []string{index}, Revision: true,
		Entry: &registry.Entry{Value: `{"name":"` + name + `","status":"` + status + `"}`}})
}

func found(t testing.TB, v registry.View, indexes ...string) string {
	t.Helper()
	list, err := v.Consumers(t.Context(), indexes...)
	if err != nil {
		t.Fatal(err)
	}
	names := ""
	for _, c := range list {
		names += c.Name + " "
	}
	return names
}

func (o *office) consult(t testing.TB, decide func(registry.View) (registry.Result, error)) error {
	t.Helper()
	return o.Consult(t.Context(), decide)
}

func TestConsultFinal(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.hire(t, "c", "enabled", "i")
	for round, want := range []string{"1 0 1 0", "0 0 0 0"} {
		times := 0
		err := o.consult(t, func(v registry.View) (registry.Result, error) {
			times++
			if got := found(t, v, "i"); got != "c " {
				t.Errorf("found %q", got)
			}
			return registry.Final, nil
		})
		if got := o.store.calls(); err != nil || times != 1 || got != want {
			t.Errorf("round %d: decided %d times, calls %s, want %s, error %v", round, times, got, want, err)
		}
	}
}

func TestConsultPassesErrorsOn(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	times := 0
	err := o.consult(t, func(registry.View) (registry.Result, error) {
		times++
		return registry.Stale, errAway
	})
	if !errors.Is(err, errAway) || times != 1 {
		t.Errorf("%d times, %v", times, err)
	}
}

func TestConsultRefused(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	var seen []string
	ask := func() string {
		seen = nil
		err := o.consult(t, func(v registry.View) (registry.Result, error) {
			names := found(t, v, "i")
			seen = append(seen, names)
			if names == "" {
				return registry.Refused, nil
			}
			return registry.Final, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%q", seen)
	}
	if got := ask(); got != `[""]` || o.store.calls() != "1 0 1 0" {
		t.Errorf("unknown: %s", got)
	}
	for range 100 { // refused a hundred times within a second costs nothing
		ask()
	}
	if got := o.store.calls(); got != "0 0 0 0" {
		t.Errorf("calls %s", got)
	}
	o.advance(time.Second)
	ask()
	ask()
	if got := o.store.calls(); got != "0 1 0 0" {
		t.Errorf("after a second: calls %s", got)
	}
	o.hire(t, "c", "enabled", "i")
	if got := ask(); got != `[""]` {
		t.Errorf("hired, within the second: %s", got)
	}
	o.advance(time.Second)
	if got := ask(); got != `["" "c "]` {
		t.Errorf("hired, after a second: %s", got)
	}
	if got := ask(); got != `["c "]` {
		t.Errorf("once more: %s", got)
	}
}

func TestConsultStale(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.hire(t, "c", "enabled", "i")
	ask := func(spoil func(attempt int)) (string, error) {
		seen := ""
		attempt := 0
		err := o.consult(t, func(v registry.View) (registry.Result, error) {
			seen += found(t, v, "i") + "|"
			attempt++
			before := v.Revision
			spoil(attempt)
			now, err := o.store.Store.Revision(t.Context())
			if err != nil || now != before {
				return registry.Stale, err
			}
			return registry.Final, nil
		})
		return seen, err
	}
	if seen, err := ask(func(int) {}); seen != "c |" || err != nil {
		t.Errorf("warm: %s, %v", seen, err)
	}
	o.hire(t, "c", "disabled", "i")
	if seen, err := ask(func(int) {}); seen != "c ||" || err != nil {
		t.Errorf("disabled: %s, %v", seen, err)
	}
	seen, err := ask(func(attempt int) {
		if attempt < 3 {
			o.hire(t, "c", "enabled", "i")
		}
	})
	if seen != "|c |c |" || err != nil {
		t.Errorf("changed twice: %s, %v", seen, err)
	}
	seen, err = ask(func(int) { o.hire(t, "c", "enabled", "i") })
	if seen != "c |c |c |" || !errors.Is(err, registry.ErrBusy) {
		t.Errorf("changed each time: %s, %v", seen, err)
	}
}

func TestManyWaitForOneLoad(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.store.gate = make(chan struct{})
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if s, err := o.Snapshot(t.Context()); err != nil || s.APIs["a"] == nil {
				t.Errorf("snapshot %v, %v", s, err)
			}
		})
	}
	impatient, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := o.Snapshot(impatient); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one that waits no longer: %v", err)
	}
	close(o.store.gate)
	group.Wait()
	if n := o.store.fields.Load(); n > 2 { // whoever comes after the first load has ended finds it
		t.Errorf("%d loads", n)
	}
}

// The one who began a load may go away; the others still get it.
func TestFirstWaiterLeaves(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.store.gate = make(chan struct{})
	first, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() { _, err := o.Snapshot(first); left <- err }()
	for o.store.fields.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the first: %v", err)
	}
	close(o.store.gate)
	if s, err := o.Snapshot(t.Context()); err != nil || s.Empty() {
		t.Errorf("the second: %v", err)
	}
}

func TestStoreAwayAndEmpty(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.store.away.Store(true)
	if _, err := o.Snapshot(t.Context()); !errors.Is(err, errAway) {
		t.Errorf("cold, away: %v", err)
	}
	if err := o.Ready(t.Context()); !errors.Is(err, errAway) {
		t.Errorf("ready, away: %v", err)
	}
	o.store.away.Store(false)
	warm, err := o.Snapshot(t.Context())
	if err != nil || o.Ready(t.Context()) != nil {
		t.Fatalf("back again: %v", err)
	}
	o.store.away.Store(true)
	o.advance(4 * time.Minute)
	if s, err := o.Current(t.Context()); err != nil || s != warm {
		t.Errorf("warm, away: %v", err)
	}
	o.advance(2 * time.Minute)
	if _, err := o.Current(t.Context()); !errors.Is(err, errAway) {
		t.Errorf("away for longer than knowledge serves: %v", err)
	}
	err = o.consult(t, func(v registry.View) (registry.Result, error) {
		_, err := v.Consumers(t.Context(), "never met")
		return registry.Refused, err
	})
	if !errors.Is(err, errAway) {
		t.Errorf("a consumer never met, away: %v", err)
	}
	empty := registry.NewReader(registry.NewMemory(), nil, time.Now)
	if _, err := empty.Snapshot(t.Context()); !errors.Is(err, registry.ErrEmpty) {
		t.Errorf("an empty store: %v", err)
	}
	if err := empty.Ready(t.Context()); !errors.Is(err, registry.ErrEmpty) {
		t.Errorf("ready, empty: %v", err)
	}
}

// A clock that was set back makes what was confirmed doubtful, not valid for longer.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	if _, err := o.Snapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.store.calls()
	o.advance(-time.Hour)
	if _, err := o.Current(t.Context()); err != nil || o.store.calls() != "0 1 0 0" {
		t.Errorf("the store is not asked: %v", err)
	}
}

func TestClient(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	client := func(status string) {
		o.write(t, registry.Change{Kind: registry.KindClient, Name: "acme/x",
			Entry: &registry.Entry{Value: `{"id":"x","status":"` + status + `"}`}})
	}
	client("enabled")
	c, s, err := o.Client(t.Context(), "acme", "x")
	if err != nil || c.ID != "x" || !c.Status.On() || s.APIs["a"] == nil || o.store.calls() != "1 0 0 1" {
		t.Fatalf("client %+v, %v", c, err)
	}
	client("disabled")
	if c, _, err := o.Client(t.Context(), "acme", "x"); err != nil || c.Status.On() ||
		o.store.calls() != "1 0 0 1" { // every change moves the revision
		t.Errorf("disabled: %+v, %v", c, err)
	}
	o.write(t, registry.Change{Set: map[string]string{"api:b": `{"name":"b","base_path":"/b"}`}})
	if _, s, err := o.Client(t.Context(), "acme", "x"); err != nil || s.APIs["b"] == nil ||
		o.store.calls() != "1 0 0 1" {
		t.Errorf("after a change: %v", err)
	}
	for _, name := range []string{"y", "", "../x"} {
		if c, s, err := o.Client(t.Context(), "acme", name); err != nil || c != nil || s == nil {
			t.Errorf("client %q: %+v, %v", name, c, err)
		}
	}
	o.store.away.Store(true)
	if _, _, err := o.Client(t.Context(), "acme", "x"); !errors.Is(err, errAway) {
		t.Errorf("away: %v", err)
	}
}
