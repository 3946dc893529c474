package keyring

import (
	"context"
	"fmt"
)

// Rewrap seals again under the newest master key what of an instance's private keys is sealed under an older
// one, and returns how many it sealed. It may run while keys are in use and while they change, and may be cut
// and run again: each key is replaced alone, where it is still what was read. What cannot be opened is an
// error, after all others are done. One round trip, and one for each key.
func (r *Ring) Rewrap(ctx context.Context, instance string) (int, error) {
	privates, err := r.store.Privates(ctx, instance)
	if err != nil {
		return 0, fmt.Errorf("read the signing keys of %s: %w", instance, err)
	}
	done, failed := 0, error(nil)
	for kid, sealed := range privates {
		if !r.keys.Stale(sealed) {
			continue
		}
		name := place(instance, kid)
		clear, err := r.keys.Open(name, sealed)
		if err != nil {
			failed = fmt.Errorf("open signing key %s of %s: %w", kid, instance, err)
			continue
		}
		again, err := r.keys.Seal(name, clear)
		if err != nil {
			return done, fmt.Errorf("seal signing key %s of %s: %w", kid, instance, err)
		}
		replaced, err := r.store.Reseal(ctx, instance, kid, sealed, again)
		if err != nil {
			return done, fmt.Errorf("write signing key %s of %s: %w", kid, instance, err)
		}
		if replaced {
			done++
		}
	}
	return done, failed
}
