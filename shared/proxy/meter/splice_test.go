package meter_test

import (
	"strings"
	"testing"

	"keyless/shared/proxy/meter"
)

func TestSpliceChangesTheseBytesOnly(t *testing.T) {
	t.Parallel()
	qwen, odd, five := "qwen-plus", "a\"\\\n<b>\u00e9", "gpt-5-mini"
	usage := meter.Change{IncludeUsage: true}
	for what, row := range map[string]struct {
		kind   meter.Kind
		body   string
		change meter.Change
		want   string
	}{
		"nothing":                           {meter.Chat, `{ "model" : "m" }`, meter.Change{}, `{ "model" : "m" }`},
		"the model":                         {meter.Chat, ` { "model" : "m" , "x":1.0e5}`, meter.Change{Model: &qwen}, ` { "model" : "qwen-plus" , "x":1.0e5}`},
		"a model with marks":                {meter.Chat, `{"model":"m"}`, meter.Change{Model: &odd}, `{"model":"a\"\\\n<b>` + "\u00e9" + `"}`},
		"a model that is null":              {meter.Chat, `{"model":null}`, meter.Change{Model: &qwen}, `{"model":"qwen-plus"}`},
		"a model that is missing":           {meter.Chat, `{"a":1}`, meter.Change{Model: &qwen}, `{"model":"qwen-plus","a":1}`},
		"a model in an empty body":          {meter.Chat, `{ }`, meter.Change{Model: &qwen}, `{"model":"qwen-plus" }`},
		"a model under an escaped name":     {meter.Chat, `{"mo\u0064el":"m"}`, meter.Change{Model: &qwen}, `{"mo\u0064el":"qwen-plus"}`},
		"a bound":                           {meter.Chat, `{"max_tokens": 9}`, meter.Change{MaxOutput: 4096}, `{"max_tokens": 4096}`},
		"both bounds":                       {meter.Chat, `{"max_completion_tokens":1,"max_tokens":9}`, meter.Change{MaxOutput: 5}, `{"max_completion_tokens":5,"max_tokens":5}`},
		"two bounds that differ":            {meter.Chat, `{"max_tokens":0,"max_completion_tokens":7}`, meter.Change{}, `{"max_tokens":7,"max_completion_tokens":7}`},
		"two bounds that differ, by much":   {meter.Chat, `{"max_tokens":5,"max_completion_tokens":900000}`, meter.Change{}, `{"max_tokens":5,"max_completion_tokens":5}`},
		"two bounds alike":                  {meter.Chat, `{"max_tokens": 5,"max_completion_tokens":5}`, meter.Change{}, `{"max_tokens": 5,"max_completion_tokens":5}`},
		"never a second bound":              {meter.Chat, `{"max_completion_tokens":7}`, meter.Change{MaxOutput: 7}, `{"max_completion_tokens":7}`},
		"a bound of one's own":              {meter.Chat, `{"a":1}`, meter.Change{MaxOutput: 5}, `{"max_tokens":5,"a":1}`},
		"a bound that gpt-5 knows":          {meter.Chat, `{"model":"x"}`, meter.Change{MaxOutput: 5, Model: &five}, `{"max_completion_tokens":5,"model":"gpt-5-mini"}`},
		"a bound that o3 knows":             {meter.Chat, `{"model":"o3"}`, meter.Change{MaxOutput: 5}, `{"max_completion_tokens":5,"model":"o3"}`},
		"a bound that opus knows":           {meter.Chat, `{"model":"opus"}`, meter.Change{MaxOutput: 5}, `{"max_tokens":5,"model":"opus"}`},
		"a bound of responses":              {meter.Responses, `{"model":"m"}`, meter.Change{MaxOutput: 5}, `{"max_output_tokens":5,"model":"m"}`},
		"a bound of native":                 {meter.Native, `{"model":"m","parameters":{"top_p":1}}`, meter.Change{MaxOutput: 5}, `{"model":"m","parameters":{"max_tokens":5,"top_p":1}}`},
		"a bound of native, alone":          {meter.Native, `{"parameters":{ }}`, meter.Change{MaxOutput: 5}, `{"parameters":{"max_tokens":5 }}`},
		"a bound without parameters":        {meter.Native, `{"model":"m"}`, meter.Change{MaxOutput: 5}, `{"parameters":{"max_tokens":5},"model":"m"}`},
		"a bound where parameters are null": {meter.Native, `{"parameters":null}`, meter.Change{MaxOutput: 5}, `{"parameters":{"max_tokens":5}}`},
		"no bound for embeddings":           {meter.Embeddings, `{"input":"a"}`, meter.Change{MaxOutput: 5}, `{"input":"a"}`},
		"usage":                             {meter.Chat, `{"stream":true}`, usage, `{"stream_options":{"include_usage":true},"stream":true}`},
		"usage into options":                {meter.Chat, `{"stream":true,"stream_options":{"x":1}}`, usage, `{"stream":true,"stream_options":{"include_usage":true,"x":1}}`},
		"usage into no options":             {meter.Chat, `{"stream_options":null,"stream":true}`, usage, `{"stream_options":{"include_usage":true},"stream":true}`},
		"usage that was not wanted":         {meter.Completions, `{"stream":true,"stream_options":{"include_usage": false}}`, usage, `{"stream":true,"stream_options":{"include_usage": true}}`},
		"usage that was asked for":          {meter.Chat, `{"stream":true,"stream_options":{"include_usage":true}}`, usage, `{"stream":true,"stream_options":{"include_usage":true}}`},
		"no usage without a stream":         {meter.Chat, `{"stream":false}`, usage, `{"stream":false}`},
		"no usage for Anthropic":            {meter.Messages, `{"stream":true}`, usage, `{"stream":true}`},
		"all at once": {meter.Chat, `{"messages":[],"stream":true,"model":"m"}`, meter.Change{Model: &qwen, MaxOutput: 7, IncludeUsage: true},
			`{"max_tokens":7,"stream_options":{"include_usage":true},"messages":[],"stream":true,"model":"qwen-plus"}`},
		"all at once into nothing": {meter.Chat, `{}`, meter.Change{Model: &qwen, MaxOutput: 7}, `{"model":"qwen-plus","max_tokens":7}`},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			a := read(t, row.kind, nil, row.body)
			body := []byte(row.body)
			if got := string(a.Splice(body, row.change)); got != row.want {
				t.Errorf("\n got %s\nwant %s", got, row.want)
			}
			if string(body) != row.body {
				t.Errorf("the body itself was written to: %s", body)
			}
		})
	}
}

func TestSpliceServesTheNextUpstreamFromTheSameBody(t *testing.T) {
	t.Parallel()
	body := []byte(`{"model":"m","stream":true}`)
	a := read(t, meter.Chat, nil, string(body))
	for _, model := range []string{"one", "two-longer"} {
		want := strings.Replace(string(body), `"m"`, `"`+model+`"`, 1)
		if got := string(a.Splice(body, meter.Change{Model: &model})); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
