package authorizer_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"keyless/shared/auth"
	"keyless/shared/authorizer"
)

// The outcomes on which every dialect agrees.
const (
	allowed  = "allowed"
	unproven = "unproven"
	refused  = "refused"
	failed   = "failed"
)

// call is a request that some gateway asks about. The path has its query.
type call struct {
	method, path, host string
	authorization      []string
	header             http.Header // all others
}

func get(path string, authorization ...string) call {
	return call{method: "GET", path: path, host: "default.example", authorization: authorization}
}

// with returns the call with one more header.
func (c call) with(name, value string) call {
	c.header = c.header.Clone()
	if c.header == nil {
		c.header = http.Header{}
	}
	c.header.Add(name, value)
	return c
}

func (c call) parts() (path, query string) {
	path, query, _ = strings.Cut(c.path, "?")
	return path, query
}

// dialect asks about a call in its own words; code is "" where it tells none.
type dialect func(*testing.T, *authorizer.Authorizer, call) (outcome, code string)

var dialects = map[string]dialect{
	"REST TOKEN":            askREST(tokenEvent),
	"REST REQUEST":          askREST(requestEvent),
	"HTTP API, version 1.0": askREST(version1Event),
	"HTTP API, version 2.0": askSimple,
	"nginx":                 askForward(nginxRequest),
	"traefik":               askForward(traefikRequest),
	"envoy":                 askForward(pathRequest("envoy")),
	"higress":               askForward(pathRequest("higress")),
	"apig":                  askForward(pathRequest("apig")),
}

// tells reports whether a dialect can tell of the call: a TOKEN event knows a path and one header's value.
func tells(dialect string, c call) bool {
	return dialect != "REST TOKEN" || len(c.header) == 0 && !strings.Contains(c.path, "?")
}

const stageARN = "arn:aws:execute-api:us-east-1:123456789012:abcdef123/prod"

func tokenEvent(c call) map[string]any {
	e := map[string]any{"type": "TOKEN", "methodArn": stageARN + "/" + c.method + c.path}
	if len(c.authorization) > 0 {
		e["authorizationToken"] = strings.Join(c.authorization, ",")
	}
	return e
}

func requestEvent(c call) map[string]any {
	path, query := c.parts()
	single := map[string]string{"Host": c.host, "X_Authorization": "dropped"}
	multi := map[string][]string{"Host": {c.host}}
	if n := len(c.authorization); n > 0 {
		single["authorization"] = c.authorization[n-1]
		multi["authorization"] = c.authorization
	}
	for name, values := range c.header {
		single[name], multi[name] = values[len(values)-1], values
	}
	values, _ := url.ParseQuery(query)
	return map[string]any{
		"type": "REQUEST", "methodArn": stageARN + "/" + c.method + path, "path": path,
		"httpMethod": c.method, "headers": single, "multiValueHeaders": multi,
		"multiValueQueryStringParameters": values,
		"requestContext": map[string]any{"domainName": c.host, "stage": "prod",
			"path": "/prod" + path, "requestId": "chosen-by-the-client"},
	}
}

func version1Event(c call) map[string]any {
	e := requestEvent(c)
	path, _ := c.parts()
	e["version"], e["path"] = "1.0", "/prod"+path
	return e
}

func version2Event(c call) map[string]any {
	path, query := c.parts()
	headers := map[string]string{"host": c.host}
	if len(c.authorization) > 0 {
		headers["authorization"] = strings.Join(c.authorization, ",")
	}
	for name, values := range c.header {
		headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	return map[string]any{
		"version": "2.0", "type": "REQUEST", "routeArn": stageARN + "/" + c.method + path,
		"rawPath": "/prod" + path, "rawQueryString": query, "headers": headers, "cookies": []string{"a=1"},
		"requestContext": map[string]any{"domainName": c.host, "stage": "prod",
			"http": map[string]any{"method": c.method, "path": path}, "requestId": "r"},
	}
}

func ask(t *testing.T, a *authorizer.Authorizer, event any) (json.RawMessage, error) {
	t.Helper()
	text, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	reply, handled, err := a.Event(context.Background(), text)
	if !handled {
		t.Fatal("the event was not taken")
	}
	return reply, err
}

func askREST(eventOf func(call) map[string]any) dialect {
	return func(t *testing.T, a *authorizer.Authorizer, c call) (string, string) {
		reply, err := ask(t, a, eventOf(c))
		switch {
		case err != nil && err.Error() == "Unauthorized":
			return unproven, ""
		case err != nil && err.Error() == "authorizer unavailable":
			return failed, ""
		case err != nil:
			t.Fatalf("a text that the platform would show: %v", err)
		}
		r := parse(t, reply)
		path, _ := c.parts()
		if r.decides(t, stageARN+"/"+c.method+path) {
			return allowed, r.Context["code"]
		}
		return refused, r.Context["code"]
	}
}

func askSimple(t *testing.T, a *authorizer.Authorizer, c call) (string, string) {
	reply, err := ask(t, a, version2Event(c))
	if err != nil {
		return failed, ""
	}
	var r struct {
		IsAuthorized *bool             `json:"isAuthorized"`
		Context      map[string]string `json:"context"`
	}
	if err := json.Unmarshal(reply, &r); err != nil || r.IsAuthorized == nil {
		t.Fatalf("%s: %v", reply, err)
	}
	code := r.Context["code"]
	switch {
	case *r.IsAuthorized:
		return allowed, code
	case auth.Reason(code).Refusal().Status == http.StatusUnauthorized:
		return unproven, code
	}
	return refused, code
}

// headersOf are the headers of a call, as a gateway passes them on.
func headersOf(c call) http.Header {
	h := c.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	h["Authorization"] = c.authorization
	return h
}

func nginxRequest(c call) *http.Request {
	r := httptest.NewRequest("GET", "/_/authorize/nginx", nil)
	r.RemoteAddr, r.Header = "127.0.0.1:4711", headersOf(c)
	r.Header.Set("X-Original-Method", c.method)
	r.Header.Set("X-Original-URI", c.path)
	r.Header.Set("X-Original-Host", c.host)
	return r
}

func traefikRequest(c call) *http.Request {
	r := httptest.NewRequest("GET", "/_/authorize/traefik", nil)
	r.RemoteAddr, r.Header = "127.0.0.1:4711", headersOf(c)
	r.Header.Set("X-Forwarded-Method", c.method)
	r.Header.Set("X-Forwarded-Uri", c.path)
	r.Header.Set("X-Forwarded-Host", c.host)
	r.Header.Set("X-Forwarded-Proto", "https")
	r.Header.Set("X-Forwarded-For", "192.0.2.7")
	return r
}

// pathRequest is a question whose path is the original one behind the dialect's.
func pathRequest(dialect string) func(call) *http.Request {
	return func(c call) *http.Request {
		r := httptest.NewRequest(c.method, "/_/authorize/"+dialect+c.path, nil)
		r.RemoteAddr, r.Host, r.Header = "127.0.0.1:4711", c.host, headersOf(c)
		return r
	}
}

func serve(a *authorizer.Authorizer, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w.Result()
}

// askForward reads an answer as its gateway does: by the status, and by nothing else. A failure is a 503 to
// those that stay closed on it, and a refusal to the others, told by its code.
func askForward(request func(call) *http.Request) dialect {
	return func(t *testing.T, a *authorizer.Authorizer, c call) (string, string) {
		r := request(c)
		reply := serve(a, r)
		code := reply.Header.Get("X-Keyless-Code")
		failure := code == "store_unavailable" || code == "registry_busy"
		closed := strings.HasSuffix(r.URL.Path, "/nginx") || strings.HasSuffix(r.URL.Path, "/traefik")
		verdict := reply.Header.Get("X-Mse-External-Authz-Check-Result")
		want := ""
		if strings.HasPrefix(r.URL.Path, "/_/authorize/apig") {
			want = strconv.FormatBool(reply.StatusCode == 200)
		}
		if verdict != want {
			t.Errorf("status %d, the verdict header says %q", reply.StatusCode, verdict)
		}
		switch {
		case reply.StatusCode == 200:
			return allowed, code
		case reply.StatusCode == 401:
			return unproven, code
		case reply.StatusCode == 403 && !failure:
			return refused, code
		case failure && reply.StatusCode == map[bool]int{true: 503, false: 403}[closed]:
			return failed, code
		}
		t.Fatalf("status %d, code %s", reply.StatusCode, code)
		return "", ""
	}
}
