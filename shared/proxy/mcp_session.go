package proxy

import (
	"crypto/subtle"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"keyless/shared/seal"
)

// A session's id is all that a server asks of who comes back, so that whoever learns one has the session. Through the gateway an id goes
// out behind a tag, `<22 of base64url>.<the upstream's id>`, which is an HMAC over the id, the caller and the API under the registry's
// pepper: every instance of the gateway can check it and none remembers it. With another caller's tag, or without one, a session is as
// unknown as one that ended: 404, on which a client begins anew (MCP 2025-06-18, Session Management).
//
// The caller is the consumer and the token's subject: many clients may be one consumer. On the older transport the id stands in the
// query of the URL that the server names (sessionId, session_id); one that stands elsewhere, as in a path, is not bound.

const (
	sessionHeader = "Mcp-Session-Id"
	tagLength     = 22 // 132 bits
)

var sessionNotFound = refusal{status: http.StatusNotFound, code: "session_not_found", message: "Session not found"}

// unwrapSessions checks the ids of sessions that the call names.
func (c *call) unwrapSessions() *refusal {
	var sent []string
	for name, values := range c.in.Header {
		if http.CanonicalHeaderKey(name) == sessionHeader {
			sent = append(sent, values...)
		}
	}
	if len(sent) > 1 {
		return badRequest("the header Mcp-Session-Id stands twice")
	}
	for _, value := range sent {
		id, mine := c.unwrapped(value)
		if !mine {
			return &sessionNotFound
		}
		c.mcp.session = id
	}
	if strings.Contains(c.in.URL.RawQuery, ";") {
		return badRequest("the query has a semicolon, at which some servers split it; write %3B")
	}
	for pair := range strings.SplitSeq(c.in.URL.RawQuery, "&") {
		value, isSession := sessionIn(pair)
		if !isSession {
			continue
		}
		if _, mine := c.unwrappedValue(value); !mine {
			return &sessionNotFound
		}
	}
	return nil
}

// sessionUp sets the upstream's own id.
func (c *call) sessionUp(h http.Header) {
	if !c.isMCP() {
		return
	}
	if delete(h, sessionHeader); c.mcp.session != "" {
		h.Set(sessionHeader, c.mcp.session)
	}
}

// sessionQueryUp puts the upstream's own ids into a query that unwrapSessions has checked.
func (c *call) sessionQueryUp(query string) string {
	if !c.isMCP() || query == "" {
		return query
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		if value, isSession := sessionIn(pair); isSession {
			name, _, _ := strings.Cut(pair, "=")
			id, _ := c.unwrappedValue(value)
			pairs[i] = name + "=" + id
		}
	}
	return strings.Join(pairs, "&")
}

// sessionDown binds the session that an answer names. Without the pepper nothing can be bound, and no id goes out.
func (c *call) sessionDown(h http.Header) {
	given := h[sessionHeader]
	if !c.isMCP() || len(given) == 0 {
		return
	}
	if len(given) > 1 || len(c.known.Pepper) == 0 {
		c.note(slog.String("session", "dropped: "+map[bool]string{true: "given twice", false: "no pepper"}[len(given) > 1]))
		delete(h, sessionHeader)
		return
	}
	h[sessionHeader] = []string{c.wrapped(given[0])}
}

// wrapped is an id with the caller's tag before it.
func (c *call) wrapped(id string) string { return c.tag(id) + "." + id }

// unwrapped checks the tag and takes it off.
func (c *call) unwrapped(value string) (id string, mine bool) {
	if len(c.known.Pepper) == 0 || len(value) <= tagLength+1 || value[tagLength] != '.' {
		return "", false
	}
	id = value[tagLength+1:]
	return id, subtle.ConstantTimeCompare([]byte(c.tag(id)), []byte(value[:tagLength])) == 1
}

// unwrappedValue does so in a query: the tag is made for the decoded id, and the id goes up as it was written.
func (c *call) unwrappedValue(value string) (raw string, mine bool) {
	decoded, err := url.QueryUnescape(value)
	if err != nil {
		return "", false
	}
	_, mine = c.unwrapped(decoded)
	if !mine || len(value) <= tagLength || value[:tagLength+1] != decoded[:tagLength+1] {
		return "", false
	}
	return value[tagLength+1:], true
}

func (c *call) tag(id string) string {
	consumer := ""
	if c.decision.Consumer != nil {
		consumer = c.decision.Consumer.Name
	}
	owner := seal.Digest("mcp session", c.route.API.Name, consumer, c.decision.Subject)
	_, hash, _ := strings.Cut(seal.Hash(c.known.Pepper, owner, id), ":")
	return hash[:tagLength]
}

// sessionIn finds the id of a session in a pair of a query. Its name is judged by its letters alone: frameworks take sessionId[],
// [sessionId] and the like for it.
func sessionIn(pair string) (value string, isSession bool) {
	raw, value, _ := strings.Cut(pair, "=")
	name, err := url.QueryUnescape(raw)
	if err != nil {
		name = raw
	}
	letters := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, strings.ToLower(name))
	return value, letters == "sessionid"
}
