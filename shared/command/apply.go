package command

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"

	"keyless/shared/admin"
	"keyless/shared/config"
	"keyless/shared/keyring"
	"keyless/shared/process"
	"keyless/shared/registry"
	"keyless/shared/registry/file"
)

// remoteWithin bounds one call of the admin API: ten thousand consumers are applied in seconds.
const remoteWithin = 2 * time.Minute

// apply reads a file and makes the registry what it says: over the admin API (KEYLESS_URL, KEYLESS_ADMIN_TOKEN), else in the store.
func apply(ctx context.Context, t terminal, args []string) error {
	flags := flag.NewFlagSet("apply", flag.ContinueOnError)
	name := flags.String("f", "", "the configuration `file`")
	url := flags.String("url", t.variable("KEYLESS_URL"), "admin API's base `URL`; needs KEYLESS_ADMIN_TOKEN")
	prune := flags.Bool("prune", false, "remove what the file lacks")
	dryRun := flags.Bool("dry-run", false, "say what would change, change nothing")
	asJSON := flags.Bool("json", false, "print the report as JSON")
	if err := t.parse(flags, args); err != nil {
		return err
	}
	if *name == "" {
		return usage{errors.New("-f names the configuration file")}
	}
	text, err := os.ReadFile(*name)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	c, err := config.Load(t.lookup, config.Serve())
	if err != nil {
		return err
	}
	var report registry.Report
	if *url != "" {
		report, err = t.applyRemote(ctx, *url, c.AdminToken, *name, text, *prune, *dryRun)
	} else {
		report, err = t.applyHere(ctx, c, *name, text, *prune, *dryRun)
	}
	if err != nil {
		return err
	}
	return t.report(report, *asJSON, *dryRun)
}

func (t terminal) applyHere(
	ctx context.Context, c config.Config, name string, text []byte, prune, dryRun bool,
) (registry.Report, error) {
	c, err := reach(c)
	if err != nil {
		return registry.Report{}, err
	}
	p, err := process.On(c, t.stderr)
	if err != nil {
		return registry.Report{}, err
	}
	defer p.Redis.Close()
	return applyText(ctx, p, t.publicURL(c), name, text, prune, dryRun)
}

// publicURL makes ${KEYLESS_PUBLIC_URL} what the gateway on the store calls itself: as the environment says, or the process that serves
// from the folder. For a store elsewhere the laptop's default would be a wrong guess, so there it is missing unless it is set.
func (t terminal) publicURL(c config.Config) func(string) (string, bool) {
	if t.variable("REDIS_URL") != "" && !c.PublicURLSet {
		return t.lookup
	}
	return t.overlay(map[string]string{"KEYLESS_PUBLIC_URL": c.PublicURL})
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
	}, want, prune, dryRun)
	return report, located(err, positions)
}

// located gives faults their lines, and makes them what they are: a refusal.
func located(err error, positions file.Positions) error {
	var faults registry.Faults
	if errors.As(err, &faults) {
		return refused{positions.Explain(err)}
	}
	return err
}

// applyRemote sends the configuration, its variables filled in, to the admin API.
func (t terminal) applyRemote(
	ctx context.Context, url string, token config.Secret, name string, text []byte, prune, dryRun bool,
) (registry.Report, error) {
	var report registry.Report
	url, err := baseURL(url)
	if err != nil {
		return report, err
	}
	lookup := t.lookup
	if t.variable("KEYLESS_PUBLIC_URL") == "" {
		lookup = t.overlay(map[string]string{"KEYLESS_PUBLIC_URL": url})
	}
	want, positions, err := file.Read(name, text, lookup)
	if err != nil {
		return report, refused{err}
	}
	if err := located(faultsOf(want), positions); err != nil {
		return report, err
	}
	body, err := json.Marshal(want)
	if err != nil {
		return report, err
	}
	ctx, cancel := context.WithTimeout(ctx, remoteWithin)
	defer cancel()
	path := fmt.Sprintf("apply?prune=%t&dry_run=%t", prune, dryRun)
	status, reply, err := askAdmin(ctx, url, token, path, body, admin.MaxConfigBytes)
	switch {
	case err != nil:
		return report, err
	case status != http.StatusOK:
		return report, refused{told(status, reply, positions)}
	}
	return report, json.Unmarshal(reply, &report)
}

// told is what the admin API answered, in its sentence; faults get their lines.
func told(status int, reply []byte, positions file.Positions) error {
	var problem struct {
		Detail string          `json:"detail"`
		Faults registry.Faults `json:"faults"`
	}
	switch err := json.Unmarshal(reply, &problem); {
	case err != nil || problem.Detail == "":
		return fmt.Errorf("the admin API answered %d", status)
	case len(problem.Faults) > 0:
		return positions.Explain(problem.Faults)
	}
	return fmt.Errorf("the admin API answered %d: %s", status, problem.Detail)
}

// faultsOf validates before anything is sent; an error only where there are faults.
func faultsOf(c *registry.Config) error {
	if faults := registry.Validate(c); len(faults) > 0 {
		return faults
	}
	return nil
}

// overlay looks variables up among the given ones first.
func (t terminal) overlay(first map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		if value, ok := first[name]; ok {
			return value, true
		}
		return t.lookup(name)
	}
}

func (t terminal) report(r registry.Report, asJSON, dryRun bool) error {
	if asJSON {
		return json.NewEncoder(t.stdout).Encode(r)
	}
	for _, c := range r.Changes {
		fmt.Fprintf(t.stdout, "%-7s %s %s\n", c.Action, c.Kind, c.Name)
	}
	for _, name := range r.Extra {
		fmt.Fprintf(t.stdout, "extra   %s: the file lacks it; --prune would remove it\n", name)
	}
	for _, g := range r.Generated {
		if dryRun {
			fmt.Fprintf(t.stdout, "secret  %s %s: would be generated, and shown once\n", g.Object, g.ID)
			continue
		}
		fmt.Fprintf(t.stdout, "secret  %s %s: %s  (shown this once)\n", g.Object, g.ID, g.Secret.Reveal())
	}
	switch {
	case len(r.Changes) == 0:
		fmt.Fprintln(t.stdout, "nothing to change")
	case dryRun:
		fmt.Fprintf(t.stdout, "%d changes, none made (dry run)\n", len(r.Changes))
	default:
		fmt.Fprintf(t.stdout, "%d changes, revision %s\n", len(r.Changes), r.Revision)
	}
	return nil
}
