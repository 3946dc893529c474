package proxy_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"keyless/shared/cloud"
	"keyless/shared/proxy"
	"keyless/shared/registry"
)

// role is the environment of a function with one.
var role = map[string]string{
	"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "a-secret-access-key", "AWS_SESSION_TOKEN": "IQoJb3Jp-a-session",
	"AWS_REGION": "eu-west-1",
}

// in gives the proxy an environment.
func in(environment map[string]string) func(*world) {
	return func(w *world) {
		earlier := w.change
		w.change = func(o *proxy.Options) {
			if earlier != nil {
				earlier(o)
			}
			o.Lookup = func(name string) (string, bool) { value, is := environment[name]; return value, is }
		}
	}
}

// proving gives the upstreams that llm makes an auth in place of their keys.
func proving(auth registry.UpstreamAuth, names ...string) func(*world) {
	return func(w *world) {
		for _, name := range names {
			u := w.extra["upstream:"+name].(registry.Upstream)
			u.APIKeys, u.Auth = nil, &auth
			w.extra["upstream:"+name] = u
		}
	}
}

// amazon answers as AWS does: it signs the request again as it came, and compares.
func amazon(t testing.TB, region string, answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		sent := r.Header.Get("Authorization")
		_, names, _ := strings.Cut(sent, "SignedHeaders=")
		names, _, _ = strings.Cut(names, ",")
		again := &http.Request{Method: r.Method, URL: &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery},
			Host: r.Host, Header: http.Header{}}
		for name := range strings.SplitSeq(names, ";") {
			if values := r.Header.Values(name); len(values) > 0 {
				again.Header[http.CanonicalHeaderKey(name)] = values
			}
		}
		at, _ := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		body, _ := io.ReadAll(r.Body)
		cloud.SignV4(again, body, cloud.Credentials{ID: role["AWS_ACCESS_KEY_ID"], Secret: role["AWS_SECRET_ACCESS_KEY"],
			Session: role["AWS_SESSION_TOKEN"]}, "bedrock", region, at)
		if again.Header.Get("Authorization") != sent || !at.Equal(now) {
			t.Errorf("signed\n%s; want\n%s", sent, again.Header.Get("Authorization"))
			w.WriteHeader(http.StatusForbidden)
			return
		}
		answer(w, r)
	}
}

func TestSignedForAWS(t *testing.T) {
	t.Parallel()
	own := registry.UpstreamAuth{SigV4: map[string]string{"service": "bedrock"}}
	for name, row := range map[string]struct {
		auth   registry.UpstreamAuth
		region string
		path   string
		body   string
		lines  []string
	}{
		"the function's region":        {own, "eu-west-1", "/chat/completions", asked, nil},
		"the upstream's region":        {registry.UpstreamAuth{SigV4: map[string]string{"service": "bedrock", "region": "us-east-1"}}, "us-east-1", "/chat/completions", asked, nil},
		"a model in the path":          {own, "eu-west-1", "/model/anthropic.claude:0/converse", `{}`, nil},
		"a query":                      {own, "eu-west-1", "/x?b=2&a=%20x&a=1&c", `{}`, nil},
		"a signature of the caller's":  {own, "eu-west-1", "/x?X-Amz-Signature=forged&x-amz-date=1&b=2", `{}`, []string{"X-Amz-Security-Token: forged", "X-Amz-Target: Other"}},
		"a credential of the caller's": {own, "eu-west-1", "/x", `{}`, []string{"Authorization: AWS4-HMAC-SHA256 Credential=forged"}},
		"headers with odd spaces":      {own, "eu-west-1", "/x", `{}`, []string{"X-Odd: a   b ", "Accept-Language: *"}},
		"a model that is spliced":      {own, "eu-west-1", "/chat/completions", strings.Replace(asked, `"m"`, `"other"`, 1), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			verify := amazon(t, row.region, answers(200, isJSON, whole))
			rec := &recorder{}
			server := record(t, nil)
			server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				rec.mu.Lock()
				rec.seen = append(rec.seen, sighting{Request: r})
				rec.mu.Unlock()
				verify(w, r)
			})
			w := open(t, server.URL, llm(func(a *registry.API) { a.Upstreams[0].Models = map[string]string{"other": "m", "*": "*"} },
				server.URL), proving(row.auth, "up1"), in(role))
			got := do(t, w.request(http.MethodPost, "/llm"+row.path, row.body, row.lines...))
			equal(t, "status of "+got.body, got.StatusCode, 200)
			sent := rec.last()
			for _, values := range sent.Header {
				equal(t, "what is forged", strings.Contains(strings.Join(values, " "), "forged"), false)
			}
			equal(t, "in the query", strings.Contains(strings.ToLower(sent.URL.RawQuery), "x-amz-"), false)
			equal(t, "target", sent.Header.Get("X-Amz-Target"), "")
			equal(t, "session", sent.Header.Get("X-Amz-Security-Token"), role["AWS_SESSION_TOKEN"])
		})
	}
}

// TestSignedAnew: each attempt has a signature of its own.
func TestSignedAnew(t *testing.T) {
	t.Parallel()
	first := record(t, nil)
	first.Config.Handler = amazon(t, "eu-west-1", answers(503, isJSON, `{}`))
	second := record(t, nil)
	second.Config.Handler = amazon(t, "eu-west-1", answers(200, isJSON, whole))
	w := open(t, first.URL, llm(retrying(2, 503), first.URL, second.URL),
		proving(registry.UpstreamAuth{SigV4: map[string]string{"service": "bedrock"}}, "up1", "up2"), in(role))
	equal(t, "status", w.chat(t, asked).StatusCode, 200)
}

// TestNotSigned: where there is nothing to sign with, nothing is sent, nothing is counted, and the log says what to do.
func TestNotSigned(t *testing.T) {
	t.Parallel()
	without := func(name string) map[string]string {
		rest := map[string]string{}
		for key, value := range role {
			if key != name {
				rest[key] = value
			}
		}
		return rest
	}
	for name, row := range map[string]struct {
		environment map[string]string
		log         string
	}{
		"no role":   {nil, "AWS_ACCESS_KEY_ID"},
		"no secret": {without("AWS_SECRET_ACCESS_KEY"), "AWS_SECRET_ACCESS_KEY"},
		"no region": {without("AWS_REGION"), "auth.sigv4.region"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := record(t, nil)
			w := open(t, upstream.URL, llm(retrying(3, "connect", 502), upstream.URL),
				proving(registry.UpstreamAuth{SigV4: map[string]string{"service": "bedrock"}}, "up1"), in(row.environment))
			got := w.chat(t, asked)
			equal(t, "status", got.StatusCode, 502)
			equal(t, "code in "+got.body, strings.Contains(got.body, `"upstream_auth"`), true)
			equal(t, "calls", upstream.count(), 0)
			within(t, "the handler ends", w.ended)
			equal(t, "given back", w.quota.given(), 1)
			equal(t, "the log names it: "+w.log.String(), strings.Contains(w.log.String(), row.log), true)
			equal(t, "a secret in the log", strings.Contains(w.log.String(), role["AWS_SECRET_ACCESS_KEY"]), false)
		})
	}
}

// TestNotSignedElsewhere: another upstream that has what it needs takes the call.
func TestNotSignedElsewhere(t *testing.T) {
	t.Parallel()
	upstream := record(t, answers(200, isJSON, whole))
	w := open(t, upstream.URL, llm(retrying(2, 500), upstream.URL, upstream.URL),
		proving(registry.UpstreamAuth{SigV4: map[string]string{"service": "bedrock"}}, "up1"))
	equal(t, "status", w.chat(t, asked).StatusCode, 200)
	equal(t, "credential", upstream.last().Header.Get("Authorization"), "Bearer sk-of-up2-0123456789")
	within(t, "the handler ends", w.ended)
	equal(t, "upstream", w.quota.only(t).entry.Upstream, "up2")
}

// TestAWSRefuses: the caller sees no session token, which AWS quotes, and the operator is told.
func TestAWSRefuses(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]int{403: 502, 400: 400} {
		upstream := record(t, answers(status, isJSON, `{"message":"should have been: x-amz-security-token:`+role["AWS_SESSION_TOKEN"]+`"}`))
		w := open(t, upstream.URL, llm(nil, upstream.URL),
			proving(registry.UpstreamAuth{SigV4: map[string]string{"service": "bedrock"}}, "up1"), in(role))
		got := w.chat(t, asked)
		equal(t, "status", got.StatusCode, want)
		equal(t, "the session in "+got.body, strings.Contains(got.body, role["AWS_SESSION_TOKEN"]), false)
		equal(t, "alarm", strings.Contains(w.log.String(), "refuses the provider's key"), status == 403)
	}
}

// TestOwnKeyInPlaceOfASignature: a consumer's own key is what its calls bear.
func TestOwnKeyInPlaceOfASignature(t *testing.T) {
	t.Parallel()
	upstream := record(t, answers(200, isJSON, whole))
	w := open(t, upstream.URL, llm(func(a *registry.API) { a.Authentication = nil }, upstream.URL),
		proving(registry.UpstreamAuth{SigV4: map[string]string{"service": "bedrock"}}, "up1"), in(role),
		func(w *world) {
			w.consumers = append(w.consumers, registry.Consumer{Name: "own", JWT: &registry.JWTCredential{},
				UpstreamKeys: map[string]registry.Secret{"up1": "bedrock-api-key"}, Authorizations: []registry.Authorization{{API: "llm"}}})
		})
	got := w.chat(t, asked, "Authorization: Bearer "+token("own"), "X-Amz-Date: forged")
	equal(t, "status of "+got.body, got.StatusCode, 200)
	equal(t, "credential", upstream.last().Header.Get("Authorization"), "Bearer bedrock-api-key")
	equal(t, "date", upstream.last().Header.Get("X-Amz-Date"), "")
}
