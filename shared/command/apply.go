package command

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"keyless/shared/admin"
	"keyless/shared/keyring"
	"keyless/shared/process"
	"keyless/shared/registry"
	"keyless/shared/registry/file"
)

// apply reads a file and makes the registry what it says: everything is judged and planned first, then changed.
func apply(ctx context.Context, t terminal, args []string) error {
	flags, o := t.gatewayFlags()
	name := flags.String("f", "", "the configuration `file`; - is standard input")
	prune := flags.Bool("prune", false, "remove what the file lacks")
	dryRun := flags.Bool("dry-run", false, "say what would change, change nothing")
	if err := t.parse(flags, args); err != nil {
		return err
	}
	want, g, err := t.configuration(*name, o)
	if err != nil {
		return err
	}
	defer g.close()
	plan, err := want.apply(ctx, g, *prune, true)
	if err != nil {
		return err
	}
	if !o.asJSON {
		t.plan(plan)
	}
	if *dryRun {
		return t.report(plan, o.asJSON, true, want.sealed)
	}
	if g.process == nil && len(plan.Changes) >= longWork {
		fmt.Fprintf(t.stderr, "the gateway writes %d objects …\n", len(plan.Changes))
	}
	// Also where the plan is empty: what a run that was cut has left is completed.
	report, err := want.apply(admin.Watch(ctx, t.progress("written:")), g, *prune, false)
	if err != nil {
		return fmt.Errorf("%w\nwhat was written stays, each object whole: apply the file again to go on", err)
	}
	return t.report(report, o.asJSON, false, want.sealed)
}

// configured is a configuration file as it was read.
type configured struct {
	*registry.Config
	positions file.Positions
}

// configuration reads and judges a file for a gateway, and reaches that.
func (t terminal) configuration(name string, o *options) (configured, *gateway, error) {
	if name == "" {
		return configured{}, nil, usage{errors.New("-f names the configuration file")}
	}
	text, err := t.file(name)
	if err != nil {
		return configured{}, nil, err
	}
	g, err := t.gateway(o)
	if err != nil {
		return configured{}, nil, err
	}
	c, positions, err := file.Read(name, text, g.lookup)
	if err != nil {
		err = refused{err}
	} else if faults := registry.Validate(c); len(faults) > 0 {
		err = refused{positions.Explain(faults)}
	}
	if err != nil {
		g.close()
		return configured{}, nil, err
	}
	return configured{c, positions}, g, nil
}

// file reads a file, "-" being standard input.
func (t terminal) file(name string) ([]byte, error) {
	if name == "-" {
		text, err := t.read()
		return []byte(text), err
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return text, nil
}

// apply sends the configuration; faults that only the registry knows of get their lines.
func (c configured) apply(ctx context.Context, g *gateway, prune, dryRun bool) (registry.Report, error) {
	var report registry.Report
	path := fmt.Sprintf("/apply?prune=%t&dry_run=%t", prune, dryRun)
	_, err := g.do(ctx, ask{method: http.MethodPost, path: path, body: c.Config, within: applyWithin}, &report)
	return report, faultsIn(err, c.positions)
}

// applyText reads a configuration's text and applies it to the process's store. Its faults are refusals with file and line.
func applyText(
	ctx context.Context, p *process.Process, lookup func(string) (string, bool), name string, text []byte, prune, dryRun bool,
) (registry.Report, error) {
	want, positions, err := file.Read(name, text, lookup)
	if err != nil {
		return registry.Report{}, refused{err}
	}
	signing, err := p.SigningKeys()
	if err != nil {
		return registry.Report{}, err
	}
	report, err := admin.Apply(ctx, admin.Options{
		Store: p.Store(), Keys: p.Keys, Ring: keyring.New(keyring.NewRedis(p.Redis, p.Config.Cell), signing), Now: time.Now,
		By: registry.Actor{Who: "keyless serve, " + name},
	}, want, prune, dryRun)
	var faults registry.Faults
	if errors.As(err, &faults) {
		return report, refused{positions.Explain(err)}
	}
	return report, err
}

// maxPlanned bounds the lines of a plan for people; --json has all.
const maxPlanned = 200

var marks = map[string]struct{ mark, colour string }{
	registry.ActionAdd: {"+", green}, registry.ActionChange: {"~", yellow}, registry.ActionRemove: {"-", red},
}

// plan prints what is to change, a line each.
func (t terminal) plan(r registry.Report) {
	for i, c := range r.Changes {
		if i == maxPlanned {
			t.say("… and %d more; --json tells all", len(r.Changes)-i)
			break
		}
		m := marks[c.Action]
		t.say("%s", t.paint(m.colour, plain(strings.TrimSpace(m.mark+" "+c.Kind+" "+c.Name))))
	}
	for i, name := range r.Extra {
		if i == maxPlanned {
			t.say("… and %d more that the file lacks", len(r.Extra)-i)
			break
		}
		t.say("  %s: the file lacks it; --prune would remove it", plain(name))
	}
}

// report prints what an apply did, or would do, below its plan. Sealed is asked of an instance.
func (t terminal) report(r registry.Report, asJSON, dryRun bool, sealed func(instance string) bool) error {
	if asJSON {
		return t.json(r)
	}
	t.generated(r.Generated, dryRun, sealed)
	switch {
	case len(r.Changes) == 0:
		t.say("nothing to change")
	case dryRun:
		t.say("%d changes, none made (dry run)", len(r.Changes))
	default:
		t.say("%d changes, revision %s", len(r.Changes), r.Revision)
	}
	return nil
}

// generated prints secrets that were made, and whether they can be shown again.
func (t terminal) generated(list []registry.GeneratedSecret, dryRun bool, sealed func(instance string) bool) {
	for _, g := range list {
		if dryRun {
			t.say("secret  %s %s: would be generated, and shown once", plain(g.Object), plain(g.ID))
			continue
		}
		t.say("secret  %s %s: %s  (%s)", plain(g.Object), plain(g.ID), g.Secret.Reveal(), again(g.Object, g.ID, sealed))
	}
}

// again says whether a generated secret can be seen again: of a client whose instance seals them it can.
func again(label, id string, sealed func(instance string) bool) string {
	name, isClient := strings.CutPrefix(label, "client ")
	instance, _, _ := strings.Cut(name, "/")
	if !isClient || id == "client_id" || !sealed(instance) {
		return "shown this once"
	}
	return "again: keyless client secret show " + plain(name) + " " + plain(id)
}

// sealed reports whether an instance of the file keeps its clients' secrets so that they can be shown.
func (c configured) sealed(instance string) bool {
	return slices.ContainsFunc(c.Instances, func(i registry.Instance) bool {
		return i.ID == instance && i.SecretStorage != registry.StorageHashed
	})
}

// sealed is the same of the registry. An instance that the caller may not read is taken for one that does not.
func (g *gateway) sealed(ctx context.Context) func(instance string) bool {
	return func(instance string) bool {
		k, _ := kindOf("instance")
		var i registry.Instance
		_, err := g.do(ctx, ask{path: k.path(instance)}, &i)
		return err == nil && i.SecretStorage != registry.StorageHashed
	}
}
