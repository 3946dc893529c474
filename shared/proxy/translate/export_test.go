package translate

import (
	"maps"
	"slices"
)

// RefusedMembers are the names that a request is refused for, and Hints those that are left out, by the dialect they come from.
func RefusedMembers(from Dialect) (refused, hints []string) {
	known := chatRules
	if from == Anthropic {
		known = messagesRules
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if known[name].hint {
			hints = append(hints, name)
		} else {
			refused = append(refused, name)
		}
	}
	return refused, hints
}
