package proxy_test

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"keyless/shared/ledger"
	"keyless/shared/proxy"
	"keyless/shared/quota"
	"keyless/shared/registry"
	"keyless/shared/seal"
)

const ttl = 10 * time.Minute

// shelf is where a gateway keeps answers.
type shelf struct {
	*miniredis.Miniredis
	proxy.Answers
	*clock
	pepper string
}

func newShelf(t testing.TB) *shelf {
	t.Helper()
	server := miniredis.RunT(t)
	store, err := registry.Connect("redis://" + server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return &shelf{server, proxy.NewAnswers(store, "kg"), started(), "a pepper of this registry"}
}

// caching gives the gateway the shelf, and the API that llm makes a cache.
func (s *shelf) caching(t testing.TB, changes ...func(*registry.API)) func(*world) {
	keys, err := seal.ParseKeys(seal.NewMasterKey())
	if err != nil {
		t.Fatal(err)
	}
	return func(w *world) {
		api := w.extra["api:llm"].(registry.API)
		api.Cache = &registry.Cache{TTL: registry.Duration(ttl)}
		for _, change := range changes {
			change(&api)
		}
		w.extra["api:llm"], w.extra["pepper"] = api, s.pepper
		w.change = func(o *proxy.Options) {
			o.Reader = registry.NewReader(w.store, keys, func() time.Time { return now })
			o.Now, o.Answers = s.now, s.Answers
		}
	}
}

func shared(a *registry.API)    { a.Cache.Shared = true }
func protected(a *registry.API) { a.Authentication = nil }

// pair are two consumers of the API that llm makes.
func pair(w *world) {
	for _, name := range []string{"one", "two"} {
		w.consumers = append(w.consumers, registry.Consumer{Name: name, JWT: &registry.JWTCredential{},
			Authorizations: []registry.Authorization{{API: "llm"}}})
	}
	w.consumers = append(w.consumers, registry.Consumer{Name: "limited", JWT: &registry.JWTCredential{},
		Authorizations: []registry.Authorization{{API: "llm", Models: []string{"n"}}}})
}

// numbered answers each call with another number.
func numbered(t testing.TB) *recorder {
	var calls atomic.Int64
	return record(t, func(w http.ResponseWriter, r *http.Request) {
		answers(200, isJSON, `{"id":"c`+strconv.FormatInt(calls.Add(1), 10)+`","choices":[{"index":0,"message":`+
			`{"role":"assistant","content":"good day"},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":5}}`,
			"X-Keyless-Cache: forged", "X-Upstream: its own", "Set-Cookie: a=b")(w, r)
	})
}

func (r reply) cache() string { return r.Header.Get("X-Keyless-Cache") }

// TestCached: what was asked before is answered from then; it counts as a call, uses nothing and costs nothing.
func TestCached(t *testing.T) {
	t.Parallel()
	s, upstream := newShelf(t), numbered(t)
	w := open(t, upstream.URL, llm(nil, upstream.URL), with(map[string]any{
		"prices": []registry.Price{{Model: "m", Input: "2", Output: "10"}}}), s.caching(t))
	w.quota.standing = []quota.Standing{{Name: "api-day", Limit: 9, Remaining: 8, Reset: time.Hour}}
	first := w.chat(t, asked)
	equal(t, "first", first.cache()+" "+first.Header.Get("Age"), "miss ")
	s.pass(90*time.Second + time.Millisecond)
	second := w.chat(t, asked)
	equal(t, "second", second.cache()+" "+second.Header.Get("Age"), "hit 90")
	equal(t, "body", second.body, first.body)
	equal(t, "status and type", strconv.Itoa(second.StatusCode)+" "+second.Header.Get("Content-Type"), "200 application/json")
	equal(t, "length", second.ContentLength, int64(len(first.body)))
	equal(t, "the upstream's own headers", second.Header.Get("X-Upstream")+second.Header.Get("Set-Cookie"), "")
	equal(t, "limits", second.Header.Get("RateLimit-Policy") != "", true)
	equal(t, "request id", second.Header.Get("X-Request-Id"), requestID)
	equal(t, "calls of the upstream", upstream.count(), 1)
	within(t, "the first ends", w.ended)
	within(t, "the second ends", w.ended)
	equal(t, "admitted", w.quota.admitted(), 2)
	equal(t, "given back", w.quota.given(), 0)
	w.quota.mu.Lock()
	defer w.quota.mu.Unlock()
	equal(t, "settled", len(w.quota.settled), 2)
	equal(t, "used by the first", w.quota.settled[0].used, quota.Used{Tokens: 17, Spend: 74})
	equal(t, "used by the second", w.quota.settled[1].used, quota.Used{})
	e := w.quota.settled[1].entry
	e.Latency = 0
	equal(t, "entry", *e, ledger.Entry{RequestID: requestID, At: s.now(), Domain: "default", API: "llm", Model: "m", Status: 200,
		End: ledger.EndComplete, Cached: true})
	equal(t, "first is not", w.quota.settled[0].entry.Cached, false)
}

// TestCachedStream: a stream is its events, without comments, and without the usage that nobody asked for.
func TestCachedStream(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	upstream := record(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", isEvents)
		_, _ = io.WriteString(w, event("a"))
		_ = http.NewResponseController(w).Flush()
		time.Sleep(60 * time.Millisecond)
		_, _ = io.WriteString(w, event("b")+finish+usage+done)
	})
	w := open(t, upstream.URL, llm(nil, upstream.URL), s.caching(t), func(w *world) { w.patience.Quiet = 20 * time.Millisecond })
	first := w.chat(t, streamed)
	equal(t, "a comment while it waits", strings.Contains(first.body, ": keep-alive"), true)
	second := w.chat(t, streamed)
	equal(t, "cache", first.cache()+" "+second.cache(), "miss hit")
	equal(t, "body", second.body, event("a")+event("b")+finish+done)
	equal(t, "type", second.Header.Get("Content-Type"), isEvents)
	third := w.chat(t, asked)
	equal(t, "the whole answer is another", third.cache(), "miss")
	equal(t, "calls", upstream.count(), 2)
}

// TestWhatMakesAnotherAnswer, and what does not.
func TestWhatMakesAnotherAnswer(t *testing.T) {
	t.Parallel()
	one, two := as("one"), as("two")
	for name, row := range map[string]struct {
		change func(*registry.API)
		first  []string // header lines
		second []string
		path   string // of the second
		body   string // of the second
		want   string
	}{
		"the same":                                {nil, nil, nil, "", "", "hit"},
		"another body":                            {nil, nil, nil, "", strings.Replace(asked, "hello", "hallo", 1), "miss"},
		"the same in other bytes":                 {nil, nil, nil, "", " " + asked, "miss"},
		"a query":                                 {nil, nil, nil, "/llm/chat/completions?a=b", "", "miss"},
		"another path":                            {nil, nil, nil, "/llm/v1/chat/completions", "", "miss"},
		"another API":                             {shared, nil, nil, "/other/chat/completions", "", "miss"},
		"the same consumer":                       {protected, []string{one}, []string{one}, "", "", "hit"},
		"another consumer":                        {protected, []string{one}, []string{two}, "", "", "miss"},
		"another consumer of an API that shares":  {func(a *registry.API) { protected(a); shared(a) }, []string{one}, []string{two}, "", "", "hit"},
		"a header that nobody knows":              {nil, nil, []string{"X-Mode: other"}, "", "", "miss"},
		"a version":                               {nil, []string{"Openai-Beta: a"}, []string{"Openai-Beta: b"}, "", "", "miss"},
		"headers of the client and of the trace":  {nil, []string{"User-Agent: a", "X-Stainless-Os: a"}, []string{"User-Agent: b", "Traceparent: 00-11111111111111111111111111111111-1111111111111111-01", "X-Stainless-Os: b", "Cookie: a=b"}, "", "", "hit"},
		"anything, or JSON":                       {nil, []string{"Accept: */*"}, []string{"Accept: application/json"}, "", "", "hit"},
		"the same effect, asked for once more":    {nil, []string{"Idempotency-Key: a"}, []string{"Idempotency-Key: a"}, "", "", "hit"},
		"another effect":                          {nil, []string{"Idempotency-Key: a"}, []string{"Idempotency-Key: b"}, "", "", "miss"},
		"events":                                  {nil, nil, []string{"Accept: text/event-stream"}, "", "", "miss"},
		"sound":                                   {nil, nil, []string{"Accept: audio/wav"}, "", "", "miss"},
		"asked anew":                              {nil, nil, []string{"Cache-Control: no-cache"}, "", "", "bypass"},
		"asked anew, as browsers do":              {nil, nil, []string{"Cache-Control: max-age=0"}, "", "", "bypass"},
		"not to be kept":                          {nil, nil, []string{"Cache-Control: max-age=60, No-Store"}, "", "", "bypass"},
		"kept from one who did not want it":       {nil, []string{"Cache-Control: no-store"}, nil, "", "", "miss"},
		"kept from one who asked anew":            {nil, []string{"Cache-Control: no-cache"}, nil, "", "", "hit"},
		"an answer that rests on an earlier one":  {nil, nil, nil, "/llm/responses", `{"model":"m","input":"x","previous_response_id":"r"}`, ""},
		"a call that has effects":                 {nil, nil, nil, "/llm/files", `{}`, ""},
		"pictures, whose links end":               {nil, nil, nil, "/llm/images/generations", `{"model":"m","prompt":"x"}`, ""},
		"another bound, which the API adds to it": {nil, nil, nil, "/bounded/chat/completions", "", "miss"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, upstream := newShelf(t), numbered(t)
			w := open(t, upstream.URL, llm(nil, upstream.URL), pair, s.caching(t, func(a *registry.API) {
				if row.change != nil {
					row.change(a)
				}
			}), func(w *world) {
				other := w.extra["api:llm"].(registry.API)
				other.Name, other.BasePath = "other", "/other"
				w.extra["api:other"] = other
				other.Name, other.BasePath, other.MaxTokensDefault = "bounded", "/bounded", 5
				w.extra["api:bounded"] = other
			})
			equal(t, "first", w.chat(t, asked, row.first...).StatusCode, 200)
			path, body := "/llm/chat/completions", asked
			if row.path != "" {
				path = row.path
			}
			if row.body != "" {
				body = row.body
			}
			got := do(t, w.request(http.MethodPost, path, body, row.second...))
			equal(t, "second: "+got.body, got.cache(), row.want)
			equal(t, "calls", upstream.count(), map[bool]int{true: 1, false: 2}[row.want == "hit"])
		})
	}
}

// TestRefreshed: who asks anew puts the new answer in the old one's place.
func TestRefreshed(t *testing.T) {
	t.Parallel()
	s, upstream := newShelf(t), numbered(t)
	w := open(t, upstream.URL, llm(nil, upstream.URL), s.caching(t))
	w.chat(t, asked)
	anew := w.chat(t, asked, "Cache-Control: no-cache")
	equal(t, "hit", w.chat(t, asked).body, anew.body)
	w.chat(t, asked, "Cache-Control: no-store")
	equal(t, "still", w.chat(t, asked).body, anew.body)
	equal(t, "calls", upstream.count(), 3)
}

// TestCacheJudgesFirst: who may not call gets nothing that was kept, and what is refused by a limit is not answered either.
func TestCacheJudgesFirst(t *testing.T) {
	t.Parallel()
	s, upstream := newShelf(t), numbered(t)
	w := open(t, upstream.URL, llm(nil, upstream.URL), pair, s.caching(t, protected, shared))
	equal(t, "first", w.chat(t, asked, as("one")).StatusCode, 200)
	equal(t, "who is not authorized", w.chat(t, asked, as("shop")).StatusCode, 403)
	equal(t, "who may name another model only", w.chat(t, asked, as("limited")).StatusCode, 403)
	equal(t, "nobody", w.chat(t, asked, "Authorization: ").StatusCode, 401)
	w.quota.verdict = func() (quota.Admission, error) {
		return quota.Admission{Refusal: &quota.Refusal{Subject: "API", Kind: quota.Calls}}, nil
	}
	got := w.chat(t, asked, as("one"))
	equal(t, "beyond a limit", strconv.Itoa(got.StatusCode)+got.cache(), "429")
	w.quota.verdict = func() (quota.Admission, error) { return quota.Admission{Revoked: true}, nil }
	equal(t, "revoked", w.chat(t, asked, as("one")).StatusCode, 401)
	w.quota.verdict = nil
	equal(t, "two", w.chat(t, asked, as("two")).cache(), "hit")
}

// TestNotCached: no error, no cut, nothing without an end, nothing that is too long.
func TestNotCached(t *testing.T) {
	t.Parallel()
	fixed := func(status int, kind, body string) func(testing.TB) string {
		return func(t testing.TB) string { return record(t, answers(status, kind, body)).URL }
	}
	raw := func(text string) func(testing.TB) string {
		return func(t testing.TB) string {
			return record(t, func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if err == nil {
					_, _ = io.WriteString(conn, text)
					_ = conn.Close()
				}
			}).URL
		}
	}
	head := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
	long := strings.Replace(whole, "good day", strings.Repeat("a", 1<<20), 1)
	for name, row := range map[string]struct {
		upstream func(testing.TB) string
		path     string
		body     string
		kept     bool
	}{
		"whole":                             {fixed(200, isJSON, whole), "", asked, true},
		"whole, the length of it all":       {raw(head + "\r\n" + whole), "", asked, true},
		"cut, and nobody said how long":     {raw(head + "\r\n" + whole[:len(whole)-9]), "", asked, false},
		"cut below its length":              {raw(head + "Content-Length: 500\r\n\r\n" + whole), "", asked, false},
		"a status that fails":               {fixed(500, isJSON, whole), "", asked, false},
		"throttled":                         {fixed(429, isJSON, whole), "", asked, false},
		"another success":                   {fixed(201, isJSON, whole), "", asked, false},
		"an error in a 200":                 {fixed(200, isJSON, `{"error":{"message":"overloaded"}}`), "", asked, false},
		"no JSON":                           {fixed(200, isJSON, `good day`), "", asked, false},
		"nothing":                           {fixed(200, isJSON, ``), "", asked, false},
		"too long":                          {fixed(200, isJSON, long), "", asked, false},
		"a stream":                          {fixed(200, isEvents, event("a")+finish+done), "", streamed, true},
		"a stream without [DONE]":           {fixed(200, isEvents, event("a")+finish), "", streamed, true},
		"a stream without an end":           {fixed(200, isEvents, event("a")), "", streamed, false},
		"a stream that is cut":              {raw(streamHead + chunk(event("a")+finish+done)), "", streamed, false},
		"a stream with an error":            {fixed(200, isEvents, event("a")+`data: {"error":{"message":"overloaded"}}`+"\n\n"+done), "", streamed, false},
		"a stream of nothing":               {fixed(200, isEvents, ``), "", streamed, false},
		"a response":                        {fixed(200, isJSON, `{"id":"r","status":"completed"}`), "/llm/responses", `{"model":"m","input":"x"}`, true},
		"a response under way":              {fixed(200, isJSON, `{"id":"r","status":"queued"}`), "/llm/responses", `{"model":"m","input":"x","background":true}`, false},
		"a vector":                          {fixed(200, isJSON, `{"data":[]}`), "/llm/embeddings", `{"model":"m","input":"x"}`, true},
		"sound":                             {fixed(200, "audio/mpeg", "ID3"), "/llm/audio/speech", `{"model":"m","input":"x"}`, true},
		"sound without a frame":             {raw("HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nConnection: close\r\n\r\nID3"), "/llm/audio/speech", `{"model":"m","input":"x"}`, false},
		"a translated answer":               {nil, "/llm/messages", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`, true},
		"a translated answer that is wrong": {fixed(200, isJSON, `{"choices":1}`), "/llm/messages", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if row.upstream == nil {
				row.upstream = fixed(200, isJSON, whole)
			}
			s, base := newShelf(t), row.upstream(t)
			w := open(t, base, llm(nil, base), s.caching(t))
			path := "/llm/chat/completions"
			if row.path != "" {
				path = row.path
			}
			response, err := client.Do(w.request(http.MethodPost, path, row.body))
			if err == nil {
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
			}
			within(t, "the handler ends", w.ended)
			equal(t, "kept", len(s.Keys()) == 1, row.kept)
		})
	}
}

// TestNotCachedWhereTheCallerLeaves: what nobody saw to its end is not kept.
func TestNotCachedWhereTheCallerLeaves(t *testing.T) {
	t.Parallel()
	for _, gone := range []string{"cancel", "drain"} {
		s, more, left := newShelf(t), make(chan struct{}), make(chan struct{})
		upstream := record(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", isEvents)
			_, _ = io.WriteString(w, event("a"))
			_ = http.NewResponseController(w).Flush()
			select {
			case <-more:
			case <-r.Context().Done():
			}
			_, _ = io.WriteString(w, finish+done)
		})
		w := open(t, upstream.URL, llm(func(a *registry.API) { a.OnClientGone = gone }, upstream.URL), s.caching(t),
			func(w *world) {
				w.around = func(h http.Handler) http.Handler {
					return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
						context.AfterFunc(r.Context(), func() { close(left) })
						h.ServeHTTP(rw, r)
					})
				}
			})
		ctx, leave := context.WithCancel(context.Background())
		response, err := client.Do(w.request(http.MethodPost, "/llm/chat/completions", streamed).WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = response.Body.Read(make([]byte, 1))
		leave()
		_ = response.Body.Close()
		within(t, "the gateway learns it", left)
		if gone == "drain" {
			close(more)
		}
		within(t, "the handler ends", w.ended)
		equal(t, "kept of "+gone, len(s.Keys()), 0)
	}
}
