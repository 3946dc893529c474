package tests

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// model is an upstream that speaks OpenAI's chat completions and keeps its own books, so that what the gateway counts can be compared.
// The last message says how it behaves: "<how> <prompt tokens> <completion tokens>", where how is one of
//
//	plain    one JSON answer
//	stream   an answer of many chunks, with usage where it was asked for
//	slow     a stream with a pause of 20 ms between chunks
//	linger   a stream with a pause of half a second between chunks
//	hang     a stream that stops in the middle, until the caller is gone
//	cut      a stream whose connection is closed in the middle
//	lie      one JSON answer that tells twice the prompt that it was sent
//	silent   one JSON answer without usage
//	fail     500
type model struct {
	*httptest.Server
	mu   sync.Mutex
	used map[string]int64 // what it told, by the gateway's request id
	seen map[string]int   // how often a request came
}

func newModel(t *testing.T) *model {
	t.Helper()
	m := &model{used: map[string]int64{}, seen: map[string]int{}}
	m.Server = httptest.NewServer(m)
	t.Cleanup(m.Close)
	return m
}

func (m *model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var in struct {
		Model         string
		Stream        bool
		StreamOptions struct {
			IncludeUsage bool `json:"include_usage"`
		} `json:"stream_options"`
		Messages []struct{ Content string }
	}
	if json.Unmarshal(body, &in) != nil || len(in.Messages) == 0 {
		http.Error(w, "not a chat completion", http.StatusBadRequest)
		return
	}
	var how string
	var prompt, completion int64
	if _, err := fmt.Sscan(in.Messages[len(in.Messages)-1].Content, &how, &prompt, &completion); err != nil {
		how, prompt, completion = "plain", 1, 1
	}
	id := r.Header.Get("X-Request-Id")
	m.mu.Lock()
	m.seen[id]++
	m.mu.Unlock()
	if how == "lie" {
		prompt *= 2
	}
	usage := fmt.Sprintf(`{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}`, prompt, completion, prompt+completion)
	switch how {
	case "fail":
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, `{"error":{"message":"the model is down","type":"server_error","code":null}}`)
		return
	case "silent":
		usage = "null"
	}
	if !in.Stream {
		m.tell(id, prompt+completion)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":"c","object":"chat.completion","model":%q,"choices":[{"index":0,"message":{"role":"assistant","content":"%s"},`+
			`"finish_reason":"stop"}],"usage":%s}`, in.Model, strings.Repeat("word ", int(completion)), usage)
		return
	}
	m.stream(w, r, how, in.Model, id, usage, in.StreamOptions.IncludeUsage, prompt, completion)
}

func (m *model) stream(w http.ResponseWriter, r *http.Request, how, name, id, usage string, tell bool, prompt, completion int64) {
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w).Flush
	for i := range completion {
		if _, err := fmt.Fprintf(w, "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":%q,\"choices\":[{\"index\":0,"+
			"\"delta\":{\"content\":\"word \"},\"finish_reason\":null}]}\n\n", name); err != nil || flush() != nil {
			return
		}
		pause := map[string]time.Duration{"slow": 20 * time.Millisecond, "linger": 500 * time.Millisecond}[how]
		switch {
		case pause > 0:
			select {
			case <-r.Context().Done():
				return
			case <-time.After(pause):
			}
		case how == "hang" && i == completion/2:
			<-r.Context().Done()
			return
		case how == "cut" && i == completion/2:
			panic(http.ErrAbortHandler)
		}
	}
	fmt.Fprint(w, "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n")
	if tell {
		fmt.Fprintf(w, "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":%s}\n\n", usage)
	}
	m.tell(id, prompt+completion)
	fmt.Fprint(w, "data: [DONE]\n\n")
	_ = flush()
}

func (m *model) tell(id string, tokens int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used[id] += tokens
}

// told is what it told for a request.
func (m *model) told(id string) (int64, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	tokens, there := m.used[id]
	return tokens, there
}

// chatBody is a request that makes the model behave.
func chatBody(how string, prompt, completion int, more string) string {
	stream := how != "plain" && how != "lie" && how != "silent" && how != "fail"
	return fmt.Sprintf(`{"model":"m","stream":%t,"messages":[{"role":"user","content":"%s %d %d"}]%s}`, stream, how, prompt, completion, more)
}
