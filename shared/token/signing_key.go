package token

import (
	"context"
	"log/slog"
	"time"

	"keyless/shared/registry"
)

// Promoter makes the next signing key of an instance active where that is due, once however many processes
// ask, and returns the kid that signs now; *keyring.Ring satisfies it. It never makes a key. A Signer that is
// no Promoter signs on with the active key.
type Promoter interface {
	Promote(ctx context.Context, instance, active, algorithm string) (kid string, err error)
}

// signingKey is the kid to sign with. Where another key is due and cannot be had, the active one signs on and
// the log says so: a key that is too old is better than no token.
func (e *endpoint) signingKey(
	ctx context.Context, snapshot *registry.Snapshot, instance string, now time.Time,
) string {
	in, keys := snapshot.Instances[instance], snapshot.KeySets[instance]
	due, ready := keys.Due(in, now)
	if !due {
		return keys.Active
	}
	promoter, can := e.signer.(Promoter)
	if !ready || !can {
		note(ctx, slog.String("signing_key", "another one is due and none is ready: run keyless keys rotate"))
		return keys.Active
	}
	kid, err := promoter.Promote(ctx, instance, keys.Active, in.Algorithm())
	if err != nil || kid == "" {
		e.log.WarnContext(ctx, "the next signing key was not made active",
			"instance", instance, "reason", err)
		return keys.Active
	}
	return kid
}
