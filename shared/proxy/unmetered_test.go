package proxy_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"keyless/shared/registry"
)

// TestH3WhatALimitWouldNotSee is refused before anything is sent, where a limit of model tokens or money applies, and only there.
func TestH3WhatALimitWouldNotSee(t *testing.T) {
	t.Parallel()
	const response, image = `{"model":"m","input":"x"}`, `{"model":"m","input":{"prompt":"x"}}`
	const native = "/api/v1/services/aigc/text2image/image-synthesis"
	for name, row := range map[string]struct {
		method, path, body string
		lines              []string
		refused            bool // under a limit
	}{
		"a file":                            {"POST", "/files", `x`, nil, true},
		"a batch of messages":               {"POST", "/v1/messages/batches", `{}`, nil, true},
		"a chat under another method":       {"PUT", "/chat/completions", asked, nil, true},
		"a path that ends in a space":       {"POST", "/chat/completions%20", asked, nil, true},
		"what is deleted":                   {"DELETE", "/files/f", "", nil, true},
		"what is read":                      {"GET", "/files/f", "", nil, false},
		"what is asked for its head":        {"HEAD", "/files/f", "", nil, false},
		"a chat":                            {"POST", "/chat/completions", asked, nil, false},
		"a chat beside threads is metered":  {"POST", "/v1/threads/chat/completions", asked, nil, false},
		"a message of a thread":             {"POST", "/v1/threads/t/messages", `{}`, nil, true},
		"what costs nothing":                {"POST", "/moderations", response, nil, false},
		"a response":                        {"POST", "/responses", `{"background":false,` + response[1:], nil, false},
		"a response in the background":      {"POST", "/responses", `{"background":true,` + response[1:], nil, true},
		"in the background, by an escape":   {"POST", "/responses", `{"backgr\u006fund":true,` + response[1:], nil, true},
		"a picture":                         {"POST", native, image, nil, false},
		"a picture as a task":               {"POST", native, image, []string{"X-Dashscope-Async: enable"}, true},
		"a task, in capitals":               {"POST", native, image, []string{"X-Dashscope-Async: ENABLE"}, true},
		"the state of a task":               {"GET", "/api/v1/tasks/t", "", []string{"X-Dashscope-Async: enable"}, false},
		"background is no word of a chat's": {"POST", "/chat/completions", `{"background":true,` + asked[1:], nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for limits, applies := range map[*registry.Limits]bool{
				nil:                             false,
				{CallsPerDay: 9}:                false,
				{TokensPerDay: 9, Shadow: true}: false,
				{Shadow: true, Models: map[string]registry.Limits{"m": {TokensPerDay: 9}}}: false,
				{TokensPerDay: 100000}: true,
				{Models: map[string]registry.Limits{"m": {TokensPerDay: 100000}}}: true,
				{SpendPerMonth: "10"}: true,
			} {
				upstream := record(t, answers(200, isJSON, whole))
				w := open(t, upstream.URL, llm(func(a *registry.API) { a.Limits = limits }, upstream.URL),
					with(map[string]any{"prices": []registry.Price{{Input: "1"}}}))
				got := do(t, w.request(row.method, "/llm"+row.path, row.body, row.lines...))
				want := map[bool]int{false: 200, true: 403}[applies && row.refused]
				equal(t, "status of "+got.body, got.StatusCode, want)
				equal(t, "sent", upstream.count(), map[int]int{200: 1}[want])
				equal(t, "counted", w.quota.admitted(), map[int]int{200: 1}[want])
				if want == 403 {
					equal(t, "code in "+got.body, strings.Contains(got.body, `"code":"not_metered"`), true)
				}
			}
		})
	}
}

// TestH3MethodsOfModelsAndTools: what an upstream could take for another method never reaches it; a plain backend has its own words.
func TestH3MethodsOfModelsAndTools(t *testing.T) {
	t.Parallel()
	upstream := record(t, nil)
	w := open(t, upstream.URL)
	for path, status := range map[string]int{"/v1/files": 501, "/mcp": 501, "/accounts": 200} {
		for _, method := range []string{"post", "Post", "PROPFIND"} {
			r := w.request(http.MethodPost, path, "")
			r.Method = method
			got := do(t, r)
			equal(t, method+" "+path+": "+got.body, got.StatusCode, status)
		}
	}
	equal(t, "sent", upstream.count(), 3)
	for path, passes := range map[string]bool{"/v1/files": false, "/mcp": false, "/accounts": true} {
		for _, name := range []string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override"} {
			equal(t, path, do(t, w.request(http.MethodGet, path, "", name+": POST")).StatusCode, 200)
			equal(t, path+" "+name, upstream.last().Header.Get(name) != "", passes)
		}
	}
}

// TestPackedBodiesForModels cannot be judged.
func TestPackedBodiesForModels(t *testing.T) {
	t.Parallel()
	upstream := record(t, answers(200, isJSON, whole))
	w := open(t, upstream.URL, llm(nil, upstream.URL))
	for _, encoding := range []string{"gzip", "identity, gzip", "br"} {
		got := w.chat(t, "packed", "Content-Encoding: "+encoding)
		equal(t, "status", got.StatusCode, 415)
		equal(t, "code in "+got.body, strings.Contains(got.body, `"code":"unsupported_encoding"`), true)
	}
	got := do(t, w.request(http.MethodPost, "/llm/files", "packed", "Content-Encoding: gzip"))
	equal(t, "of any path", got.StatusCode, 415)
	equal(t, "sent", upstream.count(), 0)
	equal(t, "plain", w.chat(t, asked, "Content-Encoding: Identity").StatusCode, 200)
	equal(t, "a backend's", do(t, w.request(http.MethodPost, "/accounts", "packed", "Content-Encoding: gzip")).StatusCode, 200)
}

// TestH4ImagesAreHeldByALimitOfMoney.
func TestH4ImagesAreHeldByALimitOfMoney(t *testing.T) {
	t.Parallel()
	const native = "/api/v1/services/aigc/multimodal-generation/generation"
	for name, row := range map[string]struct {
		path, body string
		spend      int64
	}{
		"one":                       {"/images/generations", `{"model":"m","prompt":"x"}`, 40_000},
		"several":                   {"/images/generations", `{"model":"m","prompt":"x","n":5}`, 200_000},
		"none are one":              {"/images/generations", `{"model":"m","prompt":"x","n":0}`, 40_000},
		"native, several":           {native, `{"model":"m","input":{},"parameters":{"n":2}}`, 80_000},
		"native, as many as it can": {native, `{"model":"m","input":{}}`, 160_000},
		"a chat makes none":         {"/chat/completions", strings.Replace(asked, "{", `{"n":3,`, 1), 0},
	} {
		upstream := record(t, answers(200, isJSON, `{}`))
		w := open(t, upstream.URL, llm(func(a *registry.API) { a.Limits = &registry.Limits{SpendPerDay: "1"} }, upstream.URL),
			with(map[string]any{"prices": []registry.Price{{PerImage: "0.04"}}}))
		equal(t, name, do(t, w.request(http.MethodPost, "/llm"+row.path, row.body)).StatusCode, 200)
		equal(t, name+": held", w.quota.calls[0].Spend, row.spend)
	}
}

// TestH2BothBoundsAreOne: of two that differ the smaller is held, and is what the upstream reads, whichever it reads.
func TestH2BothBoundsAreOne(t *testing.T) {
	t.Parallel()
	for bounds, want := range map[string]int64{
		`"max_tokens":9,"max_completion_tokens":70000,`: 9, `"max_tokens":70000,"max_completion_tokens":9,`: 9,
		`"max_tokens":0,"max_completion_tokens":9,`: 9, `"max_completion_tokens":9,`: 9, `"max_tokens":null,"max_completion_tokens":0,`: 4096,
	} {
		upstream := record(t, answers(200, isJSON, whole))
		w := open(t, upstream.URL, llm(func(a *registry.API) { a.Limits = &registry.Limits{TokensPerDay: 1000} }, upstream.URL))
		equal(t, "status", w.chat(t, strings.Replace(asked, "{", "{"+bounds, 1)).StatusCode, 200)
		var sent map[string]json.RawMessage
		if err := json.Unmarshal([]byte(upstream.last().body), &sent); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"max_tokens", "max_completion_tokens"} {
			var n int64
			if strings.Contains(bounds, name+`"`) {
				_ = json.Unmarshal(sent[name], &n)
				equal(t, bounds+" sent "+name, n, want)
			} else {
				equal(t, bounds+" adds no "+name, sent[name] == nil, true)
			}
		}
		input := w.quota.calls[0].Tokens - want
		equal(t, bounds+" held", input > 512 && input < 1024, true)
	}
}
