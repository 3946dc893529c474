package tests

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"keyless/tests/emulator"
)

// The doors that a decision can be had through, and what each of them can say of it.

// verdict is a decision as a door tells it; what the door cannot say is empty.
type verdict struct {
	outcome   string // allowed, unproven, refused or failed
	status    int
	code      string
	message   string
	challenge string
	consumer  string
}

// The outcomes that every door can tell apart.
const (
	allowedTo = "allowed"
	unproven  = "unproven"
	refusedTo = "refused"
	failed    = "failed"
)

func outcomeOf(status int) string {
	switch {
	case status < 300:
		return allowedTo
	case status == http.StatusUnauthorized:
		return unproven
	case status < 500:
		return refusedTo
	}
	return failed
}

// doorsOf are one process of each kind on one store.
type doorsOf struct {
	proxy      string
	authorizer string // as an HTTP function
	events     *emulator.Function
	upstream   *upstream
}

func openVerdicts(t *testing.T, env []string, u *upstream) doorsOf {
	t.Helper()
	env = append(slices.Clone(env), "KEYLESS_TRUSTED_PROXIES=127.0.0.0/8", "KEYLESS_ALLOW_PRIVATE_URLS=true")
	return doorsOf{
		proxy: function(t, "proxy", env), authorizer: function(t, "authorizer", env),
		events: emulator.Lambda(t, binary(t, "authorizer"), env, emulator.Raw), upstream: u,
	}
}

// tcp sends the call to the proxy itself.
func (d doorsOf) tcp(t *testing.T, c call) (verdict, answer) {
	t.Helper()
	a := ask(t, c.method, d.proxy+c.target, c.headers, c.body)
	v := verdict{outcome: outcomeOf(a.Status), status: a.Status, challenge: a.Header.Get("WWW-Authenticate")}
	if v.outcome == allowedTo {
		var seen struct{ Consumer string }
		_ = json.Unmarshal([]byte(a.Body), &seen)
		v.consumer = seen.Consumer
	} else {
		v.code, v.message = refusalOf(a.Body)
	}
	return v, a
}

// refusalOf reads code and message out of a refusal in any of the dialects.
func refusalOf(body string) (code, message string) {
	var b struct {
		Code   string
		Detail string
		Error  struct {
			Message string
			Code    any
			Data    struct{ Code string }
		}
	}
	_ = json.Unmarshal([]byte(body), &b)
	switch inner, _ := b.Error.Code.(string); {
	case b.Detail != "":
		return b.Code, b.Detail
	case b.Error.Data.Code != "":
		return b.Error.Data.Code, b.Error.Message
	default:
		return inner, b.Error.Message
	}
}

// nginx asks as ngx_http_auth_request_module does.
func (d doorsOf) nginx(t *testing.T, c call) verdict {
	t.Helper()
	headers := []string{"X-Original-Method: " + c.method, "X-Original-URI: " + c.target, "X-Original-Host: " + hostOf(c)}
	for _, line := range c.headers {
		if !strings.HasPrefix(line, "Host: ") {
			headers = append(headers, line)
		}
	}
	a := ask(t, http.MethodGet, d.authorizer+"/_/authorize/nginx", headers, "")
	_, message := refusalOf(a.Body)
	if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("X-Request-Id") == "" {
		t.Errorf("nginx: headers %v", a.Header)
	}
	return verdict{outcome: outcomeOf(a.Status), status: a.Status, code: strings.TrimPrefix(a.Header.Get("X-Keyless-Code"), "allowed"),
		message: message, challenge: a.Header.Get("WWW-Authenticate"), consumer: a.Header.Get("X-Consumer")}
}

const (
	domainName = "abcdef1234.execute-api.us-east-1.amazonaws.com"
	stageARN   = "arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod"
)

func hostOf(c call) string {
	if hosts := c.values("Host"); len(hosts) > 0 {
		return hosts[0]
	}
	return domainName
}

// token asks as a REST API with a TOKEN authorizer does; ok is false where more than Authorization matters.
func (d doorsOf) token(t *testing.T, c call) (v verdict, ok bool) {
	t.Helper()
	sent := c.values("Authorization")
	if len(c.headers) > len(sent) || len(sent) > 1 || strings.Contains(c.target, "?") {
		return verdict{}, false
	}
	event := map[string]any{"type": "TOKEN", "methodArn": stageARN + "/" + c.method + c.target}
	if len(sent) == 1 {
		event["authorizationToken"] = sent[0]
	}
	return d.rest(t, c, event), true
}

// request asks as a REST API with a REQUEST authorizer does.
func (d doorsOf) request(t *testing.T, c call) verdict {
	t.Helper()
	path, rawQuery, _ := strings.Cut(c.target, "?")
	single, multi := map[string]string{}, map[string][]string{}
	for _, line := range c.headers {
		name, value, _ := strings.Cut(line, ": ")
		single[name], multi[name] = value, append(multi[name], value)
	}
	query, _ := url.ParseQuery(rawQuery)
	singleQuery := map[string]string{}
	for name, values := range query {
		singleQuery[name] = values[len(values)-1]
	}
	return d.rest(t, c, map[string]any{
		"type": "REQUEST", "methodArn": stageARN + "/" + c.method + path, "resource": "/{proxy+}", "path": path, "httpMethod": c.method,
		"headers": single, "multiValueHeaders": multi, "queryStringParameters": singleQuery, "multiValueQueryStringParameters": query,
		"requestContext": map[string]any{"domainName": hostOf(c), "stage": "prod", "requestId": "r", "httpMethod": c.method},
	})
}

func (d doorsOf) rest(t *testing.T, c call, event map[string]any) verdict {
	t.Helper()
	reply, fault := d.invoke(t, event)
	switch {
	case fault == "Unauthorized":
		return verdict{outcome: unproven}
	case fault != "":
		return verdict{outcome: failed, message: fault}
	}
	var r struct {
		Context        map[string]string
		PolicyDocument struct {
			Statement []struct {
				Effect   string
				Resource []string
			}
		}
	}
	if err := json.Unmarshal(reply, &r); err != nil {
		t.Fatalf("%s: %v", reply, err)
	}
	effect, wide := "", false
	for _, s := range r.PolicyDocument.Statement {
		for _, resource := range s.Resource {
			wide = wide || s.Effect == "Allow" && (resource == "*" || strings.HasSuffix(resource, "/prod/*"))
			covers := resource == stageARN+"/"+c.method+c.path() || resource == stageARN+"/*" ||
				strings.HasSuffix(resource, "/*") && strings.HasPrefix(stageARN+"/"+c.method+c.path(), strings.TrimSuffix(resource, "*"))
			if covers && effect != "Deny" {
				effect = s.Effect
			}
		}
	}
	if wide {
		t.Errorf("a policy that allows everything: %s", reply)
	}
	v := verdict{outcome: refusedTo, code: strings.TrimPrefix(r.Context["code"], "allowed"), consumer: r.Context["consumer"]}
	if effect == "Allow" {
		v.outcome = allowedTo
	}
	return v
}

// version2 asks as an HTTP API does: headers sent more than once arrive joined.
func (d doorsOf) version2(t *testing.T, c call) verdict {
	t.Helper()
	path, query, _ := strings.Cut(c.target, "?")
	headers := map[string]string{}
	var cookies []string
	for _, line := range c.headers {
		name, value, _ := strings.Cut(line, ": ")
		if name = strings.ToLower(name); name == "cookie" {
			cookies = append(cookies, strings.Split(value, "; ")...)
		} else if before, twice := headers[name]; twice {
			headers[name] = before + "," + value
		} else {
			headers[name] = value
		}
	}
	if decoded, err := url.PathUnescape(path); err == nil {
		path = decoded
	}
	reply, fault := d.invoke(t, map[string]any{
		"version": "2.0", "type": "REQUEST", "routeArn": stageARN + "/" + c.method + path, "routeKey": "$default", "rawPath": path,
		"rawQueryString": query, "headers": headers, "cookies": cookies, "requestContext": map[string]any{
			"domainName": hostOf(c), "stage": "$default", "http": map[string]any{"method": c.method, "path": path}},
	})
	if fault != "" {
		return verdict{outcome: failed, message: fault}
	}
	var r struct {
		IsAuthorized *bool
		Context      map[string]string
	}
	if err := json.Unmarshal(reply, &r); err != nil || r.IsAuthorized == nil {
		t.Fatalf("%s: %v", reply, err)
	}
	v := verdict{outcome: refusedTo, code: strings.TrimPrefix(r.Context["code"], "allowed"), consumer: r.Context["consumer"]}
	if *r.IsAuthorized {
		v.outcome = allowedTo
	}
	return v
}

func (d doorsOf) invoke(t *testing.T, event map[string]any) ([]byte, string) {
	t.Helper()
	text, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	return d.events.Invoke(text)
}

// want is what all doors must say, each as far as it can.
type want struct {
	status    int // of the proxy
	code      string
	message   string
	challenge string
	consumer  string
}

// check holds every door's verdict on a call to one want. Each door gets its own copy of the call from make, for one that is signed
// with a nonce can be used once; bodyless is what doors that see no body say, where that differs.
func (d doorsOf) check(t *testing.T, make func() call, w want, bodyless *want) {
	t.Helper()
	before := d.upstream.count()
	v, a := d.tcp(t, make())
	if v.status != w.status || v.code != w.code || v.message != w.message || v.challenge != w.challenge || v.consumer != w.consumer {
		t.Errorf("proxy:\ngot  %+v\nwant %+v\n%s", v, w, a.Body)
	}
	if a.Header.Get("X-Request-Id") == "" || v.outcome != allowedTo && a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("proxy: headers %v", a.Header)
	}
	reached := d.upstream.count() - before
	if v.outcome == allowedTo && reached != 1 || v.outcome != allowedTo && reached != 0 {
		t.Errorf("proxy: %s, and the upstream saw %d calls", v.outcome, reached)
	}
	if bodyless != nil {
		w = *bodyless
	}
	outcome := outcomeOf(w.status)
	c := make()
	if v := d.nginx(t, c); v.outcome != outcome || v.code != w.code || v.consumer != w.consumer ||
		w.status != http.StatusBadRequest && (v.message != w.message || v.challenge != w.challenge) {
		t.Errorf("nginx:\ngot  %+v\nwant %+v", v, w)
	}
	if v, ok := d.token(t, make()); ok {
		d.checkREST(t, "TOKEN", v, w)
	}
	d.checkREST(t, "REQUEST", d.request(t, make()), w)
	v = d.version2(t, make())
	joined := c.repeats() // then this door cannot tell what was sent
	if (v.outcome == allowedTo) != (outcome == allowedTo) || !joined && v.code != w.code || v.consumer != w.consumer {
		t.Errorf("2.0:\ngot  %+v\nwant %+v", v, w)
	}
}

func (d doorsOf) checkREST(t *testing.T, door string, v verdict, w want) {
	t.Helper()
	outcome := outcomeOf(w.status)
	if v.outcome != outcome || v.consumer != w.consumer || outcome != unproven && v.code != w.code {
		t.Errorf("%s:\ngot  %+v\nwant %+v", door, v, w)
	}
}

// repeats reports whether a header stands more than once.
func (c call) repeats() bool {
	seen := map[string]bool{}
	for _, line := range c.headers {
		name, _, _ := strings.Cut(line, ": ")
		if name = strings.ToLower(name); seen[name] {
			return true
		}
		seen[name] = true
	}
	return false
}

func fixed(c call) func() call { return func() call { return c } }

func get(target string, headers ...string) call { return call{http.MethodGet, target, headers, ""} }

// The document's messages, word for word, with their codes and the challenge of an API by the given name.
const keyAuth = "Request denied by Key Auth check. "

func jwtRefusal(api, code, message string) want {
	challenge := fmt.Sprintf(`Bearer realm=%q, error="invalid_token"`, api)
	if code == "jwt_missing" {
		challenge = fmt.Sprintf(`Bearer realm=%q`, api)
	}
	return want{401, code, message, challenge, ""}
}

func jwtMissing(api string) want { return jwtRefusal(api, "jwt_missing", "JWT missing") }
func jwtExpired(api string) want { return jwtRefusal(api, "jwt_expired", "JWT expired") }
func jwtFails(api string) want {
	return jwtRefusal(api, "jwt_verification_failed", "JWT verification fails")
}

func keyRefusal(api, code, message string) want {
	return want{401, code, keyAuth + message, fmt.Sprintf(`ApiKey realm=%q`, api), ""}
}

func hmacRefusal(api, code, message string) want {
	return want{401, code, message, fmt.Sprintf(`HMAC realm=%q`, api), ""}
}

func passes(consumer string) want { return want{status: 200, consumer: consumer} }

var accessDenied = want{status: 403, code: "access_denied", message: "Access Denied"}

// last is the newest request that the upstream saw.
func (u *upstream) last() *http.Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.seen[len(u.seen)-1]
}
