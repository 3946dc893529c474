package proxy

import (
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strings"

	"keyless/shared/registry"
)

// An MCP API (Model Context Protocol, Streamable HTTP of 2025-03-26 and 2025-06-18, and the older HTTP+SSE) is proxied as it is: a POST
// with a JSON-RPC message or a batch, a GET that listens, a DELETE that ends a session. What differs from other APIs:
//
//   - A body is read strictly, so that the server behind us reads the message that was judged. Any body is, whatever the method.
//   - Who may call some tools only is held to them: tools/call by params.name, and what looks like a list of tools without the others,
//     whatever it answers. Every other method passes (prompts/get, resources/read, completion/complete): to be kept from them is a
//     matter of the API.
//   - A session belongs to the caller to whom it was given (mcp_session.go).
//   - One admitted request, of whatever method, is one call, a batch too; a batch of which one tool is refused is refused whole.

// mcpCall is what a call of an MCP API is about.
type mcpCall struct {
	read     bool // the body was, as what follows
	batch    bool
	ids      []json.RawMessage // of the requests
	listless bool              // all that it asks is answered by something else than a list of tools
	tool     string            // the one that is called; "" none or several
	session  string            // the upstream's own id of the session
}

const (
	methodCall = "tools/call"
	// maxBatch bounds a batch, which counts as one call. 2025-06-18 has none at all.
	maxBatch = 20
)

// listless are the methods whose answers are no list of tools, and may be as long as a file is. By its id a message cannot be told to be
// such an answer: a server may know ids by another value than ours.
var listless = []string{methodCall, "resources/read", "prompts/get"}

// isMCP reports whether the call's API speaks MCP.
func (c *call) isMCP() bool { return c.route.API != nil && c.route.API.Type == registry.MCP }

// originNotAllowed is for pages that reach a server through a name that was made to point to it (DNS rebinding).
var originNotAllowed = refusal{status: http.StatusForbidden, code: "origin_not_allowed",
	message: "Pages of this origin may not call this API"}

// judgeOrigin refuses a browser's page that the API's `cors` does not list, as MCP asks of servers. Without a list it is the upstream's
// to judge.
func (c *call) judgeOrigin() *refusal {
	rules := c.route.API.CORS
	origin := c.in.Header.Values("Origin")
	if !c.isMCP() || rules == nil || len(rules.Origins) == 0 || len(origin) == 0 || slices.Contains(rules.Origins, "*") {
		return nil
	}
	for _, sent := range origin {
		if !slices.ContainsFunc(rules.Origins, func(o string) bool { return strings.EqualFold(o, sent) }) {
			return &originNotAllowed
		}
	}
	return nil
}

// readMCP judges what the call says: its session, its messages, and the tools that they call.
func (c *call) readMCP() *refusal {
	c.mcp = mcpCall{}
	if !c.isMCP() {
		return nil
	}
	if refused := c.unwrapSessions(); refused != nil {
		return refused
	}
	if len(c.body) == 0 {
		return nil
	}
	switch c.in.Method {
	case http.MethodGet, http.MethodHead, http.MethodDelete:
		return badRequest("a message is sent with POST: a GET, HEAD or DELETE is to have no body")
	}
	if unreadable := badForm(c.in.Header); unreadable != "" {
		return badRequest(unreadable)
	}
	messages, batch, unreadable := readMessages(c.body)
	if unreadable != "" {
		return badRequest(unreadable)
	}
	c.remember(messages, batch)
	if !batch && contradicted(c.in.Header, messages[0]) {
		return badRequest("the headers Mcp-Method and Mcp-Name are to say what the message says")
	}
	for _, m := range messages {
		if m.method == methodCall && !c.decision.ToolAllowed(m.tool) {
			return ofDecision(c.decision)
		}
	}
	return nil
}

// remember keeps what the answer, and a refusal, will need to know.
func (c *call) remember(messages []message, batch bool) {
	c.mcp.read, c.mcp.batch, c.mcp.listless = true, batch, c.in.Method == http.MethodPost
	var tools []string
	for _, m := range messages {
		if m.method == methodCall {
			tools = append(tools, m.tool)
		}
		if m.id != nil {
			c.mcp.ids = append(c.mcp.ids, m.id)
		}
		if m.id == nil || !slices.Contains(listless, m.method) {
			c.mcp.listless = false
		}
	}
	if slices.Sort(tools); len(slices.Compact(tools)) == 1 {
		c.mcp.tool = tools[0]
	}
}

// badForm refuses a body that a server could decode to another text than the one that was judged: packed, or in another character set
// (in UTF-7 a quote can be written as +ACI-).
func badForm(h http.Header) string {
	if kinds := h.Values("Content-Type"); len(kinds) > 0 {
		kind, parameters, err := mime.ParseMediaType(kinds[0])
		charset := parameters["charset"]
		if err != nil || len(kinds) > 1 || kind != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") {
			return "the body of a message is to be application/json in UTF-8"
		}
	}
	if packed := h.Values("Content-Encoding"); len(packed) > 0 && !(len(packed) == 1 && strings.EqualFold(packed[0], "identity")) {
		return "the body of a message is not to be packed"
	}
	return ""
}

// contradicted reports whether one of the headers in which later versions repeat what a message asks (SEP-2243) says something else:
// a server may go by either.
func contradicted(h http.Header, m message) bool {
	for _, method := range h.Values("Mcp-Method") {
		if method != m.method {
			return true
		}
	}
	for _, name := range h.Values("Mcp-Name") {
		if m.method == methodCall && name != m.tool {
			return true
		}
	}
	return false
}

// listens reports whether the call opens a stream on which the server speaks when it likes: silence is no failure there.
func (c *call) listens() bool { return c.isMCP() && c.in.Method == http.MethodGet }

// followMCP sets what edits an answer's events.
func (c *call) followMCP(x *exchange) {
	if !isEventStream(x.Header) || x.StatusCode >= http.StatusMultipleChoices || x.Header.Get("Content-Encoding") != "" {
		return
	}
	x.events = true
	x.mcp = &mcpEvents{}
	switch {
	case c.picksTools():
		x.mcp.edit, x.mcp.strict, x.mcp.most = c.editor(x), true, maxMessage
	case c.listens(): // only a short event may have to be edited
		x.mcp.edit, x.mcp.most = c.editor(x), maxEndpoint
	}
}

const (
	// maxMessage bounds a message that is held to pick tools from it: the longest lists known have some hundred kilobytes.
	maxMessage = 1 << 20
	// maxEndpoint bounds the event of the older transport that names a URL.
	maxEndpoint = 16 << 10
)

// editor edits one event's data.
func (c *call) editor(x *exchange) func(name string, data []byte) ([]byte, error) {
	return func(name string, data []byte) ([]byte, error) {
		switch {
		case name == endpointEvent && c.listens():
			return c.endpointDown(x, data)
		case c.picksTools():
			return pickTools(data, c.decision.MaySeeTool)
		}
		return data, nil
	}
}
