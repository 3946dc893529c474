package door

import (
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"
)

// IsText tells whether a body can stand as text in an event's reply: of a textual media type, not
// compressed, and UTF-8 to the last byte.
func IsText(h http.Header, body []byte) bool {
	if encoding := h.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return false
	}
	return isTextType(h.Get("Content-Type")) && utf8.Valid(body)
}

func isTextType(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil:
		return contentType == "" // no body, or one that says nothing of itself
	case strings.HasPrefix(media, "text/"), strings.HasSuffix(media, "+json"),
		strings.HasSuffix(media, "+xml"):
		return true
	}
	switch media {
	case "application/json", "application/xml", "application/javascript", "application/x-ndjson",
		"application/jsonl", "application/x-www-form-urlencoded", "application/yaml", "application/jwt":
		return true
	}
	return false
}
