package registry

import (
	"maps"
	"slices"
	"strings"
)

const (
	maxPerSecond = 1_000_000     // an interval is whole microseconds
	maxBurst     = 1_000_000_000 // the arithmetic of a rate is exact up to it
	maxGlob      = 256           // characters of a model's name
)

// usageLimits judges what limits bound besides calls.
func (v *validator) usageLimits(at spot, l *Limits) {
	v.positive(at.key("tokens_per_minute"), l.TokensPerMinute)
	v.positive(at.key("tokens_per_hour"), l.TokensPerHour)
	v.positive(at.key("tokens_per_day"), l.TokensPerDay)
	v.positive(at.key("tokens_per_month"), l.TokensPerMonth)
	v.spend(at.key("spend_per_day"), l.SpendPerDay)
	v.spend(at.key("spend_per_month"), l.SpendPerMonth)
	if l.Rate != nil {
		v.rate(at.key("rate"), l.Rate)
	}
	for _, glob := range slices.Sorted(maps.Keys(l.Models)) {
		of, limits := at.key("models").key(glob), l.Models[glob]
		v.wrong(of, judgeGlob(glob))
		if limits.Models != nil {
			v.fault(of.key("models"), "stands within models already; leave it out")
			limits.Models = nil
		}
		v.limits(of, &limits)
	}
}

func (v *validator) spend(at spot, text string) {
	if text == "" {
		return
	}
	if n, ok := Decimal(text, SpendPlaces); !ok || n == 0 {
		v.fault(at, `is not an amount; write a positive decimal number such as "250.00", or leave it out for none`)
	}
}

func (v *validator) rate(at spot, r *Rate) {
	if r.PerSecond < 1 || r.PerSecond > maxPerSecond {
		v.fault(at.key("per_second"), "is not a rate; write 1 to 1000000 calls, or leave rate out for none")
	}
	if r.Burst < 0 || r.Burst > maxBurst {
		v.fault(at.key("burst"), "is not a number of calls; write 1 to 1000000000, or leave it out for a second's worth")
	}
}

// judgeGlob judges what model names are compared with: a name, or a prefix before a star.
func judgeGlob(glob string) string {
	if star := strings.IndexByte(glob, '*'); glob == "" || star >= 0 && star != len(glob)-1 {
		return `is not a model; write a name, a prefix such as "qwen-*", or "*"`
	}
	if strings.TrimSpace(glob) != glob {
		return "has a space at its ends; write the bare name"
	}
	return judgeText(glob, maxGlob)
}

// prices judges the list of prices, of which the first that fits counts.
func (v *validator) prices(list []Price) {
	for i, p := range list {
		at := spot("prices").item(i)
		if p.Upstream != "" {
			known(v, at.key("upstream"), "an upstream", p.Upstream, v.byUpstream)
		}
		if p.Model != "" {
			v.wrong(at.key("model"), judgeGlob(p.Model))
		}
		v.price(at.key("per_call"), p.PerCall)
		v.price(at.key("per_image"), p.PerImage)
		v.tokenPrices(at, p.Input, p.Output, p.CachedInput)
		written := p.Input + p.Output + p.CachedInput
		if len(p.Tiers) > 0 && written != "" {
			v.fault(at.key("tiers"), "stand beside input, output or cached_input; write the one or the others")
		}
		if len(p.Tiers) == 0 && written+p.PerCall+p.PerImage == "" {
			v.fault(at, `has no price; write such as input: "0.40" and output: "1.20", or "0" for what costs nothing`)
		}
		v.tiers(at.key("tiers"), p.Tiers)
	}
}

func (v *validator) tiers(list spot, tiers []Tier) {
	before := int64(0)
	for i, t := range tiers {
		at := list.item(i)
		v.tokenPrices(at, t.Input, t.Output, t.CachedInput)
		switch last := i == len(tiers)-1; {
		case last && t.UpTo != 0:
			v.fault(at.key("up_to"), "leaves longer prompts without a price; leave it out of the last tier")
		case !last && t.UpTo <= before:
			v.fault(at.key("up_to"), "is not above the tier before; write tiers by size, and leave it out of the last")
		}
		before = t.UpTo
	}
}

func (v *validator) tokenPrices(at spot, input, output, cached string) {
	v.price(at.key("input"), input)
	v.price(at.key("output"), output)
	v.price(at.key("cached_input"), cached)
}

func (v *validator) price(at spot, text string) {
	if text == "" {
		return
	}
	if _, ok := Decimal(text, PricePlaces); !ok {
		v.fault(at, `is not a price; write a decimal number such as "0.40", of at most nine places`)
	}
}
