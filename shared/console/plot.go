package console

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// chart is a plot of one measure by day, drawn on the server as SVG: bars where parts add up, lines where they do not.
type chart struct {
	Title  string
	Total  string
	Legend []legend
	Bars   []bar
	Lines  []line
	Grid   []tick
	Days   []tick
	Empty  bool
	Says   string // what a screen reader is told
}

type legend struct {
	Name  string
	Class string
}

type bar struct {
	X, Y, W, H float64
	Class      string
	Says       string
}

type line struct {
	Points string
	Class  string
}

type tick struct {
	At   float64
	Text string
}

// The plot's size in its own units.
const (
	plotWidth  = 440.0
	plotHeight = 150.0
	plotLeft   = 44.0
	plotBottom = 128.0
	plotTop    = 8.0
)

// most are the names that have a colour of their own; the rest are drawn together.
const most = 5

// series is one measure of one name on each day.
type series struct {
	name   string
	values []float64
}

// measure is what a chart draws.
type measure struct {
	title  string
	of     func(r usageRow) float64
	over   func(r usageRow) float64 // divides of, where it is a mean
	format func(float64) string
	parts  []part  // in place of names, where the report is not told apart
	unit   float64 // of what is shown; 0: 1
}

type part struct {
	name string
	of   func(r usageRow) float64
}

func whole(f float64) string { return number(int64(f)) }
func millis(f float64) string {
	if f >= 1000 {
		return fmt.Sprintf("%.1f s", f/1000)
	}
	return number(int64(f)) + " ms"
}

var measures = []measure{
	{"Calls", func(r usageRow) float64 { return float64(r.Calls) }, nil, whole, []part{
		{"Answered", func(r usageRow) float64 { return float64(r.Calls - r.Errors) }},
		{"Failed", func(r usageRow) float64 { return float64(r.Errors) }}}, 0},
	{"Refusals", func(r usageRow) float64 { return float64(r.Refused) }, nil, whole, nil, 0},
	{"Usage, model tokens", func(r usageRow) float64 { return float64(r.Tokens()) }, nil, whole, []part{
		{"Input", func(r usageRow) float64 { return float64(r.Input) }}, {"Output", func(r usageRow) float64 { return float64(r.Output) }}}, 0},
	{"Cost", func(r usageRow) float64 { return float64(r.Cost) }, nil, func(f float64) string { return money(int64(f)) }, nil, 1e6},
	{"Latency, mean", func(r usageRow) float64 { return float64(r.Latency) },
		func(r usageRow) float64 { return float64(r.Calls) }, millis, nil, 0},
	{"Time to first token, mean", func(r usageRow) float64 { return float64(r.FirstToken) },
		func(r usageRow) float64 { return float64(r.FirstTokens) }, millis, nil, 0},
}

// daysOf are the days of a report, at most a year of them.
func daysOf(from, to string) []string {
	first, err := time.Parse(dayForm, from)
	last, err2 := time.Parse(dayForm, to)
	var days []string
	for day := first; err == nil && err2 == nil && !day.After(last) && len(days) < 400; day = day.AddDate(0, 0, 1) {
		days = append(days, day.Format(dayForm))
	}
	return days
}

// charts draws every measure.
func charts(u usagePageData, rows []usageRow) []chart {
	days := daysOf(u.From, u.To)
	var all []chart
	for _, m := range measures {
		if m.title == "Cost" && u.Currency != "" {
			m.title += ", " + u.Currency
		}
		all = append(all, m.draw(m.series(u, rows, days), days, u.Total))
	}
	return all
}

// series cuts the rows of a report by name, or by part.
func (m measure) series(u usagePageData, rows []usageRow, days []string) []series {
	if u.By == "" && m.parts != nil {
		var all []series
		for _, p := range m.parts {
			all = append(all, one(p.name, rows, days, p.of, nil))
		}
		return all
	}
	var all []series
	var rest []usageRow
	for i, r := range u.Rows {
		mine := slices.DeleteFunc(slices.Clone(rows), func(o usageRow) bool { return o.name(u.By) != r.Name })
		if i >= most {
			rest = append(rest, mine...)
			continue
		}
		all = append(all, one(r.Name, mine, days, m.of, m.over))
	}
	if len(rest) > 0 {
		all = append(all, one("others", rest, days, m.of, m.over))
	}
	return all
}

// one sums up rows by day.
func one(name string, rows []usageRow, days []string, of, over func(usageRow) float64) series {
	s := series{name, make([]float64, len(days))}
	n := make([]float64, len(days))
	for _, r := range rows {
		if at, found := slices.BinarySearch(days, r.Day); found {
			s.values[at] += of(r)
			if over != nil {
				n[at] += over(r)
			}
		}
	}
	for i := range days {
		if n[i] > 0 {
			s.values[i] /= n[i]
		}
	}
	return s
}

// draw makes the marks of a chart.
func (m measure) draw(all []series, days []string, total usageRow) chart {
	c := chart{Title: m.title, Empty: true}
	sum := m.of(total)
	if m.over != nil && m.over(total) > 0 {
		sum /= m.over(total)
	}
	c.Total = m.format(sum)
	top := 0.0
	for d := range days {
		stack := 0.0
		for _, s := range all {
			if stack += s.values[d]; m.over != nil {
				stack = max(stack-s.values[d], s.values[d])
			}
		}
		top = max(top, stack)
	}
	c.Empty = top == 0
	top = nice(top)
	for i := range 3 {
		share := float64(i) / 2
		c.Grid = append(c.Grid, tick{plotBottom - share*(plotBottom-plotTop), m.tick(top * share)})
	}
	c.axis(days)
	for i, s := range all {
		class := fmt.Sprintf("s%d", min(i, most)+1)
		if s.name != "" {
			c.Legend = append(c.Legend, legend{s.name, class})
		}
		c.mark(m, all[:i], s, class, days, top)
	}
	c.Says = fmt.Sprintf("%s from %s to %s: %s", m.title, days[0], days[len(days)-1], c.Total)
	return c
}

// tick is a value in the margin, which has room for few characters.
func (m measure) tick(value float64) string {
	shown := value / max(m.unit, 1)
	switch {
	case m.over != nil || shown < 1e4:
		return m.format(value)
	case shown < 1e6:
		return fmt.Sprintf("%.4gk", shown/1e3)
	}
	return fmt.Sprintf("%.4gM", shown/1e6)
}

// axis names the first, the last and two days between.
func (c *chart) axis(days []string) {
	step := (plotWidth - plotLeft) / float64(len(days))
	for _, d := range slices.Compact([]int{0, (len(days) - 1) / 3, 2 * (len(days) - 1) / 3, len(days) - 1}) {
		at := min(max(plotLeft+step*(float64(d)+0.5), plotLeft+14), plotWidth-14)
		c.Days = append(c.Days, tick{at, days[d][5:]})
	}
}

// mark draws one series on those below it.
func (c *chart) mark(m measure, below []series, s series, class string, days []string, top float64) {
	step := (plotWidth - plotLeft) / float64(len(days))
	height := func(value float64) float64 { return value / top * (plotBottom - plotTop) }
	var points []string
	for d := range days {
		x := plotLeft + step*float64(d)
		if m.over != nil {
			if s.values[d] > 0 {
				points = append(points, fmt.Sprintf("%.1f,%.1f", x+step/2, plotBottom-height(s.values[d])))
			}
			continue
		}
		base := 0.0
		for _, b := range below {
			base += b.values[d]
		}
		if s.values[d] > 0 {
			gap := min(step*0.2, 3)
			c.Bars = append(c.Bars, bar{x + gap/2, plotBottom - height(base+s.values[d]), step - gap, height(s.values[d]), class,
				strings.TrimSpace(days[d] + " " + s.name + ": " + m.format(s.values[d]))})
		}
	}
	switch {
	case len(points) == 1:
		c.Bars = append(c.Bars, dot(points[0], class))
	case len(points) > 1:
		c.Lines = append(c.Lines, line{strings.Join(points, " "), class})
	}
}

// dot is a line of one day.
func dot(point, class string) bar {
	var x, y float64
	_, _ = fmt.Sscanf(point, "%f,%f", &x, &y) // of our own writing
	return bar{X: x - 3, Y: y - 3, W: 6, H: 6, Class: class}
}

// nice rounds up to 1, 2 or 5 and zeros.
func nice(top float64) float64 {
	scale := 1.0
	for scale*10 < top {
		scale *= 10
	}
	for _, by := range []float64{1, 2, 4, 5, 10} {
		if top <= scale*by {
			return scale * by
		}
	}
	return max(top, 1)
}
