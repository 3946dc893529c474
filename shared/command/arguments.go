package command

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"keyless/shared/registry/file"
)

// flags is an empty set of flags of the command that runs.
func (t terminal) flags() *flag.FlagSet { return flag.NewFlagSet(t.path, flag.ContinueOnError) }

// once reads flags up to the first word that is none.
func (t terminal) once(flags *flag.FlagSet, args []string) error {
	if t.peek != nil {
		t.peek(flags)
		return flag.ErrHelp
	}
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		t.help(flags)
		return err
	}
	if err != nil {
		return usage{fmt.Errorf("%w%s", err, meantFlag(flags, err))}
	}
	return nil
}

// meantFlag asks for the flag that an unknown one comes near, "" where none does.
func meantFlag(flags *flag.FlagSet, err error) string {
	_, unknown, is := strings.Cut(err.Error(), "not defined: -")
	if !is {
		return ""
	}
	var names []string
	flags.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
	return meant("; did you mean --%s?", unknown, names)
}

// meant asks for the name that a word comes near, "" where none does.
func meant(question, word string, names []string) string {
	if near := file.Nearest(word, names); near != "" {
		return fmt.Sprintf(question, near)
	}
	return ""
}

// parse reads a command's flags and refuses what is left over.
func (t terminal) parse(flags *flag.FlagSet, args []string) error {
	_, err := t.words(flags, args)
	return err
}

// words reads flags and words in any order. The words are named: NAME must be there, [NAME] may, NAME... is one or more. What is not
// given is "".
func (t terminal) words(flags *flag.FlagSet, args []string, names ...string) ([]string, error) {
	var given []string
	for {
		if err := t.once(flags, args); err != nil {
			return nil, err
		}
		args = flags.Args()
		if len(args) == 0 {
			break
		}
		given, args = append(given, args[0]), args[1:]
	}
	for i, name := range names {
		if i >= len(given) && !strings.HasPrefix(name, "[") {
			return nil, usage{fmt.Errorf("%s is missing", strings.TrimSuffix(name, "..."))}
		}
	}
	many := len(names) > 0 && strings.HasSuffix(strings.TrimSuffix(names[len(names)-1], "]"), "...")
	if len(given) > len(names) && !many {
		return nil, usage{fmt.Errorf("what is %q?%s", strings.Join(given[len(names):], " "), t.meantWord(flags, given, names))}
	}
	for len(given) < len(names) && !many {
		given = append(given, "")
	}
	return given, nil
}

// meantWord asks what a word too many may be: the file of -f, or a command below that is misspelt.
func (t terminal) meantWord(flags *flag.FlagSet, given, names []string) string {
	if f := flags.Lookup("f"); f != nil && f.Value.String() == "" && len(names) == 0 && len(given) == 1 {
		return " did you mean -f " + given[0] + "?"
	}
	return meant(" did you mean %s?", given[0], namesOf(t.at.sub))
}

// list is a flag that may stand several times.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

// Set implements flag.Value.
func (l *list) Set(text string) error {
	*l = append(*l, text)
	return nil
}

// maxInput bounds what is read of standard input.
const maxInput = 8 << 20

// read reads standard input, for what must not stand in the list of processes.
func (t terminal) read() (string, error) {
	text, err := io.ReadAll(io.LimitReader(t.stdin, maxInput+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("read standard input: %w", err)
	case len(text) > maxInput:
		return "", usage{errors.New("standard input has more than 8 MiB")}
	}
	return string(text), nil
}

// secretOf is a secret as a flag gives it, "-" being the first line of standard input.
func (t terminal) secretOf(given string) (string, error) {
	if given != "-" {
		return given, nil
	}
	text, err := t.read()
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimSuffix(line, "\r"), err
}
