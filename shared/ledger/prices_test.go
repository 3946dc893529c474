package ledger_test

import (
	"fmt"
	"math/big"
	"testing"

	"keyless/shared/ledger"
	"keyless/shared/registry"
)

func prices(t testing.TB, list ...registry.Price) *ledger.Prices {
	t.Helper()
	p, err := ledger.NewPrices(list)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var example = []registry.Price{
	{Upstream: "model-studio", Model: "qwen-flash", Input: "0.05", Output: "0.40", CachedInput: "0.02"},
	{Upstream: "model-studio", Model: "qwen-plus", Tiers: []registry.Tier{
		{UpTo: 128000, Input: "0.40", Output: "1.20"}, {Input: "1.20", Output: "3.60", CachedInput: "0.12"}}},
	{Upstream: "model-studio", Model: "qwen-*", Input: "2", Output: "4"},
	{Model: "gpt-4o", Input: "2.50", Output: "10", PerCall: "0.001"},
	{Model: "image", PerImage: "0.04"},
	{Model: "dear-cache", Input: "1", CachedInput: "3"},
	{Model: "odd", Input: "0.5"},
	{Model: "third", Input: "0.333333333"},
	{Model: "free", Input: "0"},
	{Upstream: "last", PerCall: "1"},
}

func TestCost(t *testing.T) {
	t.Parallel()
	p := prices(t, example...)
	tests := map[string]struct {
		upstream, model string
		usage           ledger.Usage
		want            int64
		known           bool
	}{
		"input, cached input and output": {"model-studio", "qwen-flash",
			ledger.Usage{Input: 1000, CachedInput: 400, Output: 500, Reasoning: 300}, 30 + 8 + 200, true},
		"all of a tier":                {"model-studio", "qwen-plus", ledger.Usage{Input: 128000, Output: 10}, 51200 + 12, true},
		"one more falls in the next":   {"model-studio", "qwen-plus", ledger.Usage{Input: 128001, Output: 10}, 153637, true},
		"cached input without a price": {"model-studio", "qwen-plus", ledger.Usage{Input: 10, CachedInput: 10}, 4, true},
		"cached input of a tier": {"model-studio", "qwen-plus",
			ledger.Usage{Input: 200000, CachedInput: 200000}, 24000, true},
		"a prefix, for the first fits":   {"model-studio", "qwen-max", ledger.Usage{Input: 3, Output: 1}, 10, true},
		"another upstream":               {"other", "qwen-flash", ledger.Usage{Input: 3}, 0, false},
		"any upstream, and per call":     {"whichever", "gpt-4o", ledger.Usage{Input: 2}, 1005, true},
		"a call that used nothing":       {"", "gpt-4o", ledger.Usage{}, 1000, true},
		"images":                         {"u", "image", ledger.Usage{Images: 3, Input: 50}, 120000, true},
		"half rounds up":                 {"u", "odd", ledger.Usage{Input: 1}, 1, true},
		"rounded once, not by part":      {"u", "odd", ledger.Usage{Input: 3}, 2, true},
		"just under a half rounds down":  {"u", "third", ledger.Usage{Input: 1}, 0, true},
		"free":                           {"u", "free", ledger.Usage{Input: 1 << 40}, 0, true},
		"any model of an upstream":       {"last", "x", ledger.Usage{}, 1000000, true},
		"no price":                       {"u", "gpt-4o-mini", ledger.Usage{Input: 1}, 0, false},
		"more cached than there is":      {"model-studio", "qwen-flash", ledger.Usage{Input: 100, CachedInput: 900}, 2, true},
		"negative usage costs nothing":   {"u", "odd", ledger.Usage{Input: -5, Output: -5, Images: -1}, 0, true},
		"beyond every number":            {"model-studio", "qwen-max", ledger.Usage{Input: 1<<63 - 1}, 1<<63 - 1, true},
		"large and exact to the last":    {"u", "third", ledger.Usage{Input: 3_000_000_000_000_003}, 999999999000001, true},
		"an image is not a model token":  {"u", "image", ledger.Usage{Input: 1 << 30, Output: 1 << 30}, 0, true},
		"a name that only begins alike":  {"model-studio", "qwen", ledger.Usage{Input: 1}, 0, false},
		"letter case tells models apart": {"model-studio", "Qwen-flash", ledger.Usage{Input: 1}, 0, false},
	}
	for name, test := range tests {
		got, known := p.Cost(test.upstream, test.model, test.usage)
		if got != test.want || known != test.known {
			t.Errorf("%s: %d, %t, want %d, %t", name, got, known, test.want, test.known)
		}
	}
	if _, known := (*ledger.Prices)(nil).Cost("u", "odd", ledger.Usage{}); known {
		t.Error("no prices know a price")
	}
}

func TestMost(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		upstream, model             string
		input, output, images, want int64
	}{
		"plain":                        {"model-studio", "qwen-flash", 1000, 500, 0, 250},
		"the tier that may be reached": {"model-studio", "qwen-plus", 128001, 10, 0, 153637},
		"within the first tier":        {"model-studio", "qwen-plus", 1000, 10, 0, 412},
		"the cache may be dearer":      {"u", "dear-cache", 10, 10, 0, 30},
		"per call":                     {"u", "gpt-4o", 0, 0, 0, 1000},
		"negative":                     {"u", "gpt-4o", -1, -1, -1, 1000},
		"images":                       {"u", "image", 50, 0, 3, 120000},
		"an image without a price":     {"u", "odd", 2, 0, 5, 1},
	}
	p := prices(t, example...)
	for name, test := range tests {
		if got, known := p.Most(test.upstream, test.model, test.input, test.output, test.images); got != test.want || !known {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
	if _, known := p.Most("u", "x", 1, 1, 1); known {
		t.Error("a model without a price")
	}
	// A tier for long prompts may be the cheaper one.
	p = prices(t, registry.Price{Tiers: []registry.Tier{{UpTo: 100, Input: "5"}, {Input: "1"}}})
	if got, _ := p.Most("u", "x", 120, 0, 0); got != 500 {
		t.Errorf("a prompt that may turn out shorter: %d", got)
	}
}

func TestPricesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"-1", "1e3", "1,5", "1.", ".5", "0.0000000001", "1000000000", "x", " 1"} {
		for _, p := range []registry.Price{
			{Input: text}, {Output: text}, {CachedInput: text}, {PerCall: text}, {PerImage: text},
			{Tiers: []registry.Tier{{Input: text}}},
		} {
			if _, err := ledger.NewPrices([]registry.Price{{Input: "1"}, p}); err == nil {
				t.Errorf("%+v is a price", p)
			}
		}
	}
}

// Cost is what fractions without end say, rounded half up; no call costs more than Most of what it may use.
func FuzzCost(f *testing.F) {
	f.Add(int64(1000), int64(400), int64(500), int64(0), int64(50_000_000), int64(400_000_000), int64(20_000_000))
	f.Add(int64(1), int64(0), int64(0), int64(3), int64(500_000_000), int64(1), int64(999_999_999_999_999_999))
	f.Fuzz(func(t *testing.T, input, cached, output, less, in, out, inCached int64) {
		price := func(n int64) int64 { return ((n % 1e15) + 1e15) % 1e15 }
		tokens := func(n int64) int64 { return ((n % 1e9) + 1e9) % 1e9 }
		in, out, inCached = price(in), price(out), price(inCached)
		text := func(n int64) string { return fmt.Sprintf("%d.%09d", n/1e9, n%1e9) }
		p := prices(t, registry.Price{Tiers: []registry.Tier{
			{UpTo: 1000, Input: text(out), Output: text(in)},
			{Input: text(in), Output: text(out), CachedInput: text(inCached)}}})
		u := ledger.Usage{Input: tokens(input), Output: tokens(output)}
		u.CachedInput = tokens(cached) % (u.Input + 1)
		got, _ := p.Cost("u", "m", u)
		rates := [3]int64{in, inCached, out}
		if u.Input <= 1000 {
			rates = [3]int64{out, out, in}
		}
		exact := new(big.Rat)
		for i, n := range []int64{u.Input - u.CachedInput, u.CachedInput, u.Output} {
			exact.Add(exact, new(big.Rat).Mul(new(big.Rat).SetInt64(n), big.NewRat(rates[i], 1e9)))
		}
		exact.Add(exact, big.NewRat(1, 2))
		want := new(big.Int).Quo(exact.Num(), exact.Denom())
		if want.IsInt64() && got != want.Int64() {
			t.Errorf("%+v at %v costs %d, want %s", u, rates, got, want)
		}
		most, _ := p.Most("u", "m", u.Input+tokens(less), u.Output+tokens(less), 0)
		if got > most {
			t.Errorf("%+v at %v costs %d of at most %d", u, rates, got, most)
		}
	})
}
