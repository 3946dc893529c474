package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxDays     = 400     // that a report covers: as long as the counters live
	maxReads    = 200_000 // days of names that a report reads: some seconds, and what a process can hold
	readsAtOnce = 100     // in one round trip: a few hundred kilobytes
	maxRows     = 100_000 // of a report
	defaultPage = 100     // entries
	maxPage     = 1000
)

// What a report may be asked by.
const (
	ByDay      = "day"
	ByConsumer = "consumer"
	ByAPI      = "api"
	ByUpstream = "upstream"
	ByModel    = "model"
)

// Question asks for what was used on some days. Days are UTC, "2026-11-25", From and To included.
type Question struct {
	From, To string
	By       []string // of the By constants, in the order in which the rows are sorted; none: one row
	Consumer string   // "" all
	API      string
	Upstream string
	Model    string // the caller's name
}

// Row is a sum. Of the names those are set that were asked by.
type Row struct {
	Day      string `json:"day,omitempty"`
	Consumer string `json:"consumer,omitempty"` // "" open APIs without a consumer
	API      string `json:"api,omitempty"`
	Upstream string `json:"upstream,omitempty"`
	Model    string `json:"model,omitempty"`
	Counts
}

// Counts are what the calls of a Row add up to.
type Counts struct {
	Calls       int64 `json:"calls"`
	Errors      int64 `json:"errors"`  // answered with 400 or more, cut, or timed out
	Refused     int64 `json:"refused"` // of a proven consumer, by the gateway itself; not among the calls
	Input       int64 `json:"input"`
	CachedInput int64 `json:"cached_input"`
	Output      int64 `json:"output"`
	Reasoning   int64 `json:"reasoning"`
	Images      int64 `json:"images"`
	Cost        int64 `json:"cost"`           // millionths of the currency
	Latency     int64 `json:"latency_ms"`     // sum
	FirstToken  int64 `json:"first_token_ms"` // sum
	FirstTokens int64 `json:"first_tokens"`   // calls in that sum
}

// The errors of a report that is asked for wrongly.
var (
	ErrQuestion = errors.New("a report is of 1 to 400 days, written 2026-11-25, by day, consumer, api, upstream or model")
	ErrWide     = errors.New("the report reads too much; ask for fewer days, or for one consumer")
)

// Whose names who keeps the entries: a consumer, or, where there is none, an open API.
type Whose struct{ Consumer, API string }

func parseDay(text string) (time.Time, error) {
	date, err := time.Parse(dateForm, text)
	if err != nil {
		return time.Time{}, ErrQuestion
	}
	return date, nil
}

// days are those of the question, each once.
func (q Question) days() ([]time.Time, error) {
	from, err := parseDay(q.From)
	to, toErr := parseDay(q.To)
	if err != nil || toErr != nil || to.Before(from) || to.Sub(from) >= maxDays*day {
		return nil, ErrQuestion
	}
	for i, by := range q.By {
		known := slices.Contains([]string{ByDay, ByConsumer, ByAPI, ByUpstream, ByModel}, by)
		if !known || slices.Contains(q.By[:i], by) {
			return nil, ErrQuestion
		}
	}
	var days []time.Time
	for date := from; !date.After(to); date = date.Add(day) {
		days = append(days, date)
	}
	return days, nil
}

// names are what a Row is told apart by.
type names struct{ day, consumer, api, upstream, model string }

// sum adds up counters by what a question asks.
type sum struct {
	q     Question
	found map[names]*Counts
}

func newSum(q Question) *sum { return &sum{q: q, found: map[names]*Counts{}} }

// add takes one hash of counters. A field of a name that this version does not know is left out: a later one
// counts more.
func (s *sum) add(from read, fields map[string]string) error {
	consumer, _ := strings.CutPrefix(from.who, "c:")
	if strings.HasPrefix(from.who, "a:") {
		consumer = ""
	}
	for field, text := range fields {
		parts := strings.SplitN(field, "|", 4)
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || len(parts) != 4 {
			return fmt.Errorf("read the counter %q of %s: not a counter", field, from.who)
		}
		at := names{from.day.Format(dateForm), consumer, parts[1], parts[2], parts[3]}
		if !s.q.wants(at) {
			continue
		}
		at = s.q.cut(at)
		c := s.found[at]
		if c == nil {
			if len(s.found) == maxRows {
				return ErrWide
			}
			c = &Counts{}
			s.found[at] = c
		}
		if counter := c.counter(parts[0]); counter != nil {
			*counter += n
		}
	}
	return nil
}

func (q Question) wants(at names) bool {
	return (q.Consumer == "" || q.Consumer == at.consumer) && (q.API == "" || q.API == at.api) &&
		(q.Upstream == "" || q.Upstream == at.upstream) && (q.Model == "" || q.Model == at.model)
}

// cut keeps the names that are asked by.
func (q Question) cut(at names) names {
	var kept names
	for _, by := range q.By {
		*kept.of(by) = *at.of(by)
	}
	return kept
}

func (n *names) of(by string) *string {
	switch by {
	case ByDay:
		return &n.day
	case ByConsumer:
		return &n.consumer
	case ByAPI:
		return &n.api
	case ByUpstream:
		return &n.upstream
	}
	return &n.model
}

// counter is the member that a counter's name stands for; nil where there is none.
func (c *Counts) counter(name string) *int64 {
	switch name {
	case calls:
		return &c.Calls
	case failures:
		return &c.Errors
	case refusals:
		return &c.Refused
	case input:
		return &c.Input
	case cachedInput:
		return &c.CachedInput
	case output:
		return &c.Output
	case reasoning:
		return &c.Reasoning
	case images:
		return &c.Images
	case cost:
		return &c.Cost
	case latency:
		return &c.Latency
	case firstToken:
		return &c.FirstToken
	case firstTokens:
		return &c.FirstTokens
	}
	return nil
}

// rows are sorted as they are asked by. A question by nothing has one row, also where nothing was used.
func (s *sum) rows() []Row {
	if len(s.q.By) == 0 && len(s.found) == 0 {
		return []Row{{}}
	}
	order := slices.SortedFunc(maps.Keys(s.found), func(a, b names) int {
		for _, by := range s.q.By {
			if c := cmp.Compare(*a.of(by), *b.of(by)); c != 0 {
				return c
			}
		}
		return 0
	})
	rows := make([]Row, len(order))
	for i, n := range order {
		rows[i] = Row{n.day, n.consumer, n.api, n.upstream, n.model, *s.found[n]}
	}
	return rows
}
