package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"keyless/shared/proxy"
	"keyless/shared/registry"
)

// issuer is a token endpoint that counts, and an upstream that takes its newest token only.
type issuer struct {
	*recorder
	mu       sync.Mutex // guards all below
	number   int
	valid    string
	lifetime string
	answer   http.HandlerFunc // in place of its own
	delay    time.Duration
}

func newIssuer(t testing.TB) *issuer {
	i := &issuer{lifetime: "3600"}
	i.recorder = record(t, func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		i.number++
		i.valid = "token-" + strconv.Itoa(i.number)
		valid, lifetime, answer, delay := i.valid, i.lifetime, i.answer, i.delay
		i.mu.Unlock()
		time.Sleep(delay)
		if answer != nil {
			answer(w, r)
			return
		}
		w.Header().Set("Content-Type", isJSON)
		_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"bearer"%s}`, valid, expires(lifetime))
	})
	return i
}

func expires(seconds string) string {
	if seconds == "" {
		return ""
	}
	return `,"expires_in":` + seconds
}

// rotate makes every token that is out invalid.
func (i *issuer) rotate() { i.mu.Lock(); defer i.mu.Unlock(); i.valid = "none" }

// guarded is an upstream behind it.
func (i *issuer) guarded(t testing.TB) *recorder {
	return record(t, func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		valid := i.valid
		i.mu.Unlock()
		if sent := r.Header.Get("Authorization"); sent != "Bearer "+valid {
			answers(401, isJSON, `{"error":"`+sent+` is not valid"}`)(w, r)
			return
		}
		answers(200, isJSON, whole)(w, r)
	})
}

// by is an upstream's auth of the client credentials grant.
func by(i *issuer, more ...string) registry.UpstreamAuth {
	members := map[string]registry.Secret{"token_url": registry.Secret(i.URL + "/token?tenant=a"), "client_id": "us:&",
		"client_secret": "a secret/+"}
	for n := 0; n < len(more); n += 2 {
		members[more[n]] = registry.Secret(more[n+1])
	}
	return registry.UpstreamAuth{OAuth: members}
}

func ticking(c *clock) func(*world) {
	return func(w *world) { w.change = func(o *proxy.Options) { c.on(o) } }
}

func TestTokenForAnUpstream(t *testing.T) {
	t.Parallel()
	i, c := newIssuer(t), started()
	upstream := i.guarded(t)
	w := open(t, upstream.URL, llm(nil, upstream.URL), ticking(c),
		proving(by(i, "scope", "a b", "audience", "x", "resource", "https://r.example"), "up1"))
	for range 3 {
		equal(t, "status", w.chat(t, asked).StatusCode, 200)
	}
	equal(t, "fetches", i.count(), 1)
	ask := i.last()
	user, password, _ := ask.BasicAuth()
	equal(t, "client, form-encoded", user+" "+password, "us%3A%26 a+secret%2F%2B")
	equal(t, "method and URL", ask.Method+" "+ask.RequestURI, "POST /token?tenant=a")
	equal(t, "type", ask.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
	equal(t, "body", ask.body, "audience=x&grant_type=client_credentials&resource=https%3A%2F%2Fr.example&scope=a+b")

	c.pass(3600*time.Second - 61*time.Second)
	equal(t, "status", w.chat(t, asked).StatusCode, 200)
	equal(t, "fetches a second before the last minute", i.count(), 1)
	c.pass(time.Second)
	equal(t, "status", w.chat(t, asked).StatusCode, 200)
	equal(t, "fetches in the last minute", i.count(), 2)
	equal(t, "a token in the log", strings.Contains(w.log.String(), "token-"), false)
}

// TestTokenThatSoonEnds serves the call that it was fetched for.
func TestTokenThatSoonEnds(t *testing.T) {
	t.Parallel()
	for lifetime, fetches := range map[string]int{"60": 2, "61": 1, "0": 2, "": 1, "99999999999999": 1} {
		i := newIssuer(t)
		i.lifetime = lifetime
		upstream := i.guarded(t)
		w := open(t, upstream.URL, llm(nil, upstream.URL), proving(by(i), "up1"))
		equal(t, "first", w.chat(t, asked).StatusCode, 200)
		equal(t, "second", w.chat(t, asked).StatusCode, 200)
		equal(t, "fetches at "+lifetime, i.count(), fetches)
	}
}

// TestOneFetchForAll who wait.
func TestOneFetchForAll(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.delay = 100 * time.Millisecond
	upstream := i.guarded(t)
	w := open(t, upstream.URL, llm(nil, upstream.URL), proving(by(i), "up1"))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { equal(t, "status", w.chat(t, asked).StatusCode, 200) })
	}
	all.Wait()
	equal(t, "fetches", i.count(), 1)
}

// TestTokensOfTwoUpstreams are two, whoever issues them.
func TestTokensOfTwoUpstreams(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	first, second := record(t, answers(503, isJSON, `{}`)), record(t, answers(200, isJSON, whole))
	w := open(t, first.URL, llm(retrying(2, 503), first.URL, second.URL), proving(by(i), "up1", "up2"))
	equal(t, "status", w.chat(t, asked).StatusCode, 200)
	equal(t, "tokens", first.last().Header.Get("Authorization")+" "+second.last().Header.Get("Authorization"),
		"Bearer token-1 Bearer token-2")
}

// TestTokenIsRefused: it is fetched anew once, and the attempt repeated within the rules.
func TestTokenIsRefused(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		rules  func(*registry.API)
		status int
		calls  int
	}{
		"with another attempt": {retrying(2, 500), 200, 3},
		"without":              {nil, 502, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i, c := newIssuer(t), started()
			upstream := i.guarded(t)
			w := open(t, upstream.URL, llm(row.rules, upstream.URL), proving(by(i), "up1"), ticking(c))
			equal(t, "first", w.chat(t, asked).StatusCode, 200)
			i.rotate()
			got := w.chat(t, asked)
			equal(t, "second", got.StatusCode, row.status)
			equal(t, "calls", upstream.count(), row.calls)
			equal(t, "third", w.chat(t, asked).StatusCode, 200)
			equal(t, "fetches", i.count(), 2)
			equal(t, "alarm", strings.Contains(w.log.String(), "refuses the provider's key"), false)
		})
	}
}

// TestEveryTokenIsRefused: an upstream that takes none costs its issuer little, and the operator is told.
func TestEveryTokenIsRefused(t *testing.T) {
	t.Parallel()
	i, c := newIssuer(t), started()
	upstream := record(t, answers(401, isJSON, `{"error":"no"}`))
	w := open(t, upstream.URL, llm(retrying(5, 500), upstream.URL), proving(by(i), "up1"), ticking(c))
	for range 4 {
		got := w.chat(t, asked)
		equal(t, "status", got.StatusCode, 502)
		equal(t, "code in "+got.body, strings.Contains(got.body, `"upstream_auth"`), true)
	}
	equal(t, "fetches", i.count(), 2)
	equal(t, "calls", upstream.count(), 5)
	equal(t, "alarm", strings.Contains(w.log.String(), "refuses the provider's key"), true)
	c.pass(10 * time.Second)
	w.chat(t, asked)
	equal(t, "fetches after a while", i.count(), 3)
}

// TestTokenIsNotEchoed by an upstream's error, nor by a header of it.
func TestTokenIsNotEchoed(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	upstream := record(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Echo", r.Header.Get("Authorization"))
		answers(400, isJSON, `{"error":"`+r.Header.Get("Authorization")+`"}`)(w, r)
	})
	w := open(t, upstream.URL, llm(nil, upstream.URL), proving(by(i), "up1"))
	got := w.chat(t, asked)
	equal(t, "status", got.StatusCode, 400)
	equal(t, "in the answer", strings.Contains(got.body+got.Header.Get("X-Echo"), "token-1"), false)
}

// TestNoToken: what a token endpoint answers is no token; the call is not sent, not counted, and nothing of the answer is told.
func TestNoToken(t *testing.T) {
	t.Parallel()
	says := func(status int, body string, lines ...string) http.HandlerFunc {
		return answers(status, isJSON, body, lines...)
	}
	for name, row := range map[string]struct {
		answer http.HandlerFunc
		log    string
	}{
		"an unknown client":      {says(401, `{"error":"invalid_client","error_description":"canary"}`), "answers 401 invalid_client"},
		"an error of no kind":    {says(400, `{"error":"canary"}`), `answers 400"`},
		"it fails":               {says(500, `canary`), "answers 500"},
		"a redirect":             {says(302, ``, "Location: /elsewhere"), "answers 302"},
		"created":                {says(201, `{"access_token":"a","token_type":"Bearer"}`), "answers 201"},
		"no JSON":                {says(200, `canary`), "not one JSON object"},
		"a list":                 {says(200, `[]`), "not one JSON object"},
		"a member twice":         {says(200, `{"access_token":"a","access_token":"canary","token_type":"Bearer"}`), "not one JSON object"},
		"no token":               {says(200, `{"token_type":"Bearer"}`), "no access_token"},
		"a token with a line":    {says(200, `{"access_token":"a\r\ncanary: b","token_type":"Bearer"}`), "no access_token"},
		"a token that is long":   {says(200, `{"access_token":"`+strings.Repeat("a", 16<<10+1)+`","token_type":"Bearer"}`), "no access_token"},
		"no type":                {says(200, `{"access_token":"a"}`), "other than Bearer"},
		"another type":           {says(200, `{"access_token":"a","token_type":"DPoP"}`), "other than Bearer"},
		"a lifetime of text":     {says(200, `{"access_token":"a","token_type":"Bearer","expires_in":"3600"}`), "no number of seconds"},
		"a lifetime below zero":  {says(200, `{"access_token":"a","token_type":"Bearer","expires_in":-1}`), "no number of seconds"},
		"a lifetime of null":     {says(200, `{"access_token":"a","token_type":"Bearer","expires_in":null}`), "no number of seconds"},
		"more than it should be": {says(200, `{"access_token":"a","token_type":"Bearer","x":"`+strings.Repeat("a", 64<<10)+`"}`), "above 64 KiB"},
		"it breaks off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "{")
		}, "read the token endpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			i.answer = row.answer
			upstream := record(t, nil)
			w := open(t, upstream.URL, llm(nil, upstream.URL), proving(by(i), "up1"))
			got := w.chat(t, asked)
			equal(t, "status", got.StatusCode, 502)
			equal(t, "code in "+got.body, strings.Contains(got.body, `"upstream_auth"`), true)
			equal(t, "calls", upstream.count(), 0)
			equal(t, "fetches", i.count(), 1)
			within(t, "the handler ends", w.ended)
			equal(t, "given back", w.quota.given(), 1)
			log := w.log.String()
			equal(t, "the log says it: "+log, strings.Contains(log, row.log), true)
			equal(t, "and no more", strings.Contains(log+got.body, "canary") || strings.Contains(log, "a secret"), false)
		})
	}
}

// TestTokenEndpointIsAway, and comes back.
func TestTokenEndpointIsAway(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	upstream := record(t, answers(200, isJSON, whole))
	w := open(t, upstream.URL, llm(retrying(2, 500), upstream.URL, upstream.URL), proving(by(i, "token_url", deaf(t)), "up1"))
	equal(t, "another upstream takes it", w.chat(t, asked).StatusCode, 200)
	equal(t, "credential", upstream.last().Header.Get("Authorization"), "Bearer sk-of-up2-0123456789")
	i.answer = answers(503, isJSON, `{}`)
	w = open(t, upstream.URL, llm(nil, upstream.URL), proving(by(i), "up1"))
	equal(t, "away", w.chat(t, asked).StatusCode, 502)
	i.mu.Lock()
	i.answer = nil
	i.mu.Unlock()
	equal(t, "back", w.chat(t, asked).StatusCode, 200)
}
