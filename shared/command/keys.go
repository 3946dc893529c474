package command

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"keyless/shared/config"
	"keyless/shared/keyring"
	"keyless/shared/process"
	"keyless/shared/registry"
)

// keys works on keys: our own signing keys, the master keys above them, and what is remembered of others'.
func keys(ctx context.Context, t terminal, args []string) error {
	verbs := map[string]func(context.Context, terminal, []string) error{
		"list": keysList, "rotate": keysRotate, "revoke": keysRevoke, "rewrap": keysRewrap, "refresh": keysRefresh,
	}
	if len(args) == 0 || verbs[args[0]] == nil {
		return usage{errors.New("the verb is list, rotate, revoke, rewrap or refresh")}
	}
	return verbs[args[0]](ctx, t, args[1:])
}

// keysRefresh makes every instance fetch the key sets of foreign issuers anew.
func keysRefresh(ctx context.Context, t terminal, args []string) error {
	if err := t.parse(flag.NewFlagSet("keys refresh", flag.ContinueOnError), args); err != nil {
		return err
	}
	p, err := t.onStore()
	if err != nil {
		return err
	}
	defer p.Redis.Close()
	if err := registry.RefreshKeys(ctx, p.Store()); err != nil {
		return err
	}
	fmt.Fprintln(t.stdout, "every instance fetches foreign key sets anew on its next request")
	return nil
}

// onStore opens a process on the store that a command works on.
func (t terminal) onStore() (*process.Process, error) {
	c, err := config.Load(t.lookup, config.Serve())
	if err != nil {
		return nil, err
	}
	if c, err = reach(c); err != nil {
		return nil, err
	}
	return process.On(c, t.stderr)
}

// ringOn is the ring of a process.
func ringOn(p *process.Process) (*keyring.Ring, error) {
	signing, err := p.SigningKeys()
	if err != nil {
		return nil, err
	}
	return keyring.New(keyring.NewRedis(p.Redis, p.Config.Cell), signing), nil
}
