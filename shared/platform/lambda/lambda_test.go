package lambda_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"keyless/shared/platform/lambda"
)

var quiet = slog.New(slog.DiscardHandler)

// invoke gives the whole reply.
func invoke(ctx context.Context, o lambda.Options, h http.HandlerFunc, event string) (string, error) {
	o.Log = quiet
	reply, err := lambda.Handler(o, h)(ctx, json.RawMessage(event))
	if err != nil {
		return "", err
	}
	defer reply.(io.Closer).Close()
	body, err := io.ReadAll(reply)
	return string(body), err
}

// tell answers with what the request is.
func tell(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	delete(r.Header, "X-Request-Id")
	w.Header().Set("Content-Type", "text/plain")
	fmt.Fprintf(w, "%s %s %s from %s %v %s", r.Method, r.URL.RequestURI(), r.Host, r.RemoteAddr, r.Header, body)
}

func TestEventsBecomeRequests(t *testing.T) {
	t.Parallel()
	const (
		v2 = `"version":"2.0","requestContext":{"domainName":"api.example","stage":"%s",` +
			`"http":{"method":"GET","sourceIp":"192.0.2.1"}}`
		rest = `"httpMethod":"GET","requestContext":{"domainName":"api.example",` +
			`"identity":{"sourceIp":"192.0.2.1"}}`
		alb = `"httpMethod":"GET","requestContext":{"elb":{"targetGroupArn":"arn"}}`
	)
	for name, c := range map[string]struct{ event, want string }{
		"HTTP API: the path is encoded again": {
			`{` + fmt.Sprintf(v2, "$default") + `,"rawPath":"/a b/%/?#/ü","rawQueryString":"q=%2F"}`,
			"GET /a%20b/%25/%3F%23/%C3%BC?q=%2F api.example from 192.0.2.1:0 map[] "},
		"HTTP API: the stage is taken off": {
			`{` + fmt.Sprintf(v2, "live") + `,"rawPath":"/live/a"}`,
			"GET /a api.example from 192.0.2.1:0 map[] "},
		"HTTP API: the stage alone is the root": {
			`{` + fmt.Sprintf(v2, "live") + `,"rawPath":"/live"}`,
			"GET / api.example from 192.0.2.1:0 map[] "},
		"HTTP API: a segment that begins like the stage stays": {
			`{` + fmt.Sprintf(v2, "live") + `,"rawPath":"/lively/a"}`,
			"GET /lively/a api.example from 192.0.2.1:0 map[] "},
		"HTTP API: cookies are a header again": {
			`{` + fmt.Sprintf(v2, "$default") + `,"rawPath":"/","cookies":["a=1","b=2"],"headers":{"x":"1,2"}}`,
			"GET / api.example from 192.0.2.1:0 map[Cookie:[a=1; b=2] X:[1,2]] "},
		"function URL: the path stays encoded, cookies come twice and count once": {
			`{` + strings.Replace(fmt.Sprintf(v2, "$default"), "api.example", "id.lambda-url.eu-west-1.on.aws", 1) +
				`,"rawPath":"/a%2Fb","cookies":["a=1"],"headers":{"cookie":"a=1"}}`,
			"GET /a%2Fb id.lambda-url.eu-west-1.on.aws from 192.0.2.1:0 map[Cookie:[a=1]] "},
		"REST: the domain counts, never the Host header": {
			`{` + rest + `,"path":"/a%2Fb","headers":{"Host":"evil.example"},` +
				`"multiValueHeaders":{"host":["evil"]}}`,
			"GET /a%2Fb api.example from 192.0.2.1:0 map[] "},
		"REST: query values are encoded": {
			`{` + rest + `,"path":"/","multiValueQueryStringParameters":{"b":["x y","&"],"a":["1"]}}`,
			"GET /?a=1&b=x+y&b=%26 api.example from 192.0.2.1:0 map[] "},
		"REST: single values do where there are no others": {
			`{` + rest + `,"path":"/","queryStringParameters":{"a":"ü"},"headers":{"X":"1"},` +
				`"multiValueHeaders":null}`,
			"GET /?a=%C3%BC api.example from 192.0.2.1:0 map[X:[1]] "},
		"HTTP API in the REST form": {
			`{"version":"1.0",` + rest + `,"path":"/a"}`,
			"GET /a api.example from 192.0.2.1:0 map[] "},
		"load balancer: the query stays, the Host header and its own hop count": {
			`{` + alb + `,"path":"/a%20b","multiValueQueryStringParameters":{"u":["https%3A%2F%2Fx","a+b"]},` +
				`"multiValueHeaders":{"host":["alb.example"],"x-forwarded-for":["198.51.100.7, 192.0.2.1"]}}`,
			"GET /a%20b?u=https%3A%2F%2Fx&u=a+b alb.example from 192.0.2.1:0 " +
				"map[X-Forwarded-For:[198.51.100.7, 192.0.2.1]] "},
		"load balancer: nobody's address is the unspecified one": {
			`{` + alb + `,"path":"","queryStringParameters":{"b":"2","a":"1"}}`,
			"GET /?a=1&b=2  from 0.0.0.0:0 map[] "},
		"a body in base64 is decoded and has its length": {
			`{` + rest + `,"path":"/","body":"aGVsbG8=","isBase64Encoded":true}`,
			"GET / api.example from 192.0.2.1:0 map[Content-Length:[5]] hello"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reply, err := invoke(context.Background(), lambda.Options{}, tell, c.event)
			var got struct{ Body string }
			if err == nil {
				err = json.Unmarshal([]byte(reply), &got)
			}
			if err != nil || got.Body != c.want {
				t.Errorf("\ngot  %s\nwant %s\n%v", got.Body, c.want, err)
			}
		})
	}
}

func TestEventsThatAreNoRequests(t *testing.T) {
	t.Parallel()
	for name, event := range map[string]string{
		"a queue's event":             `{"Records":[{"eventSource":"aws:sqs"}]}`,
		"an empty object":             `{}`,
		"null":                        `null`,
		"an array":                    `[]`,
		"no JSON":                     `{`,
		"nothing":                     ``,
		"a REST authorizer's event":   `{"type":"REQUEST","methodArn":"arn","httpMethod":"GET","path":"/"}`,
		"an HTTP authorizer's":        `{"version":"2.0","type":"R","requestContext":{"http":{"method":"A"}}}`,
		"an unknown payload version":  `{"version":"3.0","httpMethod":"GET","path":"/"}`,
		"a body that is not base64":   `{"httpMethod":"GET","path":"/","body":"%","isBase64Encoded":true}`,
		"a field of the wrong type":   `{"httpMethod":7}`,
		"a web socket's event":        `{"requestContext":{"connectionId":"x","eventType":"CONNECT"}}`,
		"a load balancer's of no use": `{"requestContext":{"elb":{}}}`,
	} {
		if _, err := invoke(context.Background(), lambda.Options{}, tell, event); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestAMalformedTargetIs400InTheFormOfTheReply(t *testing.T) {
	t.Parallel()
	event := `{"version":"2.0","rawPath":"/%zz","requestContext":{"requestId":"the-id",
		"domainName":"x.lambda-url.y","http":{"method":"GET"}}}`
	for stream, want := range map[bool]string{false: `"body":"{\"error\":`, true: "\x00{\"error\":"} {
		got, err := invoke(context.Background(), lambda.Options{Stream: stream}, tell, event)
		if err != nil || !strings.HasPrefix(got, `{"statusCode":400`) || !strings.Contains(got, want) ||
			!strings.Contains(got, "the-id") {
			t.Errorf("stream %t: got %q, %v", stream, got, err)
		}
	}
}

const restEvent = `{"httpMethod":"GET","path":"/","requestContext":{"requestId":"of-the-event"}}`

func TestTheEventHandlerIsAskedFirst(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ask   func(context.Context, json.RawMessage) (json.RawMessage, bool, error)
		reply string
		err   string
	}{
		"its reply is passed on as it is": {
			func(context.Context, json.RawMessage) (json.RawMessage, bool, error) {
				return json.RawMessage(`{"isAuthorized":true}`), true, nil
			}, `{"isAuthorized":true}`, ""},
		"its error is passed on word for word": {
			func(context.Context, json.RawMessage) (json.RawMessage, bool, error) {
				return nil, true, errors.New("Unauthorized")
			}, "", "Unauthorized"},
		"its panic is an error without a cause": {
			func(context.Context, json.RawMessage) (json.RawMessage, bool, error) { panic("secret") },
			"", "internal error"},
		"what it does not handle is a request": {
			func(context.Context, json.RawMessage) (json.RawMessage, bool, error) { return nil, false, nil },
			`{"statusCode":204,"multiValueHeaders":{},"body":"","isBase64Encoded":false}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }
			got, err := invoke(context.Background(), lambda.Options{Event: c.ask}, h, restEvent)
			if got != c.reply || c.err == "" && err != nil || c.err != "" && (err == nil || err.Error() != c.err) {
				t.Errorf("got %s, %v", got, err)
			}
		})
	}
}

func TestTheInvocationsIDIsTheRequestID(t *testing.T) {
	t.Parallel()
	var got string
	h := func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("X-Request-Id") }
	invoke(context.Background(), lambda.Options{}, h, restEvent)
	if got != "of-the-event" {
		t.Errorf("without a context: got %q", got)
	}
	lc := &lambdacontext.LambdaContext{AwsRequestID: "of-lambda"}
	ctx := lambdacontext.NewContext(context.Background(), lc)
	if invoke(ctx, lambda.Options{}, h, restEvent); got != "of-lambda" {
		t.Errorf("with one: got %q", got)
	}
}

func TestHeadersBeyondMeasureDoNotKillTheProcess(t *testing.T) {
	t.Parallel()
	h := func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Huge", strings.Repeat("x", 7<<20)) }
	got, err := invoke(context.Background(), lambda.Options{}, h, restEvent)
	if err != nil || !strings.Contains(got, "response_too_large") || len(got) > 1000 {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

func TestTextWhoseEscapesAreTooLargeIsSentAsBase64(t *testing.T) {
	t.Parallel()
	h := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Write(bytes.Repeat([]byte{1}, 4<<20)) // six bytes each in JSON
	}
	got, err := invoke(context.Background(), lambda.Options{}, h, restEvent)
	if err != nil || len(got) > 6<<20 || !strings.HasSuffix(got, `"isBase64Encoded":true}`) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

func TestALoadBalancersReplyHasTheFormOfItsRequest(t *testing.T) {
	t.Parallel()
	h := func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
		w.WriteHeader(403)
	}
	for event, want := range map[string]string{
		`"multiValueHeaders":{"host":["x"]}`: `{"statusCode":403,"statusDescription":"403 Forbidden",` +
			`"multiValueHeaders":{"Set-Cookie":["a=1","b=2"]},"body":"","isBase64Encoded":false}`,
		`"headers":{"host":"x"}`: `{"statusCode":403,"statusDescription":"403 Forbidden",` +
			`"headers":{"Set-Cookie":"b=2"},"body":"","isBase64Encoded":false}`,
	} {
		event = `{"httpMethod":"GET","path":"/","requestContext":{"elb":{"targetGroupArn":"arn"}},` + event + `}`
		if got, err := invoke(context.Background(), lambda.Options{Stream: true}, h, event); got != want {
			t.Errorf("got %s, %v", got, err)
		}
	}
}

func TestWhenTheReaderIsGoneTheHandlerIsToldAndAwaited(t *testing.T) {
	t.Parallel()
	var wrote error
	ended := false
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "first")
		<-r.Context().Done()
		_, wrote = io.WriteString(w, "second")
		ended = true
	})
	reply, err := lambda.Handler(lambda.Options{Stream: true, Log: quiet}, h)(context.Background(),
		json.RawMessage(restEvent))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reply.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	reply.(io.Closer).Close()
	if !ended || wrote == nil {
		t.Errorf("ended %t, write gave %v", ended, wrote)
	}
}

func TestTheStreamEndsOnlyAfterTheHandlerDid(t *testing.T) {
	t.Parallel()
	settled := make(chan struct{})
	h := func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "all")
		time.Sleep(10 * time.Millisecond) // settlement
		close(settled)
	}
	if _, err := invoke(context.Background(), lambda.Options{Stream: true}, h, restEvent); err != nil {
		t.Fatal(err)
	}
	select {
	case <-settled:
	default:
		t.Error("the reader saw the end before the handler returned")
	}
}
