package meter_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"keyless/shared/ledger"
	"keyless/shared/oauth"
	"keyless/shared/proxy/meter"
)

// kinds is how many there are.
const kinds = int(meter.Native) + 1

func kindOf(n uint8) meter.Kind { return meter.Kind(int(n) % kinds) }

// addRecorded seeds with what the vendors send, beside the committed corpus.
func addRecorded(f *testing.F, add func(text []byte)) {
	f.Helper()
	files, err := os.ReadDir("testdata")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		if !file.IsDir() {
			add(recorded(f, file.Name()))
		}
	}
}

// cutting follows an answer in pieces whose sizes are the given bytes, over and over.
func cutting(how meter.Following, answer, sizes []byte) sum {
	if len(sizes) == 0 {
		return follow(how, answer, 0)
	}
	return inPieces(how, answer, func(i int) int { return 1 + int(sizes[i%len(sizes)]) })
}

// FuzzSSEMeter: usage and passed bytes are the same however an answer is split; what is passed is what came,
// less hidden events.
func FuzzSSEMeter(f *testing.F) {
	addRecorded(f, func(text []byte) {
		for _, kind := range []meter.Kind{meter.Chat, meter.Responses, meter.Messages, meter.Native} {
			f.Add(uint8(kind), true, true, text, []byte{3, 0, 40})
		}
		f.Add(uint8(meter.Chat), true, true, bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")), []byte{0, 1})
		f.Add(uint8(meter.Images), false, false, text, []byte{9})
	})
	f.Fuzz(func(t *testing.T, kind uint8, events, hide bool, answer, sizes []byte) {
		how := meter.Following{Kind: kindOf(kind), Events: events, HideUsage: hide, Cumulative: kind&16 != 0, Choices: 1}
		whole := cutting(how, answer, nil)
		for _, pieces := range [][]byte{{0}, sizes} {
			if split := cutting(how, answer, pieces); split != whole {
				t.Fatalf("split by %v\n got %+v\nwant %+v", pieces, split, whole)
			}
		}
		how.HideUsage = false
		if shown := cutting(how, answer, sizes); shown.Passed != string(answer) || shown.Used != whole.Used {
			t.Fatalf("shown: %+v", shown)
		}
		if !subsequence(whole.Passed, answer) {
			t.Fatalf("passed what did not come: %q of %q", whole.Passed, answer)
		}
		sane(t, whole.Used)
	})
}

func subsequence(part string, of []byte) bool {
	for i := range len(part) {
		at := bytes.IndexByte(of, part[i])
		if at < 0 {
			return false
		}
		of = of[at+1:]
	}
	return true
}

func sane(t *testing.T, u ledger.Usage) {
	t.Helper()
	const most = 1 << 43
	for _, n := range []int64{u.Input, u.CachedInput, u.Output, u.Reasoning, u.Images} {
		if n < 0 || n > most {
			t.Fatalf("absurd usage %+v", u)
		}
	}
	if u.CachedInput > u.Input || u.Reasoning > u.Output {
		t.Fatalf("a part is larger than the whole: %+v", u)
	}
}

// FuzzUsageJSON: in a document that is strict JSON, usage is what an independent decoder reads.
func FuzzUsageJSON(f *testing.F) {
	addRecorded(f, func(text []byte) { f.Add(text) })
	f.Add([]byte(`{"a":[{"usage":{"prompt_tokens":1}}],"usage":{"x":{"prompt_tokens":9},"prompt_tokens":3,"completion_tokens":2}}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		got := cutting(meter.Following{Kind: meter.Chat}, answer, nil)
		members, err := oauth.Object(answer)
		if err != nil {
			return
		}
		if !got.Finished {
			t.Fatal("a whole document is not finished")
		}
		usage, err := oauth.Object(members["usage"])
		if err != nil || len(members["response"])+len(members["message"])+len(members["choices"]) > 0 {
			return // usage may stand there too
		}
		for _, alias := range []string{"input_tokens", "output_tokens", "total_tokens"} {
			delete(usage, alias)
		}
		if len(usage) != 2 {
			return
		}
		var want ledger.Usage
		if json.Unmarshal(usage["prompt_tokens"], &want.Input) != nil || json.Unmarshal(usage["completion_tokens"], &want.Output) != nil {
			return
		}
		if want.Input < 0 || want.Output < 0 || want.Input > 1<<40 || want.Output > 1<<40 {
			return
		}
		if got.Used.Input < want.Input || got.Used.Output < want.Output {
			t.Fatalf("got %+v, want at least %+v", got.Used, want)
		}
	})
}

// FuzzRead: what is accepted is strict JSON, and the model is the one that an independent reader finds.
func FuzzRead(f *testing.F) {
	for _, body := range requests {
		for kind := range kinds {
			f.Add(uint8(kind), []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, n uint8, body []byte) {
		kind := kindOf(n)
		a, refusal := meter.Read(kind, nil, body)
		members, err := oauth.Object(body)
		if kind == meter.Opaque {
			return
		}
		if refusal != "" {
			if err == nil && plain(members) {
				t.Fatalf("refused what is well: %s", refusal)
			}
			return
		}
		if !json.Valid(body) {
			t.Fatal("accepted what is no JSON")
		}
		if model, _ := oauth.String(members["model"]); err == nil && model != a.Model {
			t.Fatalf("model %q, an independent reader finds %q", a.Model, model)
		}
		if a.Input < 0 || a.Likely < 0 || a.Likely > a.Input+int64(len(body)) || a.Choices < 1 || a.MaxOutput < 0 {
			t.Fatalf("%+v", a)
		}
	})
}

// plain reports whether a body has none of the members that may be refused, in any letters.
func plain(members map[string]json.RawMessage) bool {
	for name, value := range members {
		if len(name) != 1 || name == "n" || name == "N" || bytes.Contains(value, []byte("source")) || bytes.Contains(value, []byte(`\u`)) {
			return false
		}
	}
	return true
}

var requests = []string{
	`{}`, ` { "model" : "m", "stream":true, "messages":[{"role":"user","content":"h\u00e9\n你"}] } `,
	`{"model":"m","max_tokens":5,"stream":true,"stream_options":{"include_usage":false,"x":[1.5e-3]},"n":2}`,
	`{"model":"m","input":{"messages":[{"content":[{"image":"data:x;base64,AA"}]}]},"parameters":{"max_tokens":5,"n":1}}`,
	`{"stream_options":null,"parameters":null,"model":null,"stream":true,"max_completion_tokens":1,"max_output_tokens":2}`,
	`{"prompt":["a","b"],"best_of":3,"stream":true,"stream_options":{ }}`,
	`{"messages":[{"content":[{"source":{"type":"base64","data":"iVBORw"}}]}]}`, `{"a":[[[{"b":"c"}]]]}`, `{"m\u006fdel":"x"}`,
}

// FuzzSplice: what is spliced says what was asked, and nothing else changed.
func FuzzSplice(f *testing.F) {
	for i, body := range requests {
		f.Add(uint8(i), []byte(body), "q\"w\\é", uint32(7), true)
		f.Add(uint8(meter.Chat), []byte(body), "qwen-plus", uint32(0), true)
		f.Add(uint8(meter.Native), []byte(body), "", uint32(4096), false)
	}
	f.Fuzz(func(t *testing.T, n uint8, body []byte, model string, most uint32, usage bool) {
		kind := kindOf(n)
		before, refusal := meter.Read(kind, nil, body)
		if refusal != "" || kind == meter.Opaque {
			return
		}
		change := meter.Change{MaxOutput: int64(most >> 1), IncludeUsage: usage}
		if model != "" {
			change.Model = &model
		}
		spliced := before.Splice(body, change)
		after, refusal := meter.Read(kind, nil, spliced)
		if refusal != "" {
			t.Fatalf("the spliced body is refused: %s\n%s", refusal, spliced)
		}
		checkChange(t, before, after, change)
		if !reflect.DeepEqual(rest(t, kind, body), rest(t, kind, spliced)) {
			t.Fatalf("more was changed\n%s\n%s", body, spliced)
		}
	})
}

func checkChange(t *testing.T, before, after meter.Ask, change meter.Change) {
	t.Helper()
	if change.Model != nil && after.Model != string(bytes.ToValidUTF8([]byte(*change.Model), []byte("\uFFFD"))) &&
		after.Model != string([]rune(*change.Model)) {
		t.Fatalf("model %q, want %q", after.Model, *change.Model)
	}
	if after.Stream != before.Stream || after.Choices != before.Choices || after.Kind != before.Kind || after.Unseen != before.Unseen {
		t.Fatalf("before %+v, after %+v", before, after)
	}
	bounded := map[meter.Kind]bool{meter.Chat: true, meter.Completions: true, meter.Responses: true, meter.Messages: true, meter.Native: true}
	if want := change.MaxOutput; want > 0 && bounded[after.Kind] && after.MaxOutput != want {
		t.Fatalf("bound %d, want %d", after.MaxOutput, want)
	}
	asks := after.Kind == meter.Chat || after.Kind == meter.Completions
	if change.IncludeUsage && after.Stream && asks && !after.WantsUsage {
		t.Fatal("usage is not asked for")
	}
}

// rest is a body without what a change may touch.
func rest(t *testing.T, kind meter.Kind, body []byte) any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var members map[string]any
	if err := decoder.Decode(&members); err != nil {
		t.Fatal(err)
	}
	delete(members, "model")
	if kind != meter.Native {
		for _, name := range []string{"max_tokens", "max_completion_tokens", "max_output_tokens"} {
			delete(members, name)
		}
	}
	for outer, inner := range map[string]string{"stream_options": "include_usage", "parameters": "max_tokens"} {
		value, present := members[outer]
		object, _ := value.(map[string]any)
		delete(object, inner)
		if present && len(object) == 0 && (value == nil || object != nil) {
			delete(members, outer)
		}
	}
	return members
}
