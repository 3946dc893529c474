package admin

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// maxBody bounds the body of a call but for a configuration: the Editor takes objects of 1 MiB.
const maxBody = 1 << 20

// text takes a body of JSON, whole. Its errors are refusals.
func (c *call) text(most int64) (json.RawMessage, error) {
	if sent := c.r.Header.Get("Content-Type"); sent != "" {
		kind, _, err := mime.ParseMediaType(sent)
		if err != nil || kind != "application/json" && (kind != mergePatch || c.r.Method != http.MethodPatch) {
			return nil, refuse(http.StatusUnsupportedMediaType, "unsupported_media_type", "The body is application/json")
		}
	}
	text, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, most))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, refuse(http.StatusRequestEntityTooLarge, "body_too_large", "The body is too large; an object has at most 1 MiB, "+
			"a configuration 8 MiB")
	case err != nil:
		return nil, badRequest("The body ended early")
	}
	return text, nil
}

// mergePatch is the media type of RFC 7396.
const mergePatch = "application/merge-patch+json"

// object takes a body that is one JSON object, and its members by their exact names.
func (c *call) object() (map[string]json.RawMessage, error) {
	text, err := c.text(maxBody)
	if err != nil {
		return nil, err
	}
	members, err := oauth.Object(text)
	if err != nil {
		return nil, badRequest("The body is one JSON object: it is " + err.Error())
	}
	return members, nil
}

// into reads a body as the file's reader reads a file: this is the one way in which structures come in. A body that may be absent is
// nothing.
func (c *call) into(what any, most int64) error {
	text, err := c.text(most)
	if err != nil {
		return err
	}
	return decode(text, what)
}

func decode(text json.RawMessage, what any) error {
	if strings.TrimSpace(string(text)) == "" {
		text = json.RawMessage("{}")
	}
	if !json.Valid(text) {
		return badRequest("The body is not one valid JSON value")
	}
	if faults := registry.Decode(text, what); len(faults) > 0 {
		return faults
	}
	return nil
}

// only refuses members that a call does not take, by name.
func only(members map[string]json.RawMessage, taken ...string) error {
	for name := range members {
		known := false
		for _, one := range taken {
			known = known || name == one
		}
		if !known {
			return registry.Faults{{Path: "", Text: "has the unknown key " + quoted(name) + "; it takes " + strings.Join(taken, ", ")}}
		}
	}
	return nil
}

// maxQuoted bounds what an answer repeats of a caller's text.
const maxQuoted = 64

func quoted(name string) string {
	return string(written(name[:min(len(name), maxQuoted)]))
}
