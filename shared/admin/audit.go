package admin

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"keyless/shared/registry"
)

type auditPage struct {
	Items []registry.AuditEntry `json:"items"`
	Next  string                `json:"next"`
}

// usualAudit is the length of a page unless it is asked otherwise.
const usualAudit = 100

// audit answers a page of the audit trail, oldest first; as CSV or JSON Lines all of it behind after, unless limit bounds it.
func audit(a *Admin, c *call) (reply, error) {
	form, err := c.form()
	if err != nil {
		return reply{}, err
	}
	after, limit, err := c.auditRange()
	if err != nil {
		return reply{}, err
	}
	if form != formJSON {
		walk := func(each func(registry.AuditEntry) error) func(http.ResponseWriter) error {
			return func(http.ResponseWriter) error { return a.walkAudit(c.ctx(), after, limit, each) }
		}
		lines, table := json.NewEncoder(c.w), csv.NewWriter(c.w)
		return inForm(form, func(w http.ResponseWriter) error {
			_ = table.Write(auditColumns) // an error shows at Flush
			err := walk(func(e registry.AuditEntry) error { return table.Write(auditLine(e)) })(w)
			table.Flush()
			return err
		}, walk(func(e registry.AuditEntry) error { return lines.Encode(e) })), nil
	}
	if limit == 0 {
		limit = usualAudit
	}
	list, err := a.editor.Audit(c.ctx(), after, limit)
	if err != nil {
		return reply{}, err
	}
	answer := auditPage{Items: list}
	if list == nil {
		answer.Items = []registry.AuditEntry{}
	}
	if len(list) == limit {
		answer.Next = strconv.FormatInt(list[len(list)-1].Seq, 10)
	}
	return reply{body: answer}, nil
}

// auditRange reads after, the number of the entry to begin behind, and limit; 0: none was given.
func (c *call) auditRange() (int64, int, error) {
	query := c.query
	after, limit := int64(0), 0
	if text := query.Get("after"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return 0, 0, badRequest("after is the number of an entry")
		}
		after = n
	}
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > registry.MaxAuditPage {
			return 0, 0, badRequest("limit is a number from 1 to " + strconv.Itoa(registry.MaxAuditPage))
		}
		limit = n
	}
	return after, limit, nil
}

// walkAudit visits entries, all where limit is 0. A failure before the first is answered as such; after it the answer is cut, and looks
// so.
func (a *Admin) walkAudit(ctx context.Context, after int64, limit int, each func(registry.AuditEntry) error) error {
	for seen := 0; limit == 0 || seen < limit; {
		most := registry.MaxAuditPage
		if limit > 0 {
			most = limit - seen
		}
		list, err := a.editor.Audit(ctx, after, most)
		if err != nil && seen > 0 {
			a.o.Log.ErrorContext(ctx, "admin", "error", err.Error())
			panic(http.ErrAbortHandler)
		}
		if err != nil {
			return err
		}
		for _, entry := range list {
			if each(entry) != nil {
				panic(http.ErrAbortHandler) // the caller is gone
			}
			after, seen = entry.Seq, seen+1
		}
		if len(list) < most {
			return nil
		}
	}
	return nil
}

var auditColumns = []string{
	"seq", "at", "who", "request_id", "action", "kind", "name", "note", "before", "after", "previous", "hash",
}

func auditLine(e registry.AuditEntry) []string {
	return []string{
		strconv.FormatInt(e.Seq, 10), e.At.UTC().Format(time.RFC3339Nano), cell(e.Who), cell(e.RequestID), cell(e.Action), cell(e.Kind),
		cell(e.Name), cell(e.Note), string(e.Before), string(e.After), e.Previous, e.Hash,
	}
}

// cell guards a text against spreadsheets, which run what begins as a formula (OWASP, CSV injection). An apostrophe before it makes it a
// text.
func cell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r\n", rune(text[0])) {
		return "'" + text
	}
	return text
}

// verifyAudit checks every link of the trail.
func verifyAudit(a *Admin, c *call) (reply, error) {
	verdict, err := a.editor.VerifyAudit(c.ctx(), nil)
	return reply{body: verdict}, err
}

func whoami(_ *Admin, c *call) (reply, error) { return reply{body: c.caller}, nil }
