package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"keyless/shared/accesslog"
	"keyless/shared/auth"
	"keyless/shared/proxy/meter"
	"keyless/shared/quota"
	"keyless/shared/registry"
)

// Bounds of what one call can make us do.
const (
	// firstRoom is what a body gets at once, whatever length it announces: memory follows what arrives.
	firstRoom = 64 << 10
	// maxParameters bounds the query: proxies and upstreams differ on where they stop reading.
	maxParameters = 100
	// leastTime is what a call needs to be worth sending.
	leastTime = 2 * time.Second
	// maxRPCBody bounds the body that is searched for the id of a JSON-RPC request, which is small where it
	// matters.
	maxRPCBody = 64 << 10
)

// call is one request on its way. It belongs to one goroutine.
type call struct {
	w  http.ResponseWriter
	in *http.Request
	id string

	route     registry.Route
	known     *registry.Snapshot // that the route was found in
	dialect   dialect
	decision  auth.Decision
	admission quota.Admission
	held      quota.Used // what the admission holds for it
	refused   *refusal   // why the call ends here

	body     []byte
	bodyRead bool
	ask      meter.Ask
	bound    int64 // model tokens of output that are asked of the upstream where the caller bounds none; 0: nothing is
	aims     []aim // where the call may go, best first

	began time.Time // of the request
	at    time.Time // of the admission
	ours  bool      // the answer is: no upstream is asked
	reply []byte    // an answer of ours, in place of the upstream's
	named []string  // the models that a list of ours names
	mcp   mcpCall   // the zero value on any other API
	lists bool      // the upstream's answer is its list of models, of which the caller sees what it may call

	sent     atomic.Bool // bytes may have gone to an upstream; set from within the transport
	attempts int
	lastTry  bool      // no other attempt may follow
	failures []string  // of the attempts before the last
	last     *exchange // the newest
	begun    bool      // a head is on its way to the caller
	status   int       // in it
	end      string    // of the ledger's words
	gone     bool      // the caller is, and the upstream is read on
	drained  int       // bytes since
	notes    []slog.Attr

	hit   bool   // the answer is one that was kept
	tape  *tape  // takes the answer down; nil: the API has no cache
	drawn drawer // where it is kept
}

func newCall(w http.ResponseWriter, r *http.Request) *call {
	id := accesslog.RequestID(r)
	if id == "" {
		// The door is wired wrongly: without accesslog.Handler in front all calls would share one reservation.
		panic("proxy: a request without an id")
	}
	return &call{w: w, in: r, id: id, began: time.Now()}
}

func (c *call) note(attrs ...slog.Attr) { c.notes = append(c.notes, attrs...) }

// log puts what became of the call on its access line: names of ours only, never a claim or a secret.
func (c *call) log() {
	if c.route.Domain != nil {
		c.note(slog.String("domain", c.route.Domain.Name))
	}
	if c.route.API != nil {
		c.note(slog.String("api", c.route.API.Name))
	}
	if c.decision.Consumer != nil {
		c.note(slog.String("consumer", c.decision.Consumer.Name))
	}
	if last := len(c.decision.Trace) - 1; last >= 0 && c.decision.Reason != "" {
		c.note(slog.String("why", c.decision.Trace[last].Name+": "+c.decision.Trace[last].Fact))
	}
	accesslog.Add(c.in.Context(), c.notes...)
}

// begin sends the head of an upstream's answer.
func (c *call) begin(status int) {
	c.begun, c.status = true, status
	c.w.WriteHeader(status)
}

// drains reports whether the upstream is read on when the caller is gone.
func (c *call) drains() bool {
	return c.route.API.OnClientGone == "drain" && c.ask.Metered
}

// managed reports whether the API speaks a protocol that we speak too. For plain http we are a pipe.
func (c *call) managed() bool { return c.route.API.Type != registry.HTTP }

// unsupported refuses what would take the connection out of our hands. An offer of h2c is not a wish:
// clients that make it go on in HTTP/1.1 where it is passed over (RFC 9110 §7.8), as Java's do on every
// first request.
func unsupported(r *http.Request) *refusal {
	upgrade := tokensOf(r.Header["Connection"])["upgrade"] && !strings.EqualFold(r.Header.Get("Upgrade"), "h2c")
	if upgrade || r.Method == http.MethodConnect || r.Method == http.MethodTrace {
		return &notSupported
	}
	return nil
}

// find routes the call. What nobody offers, and what is offered to authorizers only, is not here.
func (c *call) find(v registry.View) *refusal {
	route, err := v.Route(c.in)
	c.route, c.dialect, c.known = route, problem, v.Snapshot
	c.ours, c.reply, c.lists = false, nil, false
	if err != nil {
		return badRequest(registry.ErrPath.Error())
	}
	if route.API == nil || route.API.AuthorizerOnly() {
		return &apiNotFound
	}
	if !slices.ContainsFunc(route.API.Upstreams, func(t registry.Target) bool { return v.Upstreams[t.Upstream] != nil }) {
		return &apiNotFound // between two parts of a change: the upstreams are gone, the API not yet
	}
	c.dialect = dialectOf(route)
	if c.dialect == rpc && c.in.Method != http.MethodPost {
		c.dialect = problem // there is no message to answer
	}
	if refused := c.judgeMethod(); refused != nil {
		return refused
	}
	return badQuery(c.in.URL.RawQuery)
}

// badQuery refuses a query that two readers could understand differently.
func badQuery(raw string) *refusal {
	if strings.Count(raw, "&") >= maxParameters {
		return badRequest("the query has more than 100 parameters")
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '#' }) {
		return badRequest("the query has a character that must be percent-encoded")
	}
	return nil
}

// maxBody is the smallest of what the door can carry and what the API takes.
func (p *proxy) maxBody(a *registry.API) int64 {
	if a.BodyMaxBytes > 0 {
		return min(a.BodyMaxBytes, p.MaxBody)
	}
	return min(registry.DefaultBodyMaxBytes, p.MaxBody)
}

// readAll reads to the end. Its room follows what arrives, and ends at what was announced: a large prompt is held once, not in the next
// power of two.
func readAll(r io.Reader, announced int64) ([]byte, error) {
	body := make([]byte, 0, min(max(announced, 0), firstRoom)+1) // one more, in which the end is found
	for {
		n, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if errors.Is(err, io.EOF) {
			return body, nil
		}
		if err != nil {
			return nil, err
		}
		if len(body) < cap(body) {
			continue
		}
		room := 2 * cap(body)
		if rest := int(announced) + 1; rest > cap(body) && rest < room {
			room = rest
		}
		grown := make([]byte, len(body), room)
		copy(grown, body)
		body = grown
	}
}

// readBody reads the body once, at most limit bytes of it.
func (c *call) readBody(limit int64) *refusal {
	if c.in.ContentLength > limit || int64(len(c.body)) > limit {
		return &bodyTooLarge
	}
	if c.bodyRead || c.in.Body == nil || c.in.Body == http.NoBody {
		return nil
	}
	c.bodyRead = true
	body, err := readAll(http.MaxBytesReader(c.w, c.in.Body, limit), c.in.ContentLength)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return &bodyTooLarge
	case err != nil:
		c.note(slog.String("error", err.Error()))
		return badRequest("the request body ended early or could not be read")
	}
	c.body = body
	c.in.Body = io.NopCloser(bytes.NewReader(c.body)) // for the gate, where the call is considered anew
	return nil
}

func isInteger(text []byte) bool {
	var n int64
	return len(text) > 0 && text[0] != 'n' && json.Unmarshal(text, &n) == nil
}
