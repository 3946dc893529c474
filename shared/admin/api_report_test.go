package admin_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"keyless/shared/admin"
	"keyless/shared/ledger"
	"keyless/shared/registry"
)

func TestTheDocumentIsTheTable(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	got := a.must(200, a.call("GET", "/openapi.json", ""))
	var document struct {
		OpenAPI    string                                `json:"openapi"`
		Paths      map[string]map[string]json.RawMessage `json:"paths"`
		Components struct {
			Schemas map[string]json.RawMessage `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal([]byte(got.text), &document); err != nil || document.OpenAPI != "3.1.0" {
		t.Fatal(err, document.OpenAPI)
	}
	operations, routes := 0, map[string]admin.Route{}
	for _, r := range admin.Routes() {
		routes[r.Method+" "+r.Pattern] = r
	}
	ids := map[string]bool{}
	for pattern, methods := range document.Paths {
		for method, text := range methods {
			operations++
			r, served := routes[strings.ToUpper(method)+" "+pattern]
			var operation struct {
				ID         string                     `json:"operationId"`
				Summary    string                     `json:"summary"`
				Right      string                     `json:"x-right"`
				Responses  map[string]json.RawMessage `json:"responses"`
				Parameters []struct {
					In       string `json:"in"`
					Name     string `json:"name"`
					Required bool   `json:"required"`
				} `json:"parameters"`
			}
			if err := json.Unmarshal(text, &operation); err != nil {
				t.Fatal(err)
			}
			if !served || ids[operation.ID] || operation.Summary == "" || operation.Right != r.Right ||
				operation.Responses[fmt.Sprint(r.Status)] == nil || operation.Responses["default"] == nil {
				t.Errorf("%s %s: %s", method, pattern, text)
			}
			ids[operation.ID] = true
			variables := 0
			for _, p := range operation.Parameters {
				if p.In == "path" {
					variables++
				}
			}
			if variables != strings.Count(pattern, "{") {
				t.Errorf("%s %s: %d path parameters", method, pattern, variables)
			}
			// What is documented answers: whatever it says, it is neither "no such path" nor "no such method".
			answered := a.call(strings.ToUpper(method), filled(pattern, "acme"), "{")
			if answered.status == http.StatusMethodNotAllowed || strings.Contains(answered.text, "no such path") || answered.status >= 500 {
				t.Errorf("%s %s: got %d %s", method, pattern, answered.status, answered.text)
			}
		}
	}
	if operations != len(routes) {
		t.Errorf("%d operations, %d routes", operations, len(routes))
	}
	for part := range strings.SplitSeq(got.text, `"$ref":"#/components/schemas/`) {
		name, _, _ := strings.Cut(part, `"`)
		if document.Components.Schemas[name] == nil && !strings.HasPrefix(part, "{") {
			t.Errorf("nothing is called %s", name)
		}
	}
}

func TestNoOperationFailsOnAnEmptyBody(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	for _, r := range admin.Routes() {
		for _, body := range []string{"", "{}", "[]", "null", `{"version":"x"}`} {
			if got := a.call(r.Method, filled(r.Pattern, "other"), body, "If-Match", "*"); got.status >= 500 {
				t.Errorf("%s %s %q: got %d %s", r.Method, r.Pattern, body, got.status, got.text)
			}
		}
	}
}

func TestEveryMethodThatAPathLacksIsTold(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	has := map[string]string{}
	for _, r := range admin.Routes() {
		has[r.Pattern] += " " + r.Method
	}
	for pattern, methods := range has {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} {
			if strings.Contains(methods, method) {
				continue
			}
			got := a.refused(405, "method_not_allowed", a.call(method, filled(pattern, "acme"), "{}"))
			for one := range strings.FieldsSeq(methods) {
				if !strings.Contains(got.header.Get("Allow"), one) {
					t.Errorf("%s: Allow %s", pattern, got.header.Get("Allow"))
				}
			}
		}
	}
}

func TestWhoDidWhatIsRecorded(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	token := a.token("acme", "root", "gateway.write", map[string]any{"sub": "ann"})
	a.must(201, a.call("POST", "/groups", `{"name":"by-token"}`, append(bearing(token), "X-Request-Id", "req-7")...))
	a.must(200, a.call("POST", "/apply", `{"version":1,"groups":[{"name":"by-apply"}]}`))
	var list []registry.AuditEntry
	for after := ""; ; {
		page := a.must(200, a.call("GET", "/audit?limit=5&after="+after, ""))
		var got struct {
			Items []registry.AuditEntry `json:"items"`
			Next  string                `json:"next"`
		}
		if err := json.Unmarshal([]byte(page.text), &got); err != nil {
			t.Fatal(err)
		}
		list = append(list, got.Items...)
		if after = got.Next; after == "" {
			break
		}
	}
	who := map[string]string{}
	for _, e := range list {
		who[e.Kind+" "+e.Name] = e.Who + " " + e.RequestID
	}
	if who["group by-token"] != "client acme/root for ann req-7" || who["group by-apply"] != "bootstrap req-1" {
		t.Errorf("got %v", who)
	}
	table, err := csv.NewReader(strings.NewReader(a.must(200, a.call("GET", "/audit?format=csv", "")).text)).ReadAll()
	if err != nil || len(table) != len(list)+1 || table[0][0] != "seq" {
		t.Errorf("CSV of %d lines for %d entries: %v", len(table), len(list), err)
	}
	lines := strings.Split(strings.TrimSpace(a.must(200, a.call("GET", "/audit?format=jsonl&after=3", "")).text), "\n")
	if len(lines) != len(list)-3 {
		t.Errorf("%d lines for %d entries behind the third", len(lines), len(list))
	}
	for _, query := range []string{"?after=x", "?after=-1", "?limit=0", "?limit=501", "?format=xml"} {
		a.refused(400, "bad_request", a.call("GET", "/audit"+query, ""))
	}
}

func TestAnAlteredTrailIsFound(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	if got := a.must(200, a.call("GET", "/audit/verify", "")); got.body["broken"] != nil || got.body["entries"] == 0.0 {
		t.Errorf("got %s", got.text)
	}
	key := registry.Space("kg").Audit()
	text, err := a.server.List(key)
	if err != nil {
		t.Fatal(err)
	}
	a.server.Del(key)
	for i, one := range text {
		if i == 2 {
			one = strings.Replace(one, `"bootstrap"`, `"somebody"`, 1)
		}
		if _, err := a.server.Push(key, one); err != nil {
			t.Fatal(err)
		}
	}
	if got := a.must(200, a.call("GET", "/audit/verify", "")); got.body["broken"] != 3.0 || got.str("why") == "" {
		t.Errorf("got %s", got.text)
	}
}

// usedLedger is a ledger that has one row.
type usedLedger struct {
	asked ledger.Question
	err   error
}

func (u *usedLedger) Report(_ context.Context, q ledger.Question) ([]ledger.Row, error) {
	u.asked = q
	return []ledger.Row{{Day: "2026-11-25", Model: "=1", Counts: ledger.Counts{Calls: 3, Cost: 1500000}}}, u.err
}

func (u *usedLedger) Entries(_ context.Context, of ledger.Whose, day, _ string, _ int) ([]ledger.Entry, string, error) {
	return []ledger.Entry{{RequestID: "r1", At: now, API: "models", Consumer: of.Consumer, End: ledger.EndComplete}}, "1-0", u.err
}

func TestUsageInEveryForm(t *testing.T) {
	t.Parallel()
	a, used := newAcme(t), &usedLedger{}
	a.Ledger = used
	a.handler = admin.New(a.Options)
	got := a.must(200, a.call("GET", "/usage?by=day,model&consumer=kay", ""))
	if got.str("from") != "2026-10-27" || got.str("to") != "2026-11-25" || got.str("currency") != "USD" || len(got.body["rows"].([]any)) != 1 ||
		used.asked.Consumer != "kay" || strings.Join(used.asked.By, ",") != "day,model" {
		t.Errorf("got %s, asked %+v", got.text, used.asked)
	}
	table := a.must(200, a.call("GET", "/usage?by=day,model&format=csv", ""))
	if !strings.HasPrefix(table.text, "day,model,calls,") || !strings.Contains(table.text, "2026-11-25,'=1,3,") ||
		!strings.HasPrefix(table.header.Get("Content-Type"), "text/csv") {
		t.Errorf("got %v %s", table.header, table.text)
	}
	if lines := a.must(200, a.call("GET", "/usage?format=jsonl", "")); !strings.Contains(lines.text, `"calls":3`) {
		t.Errorf("got %s", lines.text)
	}
	calls := a.must(200, a.call("GET", "/ledger?consumer=kay", ""))
	if calls.str("next") != "1-0" || !strings.Contains(calls.text, `"request_id":"r1"`) {
		t.Errorf("got %s", calls.text)
	}
	a.must(200, a.call("GET", "/ledger?consumer=kay&format=csv", ""))
	for _, path := range []string{"/ledger", "/ledger?consumer=a&api=b", "/ledger?api=b&limit=x", "/usage?format=xml", "/ledger?api=b&format=xml"} {
		a.refused(400, "bad_request", a.call("GET", path, ""))
	}
	used.err = ledger.ErrWide
	a.refused(400, "too_wide", a.call("GET", "/usage", ""))
	a.Ledger = nil
	a.handler = admin.New(a.Options)
	a.refused(404, "not_found", a.call("GET", "/usage", ""))
	a.refused(404, "not_found", a.call("GET", "/ledger?api=b", ""))
}

func TestTheRealLedgerRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	a.must(200, a.call("GET", "/usage?by=consumer", ""))
	for _, query := range []string{"?from=yesterday", "?from=2026-11-25&to=2026-11-24", "?by=colour", "?by=day,day", "?to=2026-13-01"} {
		a.refused(400, "bad_request", a.call("GET", "/usage"+query, ""))
	}
	a.refused(400, "bad_request", a.call("GET", "/ledger?api=x&after=nonsense", ""))
	a.refused(400, "bad_request", a.call("GET", "/ledger?api=x&limit=1001", ""))
}

func TestTheInventoryTellsWhoMayCallWhat(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	a.must(201, a.call("POST", "/instances/acme/clients/worker/secrets", `{"id":"soon","expires_at":"2026-11-30T00:00:00Z"}`))
	a.must(200, a.call("PATCH", "/consumers/kay/api_keys/k1", `{"expires_at":"2027-11-30T00:00:00Z"}`))
	got := a.must(200, a.call("GET", "/inventory", ""))
	for _, want := range []string{`"clients":4`, `"consumers":3`, `"consumers":["jay","kay"],"authorized":2`,
		`{"object":"client acme/worker","what":"secret soon","expires_at":"2026-11-30T00:00:00Z"}`} {
		if !strings.Contains(got.text, want) {
			t.Errorf("no %s in %s", want, got.text)
		}
	}
	if strings.Contains(got.text, "2027") {
		t.Errorf("what is not soon: %s", got.text)
	}
	half := a.must(200, a.call("GET", "/inventory", "", bearing(a.token("acme", "root", "gateway.read", nil))...))
	if strings.Contains(half.text, "clients") || strings.Contains(half.text, "worker") {
		t.Errorf("the other half is told: %s", half.text)
	}
}

// facts are a server that tells what it is told to.
type facts struct {
	admin.ServerFacts
	err error
}

func (f facts) Probe(context.Context) (admin.ServerFacts, error) { return f.ServerFacts, f.err }

func TestHealth(t *testing.T) {
	t.Parallel()
	good := admin.ServerFacts{Version: "7.4", Eviction: "noeviction", Persistence: "aof"}
	for name, c := range map[string]struct {
		probe        admin.Probe
		change       func(*api)
		status, code string
	}{
		"all is well":                  {facts{good, nil}, nil, "ok", ""},
		"nobody looks at the server":   {nil, nil, "ok", ""},
		"a server that evicts":         {facts{admin.ServerFacts{Eviction: "allkeys-lru"}, nil}, nil, "warning", "eviction"},
		"a server that forgets":        {facts{admin.ServerFacts{Persistence: "none"}, nil}, nil, "warning", "persistence"},
		"a server that does not tell":  {facts{admin.ServerFacts{}, nil}, nil, "ok", ""},
		"a server that fails to":       {facts{good, errors.New(marker)}, nil, "warning", "store_silent"},
		"another master key":           {nil, func(a *api) { a.Keys = newAPI(a.TB).Keys }, "warning", "secrets_closed"},
		"a store that does not answer": {nil, func(a *api) { a.server.Close() }, "failed", "store_unreachable"},
		"an empty registry":            {nil, func(a *api) { a.server.FlushAll() }, "warning", "registry_empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAcme(t)
			a.Probe = c.probe
			if c.change != nil {
				c.change(a)
			}
			a.handler = admin.New(a.Options)
			got := a.must(200, a.call("GET", "/health", ""))
			if got.str("status") != c.status || c.code != "" && !strings.Contains(got.text, `"code":"`+c.code+`"`) || strings.Contains(got.text, marker) {
				t.Errorf("got %s", got.text)
			}
		})
	}
}

func TestTheProbeOfAServer(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	if _, err := a.Probe.Probe(t.Context()); err != nil { // miniredis tells little
		t.Error(err)
	}
	a.server.Close()
	if _, err := a.Probe.Probe(t.Context()); err == nil {
		t.Error("a server that is gone is well")
	}
}

func TestAStoreThatIsAway(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	root := bearing(a.token("acme", "root", "admin.write", nil))
	a.server.Close()
	for _, r := range admin.Routes() {
		if r.Right == "" {
			continue
		}
		path := filled(r.Pattern, "acme")
		if got := a.call(r.Method, path, "{}", "If-Match", "*"); got.status < 400 || strings.Contains(got.text, "dial") {
			t.Errorf("%s %s: got %d %s", r.Method, path, got.status, got.text)
		}
		a.refused(503, "store_unavailable", a.call(r.Method, path, "{}", root...))
	}
}
