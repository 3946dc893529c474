package command

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

// exitCodes stands below every help.
const exitCodes = "exit codes: 0 ok, 1 failed, 2 usage, 3 refused, 4 differences"

// helpAll prints the table.
func (t terminal) helpAll() {
	w := t.stdout
	fmt.Fprint(w, "keyless gives machines keyless access to LLM APIs.\n\nusage: keyless COMMAND [flags]\n")
	for _, g := range groups() {
		fmt.Fprintf(w, "\n%s\n", g.title)
		for _, c := range g.commands {
			fmt.Fprintf(w, "  %-14s %s\n", c.name, c.help)
		}
	}
	fmt.Fprint(w, "\nkeyless COMMAND -h tells more of one. A command about a gateway reaches it by --url or KEYLESS_URL with\n"+
		"KEYLESS_ADMIN_TOKEN, else by REDIS_URL with KEYLESS_MASTER_KEY, else it finds the keyless serve of this folder.\n\n"+exitCodes+
		". The environment is described in the README.\n")
}

// helpBelow prints what stands below a command.
func (t terminal) helpBelow(w io.Writer) {
	fmt.Fprintf(w, "keyless %s: %s\n\n", t.path, t.at.help)
	t.below(w, t.path, t.at)
	if t.at.example != "" {
		fmt.Fprintf(w, "\nexample:\n  %s\n", strings.ReplaceAll(t.at.example, "\n", "\n  "))
	}
	fmt.Fprintf(w, "\nkeyless %s … -h tells more of one.\n", t.path)
}

func (t terminal) below(w io.Writer, path string, c command) {
	for _, one := range c.sub {
		if one.run != nil {
			fmt.Fprintf(w, "  keyless %s\n      %s\n", strings.TrimSpace(path+" "+one.name+" "+one.arguments), one.help)
		}
		t.below(w, path+" "+one.name, one)
	}
}

// help prints how the command that runs is called.
func (t terminal) help(flags *flag.FlagSet) {
	w := t.stdout
	fmt.Fprintf(w, "usage: keyless %s\n\n%s\n", strings.TrimSpace(t.path+" "+t.at.arguments), t.at.help)
	first := true
	flags.VisitAll(func(f *flag.Flag) {
		if first {
			fmt.Fprint(w, "\nflags:\n")
		}
		first = false
		value, says := flag.UnquoteUsage(f)
		dashes := "--"
		if len(f.Name) == 1 {
			dashes = "-"
		}
		fmt.Fprintf(w, "  %-24s %s\n", strings.TrimSpace(dashes+f.Name+" "+strings.ToUpper(value)), says)
	})
	if len(t.at.sub) > 0 {
		fmt.Fprint(w, "\nbelow it:\n")
		t.below(w, t.path, t.at)
	}
	if t.at.example != "" {
		fmt.Fprintf(w, "\nexample:\n  %s\n", strings.ReplaceAll(t.at.example, "\n", "\n  "))
	}
	fmt.Fprintf(w, "\n%s\n", exitCodes)
}
