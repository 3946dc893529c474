package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyless/shared/auth"
	"keyless/shared/proxy"
	"keyless/shared/quota"
	"keyless/shared/registry"
)

const (
	toJSON    = "application/json"
	toProblem = "application/problem+json"
)

// The bodies, byte for byte.
func inOpenAI(message, kind, code string) string {
	return `{"error":{"message":"` + message + `","type":"` + kind + `","param":null,"code":"` + code +
		`"},"request_id":"req-1"}`
}

func inAnthropic(message, kind, code string) string {
	return `{"type":"error","error":{"type":"` + kind + `","message":"` + message + `","code":"` + code +
		`"},"request_id":"req-1"}`
}

func inRPC(message, id, code string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"error":{"code":-32001,"message":"` + message +
		`","data":{"code":"` + code + `","request_id":"req-1"}}}`
}

func inProblem(message, title, status, code string) string {
	return `{"type":"about:blank","title":"` + title + `","status":` + status + `,"detail":"` + message +
		`","code":"` + code + `","request_id":"req-1"}`
}

func TestRefusalsInEveryDialect(t *testing.T) {
	t.Parallel()
	full := func() (quota.Admission, error) {
		return quota.Admission{Refusal: &quota.Refusal{Subject: "DOMAIN", Limit: "daily_call_limit",
			RetryAfter: 90 * time.Second}}, nil
	}
	for name, row := range map[string]struct {
		path, body string
		lines      []string
		verdict    func() (quota.Admission, error)
		status     int
		kind, want string
	}{
		"OpenAI, no token": {path: "/v1/chat/completions", lines: []string{"Authorization: "},
			status: 401, kind: toJSON,
			want: inOpenAI("JWT missing", "authentication_error", "jwt_missing")},
		"OpenAI, not authorized": {path: "/private", status: 403, kind: toJSON,
			want: inOpenAI("Access Denied", "permission_error", "access_denied")},
		"OpenAI, limit": {path: "/v1", verdict: full, status: 429, kind: toJSON,
			want: inOpenAI("Throttled by DOMAIN Flow Control", "rate_limit_error", "domain_limit")},
		"OpenAI, body too large": {path: "/chat", body: strings.Repeat("x", 17), status: 413, kind: toJSON,
			want: inOpenAI("Request Body Too Large", "invalid_request_error", "body_too_large")},
		"OpenAI, upstream away": {path: "/closed", status: 502, kind: toJSON,
			want: inOpenAI("The upstream cannot be reached", "server_error", "upstream_connect")},
		"Anthropic, no token": {path: "/anthropic/v1/messages", lines: []string{"Authorization: "},
			status: 401, kind: toJSON,
			want: inAnthropic("JWT missing", "authentication_error", "jwt_missing")},
		"Anthropic, counting": {path: "/anthropic/v1/messages/count_tokens", body: "{}", verdict: full,
			status: 429, kind: toJSON,
			want: inAnthropic("Throttled by DOMAIN Flow Control", "rate_limit_error", "domain_limit")},
		"not Anthropic by its path": {path: "/anthropic/v1/messages/batches", verdict: full,
			status: 429, kind: toJSON,
			want: inOpenAI("Throttled by DOMAIN Flow Control", "rate_limit_error", "domain_limit")},
		"MCP, no token": {path: "/mcp", lines: []string{"Authorization: "},
			body: `{"id":7,"jsonrpc":"2.0"}`, status: 401, kind: toJSON,
			want: inRPC("JWT missing", `7`, "jwt_missing")},
		"MCP, limit, id is text": {path: "/mcp", body: `{"id":"a\"b"}`, verdict: full, status: 429,
			kind: toJSON,
			want: inRPC("Throttled by DOMAIN Flow Control", `"a\"b"`, "domain_limit")},
		"MCP, id twice": {path: "/mcp", body: `{"id":1,"id":2}`, status: 400, kind: toJSON,
			want: inRPC("the body is to be a JSON-RPC message, or an array of them: "+
				"a member stands twice in one object", `null`, "bad_request")},
		"MCP, id is neither": {path: "/mcp", body: `{"id":{"a":1}}`, verdict: full, status: 429,
			kind: toJSON,
			want: inRPC("Throttled by DOMAIN Flow Control", `null`, "domain_limit")},
		"MCP, a batch": {path: "/mcp", body: `[{"id":1},{"method":"a"},{"id":2,"result":{}},{"id":"b","method":"a"}]`,
			verdict: full, status: 429, kind: toJSON,
			want: "[" + inRPC("Throttled by DOMAIN Flow Control", `1`, "domain_limit") + "," +
				inRPC("Throttled by DOMAIN Flow Control", `"b"`, "domain_limit") + "]"},
		"MCP, a batch, no token": {path: "/mcp", body: `[{"id":1,"method":"a"},{"id":2,"result":{}}]`,
			lines: []string{"Authorization: "}, status: 401, kind: toJSON,
			want: "[" + inRPC("JWT missing", `1`, "jwt_missing") + "]"},
		"MCP, nothing but answers": {path: "/mcp", body: `[{"id":2,"result":{}}]`, verdict: full, status: 429,
			kind: toJSON,
			want: inRPC("Throttled by DOMAIN Flow Control", `null`, "domain_limit")},
		"http, no token": {path: "/orders", lines: []string{"Authorization: "}, status: 401,
			kind: toProblem,
			want: inProblem("JWT missing", "Unauthorized", "401", "jwt_missing")},
		"no API": {path: "/nowhere", status: 404, kind: toProblem,
			want: inProblem("No API matches this host and path", "Not Found", "404", "api_not_found")},
		"an API for authorizers only": {path: "/reports", status: 404, kind: toProblem,
			want: inProblem("No API matches this host and path", "Not Found", "404", "api_not_found")},
		"a draft": {path: "/draft", status: 404, kind: toProblem,
			want: inProblem("No API matches this host and path", "Not Found", "404", "api_not_found")},
		"an upgrade": {path: "/v1", lines: []string{"Connection: keep-alive, Upgrade",
			"Upgrade: websocket"}, status: 501, kind: toProblem,
			want: inProblem("Upgrades, CONNECT and TRACE are not supported", "Not Implemented", "501",
				"not_supported")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := record(t, nil)
			w := open(t, upstream.URL, func(w *world) { w.quota.verdict = row.verdict })
			got := do(t, w.request(http.MethodPost, row.path, row.body, row.lines...))
			equal(t, "status", got.StatusCode, row.status)
			equal(t, "body", got.body, row.want)
			equal(t, "Content-Type", got.Header.Get("Content-Type"), row.kind)
			equal(t, "Cache-Control", got.Header.Get("Cache-Control"), "no-store")
			equal(t, "X-Request-Id", got.Header.Get("X-Request-Id"), requestID)
			equal(t, "challenged", got.Header.Get("WWW-Authenticate") != "", row.status == 401)
			equal(t, "told when to come again", got.Header.Get("Retry-After") != "", row.status == 429)
			equal(t, "told not to wait", got.Header.Get("X-Should-Retry") == "false", row.status == 429)
			equal(t, "calls that went up", upstream.count(), 0)
		})
	}
}

func TestEveryReasonHasItsAnswer(t *testing.T) {
	t.Parallel()
	for _, reason := range auth.Reasons {
		d := auth.Decision{Reason: reason, API: &registry.API{Name: "models"}}
		status, code, message, challenge := proxy.OfDecision(d)
		want := reason.Refusal()
		equal(t, string(reason), status, want.Status)
		equal(t, string(reason), code, want.Code)
		equal(t, string(reason), message, want.Message)
		equal(t, string(reason)+": challenged", challenge != "",
			status == 401 || reason == auth.InsufficientScope)
		equal(t, string(reason)+": refused", status >= 400 && status < 500, true)
	}
}

// away is a store that may be out of reach.
type away struct {
	registry.Store
	err error
}

func (a away) Fields(context.Context) (map[string]string, error) { return nil, a.err }
func (a away) Revision(context.Context) (string, error)          { return "", a.err }

// restless is a store whose revision moves at every look, and whose consumers cannot be found where they are
// not to be.
type restless struct {
	registry.Store
	noConsumers error
}

func (r restless) Indexed(ctx context.Context, indexes ...string) ([]map[string]registry.Entry, string,
	error) {
	if r.noConsumers != nil {
		return nil, "", r.noConsumers
	}
	return r.Store.Indexed(ctx, indexes...)
}

func (r restless) Revision(ctx context.Context) (string, error) {
	if r.noConsumers != nil {
		return "", r.noConsumers
	}
	return r.Store.Revision(ctx)
}

func TestFailuresAreToldApart(t *testing.T) {
	t.Parallel()
	down := errors.New("dial tcp 10.1.2.3:6379: connection refused")
	verdict := func(a quota.Admission, err error) func(*world) {
		return func(w *world) { w.quota.verdict = func() (quota.Admission, error) { return a, err } }
	}
	store := func(f func(registry.Store) registry.Store) func(*world) {
		return func(w *world) {
			w.change = func(o *proxy.Options) { o.Reader = registry.NewReader(f(w.store), nil, o.Now) }
		}
	}
	timed := func(d time.Duration) func(*world) {
		return func(w *world) {
			w.around = func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					ctx, cancel := context.WithTimeout(r.Context(), d)
					defer cancel()
					next.ServeHTTP(rw, r.WithContext(ctx))
				})
			}
		}
	}
	for name, row := range map[string]struct {
		world  func(*world)
		token  string
		status int
		code   string
		again  bool
	}{
		"the store is away": {store(func(s registry.Store) registry.Store {
			return away{s,
				down}
		}), "shop", 503, "store_unavailable", true},
		"the store is empty": {store(func(s registry.Store) registry.Store {
			return away{s,
				nil}
		}), "shop", 503, "registry_empty", false},
		"the store is away from the gate": {
			store(func(s registry.Store) registry.Store { return restless{s, down} }),
			"shop", 503, "store_unavailable", true,
		},
		"the key set is away": {func(*world) {}, "elsewhere", 503, "keys_unavailable", true},
		"the quota is away": {verdict(quota.Admission{}, down), "shop", 503,
			"store_unavailable", true},
		"the clocks differ": {verdict(quota.Admission{}, fmt.Errorf("admit: %w",
			quota.ErrClock)), "shop", 503, "clock_skew", false},
		"the registry moves on": {verdict(quota.Admission{Stale: true}, nil), "shop", 503,
			"registry_busy", true},
		"no verdict": {verdict(quota.Admission{}, nil), "shop", 500, "internal",
			false},
		"less than two seconds left": {timed(1900 * time.Millisecond), "shop", 503, "deadline",
			false},
		"enough time is left": {timed(time.Minute), "shop", 200, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := record(t, nil)
			w := open(t, upstream.URL, row.world)
			got := do(t, w.request(http.MethodPost, "/v1", "{}", "Authorization: Bearer "+token(row.token)))
			equal(t, "status", got.StatusCode, row.status)
			equal(t, "code in "+got.body, strings.Contains(got.body, `"code":"`+row.code+`"`),
				row.code != "")
			equal(t, "worth another try", got.Header.Get("Retry-After") != "", row.again)
			equal(t, "given back", w.quota.given(), 0)
			within(t, "the access line is written", w.ended)
			if strings.Contains(got.body, "10.1.2.3") {
				t.Error("an address stands in the answer: " + got.body)
			}
			if row.code != "" {
				equal(t, "calls that went up", upstream.count(), 0)
				equal(t, "the access line tells why", strings.Contains(w.log.String(),
					"reason="+row.code), true)
			}
		})
	}
}

// raw sends bytes as they are and returns the status of the answer, and its body.
func (w *world) raw(t *testing.T, text string) (int, string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(body)
}

// TestC5PathJudgedIsPathSeen sends targets as they are: each is refused, or arrives as it was judged.
func TestC5PathJudgedIsPathSeen(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{ // "" for refused
		"/accounts/a":                  "/accounts/a",
		"/accounts/a%20b%E2%82%AC":     "/accounts/a%20b%E2%82%AC",
		"/accounts/!$&'()*+,=:@-._~":   "/accounts/!$&'()*+,=:@-._~",
		"/accounts/":                   "/accounts/",
		"/accounts/..":                 "",
		"/accounts/../orders":          "",
		"/accounts/%2e%2e/orders":      "",
		"/accounts/%2E%2E/orders":      "",
		"/accounts/.%2e/orders":        "",
		"/accounts/./a":                "",
		"/accounts//a":                 "",
		"//accounts/a":                 "",
		"/accounts/a%2Fb":              "",
		"/accounts/a%5cb":              "",
		"/accounts/a\\b":               "",
		"/accounts/a;v=1":              "",
		"/accounts/a%3Bv=1":            "",
		"/accounts/a%00":               "",
		"/accounts/a%0d%0aX:1":         "",
		"/accounts/%61":                "",
		"/accounts/%e2%82%ac":          "",
		"/accounts/%C0%AE%C0%AE":       "",
		"/accounts/a%23b":              "",
		"/accounts/a#b":                "",
		"/accounts/a?x#y":              "",
		"/accounts/a?b=/../orders&%2e": "/accounts/a?b=/../orders&%2e",
		"/%61ccounts/a":                "",
		"/accountsx":                   "",
	} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			upstream := record(t, nil)
			w := open(t, upstream.URL)
			status, body := w.raw(t, "GET "+target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			if want == "" {
				if status != 400 && status != 404 {
					t.Errorf("status %d: %s", status, body)
				}
				equal(t, "calls that went up", upstream.count(), 0)
				equal(t, "calls counted", w.quota.admitted(), 0)
				return
			}
			equal(t, "status", status, 200)
			equal(t, "target", upstream.last().RequestURI, want)
		})
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	upstream := record(t, nil)
	w := open(t, upstream.URL)
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS",
		"PROPFIND"} {
		got := do(t, w.request(method, "/accounts", ""))
		equal(t, method, got.StatusCode, 200)
		equal(t, method, upstream.last().Method, method)
		equal(t, method+": body", got.body != "", method != "HEAD")
	}
	before := w.quota.admitted()
	for request, want := range map[string]int{
		"post /chat/responses HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}":          501,
		"PROPFIND /chat/files HTTP/1.1\r\nHost: x\r\n\r\n":                                 501,
		"TRACE /accounts HTTP/1.1\r\nHost: x\r\n\r\n":                                      501,
		"CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n":                                501,
		"GET /accounts HTTP/1.1\r\nHost: x\r\nConnection: UPGRADE\r\nUpgrade: tls\r\n\r\n": 501,
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n":                                            400,
		"GET /accounts HTTP/1.1\r\nHost: x\r\nConnection: upgrade, http2-settings\r\nUpgrade: h2c\r\n" +
			"Http2-Settings: AAMAAABkAAQAAP__\r\nConnection: close\r\n\r\n": 200,
	} {
		status, body := w.raw(t, request)
		equal(t, request+body, status, want)
	}
	equal(t, "only the offer of h2c is a call", w.quota.admitted(), before+1)
	equal(t, "and it is none at the upstream", upstream.last().Header.Get("Upgrade"), "")
}

func TestC3C7Bodies(t *testing.T) {
	t.Parallel()
	upstream := record(t, nil)
	w := open(t, upstream.URL, func(w *world) { w.change = func(o *proxy.Options) { o.MaxBody = 64 } })
	endless := func(n int) string { // chunked
		return fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", n,
			strings.Repeat("x", n))
	}
	for name, row := range map[string]struct {
		path, rest string
		want       int
	}{
		"as large as the API takes": {"/chat", "Content-Length: 16\r\n\r\n" +
			strings.Repeat("x", 16), 200},
		"larger by a byte": {"/chat", "Content-Length: 17\r\n\r\n" +
			strings.Repeat("x", 17), 413},
		"chunked, as large as the API takes": {"/chat", endless(16), 200},
		"chunked, larger by a byte":          {"/chat", endless(17), 413},
		"as large as the door carries":       {"/accounts", endless(64), 200},
		"larger than the door carries":       {"/accounts", endless(65), 413},
		"announced only":                     {"/accounts", "Content-Length: 99999999999\r\n\r\n", 413},
		"a broken chunk": {"/accounts", "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
			400},
		"nobody waits for a stranger's": {"/orders",
			"Content-Length: 50\r\nExpect: 100-continue\r\n\r\n", 401},
		"nor for the id in it": {"/mcp", "Content-Length: 50\r\nExpect: 100-continue\r\n\r\n", 401},
		"nor for one of no API": {"/nowhere",
			"Content-Length: 50\r\nExpect: 100-continue\r\n\r\n", 404},
	} {
		before := w.quota.admitted()
		status, body := w.raw(t, "POST "+row.path+" HTTP/1.1\r\nHost: x\r\n"+row.rest)
		equal(t, name+" "+body, status, row.want)
		equal(t, name+": counted", w.quota.admitted()-before, map[bool]int{true: 1}[row.want == 200])
	}
}
