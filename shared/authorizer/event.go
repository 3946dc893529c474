package authorizer

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"keyless/shared/auth"
)

// event is what API Gateway asks: TOKEN (REST), REQUEST of payload version 1 (REST, or an HTTP API with
// version "1.0") and REQUEST of version "2.0" (HTTP API). Events of other kinds have another type or none.
type event struct {
	Version string `json:"version"`
	Type    string `json:"type"`

	Token     string `json:"authorizationToken"`
	MethodARN string `json:"methodArn"`

	Method      string              `json:"httpMethod"`
	Path        string              `json:"path"`
	Headers     map[string]string   `json:"headers"`
	MultiHeader map[string][]string `json:"multiValueHeaders"`
	Query       map[string]string   `json:"queryStringParameters"`
	MultiQuery  map[string][]string `json:"multiValueQueryStringParameters"`

	RawPath  string   `json:"rawPath"`
	RawQuery string   `json:"rawQueryString"`
	Cookies  []string `json:"cookies"`

	Context struct {
		Domain string `json:"domainName"`
		Stage  string `json:"stage"`
		Path   string `json:"path"` // of a REST API, as the caller sent it: with the stage
		HTTP   struct {
			Method string `json:"method"`
		} `json:"http"`
	} `json:"requestContext"`
}

// The types and versions of authorizer events.
const (
	typeToken   = "TOKEN"
	typeRequest = "REQUEST"
	version1    = "1.0"
	version2    = "2.0"
)

var errARN = errors.New("the event's methodArn is not the ARN of a method")

// Event is a platform's event handler. It takes the events of API Gateway's authorizers and leaves all others
// to the HTTP side (handled=false).
//
// REST: a policy; the error "Unauthorized" where the caller is not proven, a Deny with context.code where it
// is refused. HTTP API 2.0: {isAuthorized, context}. A failure is the error "authorizer unavailable" in both.
func (a *Authorizer) Event(ctx context.Context, raw json.RawMessage) (json.RawMessage, bool, error) {
	var e event
	// What is no JSON object of this shape is no authorizer's event: the HTTP side says what it thinks of it.
	if err := json.Unmarshal(raw, &e); err != nil || e.Type != typeToken && e.Type != typeRequest {
		return nil, false, nil
	}
	began := a.now()
	q := question{requestID: requestID(ctx)}
	var reply any
	var ruled ruling
	var err error
	if e.Type == typeRequest && e.Version == version2 {
		reply, ruled, err = a.simple(ctx, e, q)
	} else {
		reply, ruled, err = a.rest(ctx, e, q)
	}
	a.line(ctx, e, q.requestID, ruled, err, a.now().Sub(began))
	switch {
	case err != nil:
		return nil, true, errUnavailable
	case reply == nil:
		return nil, true, errUnauthorized
	}
	text, err := json.Marshal(reply)
	return text, true, err
}

// rest answers a REST API; a nil reply says that the caller is not proven.
func (a *Authorizer) rest(ctx context.Context, e event, q question) (any, ruling, error) {
	arn, ok := parseARN(e.MethodARN)
	if !ok {
		return nil, ruling{}, errARN
	}
	q.all = true
	if e.Type == typeToken {
		q.request = tokenRequest(ctx, e, arn)
	} else {
		q.request = restRequest(ctx, e, arn)
	}
	ruled, err := a.rule(ctx, q)
	if err != nil || ruled.refusal.unproven() {
		return nil, ruled, err
	}
	return policyReply(arn, q.request, &ruled), ruled, nil
}

// simple answers an HTTP API, which has no word for "not proven": both are isAuthorized false, told apart by
// the code.
func (a *Authorizer) simple(ctx context.Context, e event, q question) (any, ruling, error) {
	q.request = httpRequest(ctx, e)
	ruled, err := a.rule(ctx, q)
	if err != nil {
		return nil, ruled, err
	}
	return simpleReply(&ruled), ruled, nil
}

// requestID is the invocation's id. requestContext.requestId will not do: a client of a REST API can choose
// it.
func requestID(ctx context.Context) string {
	if lc, ok := lambdacontext.FromContext(ctx); ok && lc.AwsRequestID != "" {
		return lc.AwsRequestID
	}
	var bits [16]byte
	_, _ = rand.Read(bits[:]) // never fails
	return hex.EncodeToString(bits[:])
}

// tokenRequest makes the request of a TOKEN event: all that is told of it is one header's value, and the
// method's ARN. The value stands as Authorization, whatever header the authorizer takes it from: a credential
// at another place, and every x-ca signature, needs an authorizer of type REQUEST.
func tokenRequest(ctx context.Context, e event, arn methodARN) *http.Request {
	if strings.ContainsAny(arn.path, "?#") { // an ARN has no query: what the path is cannot be told
		return nil
	}
	header := http.Header{}
	if e.Token != "" {
		header.Set("Authorization", e.Token)
	}
	return newRequest(ctx, arn.method, arn.path, arn.host, header)
}

// restRequest makes the request of a REQUEST event of version 1. Query values arrive decoded. The path of an
// HTTP API with payload version 1.0 begins with the stage.
func restRequest(ctx context.Context, e event, arn methodARN) *http.Request {
	path := e.Path
	if e.Version == version1 && path == "/"+e.Context.Stage+arn.path {
		path = arn.path
	}
	query := url.Values(e.MultiQuery)
	if len(query) == 0 {
		query = url.Values{}
		for name, value := range e.Query {
			query.Set(name, value)
		}
	}
	target := path
	if len(query) > 0 {
		// A space is %20: what is signed is decoded without form's "+".
		target += "?" + strings.ReplaceAll(query.Encode(), "+", "%20")
	}
	host := e.Context.Domain
	if host == "" { // as in the console's test call
		host = arn.host
	}
	return seenAs(newRequest(ctx, e.Method, target, host, header(e)), e.Context.Path)
}

// httpRequest makes the request of a version 2.0 event. Its path arrives decoded and, for a stage other than
// $default, with the stage before it; it is encoded again, so that it is judged as the proxy's door judges
// it.
func httpRequest(ctx context.Context, e event) *http.Request {
	path := e.RawPath
	if stage := e.Context.Stage; stage != "" && stage != "$default" {
		if rest, ok := strings.CutPrefix(path, "/"+stage); ok && (rest == "" || rest[0] == '/') {
			path = rest
		}
	}
	if path == "" {
		path = "/"
	}
	target := (&url.URL{Path: path}).EscapedPath()
	if e.RawQuery != "" {
		target += "?" + e.RawQuery
	}
	r := newRequest(ctx, e.Context.HTTP.Method, target, e.Context.Domain, header(e))
	return seenAs(r, (&url.URL{Path: e.RawPath}).EscapedPath())
}

// seenAs notes the path that the caller sent, for a DPoP proof is for the URL as its maker knows it.
func seenAs(r *http.Request, path string) *http.Request {
	if r == nil || !strings.HasPrefix(path, "/") {
		return r
	}
	return auth.SeenAs(r, path)
}

// header joins an event's header maps: where the many-valued one has a name, the other's copy, its last
// value, is left out. Names that differ in letter case become one. As at every door, names with "_" and
// x-fc-* do not come in.
func header(e event) http.Header {
	joined := http.Header{}
	add := func(name, value string) {
		name = http.CanonicalHeaderKey(name)
		if name != "Host" && !strings.Contains(name, "_") && !strings.HasPrefix(name, "X-Fc-") {
			joined[name] = append(joined[name], strings.Trim(value, " \t"))
		}
	}
	many := map[string]bool{}
	for name, values := range e.MultiHeader {
		many[http.CanonicalHeaderKey(name)] = true
		for _, value := range values {
			add(name, value)
		}
	}
	for name, value := range e.Headers {
		if !many[http.CanonicalHeaderKey(name)] {
			add(name, value)
		}
	}
	if len(e.Cookies) > 0 {
		joined["Cookie"] = []string{strings.Join(e.Cookies, "; ")}
	}
	return joined
}

// newRequest makes a request without a body, or nil where method, target or host are none.
func newRequest(ctx context.Context, method, target, host string, h http.Header) *http.Request {
	if method == "" || !strings.HasPrefix(target, "/") || host == "" || strings.ContainsAny(host, " \t,/\\@?#") {
		return nil
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil
	}
	r, err := http.NewRequestWithContext(ctx, method, "/", http.NoBody)
	if err != nil {
		return nil
	}
	r.URL, r.RequestURI, r.Host, r.Header = u, target, host, h
	return r
}
