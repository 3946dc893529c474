package quota

import (
	"slices"
	"testing"

	"keyless/shared/registry"
)

func TestLimitsOf(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		globs []string
		model string
		want  string
	}{
		"exact before all":       {[]string{"a*", "ab", "*"}, "ab", "ab"},
		"longest prefix":         {[]string{"a*", "ab*", "*"}, "abc", "ab*"},
		"the prefix itself":      {[]string{"ab*"}, "ab", "ab*"},
		"a star":                 {[]string{"ab*", "*"}, "x", "*"},
		"nothing fits":           {[]string{"ab*", "b"}, "a", ""},
		"no model":               {[]string{"*"}, "", ""},
		"a star in a model":      {[]string{"a*", "*"}, "a*", "a*"},
		"letter case counts":     {[]string{"A*"}, "a", ""},
		"a name is not a prefix": {[]string{"ab"}, "abc", ""},
		"no models":              {nil, "a", ""},
	}
	for name, test := range tests {
		models := map[string]registry.Limits{}
		for i, glob := range test.globs {
			models[glob] = registry.Limits{CallsPerDay: int64(i + 1)}
		}
		glob, limits := limitsOf(models, test.model)
		if glob != test.want || (limits == nil) != (test.want == "") ||
			limits != nil && limits.CallsPerDay != int64(slices.Index(test.globs, glob)+1) {
			t.Errorf("%s: %q, %+v", name, glob, limits)
		}
	}
}

// What a reservation remembers is read as it was written, and what is not a record is an error.
func FuzzRecord(f *testing.F) {
	f.Add("2 k7 calls_per_day:1764028800:1 model/a%2Fb%2A/tokens_per_day:1764028800:5000 slot")
	f.Add("2")
	f.Add("settled")
	f.Add("")
	f.Add("2 k a:b")
	f.Add("2 k a:b:c")
	f.Add("1 a:b:1")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := readRecord(text)
		if err != nil || !h.holds() {
			return
		}
		again, err := readRecord(recorded(h.attempt, h.list, h.slot).record)
		if err != nil || again.slot != h.slot || again.attempt != h.attempt || !slices.Equal(again.list, h.list) {
			t.Errorf("%q: %+v, %+v, %v", text, h, again, err)
		}
	})
}
