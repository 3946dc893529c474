package translate_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyless/shared/proxy/translate"
)

// cut makes pieces of a text: each at most size bytes.
func cut(text []byte, size int) [][]byte {
	var pieces [][]byte
	for len(text) > size {
		pieces = append(pieces, text[:size])
		text = text[size:]
	}
	return append(pieces, text)
}

func TestStreamIsTheSameHoweverItIsSplit(t *testing.T) {
	t.Parallel()
	each(t, "stream", func(t *testing.T, _ string, from, to translate.Dialect, text []byte) {
		for _, ends := range []string{"\n", "\r\n", "\r"} {
			text := bytes.ReplaceAll(text, []byte("\n"), []byte(ends))
			want, wantErr := whole(from, to, answerOptions, text)
			for _, size := range []int{1, 2, 3, 7, 64, 1000} {
				got, err := whole(from, to, answerOptions, cut(text, size)...)
				if !bytes.Equal(got, want) || !errors.Is(err, wantErr) {
					t.Fatalf("by %d bytes, lines ending in %q: %v\n%s", size, ends, err, got)
				}
			}
			if ends != "\n" {
				plain, _ := whole(from, to, answerOptions, bytes.ReplaceAll(text, []byte(ends), []byte("\n")))
				if !bytes.Equal(plain, want) {
					t.Errorf("lines ending in %q give another stream", ends)
				}
			}
		}
	})
}

// A stream that is cut anywhere is never told as whole.
func TestCutStreamLooksCut(t *testing.T) {
	t.Parallel()
	each(t, "stream", func(t *testing.T, input string, from, to translate.Dialect, text []byte) {
		end := map[translate.Dialect]string{translate.OpenAI: "data: [DONE]", translate.Anthropic: "message_stop"}
		for n := range text {
			got, err := whole(from, to, answerOptions, text[:n])
			rest := text[n:]
			switch {
			case err == nil && !bytes.Contains(got, []byte(end[to])):
				t.Fatalf("cut at %d: no error, and no end", n)
			case err != nil && bytes.Contains(got, []byte(end[to])):
				t.Fatalf("cut at %d: an end, and %v", n, err)
			case err == nil && from == translate.Anthropic && len(bytes.TrimSpace(rest)) > 0:
				t.Fatalf("cut at %d before %q: no error", n, rest)
			case err == nil && bytes.Contains(rest, []byte("finish_reason")):
				t.Fatalf("cut at %d before a reason: no error", n)
			case err != nil && !errors.Is(err, translate.ErrCut) && !errors.Is(err, translate.ErrFailed):
				t.Fatalf("cut at %d: %v", n, err)
			}
		}
	})
}

func TestErrorEventIsToldOnce(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"error.openai.sse", "error.anthropic.sse"} {
		text, err := os.ReadFile(filepath.Join("testdata", "stream", name))
		if err != nil {
			t.Fatal(err)
		}
		from := translate.OpenAI
		if strings.Contains(name, "anthropic") {
			from = translate.Anthropic
		}
		s := translate.NewStream(from, other(from), answerOptions)
		out, err := s.Write(text)
		if err != nil || bytes.Count(out, []byte(`"error":{`)) != 1 {
			t.Fatalf("%v\n%s", err, out)
		}
		for range 2 {
			if out, err := s.Close(); len(out) > 0 || !errors.Is(err, translate.ErrFailed) {
				t.Errorf("closed with %v and %q", err, out)
			}
		}
	}
}

const (
	chatStart  = `data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant"}}]}` + "\n\n"
	chatStop   = `data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	claudeText = `data: {"type":"message_start","message":{"id":"m","usage":{"input_tokens":1}}}` + "\n\n"
)

func toolPiece(index int, id, name, arguments string) string {
	return fmt.Sprintf(`data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":%d,"id":%q,"function":{"name":%q,"arguments":%q}}]}}]}`+"\n\n",
		index, id, name, arguments)
}

// streams have an error at the end that is want; nil none.
var streams = map[string]struct {
	from   translate.Dialect
	text   string
	want   error  // nil with fails: some other one
	fails  bool   // Write, or Close, returns an error
	has    string // within what is told
	hasNot string
}{
	"nothing from OpenAI":    {from: translate.OpenAI, want: translate.ErrCut, fails: true},
	"nothing from Anthropic": {from: translate.Anthropic, want: translate.ErrCut, fails: true},
	"an end without [DONE]":  {from: translate.OpenAI, text: chatStart + chatStop, has: "message_stop"},
	"an end without a reason": {from: translate.OpenAI, text: chatStart, want: translate.ErrCut, fails: true,
		hasNot: "message_stop"},
	"[DONE] without the empty line": {from: translate.OpenAI, text: chatStart + chatStop + "data: [DONE]", has: "message_stop"},
	"half of [DONE]":                {from: translate.OpenAI, text: chatStart + chatStop + "data: [DO", want: translate.ErrCut, fails: true},
	"half an event":                 {from: translate.OpenAI, text: chatStart + `data: {"choices":[{"in`, want: translate.ErrCut, fails: true},
	"data that is no JSON":          {from: translate.OpenAI, text: "data: <html>\n\n", fails: true},
	"an answer that is no text":     {from: translate.OpenAI, text: `data: {"choices":[{"delta":{"content":[{"text":"x"}]}}]}` + "\n\n", fails: true},
	"a tool without a name":         {from: translate.OpenAI, text: toolPiece(0, "a", "", "{}"), fails: true},
	"a tool that had ended":         {from: translate.OpenAI, text: toolPiece(0, "a", "f", "") + toolPiece(1, "b", "g", "") + toolPiece(0, "", "", "{"), fails: true},
	"an empty piece of a tool that had ended": {from: translate.OpenAI, has: "message_stop",
		text: toolPiece(0, "a", "f", "{}") + toolPiece(1, "b", "g", "{}") + toolPiece(0, "", "", "") + chatStop},
	"a tool without an id": {from: translate.OpenAI, text: chatStart + toolPiece(0, "", "f", "{}") + chatStop, has: `"id":"call_`},
	"another choice": {from: translate.OpenAI, text: chatStart + `data: {"choices":[{"index":1,"delta":{"content":"other"}}]}` + "\n\n" + chatStop,
		hasNot: "other"},
	"an event called error": {from: translate.OpenAI, text: "event: error\ndata: {\"message\":\"odd\",\"code\":500}\n\n",
		want: translate.ErrFailed, fails: true, has: `event: error` + "\n" + `data: {"type":"error","error":{"type":"api_error","message":"odd","code":"500"}}`},
	"an error that is a string": {from: translate.OpenAI, text: chatStart + "data: {\"error\":\"boom\"}\n\n", want: translate.ErrFailed, fails: true, has: `"message":"boom"`},
	"too many tools": {from: translate.Anthropic, fails: true, text: claudeText +
		strings.Repeat(`data: {"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f"}}`+"\n\n", 1025)},
	"an unknown event": {from: translate.Anthropic, text: claudeText + `data: {"type":"brand_new"}` + "\n\n" + `data: {"type":"message_stop"}` + "\n\n", has: "[DONE]"},
	"a block of a server's tool": {from: translate.Anthropic, hasNot: "tool_calls", has: "[DONE]", text: claudeText +
		`data: {"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","id":"t","name":"f"}}` + "\n\n" +
		`data: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{"}}` + "\n\n" +
		`data: {"type":"message_stop"}` + "\n\n"},
	"events after the end":  {from: translate.Anthropic, text: claudeText + `data: {"type":"message_stop"}` + "\n\n" + claudeText, has: "[DONE]"},
	"several lines of data": {from: translate.Anthropic, text: "data: {\"type\":\ndata: \"message_stop\"}\n\n", has: "[DONE]"},
	"a byte order mark":     {from: translate.Anthropic, text: "\uFEFFdata: {\"type\":\"message_stop\"}\n\n", has: "[DONE]"},
	"an event before the first": {from: translate.Anthropic, has: `"id":"req-1"`, text: `data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"x"}}` + "\n\n" +
		`data: {"type":"message_stop"}` + "\n\n"},
	"a whole answer with a context that is full": {from: translate.Anthropic, has: `"finish_reason":"length"`, text: claudeText +
		`data: {"type":"message_delta","delta":{"stop_reason":"model_context_window_exceeded"},"usage":{"output_tokens":1}}` + "\n\n" +
		`data: {"type":"message_stop"}` + "\n\n"},
}

func TestStreams(t *testing.T) {
	t.Parallel()
	for name, test := range streams {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := whole(test.from, other(test.from), answerOptions, []byte(test.text))
			switch {
			case (err != nil) != test.fails || test.want != nil && !errors.Is(err, test.want):
				t.Errorf("error %v, want %v", err, test.want)
			case !strings.Contains(string(got), test.has):
				t.Errorf("no %s in\n%s", test.has, got)
			case test.hasNot != "" && strings.Contains(string(got), test.hasNot):
				t.Errorf("%s in\n%s", test.hasNot, got)
			}
		})
	}
}

func TestUsageChunkIsForWhoAsked(t *testing.T) {
	t.Parallel()
	text := claudeText + `data: {"type":"message_stop"}` + "\n\n"
	for _, asked := range []bool{false, true} {
		got, err := whole(translate.Anthropic, translate.OpenAI, translate.AnswerOptions{IncludeUsage: asked}, []byte(text))
		if err != nil || bytes.Contains(got, []byte("usage")) != asked {
			t.Errorf("asked %v: %v\n%s", asked, err, got)
		}
	}
}

func TestFrameIsBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", translate.MaxFrame-200)
	event := func(text string) string {
		return `data: {"choices":[{"delta":{"content":"` + text + `"}}]}` + "\n\n"
	}
	for name, test := range map[string]struct {
		text string
		fits bool
	}{
		"one that fits":                         {event(long), true},
		"a line that does not end":              {"data: " + long + long, false},
		"a line that is too long":               {event(long + long), false},
		"a comment that is too long":            {":" + long + long + "\n", false},
		"many lines of one event":               {strings.Repeat("data: "+long[:1000]+"\n", 1100), false},
		"many lines of many events":             {strings.Repeat(event(long[:1000]), 2000), true},
		"an endless number of fields unknown":   {strings.Repeat("id: 1\n", 300_000), true},
		"lines of an event's name, never ended": {strings.Repeat("event: x\n", 200_000), true},
	} {
		_, err := whole(translate.OpenAI, translate.Anthropic, answerOptions, cut([]byte(test.text), 1<<16)...)
		if fits := errors.Is(err, translate.ErrCut); fits != test.fits {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzStream: however a stream is split, the same is told; what is told are whole events of sound JSON.
func FuzzStream(f *testing.F) {
	inputs, _ := filepath.Glob("testdata/stream/*")
	for i, input := range inputs {
		text, err := os.ReadFile(input)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, uint16(i*7+1), strings.Contains(input, "openai"))
	}
	f.Fuzz(func(t *testing.T, text []byte, size uint16, fromOpenAI bool) {
		from := translate.Anthropic
		if fromOpenAI {
			from = translate.OpenAI
		}
		want, wantErr := whole(from, other(from), answerOptions, text)
		got, err := whole(from, other(from), answerOptions, cut(text, int(size)+1)...)
		if !bytes.Equal(got, want) || (err == nil) != (wantErr == nil) {
			t.Fatalf("split by %d: %v and %v\n%s\n%s", int(size)+1, err, wantErr, got, want)
		}
		for event := range bytes.SplitSeq(want, []byte("\n\n")) {
			_, data, found := bytes.Cut(event, []byte("data: "))
			if found && string(data) != "[DONE]" && !json.Valid(data) {
				t.Fatalf("told %s", event)
			}
		}
	})
}

func BenchmarkStreamFrame(b *testing.B) {
	frames := map[translate.Dialect]string{
		translate.OpenAI:    `data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}]}` + "\n\n",
		translate.Anthropic: "event: content_block_delta\n" + `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" word"}}` + "\n\n",
	}
	for from, frame := range frames {
		b.Run("from "+string(from), func(b *testing.B) {
			s := translate.NewStream(from, other(from), answerOptions)
			chunk := []byte(frame)
			b.ReportAllocs()
			b.SetBytes(int64(len(chunk)))
			for b.Loop() {
				if _, err := s.Write(chunk); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
