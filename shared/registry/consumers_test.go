package registry_test

import (
	"errors"
	"fmt"
	"testing"

	"keyless/shared/registry"
)

// A consumer that changed alone, without the revision, is seen by the decision that the store calls
// stale.
func TestStaleAsksTheStore(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.hire(t, "c", "enabled", "i")
	o.write(t, registry.Change{Kind: registry.KindConsumer, Name: "c", Index: []string{"i"},
		Entry: &registry.Entry{Value: `{"name":"c","description":"1"}`}})
	var versions []string
	for range 2 {
		err := o.consult(t, func(v registry.View) (registry.Result, error) {
			list, err := v.Consumers(t.Context(), "i")
			if err != nil || len(list) != 1 {
				t.Fatalf("found %v, %v", list, err)
			}
			versions = append(versions, list[0].Version)
			entries, _, err := o.store.Store.Entries(t.Context(), registry.KindConsumer, "c")
			if err != nil || entries["c"].Version != list[0].Version {
				return registry.Stale, err
			}
			return registry.Final, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		o.write(t, registry.Change{Kind: registry.KindConsumer, Name: "c", Index: []string{"i"},
			Entry: &registry.Entry{Value: `{"name":"c","description":"2"}`}})
	}
	if len(versions) != 3 || versions[0] != versions[1] || versions[1] == versions[2] {
		t.Errorf("versions %v", versions)
	}
}

// An index entry is a copy. Where a change stopped half done the object itself decides, once the decision
// is stale.
func TestIndexAgainstTruth(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.hire(t, "c", "enabled", "i")
	o.hire(t, "gone", "enabled", "i")
	half := func(c registry.Change) { // as a Write that stopped before the indexes
		c.Index, c.Unindex = nil, nil
		o.write(t, c)
	}
	half(registry.Change{Kind: registry.KindConsumer,
		Name: "c", Entry: &registry.Entry{Value: `{"name":"c","status":"disabled"}`}})
	half(registry.Change{Kind: registry.KindConsumer, Name: "gone"})
	seen := ""
	err := o.consult(t, func(v registry.View) (registry.Result, error) {
		seen += found(t, v, "i") + "|"
		if seen == "c gone |" {
			return registry.Stale, nil
		}
		return registry.Final, nil
	})
	if err != nil || seen != "c gone ||" {
		t.Errorf("seen %q, %v", seen, err)
	}
}

func TestConsumersOfSeveralIndexes(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.hire(t, "b", "enabled", "i")
	o.hire(t, "a", "enabled", "j")
	o.hire(t, "off", "disabled", "j")
	o.write(t, registry.Change{Kind: registry.KindConsumer, Name: "b", Index: []string{"i", "j"}, Revision: true,
		Entry: &registry.Entry{Value: `{"name":"b"}`}})
	for range 2 {
		err := o.consult(t, func(v registry.View) (registry.Result, error) {
			for _, indexes := range [][]string{{"i", "j", "k"}, {"k", "j", "i"}, {"j"}} {
				if got := found(t, v, indexes...); got != "a b " {
					t.Errorf("%v: %q", indexes, got)
				}
			}
			if got := found(t, v); got != "" {
				t.Errorf("no index: %q", got)
			}
			return registry.Final, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := o.store.calls(); got != "1 0 1 0" {
		t.Errorf("calls %s", got)
	}
}

func TestTooManyCandidates(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	for n := range 65 {
		if n == 64 {
			err := o.consult(t, func(v registry.View) (registry.Result, error) {
				list, err := v.Consumers(t.Context(), "i")
				if len(list) != 64 {
					t.Errorf("%d found", len(list))
				}
				return registry.Final, err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		o.hire(t, fmt.Sprint("c", n), "enabled", "i")
	}
	err := o.consult(t, func(v registry.View) (registry.Result, error) {
		_, err := v.Consumers(t.Context(), "i")
		return registry.Stale, err
	})
	if err == nil || errors.Is(err, registry.ErrBusy) {
		t.Errorf("error %v", err)
	}
}

// What is remembered is bounded: two generations of 4096, and what is used stays.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.hire(t, "c", "enabled", "used")
	err := o.consult(t, func(v registry.View) (registry.Result, error) {
		found(t, v, "used")
		found(t, v, "unused")
		for n := range 3 * 4096 {
			found(t, v, fmt.Sprint("value ", n))
			if n%1000 == 0 {
				found(t, v, "used")
			}
		}
		return registry.Final, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	o.store.calls()
	for _, step := range []struct{ index, want string }{{"used", "0 0 0 0"}, {"unused", "0 0 1 0"}} {
		_ = o.consult(t, func(v registry.View) (registry.Result, error) {
			found(t, v, step.index)
			return registry.Final, nil
		})
		if got := o.store.calls(); got != step.want {
			t.Errorf("%s: calls %s, want %s", step.index, got, step.want)
		}
	}
}
