package admin

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"keyless/shared/ledger"
)

// The forms of a report.
const (
	formJSON  = "json"
	formCSV   = "csv"
	formLines = "jsonl"
)

// form reads the parameter format.
func (c *call) form() (string, error) {
	switch form := c.query.Get("format"); form {
	case "", formJSON:
		return formJSON, nil
	case formCSV, formLines:
		return form, nil
	}
	return "", badRequest("format is json, csv or jsonl")
}

// inForm are the answers of a report in another form than JSON.
func inForm(form string, asCSV, asLines func(http.ResponseWriter) error) reply {
	if form == formCSV {
		return reply{kind: "text/csv; charset=utf-8; header=present", stream: asCSV}
	}
	return reply{kind: "application/jsonl; charset=utf-8", stream: asLines}
}

const dayForm = "2006-01-02"

// usualDays is what a report covers unless it is asked otherwise.
const usualDays = 30

type usageReport struct {
	From     string       `json:"from"` // days, UTC, both included
	To       string       `json:"to"`
	By       []string     `json:"by"`
	Currency string       `json:"currency,omitempty"` // of cost, in its millionths
	Rows     []ledger.Row `json:"rows"`
}

// usage answers what was used, by what was asked.
func usage(a *Admin, c *call) (reply, error) {
	if a.o.Ledger == nil {
		return reply{}, refuse(http.StatusNotFound, "not_found", "Usage is not kept here")
	}
	form, err := c.form()
	if err != nil {
		return reply{}, err
	}
	q := a.question(c.query)
	rows, err := a.o.Ledger.Report(c.ctx(), q)
	if err != nil {
		return reply{}, err
	}
	if form != formJSON {
		return inForm(form,
			func(w http.ResponseWriter) error { return ledger.WriteRows(w, q.By, rows) },
			func(w http.ResponseWriter) error { return ledger.WriteJSONLines(w, rows) }), nil
	}
	fields, err := a.o.Store.Fields(c.ctx())
	if err != nil {
		return reply{}, err
	}
	if rows == nil {
		rows = []ledger.Row{}
	}
	return reply{body: usageReport{q.From, q.To, q.By, fields["currency"], rows}}, nil
}

// question reads the parameters of a report; what is wrong with them the ledger says.
func (a *Admin) question(query url.Values) ledger.Question {
	q := ledger.Question{
		From: query.Get("from"), To: query.Get("to"), By: []string{},
		Consumer: query.Get("consumer"), API: query.Get("api"), Upstream: query.Get("upstream"), Model: query.Get("model"),
	}
	if by := query.Get("by"); by != "" {
		q.By = strings.Split(by, ",")
	}
	if q.To == "" {
		q.To = a.o.Now().UTC().Format(dayForm)
	}
	if to, err := time.Parse(dayForm, q.To); q.From == "" && err == nil {
		q.From = to.AddDate(0, 0, 1-usualDays).Format(dayForm)
	}
	return q
}

type entryPage struct {
	Items []ledger.Entry `json:"items"`
	Next  string         `json:"next"`
}

// entries answers single calls of a day.
func entries(a *Admin, c *call) (reply, error) {
	if a.o.Ledger == nil {
		return reply{}, refuse(http.StatusNotFound, "not_found", "Calls are not kept here")
	}
	form, err := c.form()
	if err != nil {
		return reply{}, err
	}
	query := c.query
	whose := ledger.Whose{Consumer: query.Get("consumer"), API: query.Get("api")}
	if (whose.Consumer == "") == (whose.API == "") {
		return reply{}, badRequest("Calls are asked for by consumer, or by api for those without one")
	}
	day, limit := query.Get("day"), 0
	if day == "" {
		day = a.o.Now().UTC().Format(dayForm)
	}
	if text := query.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 {
			return reply{}, badRequest("limit is a number from 1 to 1000")
		}
	}
	list, next, err := a.o.Ledger.Entries(c.ctx(), whose, day, query.Get("after"), limit)
	switch {
	case err != nil:
		return reply{}, err
	case form != formJSON:
		c.w.Header().Set("X-Next", next)
		return inForm(form,
			func(w http.ResponseWriter) error { return ledger.WriteEntries(w, list) },
			func(w http.ResponseWriter) error { return ledger.WriteJSONLines(w, list) }), nil
	case list == nil:
		list = []ledger.Entry{}
	}
	return reply{body: entryPage{list, next}}, nil
}
