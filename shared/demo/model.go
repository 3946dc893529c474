// Package demo is what the gateway is shown with: a model that answers at once and costs nothing, and a small
// backend that signs its own tokens. Both stand on loopback behind the gateway in `make run`, and serve as
// upstreams in tests, so that the whole flow works without a provider's account.
//
// How a request meets it: as the upstream. The model tells which X-Consumer it saw, so that one look at an
// answer says whether the gateway knew the caller. The wire is OpenAI's Chat Completions API
// (https://platform.openai.com/docs/api-reference/chat); the tokens are RFC 7519, HS256.
package demo

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// maxBody bounds a request of the model: more than any conversation that is typed by hand.
	maxBody = 1 << 20
	// maxEcho bounds what an answer repeats of the question, in bytes.
	maxEcho = 1000
	// pause stands between two words of a stream, so that a person sees it stream.
	pause = 20 * time.Millisecond
)

// Model answers POST /v1/chat/completions, streamed or not, and GET /v1/models, for callers that bring
// "Authorization: Bearer <apiKey>". It answers for every model's name; the answer is the same for the same
// question. Safe for concurrent use.
func Model(apiKey string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		allow, answer := http.MethodPost, complete
		switch r.URL.Path {
		case "/v1/chat/completions":
		case "/v1/models":
			allow, answer = http.MethodGet, listModels
		default:
			refuse(w, http.StatusNotFound, "not_found", "Unknown request URL.")
			return
		}
		sent := "Bearer " + apiKey
		switch {
		case r.Method != allow:
			w.Header().Set("Allow", allow)
			refuse(w, http.StatusMethodNotAllowed, "method_not_allowed", "Use "+allow+".")
		case apiKey == "" || subtle.ConstantTimeCompare([]byte(sent), []byte(r.Header.Get("Authorization"))) != 1:
			refuse(w, http.StatusUnauthorized, "invalid_api_key", "Incorrect API key provided.")
		default:
			answer(w, r)
		}
	})
}

// listModels names the one model that there is.
func listModels(w http.ResponseWriter, _ *http.Request) {
	model := map[string]any{"id": "demo", "object": "model", "created": 0, "owned_by": "keyless"}
	writeJSON(w, http.StatusOK, map[string]any{"object": "list", "data": []any{model}})
}

// complete answers a conversation.
func complete(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuse(w, http.StatusBadRequest, "invalid_body", "The body could not be read, or is over 1 MiB.")
		return
	}
	question, fault := parse(body)
	if fault != "" {
		refuse(w, http.StatusBadRequest, "invalid_request", fault)
		return
	}
	consumer := r.Header.Get("X-Consumer")
	if consumer == "" {
		consumer = "unknown"
	}
	reply := "Hello! You are consumer " + cut(consumer) + ". You said: " + cut(question.said)
	answer := completion{
		ID: "chatcmpl-" + rand.Text(), Object: "chat.completion", Created: time.Now().Unix(), Model: question.model,
	}
	asked, answered := question.words, len(strings.Fields(reply))
	used := &usage{asked, answered, asked + answered}
	if question.stream {
		stream(w, r, answer, reply, used, question.includeUsage)
		return
	}
	answer.Usage = used
	answer.Choices = []choice{{Message: &message{"assistant", reply}, FinishReason: stop()}}
	writeJSON(w, http.StatusOK, answer)
}

// stream sends the answer as server-sent events, a word each, until it is complete or the client is gone.
func stream(w http.ResponseWriter, r *http.Request, chunk completion, reply string, used *usage, tell bool) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	chunk.Object = "chat.completion.chunk"
	deltas := []choice{{Delta: map[string]string{"role": "assistant", "content": ""}}}
	for word := range strings.SplitAfterSeq(reply, " ") {
		deltas = append(deltas, choice{Delta: map[string]string{"content": word}})
	}
	deltas = append(deltas, choice{Delta: map[string]string{}, FinishReason: stop()})
	for i, delta := range deltas {
		chunk.Choices = []choice{delta}
		if (i > 0 && !wait(r)) || !send(w, chunk) {
			return
		}
	}
	if tell {
		chunk.Choices, chunk.Usage = []choice{}, used
		if !send(w, chunk) {
			return
		}
	}
	_, _ = io.WriteString(w, "data: [DONE]\n\n")
}

// wait pauses between two words, and says whether the client is still there.
func wait(r *http.Request) bool {
	select {
	case <-r.Context().Done():
		return false
	case <-time.After(pause):
		return true
	}
}

// send writes one event and pushes it out.
func send(w http.ResponseWriter, chunk completion) bool {
	data, err := json.Marshal(chunk)
	if err != nil {
		return false
	}
	if _, err := w.Write([]byte("data: " + string(data) + "\n\n")); err != nil {
		return false
	}
	return http.NewResponseController(w).Flush() == nil
}

// cut bounds an echo at a character's boundary.
func cut(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxEcho)], "")
}
