package lambda

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"keyless/shared/platform/door"
)

// alb is an Application Load Balancer's target group. Path and query values arrive as the client encoded
// them; whether headers repeat is a setting of the target group that the event shows by the map it fills.
// The load balancer itself takes at most 1 MB of answer, gives 502 beyond, and names no client but in the
// last X-Forwarded-For, which is its own word in the default mode "append".
// Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
var alb = trigger{name: "load balancer", facts: albFacts, reply: albReply}

func albFacts(e *event) (door.Facts, error) {
	header := door.Header(e.Headers, e.MultiHeader)
	body, err := e.body()
	return door.Facts{
		Method: e.HTTPMethod, Target: door.Target(e.Path, albQuery(e)), Host: header.Get("Host"),
		RemoteIP: lastForwarded(header), RequestID: e.Context.RequestID, Header: header, Body: body,
	}, err
}

// albQuery joins what is encoded already, names in order, values as they came.
func albQuery(e *event) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(e.MultiQuery)) {
		for _, value := range e.MultiQuery[name] {
			pairs = append(pairs, name+"="+value)
		}
	}
	if len(e.MultiQuery) == 0 {
		for _, name := range slices.Sorted(maps.Keys(e.Query)) {
			pairs = append(pairs, name+"="+e.Query[name])
		}
	}
	return strings.Join(pairs, "&")
}

func lastForwarded(h http.Header) string {
	hops := strings.Split(strings.Join(h["X-Forwarded-For"], ","), ",")
	return strings.TrimSpace(hops[len(hops)-1])
}

// albReply answers in the form of the request: a target group with multi-value headers ignores the other
// map.
func albReply(e *event, a door.Answer, body string, base64 bool) any {
	description := fmt.Sprintf("%d %s", a.Status, http.StatusText(a.Status))
	if len(e.MultiHeader) > 0 {
		return multiValueReply{a.Status, description, a.Header, body, base64}
	}
	head := newCookieHead(a.Status, a.Header)
	if n := len(head.Cookies); n > 0 {
		head.Header["Set-Cookie"] = head.Cookies[n-1]
	}
	return struct {
		StatusCode  int               `json:"statusCode"`
		Description string            `json:"statusDescription"`
		Header      map[string]string `json:"headers"`
		Body        string            `json:"body"`
		Base64      bool              `json:"isBase64Encoded"`
	}{a.Status, description, head.Header, body, base64}
}
