package authorizer_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// forwardAuth are the dialects of forward-auth.
var forwardAuth = map[string]func(call) *http.Request{
	"nginx": nginxRequest, "traefik": traefikRequest,
	"envoy": pathRequest("envoy"), "higress": pathRequest("higress"), "apig": pathRequest("apig"),
}

// L06: 200, 401 with a challenge, 403; B06: never stored.
func TestL06B06AnAnswerToNginx(t *testing.T) {
	t.Parallel()
	always := http.Header{"Cache-Control": {"no-store"}}
	for name, c := range map[string]struct {
		call   call
		limit  int
		status int
		want   http.Header // "" means absent
	}{
		"allowed": {get("/reports", bearer("alice")), 9, 200, http.Header{
			"X-Keyless-Code": {"allowed"}, "X-Consumer": {"alice"}, "X-Keyless-Subject": {"subject of alice"},
			"X-Mapped": {"subject of alice"}, "X-Nothing": {""}, "Www-Authenticate": {""}}},
		"open": {get("/open"), 9, 200, http.Header{"X-Keyless-Code": {"allowed"}, "X-Consumer": {""},
			"X-Keyless-Subject": {""}}},
		"nothing sent": {get("/reports"), 9, 401, http.Header{"X-Keyless-Code": {"jwt_missing"},
			"X-Consumer": {""}, "Www-Authenticate": {`Bearer realm="reports"`}}},
		"a bad token": {get("/reports", "Bearer x"), 9, 401, http.Header{
			"X-Keyless-Code": {"jwt_verification_failed"}, "X-Consumer": {""},
			"Www-Authenticate": {`Bearer realm="reports", error="invalid_token"`}}},
		"may not": {get("/reports", bearer("carol")), 9, 403, http.Header{"X-Keyless-Code": {"access_denied"},
			"X-Consumer": {""}, "X-Keyless-Subject": {""}, "X-Mapped": {""}, "Www-Authenticate": {""}}},
		"over the limit": {get("/reports", bearer("alice")), 0, 403, http.Header{"X-Keyless-Code": {"domain_limit"},
			"X-Consumer": {""}, "Retry-After": {"3600"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reply := serve(open(standard().store(t), &counter{limit: c.limit}), nginxRequest(c.call))
			if reply.StatusCode != c.status {
				t.Errorf("status %d", reply.StatusCode)
			}
			for _, want := range []http.Header{always, c.want} {
				for name := range want {
					if got := reply.Header.Get(name); got != want.Get(name) {
						t.Errorf("%s: got %q, want %q", name, got, want.Get(name))
					}
				}
			}
			id, body := reply.Header.Get("X-Request-Id"), readAll(t, reply.Body)
			if len(id) != 32 {
				t.Errorf("request id %q", id)
			}
			if c.status == 200 {
				if len(body) > 0 {
					t.Errorf("body %s", body)
				}
				return
			}
			var problem struct {
				Status                  int
				Detail, Code, RequestID string
			}
			body = bytes.Replace(body, []byte("request_id"), []byte("RequestID"), 1)
			if err := json.Unmarshal(body, &problem); err != nil || problem.Status != c.status ||
				problem.Detail == "" || problem.Code != c.want.Get("X-Keyless-Code") || problem.RequestID != id ||
				reply.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("body %s", body)
			}
		})
	}
}

func set(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func drop(name string) func(*http.Request) { return func(r *http.Request) { r.Header.Del(name) } }

// L06: method, URI and host are read from a trusted peer only.
func TestL06OnlyATrustedProxyIsBelieved(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit   func(*http.Request)
		status int
		code   string
	}{
		"as it should be": {func(*http.Request) {}, 200, "allowed"},
		"a POST with a body": {func(r *http.Request) {
			r.Method, r.Body = "POST", io.NopCloser(strings.NewReader("x"))
		}, 200, "allowed"},
		"from somewhere else": {func(r *http.Request) {
			r.RemoteAddr = "192.0.2.1:1"
		}, 403, "untrusted_proxy"},
		"from nowhere": {func(r *http.Request) {
			r.RemoteAddr = "@"
		}, 403, "untrusted_proxy"},
		"claiming to be here": {func(r *http.Request) {
			r.RemoteAddr = "192.0.2.1:1"
			r.Header.Set("X-Forwarded-For", "127.0.0.1")
		}, 403, "untrusted_proxy"},
		"no method": {drop("X-Original-Method"), 403, "bad_request"},
		"no URI":    {drop("X-Original-URI"), 403, "bad_request"},
		"no host":   {drop("X-Original-Host"), 403, "bad_request"},
		"two URIs": {func(r *http.Request) {
			r.Header.Add("X-Original-URI", "/open")
		}, 403, "bad_request"},
		"an empty URI":          {set("X-Original-URI", ""), 403, "bad_request"},
		"a whole URL":           {set("X-Original-URI", "http://a/open"), 403, "bad_request"},
		"an encoded slash":      {set("X-Original-URI", "/open%2F..%2Freports"), 403, "bad_request"},
		"two slashes":           {set("X-Original-URI", "//reports"), 403, "bad_request"},
		"a method with a space": {set("X-Original-Method", "GET /open"), 403, "bad_request"},
		"a host with a comma":   {set("X-Original-Host", "a,b"), 403, "bad_request"},
		"other dialects' words": {func(r *http.Request) {
			r.Header.Set("X-Original-URI", "/reports/2026")
			r.Header.Del("Authorization")
			for _, name := range []string{"X-Forwarded-Uri", "X-Forwarded-Path", "X-Original-Url", "X-Rewrite-Url",
				"X-Envoy-Original-Path", "X-Ca-Remote-Auth-Raw-Path"} {
				r.Header.Set(name, "/open")
			}
		}, 401, "jwt_missing"},
		"another dialect's path": {func(r *http.Request) {
			r.URL.Path = "/_/authorize/traefik"
		}, 403, "bad_request"},
		"no dialect's path": {func(r *http.Request) {
			r.URL.Path = "/_/authorize/caddy"
		}, 404, "dialect_not_found"},
		"a path below the dialect": {func(r *http.Request) {
			r.URL.Path = "/_/authorize/nginx/open"
		}, 404, "dialect_not_found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := nginxRequest(get("/reports?x=1", bearer("alice")))
			c.edit(r)
			reply := serve(open(standard().store(t), &counter{limit: 9}), r)
			if got := reply.Header.Get("X-Keyless-Code"); reply.StatusCode != c.status || got != c.code {
				t.Errorf("got %d %s", reply.StatusCode, got)
			}
			if reply.StatusCode != 200 && reply.Header.Get("X-Consumer") != "" {
				t.Error("an identity on a refusal")
			}
		})
	}
}

// A consumer whose token stands in a header that gateways use for their own ends cannot be proven by it.
func TestForwardingHeadersAreNoCredentials(t *testing.T) {
	t.Parallel()
	w := standard()
	w.consumers = []string{strings.Replace(consumer("alice", "", "reports"),
		`"jwt":{`, `"jwt":{"header":"X-Forwarded-Access-Token","prefix":"",`, 1)}
	store := w.store(t)
	write(t, store, places("header:x-forwarded-access-token:"))
	r := nginxRequest(get("/reports"))
	r.Header.Set("X-Forwarded-Access-Token", bearer("alice")[len("Bearer "):])
	if reply := serve(open(store, &counter{limit: 9}), r); reply.StatusCode != 401 {
		t.Errorf("got %d", reply.StatusCode)
	}
}

// Every word of every dialect, as a client sends it.
var lies = http.Header{
	"X-Original-Method": {"GET"}, "X-Original-Uri": {"/open"}, "X-Original-Host": {"other.example"},
	"X-Original-Url": {"/open"}, "X-Rewrite-Url": {"/open"}, "X-Forwarded-Method": {"GET"},
	"X-Forwarded-Uri": {"/open"}, "X-Forwarded-Host": {"other.example"}, "X-Forwarded-Path": {"/open"},
	"X-Forwarded-Prefix": {"/open"}, "Forwarded": {"host=other.example"}, "X-Envoy-Original-Path": {"/open"},
	"X-Envoy-Original-Host": {"other.example"}, "X-Ca-Remote-Auth-Raw-Path": {"/open"},
	"X-Auth-Request-Redirect": {"/open"}, "X-Mse-External-Authz-Check-Result": {"true"},
	"X-Mse-Consumer": {"root"}, "X-Consumer": {"root"}, "X-Keyless-Subject": {"root"},
}

func TestOtherDialectsWordsChangeNothing(t *testing.T) {
	t.Parallel()
	for dialect, request := range forwardAuth {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			for _, c := range []struct {
				call   call
				status int
				code   string
			}{
				{get("/reports"), 401, "jwt_missing"},
				{get("/v1/admin", bearer("alice")), 403, "access_denied"},
				{get("/reports", bearer("alice")), 200, "allowed"},
				{call{method: "DELETE", path: "/elsewhere", host: "default.example"}, 403, "api_not_found"},
			} {
				lying := request(c.call)
				for name, values := range lies {
					if len(lying.Header[name]) == 0 {
						lying.Header[name] = values
					}
				}
				reply := serve(open(standard().store(t), &counter{limit: 9}), lying)
				if code := reply.Header.Get("X-Keyless-Code"); reply.StatusCode != c.status || code != c.code {
					t.Errorf("%s: got %d %s", c.call.path, reply.StatusCode, code)
				}
				if got := reply.Header.Get("X-Consumer"); c.status == 200 != (got == "alice") {
					t.Errorf("%s: consumer %q", c.call.path, got)
				}
			}
		})
	}
}

func TestAWordThatIsSaidTwiceIsNoWord(t *testing.T) {
	t.Parallel()
	for dialect, words := range map[string][]string{
		"nginx":   {"X-Original-Method", "X-Original-Uri", "X-Original-Host"},
		"traefik": {"X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host"},
	} {
		for _, word := range words {
			for change, values := range map[string]func(string) []string{
				"twice": func(was string) []string { return []string{was, was} },
				"never": func(string) []string { return nil },
				"empty": func(string) []string { return []string{""} },
			} {
				r := forwardAuth[dialect](get("/open"))
				r.Header[word] = values(r.Header.Get(word))
				reply := serve(open(standard().store(t), &counter{limit: 9}), r)
				if got := reply.Header.Get("X-Keyless-Code"); reply.StatusCode != 403 || got != "bad_request" {
					t.Errorf("%s: %s %s: got %d %s", dialect, word, change, reply.StatusCode, got)
				}
			}
		}
	}
}

// The dialect's part is cut off byte for byte; what is left is judged in the one form in which a path has one
// meaning.
func TestAPathBehindTheDialects(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"/_/authorize/envoy/open":                         "200 allowed",
		"/_/authorize/envoy/open/a%20b?x=%2F..&y":         "200 allowed",
		"/_/authorize/envoy/reports":                      "401 jwt_missing",
		"/_/authorize/envoy":                              "403 api_not_found",
		"/_/authorize/envoy/":                             "403 api_not_found",
		"/_/authorize/envoy/_/authorize/envoy/open":       "403 api_not_found",
		"/_/authorize/envoy//open":                        "403 bad_request",
		"/_/authorize/envoy/open//":                       "403 bad_request",
		"/_/authorize/envoy/reports/../open":              "403 bad_request",
		"/_/authorize/envoy/open/..":                      "403 bad_request",
		"/_/authorize/envoy/open/%2e%2e/reports":          "403 bad_request",
		"/_/authorize/envoy/open%2Freports":               "403 bad_request",
		"/_/authorize/envoy/open%2freports\"":             "403 bad_request",
		"/_/authorize/envoy/open;x/reports":               "403 bad_request",
		"/_/authorize/envoy/open%5C..%5Creports":          "403 bad_request",
		"/_/authorize/envoy/%6Fpen":                       "403 bad_request",
		"/_/authorize/envoy/open/%00":                     "403 bad_request",
		"/_/authorize/envoy/../apig/open":                 "403 bad_request",
		"/_/authorize/envoyx/open":                        "404 dialect_not_found",
		"/_/authorize/%65nvoy/open":                       "404 dialect_not_found",
		"/_/authorize//envoy/open":                        "404 dialect_not_found",
		"/_/authorize/Envoy/open":                         "404 dialect_not_found",
		"/_/authorize/nginx/open":                         "404 dialect_not_found",
		"/_/authorize/traefik/":                           "404 dialect_not_found",
		"/open":                                           "404 dialect_not_found",
		"/_/authorize/":                                   "404 dialect_not_found",
		"/_/authorize/envoy/open?a=/../reports":           "200 allowed",
		"/_/authorize/envoy/" + strings.Repeat("a", 5000): "403 bad_request",
	} {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			t.Fatal(target, err)
		}
		r := pathRequest("envoy")(get("/"))
		r.URL = u
		reply := serve(open(standard().store(t), &counter{limit: 9}), r)
		if got := reply.Status[:4] + reply.Header.Get("X-Keyless-Code"); got != want {
			t.Errorf("%s: got %s, want %s", target, got, want)
		}
	}
}

// Some gateways keep the client's copy of a header which the answer lacks.
func TestWhatIsNotKnownIsToldAsEmpty(t *testing.T) {
	t.Parallel()
	for dialect, request := range forwardAuth {
		for path, allowed := range map[string]bool{"/open": true, "/reports": false} {
			reply := serve(open(everything().store(t), &counter{limit: 9}), request(get(path)))
			for _, name := range []string{"X-Consumer", "X-Keyless-Subject", "X-Mapped", "X-Nothing"} {
				if values, told := reply.Header[name]; told != allowed || told && values[0] != "" {
					t.Errorf("%s %s: %s is %q", dialect, path, name, values)
				}
			}
		}
	}
}

func TestOnlyATrustedGatewayIsAnswered(t *testing.T) {
	t.Parallel()
	for dialect, request := range forwardAuth {
		for peer, status := range map[string]int{"127.0.0.1:1": 200, "192.0.2.1:1": 403, "": 403, "@": 403} {
			r := request(get("/open"))
			r.RemoteAddr = peer
			r.Header.Set("X-Real-IP", "127.0.0.1")
			reply := serve(open(standard().store(t), &counter{limit: 9}), r)
			if reply.StatusCode != status || reply.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s from %q: got %d", dialect, peer, reply.StatusCode)
			}
		}
	}
}
