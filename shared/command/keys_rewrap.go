package command

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"keyless/shared/registry"
)

// passes is how often rewrap begins anew because objects changed under its hands; what changes on every pass
// is left to the next run.
const passes = 5

// keysRewrap seals everything anew that is sealed under an older master key. It may be cut and run again.
func keysRewrap(ctx context.Context, t terminal, args []string) error {
	if err := t.parse(t.flags(), args); err != nil {
		return err
	}
	o, err := t.open(ctx, "")
	if err != nil {
		return err
	}
	defer o.Redis.Close()
	sealed, failed := 0, []error(nil)
	for _, name := range o.names() {
		count, err := o.ring.Rewrap(ctx, name)
		sealed += count
		if err != nil {
			failed = append(failed, err)
		}
	}
	w, err := o.rewrapRegistry(ctx)
	sealed += w.Sealed
	fmt.Fprintf(t.stdout, "%d secrets sealed under the newest master key\n", sealed)
	switch {
	case err != nil:
		return errors.Join(append(failed, err)...)
	case len(w.Failed) > 0:
		places := strings.Join(w.Failed, ", ")
		failed = append(failed, fmt.Errorf("%d secrets do not open: %s", len(w.Failed), places))
	case w.Missed > 0:
		failed = append(failed, fmt.Errorf("%d objects changed meanwhile: run it again", w.Missed))
	}
	if len(failed) > 0 {
		return errors.Join(failed...)
	}
	fmt.Fprintln(t.stdout, "nothing is sealed under an older one")
	return nil
}

// rewrapRegistry runs until a pass finds nothing old.
func (o *onRing) rewrapRegistry(ctx context.Context) (registry.Rewrapped, error) {
	var all registry.Rewrapped
	for range passes {
		w, err := registry.Rewrap(ctx, o.Store(), o.Process.Keys)
		all = registry.Rewrapped{Sealed: all.Sealed + w.Sealed, Failed: w.Failed, Missed: w.Missed}
		if err != nil || w.Sealed == 0 && w.Missed == 0 {
			return all, err
		}
	}
	return all, nil
}
