package command

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
)

// Colours of a plan.
const (
	green  = "32"
	yellow = "33"
	red    = "31"
)

// live reports whether a person looks at what is written.
func (t terminal) live(w io.Writer) bool {
	file, is := w.(*os.File)
	if !is {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// paint colours a text on a terminal, unless NO_COLOR asks otherwise (no-color.org).
func (t terminal) paint(colour, text string) string {
	if t.variable("NO_COLOR") != "" || t.variable("TERM") == "dumb" || !t.live(t.stdout) {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// json prints a value as one line.
func (t terminal) json(v any) error {
	encoder := json.NewEncoder(t.stdout)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// say prints a line for people.
func (t terminal) say(format string, args ...any) { fmt.Fprintf(t.stdout, format+"\n", args...) }

// table prints rows under a head; an empty cell shows as "-".
func (t terminal) table(head []string, rows [][]string) error {
	w := tabwriter.NewWriter(t.stdout, 0, 0, 2, ' ', 0)
	line := func(cells []string, change func(string) string) {
		out := make([]string, len(cells))
		for i, cell := range cells {
			if out[i] = change(cell); out[i] == "" {
				out[i] = "-"
			}
		}
		fmt.Fprintln(w, strings.Join(out, "\t"))
	}
	line(head, strings.ToUpper)
	for _, row := range rows {
		line(row, plain)
	}
	return w.Flush()
}

const (
	// longWork is from how many steps on progress is told.
	longWork = 500
	// redraw is how often a line of progress changes on a terminal.
	redraw = 100 * time.Millisecond
	// tenth of the work is what progress is told by where nobody looks.
	tenth = 10
)

// progress tells on standard error how far long work is: on a terminal in one line that changes, elsewhere in ten.
func (t terminal) progress(what string) func(done, all int) {
	live, last, told := t.live(t.stderr), time.Time{}, 0
	return func(done, all int) {
		switch {
		case all < longWork:
		case live && (done == all || time.Since(last) >= redraw):
			last = time.Now()
			fmt.Fprintf(t.stderr, "\r\x1b[K%s %d of %d", what, done, all)
			if done == all {
				fmt.Fprint(t.stderr, "\r\x1b[K")
			}
		case !live && done*tenth/all > told:
			told = done * tenth / all
			fmt.Fprintf(t.stderr, "%s %d of %d\n", what, done, all)
		}
	}
}
