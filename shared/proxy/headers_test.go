package proxy_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"keyless/shared/quota"
)

// TestC6HeadersUp sends header lines and looks for them at the upstream: name → value, "" for absent.
func TestC6HeadersUp(t *testing.T) {
	t.Parallel()
	trace := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	bearer := "Bearer " + providerKey
	for name, row := range map[string]struct {
		path string
		send []string
		want map[string]string
	}{
		"a header that is nobody's business": {"/v1", []string{"X-Mine: 1"},
			map[string]string{"X-Mine": "1"}},
		"the provider's key, OpenAI": {"/v1", nil, map[string]string{"Authorization": bearer,
			"X-Api-Key": ""}},
		"the provider's key, Anthropic": {"/anthropic/v1/messages",
			[]string{"Anthropic-Version: 2023-06-01"},
			map[string]string{"Authorization": "", "X-Api-Key": providerKey,
				"Anthropic-Version": "2023-06-01"}},
		"the provider's key, MCP": {"/mcp", nil, map[string]string{"Authorization": bearer}},
		"a header of the operator's": {"/backend", []string{"X-Backend-Key: mine",
			"Authorization: Basic x"},
			map[string]string{"X-Backend-Key": "Key " + providerKey, "Authorization": "Basic x"}},
		"every other credential of an LLM API": {"/v1",
			[]string{"X-Api-Key: a", "Api-Key: b", "Cookie: c=d", "Proxy-Authorization: e",
				"X-Goog-Api-Key: f"},
			map[string]string{"X-Api-Key": "", "Api-Key": "", "Cookie": "", "Proxy-Authorization": "",
				"X-Goog-Api-Key": ""}},
		"an open LLM API too": {"/chat", []string{"Authorization: Bearer mine", "Cookie: c=d"},
			map[string]string{"Authorization": bearer, "Cookie": "", "X-Consumer": ""}},
		"the upstream's own headers": {"/v1", []string{"X-Operator: client's"},
			map[string]string{"X-Operator": "set"}},
		"who calls": {"/v1", []string{"X-Consumer: admin"},
			map[string]string{"X-Consumer": "shop"}},
		"who calls, with an underscore": {"/v1", []string{"X_Consumer: admin"},
			map[string]string{"X_Consumer": ""}},
		"who calls, where nobody is known": {"/accounts", []string{"X-Consumer: admin"},
			map[string]string{"X-Consumer": ""}},
		"a claim": {"/v1", []string{"X-Client-Id: admin"},
			map[string]string{"X-Client-Id": "subject-of-shop"}},
		"a claim that is no string": {"/v1", []string{"X-Number: 9"},
			map[string]string{"X-Number": ""}},
		"names in Connection cannot take ours": {"/v1",
			[]string{"Connection: x-consumer, Authorization, X-Request-Id, X-Hop, traceparent", "X-Hop: 1"},
			map[string]string{"X-Consumer": "shop", "Authorization": bearer, "X-Request-Id": requestID,
				"X-Hop": ""}},
		"what belongs to the connection": {"/accounts",
			[]string{"Keep-Alive: 1", "Te: trailers", "Proxy-Connection: close", "Expect: 100-continue"},
			map[string]string{"Keep-Alive": "", "Te": "", "Proxy-Connection": "", "Expect": "",
				"Upgrade": ""}},
		"who forwarded it": {"/accounts",
			[]string{"X-Forwarded-For: 6.6.6.6", "X-Forwarded-Host: h", "Forwarded: for=6.6.6.6",
				"X-Real-Ip: 6.6.6.6", "X-Fc-Access-Key-Id: k"},
			map[string]string{"X-Forwarded-For": "", "X-Forwarded-Host": "", "Forwarded": "",
				"X-Real-Ip": "", "X-Fc-Access-Key-Id": ""}},
		"a trace goes on": {"/v1", []string{"Traceparent: " + trace, "Tracestate: a=b"},
			map[string]string{"Traceparent": trace, "Tracestate": "a=b"}},
		"the state of no trace": {"/v1", []string{"Traceparent: 00-0-0-00", "Tracestate: a=b"},
			map[string]string{"Tracestate": ""}},
		"encodings, LLM": {"/v1", []string{"Accept-Encoding: gzip, br"},
			map[string]string{"Accept-Encoding": "identity"}},
		"encodings, http": {"/accounts", []string{"Accept-Encoding: gzip, br"},
			map[string]string{"Accept-Encoding": "gzip, br"}},
		"no encodings, http": {"/accounts", nil, map[string]string{"Accept-Encoding": ""}},
		"the client's own name": {"/v1", []string{"User-Agent: openai-go/3"},
			map[string]string{"User-Agent": "openai-go/3"}},
		"no name for the client": {"/v1", []string{"User-Agent: "}, map[string]string{"User-Agent": ""}},
		"http without ours": {"/accounts", []string{"Authorization: Basic x", "Cookie: a=b; c=d"},
			map[string]string{"Authorization": "Basic x", "Cookie": "a=b; c=d"}},
		"http with ours": {"/orders", []string{"Cookie: a=b"},
			map[string]string{"Authorization": "", "Cookie": "a=b", "X-Consumer": "shop"}},
		"http with ours in a header of its own": {"/orders", []string{"Authorization: Basic x",
			"X-Token: Bearer " + token("in-header")},
			map[string]string{"Authorization": "Basic x", "X-Token": "", "X-Consumer": "in-header"}},
		"http with ours in a cookie": {"/orders", []string{"Authorization: ", "Cookie: a=b;session=" +
			token("in-cookie") + "; c=d"},
			map[string]string{"Cookie": "a=b; c=d", "X-Consumer": "in-cookie"}},
		"http with ours as the only cookie": {"/orders", []string{"Authorization: ", "Cookie: session=" +
			token("in-cookie")},
			map[string]string{"Cookie": ""}},
		"http with ours passed on": {"/orders", []string{"Authorization: Bearer " + token("passing")},
			map[string]string{"Authorization": "Bearer " + token("passing")}},
		"MCP with ours passed on": {"/own", []string{"Authorization: Bearer " + token("passing"),
			"Cookie: a=b"},
			map[string]string{"Authorization": "Bearer " + token("passing"), "Cookie": ""}},
		"MCP with a cookie passed on": {"/own", []string{"Authorization: Basic x",
			"Cookie: a=b; session=" + token("passing-cookie")},
			map[string]string{"Authorization": "", "Cookie": "session=" + token("passing-cookie")}},
		"the provider's key wins over one passed on": {"/v1", []string{"Authorization: Bearer " +
			token("passing")},
			map[string]string{"Authorization": bearer}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := record(t, nil)
			w := open(t, upstream.URL)
			r := w.request(http.MethodPost, row.path, "{}", row.send...)
			if slices.Contains(row.send, "User-Agent: ") {
				r.Header["User-Agent"] = nil
			}
			if got := do(t, r); got.StatusCode != 200 {
				t.Fatalf("status %d: %s", got.StatusCode, got.body)
			}
			seen := upstream.last().Header
			for header, want := range row.want {
				equal(t, header, strings.Join(seen[header], "|"), want)
			}
			equal(t, "X-Request-Id", strings.Join(seen["X-Request-Id"], "|"), requestID)
			equal(t, "one trace", len(seen["Traceparent"]), 1)
			equal(t, "its length", len(seen.Get("Traceparent")), len(trace))
		})
	}
}

func TestTokenInTheQuery(t *testing.T) {
	t.Parallel()
	upstream := record(t, nil)
	w := open(t, upstream.URL)
	own, passed := token("in-query"), token("passing-query")
	for path, want := range map[string]string{
		"/orders?a=%7e&jwt=" + own + "&b": "/orders?a=%7e&b",
		"/v1?jwt=" + own:                  "/provider/v1",
		"/own?token=x&jwt=" + passed:      "/own?jwt=" + passed,
	} {
		equal(t, path, do(t, w.request(http.MethodGet, path, "", "Authorization: ")).StatusCode, 200)
		equal(t, path, upstream.last().RequestURI, want)
	}
}

func TestU7U12HeadersDown(t *testing.T) {
	t.Parallel()
	send := map[string]string{
		"X-Request-Id": "theirs", "X-Ratelimit-Remaining-Requests": "1", "Ratelimit": "x", "Ratelimit-Policy": "x",
		"Anthropic-Ratelimit-Tokens-Limit": "1", "Retry-After": "7200", "Retry-After-Ms": "1",
		"X-Hop": "1", "Connection": "x-hop",
		"Proxy-Authenticate": "x", "Set-Cookie": "a=b", "Server": "s", "Strict-Transport-Security": "x",
		"Alt-Svc":             "x",
		"Openai-Organization": "acme", "Anthropic-Organization-Id": "1", "Openai-Project": "p", "X-Mine": "1",
		"X-Echo": "Bearer " + providerKey, "Content-Type": "text/plain", "Trailer": "X-Late",
		"Cache-Control": "private",
	}
	ours := map[string]string{"X-Request-Id": requestID, "X-Mine": "1", "Content-Type": "text/plain",
		"Cache-Control": "private",
		"Ratelimit":     `"domain-day";r=9;t=60`, "Ratelimit-Policy": `"domain-day";q=10`}
	theirs := []string{"Set-Cookie", "Server", "Strict-Transport-Security", "Alt-Svc",
		"Openai-Organization",
		"Anthropic-Organization-Id", "Openai-Project"}
	upstream := record(t, func(w http.ResponseWriter, r *http.Request) {
		for name, value := range send {
			w.Header().Set(name, value)
		}
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "ok")
		w.Header().Set("X-Late", "1")
	})
	w := open(t, upstream.URL, func(w *world) {
		w.quota.standing = []quota.Standing{{Name: "domain-day", Limit: 10, Remaining: 9,
			Reset: time.Minute}}
	})
	for path, passes := range map[string]bool{"/v1": false, "/mcp": false, "/accounts": true} {
		got := do(t, w.request(http.MethodGet, path, ""))
		equal(t, "status", got.StatusCode, 200)
		for name := range send {
			want := ours[name]
			if passes && slices.Contains(theirs, name) || path == "/accounts" && name == "X-Echo" {
				want = send[name]
			}
			equal(t, path+" "+name, strings.Join(got.Header[name], "|"), want)
		}
		equal(t, "trailers", len(got.Trailer), 0)
	}
}

func TestU6RetryAfterOfAnUpstream(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		status     int
		send, want string
	}{
		"seconds":              {429, "7", "7"},
		"of an overloaded one": {503, "7", "7"},
		"an hour at most":      {429, "86400", "3600"},
		"beyond any number":    {429, "99999999999999999999", "3600"},
		"a date":               {429, now.Add(90 * time.Second).Format(http.TimeFormat), "90"},
		"a date long gone":     {429, now.Add(-time.Hour).Format(http.TimeFormat), "0"},
		"a date far off":       {429, now.Add(48 * time.Hour).Format(http.TimeFormat), "3600"},
		"no meaning":           {429, "soon", ""},
		"negative":             {429, "-1", ""},
		"beside a success":     {200, "7", ""},
		"beside a redirect":    {304, "7", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := record(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", row.send)
				w.WriteHeader(row.status)
			})
			w := open(t, upstream.URL)
			got := do(t, w.request(http.MethodGet, "/v1", ""))
			equal(t, "status", got.StatusCode, row.status)
			equal(t, "Retry-After", got.Header.Get("Retry-After"), row.want)
		})
	}
}
