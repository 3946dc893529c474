package command

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"keyless/shared/admin"
)

// curl is a curl command on its way to the request that curl would send.
type curl struct {
	method, url                  string
	user, bearer                 *string
	agent, referer               string
	cookies, data, document      []string // document: of --json
	custom                       []string // header lines
	get, head, pathAsIs, hasBody bool
}

// curlFlag takes a flag's value; those without one get "".
type curlFlag struct {
	valued bool
	take   func(c *curl, value string) error
}

// parseCurl makes a question of the words behind curl. What only changes where the answer goes is passed over; a flag that is not
// known is an error, for it might change the request. No error holds a value.
func parseCurl(words []string) (admin.Question, error) {
	c := &curl{}
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		var err error
		switch {
		case word == "--":
			for _, url := range words {
				if err := c.target(url); err != nil {
					return admin.Question{}, err
				}
			}
			words = nil
		case strings.HasPrefix(word, "--"):
			words, err = c.long(word, words)
		case strings.HasPrefix(word, "-") && word != "-":
			words, err = c.short(word[1:], words)
		default:
			err = c.target(word)
		}
		if err != nil {
			return admin.Question{}, err
		}
	}
	return c.question()
}

func (c *curl) long(word string, rest []string) ([]string, error) {
	flag, known := curlFlags[word]
	if !known {
		return nil, unknownFlag(word)
	}
	value := ""
	if flag.valued {
		if len(rest) == 0 {
			return nil, fmt.Errorf("curl's %s wants a value", word)
		}
		value, rest = rest[0], rest[1:]
	}
	return rest, flag.take(c, value)
}

// short reads letters that stand together, the last of which may have its value at once.
func (c *curl) short(letters string, rest []string) ([]string, error) {
	for i := range len(letters) { // all of curl's are ASCII
		name := "-" + letters[i:i+1]
		flag, known := curlFlags[name]
		switch after := letters[i+1:]; {
		case !known:
			return nil, unknownFlag(name)
		case !flag.valued:
			if err := flag.take(c, ""); err != nil {
				return nil, err
			}
		case after != "":
			return rest, flag.take(c, after)
		default:
			return c.long(name, rest)
		}
	}
	return rest, nil
}

func unknownFlag(name string) error {
	const longest = 32 // curl's own are shorter; more of it, or behind =, might be a value that got there by mistake
	name, _, _ = strings.Cut(name, "=")
	return fmt.Errorf("explain does not know curl's %.*s; leave it out if it does not change what is sent", longest, plain(name))
}

var errURLs = errors.New("a curl command for explain has one URL")

func (c *curl) target(url string) error {
	if c.url != "" {
		return errURLs
	}
	c.url = url
	return nil
}

// question builds what curl sends, with the headers that it adds of its own and a signature may cover.
func (c *curl) question() (admin.Question, error) {
	if c.url == "" {
		return admin.Question{}, errURLs
	}
	body := strings.Join(c.data, "&") + strings.Join(c.document, "")
	q := admin.Question{Method: c.method, Headers: map[string][]string{"Accept": {"*/*"}}}
	if err := c.locate(&q, body); err != nil {
		return q, err
	}
	if c.hasBody && !c.get && !c.head {
		q.Body = &body
		q.Headers["Content-Type"] = []string{"application/x-www-form-urlencoded"}
	}
	if len(c.document) > 0 {
		q.Headers["Content-Type"], q.Headers["Accept"] = []string{"application/json"}, []string{"application/json"}
	}
	for name, value := range map[string]string{
		"Cookie": strings.Join(c.cookies, "; "), "User-Agent": c.agent, "Referer": c.referer, "Authorization": c.authorization(),
	} {
		if value != "" {
			q.Headers[name] = []string{value}
		}
	}
	c.headers(&q)
	if q.Method == "" {
		q.Method = c.defaultMethod(q.Body != nil)
	}
	return q, nil
}

func (c *curl) defaultMethod(body bool) string {
	switch {
	case c.head:
		return http.MethodHead
	case body:
		return http.MethodPost
	}
	return http.MethodGet
}

func (c *curl) authorization() string {
	switch {
	case c.bearer != nil:
		return "Bearer " + *c.bearer
	case c.user != nil:
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(*c.user))
	}
	return ""
}

// headers lays the -H lines over curl's own: "Name: value" takes the place of its own, "Name:" removes it, "Name;" sends it empty.
func (c *curl) headers(q *admin.Question) {
	replaced := map[string]bool{}
	for _, line := range c.custom {
		name, value, isField := strings.Cut(line, ":")
		if empty, is := strings.CutSuffix(strings.TrimSpace(line), ";"); !isField && is {
			name, isField = empty, true
		} else if value = strings.TrimSpace(value); value == "" {
			isField = false
		}
		name = textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name))
		if !replaced[name] {
			delete(q.Headers, name)
			replaced[name] = true
		}
		if isField {
			q.Headers[name] = append(q.Headers[name], value)
		}
	}
}

// locate writes the URL as curl asks for it: with a scheme, without user and dot segments, with -G's data.
func (c *curl) locate(q *admin.Question, data string) error {
	scheme, rest, hasScheme := strings.Cut(c.url, "://")
	if !hasScheme {
		scheme, rest = "http", c.url
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	if at := strings.LastIndexByte(rest[:end], '@'); at >= 0 {
		user, err := url.PathUnescape(rest[:at])
		if err != nil {
			return errors.New("the URL's user cannot be decoded")
		}
		if c.user == nil {
			c.user = &user
		}
		rest = rest[at+1:]
	}
	text := scheme + "://" + rest
	if u, err := url.Parse(text); err == nil && !c.pathAsIs && dotted(u.EscapedPath()) {
		text = u.ResolveReference(u).String()
	}
	if c.get && c.hasBody {
		text, _, _ = strings.Cut(text, "#")
		separator := "?"
		if strings.Contains(text, "?") {
			separator = "&"
		}
		text += separator + data
	}
	q.URL = text
	return nil
}

// dotted reports whether a path has segments that curl resolves.
func dotted(path string) bool {
	return strings.Contains(path+"/", "/./") || strings.Contains(path+"/", "/../")
}
