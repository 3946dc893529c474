package proxy_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyless/shared/ledger"
	"keyless/shared/registry"
)

const (
	wholeMessage = `{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[{"type":"text","text":"good day"}],` +
		`"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":11,"output_tokens":4}}`
	messageStart = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\"," +
		"\"model\":\"claude\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":11,\"output_tokens\":1}}}\n\n" +
		"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n" +
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"good\"}}\n\n"
	messageStop = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n" +
		"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":4}}\n\n" +
		"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
	askedMessage = `{"model":"m","max_tokens":50,"messages":[{"role":"user","content":"hello there"}]}`
)

// TestAcross: a call of one dialect reaches an upstream of the other, and its answer is the caller's.
func TestAcross(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		protocol, path, body, kind, answer string
		status                             int
		upPath, header                     string
		sent, got                          []string // parts
		usage                              ledger.Usage
	}{
		"chat to Anthropic": {"anthropic ", "/chat/completions", asked, isJSON, wholeMessage, 200, "/v1/messages", "Anthropic-Version",
			[]string{`"max_tokens":4096`, `hello there`}, []string{`"choices":[`, `good day`, `"prompt_tokens":11`}, ledger.Usage{Input: 11, Output: 4}},
		"chat to Anthropic, streamed": {"anthropic ", "/chat/completions", streamed, isEvents, messageStart + messageStop, 200, "/v1/messages", "",
			[]string{`"stream":true`}, []string{`chat.completion.chunk`, `"content":"good"`, "data: [DONE]\n\n"}, ledger.Usage{Input: 11, Output: 4}},
		"messages to OpenAI": {"", "/v1/messages", askedMessage, isJSON, whole, 200, "/v1/chat/completions", "",
			[]string{`hello there`, `50`}, []string{`"type":"message"`, `good day`, `"input_tokens":12`}, ledger.Usage{Input: 12, Output: 5}},
		"messages to OpenAI, streamed": {"", "/v1/messages", strings.Replace(askedMessage, `"max`, `"stream":true,"max`, 1), isEvents,
			event("good") + finish + usage + done, 200, "/v1/chat/completions", "", []string{`"include_usage":true`},
			[]string{"event: message_start", `"text":"good"`, "event: message_stop"}, ledger.Usage{Input: 12, Output: 5}},
		"an error": {"anthropic ", "/chat/completions", asked, isJSON, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`,
			529, "/v1/messages", "", nil, []string{`{"error":{`, `Overloaded`}, ledger.Usage{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := record(t, answers(row.status, row.kind, row.answer))
			w := open(t, upstream.URL, llm(nil, row.protocol+upstream.URL))
			got := do(t, w.request(http.MethodPost, "/llm"+row.path, row.body))
			equal(t, "status of "+got.body, got.StatusCode, row.status)
			equal(t, "whole", got.err, nil)
			seen := upstream.last()
			equal(t, "path", seen.URL.Path, row.upPath)
			equal(t, "header", row.header == "" || seen.Header.Get(row.header) != "", true)
			for _, part := range row.sent {
				equal(t, part+" in "+seen.body, strings.Contains(seen.body, part), true)
			}
			for _, part := range row.got {
				equal(t, part+" in "+got.body, strings.Contains(got.body, part), true)
			}
			within(t, "the handler ends", w.ended)
			e := w.quota.only(t).entry
			equal(t, "usage", e.Usage, row.usage)
			equal(t, "estimated", e.Estimated, false)
		})
	}
}

// TestAcrossIsRefusedBeforeAnythingIsSent where the other dialect has no equal, and passed over where another upstream can.
func TestAcrossIsRefusedBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	own, other := record(t, answers(200, isJSON, whole)), record(t, answers(200, isJSON, wholeMessage))
	strange := strings.Replace(asked, `"model"`, `"logprobs":true,"top_logprobs":3,"model"`, 1)
	for path, body := range map[string]string{"/chat/completions": strange, "/embeddings": `{"model":"m","input":"x"}`, "/responses": `{"model":"m","input":"x"}`} {
		w := open(t, own.URL, llm(nil, "anthropic "+other.URL))
		got := do(t, w.request(http.MethodPost, "/llm"+path, body))
		equal(t, path+" "+got.body, got.StatusCode, 400)
		equal(t, path+": counted", w.quota.admitted(), 0)
		equal(t, path+": went up", other.count(), 0)
		w = open(t, own.URL, llm(nil, "anthropic "+other.URL, own.URL))
		equal(t, path+" at another", do(t, w.request(http.MethodPost, "/llm"+path, body)).StatusCode, 200)
	}
	equal(t, "the own dialect took them", own.count(), 3)
}

// TestFailoverAcross: from one provider's dialect to the other's, in one answer of the caller's.
func TestFailoverAcross(t *testing.T) {
	t.Parallel()
	first := record(t, answers(200, isEvents, `data: {"error":{"message":"overloaded","type":"server_error"}}`+"\n\n"))
	second := record(t, answers(200, isEvents, messageStart+messageStop))
	w := open(t, first.URL, llm(func(a *registry.API) {
		retrying(2, 500)(a)
		a.Upstreams[1].Models = map[string]string{"*": "claude-haiku"}
	}, first.URL, "anthropic "+second.URL))
	got := w.chat(t, streamed)
	equal(t, "whole", got.err, nil)
	equal(t, "the second's content in "+got.body, strings.Contains(got.body, `"content":"good"`), true)
	equal(t, "nothing of the first", strings.Contains(got.body, "overloaded"), false)
	equal(t, "the model there", strings.Contains(second.last().body, `"model":"claude-haiku"`), true)
	within(t, "the handler ends", w.ended)
	e := w.quota.only(t).entry
	equal(t, "models", e.Model+" "+e.UpstreamModel, "m claude-haiku")
	equal(t, "attempts", e.Attempts, 2)
}

// TestAcrossCut looks cut in the caller's dialect too.
func TestAcrossCut(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(*net.TCPConn){
		"a reset": func(c *net.TCPConn) {
			_, _ = io.WriteString(c, streamHead+chunk(messageStart))
			time.Sleep(20 * time.Millisecond)
			reset(c)
		},
		"an end without its end": says(streamHead + chunk(messageStart) + "0\r\n\r\n"),
	} {
		base := wire(t, act)
		w := open(t, base, llm(nil, "anthropic "+base))
		got := w.chat(t, streamed)
		equal(t, name+": seen", got.err, io.ErrUnexpectedEOF)
		equal(t, name+": told in "+got.body, strings.Contains(got.body, `"code":"upstream_broken"`), true)
		equal(t, name+": never well ended", strings.Contains(got.body, "[DONE]"), false)
		within(t, "the handler ends", w.ended)
		equal(t, name+": end", w.quota.only(t).entry.End, ledger.EndCut)
	}
}
