package translate_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"keyless/shared/proxy/translate"
)

func conversation(from translate.Dialect, messages string) []byte {
	if from == translate.Anthropic {
		return []byte(`{"model":"m","max_tokens":9,"messages":[` + messages + `]}`)
	}
	return []byte(`{"model":"m","messages":[` + messages + `]}`)
}

// turnsRefused are conversations that are refused, with what stands before and after the turn in question.
var turnsRefused = map[string]struct {
	from     translate.Dialect
	messages string
	at       string
}{
	"a system message after the conversation began": {translate.OpenAI,
		`{"role":"user","content":"a"},{"role":"system","content":"b"}`, "messages[1]"},
	"a system message within a conversation": {translate.Anthropic,
		`{"role":"user","content":"a"},{"role":"system","content":"b"},{"role":"user","content":"c"}`, "messages[1].role"},
	"a picture by http, from OpenAI": {translate.OpenAI,
		`{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://a.example/b.png"}}]}`, "messages[0].content[0].image_url.url"},
	"a picture by http, from Anthropic": {translate.Anthropic,
		`{"role":"user","content":[{"type":"image","source":{"type":"url","url":"http://a.example/b.png"}}]}`, "messages[0].content[0].source.url"},
	"a picture of the upstream's own files, from Anthropic": {translate.Anthropic,
		`{"role":"user","content":[{"type":"image","source":{"type":"url","url":"\u0066ile:///etc/passwd"}}]}`, "messages[0].content[0].source.url"},
	"a picture in the address, from Anthropic": {translate.Anthropic,
		`{"role":"user","content":[{"type":"image","source":{"type":"url","url":"data:image/svg+xml;base64,AAAA"}}]}`, "messages[0].content[0].source.url"},
	"an end with the assistant, from OpenAI": {translate.OpenAI,
		`{"role":"user","content":"a"},{"role":"assistant","content":"b"}`, "messages"},
	"an end with the assistant (prefill), from Anthropic": {translate.Anthropic,
		`{"role":"user","content":"a"},{"role":"assistant","content":"b"}`, "messages"},
	"a function's result": {translate.OpenAI, `{"role":"function","name":"f","content":"a"}`, "messages[0].role"},
	"an unknown role":     {translate.Anthropic, `{"role":"tool","content":"a"}`, "messages[0].role"},
	"a participant's name": {translate.OpenAI,
		`{"role":"user","name":"Bob","content":"a"}`, "messages[0].name"},
	"an unknown member of a message": {translate.Anthropic,
		`{"role":"user","content":"a","id":"1"}`, "messages[0].id"},
	"audio": {translate.OpenAI,
		`{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"","format":"wav"}}]}`, "messages[0].content[0].type"},
	"an earlier answer in audio": {translate.OpenAI,
		`{"role":"assistant","audio":{"id":"audio_1"}},{"role":"user","content":"a"}`, "messages[0].audio"},
	"an earlier function call": {translate.OpenAI,
		`{"role":"assistant","function_call":{"name":"f","arguments":""}},{"role":"user","content":"a"}`, "messages[0].function_call"},
	"a file, from OpenAI": {translate.OpenAI,
		`{"role":"user","content":[{"type":"file","file":{"file_id":"f"}}]}`, "messages[0].content[0].type"},
	"a document": {translate.Anthropic,
		`{"role":"user","content":[{"type":"document","source":{"type":"url","url":"https://a"}}]}`, "messages[0].content[0].type"},
	"a search result": {translate.Anthropic,
		`{"role":"user","content":[{"type":"search_result"}]}`, "messages[0].content[0].type"},
	"an image in a tool's result": {translate.Anthropic,
		`{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"image"}]}]}`,
		"messages[0].content[0].content[0].type"},
	"an image of the assistant's": {translate.OpenAI,
		`{"role":"assistant","content":[{"type":"image_url","image_url":{"url":"https://a"}}]}`, "messages[0].content[0].type"},
	"a picture over plain HTTP": {translate.OpenAI,
		`{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://a"}}]}`, "messages[0].content[0].image_url.url"},
	"a picture of another kind": {translate.OpenAI,
		`{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/tiff;base64,AA=="}}]}`,
		"messages[0].content[0].image_url.url"},
	"a data URL that is not base64": {translate.OpenAI,
		`{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png,AA"}}]}`,
		"messages[0].content[0].image_url.url"},
	"a picture by its file's id": {translate.Anthropic,
		`{"role":"user","content":[{"type":"image","source":{"type":"file","file_id":"f"}}]}`, "messages[0].content[0].source.type"},
	"thinking": {translate.Anthropic,
		`{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":"s"}]},{"role":"user","content":"a"}`,
		"messages[0].content[0]"},
	"redacted thinking": {translate.Anthropic,
		`{"role":"assistant","content":[{"type":"redacted_thinking","data":"x"}]},{"role":"user","content":"a"}`,
		"messages[0].content[0]"},
	"a tool of the server's": {translate.Anthropic,
		`{"role":"assistant","content":[{"type":"server_tool_use"}]},{"role":"user","content":"a"}`, "messages[0].content[0].type"},
	"a tool called by code": {translate.Anthropic,
		`{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"n","input":{},"caller":{"type":"code_execution_20250825"}}]}`,
		"messages[0].content[0].caller.type"},
	"a tool of a toolset": {translate.Anthropic,
		`{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"n","input":{},"toolset_name":"computer"}]}`,
		"messages[0].content[0].toolset_name"},
	"a tool's result after text": {translate.Anthropic,
		`{"role":"user","content":[{"type":"text","text":"a"},{"type":"tool_result","tool_use_id":"t"}]}`, "messages[0].content[1]"},
	"arguments that are no object": {translate.OpenAI,
		`{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"n","arguments":"[1]"}}]}`,
		"messages[0].tool_calls[0].function.arguments"},
	"arguments with a member twice": {translate.OpenAI,
		`{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"n","arguments":"{\"a\":1,\"a\":2}"}}]}`,
		"messages[0].tool_calls[0].function.arguments"},
	"a custom tool's call": {translate.OpenAI,
		`{"role":"assistant","tool_calls":[{"id":"c","type":"custom","custom":{"name":"n","input":"x"}}]}`,
		"messages[0].tool_calls[0].type"},
	"a call without an id": {translate.OpenAI,
		`{"role":"assistant","tool_calls":[{"type":"function","function":{"name":"n","arguments":""}}]}`, "messages[0].tool_calls[0].id"},
	"a result without its call": {translate.OpenAI, `{"role":"tool","content":"x"}`, "messages[0].tool_call_id"},
	"a part without text":       {translate.OpenAI, `{"role":"user","content":[{"type":"text"}]}`, "messages[0].content[0].text"},
	"a content that is a number": {translate.Anthropic,
		`{"role":"user","content":1}`, "messages[0].content"},
}

func TestRefusedTurns(t *testing.T) {
	t.Parallel()
	for name, test := range turnsRefused {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefused(t, test.from, conversation(test.from, test.messages), test.at)
		})
	}
}

// same is a request that comes back as it was, from one dialect to the other and back.
var same = map[string]struct {
	from translate.Dialect
	body string
}{
	"OpenAI": {translate.OpenAI, `{"model":"m","max_tokens":7,"temperature":0.5,"top_p":0.9,"stop":["a","b"],"user":"u",
		"stream":true,"stream_options":{"include_usage":true},
		"response_format":{"type":"json_schema","json_schema":{"name":"answer","strict":true,"schema":{"type":"object","x":1.0}}},
		"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}}],
		"tool_choice":{"type":"function","function":{"name":"f"}},"parallel_tool_calls":false,
		"messages":[{"role":"system","content":"s"},
			{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"data:image/gif;base64,AA=="}},
				{"type":"image_url","image_url":{"url":"https://example.com/?a&b"}}]},
			{"role":"assistant","content":"b","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"n\": 1e3}"}},
				{"id":"c2","type":"function","function":{"name":"f","arguments":"{}"}}]},
			{"role":"tool","tool_call_id":"c1","content":"r1"},{"role":"tool","tool_call_id":"c2","content":"Error: r2"},
			{"role":"user","content":"d"},
			{"role":"assistant","content":null,"tool_calls":[{"id":"c3","type":"function","function":{"name":"f","arguments":"{}"}}]},
			{"role":"tool","tool_call_id":"c3","content":""}]}`},
	"Anthropic": {translate.Anthropic, `{"model":"m","max_tokens":7,"temperature":0.5,"top_p":0.9,"stop_sequences":["a","b"],
		"metadata":{"user_id":"u"},"stream":true,
		"output_config":{"format":{"type":"json_schema","schema":{"type":"object","x":1.0}}},
		"tools":[{"name":"f","description":"d","input_schema":{"type":"object"},"strict":true}],
		"tool_choice":{"type":"any","disable_parallel_tool_use":true},
		"system":[{"type":"text","text":"s"},{"type":"text","text":"t"}],
		"messages":[{"role":"user","content":[{"type":"text","text":"a"},
				{"type":"image","source":{"type":"base64","media_type":"image/webp","data":"AA=="}},
				{"type":"image","source":{"type":"url","url":"https://example.com/?a&b"}}]},
			{"role":"assistant","content":[{"type":"text","text":"b"},{"type":"text","text":"c"},
				{"type":"tool_use","id":"c1","name":"f","input":{"n": 1e3}},{"type":"tool_use","id":"c2","name":"f","input":{}}]},
			{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"r1"},
				{"type":"tool_result","tool_use_id":"c2","content":[{"type":"text","text":"r2"},{"type":"text","text":"r3"}]},
				{"type":"text","text":"d"}]}]}`},
}

func TestRoundTripKeepsTheRequest(t *testing.T) {
	t.Parallel()
	for name, test := range same {
		there, err := translate.Request(test.from, other(test.from), []byte(test.body), translate.Options{})
		if err != nil {
			t.Fatal(name, err)
		}
		back, err := translate.Request(other(test.from), test.from, there, translate.Options{})
		if err != nil {
			t.Fatal(name, err)
		}
		var got, want any
		if json.Unmarshal(back, &got) != nil || json.Unmarshal([]byte(test.body), &want) != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s came back as\n%s", name, back)
		}
	}
}

// What has more than one form comes back in ours, and goes there a second time as the first.
func TestRoundTripOfTheGoldenRequestsIsStable(t *testing.T) {
	t.Parallel()
	each(t, "request", func(t *testing.T, input string, from, to translate.Dialect, text []byte) {
		there, err := translate.Request(from, to, text, translate.Options{Model: "m"})
		if err != nil {
			t.Fatal(err)
		}
		back, err := translate.Request(to, from, there, translate.Options{Model: "m"})
		if err != nil {
			t.Fatal(err)
		}
		again, err := translate.Request(from, to, back, translate.Options{Model: "m"})
		if err != nil || string(again) != string(there) {
			t.Errorf("%v: there\n%s\nagain\n%s", err, there, again)
		}
	})
}

// pieces of the translated request, by what the caller wrote.
var pieces = map[string]struct {
	from translate.Dialect
	body string
	o    translate.Options
	want string
}{
	"the bound of the options":            {translate.OpenAI, string(base(translate.OpenAI, "")), translate.Options{MaxTokens: 77}, `"max_tokens":77,`},
	"the caller's bound before it":        {translate.OpenAI, string(base(translate.OpenAI, `"max_tokens":5`)), translate.Options{MaxTokens: 77}, `"max_tokens":5,`},
	"the bound of last resort":            {translate.OpenAI, string(base(translate.OpenAI, "")), translate.Options{}, `"max_tokens":4096,`},
	"the bound of a reasoning model":      {translate.Anthropic, string(base(translate.Anthropic, "")), translate.Options{Model: "gpt-5.2"}, `"max_completion_tokens":9,`},
	"the bound of an older model":         {translate.Anthropic, string(base(translate.Anthropic, "")), translate.Options{Model: "qwen-plus"}, `"max_tokens":9,`},
	"the caller's model":                  {translate.OpenAI, string(base(translate.OpenAI, "")), translate.Options{}, `"model":"gpt-4o"`},
	"no parallel calls without tools":     {translate.OpenAI, string(base(translate.OpenAI, `"parallel_tool_calls":false`)), translate.Options{}, `"max_tokens":4096,"messages"`},
	"no parallel calls by themselves":     {translate.OpenAI, string(base(translate.OpenAI, `"parallel_tool_calls":false,"tools":[{"type":"function","function":{"name":"f"}}]`)), translate.Options{}, `"tool_choice":{"type":"auto","disable_parallel_tool_use":true}`},
	"no tool at all":                      {translate.OpenAI, string(base(translate.OpenAI, `"parallel_tool_calls":false,"tool_choice":"none","tools":[{"type":"function","function":{"name":"f"}}]`)), translate.Options{}, `"tool_choice":{"type":"none"}`},
	"a refusal of earlier":                {translate.OpenAI, string(conversation(translate.OpenAI, `{"role":"assistant","content":[{"type":"refusal","refusal":"no"}],"refusal":"never"},{"role":"user","content":"a"}`)), translate.Options{}, `"content":[{"type":"text","text":"no"},{"type":"text","text":"never"}]`},
	"an error without a text":             {translate.Anthropic, string(conversation(translate.Anthropic, `{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","is_error":true}]}`)), translate.Options{}, `"content":"Error: "`},
	"a result beside later text":          {translate.Anthropic, string(conversation(translate.Anthropic, `{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"r"},{"type":"text","text":"x"}]}`)), translate.Options{}, `{"role":"tool","tool_call_id":"t","content":"r"},{"role":"user","content":"x"}`},
	"a turn that says nothing is no turn": {translate.OpenAI, string(conversation(translate.OpenAI, `{"role":"user","content":"a"},{"role":"assistant","content":""},{"role":"user","content":"b"}`)), translate.Options{}, `[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]`},
	"a long id of a call is named anew":   {translate.Anthropic, string(conversation(translate.Anthropic, `{"role":"user","content":[{"type":"tool_result","tool_use_id":"`+strings.Repeat("x", 41)+`","content":"r"}]}`)), translate.Options{}, `"tool_call_id":"call_`},
	"a streaming hint of a tool":          {translate.Anthropic, string(base(translate.Anthropic, `"tools":[{"name":"f","input_schema":{"type":"object"},"eager_input_streaming":true}]`)), translate.Options{}, `"function":{"name":"f","parameters":{"type":"object"}}`},
}

func TestPiecesOfARequest(t *testing.T) {
	t.Parallel()
	for name, test := range pieces {
		got, err := translate.Request(test.from, other(test.from), []byte(test.body), test.o)
		if err != nil || !strings.Contains(string(got), test.want) {
			t.Errorf("%s: %v\n%s\nwants %s", name, err, got, test.want)
		}
	}
}
