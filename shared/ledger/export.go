package ledger

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// WriteRows writes a report as CSV (RFC 4180) with one line of names: the columns that were asked by, in that
// order, then the counts. Costs are decimal amounts of the currency, exactly.
func WriteRows(w io.Writer, by []string, rows []Row) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	_ = out.Write(append(slices.Clone(by), // an error shows at Flush
		calls, failures, refusals, input, cachedInput, output, reasoning, images, cost, latency, firstToken, firstTokens))
	for _, r := range rows {
		n := names{r.Day, r.Consumer, r.API, r.Upstream, r.Model}
		var line []string
		for _, column := range by {
			line = append(line, cell(*n.of(column)))
		}
		for _, count := range []int64{r.Calls, r.Errors, r.Refused, r.Input, r.CachedInput, r.Output, r.Reasoning, r.Images} {
			line = append(line, strconv.FormatInt(count, 10))
		}
		line = append(line, Amount(r.Cost))
		for _, count := range []int64{r.Latency, r.FirstToken, r.FirstTokens} {
			line = append(line, strconv.FormatInt(count, 10))
		}
		_ = out.Write(line)
	}
	return flushed(out)
}

// WriteEntries writes entries as CSV with one line of names, those of their JSON form.
func WriteEntries(w io.Writer, entries []Entry) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	_ = out.Write([]string{ // an error shows at Flush
		"request_id", "at", "domain", "api", "consumer", "client", "subject", "upstream", "model", "upstream_model",
		input, cachedInput, output, reasoning, images, "estimated", cost, "status", "end", "attempts", latency,
		firstToken, "cached",
	})
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	for _, e := range entries {
		_ = out.Write([]string{
			cell(e.RequestID), e.At.UTC().Format(time.RFC3339Nano), cell(e.Domain), cell(e.API), cell(e.Consumer),
			cell(e.Client), cell(e.Subject), cell(e.Upstream), cell(e.Model), cell(e.UpstreamModel),
			number(e.Usage.Input), number(e.Usage.CachedInput), number(e.Usage.Output), number(e.Usage.Reasoning),
			number(e.Usage.Images), strconv.FormatBool(e.Estimated), Amount(e.Cost), strconv.Itoa(e.Status),
			cell(e.End), strconv.Itoa(e.Attempts), number(e.Latency), number(e.FirstToken),
			strconv.FormatBool(e.Cached),
		})
	}
	return flushed(out)
}

func flushed(out *csv.Writer) error {
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	return nil
}

// WriteJSONLines writes rows or entries, one JSON object a line (https://jsonlines.org).
func WriteJSONLines[T Row | Entry](w io.Writer, list []T) error {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	for _, one := range list {
		if err := out.Encode(one); err != nil {
			return fmt.Errorf("write JSON Lines: %w", err)
		}
	}
	return nil
}

// cell guards a text against spreadsheets, which run what begins as a formula: callers choose the names of
// models, issuers those of subjects (OWASP, CSV injection). An apostrophe before it makes it a text.
func cell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r\n", rune(text[0])) {
		return "'" + text
	}
	return text
}

// Amount writes millionths of a currency as a decimal number, exactly: 1234500 is "1.2345".
func Amount(micros int64) string {
	digits := strconv.FormatInt(micros, 10)
	sign := ""
	if micros < 0 {
		sign, digits = "-", digits[1:]
	}
	digits = strings.Repeat("0", max(0, 7-len(digits))) + digits
	whole, fraction := digits[:len(digits)-6], strings.TrimRight(digits[len(digits)-6:], "0")
	if fraction == "" {
		return sign + whole
	}
	return sign + whole + "." + fraction
}
