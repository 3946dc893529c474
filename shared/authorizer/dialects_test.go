package authorizer_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
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

// call is a request that some gateway asks about.
type call struct {
	method, path, host string
	authorization      []string
}

func get(path string, authorization ...string) call {
	return call{"GET", path, "default.example", authorization}
}

// dialect asks about a call in its own words; code is "" where it tells none.
type dialect func(*testing.T, *authorizer.Authorizer, call) (outcome, code string)

var dialects = map[string]dialect{
	"REST TOKEN":            askREST(tokenEvent),
	"REST REQUEST":          askREST(requestEvent),
	"HTTP API, version 1.0": askREST(version1Event),
	"HTTP API, version 2.0": askSimple,
	"nginx":                 askNginx,
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
	single := map[string]string{"Host": c.host, "X_Authorization": "dropped"}
	multi := map[string][]string{"Host": {c.host}}
	if n := len(c.authorization); n > 0 {
		single["authorization"] = c.authorization[n-1]
		multi["authorization"] = c.authorization
	}
	return map[string]any{
		"type": "REQUEST", "methodArn": stageARN + "/" + c.method + c.path, "path": c.path,
		"httpMethod": c.method, "headers": single, "multiValueHeaders": multi,
		"requestContext": map[string]any{"domainName": c.host, "stage": "prod",
			"path": "/prod" + c.path, "requestId": "chosen-by-the-client"},
	}
}

func version1Event(c call) map[string]any {
	e := requestEvent(c)
	e["version"], e["path"] = "1.0", "/prod"+c.path
	return e
}

func version2Event(c call) map[string]any {
	headers := map[string]string{"host": c.host}
	if len(c.authorization) > 0 {
		headers["authorization"] = strings.Join(c.authorization, ",")
	}
	return map[string]any{
		"version": "2.0", "type": "REQUEST", "routeArn": stageARN + "/" + c.method + c.path,
		"rawPath": "/prod" + c.path, "headers": headers, "cookies": []string{"a=1"},
		"requestContext": map[string]any{"domainName": c.host, "stage": "prod",
			"http": map[string]any{"method": c.method, "path": c.path}, "requestId": "r"},
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
		if r.decides(t, stageARN+"/"+c.method+c.path) {
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

func nginxRequest(c call) *http.Request {
	r := httptest.NewRequest("GET", "/_/authorize/nginx", nil)
	r.RemoteAddr = "127.0.0.1:4711"
	r.Header.Set("X-Original-Method", c.method)
	r.Header.Set("X-Original-URI", c.path)
	r.Header.Set("X-Original-Host", c.host)
	r.Header["Authorization"] = c.authorization
	return r
}

func serve(a *authorizer.Authorizer, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w.Result()
}

func askNginx(t *testing.T, a *authorizer.Authorizer, c call) (string, string) {
	reply := serve(a, nginxRequest(c))
	code := reply.Header.Get("X-Keyless-Code")
	switch reply.StatusCode {
	case 200:
		return allowed, code
	case 401:
		return unproven, code
	case 403:
		return refused, code
	case 503:
		return failed, code
	}
	t.Fatalf("status %d", reply.StatusCode)
	return "", ""
}
