package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"keyless/shared/admin"
	"keyless/shared/auth"
	"keyless/shared/registry"
)

func TestOnlyTheAdminTokenAsks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		authorization string
		off           bool
		status        int
		code          string
	}{
		"without a token":         {"", false, 401, "unauthorized"},
		"with another token":      {"Bearer " + marker, false, 401, "unauthorized"},
		"with a part of it":       {"Bearer " + adminToken[:20], false, 401, "unauthorized"},
		"where there is no API":   {"Bearer " + adminToken, true, 404, "admin_off"},
		"with an empty one there": {"Bearer ", true, 404, "admin_off"},
		"with the token":          {"Bearer " + adminToken, false, 200, "allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if c.off {
				w.Token = ""
			}
			status, body := w.ask(`{"url":"https://gateway.example/open"}`, "Authorization", c.authorization)
			if status != c.status || !strings.Contains(body, `"code":"`+c.code+`"`) {
				t.Errorf("got %d %s", status, body)
			}
		})
	}
}

func TestExplainIsPosted(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "/_/admin/v1/explain", nil)
	r.Header.Set("Authorization", "Bearer "+adminToken)
	answer := httptest.NewRecorder()
	admin.New(newWorld(t).Options).ServeHTTP(answer, r)
	if answer.Code != http.StatusMethodNotAllowed || answer.Header().Get("Allow") != http.MethodPost {
		t.Errorf("got %d, Allow %q", answer.Code, answer.Header().Get("Allow"))
	}
}

func TestAQuestionIsStrict(t *testing.T) {
	t.Parallel()
	const open = `"url":"https://gateway.example/open"`
	for name, c := range map[string]struct {
		question string
		status   int
	}{
		"a url alone":                     {`{` + open + `}`, 200},
		"everything":                      {`{"method":"POST",` + open + `,"headers":{"a":["b"]},"body":"c"}`, 200},
		"64 KiB":                          {`{` + open + `,"body":"` + strings.Repeat("x", 64<<10-50) + `"}`, 200},
		"more than 64 KiB":                {`{` + open + `,"body":"` + strings.Repeat("x", 64<<10) + `"}`, 400},
		"no JSON":                         {`url=` + marker, 400},
		"a list":                          {`[]`, 400},
		"nothing":                         {``, 400},
		"no url":                          {`{}`, 400},
		"a second value":                  {`{` + open + `} {}`, 400},
		"a member that is unknown":        {`{` + open + `,"` + marker + `":1}`, 400},
		"a member in another letter case": {`{"URL":"https://gateway.example/open"}`, 400},
		"a member twice":                  {`{` + open + `,` + open + `}`, 400},
		"a header twice":                  {`{` + open + `,"headers":{"a":["b"],"a":["c"]}}`, 400},
		"a header that is no list":        {`{` + open + `,"headers":{"a":"` + marker + `"}}`, 400},
		"a header with a line end":        {`{` + open + `,"headers":{"a":["` + marker + `\r\nb: c"]}}`, 400},
		"a header without a name":         {`{` + open + `,"headers":{"":["` + marker + `"]}}`, 400},
		"a header with a space":           {`{` + open + `,"headers":{"a b":["` + marker + `"]}}`, 400},
		"two hosts":                       {`{` + open + `,"headers":{"host":["a","b"]}}`, 400},
		"a method that is none":           {`{` + open + `,"method":"` + marker + ` /"}`, 400},
		"a url without a scheme":          {`{"url":"gateway.example/open"}`, 400},
		"a url of another scheme":         {`{"url":"file:///` + marker + `"}`, 400},
		"a url with a user":               {`{"url":"https://a:` + marker + `@gateway.example/open"}`, 400},
		"a url with a line end":           {`{"url":"https://gateway.example/open\n` + marker + `"}`, 400},
		"an id and a url":                 {`{"request_id":"a",` + open + `}`, 400},
		"an id that nobody knows":         {`{"request_id":"` + marker + `"}`, 404},
		"an id that is no name":           {`{"request_id":"a}{b"}`, 404},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			status, body := w.ask(c.question)
			if status != c.status {
				t.Errorf("got %d %s", status, body)
			}
			if strings.Contains(body+w.log.String(), marker) {
				t.Errorf("the question came back: %s", body)
			}
		})
	}
}

func TestAQuestionIsReadAsADoorWould(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		question admin.Question
		code     string
	}{
		"a host header counts":             {admin.Question{URL: "https://10.0.0.1/elsewhere", Headers: map[string][]string{"Host": {"shop.example"}}}, "jwt_missing"},
		"without one the url's does":       {admin.Question{URL: "https://10.0.0.1/elsewhere"}, "api_not_found"},
		"names with _ are dropped":         {get("/keyed", "X_Visitor", elseKey), "api_key_missing"},
		"a fragment is not sent":           {admin.Question{URL: "https://gateway.example/open#" + marker}, "allowed"},
		"a url without a path is the root": {admin.Question{URL: "https://gateway.example?q"}, "api_not_found"},
		"header names have no letter case": {get("/orders", "AUTHORIZATION", "Bearer "+token(nil)), "allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if e := newWorld(t).explain(t, c.question); e.Code != c.code {
				t.Errorf("got %+v", e)
			}
		})
	}
}

func TestALiveRefusalIsExplainedByItsID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	keep := func(id string, d auth.Decision, status int, code, limit string) {
		record := d.Record(now, status, code, "Access Denied")
		record.Limit = limit
		if err := d.Keep(context.Background(), w.trail, id, record); err != nil {
			t.Fatal(err)
		}
	}
	orders, shop := &registry.API{Name: "orders"}, &registry.Consumer{Name: "shop"}
	trace := []auth.Step{{Name: "authorization", Fact: "consumer visitor has none on API orders"}}
	keep("req-denied", auth.Decision{API: orders, Consumer: &registry.Consumer{Name: "visitor"}, Reason: auth.AccessDenied, Trace: trace},
		403, "access_denied", "")
	keep("req-changed", auth.Decision{API: orders, Consumer: shop, Reason: auth.AccessDenied}, 403, "access_denied", "")
	keep("req-limit", auth.Decision{API: orders, Consumer: shop, Allowed: true}, 429, "consumer_limit", "calls_per_hour")
	keep("req-stranger", auth.Decision{API: orders, Reason: auth.JWTInvalid, Sent: true}, 401, "jwt_verification_failed", "")
	for id, remedy := range map[string]string{
		"req-denied":  "add {api: orders} to the authorizations of consumer visitor",
		"req-changed": "by now",
		"req-limit":   "calls_per_hour",
	} {
		e := w.explain(t, admin.Question{RequestID: id})
		if e.RequestID != id || e.At == nil || !e.At.Equal(now) || e.Outcome != admin.OutcomeRefused || !strings.Contains(e.Remedy, remedy) {
			t.Errorf("%s: got %+v", id, e)
		}
	}
	if status, body := w.ask(`{"request_id":"req-stranger"}`); status != 404 || !strings.Contains(body, "send the request itself to explain") {
		t.Errorf("a stranger's refusal: got %d %s", status, body)
	}
	w.Trail = nil
	if status, _ := w.ask(`{"request_id":"req-denied"}`); status != 404 {
		t.Errorf("without a trail: got %d", status)
	}
}

// away is a store that does not answer, or has nothing.
type away struct {
	registry.Store
	err error
}

func (a away) Fields(context.Context) (map[string]string, error) { return map[string]string{}, a.err }

func TestAStoreThatCannotAnswerIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Store = away{w.Store, errors.New("dial " + marker)}
	if status, body := w.ask(`{"url":"https://gateway.example/open"}`); status != 503 || strings.Contains(body, marker) {
		t.Errorf("got %d %s", status, body)
	}
	empty := newWorld(t)
	empty.Store = away{empty.Store, nil}
	if e := empty.explain(t, get("/open")); e.Outcome != admin.OutcomeFailed || e.Code != "registry_empty" {
		t.Errorf("got %+v", e)
	}
}

func FuzzQuestion(f *testing.F) {
	for _, seed := range []string{
		`{"url":"https://gateway.example/orders","headers":{"authorization":["Bearer a.b.c"]}}`, `{"request_id":"a"}`,
		`{"url":"http://h/%2f?a=b&c","headers":{"cookie":["a=b"],"X-Ca-Key":["k"],"X-Ca-Signature":["AA=="]},"body":"{}","method":"PUT"}`,
	} {
		f.Add(seed)
	}
	w := newWorld(f)
	f.Fuzz(func(t *testing.T, text string) {
		if status, body := w.ask(text); status == 200 && !json.Valid([]byte(body)) || status >= 500 {
			var e admin.Explanation
			if json.Unmarshal([]byte(body), &e) != nil || e.Outcome != admin.OutcomeFailed {
				t.Errorf("got %d %s", status, body)
			}
		}
	})
}

func TestARecordHoldsNothingOfTheCaller(t *testing.T) {
	t.Parallel()
	d := auth.Decision{API: &registry.API{Name: "orders"}, Subject: marker, ClientID: marker, StringToSign: marker,
		Headers: []auth.Header{{Name: "x", Value: marker}}}
	trail := records{}
	if err := d.Keep(context.Background(), trail, "a", d.Record(now.In(time.FixedZone("", 3600)), 429, "api_limit", "")); err != nil {
		t.Fatal(err)
	}
	if text := string(trail["a"]); text == "" || strings.Contains(text, marker) {
		t.Errorf("kept %q", text)
	}
}
