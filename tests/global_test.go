package tests

import (
	"crypto"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// globalConfig asks everybody for a token of one issuer on the API without authentication of its own.
const globalConfig = gateConfig + `
global_authentication:
  jwks: "${EC}"
  issuer: https://login.example
  subject: @SUBJECT@
  header: X-Login
  prefix: "Login "
  claims_to_headers: [{claim: sub, header: X-User}]
  mode: @MODE@
  rules:
    - {path: /open/public}
    - {path: /open/login, match: exact}
    - {path: .css, match: suffix}
    - {path: "/open/v[0-9]+/ping", match: regex}
    - {domain: ai.acme.example, path: /open/there}
`

func globalText(mode, subject string) string {
	return strings.NewReplacer("@MODE@", mode, "@SUBJECT@", subject).Replace(globalConfig)
}

// Global authentication: whitelist and blacklist, decided on the canonical path, through every door.
func TestGlobalAuthenticationThroughEveryDoor(t *testing.T) {
	k, thief := keysOf(t)
	doors, redis := openGate(t, globalText("whitelist", `""`))
	user := claims{"sub": "user-1", "iss": "https://login.example", "exp": in(time.Hour)}
	login := func(changed claims) string {
		return "X-Login: Login " + compact(`{"alg":"ES256","kid":"e1"}`, user.with(changed).json(), es(crypto.SHA256, k.ec))
	}
	stolen := "X-Login: Login " + compact(`{"alg":"ES256","kid":"e1"}`, user.json(), es(crypto.SHA256, thief.ec))
	listed := map[string]call{
		"a prefix":            get("/open/public"),
		"below a prefix":      get("/open/public/a/b?x=1"),
		"exact":               get("/open/login"),
		"a suffix":            get("/open/a/style.css"),
		"a regex":             get("/open/v12/ping"),
		"a domain and a path": get("/open/there/x", "Host: ai.acme.example"),
	}
	unlistedPaths := map[string]call{
		"a path that only begins so": get("/open/publicity"),
		"below an exact one":         get("/open/login/x"),
		"a suffix in the query":      get("/open/a?x=.css"),
		"a regex unanchored":         get("/open/v12/ping/x"),
		"a regex at another start":   get("/open/x/open/v1/ping"),
		"another domain":             get("/open/there/x"),
		"nothing listed":             get("/open/orders"),
	}
	const anything = ""
	for what, c := range listed {
		t.Run("whitelist/"+what, func(t *testing.T) { doors.check(t, fixed(c), passes(anything), nil) })
	}
	for what, c := range unlistedPaths {
		t.Run("whitelist/"+what, func(t *testing.T) {
			doors.check(t, fixed(c), jwtMissing("open"), nil)
			doors.check(t, fixed(c.with(login(nil))), passes(anything), nil)
		})
	}
	orders := get("/open/orders")
	for what, r := range map[string]row{
		"expired":                 plain(orders.with(login(claims{"exp": in(-time.Hour)})), jwtExpired("open")),
		"another issuer":          plain(orders.with(login(claims{"iss": "https://login.example.evil"})), jwtFails("open")),
		"no issuer":               plain(orders.with(login(claims{"iss": nil})), jwtFails("open")),
		"another key":             plain(orders.with(stolen), jwtFails("open")),
		"too long a life":         plain(orders.with(login(claims{"exp": in(8 * 24 * time.Hour)})), jwtFails("open")),
		"no exp":                  plain(orders.with(login(claims{"exp": nil})), jwtFails("open")),
		"two tokens":              plain(orders.with(login(nil), login(nil)), jwtFails("open")),
		"at another place":        plain(orders.with("Authorization: "+login(nil)[len("X-Login: "):]), jwtMissing("open")),
		"a consumer's own token":  plain(orders.with(bearer(uid(t, "alice", nil))), jwtMissing("open")),
		"an API of its own":       plain(get("/tokens/x", login(nil)), jwtMissing("tokens")),
		"an API of its own, both": plain(get("/tokens/x", login(nil), bearer(uid(t, "alice", nil))), passes("alice")),
	} {
		t.Run("token/"+what, func(t *testing.T) { doors.check(t, r.make, r.want, nil) })
	}
	t.Run("the claim's header is the gateway's", func(t *testing.T) {
		doors.tcp(t, orders.with(login(nil), "X-User: somebody", "X-Consumer: somebody"))
		seen := doors.upstream.last()
		if !slices.Equal(seen.Header["X-User"], []string{"user-1"}) || seen.Header["X-Consumer"] != nil || seen.Header["X-Login"] != nil {
			t.Errorf("upstream saw %v", seen.Header)
		}
	})

	applyGate(t, redis, doors.upstream, globalText("blacklist", `"user-1"`))
	expectSoon(t, func() int { v, _ := doors.tcp(t, listed["a prefix"]); return v.status }, 401)
	expectSoon(t, func() int { return doors.nginx(t, listed["a prefix"]).status }, 401)
	pause()
	for range 11 { // the authorizer behind events is another process, and asks the store at most once a second
		if doors.version2(t, listed["a prefix"]).outcome != allowedTo {
			break
		}
		pause()
	}
	for what, c := range listed {
		t.Run("blacklist/"+what, func(t *testing.T) {
			doors.check(t, fixed(c), jwtMissing("open"), nil)
			doors.check(t, fixed(c.with(login(nil))), passes(anything), nil)
			doors.check(t, fixed(c.with(login(claims{"sub": "user-2"}))), jwtFails("open"), nil)
		})
	}
	for what, c := range unlistedPaths {
		t.Run("blacklist/"+what, func(t *testing.T) { doors.check(t, fixed(c), passes(anything), nil) })
	}
}

// The three dialects in which a proxy refuses, each word for word.
// B06: no refusal is stored.
func TestB06RefusalsInTheDialectOfTheAPI(t *testing.T) {
	doors, _ := openGate(t, gateConfig)
	const id = `"request_id":"*"`
	for name, c := range map[string]struct {
		call call
		body string
		kind string
	}{
		"OpenAI": {call{"POST", "/v1/chat/completions", nil, `{}`},
			`{"error":{"message":"JWT missing","type":"authentication_error","param":null,"code":"jwt_missing"},` + id + `}`, "application/json"},
		"OpenAI, denied": {call{"POST", "/v1/chat/completions", []string{bearer(uid(t, "carol", nil))}, `{}`},
			`{"error":{"message":"Access Denied","type":"permission_error","param":null,"code":"access_denied"},` + id + `}`, "application/json"},
		"Anthropic": {call{"POST", "/v1/messages", nil, `{}`},
			`{"type":"error","error":{"type":"authentication_error","message":"JWT missing","code":"jwt_missing"},` + id + `}`, "application/json"},
		"Anthropic, denied": {call{"POST", "/v1/messages/count_tokens", []string{bearer(testKey + "-poor")}, `{}`},
			`{"type":"error","error":{"type":"permission_error","message":"` + keyAuth + `Unauthorized consumer.","code":"consumer_unauthorized"},` + id + `}`,
			"application/json"},
		"MCP": {call{"POST", "/mcp", nil, `{"jsonrpc":"2.0","id":7,"method":"tools/list"}`},
			`{"jsonrpc":"2.0","id":7,"error":{"code":-32001,"message":"JWT missing","data":{"code":"jwt_missing",` + id + `}}}`, "application/json"},
		"MCP, a text for an id": {call{"POST", "/mcp", nil, `{"jsonrpc":"2.0","id":"a","method":"tools/list"}`},
			`{"jsonrpc":"2.0","id":"a","error":{"code":-32001,"message":"JWT missing","data":{"code":"jwt_missing",` + id + `}}}`, "application/json"},
		"HTTP": {get("/tokens"), `{"type":"about:blank","title":"Unauthorized","status":401,"detail":"JWT missing","code":"jwt_missing",` + id + `}`,
			"application/problem+json"},
		"no API": {get("/nothing"), `{"type":"about:blank","title":"Not Found","status":404,"detail":"No API matches this host and path","code":"api_not_found",` +
			id + `}`, "application/problem+json"},
	} {
		_, a := doors.tcp(t, c.call)
		if got := same(a.Body); got != c.body || a.Header.Get("Content-Type") != c.kind {
			t.Errorf("%s:\ngot  %s (%s)\nwant %s", name, got, a.Header.Get("Content-Type"), c.body)
		}
		if stored := a.Header.Get("Cache-Control"); stored != "no-store" {
			t.Errorf("%s: Cache-Control %q", name, stored)
		}
		var told struct {
			RequestID string `json:"request_id"`
			Error     struct {
				Data struct {
					RequestID string `json:"request_id"`
				}
			}
		}
		_ = json.Unmarshal([]byte(a.Body), &told)
		if id := told.RequestID + told.Error.Data.RequestID; id == "" || id != a.Header.Get("X-Request-Id") {
			t.Errorf("%s: request id %q, header %q", name, id, a.Header.Get("X-Request-Id"))
		}
	}
}

// limitConfig has a limit of each subject, one call each. The APIs of the authorizer have no upstreams: it counts their calls.
const limitConfig = `
version: 1
domains: [{name: default, daily_call_limit: 0}, {name: small.example, daily_call_limit: 1}, {name: own.example, daily_call_limit: 1}]
upstreams: [{name: backend, protocol: http, base_url: "${UPSTREAM}"}]
groups: [{name: few, limits: {calls_per_month: 1}}, {name: own-few, limits: {calls_per_month: 1}}]
apis:
  - {name: a, type: http, base_path: /a, upstreams: [{upstream: backend}]}
  - {name: limited, type: http, base_path: /limited, upstreams: [{upstream: backend}], limits: {calls_per_hour: 1}}
  - {name: own, type: http, base_path: /own/a}
  - {name: own-limited, type: http, base_path: /own/limited, limits: {calls_per_hour: 1}}
consumers:
  - {name: free, jwt: {jwks: "${OCT}", value: free}, authorizations: [{api: a}, {api: limited}, {api: own}, {api: own-limited}]}
  - {name: one, jwt: {jwks: "${OCT}", value: one}, limits: {calls_per_day: 1}, authorizations: [{api: a}]}
  - {name: member, jwt: {jwks: "${OCT}", value: member}, groups: [few], authorizations: [{api: a}]}
  - {name: own-one, jwt: {jwks: "${OCT}", value: own-one}, limits: {calls_per_day: 1}, authorizations: [{api: own}]}
  - {name: own-member, jwt: {jwks: "${OCT}", value: own-member}, groups: [own-few], authorizations: [{api: own}]}
`

// A limit's refusal through every door that counts: the proxy, and the authorizer for its own APIs.
func TestLimitsThroughEveryDoor(t *testing.T) {
	doors, _ := openGate(t, limitConfig)
	for subject, c := range map[string]struct{ proxied, own call }{
		"DOMAIN":   {get("/a", bearer(uid(t, "free", nil)), "Host: small.example"), get("/own/a", bearer(uid(t, "free", nil)), "Host: own.example")},
		"API":      {get("/limited", bearer(uid(t, "free", nil))), get("/own/limited", bearer(uid(t, "free", nil)))},
		"CONSUMER": {get("/a", bearer(uid(t, "one", nil))), get("/own/a", bearer(uid(t, "own-one", nil)))},
		"GROUP":    {get("/a", bearer(uid(t, "member", nil))), get("/own/a", bearer(uid(t, "own-member", nil)))},
	} {
		t.Run(subject, func(t *testing.T) {
			over := want{status: 429, code: strings.ToLower(subject) + "_limit", message: "Throttled by " + subject + " Flow Control"}
			if v, a := doors.tcp(t, c.proxied); v.status != 200 {
				t.Fatalf("the first call: %+v %s", v, a.Body)
			}
			v, a := doors.tcp(t, c.proxied)
			if v.status != over.status || v.code != over.code || v.message != over.message || v.challenge != "" {
				t.Errorf("proxy: %+v, want %+v", v, over)
			}
			for _, name := range []string{"Retry-After", "RateLimit", "RateLimit-Policy"} {
				if a.Header.Get(name) == "" {
					t.Errorf("no %s: %v", name, a.Header)
				}
			}
			if v := doors.nginx(t, c.own); v.outcome != allowedTo {
				t.Fatalf("nginx, the first call: %+v", v)
			}
			if v := doors.nginx(t, c.own); v.status != 403 || v.code != over.code || v.message != over.message || v.consumer != "" {
				t.Errorf("nginx: %+v, want %+v", v, over)
			}
			for door, ask := range map[string]func(*testing.T, call) verdict{"REQUEST": doors.request, "2.0": doors.version2} {
				if v := ask(t, c.own); v.outcome != refusedTo || v.code != over.code || v.consumer != "" {
					t.Errorf("%s: %+v, want %+v", door, v, over)
				}
			}
		})
	}
}
