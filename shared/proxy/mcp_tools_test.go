package proxy_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"keyless/shared/proxy"
	"keyless/shared/registry"
)

// TestListeningCarriesNoMessage: a server that read the body of a GET, HEAD or DELETE would answer what nobody judged as a call.
func TestListeningCarriesNoMessage(t *testing.T) {
	t.Parallel()
	upstream := record(t, answers(200, toJSON, toolList))
	w := open(t, upstream.URL, bound)
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodDelete} {
		for _, body := range []string{`{"jsonrpc":"2.0","id":3,"method":"ping"}`, lists, " "} {
			got := do(t, w.request(method, "/mcp", body, as("agent")))
			equal(t, method+" of "+body, got.StatusCode, 400)
		}
		equal(t, method+": went up", upstream.count(), 0)
		got := do(t, w.request(method, "/mcp", "", as("agent")))
		equal(t, method+" without", got.StatusCode, 200)
		equal(t, method+": went up", upstream.count(), 1)
		equal(t, method+": a list", strings.Contains(got.body, `"rm"`), false)
		upstream.seen = nil
	}
	equal(t, "a POST", do(t, w.request(http.MethodPost, "/mcp", lists, as("agent"))).body, picked)
}

// TestMCPIDs: two ids that one reader takes for one are refused, and so is one that a reader changes.
func TestMCPIDs(t *testing.T) {
	t.Parallel()
	one := func(id string) string { return `{"id":` + id + `,"method":"ping"}` }
	two := func(a, b string) string { return "[" + one(a) + "," + one(b) + "]" }
	for name, row := range map[string]struct{ passes, refused string }{
		"beyond what JavaScript counts":  {one("9007199254740991"), one("9007199254740992")},
		"below it":                       {one("-9007199254740991"), one("-9007199254740992")},
		"beyond what Go counts":          {one(`"9223372036854775808"`), one("9223372036854775808")},
		"a fraction of nothing":          {one("1"), one("1.0")},
		"an exponent":                    {one("0"), one("1e0")},
		"a large one":                    {one("100"), one("1E2")},
		"a logical value":                {one(`"true"`), one("true")},
		"in a batch":                     {"[" + one("1") + "]", "[" + one("9007199254740993") + "]"},
		"one value twice":                {two("0", "1"), two("0", "-0")},
		"one text in two spellings":      {two(`"a"`, `"b"`), two(`"a"`, `"\u0061"`)},
		"a text and a number are two":    {two(`"1"`, "1"), two(`"1"`, `"\u0031"`)},
		"two that JavaScript takes as 1": {two("9007199254740990", "9007199254740991"), two("9007199254740992", "9007199254740993")},
	} {
		equal(t, name+": the neighbour", proxy.ReadMessages(row.passes), "")
		equal(t, name+": refused", proxy.ReadMessages(row.refused) != "", true)
	}
}

// TestToolsHideUnderNoID: what looks like a list is picked from, whatever request its id says that it answers.
func TestToolsHideUnderNoID(t *testing.T) {
	t.Parallel()
	ping := `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	var kind, answer atomic.Value
	upstream := record(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind.Load().(string))
		_, _ = io.WriteString(w, answer.Load().(string))
	})
	w := open(t, upstream.URL, bound)
	for name, asked := range map[string]string{
		"a list":                 lists,
		"a ping":                 ping,
		"both":                   "[" + ping + "," + lists + "]",
		"a call and a ping":      "[" + calls("2", "echo") + "," + ping + "]",
		"a list, not asked for":  `{"jsonrpc":"2.0","method":"tools/list"}`,
		"a method of another's":  `{"jsonrpc":"2.0","id":1,"method":"Tools/List"}`,
		"an answer":              `{"jsonrpc":"2.0","id":1,"result":{}}`,
		"nothing":                "",
		"a call, not asked for":  `{"jsonrpc":"2.0","method":"tools/call","params":{"name":"echo"}}`,
		"no method":              `{"jsonrpc":"2.0","id":1}`,
		"a start":                `{"jsonrpc":"2.0","id":1,"method":"initialize"}`,
		"a note and a call of 1": `[{"method":"notifications/initialized"},` + calls("1", "echo") + "]",
	} {
		for _, id := range []string{"1", `"1"`, "1.0", "1e0", `"\u0031"`, "null", "3", "9007199254740993"} {
			full := strings.Replace(toolList, `"id":3`, `"id":`+id, 1)
			want := strings.Replace(picked, `"id":3`, `"id":`+id, 1)
			for _, as := range []string{as("agent"), as("other")} {
				kind.Store(toJSON)
				answer.Store(full)
				equal(t, name+", "+id, do(t, w.request(http.MethodPost, "/mcp", asked, as)).body, want)
				kind.Store(isEvents)
				answer.Store("data: " + full + "\n\n")
				equal(t, name+", "+id, do(t, w.request(http.MethodPost, "/mcp", asked, as)).body, "data: "+want+"\n\n")
				want = full
			}
		}
	}
}

// TestToolsAreReadStrictly: what two readers understand differently may hold a list for one of them, so that nothing of it passes to who
// sees some tools only.
func TestToolsAreReadStrictly(t *testing.T) {
	t.Parallel()
	broken := inRPC("The upstream's answer broke off or cannot be understood", "3", "upstream_broken")
	for name, row := range map[string]struct {
		text  string
		clear bool
	}{
		"strict JSON":      {toolList, true},
		"a word":           {"ping", true},
		"not a number":     {strings.Replace(toolList, `"n"`, "NaN", 1), false},
		"infinity":         {strings.Replace(toolList, `"n"`, "-Infinity", 1), false},
		"a member twice":   {strings.Replace(toolList, `"id":3`, `"id":3,"id":4`, 1), false},
		"two results":      {strings.Replace(toolList, `"result"`, `"result":{},"result"`, 1), false},
		"a name twice":     {strings.Replace(toolList, `"rm"`, `"rm","n\u0061me":"echo"`, 1), false},
		"not UTF-8":        {strings.Replace(toolList, `"tools"`, "\"to\xffols\"", 1), false},
		"a comma too many": {strings.Replace(toolList, `"n"}`, `"n",}`, 1), false},
		"a comment":        {"/**/" + toolList, false},
		"a second value":   {toolList + toolList, false},
		"a mark of order":  {"\ufeff" + toolList, false},
		"cut":              {toolList[:len(toolList)-1], false},
		"in a batch":       {"[" + toolList + `,{"a":1,"a":2}]`, false},
		"too deep":         {strings.Replace(toolList, `"n"`, strings.Repeat("[", 70)+strings.Repeat("]", 70), 1), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen, stream := row.text, "data: {}\n\ndata: "+row.text+"\n\ndata: {}\n\n"
			if row.text == toolList {
				seen = picked
			}
			w := open(t, record(t, answers(200, toJSON, row.text)).URL, bound)
			s := open(t, record(t, answers(200, isEvents, stream)).URL, bound)
			whole := do(t, w.request(http.MethodPost, "/mcp", lists, as("agent")))
			streamed := do(t, s.request(http.MethodPost, "/mcp", lists, as("agent")))
			heard := do(t, s.request(http.MethodGet, "/mcp", "", as("agent")))
			if row.clear {
				equal(t, "whole", whole.body, seen)
				equal(t, "streamed", streamed.body, "data: {}\n\ndata: "+seen+"\n\ndata: {}\n\n")
				equal(t, "heard", heard.body, streamed.body)
				equal(t, "no cut", streamed.err == nil && heard.err == nil, true)
			} else {
				equal(t, "whole", whole.StatusCode, 502)
				equal(t, "whole", whole.body, broken)
				equal(t, "streamed", streamed.body, "data: {}\n\n\n\ndata: "+broken+"\n\n")
				equal(t, "the cuts are seen", streamed.err == io.ErrUnexpectedEOF && heard.err == io.ErrUnexpectedEOF, true)
				equal(t, "heard", strings.Contains(heard.body, "rm"), false)
			}
			equal(t, "whole, all tools", do(t, w.request(http.MethodPost, "/mcp", lists, as("other"))).body, row.text)
			equal(t, "streamed, all tools", do(t, s.request(http.MethodPost, "/mcp", lists, as("other"))).body, stream)
		})
	}
}

// TestToolsAnswersStayWhole: what a tool, a resource or a prompt says is no list, however long it is and whatever it looks like.
func TestToolsAnswersStayWhole(t *testing.T) {
	t.Parallel()
	long := `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"rm"}],"a":NaN,"content":"` + strings.Repeat("x", 2<<20) + `"}}`
	asked := []string{calls("1", "echo"), `{"id":1,"method":"resources/read","params":{"uri":"a"}}`,
		`{"id":1,"method":"prompts/get","params":{"name":"a"}}`, "[" + calls("1", "echo") + "," + calls("2", "get-a") + "]"}
	for kind, answer := range map[string]string{toJSON: long, isEvents: "data: " + long + "\n\n"} {
		w := open(t, record(t, answers(200, kind, answer)).URL, bound)
		for _, asked := range asked {
			got := do(t, w.request(http.MethodPost, "/mcp", asked, as("agent")))
			equal(t, "no error", got.err, nil)
			equal(t, kind+" to "+asked, got.body == answer, true)
		}
		got := do(t, w.request(http.MethodPut, "/mcp", calls("1", "echo"), as("agent")))
		equal(t, kind+" to a PUT", strings.Contains(got.body, `"rm"`), false)
	}
}

// TestListeningHasNoLength where there is none: an answer without content stays so for who sees some tools only.
func TestListeningHasNoLength(t *testing.T) {
	t.Parallel()
	w := open(t, record(t, answers(204, "", "")).URL, bound)
	for _, consumer := range []string{"agent", "other"} {
		got := do(t, w.request(http.MethodDelete, "/mcp", "", as(consumer)))
		equal(t, consumer, got.StatusCode, 204)
		equal(t, consumer, got.Header.Get("Content-Length"), "")
	}
}

// TestEndpointIsCanonical: a URL for messages that a client could take for one of another host breaks the stream.
func TestEndpointIsCanonical(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		endpoint, base, want string
		kept                 bool // the base path stays
	}{
		"a path":                      {"/m", "/", "/m", false},
		"a URL":                       {"http://x/evil.example/m", "/", "/evil.example/m", false},
		"a folder":                    {"/messages/", "/", "/messages/", false},
		"the root":                    {"http://x?a=1", "/", "/?a=1", false},
		"an escape":                   {"/m%20a", "/", "/m%20a", false},
		"a way up that ends within":   {"/a/../m", "/", "/m", false},
		"below a base path":           {"/m", "/mcp", "/mcp/m", false},
		"another host, after a URL":   {"http://x//evil.example/m", "/", "", false},
		"another host, after a dot":   {"/.//evil.example/x", "/", "", false},
		"another host, after dots":    {"/a/..//evil.example/x", "/", "", false},
		"another host, three slashes": {"///evil.example/x", "/", "", false},
		"four slashes":                {"////evil.example/x", "/", "", false},
		"below a base path, empty":    {"http://x//evil.example/m", "/mcp", "", false},
		"an empty segment":            {"/a//m", "/", "", false},
		"an empty end":                {"/m//", "/", "", false},
		"an encoded dot":              {"/%2e//evil.example/m", "/", "", false},
		"encoded dots":                {"/a/%2E%2E/m", "/", "", false},
		"a backslash":                 {`/\evil.example/m`, "/", "", false},
		"a backslash inside":          {`/a\m`, "/", "", false},
		"an encoded backslash":        {"/%5Cevil.example/m", "/", "", false},
		"an encoded slash":            {"/%2Fevil.example/m", "/", "", false},
		"an encoded slash, small":     {"/a%2fm", "/", "", false},
		"a parameter":                 {"/..;/m", "/", "", false},
		"a script":                    {"javascript:alert(1)", "/", "", false},
		"a tab":                       {"/\t/evil.example/m", "/", "", false},
		"kept whole":                  {"/m", "/", "/m", true},
		"another host, kept whole":    {"http://x//evil.example/m", "/", "", true},
		"a dot, kept whole":           {"/.//evil.example/x", "/", "", true},
		"below a base path, kept":     {"/mcp//m", "/mcp", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := older(t, row.endpoint)
			w := open(t, upstream.URL, bound, with(map[string]any{
				"upstream:tools": registry.Upstream{Name: "tools", Protocol: registry.MCP, BaseURL: upstream.URL},
				"api:tools": registry.API{Name: "tools", Type: registry.MCP, BasePath: row.base, StripBasePath: !row.kept,
					Upstreams: target("tools")},
			}))
			for _, consumer := range []string{"agent", "other"} {
				got := do(t, w.request(http.MethodGet, strings.TrimSuffix(row.base, "/")+"/sse", "", as(consumer)))
				if row.want == "" {
					equal(t, "nothing of it passes", got.body, "")
					equal(t, "cut", got.err != nil, true)
					continue
				}
				equal(t, "endpoint", endpointOf(t, got.body), row.want)
				equal(t, "no cut", got.err, nil)
				equal(t, "a message", do(t, w.request(http.MethodPost, row.want, `{"id":1}`, as(consumer))).StatusCode, 202)
			}
		})
	}
}

// TestEndpointHidesInNoLongEvent: what is too long to be held passes only where it cannot turn out to name a URL.
func TestEndpointHidesInNoLongEvent(t *testing.T) {
	t.Parallel()
	long := "data: //evil.example/" + strings.Repeat("x", 20<<10) + "\n"
	for name, row := range map[string]struct {
		stream string
		passes bool
	}{
		"a message":            {"event: message\n" + long + "id: 1\n\ndata: {}\n\n", true},
		"fields that begin so": {long + "even\nevents: endpoint\n: event: endpoint\n\n", true},
		"an end within":        {long + "eve", true},
		"a named one":          {"event: endpoint\n" + long + "\n", false},
		"named afterwards":     {long + "event: endpoint\n\n", false},
		"named afterwards, CR": {"event: message\r" + strings.Trim(long, "\n") + "\revent:endpoint\r\r", false},
		"otherwise named":      {long + "event: endpoints\n\n", true},
		"named in pieces":      {"data: " + strings.Repeat("x", 16<<10-12) + "\nevent: endpoint\n\n", false},
		"named at last":        {"event: message\n" + long + long + "event:endpoint\n\n", false},
	} {
		for _, size := range []int{7, 11, 4096} {
			var pieces []string
			for rest := row.stream; rest != ""; {
				n := min(size, len(rest))
				pieces, rest = append(pieces, rest[:n]), rest[n:]
			}
			got, err := proxy.FeedEvents(shout, 16<<10, false, pieces...)
			equal(t, name+": breaks", err == nil, row.passes)
			if row.passes {
				equal(t, name+": is whole", got == row.stream, true)
			} else {
				equal(t, name+": keeps its name back", strings.Contains(got, "endpoint"), false)
				equal(t, name+": keeps the field back", strings.HasSuffix(got, "event:"), false)
			}
		}
		w := open(t, record(t, answers(200, isEvents, row.stream)).URL, bound)
		got := do(t, w.request(http.MethodGet, "/mcp", "", as("other")))
		equal(t, name+": cut", got.err == nil, row.passes)
		equal(t, name+": an endpoint", strings.Contains(got.body, "event: endpoint") && !row.passes, false)
	}
}
