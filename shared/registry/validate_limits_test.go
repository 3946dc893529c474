package registry_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"keyless/shared/registry"
)

func faultPaths(c *registry.Config) []string {
	c.Version = 1
	var paths []string
	for _, f := range registry.Validate(c) {
		paths = append(paths, f.Path)
	}
	return paths
}

func TestLimitsThatMayBeWritten(t *testing.T) {
	t.Parallel()
	byModel := func(glob string, l registry.Limits) registry.Limits {
		return registry.Limits{Models: map[string]registry.Limits{glob: l}}
	}
	tests := map[string]struct {
		limits registry.Limits
		want   string // the fault's path within limits; "" none
	}{
		"everything": {registry.Limits{TokensPerMinute: 1, TokensPerHour: 1, TokensPerDay: 1, TokensPerMonth: 1,
			SpendPerDay: "0.000001", SpendPerMonth: "250.00", Shadow: true,
			Rate:   &registry.Rate{PerSecond: 20, Burst: 40},
			Models: map[string]registry.Limits{"qwen-max*": {TokensPerDay: 1}, "a/b:c": {CallsPerDay: 1}, "*": {}}}, ""},
		"a rate without a burst":       {registry.Limits{Rate: &registry.Rate{PerSecond: 1}}, ""},
		"a rate of nothing":            {registry.Limits{Rate: &registry.Rate{Burst: 4}}, ".rate.per_second"},
		"a negative rate":              {registry.Limits{Rate: &registry.Rate{PerSecond: -1}}, ".rate.per_second"},
		"a rate beyond the clock":      {registry.Limits{Rate: &registry.Rate{PerSecond: 1000001}}, ".rate.per_second"},
		"a negative burst":             {registry.Limits{Rate: &registry.Rate{PerSecond: 1, Burst: -1}}, ".rate.burst"},
		"a burst beyond all numbers":   {registry.Limits{Rate: &registry.Rate{PerSecond: 1, Burst: 1 << 40}}, ".rate.burst"},
		"negative tokens":              {registry.Limits{TokensPerHour: -1}, ".tokens_per_hour"},
		"money of nothing":             {registry.Limits{SpendPerDay: "0"}, ".spend_per_day"},
		"negative money":               {registry.Limits{SpendPerDay: "-1"}, ".spend_per_day"},
		"money with an exponent":       {registry.Limits{SpendPerMonth: "1e3"}, ".spend_per_month"},
		"money with a comma":           {registry.Limits{SpendPerMonth: "1,5"}, ".spend_per_month"},
		"less than a millionth":        {registry.Limits{SpendPerMonth: "0.0000001"}, ".spend_per_month"},
		"a billion":                    {registry.Limits{SpendPerMonth: "1000000000"}, ".spend_per_month"},
		"a star in the middle":         {byModel("a*b", registry.Limits{}), ".models.a*b"},
		"two stars":                    {byModel("a**", registry.Limits{}), ".models.a**"},
		"a model with a space after":   {byModel("a ", registry.Limits{}), ".models.a "},
		"a wrong limit of a model":     {byModel("a", registry.Limits{TokensPerDay: -1}), ".models.a.tokens_per_day"},
		"a wrong zone of a model":      {byModel("a", registry.Limits{TimeZone: "Mars/X"}), ".models.a.time_zone"},
		"models of a model":            {byModel("a", byModel("b", registry.Limits{})), ".models.a.models"},
		"a model of many characters":   {byModel(strings.Repeat("x", 257), registry.Limits{}), ".models." + strings.Repeat("x", 257)},
		"a model of as many as may be": {byModel(strings.Repeat("x", 256), registry.Limits{}), ""},
	}
	for name, test := range tests {
		got := faultPaths(&registry.Config{Groups: []registry.Group{{Name: "g", Limits: &test.limits}}})
		var want []string
		if test.want != "" {
			want = []string{"groups[0].limits" + test.want}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestPricesThatMayBeWritten(t *testing.T) {
	t.Parallel()
	tiers := func(list ...registry.Tier) registry.Price { return registry.Price{Tiers: list} }
	tests := map[string]struct {
		price registry.Price
		want  []string
	}{
		"a price":                {registry.Price{Upstream: "u", Model: "m-*", Input: "0.05", Output: "1", CachedInput: "0"}, nil},
		"per call and image":     {registry.Price{PerCall: "0.001", PerImage: "0.04"}, nil},
		"tiers":                  {tiers(registry.Tier{UpTo: 10, Input: "1"}, registry.Tier{UpTo: 20}, registry.Tier{Input: "2"}), nil},
		"one tier":               {tiers(registry.Tier{Input: "1"}), nil},
		"no price at all":        {registry.Price{Model: "m"}, []string{"prices[0]"}},
		"an unknown upstream":    {registry.Price{Upstream: "v", Input: "1"}, []string{"prices[0].upstream"}},
		"a star in the middle":   {registry.Price{Model: "a*b", Input: "1"}, []string{"prices[0].model"}},
		"not a number":           {registry.Price{Input: "x"}, []string{"prices[0].input"}},
		"a negative price":       {registry.Price{Output: "-1"}, []string{"prices[0].output"}},
		"a price of ten places":  {registry.Price{CachedInput: "0.0000000001"}, []string{"prices[0].cached_input"}},
		"a wrong price per call": {registry.Price{PerCall: "1e3", PerImage: " 1"}, []string{"prices[0].per_call", "prices[0].per_image"}},
		"tiers beside a price":   {registry.Price{Input: "1", Tiers: []registry.Tier{{Input: "1"}}}, []string{"prices[0].tiers"}},
		"a bounded last tier":    {tiers(registry.Tier{UpTo: 10, Input: "1"}), []string{"prices[0].tiers[0].up_to"}},
		"tiers out of order": {tiers(registry.Tier{UpTo: 10, Input: "1"}, registry.Tier{UpTo: 10}, registry.Tier{}),
			[]string{"prices[0].tiers[1].up_to"}},
		"an unbounded first tier": {tiers(registry.Tier{Input: "1"}, registry.Tier{}), []string{"prices[0].tiers[0].up_to"}},
		"a wrong price of a tier": {tiers(registry.Tier{Output: "x"}), []string{"prices[0].tiers[0].output"}},
	}
	for name, test := range tests {
		c := &registry.Config{Prices: []registry.Price{test.price},
			Upstreams: []registry.Upstream{{Name: "u", Protocol: registry.OpenAI, BaseURL: "https://h"}}}
		if got := faultPaths(c); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestDecimal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"250.00": 250_000_000, "0.000001": 1, "0": 0, "007": 7_000_000, "999999999.999999": 999_999_999_999_999,
	} {
		if got, ok := registry.Decimal(text, registry.SpendPlaces); !ok || got != want {
			t.Errorf("%q is %d, %t", text, got, ok)
		}
	}
	for _, text := range []string{
		"", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", " 1", "1 ", "1.0000001", "1000000000", "0x1", "1.2.3", "١", "NaN",
	} {
		if got, ok := registry.Decimal(text, registry.SpendPlaces); ok {
			t.Errorf("%q is %d", text, got)
		}
	}
	if got, ok := registry.Decimal("999999999.999999999", registry.PricePlaces); !ok || fmt.Sprint(got) != "999999999999999999" {
		t.Errorf("the largest price is %d, %t", got, ok)
	}
}
