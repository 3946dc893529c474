package translate_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"keyless/shared/proxy/translate"
)

// A request of each dialect, into which a test puts members.
const (
	chatBase     = `{"model":"gpt-4o","messages":[{"role":"user","content":"hello"}]%s}`
	messagesBase = `{"model":"claude","max_tokens":9,"messages":[{"role":"user","content":"hello"}]%s}`
)

func base(from translate.Dialect, members string) []byte {
	text := chatBase
	if from == translate.Anthropic {
		text = messagesBase
	}
	if members != "" {
		members = "," + members
	}
	return []byte(strings.Replace(text, "%s", members, 1))
}

func other(d translate.Dialect) translate.Dialect {
	if d == translate.OpenAI {
		return translate.Anthropic
	}
	return translate.OpenAI
}

// topLevel has for each member a value that is refused, and one that asks for nothing where there is one.
var topLevel = map[translate.Dialect]map[string]struct{ refused, neutral string }{
	translate.OpenAI: {
		"n":                  {"2", "1"},
		"seed":               {"7", "null"},
		"frequency_penalty":  {"0.5", "0.0"},
		"presence_penalty":   {"-1", "0"},
		"logit_bias":         {`{"50256":-100}`, "{}"},
		"logprobs":           {"true", "false"},
		"top_logprobs":       {"5", "0"},
		"audio":              {`{"voice":"alloy","format":"wav"}`, "null"},
		"modalities":         {`["text","audio"]`, `["text"]`},
		"verbosity":          {`"low"`, `"medium"`},
		"moderation":         {`{"model":"omni"}`, "null"},
		"web_search_options": {"{}", "null"},
		"functions":          {`[{"name":"f"}]`, "[]"},
		"function_call":      {`"auto"`, "null"},
		"reasoning_effort":   {`"high"`, `"none"`},
		"enable_thinking":    {"true", "false"},
		"thinking_budget":    {"100", "null"},
		// Those that are translated, with values that are not.
		"temperature":           {"1.01", "1"},
		"stop":                  {`["a"," \n"]`, "[]"},
		"response_format":       {`{"type":"json_object"}`, `{"type":"text"}`},
		"tool_choice":           {`"required"`, `"auto"`},
		"tools":                 {`[{"type":"custom","custom":{"name":"x"}}]`, "[]"},
		"stream_options":        {`{"odd":1}`, `{"include_obfuscation":false}`},
		"max_tokens":            {"0", "null"},
		"max_completion_tokens": {"1.5", "null"},
		"top_p":                 {`"1"`, "null"},
		"top_k":                 {"[]", "null"},
		"stream":                {`"yes"`, "false"},
		"parallel_tool_calls":   {"1", "true"},
		"user":                  {"1", "null"},
	},
	translate.Anthropic: {
		"top_k":              {"5", "null"},
		"container":          {`"container_1"`, "null"},
		"mcp_servers":        {`[{"type":"url"}]`, "[]"},
		"context_management": {`{"edits":[]}`, "null"},
		"diagnostics":        {`{"previous_message_id":null}`, "null"},
		"inference_geo":      {`"us"`, "null"},
		"thinking":           {`{"type":"enabled","budget_tokens":1024}`, `{"type":"disabled"}`},
		"output_config":      {`{"effort":"low"}`, `{"format":null}`},
		"metadata":           {`{"user_id":"u","other":"x"}`, "{}"},
		"stop_sequences":     {`["a","b","c","d","e"]`, "[]"},
		"tool_choice":        {`{"type":"any"}`, `{"type":"auto"}`},
		"tools":              {`[{"type":"web_search_20250305","name":"web_search"}]`, "[]"},
		"temperature":        {"true", "null"},
		"system":             {`{"type":"text"}`, `""`},
	},
}

func TestEveryRefusedMember(t *testing.T) {
	t.Parallel()
	for from, members := range topLevel {
		for name, test := range members {
			t.Run(string(from)+" "+name, func(t *testing.T) {
				t.Parallel()
				wantRefused(t, from, base(from, `"`+name+`":`+test.refused), name)
				out, err := translate.Request(from, other(from), base(from, `"`+name+`":`+test.neutral), translate.Options{})
				if err != nil {
					t.Fatalf("%s of %s is refused: %v", name, test.neutral, err)
				}
				var got map[string]json.RawMessage
				if err := json.Unmarshal(out, &got); err != nil {
					t.Fatal(err)
				}
				if value, there := got[name]; there && name != "max_tokens" && string(value) != test.neutral {
					t.Errorf("%s went out as %s", name, value)
				}
			})
		}
		refused, _ := translate.RefusedMembers(from)
		for _, name := range refused {
			if _, row := members[name]; !row {
				t.Errorf("%s %s has no row", from, name)
			}
		}
	}
}

// wantRefused wants the request refused for a member whose path begins with at.
func wantRefused(t *testing.T, from translate.Dialect, body []byte, at string) {
	t.Helper()
	out, err := translate.Request(from, other(from), body, translate.Options{})
	var u *translate.Unsupported
	switch {
	case !errors.As(err, &u):
		t.Fatalf("not refused: %v\n%s", err, out)
	case !strings.HasPrefix(u.Member, at) || at == "" && u.Member != "":
		t.Errorf("refused for %q (%s), want %q", u.Member, u.Reason, at)
	case u.Reason == "" || out != nil:
		t.Errorf("no reason, or a body all the same: %q %s", u.Reason, out)
	}
}

func TestHintsAreLeftOut(t *testing.T) {
	t.Parallel()
	for _, from := range []translate.Dialect{translate.OpenAI, translate.Anthropic} {
		plain, err := translate.Request(from, other(from), base(from, ""), translate.Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, hints := translate.RefusedMembers(from)
		for _, name := range hints {
			got, err := translate.Request(from, other(from), base(from, `"`+name+`":{"any":"thing"}`), translate.Options{})
			if err != nil || string(got) != string(plain) {
				t.Errorf("%s %s: %v\n%s\n%s", from, name, err, got, plain)
			}
		}
	}
}

func TestUnknownMembersAreRefusedByName(t *testing.T) {
	t.Parallel()
	for _, from := range []translate.Dialect{translate.OpenAI, translate.Anthropic} {
		for name, want := range map[string]string{
			"brand_new": "brand_new", "Model": "Model", "max_token": "max_token",
			"\\u0000": "(a member with an odd name)", strings.Repeat("x", 65): "(a member with an odd name)",
			"": "(a member with an odd name)", "é": "(a member with an odd name)",
		} {
			wantRefused(t, from, base(from, `"`+name+`":1`), want)
		}
	}
}

// bodies are refused whole, each for what stands at the path.
var bodies = map[string]struct {
	from translate.Dialect
	body string
	at   string
}{
	"no JSON":                             {translate.OpenAI, `{`, ""},
	"no object":                           {translate.OpenAI, `[]`, ""},
	"a member twice":                      {translate.OpenAI, `{"model":"a","model":"b","messages":[{"role":"user","content":"x"}]}`, ""},
	"a member twice deep inside":          {translate.Anthropic, `{"model":"a","max_tokens":1,"messages":[{"role":"user","role":"user","content":"x"}]}`, ""},
	"not UTF-8":                           {translate.OpenAI, "{\"model\":\"\xff\"}", ""},
	"no model":                            {translate.OpenAI, `{"messages":[{"role":"user","content":"x"}]}`, "model"},
	"no messages":                         {translate.OpenAI, `{"model":"a"}`, "messages"},
	"messages that say nothing":           {translate.OpenAI, `{"model":"a","messages":[{"role":"user","content":""}]}`, "messages"},
	"a system prompt alone":               {translate.Anthropic, `{"model":"a","max_tokens":1,"system":"x","messages":[]}`, "messages"},
	"no max_tokens":                       {translate.Anthropic, `{"model":"a","messages":[{"role":"user","content":"x"}]}`, "max_tokens"},
	"bounds that differ":                  {translate.OpenAI, `{"model":"a","max_tokens":1,"max_completion_tokens":2,"messages":[]}`, "max_tokens"},
	"a named tool without tools":          {translate.OpenAI, `{"model":"a","messages":[],"tool_choice":{"type":"function","function":{"name":"f"}}}`, "tool_choice"},
	"a choice among allowed tools":        {translate.OpenAI, `{"model":"a","messages":[],"tool_choice":{"type":"allowed_tools"}}`, "tool_choice.type"},
	"a schema that is missing":            {translate.OpenAI, `{"model":"a","messages":[],"response_format":{"type":"json_schema","json_schema":{"name":"x"}}}`, "response_format.json_schema.schema"},
	"a described schema":                  {translate.OpenAI, `{"model":"a","messages":[],"response_format":{"type":"json_schema","json_schema":{"description":"d","schema":{}}}}`, "response_format.json_schema.description"},
	"a message that is a string":          {translate.Anthropic, `{"model":"a","max_tokens":1,"messages":["x"]}`, "messages[0]"},
	"a tool with examples":                {translate.Anthropic, `{"model":"a","max_tokens":1,"messages":[],"tools":[{"name":"a","input_schema":{},"input_examples":[{}]}]}`, "tools[0].input_examples"},
	"a tool that loads later":             {translate.Anthropic, `{"model":"a","max_tokens":1,"messages":[],"tools":[{"name":"a","input_schema":{},"defer_loading":true}]}`, "tools[0].defer_loading"},
	"a tool that code calls":              {translate.Anthropic, `{"model":"a","max_tokens":1,"messages":[],"tools":[{"name":"a","input_schema":{},"allowed_callers":["code_execution_20250825"]}]}`, "tools[0].allowed_callers"},
	"a tool without a name":               {translate.OpenAI, `{"model":"a","messages":[],"tools":[{"type":"function","function":{}}]}`, "tools[0].function.name"},
	"a tool whose schema is true":         {translate.OpenAI, `{"model":"a","messages":[],"tools":[{"type":"function","function":{"name":"f","parameters":true}}]}`, "tools[0].function.parameters"},
	"a format that is no schema":          {translate.Anthropic, `{"model":"a","max_tokens":1,"messages":[],"output_config":{"format":{"type":"text"}}}`, "output_config.format.type"},
	"a system prompt that is a picture":   {translate.Anthropic, `{"model":"a","max_tokens":1,"messages":[],"system":[{"type":"image"}]}`, "system[0].type"},
	"an unknown member of metadata":       {translate.Anthropic, `{"model":"a","max_tokens":1,"messages":[],"metadata":{"x":1}}`, "metadata.x"},
	"a tool choice with an odd companion": {translate.Anthropic, `{"model":"a","max_tokens":1,"messages":[],"tools":[{"name":"a","input_schema":{}}],"tool_choice":{"type":"auto","x":1}}`, "tool_choice.x"},
}

func TestRefusedBodies(t *testing.T) {
	t.Parallel()
	for name, test := range bodies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefused(t, test.from, []byte(test.body), test.at)
		})
	}
}

func TestRefusalIsASentence(t *testing.T) {
	t.Parallel()
	for want, u := range map[string]*translate.Unsupported{
		"seed: has no equal in the upstream's API": {Member: "seed", Reason: "has no equal in the upstream's API"},
		"The request has to be one JSON object":    {Reason: "has to be one JSON object"},
	} {
		if u.Error() != want {
			t.Errorf("%q, want %q", u.Error(), want)
		}
	}
}
