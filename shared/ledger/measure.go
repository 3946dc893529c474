package ledger

import (
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// keepEntries is how long single calls can be looked up: a month's bill, and time to ask about it.
	keepEntries = 35 * 24 * time.Hour
	// keepCounters is how long a day's counters live: a year to compare with, and a month.
	keepCounters = 400 * 24 * time.Hour
	// keepMark is how long a written call is known by its request id: longer than a settlement is tried.
	keepMark = time.Hour
	// maxEntries bounds the entries of a name's day, about 8 MB; the counters are complete.
	maxEntries = 20000
	// maxFields bounds the counters of a name's day: some 400 pairs of upstream and model. A caller may write
	// any model name; more are counted together, under otherName.
	maxFields = 4000
	// maxAmount bounds what an entry adds: an upstream that tells nonsense must not spoil a counter.
	maxAmount = 1_000_000_000_000
	// maxText bounds what a caller or an upstream writes into an entry.
	maxText = 256
)

// otherName stands in a report for the upstreams and models beyond the bound.
const otherName = "(other)"

// measure is one counter's name and what an entry adds to it.
type measure struct {
	name   string
	amount int64
}

// The names of the counters.
const (
	calls       = "calls"
	failures    = "errors"
	refusals    = "refused"
	input       = "input"
	cachedInput = "cached_input"
	output      = "output"
	reasoning   = "reasoning"
	images      = "images"
	cost        = "cost"
	latency     = "latency_ms"
	firstToken  = "first_token_ms"
	firstTokens = "first_tokens"
)

// measures are what the entry adds to its day; what is 0 is left out.
func (e Entry) measures() []measure {
	all := []measure{
		{failures, truth(e.failed())},
		{input, e.Usage.Input}, {cachedInput, e.Usage.CachedInput}, {output, e.Usage.Output},
		{reasoning, e.Usage.Reasoning}, {images, e.Usage.Images}, {cost, e.Cost}, {latency, e.Latency},
		{firstToken, e.FirstToken}, {firstTokens, truth(e.FirstToken > 0)},
	}
	list := []measure{{calls, 1}}
	for _, m := range all {
		if m.amount > 0 {
			list = append(list, m)
		}
	}
	return list
}

func truth(is bool) int64 {
	if is {
		return 1
	}
	return 0
}

// failed reports whether the call counts as an error.
func (e Entry) failed() bool {
	return e.Status >= 400 || e.End == EndCut || e.End == EndError || e.End == EndTimeout
}

// bounded is the entry with amounts and texts that can be kept.
func (e Entry) bounded() Entry {
	u := &e.Usage
	for _, n := range []*int64{
		&u.Input, &u.CachedInput, &u.Output, &u.Reasoning, &u.Images, &e.Cost, &e.Latency, &e.FirstToken,
	} {
		*n = min(max(*n, 0), maxAmount)
	}
	for _, text := range []*string{&e.Client, &e.Subject, &e.Model, &e.UpstreamModel} {
		*text = cut(*text)
	}
	e.At = e.At.UTC()
	return e
}

// cut shortens a text at the end of a character.
func cut(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= maxText {
		return text
	}
	end := maxText
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// combination is what the counters of a day are kept by. Names of APIs and upstreams have no bar in them; the
// model, which may, stands last.
func (e Entry) combination() string { return combination(e.API, e.Upstream, e.Model) }

func combination(api, upstream, model string) string { return api + "|" + upstream + "|" + model }

// whose is the name as it stands in Redis keys and in the index.
func whose(w Whose) string {
	if w.Consumer != "" {
		return "c:" + w.Consumer
	}
	return "a:" + w.API
}

const (
	day      = 24 * time.Hour
	dateForm = "2006-01-02"
)

func dayOf(t time.Time) time.Time { return t.UTC().Truncate(day) }

func dayName(t time.Time) string { return t.Format("20060102") }
