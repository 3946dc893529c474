package command

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"keyless/shared/config"
	"keyless/shared/keyring"
	"keyless/shared/process"
	"keyless/shared/registry"
)

// keysRefresh makes every instance fetch the key sets of foreign issuers anew.
func keysRefresh(ctx context.Context, t terminal, args []string) error {
	if err := t.parse(t.flags(), args); err != nil {
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

// beside is a command that works on the store itself. It refuses where a gateway elsewhere is named, which would not be the one that
// it changes.
func beside(run func(context.Context, terminal, []string) error) func(context.Context, terminal, []string) error {
	return func(ctx context.Context, t terminal, args []string) error {
		asked := t.peek != nil || slices.ContainsFunc(args, asksHelp)
		named := t.variable("KEYLESS_URL") != "" && t.variable("REDIS_URL") == "" || slices.ContainsFunc(args, isURL)
		if named && !asked {
			return usage{fmt.Errorf("%s works on the store itself: set REDIS_URL and the master keys, or run it beside keyless serve "+
				"(without --url and KEYLESS_URL)", t.path)}
		}
		return run(ctx, t, args)
	}
}

func isURL(word string) bool {
	name, _, _ := strings.Cut(strings.TrimPrefix(word, "-"), "=")
	return name == "-url" || name == "url" && word[0] == '-'
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
