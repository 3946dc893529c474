package admin

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"keyless/shared/registry"
)

// limits writes limits for people, in brackets, with words in front that the subject has besides; "" where there are none.
func limits(l *registry.Limits, besides ...string) string {
	parts := besides
	if l != nil {
		parts = append(parts, limitParts(l)...)
	}
	if len(parts) == 0 {
		return ""
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

func limitParts(l *registry.Limits) []string {
	var parts []string
	for _, one := range []struct {
		n          int64
		what, unit string
	}{
		{l.CallsPerMinute, "calls", "minute"}, {l.CallsPerHour, "calls", "hour"},
		{l.CallsPerDay, "calls", "day"}, {l.CallsPerMonth, "calls", "month"},
		{l.TokensPerMinute, "tokens", "minute"}, {l.TokensPerHour, "tokens", "hour"},
		{l.TokensPerDay, "tokens", "day"}, {l.TokensPerMonth, "tokens", "month"},
	} {
		if one.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s a %s", one.n, one.what, one.unit))
		}
	}
	if l.SpendPerDay != "" {
		parts = append(parts, "money "+l.SpendPerDay+" a day")
	}
	if l.SpendPerMonth != "" {
		parts = append(parts, "money "+l.SpendPerMonth+" a month")
	}
	if r := l.Rate; r != nil {
		rate := fmt.Sprintf("%d calls a second", r.PerSecond)
		if r.Burst > 0 {
			rate += fmt.Sprintf(" with bursts of %d", r.Burst)
		}
		parts = append(parts, rate)
	}
	for _, model := range slices.Sorted(maps.Keys(l.Models)) {
		one := l.Models[model]
		if text := limits(&one); text != "" {
			parts = append(parts, "model "+model+" "+text)
		}
	}
	if l.Shadow && len(parts) > 0 {
		parts = append(parts, "in shadow: told and never refused")
	}
	return parts
}
