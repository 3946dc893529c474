package proxy_test

import (
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"keyless/shared/registry"
)

// with writes more fields of the registry.
func with(fields map[string]any) func(*world) {
	return func(w *world) {
		if w.extra == nil {
			w.extra = map[string]any{}
		}
		maps.Copy(w.extra, fields)
	}
}

// llm is an open API of models at /llm on upstreams of one protocol each, whose base URLs are given; change adds to it.
func llm(change func(*registry.API), bases ...string) func(*world) {
	fields := map[string]any{}
	api := registry.API{Name: "llm", Type: registry.LLM, BasePath: "/llm", StripBasePath: true,
		Authentication: &registry.Authentication{Disabled: true}}
	for i, base := range bases {
		name := "up" + strconv.Itoa(i+1)
		protocol := registry.OpenAI
		if rest, is := strings.CutPrefix(base, "anthropic "); is {
			base, protocol = rest, registry.Anthropic
		}
		fields["upstream:"+name] = registry.Upstream{Name: name, Protocol: protocol, BaseURL: base + "/v1",
			APIKeys: []registry.Secret{registry.Secret("sk-of-" + name + "-0123456789")}}
		api.Upstreams = append(api.Upstreams, registry.Target{Upstream: name})
	}
	if change != nil {
		change(&api)
	}
	fields["api:llm"] = api
	return with(fields)
}

// retrying lets an API try n times on what is given.
func retrying(n int64, on ...any) func(*registry.API) {
	return func(a *registry.API) { a.Retries = &registry.Retries{Attempts: n, On: on} }
}

// chat is a call of the API that llm makes.
func (w *world) chat(t testing.TB, body string, lines ...string) reply {
	t.Helper()
	return do(t, w.request(http.MethodPost, "/llm/chat/completions", body, lines...))
}

// answers is an upstream's handler with a fixed answer.
func answers(status int, kind, body string, lines ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, line := range lines {
			name, value, _ := strings.Cut(line, ": ")
			w.Header().Set(name, value)
		}
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

const (
	isJSON   = "application/json"
	isEvents = "text/event-stream"
	asked    = `{"model":"m","messages":[{"role":"user","content":"hello there"}]}`
	streamed = `{"model":"m","stream":true,"messages":[{"role":"user","content":"hello there"}]}`
	whole    = `{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":` +
		`{"role":"assistant","content":"good day"},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":5,"total_tokens":17}}`
)

// event is an event of OpenAI's with a piece of content.
func event(content string) string {
	return `data: {"id":"c1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"` + content + `"},"finish_reason":null}]}` + "\n\n"
}

const (
	finish = `data: {"id":"c1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	usage  = `data: {"id":"c1","object":"chat.completion.chunk","model":"m","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":5,"total_tokens":17}}` + "\n\n"
	done   = "data: [DONE]\n\n"
)
