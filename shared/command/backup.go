package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"keyless/shared/registry"
)

// backup writes the registry of the store into one file. Names and settings are clear in it, secrets are sealed or hashed.
func backup(ctx context.Context, t terminal, args []string) error {
	flags := t.flags()
	name := flags.String("o", "", "the `file`, which nobody else can read")
	asJSON := flags.Bool("json", false, "print JSON")
	if err := t.parse(flags, args); err != nil {
		return err
	}
	if *name == "" {
		return usage{errors.New("-o names the file")}
	}
	p, err := t.onStore()
	if err != nil {
		return err
	}
	defer p.Redis.Close()
	var done registry.Dumped
	err = streamWhole(*name, func(w io.Writer) error {
		done, err = registry.Dump(ctx, p.Store(), time.Now(), w)
		return err
	})
	switch {
	case errors.Is(err, registry.ErrEmpty):
		return refused{errors.New("there is nothing to back up: the registry is empty")}
	case err != nil:
		return err
	case *asJSON:
		return t.json(done)
	}
	t.say("%s: revision %s with %s", *name, done.Revision, counts(done))
	t.say("secrets in it are sealed or hashed: keep KEYLESS_MASTER_KEY and KEYLESS_SIGNING_MASTER_KEY elsewhere, without them it is " +
		"worth nothing")
	return nil
}

func counts(d registry.Dumped) string {
	return fmt.Sprintf("%d instances, %d clients, %d consumers, %d signing keys, %d audit entries",
		d.Instances, d.Clients, d.Consumers, d.Keys, d.Audit)
}

// restore puts the registry of a backup into the store.
func restore(ctx context.Context, t terminal, args []string) error {
	flags := t.flags()
	force := flags.Bool("force", false, "replace the registry that the store holds")
	asJSON := flags.Bool("json", false, "print JSON")
	words, err := t.words(flags, args, "FILE")
	if err != nil {
		return err
	}
	from, err := os.Open(words[0])
	if err != nil {
		return fmt.Errorf("read the backup: %w", err)
	}
	defer func() { _ = from.Close() }()
	p, err := t.onStore()
	if err != nil {
		return err
	}
	defer p.Redis.Close()
	done, err := registry.Restore(ctx, p.Store(), p.Keys, from, registry.RestoreOptions{
		Force: *force, By: registry.Actor{Who: operator()}, Now: time.Now,
	})
	switch {
	case errors.Is(err, registry.ErrNotEmpty):
		return refused{errors.New("the store holds a registry; --force replaces it, and nothing was changed yet")}
	case errors.Is(err, registry.ErrBackup), errors.Is(err, registry.ErrMasterKey):
		return refused{fmt.Errorf("%w; nothing was changed", err)}
	case err != nil:
		return fmt.Errorf("%w\nrun it again with --force to complete it", err)
	case *asJSON:
		return t.json(done)
	}
	t.say("restored the backup of %s: %s", done.MadeAt.Format(time.RFC3339), counts(done.Dumped))
	if done.Replaced {
		t.say("the registry that the store held is gone")
	}
	t.say("tokens of our instances that were issued before %s hold no longer: revocations are in no backup",
		done.NotBefore.Format(time.RFC3339))
	if done.KeptAudit {
		t.say("the store's audit trail goes on")
	} else {
		t.say("the audit trail is that of the backup")
	}
	t.say("counters and the ledger are as the store had them; revision %s", done.Revision)
	return nil
}
