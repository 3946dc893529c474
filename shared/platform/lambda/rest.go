package lambda

import (
	"net/http"
	"net/url"

	"keyless/shared/platform/door"
)

// rest is API Gateway's REST API, payload version 1. Its path is encoded and without the stage, its query
// values are decoded, and both header maps are filled.
// Source:
// https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
var rest = trigger{name: "REST API", facts: restFacts, reply: multiReply, prelude: restPrelude}

// httpAPIv1 is an HTTP API that sends payload version 1.0: the same shape, but HTTP APIs cannot stream.
var httpAPIv1 = trigger{name: "HTTP API 1.0", facts: restFacts, reply: multiReply}

func restFacts(e *event) (door.Facts, error) {
	query := url.Values(e.MultiQuery)
	if len(query) == 0 {
		query = url.Values{}
		for name, value := range e.Query {
			query.Set(name, value)
		}
	}
	body, err := e.body()
	return door.Facts{
		Method: e.HTTPMethod, Target: door.Target(e.Path, query.Encode()), Host: e.Context.Domain,
		RemoteIP: e.Context.Identity.SourceIP, RequestID: e.Context.RequestID,
		Header: door.Header(e.Headers, e.MultiHeader), Body: body,
		Certificate: e.Context.Identity.Certificate.PEM,
	}, err
}

// multiValueReply is the reply in which every header may repeat.
type multiValueReply struct {
	StatusCode  int         `json:"statusCode"`
	Description string      `json:"statusDescription,omitempty"` // load balancers require it
	Header      http.Header `json:"multiValueHeaders"`
	Body        string      `json:"body"`
	Base64      bool        `json:"isBase64Encoded"`
}

func multiReply(_ *event, a door.Answer, body string, base64 bool) any {
	return multiValueReply{StatusCode: a.Status, Header: a.Header, Body: body, Base64: base64}
}

func restPrelude(status int, h http.Header) any {
	return struct {
		StatusCode int         `json:"statusCode"`
		Header     http.Header `json:"multiValueHeaders"`
	}{status, h}
}
