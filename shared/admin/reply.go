package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
)

// reply is an answer that is no problem.
type reply struct {
	status   int    // 0: 200
	body     any    // JSON; nil: none
	version  string // ETag
	location string
	kind     string                            // Content-Type of stream
	stream   func(w http.ResponseWriter) error // in place of body; an error before it wrote is still answered as such
}

var noContent = reply{status: http.StatusNoContent}

// write sends the answer. An error means that nothing was sent yet.
func (a reply) write(w http.ResponseWriter) error {
	if a.stream != nil {
		w.Header().Set("Content-Type", a.kind)
		return a.stream(w)
	}
	var text bytes.Buffer
	if a.body != nil {
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(a.body); err != nil {
			return fmt.Errorf("write an answer: %w", err)
		}
		w.Header().Set("Content-Type", "application/json")
	}
	if a.version != "" {
		w.Header().Set("ETag", etag(a.version))
	}
	if a.location != "" {
		w.Header().Set("Location", a.location)
	}
	if a.status != 0 {
		w.WriteHeader(a.status)
	}
	_, _ = w.Write(text.Bytes()) // the caller is gone
	return nil
}

func etag(version string) string { return `"` + version + `"` }

// headless answers HEAD: everything but the body (RFC 9110 §9.3.2), whatever stands between us and the wire.
type headless struct{ http.ResponseWriter }

func (h headless) Write(b []byte) (int, error) { return len(b), nil }

// Unwrap lets http.ResponseController through.
func (h headless) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// page is a part of a list.
type page struct {
	Items []json.RawMessage `json:"items"`
	Next  string            `json:"next"` // to ask after; "" at the end
}

// unmarshal reads what we have written ourselves.
func unmarshal(text json.RawMessage, into any) error {
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("read a stored object: %w", err)
	}
	return nil
}

// withVersion adds the member version to an object.
func withVersion(object json.RawMessage, version string) json.RawMessage {
	return withMember(object, "version", version)
}

// withMember adds a member before those of an object. A list stands as the member items.
func withMember(object json.RawMessage, name string, value any) json.RawMessage {
	text := written(map[string]any{name: value})
	if len(object) == 0 || object[0] != '{' || string(object) == "{}" {
		return text
	}
	return append(append(text[:len(text)-1:len(text)-1], ','), object[1:]...)
}

// written is a value of our own making as JSON.
func written(value any) json.RawMessage {
	text, err := json.Marshal(value)
	if err != nil {
		panic("admin: a value that is no JSON") // its type is wrong
	}
	return text
}
