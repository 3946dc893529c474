package proxy_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyless/shared/registry"
)

// issuing is a server that gives out a session and writes down what it is asked with.
func issuing(t *testing.T) *recorder {
	return record(t, answers(200, toJSON, `{}`, "Mcp-Session-Id: upstream-id"))
}

// TestSessionsBelongToTheirCaller: the id that one was given opens nothing for another, nor on another API.
func TestSessionsBelongToTheirCaller(t *testing.T) {
	t.Parallel()
	upstream := issuing(t)
	w := open(t, upstream.URL, bound)
	begun := do(t, w.request(http.MethodPost, "/mcp", `{"id":1,"method":"initialize"}`, as("agent")))
	given := begun.Header.Get("Mcp-Session-Id")
	tag, id, _ := strings.Cut(given, ".")
	equal(t, "the id", id, "upstream-id")
	equal(t, "its tag", len(tag), 22)
	again := do(t, w.request(http.MethodPost, "/mcp", `{"id":1,"method":"initialize"}`, as("agent")))
	equal(t, "it is one id on every answer", again.Header.Get("Mcp-Session-Id"), given)
	theirs := do(t, w.request(http.MethodPost, "/mcp", `{"id":1}`, as("other"))).Header.Get("Mcp-Session-Id")
	equal(t, "another's differs", theirs != given, true)
	notFound := inRPC("Session not found", "2", "session_not_found")
	for name, row := range map[string]struct {
		path, consumer, session string
		status                  int
	}{
		"the owner's":          {"/mcp", "agent", given, 200},
		"another consumer's":   {"/mcp", "other", given, 404},
		"on another API":       {"/own", "agent", given, 404},
		"without a tag":        {"/mcp", "agent", "upstream-id", 404},
		"with another tag":     {"/mcp", "agent", strings.Repeat("A", 22) + ".upstream-id", 404},
		"with a shorter tag":   {"/mcp", "agent", tag[1:] + ".upstream-id", 404},
		"of another id":        {"/mcp", "agent", tag + ".upstream-ie", 404},
		"a tag alone":          {"/mcp", "agent", tag + ".", 404},
		"in other letters":     {"/mcp", "agent", strings.ToLower(given[:22]) + given[22:], 404},
		"nothing of a session": {"/mcp", "agent", "", 200},
	} {
		before := upstream.count()
		got := do(t, w.request(http.MethodPost, row.path, `{"id":2}`, as(row.consumer), "Mcp-Session-Id: "+row.session))
		equal(t, name, got.StatusCode, row.status)
		equal(t, name+": went up", upstream.count() > before, row.status == 200)
		if row.status == 404 {
			equal(t, name, got.body, notFound)
		} else if row.session != "" {
			equal(t, name+": the upstream's own", upstream.last().Header.Get("Mcp-Session-Id"), "upstream-id")
		}
	}
	for method, status := range map[string]int{http.MethodGet: 404, http.MethodDelete: 404} {
		got := do(t, w.request(method, "/mcp", "", as("other"), "Mcp-Session-Id: "+given))
		equal(t, method+" by another", got.StatusCode, status)
		equal(t, method+" by the owner", do(t, w.request(method, "/mcp", "", as("agent"), "Mcp-Session-Id: "+given)).StatusCode, 200)
		equal(t, method+": the upstream's own", upstream.last().Header.Get("Mcp-Session-Id"), "upstream-id")
	}
	r := w.request(http.MethodPost, "/mcp", `{"id":2}`, as("agent"))
	r.Header["Mcp-Session-Id"] = []string{given, given}
	equal(t, "twice", do(t, r).StatusCode, 400)
}

// TestSessionsWithoutPepper are none: nothing can be bound.
func TestSessionsWithoutPepper(t *testing.T) {
	t.Parallel()
	w := open(t, issuing(t).URL)
	got := do(t, w.request(http.MethodPost, "/mcp", `{"id":1}`))
	equal(t, "status", got.StatusCode, 200)
	equal(t, "no id goes out", got.Header.Get("Mcp-Session-Id"), "")
	equal(t, "none comes in", do(t, w.request(http.MethodPost, "/mcp", `{"id":1}`, "Mcp-Session-Id: upstream-id")).StatusCode, 404)
}

// older is a server of the older transport, which names the URL for messages in its first event, in two pieces.
func older(t *testing.T, endpoint string) *recorder {
	t.Helper()
	event := "event: endpoint\ndata: " + endpoint + "\n\n"
	return record(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		w.Header().Set("Content-Type", isEvents)
		for _, piece := range []string{event[:len(event)/2], event[len(event)/2:], "event: message\ndata: " + toolList + "\n\n"} {
			_, _ = io.WriteString(w, piece)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(5 * time.Millisecond) // so that the pieces arrive as such
		}
	})
}

// endpointOf reads the URL that the first event names.
func endpointOf(t *testing.T, body string) string {
	t.Helper()
	data, _, _ := strings.Cut(strings.TrimPrefix(body, "event: endpoint\ndata: "), "\n")
	return data
}

// TestEndpointComesBackThroughTheGateway, with the session bound to its caller.
func TestEndpointComesBackThroughTheGateway(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		endpoint, base string
		strip          bool
		want           string // with the tag cut out; "" the stream breaks
		up             string // where a message arrives
	}{
		"a path": {"/messages?sessionId=abc", "", true, "/mcp/messages?sessionId=.abc", "/messages?sessionId=abc"},
		"below the base": {"/deep/messages?x=1&session_id=a%2Fb", "/deep", true, "/mcp/messages?x=1&session_id=.a%2Fb",
			"/deep/messages?x=1&session_id=a%2Fb"},
		"relative":           {"messages?sessionId=abc", "/deep", true, "/mcp/messages?sessionId=.abc", "/deep/messages?sessionId=abc"},
		"a URL":              {"http://internal:3000/messages?sessionId=abc", "", true, "/mcp/messages?sessionId=.abc", "/messages?sessionId=abc"},
		"no session":         {"/messages/abc", "", true, "/mcp/messages/abc", "/messages/abc"},
		"with the base path": {"/mcp/messages?sessionId=abc", "", false, "/mcp/messages?sessionId=.abc", "/mcp/messages?sessionId=abc"},
		"past the base":      {"/messages?sessionId=abc", "/deep", true, "", ""},
		"past the base path": {"/messages?sessionId=abc", "", false, "", ""},
		"up":                 {"../../messages", "/deep", true, "", ""},
		"not a URL":          {"http://%zz", "", true, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := older(t, row.endpoint)
			w := open(t, upstream.URL, bound, with(map[string]any{
				"upstream:tools": registry.Upstream{Name: "tools", Protocol: registry.MCP, BaseURL: upstream.URL + row.base},
				"api:tools": registry.API{Name: "tools", Type: registry.MCP, BasePath: "/mcp", StripBasePath: row.strip,
					Upstreams: target("tools")},
			}))
			got := do(t, w.request(http.MethodGet, "/mcp/sse", "", as("agent")))
			if row.want == "" {
				equal(t, "nothing of it passes", got.body, "")
				equal(t, "cut", got.err != nil, true)
				return
			}
			endpoint := endpointOf(t, got.body)
			equal(t, "the list that follows", strings.HasSuffix(got.body, "event: message\ndata: "+picked+"\n\n"), true)
			at := strings.Index(row.want, "=.")
			if at++; at > 0 {
				equal(t, "endpoint", endpoint[:at]+endpoint[at+22:], row.want)
				other := do(t, w.request(http.MethodPost, endpoint, `{"id":2}`, as("other")))
				equal(t, "another's message", other.StatusCode, 404)
			} else {
				equal(t, "endpoint", endpoint, row.want)
			}
			equal(t, "a message", do(t, w.request(http.MethodPost, endpoint, calls("1", "echo"), as("agent"))).StatusCode, 202)
			equal(t, "where it arrives", upstream.last().URL.RequestURI(), row.up)
			refused := do(t, w.request(http.MethodPost, endpoint, calls("1", "rm"), as("agent")))
			equal(t, "a tool that is not allowed", refused.StatusCode, 403)
		})
	}
}

// TestSessionInTheQuery: no spelling that a framework takes for it gets past the gate.
func TestSessionInTheQuery(t *testing.T) {
	t.Parallel()
	upstream := older(t, "/messages?sessionId=abc")
	w := open(t, upstream.URL, bound, with(map[string]any{
		"upstream:tools": registry.Upstream{Name: "tools", Protocol: registry.MCP, BaseURL: upstream.URL}}))
	endpoint := endpointOf(t, do(t, w.request(http.MethodGet, "/mcp/sse", "", as("agent"))).body)
	_, value, _ := strings.Cut(endpoint, "=")
	for query, status := range map[string]int{
		"sessionId=" + value:                    202,
		"sessionId=" + value + "&x=1":           202,
		"sessionIdle=abc":                       202,
		"sessionId=abc":                         404,
		"sessionId":                             404,
		"sessionId=%zz":                         404,
		"session_id=abc":                        404,
		"SESSIONID=abc":                         404,
		"session%49d=abc":                       404,
		"sessionId[]=abc":                       404,
		"sessionId%5B0%5D=abc":                  404,
		"[sessionId]=abc":                       404,
		"sessionId=" + value + "&sessionId=abc": 404,
		"sessionId=%" + "41" + value[1:]:        404,
		"x=1;sessionId=abc":                     400,
		"sessionId=" + strings.ToUpper(value[:22]) + value[22:]: 404,
	} {
		got := do(t, w.request(http.MethodPost, "/mcp/messages?"+query, `{"id":2}`, as("agent")))
		equal(t, query, got.StatusCode, status)
		if status == 202 && strings.HasPrefix(query, "sessionId=") {
			equal(t, query, strings.HasPrefix(upstream.last().URL.RawQuery, "sessionId=abc"), true)
		}
	}
}
