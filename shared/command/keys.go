package command

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"keyless/shared/config"
	"keyless/shared/process"
	"keyless/shared/registry"
)

// keys works on keys. It has one verb: refresh makes every instance fetch the key sets of foreign issuers anew.
func keys(ctx context.Context, t terminal, args []string) error {
	if len(args) == 0 || args[0] != "refresh" {
		return usage{errors.New("the verb is refresh")}
	}
	if err := t.parse(flag.NewFlagSet("keys refresh", flag.ContinueOnError), args[1:]); err != nil {
		return err
	}
	c, err := config.Load(t.lookup, config.Serve())
	if err != nil {
		return err
	}
	if c, err = reach(c); err != nil {
		return err
	}
	p, err := process.On(c, t.stderr)
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
