// Package command is the command line: all functions in one process (serve), the demo, and what an operator runs against a gateway.
//
// Every command about a gateway speaks its admin API (target.go): over HTTP where --url or KEYLESS_URL names one, else in this very
// process on the store at REDIS_URL or of a running keyless serve, so that both ways do and say the same. The table of commands is in
// table.go; help and completion are made of it.
//
// Exit codes: 0 ok, 1 failed, 2 usage, 3 refused, 4 differences.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
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
	exitDiffers = 4
)

// refused is an error whose cause is what the operator asked for, not a failure.
type refused struct{ error }

func (r refused) Unwrap() error { return r.error }

// usage is an error in how a command was called.
type usage struct{ error }

func (u usage) Unwrap() error { return u.error }

// errDiffers says that a comparison found differences, which are told already.
var errDiffers = errors.New("the registry differs")

// terminal is what a command sees of the world.
type terminal struct {
	lookup         func(string) (string, bool)
	stdin          io.Reader
	stdout, stderr io.Writer

	path string              // of the command that runs, such as "client secret create"
	at   command             // that command
	peek func(*flag.FlagSet) // where set, parsing hands over the flags and the command ends
}

// command is one word of the command line: it runs, or has commands below, or both.
type command struct {
	name, arguments, help string
	example               string
	run                   func(context.Context, terminal, []string) error
	sub                   []command
}

// Main runs one command and returns the process's exit code.
func Main(args []string, lookup func(string) (string, bool), stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return run(ctx, terminal{lookup: lookup, stdin: os.Stdin, stdout: stdout, stderr: stderr}, args)
}

func run(ctx context.Context, t terminal, args []string) int {
	if len(args) > 0 && args[0] == "--version" {
		args = []string{"version"}
	}
	if len(args) > 0 && args[0] == "help" {
		args = append(args[1:len(args):len(args)], "-h")
	}
	if len(args) == 0 || asksHelp(args[0]) {
		t.helpAll()
		return exitOK
	}
	t, args, found := t.find(args)
	switch {
	case !found:
		fmt.Fprintf(t.stderr, "keyless: no command %q;%s keyless help lists them\n", args[0],
			meant(" did you mean %s?", args[0], namesOf(t.all())))
		return exitUsage
	case t.at.run != nil:
		return t.exit(t.at.run(ctx, t, args))
	case len(args) > 0 && asksHelp(args[0]):
		t.helpBelow(t.stdout)
		return exitOK
	case len(args) > 0:
		fmt.Fprintf(t.stderr, "keyless %s: there is no %q%s\n", t.path, args[0],
			meant("; did you mean %s?", args[0], namesOf(t.at.sub)))
	}
	t.helpBelow(t.stderr)
	return exitUsage
}

func asksHelp(word string) bool { return word == "-h" || word == "-help" || word == "--help" }

// find goes down the table as far as the words name commands.
func (t terminal) find(args []string) (terminal, []string, bool) {
	list, found := t.all(), false
	for len(args) > 0 {
		below := -1
		for i, c := range list {
			if c.name == args[0] {
				below = i
			}
		}
		if below < 0 {
			break
		}
		t.at, found = list[below], true
		t.path = strings.TrimSpace(t.path + " " + t.at.name)
		list, args = t.at.sub, args[1:]
	}
	return t, args, found
}

func (t terminal) all() []command {
	var list []command
	for _, g := range groups() {
		list = append(list, g.commands...)
	}
	return list
}

func namesOf(commands []command) []string {
	var names []string
	for _, c := range commands {
		names = append(names, c.name)
	}
	return names
}

func (t terminal) exit(err error) int {
	var asked usage
	var no refused
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errDiffers):
		return exitDiffers
	case errors.As(err, &asked):
		fmt.Fprintf(t.stderr, "keyless %s: %v\nusage: keyless %s %s\n", t.path, err, t.path, t.at.arguments)
		return exitUsage
	case errors.As(err, &no):
		fmt.Fprintln(t.stderr, err)
		return exitRefused
	}
	fmt.Fprintf(t.stderr, "keyless %s: %v\n", t.path, err)
	return exitFailed
}

// variable is the value of an environment variable, "" when it is not set.
func (t terminal) variable(name string) string {
	value, _ := t.lookup(name)
	return value
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

func version(_ context.Context, t terminal, args []string) error {
	flags := t.flags()
	asJSON := flags.Bool("json", false, "print JSON")
	if err := t.parse(flags, args); err != nil {
		return err
	}
	name := "devel"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		name = info.Main.Version
	}
	name = strings.Trim(name, "()")
	if *asJSON {
		return t.json(map[string]string{"version": name})
	}
	fmt.Fprintln(t.stdout, "keyless", name)
	return nil
}
