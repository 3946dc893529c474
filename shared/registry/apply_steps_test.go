package registry_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"keyless/shared/registry"
)

// watched judges the registry after each write.
type watched struct {
	registry.Store
	after  func()
	failAt int // the write that fails, counted from one; 0: none
	writes int
}

var errCut = errors.New("cut")

func (w *watched) Write(ctx context.Context, c registry.Change) error {
	if w.writes++; w.writes == w.failAt { // after its first parts
		c.Index, c.Unindex, c.Unset = nil, nil, nil
		return errors.Join(errCut, w.Store.Write(ctx, c))
	}
	err := w.Store.Write(ctx, c)
	if w.after != nil {
		w.after()
	}
	return err
}

// A registry is whole after every single write of an apply: nothing refers to what is not there.
func TestEveryStepIsWhole(t *testing.T) {
	t.Parallel()
	other := strings.NewReplacer(", {value: y, name: Y}", "", "scopes: [x, y]}]}]", "scopes: [x]}]}]",
		"name: g}", "name: h}", "[g]", "[h]", "name: u,", "name: w,", "upstream: u}", "upstream: w}",
		"value: v}", "value: v, claim: sub, query: t}").Replace(small)
	store := &watched{Store: registry.NewMemory()}
	store.after = func() {
		whole, err := registry.Load(t.Context(), store)
		if err != nil {
			t.Fatal(err)
		}
		if faults := registry.Validate(whole); len(faults) > 0 {
			t.Errorf("after write %d: %v", store.writes, faults)
		}
	}
	keys := masterKeys(t)
	for _, text := range []string{small, other, small, "version: 1\n"} {
		apply(t, store, keys, text, registry.ApplyOptions{Prune: true})
	}
}

// An apply that was cut at any write is completed by the next: every consumer is found, everywhere.
func TestCutApplyIsCompleted(t *testing.T) {
	t.Parallel()
	changed := strings.Replace(small, "value: v}", "value: w}", 1)
	for failAt := 1; ; failAt++ {
		store, keys := &watched{Store: registry.NewMemory()}, masterKeys(t)
		apply(t, store, keys, small, registry.ApplyOptions{})
		store.writes, store.failAt = 0, failAt
		_, err := registry.Apply(t.Context(), store, keys, config(t, changed), registry.ApplyOptions{Prune: true})
		if err == nil {
			break
		}
		if !errors.Is(err, errCut) {
			t.Fatal(err)
		}
		before := apply(t, store, keys, changed, registry.ApplyOptions{Prune: true})
		found, _, err := store.Indexed(t.Context(), registry.IndexJWT("uid", "w"))
		if err != nil || len(found[0]) != 1 {
			t.Errorf("cut at %d: found %v, %v", failAt, found, err)
		}
		again := apply(t, store, keys, changed, registry.ApplyOptions{Prune: true})
		if again.Revision != before.Revision || len(again.Changes) != 0 {
			t.Errorf("cut at %d: %+v", failAt, again)
		}
	}
}
