package meter_test

import (
	"bytes"
	"runtime"
	"strings"
	"testing"

	"keyless/shared/proxy/meter"
)

const benchEvent = `data: {"id":"chatcmpl-AZ1","object":"chat.completion.chunk","created":1764100000,"model":"gpt-4o-mini-2024-07-18",` +
	`"service_tier":"default","system_fingerprint":"fp_0705bf87c0","choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,` +
	`"finish_reason":null}],"usage":null,"obfuscation":"kX3"}` + "\n\n"

// The floor of the next three: the event's bytes, copied once.
func BenchmarkEventFloor(b *testing.B) {
	event, out := []byte(benchEvent), make([]byte, len(benchEvent))
	b.SetBytes(int64(len(event)))
	b.ReportAllocs()
	for b.Loop() {
		copy(out, event)
	}
}

func BenchmarkEvent(b *testing.B) {
	for name, how := range map[string]meter.Following{
		"shown":  {Kind: meter.Chat, Events: true},
		"hiding": {Kind: meter.Chat, Events: true, HideUsage: true},
		"opaque": {Kind: meter.Opaque, Events: true},
	} {
		b.Run(name, func(b *testing.B) {
			event, m := []byte(benchEvent), meter.New(how)
			b.SetBytes(int64(len(event)))
			b.ReportAllocs()
			for b.Loop() {
				m.Feed(event)
			}
		})
	}
}

func BenchmarkReadLargePrompt(b *testing.B) {
	body := largePrompt()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, refusal := meter.Read(meter.Chat, nil, body); refusal != "" {
			b.Fatal(refusal)
		}
	}
}

// largePrompt has ten megabytes of text, with an escape now and then.
func largePrompt() []byte {
	text := strings.Repeat(`The quick brown fox jumps over the lazy dog, and says: \"hello\".\n`, 10<<20/66)
	return []byte(`{"model":"m","stream":true,"messages":[{"role":"user","content":"` + text + `"}]}`)
}

func TestReadCopiesNothingOfALargePrompt(t *testing.T) {
	body := largePrompt()
	allocated := testing.AllocsPerRun(3, func() { _, _ = meter.Read(meter.Chat, nil, body) })
	if allocated > 20 {
		t.Fatalf("%v allocations", allocated)
	}
	if got := grown(func() { _, _ = meter.Read(meter.Chat, nil, body) }); got > 64<<10 {
		t.Fatalf("%d bytes for a body of %d", got, len(body))
	}
}

// grown is how many bytes f allocates, those of others in the process with them.
func grown(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestFollowNeedsNoMoreMemoryForALargeAnswer(t *testing.T) {
	for what, row := range map[string]struct {
		how           meter.Following
		begin, repeat string
		most          uint64
	}{
		"images":             {meter.Following{Kind: meter.Images}, `{"data":[{"b64_json":"`, "iVBORw0K", 64 << 10},
		"a stream":           {meter.Following{Kind: meter.Chat, Events: true, HideUsage: true}, "", benchEvent, 64 << 10},
		"one endless line":   {meter.Following{Kind: meter.Chat, Events: true, HideUsage: true}, "data: {\"x\":\"", "y", 8 << 20},
		"many members":       {meter.Following{Kind: meter.Chat}, `{`, `"usage":{"prompt_tokens":1},`, 64 << 10},
		"a name without end": {meter.Following{Kind: meter.Chat}, `{"`, "x", 64 << 10},
		"a number":           {meter.Following{Kind: meter.Chat}, `{"usage":{"prompt_tokens":`, "1", 64 << 10},
		"a field":            {meter.Following{Kind: meter.Chat, Events: true}, "", "data", 64 << 10},
		"an event's name":    {meter.Following{Kind: meter.Chat, Events: true}, "event: ", "x", 64 << 10},
		"arrays in arrays":   {meter.Following{Kind: meter.Chat}, `{"a":`, "[", 64 << 10},
	} {
		pieces := 16 // eight times the bound
		if row.most > 1<<20 {
			pieces = 64 // twice what is held
		}
		piece := bytes.Repeat([]byte(row.repeat), 32<<10/len(row.repeat))
		m := meter.New(row.how)
		if got := grown(func() {
			m.Feed([]byte(row.begin))
			for range pieces {
				m.Feed(piece)
			}
		}); got > row.most {
			t.Errorf("%s: %d bytes for %d pieces of 32 KiB", what, got, pieces)
		}
	}
}
