// Package command is the command line: all functions in one process (serve), the demo, and what an operator runs against a registry.
//
// Exit codes: 0 ok, 1 failed, 2 usage, 3 refused.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailed  = 1
	exitUsage   = 2
	exitRefused = 3
)

// refused is an error whose cause is what the operator asked for, not a failure.
type refused struct{ error }

// usage is an error in how a command was called.
type usage struct{ error }

// terminal is what a command sees of the world.
type terminal struct {
	lookup         func(string) (string, bool)
	stdout, stderr io.Writer
}

type command struct {
	name, arguments, help string
	run                   func(context.Context, terminal, []string) error
}

func commands() []command {
	return []command{
		{"serve", "[--demo]", "run token, jwks, authorizer, proxy and admin behind one listener", serve},
		{"demo", "", "start everything on free ports, run the keyless flow step by step, stop", demonstrate},
		{"demo-upstream", "[--addr HOST:PORT]", "run the demo model alone", demoUpstream},
		{"apply", "-f FILE [--prune] [--dry-run] [--json]", "make the registry what the file says", apply},
		{"keys", "list | rotate | revoke | rewrap | refresh", "signing keys, master keys, and others' key sets", keys},
		{"explain", "[--json] URL | -- curl … | --request-id ID", "say what becomes of a request, and what would make it pass", explain},
		{"version", "", "print the version", version},
	}
}

// Main runs one command and returns the process's exit code.
func Main(args []string, lookup func(string) (string, bool), stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	t := terminal{lookup, stdout, stderr}
	if len(args) > 0 && args[0] == "--version" {
		args = []string{"version"}
	}
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		help(stdout)
		return exitOK
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return t.exit(c, c.run(ctx, t, args[1:]))
		}
	}
	fmt.Fprintf(stderr, "keyless: no command %q; keyless help lists them\n", args[0])
	return exitUsage
}

func (t terminal) exit(c command, err error) int {
	var asked usage
	var no refused
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.As(err, &asked):
		fmt.Fprintf(t.stderr, "keyless %s: %v\nusage: keyless %s %s\n", c.name, err, c.name, c.arguments)
		return exitUsage
	case errors.As(err, &no):
		fmt.Fprintln(t.stderr, err)
		return exitRefused
	}
	fmt.Fprintf(t.stderr, "keyless %s: %v\n", c.name, err)
	return exitFailed
}

func help(w io.Writer) {
	fmt.Fprint(w, "keyless gives machines keyless access to LLM APIs.\n\nusage: keyless COMMAND [flags]\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-14s %-42s %s\n", c.name, c.arguments, c.help)
	}
	fmt.Fprint(w, "\nexit codes: 0 ok, 1 failed, 2 usage, 3 refused. The environment is described in the README.\n")
}

// parse reads a command's flags and refuses what is left over.
func (t terminal) parse(flags *flag.FlagSet, args []string) error {
	flags.SetOutput(t.stderr)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return usage{err}
	}
	if flags.NArg() > 0 {
		return usage{fmt.Errorf("what is %q?", strings.Join(flags.Args(), " "))}
	}
	return nil
}

// variable is the value of an environment variable, "" when it is not set.
func (t terminal) variable(name string) string {
	value, _ := t.lookup(name)
	return value
}

func version(_ context.Context, t terminal, args []string) error {
	if err := t.parse(flag.NewFlagSet("version", flag.ContinueOnError), args); err != nil {
		return err
	}
	name := "devel"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		name = info.Main.Version
	}
	fmt.Fprintln(t.stdout, "keyless", strings.Trim(name, "()"))
	return nil
}
