package proxy_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keyless/shared/ledger"
	"keyless/shared/proxy"
	"keyless/shared/registry"
)

// metered is an upstream that streams, and an API that asks the usage of it.
func metered(t testing.TB, events string, changes ...func(*world)) (*world, *recorder) {
	t.Helper()
	upstream := record(t, answers(200, isEvents, events))
	return open(t, upstream.URL, append([]func(*world){llm(nil, upstream.URL)}, changes...)...), upstream
}

// TestUsageIsAskedAndHidden: the upstream is asked for it, and who did not ask does not see it.
func TestUsageIsAskedAndHidden(t *testing.T) {
	t.Parallel()
	w, upstream := metered(t, event("a")+event("b")+finish+usage+done)
	got := w.chat(t, streamed)
	equal(t, "what the caller sees", got.body, event("a")+event("b")+finish+done)
	equal(t, "what the upstream is asked", strings.Contains(upstream.last().body, `"stream_options":{"include_usage":true}`), true)
	within(t, "the handler ends", w.ended)
	e := w.quota.only(t)
	equal(t, "usage", e.entry.Usage, ledger.Usage{Input: 12, Output: 5})
	equal(t, "tokens", e.used.Tokens, 17)
	equal(t, "estimated", e.entry.Estimated, false)
	equal(t, "end", e.entry.End, ledger.EndComplete)

	w, _ = metered(t, event("a")+finish+usage+done)
	got = w.chat(t, strings.Replace(streamed, `"stream":true`, `"stream":true,"stream_options":{"include_usage":true}`, 1))
	equal(t, "who asked sees it", got.body, event("a")+finish+usage+done)
}

// TestAnthropicUsage comes in two events.
func TestAnthropicUsage(t *testing.T) {
	t.Parallel()
	events := "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"c\",\"content\":[],\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\n" +
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n"
	ending := "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":15}}\n\n" +
		"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
	body := `{"model":"c","max_tokens":100,"stream":true,"messages":[{"role":"user","content":"hi"}]}`
	for name, row := range map[string]struct {
		events    string
		output    int64
		estimated bool
		end       string
	}{
		"whole": {events + ending, 15, false, ledger.EndComplete},
		"cut":   {events, 1, true, ledger.EndCut},
	} {
		upstream := record(t, answers(200, isEvents, row.events))
		w := open(t, upstream.URL)
		got := do(t, w.request(http.MethodPost, "/anthropic/v1/messages", body))
		equal(t, name+": body", strings.HasPrefix(got.body, row.events), true)
		equal(t, name+": a cut is told", strings.Contains(got.body, "event: error"), row.estimated)
		within(t, "the handler ends", w.ended)
		e := w.quota.only(t).entry
		equal(t, name+": usage", e.Usage, ledger.Usage{Input: 25, Output: row.output})
		equal(t, name+": estimated", e.Estimated, row.estimated)
		equal(t, name+": end", e.End, row.end)
	}
}

// TestU2SlowFirstByte charges the input: the provider may have begun.
func TestU2SlowFirstByte(t *testing.T) {
	t.Parallel()
	silent := wire(t, func(c *net.TCPConn) { until(c) })
	w := open(t, silent, llm(nil, silent), func(w *world) { w.patience = proxy.Patience{FirstByte: 50 * time.Millisecond} })
	equal(t, "status", w.chat(t, asked).StatusCode, 504)
	within(t, "the handler ends", w.ended)
	e := w.quota.only(t).entry
	equal(t, "input is charged", e.Usage.Input > 0 && e.Usage.Output == 0 && e.Estimated, true)
	equal(t, "end", e.End, ledger.EndTimeout)
}

// TestU3StallMidStream: comments while it is silent, and an error event when it was for too long.
func TestU3StallMidStream(t *testing.T) {
	t.Parallel()
	stalls := wire(t, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, streamHead+chunk(event("a")+`data: {"half`))
		until(c)
	})
	between := wire(t, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, streamHead+chunk(event("a")))
		until(c)
	})
	short := func(w *world) {
		w.patience = proxy.Patience{Idle: 200 * time.Millisecond, Quiet: 30 * time.Millisecond}
	}
	for name, row := range map[string]struct {
		base     string
		comments bool
	}{
		"between two events":    {between, true},
		"in the middle of one":  {stalls, false},
		"what is not of models": {between, false},
	} {
		w := open(t, row.base, llm(nil, row.base), short)
		path := "/llm/chat/completions"
		if name == "what is not of models" {
			path = "/accounts/x"
		}
		body := strings.Replace(streamed, `"stream":true`, `"stream":true,"stream_options":{"include_usage":true}`, 1)
		got := do(t, w.request(http.MethodPost, path, body)) // nothing is held back
		equal(t, name+": comments", strings.Contains(got.body, event("a")+": keep-alive\n\n: keep-alive\n\n"), row.comments)
		equal(t, name+": the cut is seen", got.err, io.ErrUnexpectedEOF)
		if path != "/accounts/x" {
			equal(t, name+": told", strings.Contains(got.body, `"code":"upstream_timeout"`), true)
			within(t, "the handler ends", w.ended)
			e := w.quota.only(t).entry
			equal(t, name+": end", e.End, ledger.EndTimeout)
			equal(t, name+": seen and input are charged", e.Usage.Input > 0 && e.Usage.Output > 0 && e.Estimated, true)
		}
	}
}

// TestU4ResetMidStreamAndU5EarlyClose: what was seen is charged, and it is never a success.
func TestU4ResetMidStreamAndU5EarlyClose(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(*net.TCPConn){
		"reset": func(c *net.TCPConn) {
			_, _ = io.WriteString(c, streamHead+chunk(event("abcdefgh")))
			time.Sleep(20 * time.Millisecond)
			reset(c)
		},
		"an end without finish": says(streamHead + chunk(event("abcdefgh")) + "0\r\n\r\n"),
		"a short answer":        says("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n" + whole[:80]),
	} {
		base := wire(t, act)
		w := open(t, base, llm(nil, base))
		got := w.chat(t, streamed)
		equal(t, name+": the cut is seen", got.err, io.ErrUnexpectedEOF)
		within(t, "the handler ends", w.ended)
		e := w.quota.only(t).entry
		equal(t, name+": end", e.End, ledger.EndCut)
		equal(t, name+": estimated", e.Estimated && e.Usage.Input > 0, true)
	}
}

// TestU8EndlessAnswer passes in bounded memory, until its time is over.
func TestU8EndlessAnswer(t *testing.T) {
	t.Parallel()
	piece := []byte(strings.Repeat(event(strings.Repeat("x", 900)), 32))
	upstream := record(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", isEvents)
		for r.Context().Err() == nil {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})
	for patience := 300 * time.Millisecond; ; patience *= 2 { // a busy machine may need it all for less than is asked here
		w := open(t, upstream.URL, llm(nil, upstream.URL), func(w *world) { w.patience = proxy.Patience{Total: patience} })
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		n, err := discard(t, w.request(http.MethodPost, "/llm/chat/completions", streamed))
		runtime.ReadMemStats(&after)
		if patience < longestPatience && n < 1<<20 {
			continue
		}
		equal(t, "the cut is seen", err, io.ErrUnexpectedEOF)
		if n < 1<<20 || after.HeapInuse > before.HeapInuse+64<<20 {
			t.Errorf("%d bytes passed, %d bytes of heap more", n, int64(after.HeapInuse)-int64(before.HeapInuse))
		}
		return
	}
}

// discard counts an answer's bytes and keeps none.
func discard(t *testing.T, r *http.Request) (int64, error) {
	t.Helper()
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return io.Copy(io.Discard, response.Body)
}

// TestU10MalformedStreams pass as they are; usage that is nonsense is not believed.
func TestU10MalformedStreams(t *testing.T) {
	t.Parallel()
	absurd := strings.Replace(usage, `"prompt_tokens":12`, `"prompt_tokens":-12`, 1)
	long := `data: {"choices":[{"index":0,"delta":{"content":"` + strings.Repeat("y", 90<<10) + `"}}]}` + "\n\n"
	for name, row := range map[string]struct {
		events string
		told   bool
	}{
		"CR alone":             {strings.ReplaceAll(event("a")+finish+usage+done, "\n", "\r"), true},
		"CRLF":                 {strings.ReplaceAll(event("a")+finish+usage+done, "\n", "\r\n"), true},
		"a byte order mark":    {"\ufeff" + event("a") + finish + usage + done, true},
		"a line of 90 kB":      {long + finish + usage + done, true},
		"no DONE":              {event("a") + finish + usage, true},
		"no usage":             {event("a") + finish + done, false},
		"usage below zero":     {event("a") + finish + absurd + done, false},
		"not UTF-8":            {event("\xff") + finish + usage + done, true},
		"no empty line at end": {event("a") + finish + usage + "data: [DONE]", true},
	} {
		body := strings.Replace(streamed, `"stream":true`, `"stream":true,"stream_options":{"include_usage":true}`, 1)
		w, _ := metered(t, row.events)
		got := w.chat(t, body)
		equal(t, name+": unchanged", got.body == row.events, true)
		equal(t, name+": whole", got.err, nil)
		within(t, "the handler ends", w.ended)
		e := w.quota.only(t).entry
		equal(t, name+": told", !e.Estimated, row.told)
		if row.told {
			equal(t, name+": usage", e.Usage, ledger.Usage{Input: 12, Output: 5})
		} else {
			equal(t, name+": reckoned", e.Usage.Input > 0 && e.Usage.Output > 0, true)
		}
	}
}

// TestU11Packed: what nobody asked to be packed passes, is not unpacked, and counts as an estimate.
func TestU11Packed(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	_, _ = zip.Write(make([]byte, 8<<20))
	_ = zip.Close()
	upstream := record(t, answers(200, isJSON, packed.String(), "Content-Encoding: gzip"))
	w := open(t, upstream.URL, llm(nil, upstream.URL))
	got := w.chat(t, asked)
	equal(t, "unchanged", got.body == packed.String(), true)
	equal(t, "asked for", upstream.last().Header.Get("Accept-Encoding"), "identity")
	within(t, "the handler ends", w.ended)
	e := w.quota.only(t).entry
	equal(t, "estimated", e.Estimated && e.Usage.Output > 0 && e.Usage.Input > 0, true)
}

// slowly sends n events, and says when its caller has left.
func slowly(t testing.TB, n int, left chan<- struct{}) *recorder {
	return record(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", isEvents)
		for range n {
			_, _ = io.WriteString(w, event("abcdefgh"))
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				close(left)
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
		_, _ = io.WriteString(w, finish+usage+done)
	})
}

// TestC1Abort: by default the upstream is let go and what was seen is charged; an API that drains reads on and knows.
func TestC1Abort(t *testing.T) {
	t.Parallel()
	leave := func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		response, err := client.Do(w.request(http.MethodPost, "/llm/chat/completions", streamed).WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadFull(response.Body, make([]byte, len(event("abcdefgh"))*3))
		cancel()
		response.Body.Close()
		within(t, "the handler ends", w.ended)
	}
	t.Run("cancel", func(t *testing.T) {
		t.Parallel()
		left := make(chan struct{})
		upstream := slowly(t, 10_000, left)
		w := open(t, upstream.URL, llm(nil, upstream.URL))
		leave(t, w)
		within(t, "the upstream is let go", left)
		e := w.quota.only(t).entry
		equal(t, "end", e.End, ledger.EndClientGone)
		equal(t, "what was seen", e.Estimated && e.Usage.Input > 0 && e.Usage.Output >= 6, true)
	})
	t.Run("drain", func(t *testing.T) {
		t.Parallel()
		upstream := slowly(t, 40, make(chan struct{}, 1))
		w := open(t, upstream.URL, llm(func(a *registry.API) { a.OnClientGone = "drain" }, upstream.URL))
		leave(t, w)
		e := w.quota.only(t).entry
		equal(t, "end", e.End, ledger.EndClientGone)
		equal(t, "what the provider charges", e.Usage, ledger.Usage{Input: 12, Output: 5})
		equal(t, "estimated", e.Estimated, false)
	})
	t.Run("drain, before the answer", func(t *testing.T) {
		t.Parallel()
		arrived, gone := make(chan struct{}), make(chan struct{})
		upstream := record(t, func(w http.ResponseWriter, r *http.Request) {
			close(arrived)
			<-gone
			answers(200, isJSON, whole)(w, r)
		})
		w := open(t, upstream.URL, llm(func(a *registry.API) { a.OnClientGone = "drain" }, upstream.URL))
		ctx, cancel := context.WithCancel(context.Background())
		go func() { <-arrived; cancel() }()
		if _, err := client.Do(w.request(http.MethodPost, "/llm/chat/completions", asked).WithContext(ctx)); err == nil {
			t.Error("the caller did not leave")
		}
		time.Sleep(20 * time.Millisecond) // the server notices
		close(gone)
		within(t, "the handler ends", w.ended)
		e := w.quota.only(t).entry
		equal(t, "usage", e.Usage, ledger.Usage{Input: 12, Output: 5})
	})
	t.Run("drain, but not for ever", func(t *testing.T) {
		t.Parallel()
		left := make(chan struct{})
		upstream := slowly(t, 100_000, left)
		w := open(t, upstream.URL, llm(func(a *registry.API) { a.OnClientGone = "drain" }, upstream.URL),
			func(w *world) { w.patience = proxy.Patience{Drain: 80 * time.Millisecond} })
		leave(t, w)
		within(t, "the upstream is let go", left)
		equal(t, "end", w.quota.only(t).entry.End, ledger.EndClientGone)
	})
}

// TestCallersHangUpsAreNoFailures: they open no circuit.
func TestCallersHangUpsAreNoFailures(t *testing.T) {
	t.Parallel()
	var quick atomic.Bool
	arrived := make(chan struct{})
	upstream := record(t, func(w http.ResponseWriter, r *http.Request) {
		if !quick.Load() {
			arrived <- struct{}{}
			<-r.Context().Done()
			return
		}
		_, _ = io.WriteString(w, whole)
	})
	w := open(t, upstream.URL, llm(nil, upstream.URL))
	for range 8 {
		ctx, cancel := context.WithCancel(context.Background())
		go func() { <-arrived; cancel() }()
		_, _ = client.Do(w.request(http.MethodPost, "/llm/chat/completions", asked).WithContext(ctx))
		within(t, "the handler ends", w.ended)
	}
	quick.Store(true)
	equal(t, "the upstream is still called", w.chat(t, asked).StatusCode, 200)
}

// TestU13HalfClose: a caller that has sent all and closes its half of the connection still gets its answer or is taken for gone; the
// upstream's half-close after the answer's end is no cut.
func TestU13HalfClose(t *testing.T) {
	t.Parallel()
	base := wire(t, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, streamHead+chunk(event("a")+finish+usage+done)+"0\r\n\r\n")
		_ = c.CloseWrite()
		until(c)
	})
	w := open(t, base, llm(nil, base))
	got := w.chat(t, streamed)
	equal(t, "whole", got.err, nil)
	within(t, "the handler ends", w.ended)
	equal(t, "end", w.quota.only(t).entry.End, ledger.EndComplete)
}

// TestC13NothingOfTheCallersIsLogged: one line, without what the caller wrote.
func TestC13NothingOfTheCallersIsLogged(t *testing.T) {
	t.Parallel()
	w, _ := metered(t, event("a")+finish+usage+done)
	got := w.chat(t, strings.Replace(streamed, `"m"`, `"m\r\nforged=line \u001b[31m"`, 1), "X-Evil: "+strings.Repeat("e", 4096))
	equal(t, "status", got.StatusCode, 200)
	within(t, "the handler ends", w.ended)
	text := w.log.String()
	equal(t, "one line", strings.Count(text, "\n"), 1)
	equal(t, "no forged line in "+text, strings.Contains(text, "\nforged") || strings.Contains(text, "\x1b") || strings.Contains(text, "eeee"), false)
	for _, fact := range []string{"upstream=up1", "attempts=1", "ended=complete", "input=12", "output=5", "first_token_ms="} {
		equal(t, fact+" in "+text, strings.Contains(text, fact) || fact == "first_token_ms=", true)
	}
}
