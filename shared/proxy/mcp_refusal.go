package proxy

import (
	"encoding/json"
	"io"

	"keyless/shared/oauth"
)

// rpcRefusal is a refusal in JSON-RPC: with the id of the request that it answers, and to a batch once for each request in it. Where the
// id is not clear it is null (JSON-RPC 2.0 §5).
func (c *call) rpcRefusal(r refusal) any {
	ids, batch := c.rpcIDs()
	if len(ids) == 0 {
		ids, batch = []json.RawMessage{json.RawMessage("null")}, false
	}
	errors := make([]rpcBody, len(ids))
	for i, id := range ids {
		errors[i] = rpcBody{"2.0", id, rpcError{rpcRefused, r.message, rpcData{r.code, c.id}}}
	}
	if batch {
		return errors
	}
	return errors[0]
}

// rpcIDs returns the ids of what the call asks. A caller who was refused has not had its body read: a little of it is read now, no more
// than net/http reads anyhow to keep the connection.
func (c *call) rpcIDs() (ids []json.RawMessage, batch bool) {
	if c.mcp.read {
		return c.mcp.ids, c.mcp.batch
	}
	body := c.body
	if !c.bodyRead && c.in.Body != nil && c.in.ContentLength <= maxRPCBody && c.in.Header.Get("Expect") == "" {
		c.bodyRead = true
		body, _ = io.ReadAll(io.LimitReader(c.in.Body, maxRPCBody+1))
	}
	if len(body) == 0 || len(body) > maxRPCBody {
		return nil, false
	}
	var texts []json.RawMessage
	if batch = json.Unmarshal(body, &texts) == nil; !batch {
		texts = []json.RawMessage{body}
	}
	if len(texts) > maxBatch {
		return nil, batch
	}
	for _, text := range texts {
		members, err := oauth.Object(text)
		if id := members["id"]; err == nil && validID(id) && (!batch || members["result"] == nil && members["error"] == nil) {
			ids = append(ids, id)
		}
	}
	return ids, batch
}
