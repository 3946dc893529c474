package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// word is a place on the command line, and what may follow.
type word struct {
	path  string // words so far: "client secret"
	next  []string
	helps []string
}

// completion prints what a shell completes words by; it is made of the table of commands and their own flags.
func completion(ctx context.Context, t terminal, args []string) error {
	words, err := t.words(t.flags(), args, "bash|zsh|fish")
	if err != nil {
		return err
	}
	write, known := map[string]func(io.Writer, []word){"bash": completeBash, "zsh": completeZsh, "fish": completeFish}[words[0]]
	if !known {
		return usage{errors.New("the shell is bash, zsh or fish")}
	}
	root := command{sub: t.all()}
	var all []word
	t.walk(ctx, "", root, &all)
	write(t.stdout, all)
	return nil
}

// walk visits the commands, each of which is asked for its flags.
func (t terminal) walk(ctx context.Context, path string, c command, all *[]word) {
	w := word{path: path}
	for _, one := range c.sub {
		w.next, w.helps = append(w.next, one.name), append(w.helps, one.help)
	}
	if c.run != nil {
		at := t
		at.path, at.at, at.stdout, at.stderr = path, c, io.Discard, io.Discard
		at.peek = func(flags *flag.FlagSet) {
			flags.VisitAll(func(f *flag.Flag) {
				dashes := "--"
				if len(f.Name) == 1 {
					dashes = "-"
				}
				_, says := flag.UnquoteUsage(f)
				w.next, w.helps = append(w.next, dashes+f.Name), append(w.helps, says)
			})
		}
		_ = c.run(ctx, at, nil) // it ends when its flags are known
	}
	*all = append(*all, w)
	for _, one := range c.sub {
		t.walk(ctx, strings.TrimSpace(path+" "+one.name), one, all)
	}
}

func completeBash(w io.Writer, all []word) {
	fmt.Fprint(w, "# bash completion for keyless: source <(keyless completion bash)\n"+
		"_keyless() {\n  local path= i word next\n  for ((i = 1; i < COMP_CWORD; i++)); do\n    word=${COMP_WORDS[i]}\n"+
		"    case \"$path $word\" in\n")
	for _, one := range all {
		if one.path != "" {
			fmt.Fprintf(w, "    ' %s') path=' %s' ;;\n", one.path, one.path)
		}
	}
	fmt.Fprint(w, "    esac\n  done\n  case \"$path\" in\n")
	for _, one := range all {
		at := ""
		if one.path != "" {
			at = " " + one.path
		}
		fmt.Fprintf(w, "  '%s') next='%s' ;;\n", at, strings.Join(one.next, " "))
	}
	fmt.Fprint(w, "  esac\n  COMPREPLY=($(compgen -W \"$next\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\n"+
		"complete -o default -F _keyless keyless\n")
}

func completeZsh(w io.Writer, all []word) {
	fmt.Fprint(w, "#compdef keyless\n# zsh completion for keyless: source <(keyless completion zsh)\n"+
		"autoload -U +X bashcompinit && bashcompinit\n")
	completeBash(w, all)
}

func completeFish(w io.Writer, all []word) {
	fmt.Fprint(w, "# fish completion for keyless: keyless completion fish | source\n"+
		"function __keyless_at\n  set -l words\n  for word in (commandline -opc)[2..-1]\n"+
		"    string match -q -- '-*' $word; and continue\n    set -a words $word\n  end\n"+
		"  test \"$words\" = \"$argv\"; or string match -q -- \"$argv *\" \"$words\"\nend\n"+
		"function __keyless_exactly\n  set -l words\n  for word in (commandline -opc)[2..-1]\n"+
		"    string match -q -- '-*' $word; and continue\n    set -a words $word\n  end\n  test \"$words\" = \"$argv\"\nend\n")
	for _, one := range all {
		for i, next := range one.next {
			says := strings.ReplaceAll(one.helps[i], "'", "’")
			if long, is := strings.CutPrefix(next, "--"); is {
				fmt.Fprintf(w, "complete -c keyless -f -n '__keyless_at %s' -l %s -d '%s'\n", one.path, long, says)
			} else if short, is := strings.CutPrefix(next, "-"); is {
				fmt.Fprintf(w, "complete -c keyless -n '__keyless_at %s' -s %s -r -d '%s'\n", one.path, short, says)
			} else {
				fmt.Fprintf(w, "complete -c keyless -f -n '__keyless_exactly %s' -a %s -d '%s'\n", one.path, next, says)
			}
		}
	}
}
