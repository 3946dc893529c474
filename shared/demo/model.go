// Package demo is what the gateway is shown with: a model that answers at once and costs nothing, and a small
// backend that signs its own tokens. Both stand on loopback behind the gateway in `make run`, and serve as
// upstreams in tests, so that the whole flow works without a provider's account.
//
// How a request meets it: as the upstream. The model tells which X-Consumer it saw, so that one look at an
// answer says whether the gateway knew the caller. The wires are OpenAI's Chat Completions API
// (https://platform.openai.com/docs/api-reference/chat) and Anthropic's Messages API (https://docs.anthropic.com/en/api/messages); the
// tokens are RFC 7519, HS256.
package demo

import (
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

// Model answers POST /v1/chat/completions and POST /v1/messages, streamed or not, POST /v1/embeddings and GET /v1/models, for callers that
// bring the key as "Authorization: Bearer" or, to messages, as "x-api-key". It answers for every model's name; the answer is the same for
// the same question. Where a question names one of the tools that come with it, the answer calls that tool. Safe for concurrent use.
func Model(apiKey string) http.Handler {
	bearer := func(r *http.Request) string { return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") }
	anthropic := func(r *http.Request) string { return r.Header.Get("X-Api-Key") }
	paths := map[string]endpoint{
		"/v1/models":           {http.MethodGet, bearer, refuse, listModels},
		"/v1/embeddings":       {http.MethodPost, bearer, refuse, embed},
		"/v1/chat/completions": {http.MethodPost, bearer, refuse, converse(parseChat, writeChat, streamChat, refuse)},
		"/v1/messages": {
			http.MethodPost, anthropic, refuseMessage, converse(parseMessages, writeMessage, streamMessage, refuseMessage),
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e, known := paths[r.URL.Path]
		switch {
		case !known:
			refuse(w, http.StatusNotFound, "not_found", "Unknown request URL.")
		case r.Method != e.method:
			w.Header().Set("Allow", e.method)
			e.refuse(w, http.StatusMethodNotAllowed, "method_not_allowed", "Use "+e.method+".")
		case apiKey == "" || subtle.ConstantTimeCompare([]byte(apiKey), []byte(e.key(r))) != 1:
			e.refuse(w, http.StatusUnauthorized, "invalid_api_key", "Incorrect API key provided.")
		default:
			e.answer(w, r)
		}
	})
}

// refusing answers with an error in a dialect's shape.
type refusing func(w http.ResponseWriter, status int, code, sentence string)

// endpoint is one path of the model.
type endpoint struct {
	method string
	key    func(*http.Request) string
	refuse refusing
	answer http.HandlerFunc
}

// listModels names the one model that there is.
func listModels(w http.ResponseWriter, _ *http.Request) {
	model := map[string]any{"id": "demo", "object": "model", "created": 0, "owned_by": "keyless"}
	writeJSON(w, http.StatusOK, map[string]any{"object": "list", "data": []any{model}})
}

// read takes a request's body, and answers where it cannot.
func read(w http.ResponseWriter, r *http.Request, refuse refusing) ([]byte, bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuse(w, http.StatusBadRequest, "invalid_body", "The body could not be read, or is over 1 MiB.")
	}
	return body, err == nil
}

// converse answers a conversation in a dialect.
func converse(
	parse func([]byte) (question, string), whole func(http.ResponseWriter, question, reply),
	stream func(http.ResponseWriter, *http.Request, question, reply), refuse refusing,
) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, ok := read(w, r, refuse)
		if !ok {
			return
		}
		q, fault := parse(body)
		if fault != "" {
			refuse(w, http.StatusBadRequest, "invalid_request_error", fault)
			return
		}
		a := answer(q, r.Header.Get("X-Consumer"))
		if q.stream {
			stream(w, r, q, a)
			return
		}
		whole(w, q, a)
	}
}

// embed answers with one small vector for each text: the counts of its words and bytes.
func embed(w http.ResponseWriter, r *http.Request) {
	body, ok := read(w, r, refuse)
	if !ok {
		return
	}
	var in struct {
		Model string
		Input json.RawMessage
	}
	var one string
	var texts []string
	if json.Unmarshal(body, &in) != nil || in.Model == "" ||
		json.Unmarshal(in.Input, &one) != nil && json.Unmarshal(in.Input, &texts) != nil {
		refuse(w, http.StatusBadRequest, "invalid_request_error", "Send model and input, a string or an array of strings.")
		return
	}
	if texts == nil {
		texts = []string{one}
	}
	words, data := 0, make([]any, len(texts))
	for i, text := range texts {
		n := len(strings.Fields(text))
		words += n
		data[i] = map[string]any{"object": "embedding", "index": i, "embedding": []int{n, len(text)}}
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"object": "list", "model": in.Model, "data": data, "usage": map[string]int{"prompt_tokens": words, "total_tokens": words},
	})
}
