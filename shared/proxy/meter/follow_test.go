package meter_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyless/shared/ledger"
	"keyless/shared/proxy/meter"
)

// sum is all that a meter says of an answer.
type sum struct {
	Used     ledger.Usage
	Known    bool
	Model    string
	Output   int64
	Content  bool
	Finished bool
	Failed   meter.Failure
	Passed   string
}

// follow feeds an answer in pieces of the given size, 0 for all at once.
func follow(how meter.Following, answer []byte, size int) sum {
	if size == 0 {
		size = max(1, len(answer))
	}
	return inPieces(how, answer, func(int) int { return size })
}

// inPieces feeds an answer in pieces of the sizes that size gives.
func inPieces(how meter.Following, answer []byte, size func(i int) int) sum {
	m := meter.New(how)
	var passed bytes.Buffer
	for i := 0; len(answer) > 0; i++ {
		n := min(len(answer), size(i))
		passed.Write(m.Feed(bytes.Clone(answer[:n])))
		answer = answer[n:]
	}
	passed.Write(m.Close())
	s := sum{Model: m.Model(), Output: m.Output(), Content: m.Content(), Finished: m.Finished(), Passed: passed.String()}
	s.Used, s.Known = m.Usage()
	if m.Failed() != nil {
		s.Failed = *m.Failed()
	}
	return s
}

func recorded(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestFollowReadsWhatTheVendorsSend(t *testing.T) {
	t.Parallel()
	mini, sonnet := "gpt-4o-mini-2024-07-18", "claude-sonnet-4-5-20250929"
	for what, row := range map[string]struct {
		file string
		how  meter.Following
		want sum
	}{
		"a chat stream with usage": {"openai-chat.sse", meter.Following{Kind: meter.Chat},
			sum{Used: ledger.Usage{Input: 19, CachedInput: 4, Output: 10, Reasoning: 3}, Known: true, Model: mini, Output: 6,
				Content: true, Finished: true}},
		"a chat stream of a tool's call, which tells no usage": {"openai-chat-tools.sse", meter.Following{Kind: meter.Chat},
			sum{Model: mini, Output: 6, Content: true, Finished: true}},
		"a chat answer": {"openai-chat.json", meter.Following{Kind: meter.Chat},
			sum{Used: ledger.Usage{Input: 19, Output: 10}, Known: true, Model: "gpt-4.1-2025-04-14", Output: 9, Content: true, Finished: true}},
		"a responses stream": {"openai-responses.sse", meter.Following{Kind: meter.Responses},
			sum{Used: ledger.Usage{Input: 37, CachedInput: 8, Output: 11, Reasoning: 5}, Known: true, Model: "gpt-4.1-2025-04-14", Output: 2,
				Content: true, Finished: true}},
		"a responses stream that fails before content": {"openai-responses-failed.sse", meter.Following{Kind: meter.Responses},
			sum{Model: "gpt-4.1-2025-04-14", Finished: true, Failed: meter.Failure{Code: "rate_limit_exceeded", Status: 429, Early: true}}},
		"a responses answer": {"openai-responses.json", meter.Following{Kind: meter.Responses},
			sum{Used: ledger.Usage{Input: 36, Output: 87, Reasoning: 64}, Known: true, Model: "gpt-4.1-2025-04-14", Output: 2,
				Content: true, Finished: true}},
		"embeddings": {"openai-embeddings.json", meter.Following{Kind: meter.Embeddings},
			sum{Used: ledger.Usage{Input: 5}, Known: true, Model: "text-embedding-3-small", Content: true, Finished: true}},
		"images, whose bytes are no tokens": {"openai-images.json", meter.Following{Kind: meter.Images},
			sum{Used: ledger.Usage{Input: 50, Output: 50, Images: 2}, Known: true, Content: true, Finished: true}},
		"a stream of one image": {"openai-images.sse", meter.Following{Kind: meter.Images},
			sum{Used: ledger.Usage{Input: 50, Output: 50, Images: 1}, Known: true, Content: true, Finished: true}},
		"a transcription": {"openai-transcription.sse", meter.Following{Kind: meter.Transcription},
			sum{Used: ledger.Usage{Input: 14, Output: 45}, Known: true, Output: 2, Content: true, Finished: true}},
		"Anthropic's two usage events, cache beside the input": {"anthropic.sse", meter.Following{Kind: meter.Messages},
			sum{Used: ledger.Usage{Input: 2125, CachedInput: 2000, Output: 15}, Known: true, Model: sonnet, Output: 2,
				Content: true, Finished: true}},
		"Anthropic overloaded before content": {"anthropic-overloaded.sse", meter.Following{Kind: meter.Messages},
			sum{Used: ledger.Usage{Input: 25, Output: 1}, Known: true, Model: "claude-sonnet-4-5",
				Failed: meter.Failure{Type: "overloaded_error", Status: 529, Early: true}}},
		"an Anthropic answer": {"anthropic.json", meter.Following{Kind: meter.Messages},
			sum{Used: ledger.Usage{Input: 35, CachedInput: 20, Output: 7}, Known: true, Model: sonnet, Output: 3, Content: true, Finished: true}},
		"Model Studio's compatible stream": {"modelstudio-compatible.sse", meter.Following{Kind: meter.Chat},
			sum{Used: ledger.Usage{Input: 22, Output: 17}, Known: true, Model: "qwen-plus", Output: 3, Content: true, Finished: true}},
		"Model Studio's native stream, which repeats the text": {"modelstudio-native.sse", meter.Following{Kind: meter.Native, Cumulative: true},
			sum{Used: ledger.Usage{Input: 22, CachedInput: 2, Output: 5}, Known: true, Output: 4, Content: true, Finished: true}},
		"Model Studio's throttle in a stream": {"modelstudio-native-error.sse", meter.Following{Kind: meter.Native},
			sum{Failed: meter.Failure{Code: "Throttling.RateQuota", Status: 429, Early: true}}},
		"a native answer": {"modelstudio-native.json", meter.Following{Kind: meter.Native},
			sum{Used: ledger.Usage{Input: 22, Output: 17}, Known: true, Output: 4, Content: true, Finished: true}},
		"a native image": {"modelstudio-image.json", meter.Following{Kind: meter.Native},
			sum{Used: ledger.Usage{Images: 1}, Known: true, Content: true, Finished: true}},
		"a rerank": {"rerank.json", meter.Following{Kind: meter.Rerank},
			sum{Used: ledger.Usage{Input: 79}, Known: true, Model: "qwen3-rerank", Content: true, Finished: true}},
		"an error after content": {"openrouter-midstream-error.sse", meter.Following{Kind: meter.Chat},
			sum{Model: "x/y", Output: 1, Content: true, Finished: true, Failed: meter.Failure{Code: "server_error", Status: 500}}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			answer := recorded(t, row.file)
			row.how.Events = strings.HasSuffix(row.file, ".sse")
			row.want.Passed = string(answer)
			for _, size := range []int{0, 1, 2, 3, 7, 64} {
				if got := follow(row.how, answer, size); got != row.want {
					t.Fatalf("in pieces of %d\n got %+v\nwant %+v", size, got, row.want)
				}
			}
		})
	}
}

func TestFollowReadsEveryKindOfLineEnd(t *testing.T) {
	t.Parallel()
	plain := string(recorded(t, "openai-chat.sse"))
	how := meter.Following{Kind: meter.Chat, Events: true, HideUsage: true}
	want := follow(how, []byte(plain), 0)
	for what, written := range map[string]func(string) string{
		"CR LF":              func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
		"CR":                 func(s string) string { return strings.ReplaceAll(s, "\n", "\r") },
		"a byte order mark":  func(s string) string { return "\xef\xbb\xbf" + s },
		"no space":           func(s string) string { return strings.ReplaceAll(s, "data: ", "data:") },
		"data in two lines":  func(s string) string { return strings.ReplaceAll(s, `,"object"`, ",\ndata: \"object\"") },
		"comments":           func(s string) string { return ": hello\n\n" + strings.ReplaceAll(s, "data: {", ": x\ndata: {") },
		"no last empty line": func(s string) string { return strings.TrimSuffix(s, "\n") },
		"no last line end":   func(s string) string { return strings.TrimSuffix(s, "\n\n") },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			want := want
			want.Passed = written(want.Passed)
			for _, size := range []int{0, 1, 2, 5} {
				if got := follow(how, []byte(written(plain)), size); got != want {
					t.Fatalf("in pieces of %d\n got %+v\nwant %+v", size, got, want)
				}
			}
		})
	}
}

func TestFollowHidesNothingButTheUsageChunk(t *testing.T) {
	t.Parallel()
	content := "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}],\"usage\":null}\n\n"
	usage := "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\n"
	done := "data: [DONE]\n\n"
	for what, row := range map[string]struct{ in, want string }{
		"the usage chunk":                                      {content + usage + done, content + done},
		"usage before choices":                                 {content + `data: {"usage":{"prompt_tokens":1},"choices":[]}` + "\n\n" + done, content + done},
		"a chunk without choices":                              {`data: {"usage":{"prompt_tokens":1}}` + "\n\n" + done, done},
		"usage in the chunk with the last words":               {strings.Replace(content, "null", `{"prompt_tokens":1}`, 1) + done, strings.Replace(content, "null", `{"prompt_tokens":1}`, 1) + done},
		"a chunk without choices or usage":                     {`data: {"choices":[],"usage":null,"prompt_filter_results":[]}` + "\n\n" + done, `data: {"choices":[],"usage":null,"prompt_filter_results":[]}` + "\n\n" + done},
		"an error with usage":                                  {`data: {"error":{"code":500},"usage":{"prompt_tokens":1}}` + "\n\n", `data: {"error":{"code":500},"usage":{"prompt_tokens":1}}` + "\n\n"},
		"the usage chunk at a clean end without an empty line": {content + strings.TrimSpace(usage), content},
		"the beginning of a usage chunk that was cut":          {content + usage[:50], content},
		"a comment in the air":                                 {content + ": keep-alive", content + ": keep-alive"},
		"what is no JSON":                                      {"data: oops\n\n" + content, "data: oops\n\n" + content},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{0, 1, 3, 11} {
				how := meter.Following{Kind: meter.Chat, Events: true, HideUsage: true}
				if got := follow(how, []byte(row.in), size); got.Passed != row.want {
					t.Fatalf("in pieces of %d\n got %q\nwant %q", size, got.Passed, row.want)
				}
				how.HideUsage = false
				if got := follow(how, []byte(row.in), size); got.Passed != row.in {
					t.Fatalf("in pieces of %d, shown\n got %q\nwant %q", size, got.Passed, row.in)
				}
			}
		})
	}
}

func TestFollowHoldsBackOneEventAtMost(t *testing.T) {
	t.Parallel()
	m := meter.New(meter.Following{Kind: meter.Chat, Events: true, HideUsage: true})
	if got := m.Feed([]byte("data: {\"choices\":[")); len(got) != 0 || !m.Between() {
		t.Fatalf("what may be a usage chunk passed: %q", got)
	}
	if got := string(m.Feed([]byte("{\"delta\":"))); got != "data: {\"choices\":[{\"delta\":" || m.Between() {
		t.Fatalf("what can be none waits: %q", got)
	}
	if got := string(m.Feed([]byte("{\"content\":\"x\"}}]}\n\n"))); got != "{\"content\":\"x\"}}]}\n\n" || !m.Between() || !m.Content() {
		t.Fatalf("the event's end: %q", got)
	}
}

func TestFollowPassesAnEventTooLargeToHold(t *testing.T) {
	t.Parallel()
	large := "data: {\"x\":\"" + strings.Repeat("y", 1<<20) + "\",\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":1}}\n\n"
	for _, size := range []int{0, 1000, 32 << 10} {
		got := follow(meter.Following{Kind: meter.Chat, Events: true, HideUsage: true}, []byte(large), size)
		if got.Passed != large || got.Used.Input != 7 {
			t.Fatalf("in pieces of %d: %d bytes of %d passed, usage %+v", size, len(got.Passed), len(large), got.Used)
		}
	}
}

// U10 of the fault catalogue: what a provider gets wrong, or lies about.
func TestFollowIsNotMisledByBadUsage(t *testing.T) {
	t.Parallel()
	for what, row := range map[string]struct {
		usage string
		want  ledger.Usage
		known bool
	}{
		"as it should be":       {`{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}`, ledger.Usage{Input: 3, Output: 4}, true},
		"negative":              {`{"prompt_tokens":-3,"completion_tokens":-4}`, ledger.Usage{}, false},
		"half negative":         {`{"prompt_tokens":3,"completion_tokens":-4}`, ledger.Usage{Input: 3}, true},
		"huge":                  {`{"prompt_tokens":9223372036854775808,"completion_tokens":9007199254740993}`, ledger.Usage{}, false},
		"fractions":             {`{"prompt_tokens":3.5,"completion_tokens":1e9}`, ledger.Usage{}, false},
		"strings":               {`{"prompt_tokens":"3","completion_tokens":"4"}`, ledger.Usage{}, false},
		"zeros":                 {`{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}`, ledger.Usage{}, false},
		"null":                  {`null`, ledger.Usage{}, false},
		"empty":                 {`{}`, ledger.Usage{}, false},
		"more cached than sent": {`{"prompt_tokens":3,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":30}}`, ledger.Usage{Input: 3, CachedInput: 3, Output: 4}, true},
		"reasoning left out of the output": {`{"prompt_tokens":3,"completion_tokens":4,"total_tokens":17,"completion_tokens_details":{"reasoning_tokens":10}}`,
			ledger.Usage{Input: 3, Output: 14, Reasoning: 10}, true},
		"twice, the last holds":      {`{"prompt_tokens":1,"completion_tokens":1},"usage":{"prompt_tokens":3,"completion_tokens":4}`, ledger.Usage{Input: 3, Output: 4}, true},
		"then null":                  {`{"prompt_tokens":3,"completion_tokens":4},"usage":null`, ledger.Usage{Input: 3, Output: 4}, true},
		"names with escapes as sent": {`{"prompt_tokens":3,"completion_tokens":4,"x\u0022\\":"}\""}`, ledger.Usage{Input: 3, Output: 4}, true},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{0, 1} {
				got := follow(meter.Following{Kind: meter.Chat}, []byte(`{"choices":[{"message":{"content":"hi"}}],"usage":`+row.usage+`}`), size)
				if got.Used != row.want || got.Known != row.known {
					t.Fatalf("got %+v %v, want %+v %v", got.Used, got.Known, row.want, row.known)
				}
			}
		})
	}
}

func TestFollowTakesCumulativeUsageOfEachChunk(t *testing.T) {
	t.Parallel()
	stream := `data: {"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":9,"completion_tokens":1}}` + "\n\n" +
		`data: {"choices":[{"delta":{"content":"b"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2}}` + "\n\n"
	got := follow(meter.Following{Kind: meter.Chat, Events: true, HideUsage: true, Choices: 1}, []byte(stream), 0)
	if got.Used != (ledger.Usage{Input: 9, Output: 2}) || !got.Finished || got.Passed != stream {
		t.Fatalf("%+v", got)
	}
}

func TestFollowDoesNotTakeACutStreamForWhole(t *testing.T) {
	t.Parallel()
	end := `data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}` + "\n\n"
	for what, row := range map[string]struct {
		in       string
		how      meter.Following
		finished bool
	}{
		"both choices ended":             {end + end, meter.Following{Kind: meter.Chat, Events: true, Choices: 2}, true},
		"one of two choices ended":       {end, meter.Following{Kind: meter.Chat, Events: true, Choices: 2}, false},
		"no reason to finish":            {strings.Replace(end, `"stop"`, "null", 1), meter.Following{Kind: meter.Chat, Events: true, Choices: 1}, false},
		"a document in half":             {`{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}`, meter.Following{Kind: meter.Chat}, false},
		"messages without their stop":    {"event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":3}}\n\n", meter.Following{Kind: meter.Messages, Events: true}, false},
		"native without a finish reason": {`data: {"output":{"text":"a","finish_reason":"null"}}` + "\n\n", meter.Following{Kind: meter.Native, Events: true}, false},
		"nothing":                        {"", meter.Following{Kind: meter.Chat, Events: true}, false},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			if got := follow(row.how, []byte(row.in), 0); got.Finished != row.finished {
				t.Fatalf("%+v", got)
			}
		})
	}
}

func TestFollowKnowsErrorsInsideA200(t *testing.T) {
	t.Parallel()
	for what, row := range map[string]struct {
		how    meter.Following
		in     string
		status int
	}{
		"a number as code":                {meter.Following{Kind: meter.Chat}, `{"error":{"message":"lost","code":502}}`, 502},
		"a sentence":                      {meter.Following{Kind: meter.Chat}, `{"error":"connection lost"}`, 500},
		"no error":                        {meter.Following{Kind: meter.Responses}, `{"error":null,"output":[]}`, 0},
		"Model Studio's billing words":    {meter.Following{Kind: meter.Chat}, `{"error":{"code":"insufficient_quota","type":"insufficient_quota"}}`, 429},
		"code before type":                {meter.Following{Kind: meter.Chat}, `{"error":{"type":"invalid_request_error","code":"model_not_found"}}`, 404},
		"Anthropic's document":            {meter.Following{Kind: meter.Messages}, `{"type":"error","error":{"type":"rate_limit_error"}}`, 429},
		"a native document":               {meter.Following{Kind: meter.Native}, `{"code":"InvalidParameter","message":"no"}`, 400},
		"an error event of responses":     {meter.Following{Kind: meter.Responses, Events: true}, "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"x\"}\n\n", 500},
		"an event's name without a type":  {meter.Following{Kind: meter.Messages, Events: true}, "event: error\ndata: {}\n\n", 500},
		"an opaque answer's error":        {meter.Following{Kind: meter.Opaque}, `{"error":{"code":502}}`, 0},
		"the word in what the model says": {meter.Following{Kind: meter.Chat}, `{"choices":[{"message":{"content":"{\"error\":{\"code\":502}}"}}]}`, 0},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			if got := follow(row.how, []byte(row.in), 0); got.Failed.Status != row.status {
				t.Fatalf("%+v", got.Failed)
			}
		})
	}
}

func TestFollowTakesWhatIsNoJSONForContent(t *testing.T) {
	t.Parallel()
	for what, how := range map[string]meter.Following{
		"sound":            {Kind: meter.Speech},
		"an opaque one":    {Kind: meter.Opaque},
		"opaque events":    {Kind: meter.Opaque, Events: true},
		"a page of HTML":   {Kind: meter.Chat},
		"a bare JSON text": {Kind: meter.Chat},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			got := follow(how, []byte("<html>{\"usage\":{\"prompt_tokens\":1}}"), 0)
			if !got.Content || got.Known || got.Finished {
				t.Fatalf("%+v", got)
			}
		})
	}
}
