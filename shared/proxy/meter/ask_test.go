package meter_test

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"keyless/shared/proxy/meter"
)

func TestKindOfKnowsTheVendorsPaths(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]meter.Kind{
		"/v1/chat/completions":                             meter.Chat,
		"/chat/completions":                                meter.Chat,
		"/Chat/Completions/":                               meter.Chat,
		"/compatible-mode/v1/chat/completions":             meter.Chat,
		"/openai/deployments/x/chat/completions":           meter.Chat,
		"/v1/completions":                                  meter.Completions,
		"/v1/responses":                                    meter.Responses,
		"/v1/responses/compact":                            meter.Responses,
		"/v1/responses/input_tokens":                       meter.CountTokens,
		"/v1/responses/resp_1/cancel":                      meter.Opaque,
		"/embeddings":                                      meter.Embeddings,
		"/v1/images/generations":                           meter.Images,
		"/v1/images/edits":                                 meter.Images,
		"/v1/audio/speech":                                 meter.Speech,
		"/v1/audio/transcriptions":                         meter.Transcription,
		"/compatible-api/v1/reranks":                       meter.Rerank,
		"/v1/rerank":                                       meter.Rerank,
		"/v1/moderations":                                  meter.Moderations,
		"/v1/messages":                                     meter.Messages,
		"/apps/anthropic/v1/messages":                      meter.Messages,
		"/v1/messages/count_tokens":                        meter.CountTokens,
		"/v1/messages/batches":                             meter.Opaque,
		"/v1/threads/t/messages":                           meter.Opaque,
		"/v1/threads/chat/completions":                     meter.Chat,
		"/v1/threads/responses":                            meter.Responses,
		"/v1/files":                                        meter.Opaque,
		"/v1/xchat/completionsx":                           meter.Opaque,
		"/api/v1/services/aigc/text-generation/generation": meter.Native,
		"/api/v1/services/embeddings/text-embedding/text-embedding": meter.Native,
		"/api/v1/services/rerank/text-rerank/text-rerank":           meter.Native,
		"/api/v1/tasks/1": meter.Opaque,
		"/":               meter.Opaque,
		"":                meter.Opaque,
	} {
		if got := meter.KindOf(http.MethodPost, path); got != want {
			t.Errorf("%s is %d, want %d", path, got, want)
		}
		if got := meter.KindOf(http.MethodGet, path); got != meter.Opaque {
			t.Errorf("GET %s is %d", path, got)
		}
	}
}

// read reads a body that is to be accepted, without the places, which only Splice shows.
func read(t *testing.T, kind meter.Kind, header http.Header, body string) meter.Ask {
	t.Helper()
	ask, refusal := meter.Read(kind, header, []byte(body))
	if refusal != "" {
		t.Fatalf("refused: %s", refusal)
	}
	return ask
}

func TestReadFindsWhatDecides(t *testing.T) {
	t.Parallel()
	type want struct {
		model           string
		stream, usage   bool
		most, choices   int64
		unseen, several bool
		unmetered       bool
	}
	for what, row := range map[string]struct {
		kind meter.Kind
		body string
		want want
	}{
		"a plain chat":                 {meter.Chat, `{"model":"m","messages":[]}`, want{model: "m", choices: 1}},
		"an empty object":              {meter.Chat, ` { } `, want{choices: 1}},
		"a stream with usage":          {meter.Chat, `{"stream":true,"stream_options":{"include_usage":true}}`, want{stream: true, usage: true, choices: 1}},
		"nulls are absent":             {meter.Chat, `{"model":null,"stream":null,"stream_options":null,"max_tokens":null,"n":null}`, want{choices: 1}},
		"the smaller of two bounds":    {meter.Chat, `{"max_tokens":5,"max_completion_tokens":7}`, want{most: 5, choices: 1}},
		"zero is the smaller of none":  {meter.Chat, `{"max_tokens":0,"max_completion_tokens":7}`, want{most: 7, choices: 1}},
		"a name with an escape":        {meter.Chat, `{"m\u006fdel":"\u006d","m\u0061x_tokens":3}`, want{model: "m", most: 3, choices: 1}},
		"members of a message are not": {meter.Chat, `{"messages":[{"model":"x","stream":true,"max_tokens":1,"n":9,"model":"y"}]}`, want{choices: 1}},
		"another kind's bound":         {meter.Chat, `{"max_output_tokens":5}`, want{choices: 1}},
		"choices":                      {meter.Chat, `{"n":4}`, want{choices: 4}},
		"prompts times choices":        {meter.Completions, `{"n":2,"best_of":3,"prompt":["a","b"],"max_tokens":10}`, want{most: 10, choices: 6}},
		"prompts before choices":       {meter.Completions, `{"prompt":[[1,2],[3],[4]],"n":2}`, want{choices: 6}},
		"one prompt of tokens":         {meter.Completions, `{"prompt":[1,2,3]}`, want{choices: 1}},
		"responses":                    {meter.Responses, `{"model":"m","max_output_tokens":9,"input":"hi"}`, want{model: "m", most: 9, choices: 1}},
		"an earlier response":          {meter.Responses, `{"previous_response_id":"r"}`, want{unseen: true, choices: 1}},
		"no earlier response":          {meter.Responses, `{"previous_response_id":null}`, want{choices: 1}},
		"a stored prompt":              {meter.Responses, `{"prompt":{"id":"p"}}`, want{unseen: true, choices: 1}},
		"a tool of the server":         {meter.Responses, `{"tools":[{"type":"web_search"}]}`, want{unseen: true, choices: 1}},
		"a tool of the caller":         {meter.Responses, `{"tools":[{"type":"function","parameters":{"type":"object"}}]}`, want{choices: 1}},
		"messages":                     {meter.Messages, `{"model":"c","max_tokens":100,"stream":true}`, want{model: "c", most: 100, stream: true, choices: 1}},
		"native parameters":            {meter.Native, `{"model":"q","input":{"prompt":"a"},"parameters":{"max_tokens":6,"n":2}}`, want{model: "q", most: 6, choices: 2}},
		"native without a stream":      {meter.Native, `{"stream":true,"max_tokens":9}`, want{choices: 1}},
		"images":                       {meter.Images, `{"n":3,"prompt":"cat"}`, want{choices: 3}},
		"a list of models":             {meter.Chat, `{"model":"a","models":["b"]}`, want{model: "a", several: true, choices: 1}},
		"counting costs nothing":       {meter.CountTokens, `{"model":"c"}`, want{model: "c", unmetered: true, choices: 1}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			a := read(t, row.kind, nil, row.body)
			got := want{a.Model, a.Stream, a.WantsUsage, a.MaxOutput, a.Choices, a.Unseen, a.ManyModels, !a.Metered}
			if got != row.want {
				t.Fatalf("got %+v, want %+v", got, row.want)
			}
		})
	}
}

func TestReadRefusesWhatTwoReadersCouldTakeDifferently(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 70) + strings.Repeat("]", 70)
	for what, row := range map[string]struct {
		kind meter.Kind
		body string
		says string
	}{
		"a second model":                    {meter.Chat, `{"model":"a","model":"b"}`, "the member model once"},
		"a second model, escaped":           {meter.Chat, `{"model":"a","mode\u006c":"b"}`, "the member model once"},
		"a twin in other letters":           {meter.Chat, `{"Model":"a"}`, "the member model once"},
		"a twin that folds (RFC 8259 §8.3)": {meter.Chat, `{"ſtream":true}`, "the member stream once"},
		"a second bound":                    {meter.Messages, `{"max_tokens":1,"max_tokens":2}`, "the member max_tokens once"},
		"a Kelvin sign":                     {meter.Chat, "{\"max_to\u212Aens\":2}", "the member max_tokens once"},
		"second options":                    {meter.Chat, `{"stream_options":{},"stream_options":{}}`, "the member stream_options once"},
		"a second wish in the options":      {meter.Chat, `{"stream_options":{"include_usage":true,"include_usage":false}}`, "include_usage once"},
		"second parameters":                 {meter.Native, `{"parameters":{},"Parameters":{}}`, "the member parameters once"},
		"a twin in the parameters":          {meter.Native, `{"parameters":{"MAX_TOKENS":2}}`, "the member max_tokens once"},
		"a model that is a number":          {meter.Chat, `{"model":1}`, "a string"},
		"a model without end":               {meter.Chat, `{"model":"` + strings.Repeat("m", 2000) + `"}`, "at most"},
		"a stream that is a string":         {meter.Chat, `{"stream":"true"}`, "true or false"},
		"options that are a list":           {meter.Chat, `{"stream_options":[]}`, "an object"},
		"a negative bound":                  {meter.Chat, `{"max_tokens":-1}`, "a whole number"},
		"a fraction":                        {meter.Chat, `{"max_tokens":1.0}`, "a whole number"},
		"an exponent":                       {meter.Chat, `{"max_tokens":1e3}`, "a whole number"},
		"a bound beyond 31 bits":            {meter.Chat, `{"max_tokens":2147483648}`, "a whole number"},
		"a very long number":                {meter.Chat, `{"n":100000000000000000000000000}`, "a whole number"},
		"too many answers":                  {meter.Completions, `{"n":1048576,"prompt":["a","b"]}`, "more than 1048576"},
		"an array":                          {meter.Chat, `[{"model":"a"}]`, "one JSON object"},
		"nothing":                           {meter.Chat, ``, "one JSON object"},
		"two objects":                       {meter.Chat, `{"model":"a"}{"model":"b"}`, "one valid JSON"},
		"a form":                            {meter.Chat, `model=a`, "one JSON object"},
		"a byte order mark":                 {meter.Chat, "\xef\xbb\xbf{}", "one JSON object"},
		"a comment":                         {meter.Chat, `{/*"model":"x",*/"model":"a"}`, "one valid JSON"},
		"a last comma":                      {meter.Chat, `{"model":"a",}`, "one valid JSON"},
		"no comma":                          {meter.Chat, `{"model":"a" "n":1}`, "one valid JSON"},
		"a comma too many":                  {meter.Chat, `{,"model":"a"}`, "one valid JSON"},
		"an empty element":                  {meter.Chat, `{"messages":[1,,2]}`, "one valid JSON"},
		"a word":                            {meter.Chat, `{"a":NaN}`, "one valid JSON"},
		"a leading zero":                    {meter.Chat, `{"a":01}`, "one valid JSON"},
		"a plus":                            {meter.Chat, `{"a":+1}`, "one valid JSON"},
		"a bare point":                      {meter.Chat, `{"a":1.}`, "one valid JSON"},
		"no value":                          {meter.Chat, `{"a":}`, "one valid JSON"},
		"a string that does not end":        {meter.Chat, `{"model":"a`, "one valid JSON"},
		"a tab in a string":                 {meter.Chat, "{\"model\":\"a\tb\"}", "one valid JSON"},
		"a bad escape":                      {meter.Chat, `{"model":"\x41"}`, "one valid JSON"},
		"a short escape":                    {meter.Chat, `{"model":"\u00"}`, "one valid JSON"},
		"no UTF-8":                          {meter.Chat, "{\"messages\":\"\xff\"}", "one valid JSON"},
		"an overlong character":             {meter.Chat, "{\"messages\":\"\xc0\xaf\"}", "one valid JSON"},
		"deep nesting":                      {meter.Chat, `{"a":` + deep + `}`, "deeper"},
		"a source of two types":             {meter.Messages, `{"messages":[{"content":[{"source":{"type":"text","type":"base64"}}]}]}`, "a source"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			_, refusal := meter.Read(row.kind, http.Header{"Content-Type": {"text/plain"}}, []byte(row.body))
			if !strings.Contains(refusal, row.says) {
				t.Fatalf("got %q, want %q in it", refusal, row.says)
			}
		})
	}
}

func TestReadBoundsTheInputFromAbove(t *testing.T) {
	t.Parallel()
	picture := strings.Repeat("iVBORw0K", 100_000)
	image := func(url string) string {
		return `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"` + url + `"}}]}]}`
	}
	for what, row := range map[string]struct {
		kind     meter.Kind
		body     string
		from, to int64 // Input
		pictures int64
	}{
		"every byte of text is a token":      {meter.Chat, `{"messages":[{"content":"` + strings.Repeat("x", 10_000) + `"}]}`, 10_000, 10_600, 0},
		"white space between members is not": {meter.Chat, `{` + strings.Repeat(" ", 10_000) + `}`, 0, 600, 0},
		"an escape is what it stands for":    {meter.Chat, `{"messages":[{"content":"` + strings.Repeat(`\n`, 1000) + `"}]}`, 1000, 1600, 0},
		"an escaped character is three":      {meter.Chat, `{"messages":[{"content":"` + strings.Repeat(`\u4f60`, 1000) + `"}]}`, 3000, 3600, 0},
		"an image is no text":                {meter.Chat, image("data:image/png;base64," + picture), 16_384, 17_100, 1},
		"an image elsewhere":                 {meter.Chat, image("https://example.invalid/a.png"), 16_384, 17_100, 1},
		"an image of responses":              {meter.Responses, `{"input":[{"content":[{"type":"input_image","image_url":"data:image/png;base64,` + picture + `"}]}]}`, 16_384, 17_100, 1},
		"an image of Anthropic":              {meter.Messages, `{"messages":[{"content":[{"type":"image","source":{"data":"` + picture + `","media_type":"image/png","type":"base64"}}]}]}`, 16_384, 17_100, 1},
		"a native image":                     {meter.Native, `{"input":{"messages":[{"content":[{"image":"data:image/png;base64,` + picture + `"}]}]}}`, 16_384, 17_100, 1},
		"text that says it is an image":      {meter.Chat, `{"messages":[{"content":"data:image/png;base64,` + picture + `"}]}`, 800_000, 801_000, 0},
		"an Anthropic source of text":        {meter.Messages, `{"messages":[{"content":[{"type":"document","source":{"type":"text","data":"` + picture + `"}}]}]}`, 800_000, 801_000, 0},
		"a tool's call that has an image":    {meter.Messages, `{"messages":[{"content":[{"type":"tool_use","input":{"image":"` + picture + `"}}]}]}`, 800_000, 801_000, 0},
		"a tool's definition":                {meter.Chat, `{"tools":[{"function":{"parameters":{"image_url":{"url":"` + picture + `"}}}}]}`, 800_000, 801_000, 0},
		"arguments":                          {meter.Chat, `{"messages":[{"tool_calls":[{"function":{"arguments":"` + picture + `"}}]}]}`, 800_000, 801_000, 0},
		"an Anthropic image elsewhere":       {meter.Messages, `{"messages":[{"content":[{"type":"image","source":{"type":"url","url":"https://example.invalid/a"}}]}]}`, 16_384, 17_100, 1},
		"an Anthropic file":                  {meter.Messages, `{"messages":[{"content":[{"type":"image","source":{"type":"file","file_id":"f"}}]}]}`, 16_384, 17_100, 1},
		"an image to edit":                   {meter.Images, `{"images":[{"image_url":"data:image/png;base64,` + picture + `"}]}`, 16_384, 17_100, 1},
		"sound, 30 bytes to the token":       {meter.Chat, `{"messages":[{"content":[{"type":"input_audio","input_audio":{"data":"` + picture + `","format":"wav"}}]}]}`, 20_000, 21_000, 0},
		"a PDF, a byte to the token":         {meter.Messages, `{"messages":[{"content":[{"type":"document","source":{"type":"base64","data":"JVBER` + picture + `"}}]}]}`, 600_000, 601_000, 0},
		"a file of chat":                     {meter.Chat, `{"messages":[{"content":[{"type":"file","file":{"file_data":"data:application/pdf;base64,` + picture + `"}}]}]}`, 600_000, 601_000, 0},
		"a video":                            {meter.Chat, `{"messages":[{"content":[{"type":"video_url","video_url":{"url":"https://example.invalid/v.mp4"}}]}]}`, 131_072, 132_000, 0},
		"the frames of a video":              {meter.Native, `{"input":{"messages":[{"content":[{"video":["https://example.invalid/1","https://example.invalid/2"]}]}]}}`, 32_768, 33_600, 2},
		"tokens as numbers":                  {meter.Embeddings, `{"input":[[1,2,3,4,5]]}`, 5, 600, 0},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			a := read(t, row.kind, nil, row.body)
			if a.Input < row.from || a.Input > row.to || a.Pictures != row.pictures {
				t.Fatalf("Input %d, want %d to %d; Pictures %d, want %d", a.Input, row.from, row.to, a.Pictures, row.pictures)
			}
			if a.Likely > a.Input || a.Likely < 0 {
				t.Fatalf("Likely %d of %d", a.Likely, a.Input)
			}
		})
	}
}

func TestReadGuessesTheInput(t *testing.T) {
	t.Parallel()
	english := read(t, meter.Chat, nil, `{"messages":[{"role":"user","content":"`+strings.Repeat("word ", 800)+`"}]}`)
	if english.Likely < 1000 || english.Likely > 1020 {
		t.Errorf("800 words and a space each: %d", english.Likely)
	}
	chinese := read(t, meter.Chat, nil, `{"messages":[{"role":"user","content":"`+strings.Repeat("你", 1000)+`"}]}`)
	escaped := read(t, meter.Chat, nil, `{"messages":[{"role":"user","content":"`+strings.Repeat(`\u4f60`, 1000)+`"}]}`)
	if chinese.Likely < 1000 || chinese.Likely > 1020 || chinese.Likely != escaped.Likely || chinese.Input != escaped.Input {
		t.Errorf("1000 characters: %d, escaped %d; %d, %d", chinese.Likely, escaped.Likely, chinese.Input, escaped.Input)
	}
}

func TestInputOnCountsImagesAsTheModelDoes(t *testing.T) {
	t.Parallel()
	a := read(t, meter.Chat, nil, `{"messages":[{"content":[{"image_url":{"url":"https://example.invalid/a"}}]}]}`)
	if got := a.InputOn("gpt-4o-mini-2024-07-18") - a.InputOn("gpt-4o"); got != 48_169-16_384 {
		t.Fatalf("an image costs %d more", got)
	}
}

func TestReadNativeStreamsByHeader(t *testing.T) {
	t.Parallel()
	sse, accept := http.Header{"X-Dashscope-Sse": {"enable"}}, http.Header{"Accept": {"text/event-stream"}}
	for what, row := range map[string]struct {
		header             http.Header
		body               string
		stream, cumulative bool
	}{
		"by its header":      {sse, `{}`, true, true},
		"by Accept":          {accept, `{}`, true, true},
		"in increments":      {sse, `{"parameters":{"incremental_output":true}}`, true, false},
		"without the header": {http.Header{}, `{"parameters":{"incremental_output":true}}`, false, false},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			if a := read(t, meter.Native, row.header, row.body); a.Stream != row.stream || a.Cumulative != row.cumulative {
				t.Fatalf("%+v", a)
			}
		})
	}
}

func TestReadForms(t *testing.T) {
	t.Parallel()
	form := func(fields ...string) (http.Header, []byte) {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		file, _ := w.CreateFormFile("file", "a.mp3")
		_, _ = file.Write(bytes.Repeat([]byte{0}, 30_000))
		for i := 0; i < len(fields); i += 2 {
			_ = w.WriteField(fields[i], fields[i+1])
		}
		_ = w.Close()
		return http.Header{"Content-Type": {w.FormDataContentType()}}, body.Bytes()
	}
	header, body := form("model", "whisper-1", "stream", "true")
	a, refusal := meter.Read(meter.Transcription, header, body)
	if refusal != "" || a.Model != "whisper-1" || !a.Stream || !a.Metered || a.Input < 1000 || a.Input > 1600 {
		t.Fatalf("%q %+v", refusal, a)
	}
	if got := a.Splice(body, meter.Change{Model: new(string), MaxOutput: 1}); !bytes.Equal(got, body) {
		t.Fatal("a form was changed")
	}
	for what, fields := range map[string][]string{
		"two models":   {"model", "a", "model", "b"},
		"a twin":       {"model", "a", "Model", "b"},
		"a long model": {"model", strings.Repeat("x", 300)},
		"a bad count":  {"n", "many"},
	} {
		header, body := form(fields...)
		if _, refusal := meter.Read(meter.Transcription, header, body); refusal == "" {
			t.Errorf("%s: not refused", what)
		}
	}
	edit, edited := form("model", "gpt-image-1", "n", "2", "image[]", "x", "mask", "y")
	if a, refusal := meter.Read(meter.Images, edit, edited); refusal != "" || a.Choices != 2 || a.Pictures != 2 || a.Input < 2*16_384 {
		t.Errorf("an image to edit: %q %+v", refusal, a)
	}
	if _, refusal := meter.Read(meter.Transcription, header, body[:len(body)-40]); refusal == "" {
		t.Error("half a form: not refused")
	}
	if _, refusal := meter.Read(meter.Chat, header, body); refusal == "" {
		t.Error("a form where JSON belongs: not refused")
	}
}

func TestReadLooksAtNothingOpaque(t *testing.T) {
	t.Parallel()
	a, refusal := meter.Read(meter.Opaque, nil, []byte("\xff"))
	if refusal != "" || a.Metered || a.Choices != 1 {
		t.Fatalf("%q %+v", refusal, a)
	}
}
