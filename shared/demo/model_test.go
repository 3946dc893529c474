package demo_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"keyless/shared/demo"
)

func ask(t *testing.T, h http.Handler, method, path, body string, header http.Header) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func decode(t *testing.T, text string) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return out
}

const chat = "/v1/chat/completions"

func bearer() http.Header {
	return http.Header{"Authorization": {"Bearer sk-demo"}, "X-Consumer": {"nightly-report"}}
}

func TestModelAnswers(t *testing.T) {
	t.Parallel()
	body := `{"model":"m-1","temperature":0,"messages":[
		{"role":"system","content":"be brief"},{"role":"user","content":"first"},
		{"role":"assistant","content":null},
		{"role":"user","content":[{"type":"text","text":"good"},{"type":"text","text":"morning"}]}]}`
	w := ask(t, demo.Model("sk-demo"), http.MethodPost, chat, body, bearer())
	out := decode(t, w.Body.String())
	first := out["choices"].([]any)[0].(map[string]any)
	got := first["message"].(map[string]any)["content"]
	want := "Hello! You are consumer nightly-report. You said: good\nmorning"
	if w.Code != 200 || got != want || first["finish_reason"] != "stop" || first["delta"] != nil {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	used := out["usage"].(map[string]any)
	if used["prompt_tokens"] != 5.0 || used["completion_tokens"] != 9.0 || used["total_tokens"] != 14.0 {
		t.Errorf("usage %v", used)
	}
	if out["model"] != "m-1" || out["object"] != "chat.completion" || out["created"].(float64) < 1 ||
		!strings.HasPrefix(out["id"].(string), "chatcmpl-") {
		t.Errorf("%s", w.Body)
	}
}

func TestModelStreams(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]string{
		"with usage": `,"stream_options":{"include_usage":true}`, "without usage": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(demo.Model("sk-demo"))
			defer server.Close()
			body := `{"model":"m","stream":true` + options + `,"messages":[{"role":"user","content":"hi you"}]}`
			r, _ := http.NewRequest(http.MethodPost, server.URL+chat, strings.NewReader(body))
			r.Header = bearer()
			res, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			raw, err := io.ReadAll(res.Body)
			if err != nil || res.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" {
				t.Fatalf("%v, %v", err, res.Header)
			}
			events := strings.Split(strings.TrimSuffix(string(raw), "\n\n"), "\n\n")
			if events[len(events)-1] != "data: [DONE]" {
				t.Fatalf("ends in %q", events[len(events)-1])
			}
			said, finished, usages := "", 0, 0
			for _, event := range events[:len(events)-1] {
				chunk := decode(t, strings.TrimPrefix(event, "data: "))
				if used, ok := chunk["usage"].(map[string]any); ok {
					usages++
					if used["prompt_tokens"] != 2.0 || len(chunk["choices"].([]any)) != 0 {
						t.Errorf("usage %s", event)
					}
					continue
				}
				one := chunk["choices"].([]any)[0].(map[string]any)
				if text, ok := one["delta"].(map[string]any)["content"].(string); ok {
					said += text
				}
				if one["finish_reason"] == "stop" {
					finished++
				}
			}
			if said != "Hello! You are consumer nightly-report. You said: hi you" || finished != 1 {
				t.Errorf("said %q, finished %d times", said, finished)
			}
			if (usages == 1) != (options != "") || len(events) < 12 {
				t.Errorf("%d usages, %d events", usages, len(events))
			}
		})
	}
}

func TestStreamEndsWithItsClient(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	body := `{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`
	r := httptest.NewRequest(http.MethodPost, chat, strings.NewReader(body)).WithContext(ctx)
	r.Header = bearer()
	w := httptest.NewRecorder()
	demo.Model("sk-demo").ServeHTTP(w, r)
	if strings.Contains(w.Body.String(), "[DONE]") {
		t.Errorf("a client that is gone was sent everything: %s", w.Body)
	}
}

func TestModelRefuses(t *testing.T) {
	t.Parallel()
	const good = `{"model":"m","messages":[{"role":"user","content":"hi"}]}`
	const right = "Bearer sk-demo"
	long := strings.Repeat("é", 1<<19)
	const image, options = `[{"type":"image_url"}]`, `{"stream_options":{},`
	const nameless = `{"messages":[{"role":"user","content":"hi"}]}`
	tests := map[string]struct {
		method, path, body, key string
		status                  int
	}{
		"nothing wrong":         {"POST", chat, good, right, 200},
		"models":                {"GET", "/v1/models", "", right, 200},
		"models without a key":  {"GET", "/v1/models", "", "", 401},
		"no key":                {"POST", chat, good, "", 401},
		"another key":           {"POST", chat, good, "Bearer sk-demo2", 401},
		"another scheme":        {"POST", chat, good, "Basic sk-demo", 401},
		"another path":          {"POST", "/v1/completions", good, right, 404},
		"GET of a completion":   {"GET", chat, "", right, 405},
		"POST of the models":    {"POST", "/v1/models", "", right, 405},
		"no JSON":               {"POST", chat, "{", right, 400},
		"two documents":         {"POST", chat, good + good, right, 400},
		"no model":              {"POST", chat, nameless, right, 400},
		"no messages":           {"POST", chat, `{"model":"m"}`, right, 400},
		"empty messages":        {"POST", chat, `{"model":"m","messages":[]}`, right, 400},
		"an unknown role":       {"POST", chat, strings.Replace(good, "user", "boss", 1), right, 400},
		"content as a number":   {"POST", chat, strings.Replace(good, `"hi"`, "1", 1), right, 400},
		"an image part":         {"POST", chat, strings.Replace(good, `"hi"`, image, 1), right, 400},
		"usage without stream":  {"POST", chat, strings.Replace(good, `{`, options, 1), right, 400},
		"a body over 1 MiB":     {"POST", chat, strings.Replace(good, "hi", long, 1), right, 400},
		"a body just below it":  {"POST", chat, strings.Replace(good, "hi", long[:1<<20-80], 1), right, 200},
		"stream that is a word": {"POST", chat, strings.Replace(good, `{`, `{"stream":"yes",`, 1), right, 400},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{"Authorization": {test.key}}
			w := ask(t, demo.Model("sk-demo"), test.method, test.path, test.body, header)
			out := decode(t, w.Body.String())
			if w.Code != test.status || w.Body.Len() > 2000 {
				t.Fatalf("status %d, %d bytes", w.Code, w.Body.Len())
			}
			fault, _ := out["error"].(map[string]any)
			if text, _ := fault["message"].(string); (text != "") != (test.status != 200) {
				t.Errorf("%s", w.Body)
			}
			if (w.Header().Get("Allow") != "") != (test.status == 405) {
				t.Errorf("Allow %q", w.Header().Get("Allow"))
			}
		})
	}
	if w := ask(t, demo.Model(""), "POST", chat, good, http.Header{"Authorization": {"Bearer "}}); w.Code != 401 {
		t.Errorf("a model without a key is open: %d", w.Code)
	}
}
