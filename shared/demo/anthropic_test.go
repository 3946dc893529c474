package demo_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"keyless/shared/demo"
)

const messages = "/v1/messages"

func apiKey() http.Header {
	return http.Header{"X-Api-Key": {"sk-demo"}, "X-Consumer": {"nightly-report"}}
}

func TestModelSpeaksAnthropic(t *testing.T) {
	t.Parallel()
	w := ask(t, demo.Model("sk-demo"), "POST", messages,
		`{"model":"m-1","max_tokens":10,"system":"be brief","messages":[{"role":"user","content":"good morning"}]}`, apiKey())
	out := decode(t, w.Body.String())
	content := out["content"].([]any)[0].(map[string]any)
	used := out["usage"].(map[string]any)
	if w.Code != 200 || content["text"] != "Hello! You are consumer nightly-report. You said: good morning" ||
		out["stop_reason"] != "end_turn" || used["input_tokens"] != 4.0 || used["output_tokens"] != 9.0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := ask(t, demo.Model("sk-demo"), "POST", messages, `{"model":"m","messages":[]}`, apiKey()); w.Code != 400 ||
		!strings.Contains(w.Body.String(), `"type":"error"`) {
		t.Errorf("without max_tokens: %d %s", w.Code, w.Body)
	}
	if w := ask(t, demo.Model("sk-demo"), "POST", messages, `{}`, bearer()); w.Code != 401 {
		t.Errorf("with a bearer: %d", w.Code)
	}
}

func TestModelCallsTheToolThatIsNamed(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(demo.Model("sk-demo"))
	defer server.Close()
	tests := map[string]struct {
		path, body string
		header     http.Header
		want       []string
	}{
		"chat": {chat, `{"model":"m","tools":[{"type":"function","function":{"name":"weather"}}],
			"messages":[{"role":"user","content":"ask weather please"}]}`, bearer(),
			[]string{`"finish_reason":"tool_calls"`, `"name":"weather"`, `"arguments":"{\"text\":\"ask weather please\"}"`}},
		"chat, streamed": {chat, `{"model":"m","stream":true,"tools":[{"type":"function","function":{"name":"weather"}}],
			"messages":[{"role":"user","content":"weather"}]}`, bearer(),
			[]string{`"name":"weather"`, `"arguments":"{\"text\":\"weather\"}"`, `"finish_reason":"tool_calls"`, "[DONE]"}},
		"chat, with the result": {chat, `{"model":"m","tools":[{"type":"function","function":{"name":"weather"}}],
			"messages":[{"role":"user","content":"weather"},{"role":"assistant","content":null,"tool_calls":[]},
			{"role":"tool","tool_call_id":"c","content":"weather is fine"}]}`, bearer(), []string{"The tool said: weather is fine"}},
		"messages": {messages, `{"model":"m","max_tokens":9,"tools":[{"name":"weather"}],
			"messages":[{"role":"user","content":"weather"}]}`, apiKey(),
			[]string{`"stop_reason":"tool_use"`, `"input":{"text":"weather"}`}},
		"messages, streamed": {messages, `{"model":"m","max_tokens":9,"stream":true,"tools":[{"name":"weather"}],
			"messages":[{"role":"user","content":"weather"}]}`, apiKey(),
			[]string{"event: message_start\n", `"input":{}`, `"type":"input_json_delta"`, `"stop_reason":"tool_use"`, "event: message_stop\n"}},
		"messages, with the result": {messages, `{"model":"m","max_tokens":9,"tools":[{"name":"weather"}],"messages":[
			{"role":"user","content":"weather"},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"weather","input":{}}]},
			{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"weather is fine"}]}]}`, apiKey(),
			[]string{"The tool said: weather is fine"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("POST", test.path, strings.NewReader(test.body))
			r.Header = test.header
			w := httptest.NewRecorder()
			demo.Model("sk-demo").ServeHTTP(w, r)
			for _, want := range test.want {
				if w.Code != 200 || !strings.Contains(w.Body.String(), want) {
					t.Errorf("%d, want %s in %s", w.Code, want, w.Body)
				}
			}
		})
	}
}

func TestModelEmbeds(t *testing.T) {
	t.Parallel()
	w := ask(t, demo.Model("sk-demo"), "POST", "/v1/embeddings", `{"model":"m","input":["a b","c"]}`, bearer())
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"prompt_tokens":3`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := ask(t, demo.Model("sk-demo"), "POST", "/v1/embeddings", `{"model":"m","input":3}`, bearer()); w.Code != 400 {
		t.Errorf("a number: %d", w.Code)
	}
}
