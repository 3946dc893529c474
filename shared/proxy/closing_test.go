package proxy_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyless/shared/ledger"
	"keyless/shared/proxy"
	"keyless/shared/registry"
)

// pausing sends the first half of an answer, waits until its reader has left, and sends the rest.
func pausing(t testing.TB, kind, first string, rest func(w http.ResponseWriter, r *http.Request)) *recorder {
	return record(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, first)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-time.After(100 * time.Millisecond):
		}
		rest(w, r)
	})
}

// leaveAfter reads so much of an answer, and leaves.
func leaveAfter(t *testing.T, w *world, r *http.Request, seen int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	response, err := client.Do(r.WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(response.Body, make([]byte, seen)); err != nil {
		t.Fatal(err)
	}
	cancel()
	response.Body.Close()
	within(t, "the handler ends", w.ended)
}

// TestM2UsageAfterTheFinish: who leaves between the finish and the usage is charged what was used, though the API cancels.
func TestM2UsageAfterTheFinish(t *testing.T) {
	t.Parallel()
	const claude = `{"model":"c","max_tokens":100,"stream":true,"messages":[{"role":"user","content":"hi"}]}`
	begin := "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":12,\"output_tokens\":1}}}\n\n" +
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n"
	stop := "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":5}}\n\n"
	items := "data: {\"type\":\"response.output_text.delta\",\"delta\":\"hi\"}\n\ndata: {\"type\":\"response.output_text.done\",\"text\":\"hi\"}\n\n"
	complete := "data: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":12,\"output_tokens\":5}}}\n\n"
	cut := strings.Index(whole, `"usage"`)
	for name, row := range map[string]struct {
		path, body, kind, first, rest string
		estimated                     bool
	}{
		"a chat":                      {"/llm/chat/completions", streamed, isEvents, event("a") + finish, usage + done, false},
		"a chat that is not finished": {"/llm/chat/completions", streamed, isEvents, event("a"), finish + usage + done, true},
		"messages":                    {"/llm/v1/messages", claude, isEvents, begin + stop, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", false},
		"messages, not stopped":       {"/llm/v1/messages", claude, isEvents, begin, stop, true},
		"a response":                  {"/llm/responses", `{"model":"m","stream":true,"input":"x"}`, isEvents, items, complete, false},
		"a whole answer":              {"/llm/chat/completions", asked, isJSON, whole[:cut], whole[cut:], false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := pausing(t, row.kind, row.first, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, row.rest) })
			base := upstream.URL
			if strings.HasSuffix(row.path, "/messages") {
				base = "anthropic " + base
			}
			w := open(t, upstream.URL, llm(nil, base))
			leaveAfter(t, w, w.request(http.MethodPost, row.path, row.body), len(row.first)-len(row.first)/4)
			e := w.quota.only(t).entry
			equal(t, "end", e.End, ledger.EndClientGone)
			equal(t, "estimated", e.Estimated, row.estimated)
			if !row.estimated {
				equal(t, "usage", e.Usage, ledger.Usage{Input: 12, Output: 5})
				equal(t, "the line says why", strings.Contains(w.log.String(), "reason=client_gone"), true)
			}
		})
	}
}

// TestM2NotForEver: what is read on for the usage is bounded in time and in bytes.
func TestM2NotForEver(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		patience proxy.Patience
		goesOn   string
	}{
		"silence":         {proxy.Patience{Closing: 250 * time.Millisecond}, ""},
		"more than usage": {proxy.Patience{Closing: time.Minute}, event(strings.Repeat("x", 1000))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			left := make(chan struct{})
			upstream := pausing(t, isEvents, event("a")+finish, func(w http.ResponseWriter, r *http.Request) {
				for r.Context().Err() == nil {
					_, _ = io.WriteString(w, row.goesOn)
					_ = http.NewResponseController(w).Flush()
					time.Sleep(time.Millisecond)
				}
				close(left)
			})
			w := open(t, upstream.URL, llm(func(a *registry.API) { a.OnClientGone = "cancel" }, upstream.URL),
				func(w *world) { w.patience = row.patience })
			leaveAfter(t, w, w.request(http.MethodPost, "/llm/chat/completions", streamed), len(event("a")+finish))
			within(t, "the upstream is let go", left)
			e := w.quota.only(t).entry
			equal(t, "an estimate", e.Estimated && e.End == ledger.EndClientGone && e.Usage.Input > 0, true)
		})
	}
}
