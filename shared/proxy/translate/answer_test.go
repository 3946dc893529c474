package translate_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyless/shared/oauth"
	"keyless/shared/proxy/translate"
)

func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		from translate.Dialect
		body string
	}{
		"no JSON":                    {translate.OpenAI, `<html>`},
		"a member twice":             {translate.OpenAI, `{"choices":[],"choices":[{"finish_reason":"stop","message":{"content":"x"}}]}`},
		"no choices":                 {translate.OpenAI, `{"choices":[]}`},
		"no reason for the end":      {translate.OpenAI, `{"choices":[{"message":{"content":"x"}}]}`},
		"a content that is no text":  {translate.OpenAI, `{"choices":[{"finish_reason":"stop","message":{"content":[{"type":"text","text":"x"}]}}]}`},
		"arguments that are no JSON": {translate.OpenAI, `{"choices":[{"finish_reason":"tool_calls","message":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{"}}]}}]}`},
		"an error in place of it":    {translate.OpenAI, `{"error":{"message":"x"}}`},
		"an Anthropic error":         {translate.Anthropic, `{"type":"error","error":{"type":"api_error","message":"x"}}`},
		"no reason from Anthropic":   {translate.Anthropic, `{"type":"message","content":[],"stop_reason":null}`},
		"a content that is no list":  {translate.Anthropic, `{"type":"message","content":"x","stop_reason":"end_turn"}`},
		"an empty body":              {translate.Anthropic, ``},
	} {
		if out, err := translate.Answer(test.from, other(test.from), []byte(test.body), answerOptions); err == nil || out != nil {
			t.Errorf("%s: %v %s", name, err, out)
		}
	}
}

func TestReasonsOfTheEnd(t *testing.T) {
	t.Parallel()
	for from, reasons := range map[translate.Dialect]map[string]string{
		translate.Anthropic: {
			"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls", "refusal": "content_filter",
			"pause_turn": "length", "model_context_window_exceeded": "length", "brand_new": "stop",
		},
		translate.OpenAI: {
			"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal", "brand_new": "end_turn",
		},
	} {
		for reason, want := range reasons {
			body := `{"type":"message","content":[],"stop_reason":"` + reason + `"}`
			if from == translate.OpenAI {
				body = `{"choices":[{"finish_reason":"` + reason + `","message":{"content":"x"}}]}`
			}
			got, err := translate.Answer(from, other(from), []byte(body), translate.AnswerOptions{ID: "req-1"})
			if err != nil || !strings.Contains(string(got), `_reason":"`+want+`"`) || !strings.Contains(string(got), `"id":"req-1"`) {
				t.Errorf("%s %s: %v %s", from, reason, err, got)
			}
		}
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 4096)
	for name, test := range map[string]struct {
		from   translate.Dialect
		status int
		body   string
		want   string
	}{
		"OpenAI's": {translate.OpenAI, 429,
			`{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`,
			`{"type":"error","error":{"type":"rate_limit_error","message":"You exceeded your current quota","code":"insufficient_quota"}}`},
		"OpenAI's without a code": {translate.OpenAI, 400,
			`{"error":{"message":"Bad \"n\"","type":"invalid_request_error","param":"n","code":null}}`,
			`{"type":"error","error":{"type":"invalid_request_error","message":"Bad \"n\"","code":"invalid_request_error"}}`},
		"Model Studio's": {translate.OpenAI, 401, `{"code":"InvalidApiKey","message":"Invalid API-key provided.","request_id":"r-1"}`,
			`{"type":"error","error":{"type":"authentication_error","message":"Invalid API-key provided.","code":"InvalidApiKey"},"request_id":"r-1"}`},
		"a server's string": {translate.OpenAI, 404, `{"error":"model not found"}`,
			`{"type":"error","error":{"type":"not_found_error","message":"model not found"}}`},
		"FastAPI's": {translate.OpenAI, 422, `{"detail":"no"}`, `{"type":"error","error":{"type":"invalid_request_error","message":"no"}}`},
		"a proxy's page": {translate.OpenAI, 502, `<html>Bad Gateway</html>`,
			`{"type":"error","error":{"type":"api_error","message":"The upstream answered with status 502"}}`},
		"a list": {translate.OpenAI, 500, `[{"error":{}}]`,
			`{"type":"error","error":{"type":"api_error","message":"The upstream answered with status 500"}}`},
		"Anthropic's": {translate.Anthropic, 529,
			`{"type":"error","error":{"type":"overloaded_error","message":"Overloaded <b>"},"request_id":"req_011CSHoEeqs5C35K2UUqR7Fy"}`,
			`{"error":{"message":"Overloaded <b>","type":"server_error","param":null,"code":"overloaded_error"},"request_id":"req_011CSHoEeqs5C35K2UUqR7Fy"}`},
		"Anthropic's for a bad request": {translate.Anthropic, 400, `{"type":"error","error":{"type":"invalid_request_error","message":"x"}}`,
			`{"error":{"message":"x","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}`},
		"nothing": {translate.Anthropic, 403, ``,
			`{"error":{"message":"The upstream answered with status 403","type":"permission_error","param":null,"code":null}}`},
		"a long sentence": {translate.Anthropic, 413, `{"error":{"message":"x` + long + `"}}`,
			`{"error":{"message":"x` + long[:4094] + `","type":"invalid_request_error","param":null,"code":null}}`},
	} {
		got := string(translate.Failure(test.from, other(test.from), test.status, []byte(test.body)))
		if got != test.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, test.want)
		}
	}
}

func TestFailureTypesFollowTheStatus(t *testing.T) {
	t.Parallel()
	for status, want := range map[int][2]string{
		400: {"invalid_request_error", "invalid_request_error"}, 401: {"authentication_error", "authentication_error"},
		402: {"invalid_request_error", "billing_error"}, 403: {"permission_error", "permission_error"},
		404: {"invalid_request_error", "not_found_error"}, 413: {"invalid_request_error", "request_too_large"},
		422: {"invalid_request_error", "invalid_request_error"}, 429: {"rate_limit_error", "rate_limit_error"},
		500: {"server_error", "api_error"}, 503: {"server_error", "overloaded_error"}, 504: {"server_error", "timeout_error"},
		529: {"server_error", "overloaded_error"},
	} {
		for i, to := range []translate.Dialect{translate.OpenAI, translate.Anthropic} {
			got := string(translate.Failure(other(to), to, status, nil))
			if !strings.Contains(got, `"type":"`+want[i]+`"`) {
				t.Errorf("%s %d: %s", to, status, got)
			}
		}
	}
}

func TestPathsAndMisuse(t *testing.T) {
	t.Parallel()
	if translate.Path(translate.OpenAI) != "/chat/completions" || translate.Path(translate.Anthropic) != "/messages" {
		t.Error("wrong paths")
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic for a translation that is none")
		}
	}()
	translate.NewStream(translate.OpenAI, translate.OpenAI, answerOptions)
}

// FuzzRequest: what is translated is one strict object without nulls of ours, and what is not has a reason.
func FuzzRequest(f *testing.F) {
	inputs, _ := filepath.Glob("testdata/request/*")
	for _, input := range inputs {
		text, err := os.ReadFile(input)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, strings.Contains(input, "openai") != strings.Contains(input, ".want."))
	}
	f.Fuzz(func(t *testing.T, body []byte, fromOpenAI bool) {
		from := translate.Anthropic
		if fromOpenAI {
			from = translate.OpenAI
		}
		before := bytes.Clone(body)
		out, err := translate.Request(from, other(from), body, translate.Options{})
		if !bytes.Equal(before, body) {
			t.Fatal("the body was changed")
		}
		if err != nil {
			if out != nil || err.Error() == "" {
				t.Fatal("a body, or no reason", err)
			}
			return
		}
		if _, err := oauth.Object(out); err != nil && !deep(err) {
			t.Fatalf("%v: %s", err, out)
		}
		_, _ = translate.Answer(from, other(from), body, answerOptions)
		_ = translate.Failure(from, other(from), 400, body)
	})
}

// FuzzAnswer: whatever an upstream answers, nothing panics, and what comes out is JSON.
func FuzzAnswer(f *testing.F) {
	inputs, _ := filepath.Glob("testdata/answer/*")
	for _, input := range inputs {
		text, err := os.ReadFile(input)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, strings.Contains(input, "openai") != strings.Contains(input, ".want."))
	}
	f.Fuzz(func(t *testing.T, body []byte, fromOpenAI bool) {
		from := translate.Anthropic
		if fromOpenAI {
			from = translate.OpenAI
		}
		if out, err := translate.Answer(from, other(from), body, answerOptions); err == nil {
			if _, err := oauth.Object(out); err != nil && !deep(err) {
				t.Fatalf("%v: %s", err, out)
			}
		}
		if _, err := oauth.Object(translate.Failure(from, other(from), 500, body)); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkRequest(b *testing.B) {
	for _, name := range []string{"conversation.openai.json", "conversation.anthropic.json"} {
		text, err := os.ReadFile(filepath.Join("testdata", "request", name))
		if err != nil {
			b.Fatal(err)
		}
		from := translate.Anthropic
		if strings.Contains(name, "openai") {
			from = translate.OpenAI
		}
		b.Run("from "+string(from), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := translate.Request(from, other(from), text, translate.Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// deep: a caller's object may nest as deep as is read, and one level of ours stands around it.
func deep(err error) bool { return strings.Contains(err.Error(), "nested") }
