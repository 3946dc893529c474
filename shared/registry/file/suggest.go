package file

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxKeyShown bounds how much of an unknown key is repeated.
const maxKeyShown = 64

func (d *decoder) unknown(key *yaml.Node, w where, known []field) {
	names := make([]string, 0, len(known))
	for _, f := range known {
		names = append(names, f.key)
	}
	meant := ""
	if near := Nearest(key.Value, names); near != "" {
		meant = fmt.Sprintf("did you mean %s? ", near)
	}
	d.fault(key.Line, w, "is not a known key; %sknown here: %s", meant, strings.Join(names, ", "))
}

// Nearest returns the name that differs in at most a third of its letters; none where none does.
func Nearest(word string, names []string) string {
	best, least := "", len(word)/3+1
	if len(word) > maxKeyShown {
		return ""
	}
	for _, name := range names {
		if n := distance(word, name); n <= least && n < len(name) {
			best, least = name, n-1
		}
	}
	return best
}

// distance is Levenshtein's: how many letters to insert, remove or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
