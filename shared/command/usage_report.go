package command

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"time"

	"keyless/shared/ledger"
)

// usageOf reports what was used and what it cost.
func usageOf(ctx context.Context, t terminal, args []string) error {
	flags, o := t.gatewayFlags()
	query := url.Values{}
	for name, says := range map[string]string{
		"from":     "the first `day`, UTC, such as 2026-11-01; default 30 days before the last",
		"to":       "the last `day`; default today",
		"by":       "`columns` with commas: day, consumer, api, upstream, model; default consumer",
		"consumer": "only of this `consumer`", "api": "only of this `api`",
		"upstream": "only of this `upstream`", "model": "only of this `model`",
	} {
		flags.Func(name, says, func(text string) error { query.Set(name, text); return nil })
	}
	asCSV := flags.Bool("csv", false, "print CSV")
	asLines := flags.Bool("jsonl", false, "print JSON Lines")
	if err := t.parse(flags, args); err != nil {
		return err
	}
	if !query.Has("by") {
		query.Set("by", ledger.ByConsumer)
	}
	switch {
	case o.asJSON && *asCSV, o.asJSON && *asLines, *asCSV && *asLines:
		return usage{errors.New("choose one of --json, --csv and --jsonl")}
	case *asCSV:
		query.Set("format", "csv")
	case *asLines:
		query.Set("format", "jsonl")
	}
	g, err := t.gateway(o)
	if err != nil {
		return err
	}
	defer g.close()
	a := ask{path: "/usage?" + query.Encode()}
	if o.asJSON || *asCSV || *asLines {
		var text []byte
		if _, err := g.do(ctx, a, &text); err != nil {
			return question(err)
		}
		_, err := t.stdout.Write(text)
		return err
	}
	var report struct {
		From, To string
		By       []string
		Currency string
		Rows     []ledger.Row
	}
	if _, err := g.do(ctx, a, &report); err != nil {
		return question(err)
	}
	t.say("%s to %s, UTC", plain(report.From), plain(report.To))
	var rows [][]string
	for _, row := range report.Rows {
		rows = append(rows, usageRow(report.By, row))
	}
	cost := "cost"
	if report.Currency != "" {
		cost += " " + report.Currency
	}
	head := append([]string(nil), report.By...)
	return t.table(append(head, "calls", "errors", "refused", "input", "cached", "output", cost, "latency", "first token"), rows)
}

// question makes a question that was asked wrongly what it is: an error of usage.
func question(err error) error {
	var p *problem
	if errors.As(err, &p) && (p.Code == "bad_request" || p.Code == "too_wide") {
		return usage{errors.New(plain(p.Detail))}
	}
	return err
}

func usageRow(by []string, row ledger.Row) []string {
	names := map[string]string{
		ledger.ByDay: row.Day, ledger.ByConsumer: row.Consumer, ledger.ByAPI: row.API, ledger.ByUpstream: row.Upstream, ledger.ByModel: row.Model,
	}
	var cells []string
	for _, column := range by {
		cells = append(cells, names[column])
	}
	for _, n := range []int64{row.Calls, row.Errors, row.Refused, row.Input, row.CachedInput, row.Output} {
		cells = append(cells, strconv.FormatInt(n, 10))
	}
	return append(cells, ledger.Amount(row.Cost), mean(row.Latency, row.Calls), mean(row.FirstToken, row.FirstTokens))
}

// mean is a sum of milliseconds for one call.
func mean(sum, calls int64) string {
	if calls == 0 {
		return ""
	}
	return (time.Duration(sum/calls) * time.Millisecond).String()
}
