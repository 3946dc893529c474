package proxy_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"keyless/shared/ledger"
	"keyless/shared/quota"
	"keyless/shared/registry"
)

// TestC11WhatIsHeld: the input, and the output that the call is bounded to, so that a bound is always real.
func TestC11WhatIsHeld(t *testing.T) {
	t.Parallel()
	limited := func(a *registry.API) { a.Limits = &registry.Limits{TokensPerDay: 1000} }
	for name, row := range map[string]struct {
		change func(*registry.API)
		more   string // members
		output int64
		sent   string // what the upstream is asked, "" nothing
	}{
		"the caller's bound":             {nil, `"max_tokens":100,`, 100, `"max_tokens":100`},
		"the caller's bound, newer name": {nil, `"max_completion_tokens":70,`, 70, `"max_completion_tokens":70`},
		"for each of its answers":        {nil, `"max_tokens":100,"n":3,`, 300, `"n":3`},
		"the API's default":              {func(a *registry.API) { a.MaxTokensDefault = 256 }, ``, 256, `"max_tokens":256`},
		"the caller's wins":              {func(a *registry.API) { a.MaxTokensDefault = 256 }, `"max_tokens":9,`, 9, `"max_tokens":9`},
		"a limit needs a bound":          {limited, ``, 4096, `"max_tokens":4096`},
		"a limit by model too": {func(a *registry.API) {
			a.Limits = &registry.Limits{Models: map[string]registry.Limits{"m": {SpendPerDay: "1"}}}
		}, ``, 4096, `"max_tokens":4096`},
		"no limit and no bound":           {nil, ``, 0, ""},
		"a limit of calls is no reason":   {func(a *registry.API) { a.Limits = &registry.Limits{CallsPerDay: 1000} }, ``, 0, ""},
		"zero is no bound":                {limited, `"max_tokens":0,`, 4096, `"max_tokens":4096`},
		"a bound of null is no bound too": {limited, `"max_tokens":null,`, 4096, `"max_tokens":4096`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := record(t, answers(200, isJSON, whole))
			w := open(t, upstream.URL, llm(row.change, upstream.URL), with(map[string]any{
				"prices": []registry.Price{{Model: "m", Input: "2", Output: "10"}},
			}))
			body := `{` + row.more + strings.TrimPrefix(asked, "{")
			equal(t, "status", w.chat(t, body).StatusCode, 200)
			call := w.quota.calls[0]
			input := call.Tokens - row.output
			if input < int64(len("hello there")) || input > int64(len(body))+600 {
				t.Errorf("held %d tokens for %s", call.Tokens, body)
			}
			equal(t, "spend", call.Spend, 2*input+10*row.output)
			equal(t, "model", call.Model, "m")
			equal(t, "asked in "+upstream.last().body, row.sent == "" || strings.Contains(upstream.last().body, row.sent), true)
			equal(t, "else as it came", row.sent != "" || upstream.last().body == body, true)
			within(t, "the handler ends", w.ended)
			e := w.quota.only(t)
			equal(t, "used", e.used, quota.Used{Tokens: 17, Spend: 2*12 + 10*5})
			equal(t, "cost", e.entry.Cost, 74)
		})
	}
}

// TestSettledOnce, with what the ledger keeps of a call.
func TestSettledOnce(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		status       int
		answer       string
		body         string
		path         string
		usage        ledger.Usage
		estimated    bool
		end          string
		answerStatus int
	}{
		"an answer":                  {200, whole, asked, "/chat/completions", ledger.Usage{Input: 12, Output: 5}, false, ledger.EndComplete, 200},
		"the upstream's error":       {400, `{"error":{}}`, asked, "/chat/completions", ledger.Usage{}, false, ledger.EndError, 400},
		"the upstream is throttled":  {429, `{"error":{}}`, asked, "/chat/completions", ledger.Usage{}, false, ledger.EndError, 429},
		"the upstream fails":         {500, `oops`, asked, "/chat/completions", ledger.Usage{}, false, ledger.EndError, 500},
		"our key is refused":         {401, `{}`, asked, "/chat/completions", ledger.Usage{}, false, ledger.EndError, 502},
		"a redirect":                 {302, ``, asked, "/chat/completions", ledger.Usage{}, false, ledger.EndError, 502},
		"what costs nothing":         {200, `{"results":[]}`, `{"input":"x","model":"m"}`, "/moderations", ledger.Usage{}, false, ledger.EndComplete, 200},
		"what nobody knows":          {200, `{"id":"f"}`, `x`, "/files", ledger.Usage{}, false, ledger.EndComplete, 200},
		"an answer without usage":    {200, `{"choices":[{"message":{"content":"abcdefgh"}}]}`, asked, "/chat/completions", ledger.Usage{Output: 2}, true, ledger.EndComplete, 200},
		"usage that is no usage":     {200, strings.Replace(whole, `"prompt_tokens":12,"completion_tokens":5,"total_tokens":17`, `"prompt_tokens":-1,"completion_tokens":-5`, 1), asked, "/chat/completions", ledger.Usage{Output: 2}, true, ledger.EndComplete, 200},
		"an embedding":               {200, `{"data":[],"usage":{"prompt_tokens":3,"total_tokens":3}}`, `{"input":"x","model":"m"}`, "/embeddings", ledger.Usage{Input: 3}, false, ledger.EndComplete, 200},
		"an image":                   {200, `{"data":[{"url":"x"}]}`, `{"prompt":"x","model":"m","n":2}`, "/images/generations", ledger.Usage{Images: 1}, false, ledger.EndComplete, 200},
		"an error event in a stream": {200, `data: {"error":{"message":"overloaded"}}` + "\n\n", streamed, "/chat/completions", ledger.Usage{}, false, ledger.EndError, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kind := isJSON
			if row.body == streamed {
				kind = isEvents
			}
			upstream := record(t, answers(row.status, kind, row.answer))
			w := open(t, upstream.URL, llm(nil, upstream.URL))
			got := do(t, w.request(http.MethodPost, "/llm"+row.path, row.body))
			equal(t, "status", got.StatusCode, row.answerStatus)
			within(t, "the handler ends", w.ended)
			e := w.quota.only(t).entry
			if e.Estimated && e.Usage.Input == 0 {
				t.Error("no input is charged")
			}
			if row.estimated {
				e.Usage.Input = 0
			}
			equal(t, "usage", e.Usage, row.usage)
			equal(t, "estimated", e.Estimated, row.estimated)
			equal(t, "end", e.End, row.end)
			equal(t, "status in the ledger", e.Status, row.answerStatus)
			equal(t, "ids", e.RequestID+" "+e.API+" "+e.Domain+" "+e.Upstream, requestID+" llm default up1")
			equal(t, "at", e.At, now)
			equal(t, "attempts", e.Attempts, 1)
		})
	}
}

// TestWhoIsSettled: the ledger knows the consumer and the client.
func TestWhoIsSettled(t *testing.T) {
	t.Parallel()
	upstream := record(t, nil)
	w := open(t, upstream.URL)
	equal(t, "status", do(t, w.request(http.MethodPost, "/mcp", `{"id":1}`)).StatusCode, 200)
	within(t, "the handler ends", w.ended)
	e := w.quota.only(t).entry
	equal(t, "consumer", e.Consumer, "shop")
	equal(t, "subject", e.Subject, "subject-of-shop")
	equal(t, "upstream", e.Upstream, "tools")
}

// TestBackendsAreSettledWhereTheyHoldASlot, and only there.
func TestBackendsAreSettledWhereTheyHoldASlot(t *testing.T) {
	t.Parallel()
	upstream := record(t, nil)
	w := open(t, upstream.URL, with(map[string]any{"api:slots": registry.API{Name: "slots", Type: registry.HTTP,
		BasePath: "/slots", Concurrency: 2, Upstreams: target("plain"), Authentication: &registry.Authentication{Disabled: true}}}))
	for path, want := range map[string]int{"/slots": 1, "/accounts": 0} {
		w.quota.settled = nil
		do(t, w.request(http.MethodGet, path, ""))
		within(t, "the handler ends", w.ended)
		equal(t, path, len(w.quota.settled), want)
		if want == 1 {
			equal(t, "no entry", w.quota.settled[0].entry == nil, true)
		}
	}
}

// TestLimitsOfUsage are told as such.
func TestLimitsOfUsage(t *testing.T) {
	t.Parallel()
	for kind, code := range map[quota.Kind]string{quota.Tokens: "usage_limit", quota.Spend: "spend_limit", quota.Calls: "consumer_limit",
		quota.Rate: "consumer_limit", quota.Concurrency: "consumer_limit"} {
		upstream := record(t, nil)
		w := open(t, upstream.URL, llm(nil, upstream.URL), func(w *world) {
			w.quota.verdict = func() (quota.Admission, error) {
				return quota.Admission{Refusal: &quota.Refusal{Subject: "CONSUMER", Kind: kind}}, nil
			}
		})
		got := w.chat(t, asked)
		equal(t, string(kind), got.StatusCode, 429)
		equal(t, code+" in "+got.body, strings.Contains(got.body, `"code":"`+code+`"`), true)
		exhausted := kind == quota.Tokens || kind == quota.Spend
		equal(t, string(kind)+": words", strings.Contains(got.body, "Quota Exhausted"), exhausted)
		equal(t, "calls that went up", upstream.count(), 0)
	}
}

// TestRevokedToken is refused though the gate let it in.
func TestRevokedToken(t *testing.T) {
	t.Parallel()
	upstream := record(t, nil)
	w := open(t, upstream.URL, func(w *world) {
		w.quota.verdict = func() (quota.Admission, error) { return quota.Admission{Revoked: true}, nil }
	})
	got := do(t, w.request(http.MethodPost, "/v1/chat/completions", asked))
	equal(t, "status", got.StatusCode, 401)
	equal(t, "message in "+got.body, strings.Contains(got.body, "JWT verification fails"), true)
	equal(t, "calls that went up", upstream.count(), 0)
	equal(t, "given back", w.quota.given(), 0)
}

// TestSettlementFails: the answer stands, and the line says so.
func TestSettlementFails(t *testing.T) {
	t.Parallel()
	upstream := record(t, answers(200, isJSON, whole))
	w := open(t, upstream.URL, llm(nil, upstream.URL), func(w *world) { w.quota.broken = errors.New("the store is away") })
	equal(t, "status", w.chat(t, asked).StatusCode, 200)
	within(t, "the handler ends", w.ended)
	equal(t, "the line says so", strings.Contains(w.log.String(), "the store is away"), true)
}
