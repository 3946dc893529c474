package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"keyless/shared/oauth"
)

// MaxQuestionBytes bounds a question: the headers of a request and, where a signature covers it, its body.
const MaxQuestionBytes = 64 << 10

// Question is a request to explain, or the id of one that was refused. It holds credentials: it is neither logged nor echoed.
type Question struct {
	RequestID string              `json:"request_id,omitempty"`
	Method    string              `json:"method,omitempty"` // default GET
	URL       string              `json:"url,omitempty"`    // whole, http or https
	Headers   map[string][]string `json:"headers,omitempty"`
	Body      *string             `json:"body,omitempty"` // absent: not told
}

// badQuestion is what is wrong with a question, as a public sentence.
type badQuestion struct{ error }

func bad(sentence string, parts ...any) error { return badQuestion{fmt.Errorf(sentence, parts...)} }

// IsBadQuestion reports whether the question is at fault; the error's sentence then says how.
func IsBadQuestion(err error) bool {
	var b badQuestion
	return errors.As(err, &b)
}

// questionMembers are those of a question, by their exact names.
var questionMembers = []string{"request_id", "method", "url", "headers", "body"}

// readQuestion takes one strict JSON object. Its errors are public sentences without anything of the text.
func readQuestion(w http.ResponseWriter, r *http.Request) (Question, error) {
	var q Question
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxQuestionBytes))
	if err != nil {
		return q, bad("a question has at most 64 KiB; leave the request's body out where no signature covers it")
	}
	object, err := oauth.Object(text)
	if err != nil {
		return q, bad("a question is a JSON object: it is %w", err)
	}
	for name := range object {
		if !slices.Contains(questionMembers, name) {
			return q, bad("a question has method, url, headers and body, or request_id, and nothing else")
		}
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&q); err != nil {
		return q, bad("headers are lists of strings by name; everything else is a string")
	}
	if q.RequestID != "" && len(object) > 1 {
		return q, bad("ask about a request_id or about a request, not both")
	}
	return q, nil
}

// request makes the request as the gateway would receive it.
func (q Question) request(ctx context.Context) (*http.Request, error) {
	if q.URL == "" {
		return nil, bad("a question names a url, or a request_id")
	}
	host, target, err := q.target()
	if err != nil {
		return nil, err
	}
	method := q.Method
	if method == "" {
		method = http.MethodGet
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://gateway/", nil)
	if err != nil {
		return nil, bad("method is no HTTP method")
	}
	if r.URL, err = url.ParseRequestURI(target); err != nil {
		return nil, bad("url has a path or query that no server understands")
	}
	r.Host, r.RequestURI = host, target
	if err := q.header(r); err != nil {
		return nil, err
	}
	r.Body, r.ContentLength = http.NoBody, 0
	if q.Body != nil && *q.Body != "" {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(*q.Body)), int64(len(*q.Body))
	}
	return r, nil
}

// target splits the URL as a client does: what it connects to, and what it asks for there, spelled as given.
func (q Question) target() (string, string, error) {
	u, err := url.Parse(q.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", "", bad("url is whole, with http:// or https:// and a host")
	}
	if u.User != nil {
		return "", "", bad("url has a user; send it as an authorization header")
	}
	_, rest, _ := strings.Cut(q.URL, "://")
	target := "/"
	if at := strings.IndexAny(rest, "/?#"); at >= 0 {
		target = rest[at:]
	}
	target, _, _ = strings.Cut(target, "#")
	if !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	return u.Host, target, nil
}

// header sets the headers as a door lets them in.
func (q Question) header(r *http.Request) error {
	r.Header = http.Header{}
	for _, name := range slices.Sorted(maps.Keys(q.Headers)) {
		if !token(name) {
			return bad("headers has a name that no header can have")
		}
		for _, value := range q.Headers[name] {
			if strings.ContainsAny(value, "\r\n\x00") {
				return bad("a header's value has a line end in it")
			}
			r.Header.Add(name, strings.Trim(value, " \t"))
		}
	}
	if hosts := r.Header["Host"]; len(hosts) == 1 {
		r.Host = hosts[0]
	} else if len(hosts) > 1 {
		return bad("a request has one Host")
	}
	r.Header.Del("Host")
	for name := range r.Header {
		if strings.Contains(name, "_") || strings.HasPrefix(name, "X-Fc-") {
			delete(r.Header, name) // every door drops them
		}
	}
	return nil
}

// token reports whether the text is a token of RFC 9110 §5.6.2.
func token(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}
