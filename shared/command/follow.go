package command

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"keyless/shared/process"
	"keyless/shared/registry"
	"keyless/shared/registry/file"
	"keyless/shared/seal"
)

// maxNamed bounds the objects that a refusal names.
const maxNamed = 10

// follower applies KEYLESS_CONFIG: at the start, and on SIGHUP.
type follower struct {
	terminal
	p    *process.Process
	name string
}

// applyConfigured applies KEYLESS_CONFIG, where it is set.
func applyConfigured(ctx context.Context, t terminal, p *process.Process) error {
	if p.Config.ConfigFile == "" {
		return nil
	}
	return follower{t, p, p.Config.ConfigFile}.apply(ctx)
}

// follow reads the file again on SIGHUP, until ctx ends. What is wrong with it is said, and what stands goes on.
func (f follower) follow(ctx context.Context) error {
	if f.name == "" {
		return nil
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hangups:
			if err := f.apply(ctx); err != nil {
				f.p.Log.ErrorContext(ctx, "KEYLESS_CONFIG was not applied", "error", err.Error())
				continue
			}
			f.p.Log.InfoContext(ctx, "KEYLESS_CONFIG was read again")
		}
	}
}

// apply makes the registry equal to the file, where that differs from what it was when it was applied last: what was changed by other
// ways stays over a restart. Where others have changed since what the file would change too, nothing is applied.
func (f follower) apply(ctx context.Context) error {
	text, err := os.ReadFile(f.name)
	if err != nil {
		return fmt.Errorf("KEYLESS_CONFIG: %w", err)
	}
	lookup := f.overlay(map[string]string{"KEYLESS_PUBLIC_URL": f.p.Config.PublicURL})
	digest, err := f.digest(text, lookup)
	if err != nil {
		return err
	}
	last, err := registry.LastApplied(ctx, f.p.Store())
	if err != nil || last.Digest == digest {
		return err
	}
	if err := f.undisputed(ctx, last, lookup, text); err != nil {
		return err
	}
	report, err := applyText(ctx, f.p, lookup, f.name, text, true, false)
	if err != nil {
		return err
	}
	if err := registry.RememberApplied(ctx, f.p.Store(), digest); err != nil {
		return err
	}
	return f.report(report, false, false, f.sealed(ctx))
}

// sealed reports of an instance, as the store has it, whether its clients' secrets can be shown again.
func (f follower) sealed(ctx context.Context) func(instance string) bool {
	return func(id string) bool {
		all, err := f.p.Reader.Instances(ctx)
		return err == nil && all[id] != nil && all[id].SecretStorage != registry.StorageHashed
	}
}

// digest names a configuration with its variables filled in, keyed by the master key, for it may hold a weak secret.
func (f follower) digest(text []byte, lookup func(string) (string, bool)) (string, error) {
	want, _, err := file.Read(f.name, text, lookup)
	if err != nil {
		return "", refused{err}
	}
	whole, err := json.Marshal(want)
	if err != nil {
		return "", fmt.Errorf("KEYLESS_CONFIG: %w", err)
	}
	return seal.Hash([]byte(f.p.Config.MasterKey.Reveal()), "configuration file", string(whole)), nil
}

// undisputed refuses a file that would change what somebody else has changed since it was applied last.
func (f follower) undisputed(
	ctx context.Context, last registry.Applied, lookup func(string) (string, bool), text []byte,
) error {
	if last.Digest == "" {
		return nil
	}
	plan, err := applyText(ctx, f.p, lookup, f.name, text, true, true)
	if err != nil {
		return err
	}
	since, err := registry.ChangedSince(ctx, f.p.Store(), last.Seq)
	if err != nil {
		return err
	}
	var disputed []string
	for _, e := range since {
		meant := func(c registry.Changed) bool { return c.Kind == e.Kind && c.Name == e.Name }
		if slices.ContainsFunc(plan.Changes, meant) && len(disputed) < maxNamed {
			disputed = append(disputed, fmt.Sprintf("%s %s, by %s at %s", e.Kind, e.Name, e.Who, e.At.Format("2006-01-02 15:04:05Z")))
		}
	}
	if len(disputed) == 0 {
		return nil
	}
	slices.Sort(disputed)
	return refused{fmt.Errorf("%s would change what others have changed since it was applied last, so nothing was applied:\n  %s\n"+
		"put these changes into the file, or apply it over them: keyless apply --prune -f %s",
		f.name, strings.Join(slices.Compact(disputed), "\n  "), f.name)}
}
