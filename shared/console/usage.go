package console

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"
)

// usagePageData is what was used, drawn and in numbers.
type usagePageData struct {
	From, To string
	By       string // consumer, api, model or upstream; "": all in one
	Filter   map[string]string
	Charts   []chart
	Rows     []usageRow
	Total    usageRow
	Currency string
	CSV      string
	Names    map[string][]string
	Bys      []choice
}

// usageRow is one sum of the ledger.
type usageRow struct {
	Day      string `json:"day"`
	Consumer string `json:"consumer"`
	API      string `json:"api"`
	Upstream string `json:"upstream"`
	Model    string `json:"model"`

	Calls       int64 `json:"calls"`
	Errors      int64 `json:"errors"`
	Refused     int64 `json:"refused"`
	Input       int64 `json:"input"`
	Output      int64 `json:"output"`
	CachedInput int64 `json:"cached_input"`
	Cost        int64 `json:"cost"`
	Latency     int64 `json:"latency_ms"`
	FirstToken  int64 `json:"first_token_ms"`
	FirstTokens int64 `json:"first_tokens"`

	Name  string `json:"-"`
	Share int64  `json:"-"` // of all calls, in hundredths
}

// Tokens are what limits count.
func (r usageRow) Tokens() int64 { return r.Input + r.Output }

// Mean is the mean latency in milliseconds.
func (r usageRow) Mean() int64 { return mean(r.Latency, r.Calls) }

// MeanFirst is the mean time to the first token in milliseconds.
func (r usageRow) MeanFirst() int64 { return mean(r.FirstToken, r.FirstTokens) }

func mean(sum, n int64) int64 {
	if n == 0 {
		return 0
	}
	return sum / n
}

// add sums up.
func (r *usageRow) add(o usageRow) {
	for _, at := range []struct{ sum, n *int64 }{
		{&r.Calls, &o.Calls}, {&r.Errors, &o.Errors}, {&r.Refused, &o.Refused},
		{&r.Input, &o.Input}, {&r.Output, &o.Output}, {&r.CachedInput, &o.CachedInput},
		{&r.Cost, &o.Cost}, {&r.Latency, &o.Latency}, {&r.FirstToken, &o.FirstToken}, {&r.FirstTokens, &o.FirstTokens},
	} {
		*at.sum += *at.n
	}
}

// name is what the row is told apart by.
func (r usageRow) name(by string) string {
	switch by {
	case "consumer":
		return r.Consumer
	case "api":
		return r.API
	case "model":
		return r.Model
	case "upstream":
		return r.Upstream
	}
	return ""
}

const dayForm = "2006-01-02"

// usualDays are shown unless it is asked otherwise.
const usualDays = 30

// usageBy are what usage is told apart by.
var usageBy = []string{"", "consumer", "api", "model", "upstream"}

func usagePage(v *visit, _ []string) (answer, error) {
	query := v.r.URL.Query()
	shown := usagePageData{From: query.Get("from"), To: query.Get("to"), By: query.Get("by"), Filter: map[string]string{}}
	if !slices.Contains(usageBy, shown.By) {
		shown.By = ""
	}
	if shown.To == "" {
		shown.To = v.c.o.Now().UTC().Format(dayForm)
	}
	if to, err := time.Parse(dayForm, shown.To); shown.From == "" && err == nil {
		shown.From = to.AddDate(0, 0, 1-usualDays).Format(dayForm)
	}
	for _, by := range usageBy {
		word := map[string]string{"": "All together", "consumer": "Consumer", "api": "API", "model": "Model", "upstream": "Upstream"}[by]
		shown.Bys = append(shown.Bys, choice{by, word, by == shown.By})
	}
	for _, name := range []string{"consumer", "api", "model"} {
		shown.Filter[name] = query.Get(name)
	}
	return v.usage(shown)
}

// question is that of the admin API.
func (u *usagePageData) question(by string) url.Values {
	ask, _ := url.ParseQuery(values("from", u.From, "to", u.To, "by", by, "consumer", u.Filter["consumer"], "api", u.Filter["api"],
		"model", u.Filter["model"])) // of our own writing
	return ask
}

func (v *visit) usage(shown usagePageData) (answer, error) {
	by := strings.TrimSuffix("day,"+shown.By, ",")
	var report struct {
		Currency string     `json:"currency"`
		Rows     []usageRow `json:"rows"`
	}
	got, err := v.api("GET", "/usage?"+shown.question(by).Encode(), nil)
	if err != nil {
		return answer{}, err
	}
	if err := json.Unmarshal(got.body.Bytes(), &report); err != nil {
		return answer{}, err
	}
	shown.Currency = report.Currency
	shown.CSV = Prefix + "/usage.csv?" + shown.question(by).Encode()
	shown.sum(report.Rows)
	shown.Charts = charts(shown, report.Rows)
	return answer{page: "usage", title: "Usage", data: shown}, nil
}

// sum makes the table: one row for each name, the largest first.
func (u *usagePageData) sum(rows []usageRow) {
	at := map[string]int{}
	for _, r := range rows {
		u.Total.add(r)
		name := r.name(u.By)
		n, there := at[name]
		if !there {
			n, at[name] = len(u.Rows), len(u.Rows)
			u.Rows = append(u.Rows, usageRow{Name: name})
		}
		u.Rows[n].add(r)
	}
	slices.SortStableFunc(u.Rows, func(a, b usageRow) int { return int(b.Calls - a.Calls) })
	for i := range u.Rows {
		u.Rows[i].Share = mean(100*u.Rows[i].Calls, u.Total.Calls)
	}
}

// usageCSV hands the report of the admin API on.
func usageCSV(v *visit, _ []string) (answer, error) {
	query := v.r.URL.Query()
	query.Set("format", "csv")
	return v.download("/usage?"+query.Encode(), "usage.csv")
}
