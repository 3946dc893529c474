package lambda

import (
	"net/http"
	"net/url"
	"strings"

	"keyless/shared/platform/door"
)

// httpAPI is API Gateway's HTTP API, payload version 2.0. Its path arrives decoded and, for a stage other
// than $default, with the stage before it.
// Source:
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
var httpAPI = trigger{name: "HTTP API", facts: httpAPIFacts, reply: cookieReply}

// functionURL sends the same payload with an encoded path and no stage; it can stream.
// Source: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
var functionURL = trigger{name: "function URL", facts: functionURLFacts, reply: cookieReply,
	prelude: cookiePrelude}

func functionURLFacts(e *event) (door.Facts, error) { return version2(e, e.RawPath) }

// httpAPIFacts encodes the path again, so that it parses back to the very path of the event. A "/" that the
// client sent as %2F cannot be told from a real one: what is authorized is what is forwarded.
func httpAPIFacts(e *event) (door.Facts, error) {
	path := e.RawPath
	if stage := e.Context.Stage; stage != "" && stage != "$default" {
		if rest, ok := strings.CutPrefix(path, "/"+stage); ok && (rest == "" || rest[0] == '/') {
			path = rest
		}
	}
	return version2(e, (&url.URL{Path: path}).EscapedPath())
}

func version2(e *event, path string) (door.Facts, error) {
	header := door.Header(e.Headers, nil)
	if len(e.Cookies) > 0 {
		header.Del("Cookie")
		cookies := door.Header(map[string]string{"Cookie": strings.Join(e.Cookies, "; ")}, nil)
		header["Cookie"] = cookies["Cookie"]
	}
	body, err := e.body()
	return door.Facts{
		Method: e.Context.HTTP.Method, Target: door.Target(path, e.RawQuery), Host: e.Context.Domain,
		RemoteIP: e.Context.HTTP.SourceIP, RequestID: e.Context.RequestID, Header: header, Body: body,
		Certificate: e.Context.Authentication.Certificate.PEM,
	}, err
}

// cookieHead is the beginning of a 2.0 reply: headers have one value, Set-Cookie has a list of its own.
type cookieHead struct {
	StatusCode int               `json:"statusCode"`
	Header     map[string]string `json:"headers"`
	Cookies    []string          `json:"cookies,omitempty"`
}

func newCookieHead(status int, h http.Header) cookieHead {
	head := cookieHead{status, make(map[string]string, len(h)), h["Set-Cookie"]}
	for name, values := range h {
		if name != "Set-Cookie" {
			head.Header[name] = strings.Join(values, ", ")
		}
	}
	return head
}

func cookieReply(_ *event, a door.Answer, body string, base64 bool) any {
	return struct {
		cookieHead
		Body   string `json:"body"`
		Base64 bool   `json:"isBase64Encoded"`
	}{newCookieHead(a.Status, a.Header), body, base64}
}

func cookiePrelude(status int, h http.Header) any { return newCookieHead(status, h) }
