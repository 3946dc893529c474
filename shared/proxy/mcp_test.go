package proxy_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyless/shared/ledger"
	"keyless/shared/proxy"
	"keyless/shared/registry"
	"keyless/shared/seal"
)

// bound gives the gateway a pepper, by which sessions are bound, and two consumers: agent, who may call some tools of the API tools
// only, and other, who may call all.
func bound(w *world) {
	keys, err := seal.ParseKeys(seal.NewMasterKey())
	if err != nil {
		panic(err) // a test's own mistake
	}
	with(map[string]any{"pepper": "a-pepper-of-the-tests"})(w)
	w.change = func(o *proxy.Options) { o.Reader = registry.NewReader(w.store, keys, o.Now) }
	w.consumers = append(w.consumers,
		registry.Consumer{Name: "agent", JWT: &registry.JWTCredential{},
			Authorizations: []registry.Authorization{{API: "tools", Tools: []string{"echo", "get-*"}}, {API: "own"}}},
		registry.Consumer{Name: "other", JWT: &registry.JWTCredential{}})
}

func as(consumer string) string { return "Authorization: Bearer " + token(consumer) }

func calls(id, tool string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"` + tool + `","arguments":{}}}`
}

const lists = `{"jsonrpc":"2.0","id":3,"method":"tools/list"}`

// TestToolsAreAuthorized by the name in tools/call: what is not allowed is refused before it counts.
func TestToolsAreAuthorized(t *testing.T) {
	t.Parallel()
	denied := func(ids ...string) string {
		var list []string
		for _, id := range ids {
			list = append(list, inRPC("Access Denied", id, "tool_not_allowed"))
		}
		return strings.Join(list, ",")
	}
	for name, row := range map[string]struct {
		consumer, body string
		want           string // of the refusal; "" passes
		model          string // in the ledger
	}{
		"allowed":                       {"agent", calls("1", "echo"), "", "echo"},
		"allowed by a glob":             {"agent", calls("1", "get-sum"), "", "get-sum"},
		"not allowed":                   {"agent", calls("7", "rm"), denied("7"), ""},
		"not allowed, the id is text":   {"agent", calls(`"a"`, "rm"), denied(`"a"`), ""},
		"of any tool":                   {"other", calls("1", "rm"), "", "rm"},
		"an escaped name":               {"agent", strings.Replace(calls("1", "rm"), "tools/call", `t\u006fols\/call`, 1), denied("1"), ""},
		"no name":                       {"agent", `{"id":1,"method":"tools/call","params":{}}`, denied("1"), ""},
		"no params":                     {"agent", `{"id":1,"method":"tools/call"}`, denied("1"), ""},
		"a name that is no string":      {"agent", `{"id":1,"method":"tools/call","params":{"name":["echo"]}}`, denied("1"), ""},
		"as a notification":             {"agent", `{"method":"tools/call","params":{"name":"rm"}}`, denied("null"), ""},
		"in a batch":                    {"agent", "[" + calls("1", "echo") + "," + calls("2", "rm") + `,{"method":"x"}]`, "[" + denied("1", "2") + "]", ""},
		"a batch of one tool":           {"agent", "[" + calls("1", "echo") + "," + calls("2", "echo") + "]", "", "echo"},
		"a batch of several":            {"agent", "[" + calls("1", "echo") + "," + calls("2", "get-a") + "]", "", ""},
		"prompts pass":                  {"agent", `{"id":1,"method":"prompts/get","params":{"name":"rm"}}`, "", ""},
		"resources pass":                {"agent", `{"id":1,"method":"resources/read","params":{"uri":"rm"}}`, "", ""},
		"answers to the server pass":    {"agent", `{"id":1,"result":{"name":"rm"}}`, "", ""},
		"initialize passes":             {"agent", `{"id":1,"method":"initialize","params":{"capabilities":{}}}`, "", ""},
		"another method of a like name": {"agent", `{"id":1,"method":"tools/call ","params":{"name":"rm"}}`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := record(t, nil)
			w := open(t, upstream.URL, bound)
			got := do(t, w.request(http.MethodPost, "/mcp", row.body, as(row.consumer)))
			within(t, "the handler ends", w.ended)
			if row.want != "" {
				equal(t, "status", got.StatusCode, 403)
				equal(t, "body", got.body, row.want)
				equal(t, "admitted", w.quota.admitted()+upstream.count(), 0)
				return
			}
			equal(t, "status", got.StatusCode, 200)
			equal(t, "body at the upstream", upstream.last().body, row.body)
			equal(t, "one call", w.quota.admitted(), 1)
			e := w.quota.only(t).entry
			equal(t, "model", e.Model, row.model)
			equal(t, "usage", e.Usage, ledger.Usage{})
		})
	}
}

// TestToolsBySmuggling: what the server could read otherwise than the gate never leaves.
func TestToolsBySmuggling(t *testing.T) {
	t.Parallel()
	upstream := record(t, nil)
	w := open(t, upstream.URL, bound)
	utf7 := strings.Replace(calls("1", "echo"), `"echo"`, `"echo+ACI-,+ACI-name+ACI-:+ACI-rm"`, 1)
	for name, row := range map[string]struct {
		method, body string
		lines        []string
	}{
		"another character set":    {body: utf7, lines: []string{"Content-Type: application/json; charset=utf-7"}},
		"another type":             {body: calls("1", "echo"), lines: []string{"Content-Type: application/x-www-form-urlencoded"}},
		"no type that can be read": {body: calls("1", "echo"), lines: []string{"Content-Type: application/json;;"}},
		"packed":                   {body: calls("1", "echo"), lines: []string{"Content-Encoding: gzip"}},
		"not JSON":                 {body: "method=tools/call"},
		"a method beside it":       {body: calls("1", "echo"), lines: []string{"Mcp-Method: tools/list"}},
		"a name beside it":         {body: calls("1", "echo"), lines: []string{"Mcp-Name: rm"}},
		"a name twice":             {body: `{"id":1,"method":"tools/call","params":{"name":"echo","name":"rm"}}`},
		"a name twice, in a GET":   {method: http.MethodGet, body: `{"id":1,"method":"tools/call","params":{"name":"echo","name":"rm"}}`},
		"a name twice, in a PUT":   {method: http.MethodPut, body: `{"id":1,"method":"tools/call","params":{"name":"echo","name":"rm"}}`},
	} {
		if row.method == "" {
			row.method = http.MethodPost
		}
		got := do(t, w.request(row.method, "/mcp", row.body, append(row.lines, as("agent"))...))
		equal(t, name, got.StatusCode, 400)
		equal(t, name+": code", strings.Contains(got.body, `"code":"bad_request"`), true)
	}
	got := do(t, w.request(http.MethodPut, "/mcp", calls("1", "rm"), as("agent")))
	equal(t, "by another method", got.StatusCode, 403)
	r := w.request(http.MethodPost, "/mcp", calls("1", "echo"), as("agent"))
	r.Header["Content-Type"] = []string{"application/json", "text/plain"}
	equal(t, "two types", do(t, r).StatusCode, 400)
	equal(t, "went up", upstream.count(), 0)
	got = do(t, w.request(http.MethodPost, "/mcp", calls("1", "echo"), as("agent"), "Mcp-Method: tools/call", "Mcp-Name: echo",
		"Content-Type: application/json; charset=UTF-8", "Content-Encoding: identity"))
	equal(t, "the neighbour", got.StatusCode, 200)
	equal(t, "went up", upstream.count(), 1)
}

const (
	toolList = `{"jsonrpc":"2.0","id":3,"result":{"tools":[{"name":"rm"},{"name":"echo"}, {"name":"get-a"}],"nextCursor":"n"}}`
	picked   = `{"jsonrpc":"2.0","id":3,"result":{"tools":[{"name":"echo"}, {"name":"get-a"}],"nextCursor":"n"}}`
)

// TestToolsAreListed as far as the caller may call them, in every form in which a server answers.
func TestToolsAreListed(t *testing.T) {
	t.Parallel()
	stream := func(data ...string) string { return "id: 1\ndata: " + strings.Join(data, "\n\nid: 1\ndata: ") + "\n\n" }
	large := strings.Replace(toolList, `"rm"`, `"rm","description":"`+strings.Repeat("x", 1<<20)+`"`, 1)
	other, otherPicked := strings.Replace(toolList, `"id":3`, `"id":4`, 1), strings.Replace(picked, `"id":3`, `"id":4`, 1)
	note := `{"jsonrpc":"2.0","method":"notifications/message","params":{"tools":[{"name":"rm"}]}}`
	batch := "[" + lists + `,{"id":4,"method":"x/y"}]`
	for name, row := range map[string]struct {
		consumer, body     string
		status             int
		kind, answer, want string
		cut                bool
	}{
		"JSON":                  {"agent", lists, 200, toJSON, toolList, picked, false},
		"JSON, all tools":       {"other", lists, 200, toJSON, toolList, toolList, false},
		"JSON, another method":  {"agent", `{"id":3,"method":"x/y"}`, 200, toJSON, toolList, picked, false},
		"JSON, a call":          {"agent", calls("3", "echo"), 200, toJSON, toolList, toolList, false},
		"JSON, an error":        {"agent", lists, 400, toJSON, toolList, toolList, false},
		"JSON, a batch":         {"agent", batch, 200, toJSON, "[" + other + "," + toolList + "]", "[" + otherPicked + "," + picked + "]", false},
		"JSON, too long":        {"agent", lists, 502, toJSON, large, inRPC("The upstream's message is longer than 1 MiB, the most from which this caller's tools are picked", "3", "upstream_too_large"), false},
		"JSON, long, all tools": {"other", lists, 200, toJSON, large, large, false},
		"a word of acceptance":  {"agent", lists, 202, "text/plain", "Accepted", "Accepted", false},
		"another word":          {"agent", lists, 200, "text/plain", "OK", "OK", false},
		"no word":               {"agent", lists, 502, "text/plain", strings.Repeat("a", 65), inRPC("The upstream's answer broke off or cannot be understood", "3", "upstream_broken"), false},
		"JSON, cut":             {"agent", lists, 502, toJSON, toolList[:40], inRPC("The upstream's answer broke off or cannot be understood", "3", "upstream_broken"), false},
		"nothing":               {"agent", lists, 202, toJSON, "", "", false},
		"a stream":              {"agent", lists, 200, isEvents, stream(note, toolList), stream(note, picked), false},
		"a stream, all tools":   {"other", lists, 200, isEvents, stream(note, toolList), stream(note, toolList), false},
		"a stream of a batch":   {"agent", batch, 200, isEvents, stream(other, toolList), stream(otherPicked, picked), false},
		"a stream, too long": {"agent", lists, 200, isEvents, stream(note, large), stream(note) + "\n\ndata: " +
			inRPC("The upstream's answer broke off or cannot be understood", "3", "upstream_broken") + "\n\n", true},
		"a stream of no list": {"agent", calls("3", "echo"), 200, isEvents, stream(note, large), stream(note, large), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status := row.status
			if status == 502 {
				status = 200
			}
			upstream := record(t, answers(status, row.kind, row.answer))
			w := open(t, upstream.URL, bound)
			got := do(t, w.request(http.MethodPost, "/mcp", row.body, as(row.consumer)))
			equal(t, "status", got.StatusCode, row.status)
			if got.body != row.want {
				t.Errorf("body\n got: %.300q\nwant: %.300q", got.body, row.want)
			}
			equal(t, "cut", got.err != nil, row.cut)
		})
	}
}

// TestPackedListStaysHidden: what cannot be read cannot be picked from.
func TestPackedListStaysHidden(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{toJSON, isEvents} {
		upstream := record(t, answers(200, kind, "packed", "Content-Encoding: br"))
		w := open(t, upstream.URL, bound)
		equal(t, kind, do(t, w.request(http.MethodPost, "/mcp", lists, as("agent"))).StatusCode, 502)
		equal(t, kind+", all tools", do(t, w.request(http.MethodPost, "/mcp", lists, as("other"))).StatusCode, 200)
		if kind == isEvents {
			equal(t, "a stream of the server's", do(t, w.request(http.MethodGet, "/mcp", "", as("agent"))).StatusCode, 502)
		}
	}
}

// TestListening is what a GET does: comments while it is silent, no time of a model's answer, and no more than what the caller may see.
func TestListening(t *testing.T) {
	t.Parallel()
	left := make(chan struct{})
	var last string
	upstream := record(t, func(w http.ResponseWriter, r *http.Request) {
		last = r.Header.Get("Last-Event-Id") + " " + r.Header.Get("Mcp-Protocol-Version")
		w.Header().Set("Content-Type", isEvents)
		_, _ = io.WriteString(w, "data: "+toolList+"\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(left)
	})
	w := open(t, upstream.URL, bound, func(w *world) {
		w.patience = proxy.Patience{Idle: 30 * time.Millisecond, Total: 60 * time.Millisecond, Quiet: 20 * time.Millisecond}
	})
	r := w.request(http.MethodGet, "/mcp", "", as("agent"), "Last-Event-ID: 7", "Mcp-Protocol-Version: 2025-06-18")
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	want := "data: " + picked + "\n\n" + strings.Repeat(": keep-alive\n\n", 6)
	got := make([]byte, len(want))
	_, err = io.ReadFull(response.Body, got)
	equal(t, "no error", err, nil)
	equal(t, "what comes", string(got), want)
	equal(t, "what the server is told", last, "7 2025-06-18")
	_ = response.Body.Close()
	within(t, "the server learns that the client is gone", left)
	within(t, "the handler ends", w.ended)
	e := w.quota.only(t).entry
	equal(t, "end", e.End, ledger.EndClientGone)
}

// longestPatience is the last that a test tries which begins with a short one.
const longestPatience = 8 * time.Second

// TestListeningEnds by the upstream's own timeouts where they are set, and by ours.
func TestListeningEnds(t *testing.T) {
	t.Parallel()
	silent := wire(t, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, streamHead+chunk(": begun\n\n"))
		until(c)
	})
	for name, change := range map[string]func(time.Duration) func(*world){
		"ours": func(patience time.Duration) func(*world) {
			return func(w *world) { w.patience.Listen = patience }
		},
		"its own": func(patience time.Duration) func(*world) {
			return with(map[string]any{"upstream:tools": registry.Upstream{Name: "tools", Protocol: registry.MCP, BaseURL: silent,
				Timeouts: registry.Timeouts{Idle: registry.Duration(max(patience, time.Second))}}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for patience := 50 * time.Millisecond; ; patience *= 2 { // a busy machine may need it all to begin
				w := open(t, silent, bound, change(patience))
				got := do(t, w.request(http.MethodGet, "/mcp", "", as("other")))
				within(t, "the handler ends", w.ended)
				if patience < longestPatience && got.body != ": begun\n\n" {
					continue
				}
				equal(t, "body", got.body, ": begun\n\n")
				equal(t, "cut", got.err, io.ErrUnexpectedEOF)
				equal(t, "end", w.quota.only(t).entry.End, ledger.EndTimeout)
				return
			}
		})
	}
}

// TestNoMessageIsAnswered where there is none: a GET's refusal is no JSON-RPC.
func TestNoMessageIsAnswered(t *testing.T) {
	t.Parallel()
	w := open(t, record(t, nil).URL)
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		got := do(t, w.request(method, "/mcp", "", "Authorization: "))
		equal(t, method, got.Header.Get("Content-Type"), toProblem)
		equal(t, method, got.body, inProblem("JWT missing", "Unauthorized", "401", "jwt_missing"))
	}
}

// TestOrigins: a page that the API does not list is refused, against names that were made to point here.
func TestOrigins(t *testing.T) {
	t.Parallel()
	upstream := record(t, nil)
	api := registry.API{Name: "tools", Type: registry.MCP, BasePath: "/mcp", StripBasePath: true,
		Upstreams: []registry.Target{{Upstream: "tools"}}}
	page := "https://page.example"
	for name, row := range map[string]struct {
		kind    string
		origins []string
		origin  string
		status  int
	}{
		"a listed one":        {registry.MCP, []string{page}, page, 200},
		"in other letters":    {registry.MCP, []string{page}, "HTTPS://page.example", 200},
		"another":             {registry.MCP, []string{page}, "https://evil.example", 403},
		"of another port":     {registry.MCP, []string{page}, page + ":81", 403},
		"that is opaque":      {registry.MCP, []string{page}, "null", 403},
		"no page":             {registry.MCP, []string{page}, "", 200},
		"any is listed":       {registry.MCP, []string{"*"}, "https://evil.example", 200},
		"none is listed":      {registry.MCP, nil, "https://evil.example", 200},
		"another kind of API": {registry.HTTP, []string{page}, "https://evil.example", 200},
	} {
		api.Type, api.CORS = row.kind, nil
		if row.origins != nil {
			api.CORS = &registry.CORS{Origins: row.origins}
		}
		w := open(t, upstream.URL, with(map[string]any{"api:tools": api}))
		got := do(t, w.request(http.MethodPost, "/mcp", `{"id":1}`, "Origin: "+row.origin))
		equal(t, name, got.StatusCode, row.status)
		equal(t, name+": admitted", w.quota.admitted() == 1, row.status == 200)
		if row.status == 403 {
			equal(t, name, got.body, inRPC("Pages of this origin may not call this API", "1", "origin_not_allowed"))
		}
	}
}
