package ledger

import (
	"fmt"
	"math/big"
	"strings"

	"keyless/shared/registry"
)

// Prices are what usage costs, compiled from the registry's list, whose figures are per million model tokens:
// so a price in the currency is the same number of millionths for one model token. Make them with NewPrices;
// safe for concurrent use; nil knows no price.
type Prices struct{ list []price }

// price is one line of the list. Amounts are in 10^-9 of a millionth of the currency.
type price struct {
	upstream string // "" any
	model    string // a name, or a prefix before *; "" any
	perCall  *big.Int
	perImage *big.Int
	tiers    []tier // ascending by upTo; one at least
}

// tier is what a model token costs in a call whose input is at most upTo; 0: any.
type tier struct {
	upTo                  int64
	input, cached, output int64
}

// nanos is what a millionth of the currency has.
var nanos = big.NewInt(1_000_000_000)

// NewPrices compiles the list. The error names the first line that is not a price.
func NewPrices(list []registry.Price) (*Prices, error) {
	p := &Prices{}
	for i, one := range list {
		compiled, err := compile(one)
		if err != nil {
			return nil, fmt.Errorf("read price %d: %w", i+1, err)
		}
		p.list = append(p.list, compiled)
	}
	return p, nil
}

func compile(p registry.Price) (price, error) {
	one := price{upstream: p.Upstream, model: p.Model}
	var err error
	if one.perCall, err = each(p.PerCall); err != nil {
		return price{}, err
	}
	if one.perImage, err = each(p.PerImage); err != nil {
		return price{}, err
	}
	tiers := p.Tiers
	if len(tiers) == 0 {
		tiers = []registry.Tier{{Input: p.Input, Output: p.Output, CachedInput: p.CachedInput}}
	}
	for _, t := range tiers {
		compiled := tier{upTo: t.UpTo}
		cached := t.CachedInput
		if cached == "" {
			cached = t.Input
		}
		for _, part := range []struct {
			text string
			to   *int64
		}{{t.Input, &compiled.input}, {cached, &compiled.cached}, {t.Output, &compiled.output}} {
			if *part.to, err = nanoPrice(part.text); err != nil {
				return price{}, err
			}
		}
		one.tiers = append(one.tiers, compiled)
	}
	return one, nil
}

// nanoPrice reads a price; what is not written costs nothing.
func nanoPrice(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, ok := registry.Decimal(text, registry.PricePlaces)
	if !ok {
		return 0, fmt.Errorf("%q is not a price", text)
	}
	return n, nil
}

// each reads a price of one call or image, a million times that of a model token.
func each(text string) (*big.Int, error) {
	n, err := nanoPrice(text)
	return new(big.Int).Mul(big.NewInt(n), big.NewInt(1_000_000)), err
}

// find is the first line that fits. The model is the upstream's name for it.
func (p *Prices) find(upstream, model string) *price {
	if p == nil {
		return nil
	}
	for i := range p.list {
		one := &p.list[i]
		prefix, open := strings.CutSuffix(one.model, "*")
		fits := one.model == "" || one.model == model || open && strings.HasPrefix(model, prefix)
		if fits && (one.upstream == "" || one.upstream == upstream) {
			return one
		}
	}
	return nil
}

// Cost is what a call costs in millionths of the currency, rounded half up once; false where no price fits.
// The tier that all of its input falls in prices the whole call. Cached input costs its own price, where one
// is written; reasoning is output.
func (p *Prices) Cost(upstream, model string, u Usage) (int64, bool) {
	one := p.find(upstream, model)
	if one == nil {
		return 0, false
	}
	in := max(u.Input, 0)
	cached := min(max(u.CachedInput, 0), in)
	t := one.tier(in)
	total := new(big.Int).Set(one.perCall)
	add(total, in-cached, big.NewInt(t.input))
	add(total, cached, big.NewInt(t.cached))
	add(total, max(u.Output, 0), big.NewInt(t.output))
	add(total, max(u.Images, 0), one.perImage)
	return rounded(total), true
}

// Most is the most that a call can cost which uses at most so much input and output and makes at most so many
// images, in whatever tier it ends and however little of its input is cached; false where no price fits.
func (p *Prices) Most(upstream, model string, input, output, images int64) (int64, bool) {
	one := p.find(upstream, model)
	if one == nil {
		return 0, false
	}
	in, out := max(input, 0), max(output, 0)
	most := new(big.Int)
	for i, t := range one.tiers {
		last := t.upTo == 0 || in <= t.upTo || i == len(one.tiers)-1
		reached := in
		if !last {
			reached = t.upTo
		}
		total := new(big.Int).Set(one.perCall)
		add(total, reached, big.NewInt(max(t.input, t.cached)))
		add(total, out, big.NewInt(t.output))
		add(total, max(images, 0), one.perImage)
		if total.Cmp(most) > 0 {
			most = total
		}
		if last {
			break
		}
	}
	return rounded(most), true
}

// tier is the one that the input falls in; beyond the last, the last.
func (p *price) tier(input int64) tier {
	for _, t := range p.tiers {
		if t.upTo == 0 || input <= t.upTo {
			return t
		}
	}
	return p.tiers[len(p.tiers)-1]
}

func add(total *big.Int, count int64, each *big.Int) {
	total.Add(total, new(big.Int).Mul(big.NewInt(count), each))
}

// rounded is in millionths, half up; what is beyond an int64 is the largest.
func rounded(total *big.Int) int64 {
	half := new(big.Int).Rsh(nanos, 1)
	n := new(big.Int).Quo(new(big.Int).Add(total, half), nanos)
	if !n.IsInt64() {
		return 1<<63 - 1
	}
	return n.Int64()
}
