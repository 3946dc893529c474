package command

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"keyless/shared/admin"
)

// maxColumn is the widest that the names of steps make their column.
const maxColumn = 28

// printExplanation writes the steps, the answer that the caller gets, and what would make the request pass.
func printExplanation(w io.Writer, e admin.Explanation) {
	if e.RequestID != "" && e.At != nil {
		fmt.Fprintf(w, "request %s, refused at %s\n", plain(e.RequestID), e.At.UTC().Format(time.RFC3339))
	}
	column := 0
	for _, s := range e.Steps {
		column = min(max(column, utf8.RuneCountInString(s.Step)), maxColumn)
	}
	for n, s := range e.Steps {
		mark := "·"
		switch {
		case s.Decides:
			mark = "✗"
		case e.Outcome == admin.OutcomeAllowed && n == len(e.Steps)-1:
			mark = "✓"
		}
		fmt.Fprintf(w, "  %s %-*s  %s\n", mark, column, plain(s.Step), plain(s.Fact))
	}
	answer := plain(e.Message)
	if e.Status != 0 {
		answer = fmt.Sprintf("%d %s, %s", e.Status, plain(e.Message), plain(e.Code))
	}
	fmt.Fprintf(w, "\n%-8s %s\n", plain(e.Outcome), answer)
	if e.Remedy != "" {
		fmt.Fprintf(w, "%-8s %s\n", "to pass", plain(e.Remedy))
	}
}

// plain keeps what another process says from commanding the terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}
