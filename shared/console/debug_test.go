package console_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// call is the debugger's form.
func call(csrf, path string, headers ...string) url.Values {
	form := url.Values{"csrf": {csrf}, "method": {"POST"}, "path": {path}, "body": {"{\r\n}"}, "query.name": {"a b"}, "query.value": {"c&d"}}
	for i := 0; i+1 < len(headers); i += 2 {
		form.Add("header.name", headers[i])
		form.Add("header.value", headers[i+1])
	}
	return form
}

// upstream answers every call of the debugger with a stream, and remembers it.
func (w *world) upstream() *http.Request {
	var last http.Request
	w.gateway = func(r *http.Request) (*http.Response, error) {
		last = *r
		text, _ := io.ReadAll(r.Body)
		last.PostForm = url.Values{"body": {string(text)}}
		return &http.Response{StatusCode: 200, Header: http.Header{"X-Echo": {"<b>"}}, Body: io.NopCloser(io.MultiReader(
			strings.NewReader("data: é"[:7]), strings.NewReader("data: é"[7:]+"\n\n"), strings.NewReader("data: <script>\n\n")))}, nil
	}
	return &last
}

func TestDebuggerStreamsTheAnswerAndTheDecision(t *testing.T) {
	t.Parallel()
	w := signedIn(t)
	w.furnish("Plain")
	last := w.upstream()
	got := w.send(w.request("/debug/stream", call(w.get("/debug?api=models").csrf(), "/v1/chat/completions", "X-Mine", "1")))
	var text, decision string
	status, done := 0, false
	for line := range strings.Lines(got.body) {
		var told struct {
			Status    int
			Text      string
			Done      bool
			Explained *struct {
				Outcome string
				Steps   []any
			}
		}
		if err := json.Unmarshal([]byte(line), &told); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		text += told.Text
		status, done = max(status, told.Status), done || told.Done
		if told.Explained != nil {
			decision = told.Explained.Outcome
		}
	}
	if text != "data: é\n\ndata: <script>\n\n" || status != 200 || !done || decision != "refused" {
		t.Errorf("told %q, status %d, done %v, decision %q:\n%s", text, status, done, decision, got.body)
	}
	if last.URL.String() != w.server.URL+"/v1/chat/completions?a+b=c%26d" || last.Header.Get("X-Mine") != "1" || last.Header.Get("Cookie") != "" ||
		last.PostForm.Get("body") != "{\n}" {
		t.Errorf("called %s with %v and %q", last.URL, last.Header, last.PostForm.Get("body"))
	}
}

func TestDebuggerWithoutAScript(t *testing.T) {
	t.Parallel()
	w := signedIn(t)
	w.furnish("Plain")
	w.upstream()
	got := w.send(w.request("/debug", call(w.get("/debug").csrf(), "/v1/x")))
	w.check("/debug", got)
	for _, words := range []string{"data: &lt;script&gt;", "200 OK", "refused", "X-Echo"} {
		if !strings.Contains(got.body, words) {
			t.Errorf("lacks %q", words)
		}
	}
	more := call(w.get("/debug").csrf(), "/v1/x", "X-Mine", "1")
	more.Set("add", "header")
	if got := w.send(w.request("/debug", more)); strings.Count(got.body, `name="header.name"`) != 3 || strings.Contains(got.body, "200 OK") {
		t.Errorf("another row: %d", strings.Count(got.body, `name="header.name"`))
	}
}

func TestDebuggerFlagsBeforeSending(t *testing.T) {
	t.Parallel()
	w := signedIn(t)
	w.furnish("Plain")
	sent := 0
	w.gateway = func(*http.Request) (*http.Response, error) {
		sent++
		return nil, io.ErrUnexpectedEOF
	}
	csrf := w.get("/debug").csrf()
	for says, c := range map[string]struct {
		form  url.Values
		words string
		sent  int
	}{
		"a second space":      {call(csrf, "/v1/x", "Authorization", "Bearer  abc"), "second space", 0},
		"a tab":               {call(csrf, "/v1/x", "authorization", "Bearer \tabc"), "second space", 0},
		"no space":            {call(csrf, "/v1/x", "Authorization", "Bearerabc"), "no space", 0},
		"one behind":          {call(csrf, "/v1/x", "Authorization", "bearer abc "), "in or behind", 0},
		"one space":           {call(csrf, "/v1/x", "Authorization", "Bearer abc"), "did not answer", 1},
		"another header":      {call(csrf, "/v1/x", "X-Key", "Bearer  abc"), "did not answer", 1},
		"our own pages":       {call(csrf, "/_/console/"), "not the gateway", 0},
		"another host":        {call(csrf, "https://evil.example/"), "begins with a slash", 0},
		"a line break":        {call(csrf, "/v1/x", "X-A", "a\r\nX-B: c"), "line break", 0},
		"a header of no name": {call(csrf, "/v1/x", "A B", "c"), "No header", 0},
		"a space in the path": {call(csrf, "/v1/a b"), "space", 0},
	} {
		sent = 0
		got := w.send(w.request("/debug", c.form))
		if !strings.Contains(got.body, c.words) || sent != c.sent {
			t.Errorf("%s: sent %d, lacks %q", says, sent, c.words)
		}
		streamed := w.send(w.request("/debug/stream", c.form))
		if !strings.Contains(streamed.body, c.words) {
			t.Errorf("%s: streamed %s", says, streamed.body)
		}
	}
	anyway := call(csrf, "/v1/x", "Authorization", "Bearer  abc")
	anyway.Set("anyway", "yes")
	sent = 0
	if w.send(w.request("/debug", anyway)); sent != 1 {
		t.Errorf("anyway: sent %d", sent)
	}
}

func TestGuideMakesEverythingAndMayBeSentAgain(t *testing.T) {
	t.Parallel()
	w := signedIn(t)
	page := w.get("/guide")
	pairs := []string{"instance", "acme", "description", "Machines", "server_name", "Gateway", "identifier", "urn:x", "scope_name", "Invoke",
		"scope_value", "model.invoke", "client_name", "Report", "client_id", "report", "api", "", "api_name", "models", "base_path", "/v1",
		"upstream", "back", "protocol", "openai", "base_url", "not a url", "key", "MARKER-provider", "consumer", "report"}
	if page.status != http.StatusOK {
		t.Fatal(page.status)
	}
	if got := w.post("/guide", "/guide", pairs...); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "Agree") {
		t.Fatalf("without the agreement: %d", got.status)
	}
	pairs = append(pairs, "agreement", "yes")
	half := w.post("/guide", "/guide", pairs...)
	if half.status != http.StatusUnprocessableEntity || !strings.Contains(half.body, "did not work") || strings.Contains(half.body, "MARKER") {
		t.Fatalf("with a wrong URL: %d", half.status)
	}
	for i := range pairs {
		if pairs[i] == "not a url" {
			pairs[i] = "https://model.example/v1"
		}
	}
	done := w.post("/guide", "/guide", pairs...)
	if done.status != http.StatusOK || !strings.Contains(done.body, "It works") || !strings.Contains(done.body, "grant_type=client_credentials") {
		t.Fatalf("done: %d %s", done.status, done.body)
	}
	consumer := w.api(http.MethodGet, "/consumers/report", "")
	if !strings.Contains(consumer, `"api":"models"`) || !strings.Contains(consumer, w.server.URL+"/acme/oauth2/jwks") {
		t.Errorf("consumer %s", consumer)
	}
	if again := w.post("/guide", "/guide", pairs...); again.status != http.StatusOK {
		t.Errorf("again: %d %s", again.status, again.body)
	}
}
