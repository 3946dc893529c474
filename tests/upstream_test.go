package tests

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// What an upstream sees of a caller's credential: nothing, unless the consumer passes it on.
const passConfig = `
version: 1
domains: [{name: default, daily_call_limit: 0}]
upstreams:
  - {name: backend, protocol: http, base_url: "${UPSTREAM}"}
  - {name: model, protocol: openai, base_url: "${UPSTREAM}/v1", api_keys: ["${PROVIDER_KEY}"]}
  - {name: tools, protocol: mcp, base_url: "${UPSTREAM}/mcp"}
apis:
  - {name: http, type: http, base_path: /http, upstreams: [{upstream: backend}]}
  - {name: tokens, type: http, base_path: /tokens, authentication: {methods: [jwt]}, upstreams: [{upstream: backend}]}
  - {name: keys, type: http, base_path: /keys, authentication: {methods: [api_key]}, upstreams: [{upstream: backend}]}
  - {name: llm, type: llm, base_path: /v1, strip_base_path: true, upstreams: [{upstream: model}]}
  - {name: mcp, type: mcp, base_path: /mcp, strip_base_path: true, upstreams: [{upstream: tools}]}
  - {name: open, type: http, base_path: /open, authentication: disabled, upstreams: [{upstream: backend}]}
consumers:
  - {name: bearer, jwt: {jwks: "${OCT}", value: bearer}, authorizations: &all [{api: http}, {api: tokens}, {api: llm}, {api: mcp}]}
  - {name: passed, jwt: {jwks: "${OCT}", value: passed, pass_token: true}, authorizations: *all}
  - {name: query, jwt: {jwks: "${OCT}", value: query, query: jwt}, authorizations: *all}
  - {name: cookie, jwt: {jwks: "${OCT}", value: cookie, cookie: session}, authorizations: *all}
  - {name: header, jwt: {jwks: "${OCT}", value: header, header: X-Token, prefix: ""}, authorizations: *all}
  - {name: key, api_key: {source: {header: x-api-key}, keys: [{id: k1, value: "${KEY}-1"}]}, authorizations: [{api: http}, {api: keys}, {api: llm}, {api: mcp}]}
  - {name: key-query, api_key: {source: {query: apikey}, keys: [{id: k1, value: "${KEY}-2"}]}, authorizations: [{api: http}, {api: llm}]}
`

func openPass(t *testing.T) doorsOf {
	t.Helper()
	redis, u := redisServer(t), newUpstream(t)
	k, _ := keysOf(t)
	all := "[{api: http}, {api: tokens}, {api: llm}, {api: mcp}]"
	text := strings.NewReplacer("&all ", "", "*all", all).Replace(passConfig)
	configure(t, redis, text, "UPSTREAM="+u.URL, "PROVIDER_KEY="+provider, "KEY="+testKey, "OCT="+octJWK(k.oct, "o1"))
	return doorsOf{proxy: function(t, "proxy", deployment(redis)), upstream: u}
}

// B07, RFC 9700 §4.13: the token goes on where its consumer says so, and nowhere else.
func TestB07WhatAnUpstreamSeesOfACredential(t *testing.T) {
	doors := openPass(t)
	token := func(name string) string { return uid(t, name, nil) }
	const ours = "Bearer " + provider
	post := func(target string, headers ...string) call { return call{http.MethodPost, target, headers, `{}`} }
	for name, c := range map[string]struct {
		call    call
		sees    http.Header // of these names exactly this, nil for nothing
		target  string
		without string // what may stand nowhere
	}{
		"http, bearer":        {post("/http", bearer(token("bearer"))), http.Header{"Authorization": nil}, "/http", token("bearer")},
		"http, passed":        {post("/http", bearer(token("passed"))), http.Header{"Authorization": {"Bearer " + token("passed")}}, "/http", ""},
		"http, other cookies": {post("/http", "Cookie: a=1; session="+token("cookie")+"; b=2"), http.Header{"Cookie": {"a=1; b=2"}}, "/http", token("cookie")},
		"http, query":         {post("/http?b=2&jwt=" + token("query") + "&a=%20"), http.Header{"Authorization": nil}, "/http?b=2&a=%20", token("query")},
		"http, header":        {post("/http", "X-Token: "+token("header")), http.Header{"X-Token": nil}, "/http", token("header")},
		"http, key":           {post("/http", "X-Api-Key: "+testKey+"-1"), http.Header{"X-Api-Key": nil}, "/http", testKey},
		"http, key in query":  {post("/http?apikey=" + testKey + "-2&x=1"), nil, "/http?x=1", testKey},
		"http, open":          {post("/open?jwt=x", "Authorization: Basic eA==", "Cookie: session=x", "X-Api-Key: y"), http.Header{"Authorization": {"Basic eA=="}, "Cookie": {"session=x"}, "X-Api-Key": {"y"}}, "/open?jwt=x", ""},
		"llm, bearer":         {post("/v1/chat", bearer(token("bearer"))), http.Header{"Authorization": {ours}}, "/v1/chat", token("bearer")},
		"llm, all it has":     {post("/v1/chat?token=x&access_token=y&key=z&api_key=q&n=1", bearer(token("bearer")), "Cookie: a=b", "Api-Key: x"), http.Header{"Authorization": {ours}, "Cookie": nil, "Api-Key": nil}, "/v1/chat?n=1", token("bearer")},
		"llm, key":            {post("/v1/chat", "X-Api-Key: "+testKey+"-1"), http.Header{"Authorization": {ours}, "X-Api-Key": nil}, "/v1/chat", testKey},
		"llm, query":          {post("/v1/chat?jwt=" + token("query")), http.Header{"Authorization": {ours}}, "/v1/chat", token("query")},
		"mcp, bearer":         {post("/mcp", bearer(token("bearer"))), http.Header{"Authorization": nil}, "/mcp", token("bearer")},
		"mcp, passed":         {post("/mcp", bearer(token("passed"))), http.Header{"Authorization": {"Bearer " + token("passed")}}, "/mcp", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if v, a := doors.tcp(t, c.call); v.status != 200 {
				t.Fatalf("%+v %s", v, a.Body)
			}
			seen := doors.upstream.last()
			for header, values := range c.sees {
				if !slices.Equal(seen.Header[header], values) {
					t.Errorf("upstream saw %s: %v, want %v", header, seen.Header[header], values)
				}
			}
			if seen.RequestURI != c.target {
				t.Errorf("upstream saw %s, want %s", seen.RequestURI, c.target)
			}
			text, _ := json.Marshal(seen.Header)
			if c.without != "" && strings.Contains(string(text)+seen.RequestURI, c.without) {
				t.Error("upstream saw the credential")
			}
		})
	}
}

// Credentials of methods that an API does not take are stripped, not judged: on a plain http API too.
func TestCredentialsOfOtherMethodsNeverReachAnHTTPUpstream(t *testing.T) {
	doors := openPass(t)
	token, key := bearer(uid(t, "bearer", nil)), "X-Api-Key: "+testKey+"-1"
	for name, c := range map[string]struct {
		call   call
		header string
	}{
		"an API key where tokens are taken": {get("/tokens/x", token, key), "X-Api-Key"},
		"a token where API keys are taken":  {get("/keys/x", token, key), "Authorization"},
	} {
		t.Run(name, func(t *testing.T) {
			if v, a := doors.tcp(t, c.call); v.status != 200 {
				t.Fatalf("%+v %s", v, a.Body)
			}
			if seen := doors.upstream.last().Header; seen[c.header] != nil {
				t.Errorf("the upstream saw %s", c.header)
			}
		})
	}
}

const modelConfig = `
version: 1
domains: [{name: default, daily_call_limit: 0}]
upstreams: [{name: model, protocol: openai, base_url: "${UPSTREAM}/v1", api_keys: ["${PROVIDER_KEY}"]}]
apis: [{name: models, type: llm, base_path: /v1, strip_base_path: true, upstreams: [{upstream: model}]}]
consumers:
  - {name: alice, jwt: {jwks: "${OCT}", value: alice}, authorizations: [{api: models, models: ["gpt-4o*", "qwen-*-latest", "exact", "a*b*c*d"]}]}
  - {name: all, jwt: {jwks: "${OCT}", value: all}, authorizations: [{api: models}]}
`

// C12: a consumer may name some models only, and names one, once, in the one place that the upstream reads.
func TestC12ModelSmuggling(t *testing.T) {
	redis, u := redisServer(t), newUpstream(t)
	k, _ := keysOf(t)
	configure(t, redis, modelConfig, "UPSTREAM="+u.URL, "PROVIDER_KEY="+provider, "OCT="+octJWK(k.oct, "o1"))
	base := function(t, "proxy", deployment(redis))
	token := bearer(uid(t, "alice", nil))
	for name, c := range map[string]struct {
		target, body string
		want         int
	}{
		"by a glob":                 {"", `{"model":"gpt-4o-mini"}`, 200},
		"the glob's beginning":      {"", `{"model":"gpt-4o"}`, 200},
		"a glob in the middle":      {"", `{"model":"qwen-plus-latest"}`, 200},
		"exact":                     {"", `{"messages":[],"model":"exact"}`, 200},
		"exact, escaped":            {"", `{"model":"\u0065xact"}`, 200},
		"another":                   {"", `{"model":"gpt-5"}`, 403},
		"exact and more":            {"", `{"model":"exact2"}`, 403},
		"in other case":             {"", `{"model":"GPT-4o"}`, 403},
		"a look-alike":              {"", `{"model":"gpt-4\u043e"}`, 403},
		"a space before":            {"", `{"model":" gpt-4o"}`, 403},
		"none":                      {"", `{}`, 403},
		"empty":                     {"", `{"model":""}`, 403},
		"no text":                   {"", `{"model":["gpt-4o"]}`, 403},
		"null":                      {"", `{"model":null}`, 403},
		"named in other case":       {"", `{"Model":"gpt-4o"}`, 400},
		"both cases":                {"", `{"Model":"gpt-4o","model":"gpt-5"}`, 400},
		"both cases, the other way": {"", `{"model":"gpt-4o","MODEL":"gpt-5"}`, 400},
		"a list of models beside":   {"", `{"model":"gpt-4o","models":["gpt-5"]}`, 400},
		"another in the query":      {"?model=gpt-5", `{"model":"gpt-4o"}`, 403},
		"twice":                     {"", `{"model":"gpt-4o","model":"gpt-5"}`, 400},
		"twice, the other way":      {"", `{"model":"gpt-5","model":"gpt-4o"}`, 400},
		"twice, escaped":            {"", `{"model":"gpt-4o","m\u006fdel":"gpt-5"}`, 400},
		"twice within":              {"", `{"model":"gpt-4o","x":{"a":1,"a":2}}`, 400},
		"in the query alone":        {"?model=gpt-4o", `{}`, 403},
		"in the query too":          {"?model=gpt-4o", `{"model":"gpt-5"}`, 403},
		"no JSON":                   {"", `model=gpt-4o`, 400},
		"a list":                    {"", `[{"model":"gpt-4o"}]`, 400},
		"two values":                {"", `{"model":"gpt-4o"}{"model":"gpt-5"}`, 400},
		"a BOM":                     {"", "\ufeff" + `{"model":"gpt-4o"}`, 400},
		"bad UTF-8":                 {"", `{"model":"gpt-4o` + "\xff" + `"}`, 400},
		"deep":                      {"", `{"model":"gpt-4o","x":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + `}`, 400},
		"a null byte":               {"", `{"model":"exact\u0000"}`, 403},
		"within another member":     {"", `{"x":{"model":"gpt-4o"}}`, 403},
		"in extra_body":             {"", `{"model":"gpt-5","extra_body":{"model":"gpt-4o"}}`, 403},
		"an empty body":             {"", ``, 403},
		"a glob for a name":         {"", `{"model":"*"}`, 403},
		"a name of a glob's middle": {"", `{"model":"qwen--latest"}`, 200},
	} {
		before := u.count()
		a := ask(t, http.MethodPost, base+"/v1/chat/completions"+c.target, []string{token}, c.body)
		code, message := refusalOf(a.Body)
		if a.Status != c.want || c.want == 403 && (code != "model_not_allowed" || message != "Access Denied") || (u.count() != before) != (c.want == 200) {
			t.Errorf("%s: %d %s; want %d", name, a.Status, a.Body, c.want)
		}
	}
	for _, path := range []string{"/v1/openai/deployments/gpt-5/chat/completions", "/v1/engines/gpt-5/completions", "/v1/models/gpt-5:run"} {
		if a := ask(t, http.MethodPost, base+path, []string{token}, `{"model":"gpt-4o"}`); a.Status != 403 {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	if a := ask(t, http.MethodPost, base+"/v1/chat/completions", []string{bearer(uid(t, "all", nil))}, `{"model":"x","model":"y"}`); a.Status != 400 {
		t.Errorf("who is not limited: %d %s", a.Status, a.Body) // price and limits rest on the model too
	}
	t.Run("a very long name ends soon", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		body := `{"model":"` + strings.Repeat("ab", 50<<10) + strings.Repeat("c", 50<<10) + `"}`
		r, _ := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/chat/completions", strings.NewReader(body))
		r.Header.Set("Authorization", strings.TrimPrefix(token, "Authorization: "))
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatalf("after five seconds: %v", err)
		}
		defer response.Body.Close()
		if text, _ := io.ReadAll(response.Body); response.StatusCode != 403 && response.StatusCode != 400 {
			t.Errorf("%d %s", response.StatusCode, text)
		}
	})
}
