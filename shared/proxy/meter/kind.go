package meter

import (
	"net/http"
	"strings"
)

// Kind is the wire format of a call, known from its path.
type Kind int

// The kinds. Images covers generations, edits and variations.
const (
	Opaque        Kind = iota // nothing is known: passed through, never metered
	Chat                      // OpenAI /chat/completions
	Completions               // OpenAI /completions
	Responses                 // OpenAI /responses
	Embeddings                // OpenAI /embeddings
	Images                    // OpenAI /images/…
	Speech                    // OpenAI /audio/speech: text in, sound out
	Transcription             // OpenAI /audio/transcriptions and /audio/translations
	Rerank                    // /rerank and /reranks
	Moderations               // OpenAI /moderations, which costs nothing
	Messages                  // Anthropic /messages
	CountTokens               // Anthropic /messages/count_tokens and OpenAI /responses/input_tokens: free
	Native                    // Model Studio /api/v1/services/…: {model, input, parameters}
)

// endings are the last segments of a path that say its kind; the longer one stands before the one that it
// ends in.
var endings = []struct {
	path string
	kind Kind
}{
	{"/chat/completions", Chat},
	{"/completions", Completions},
	{"/responses", Responses},
	{"/responses/compact", Responses},
	{"/responses/input_tokens", CountTokens},
	{"/embeddings", Embeddings},
	{"/images/generations", Images},
	{"/images/edits", Images},
	{"/images/variations", Images},
	{"/audio/speech", Speech},
	{"/audio/transcriptions", Transcription},
	{"/audio/translations", Transcription},
	{"/rerank", Rerank},
	{"/reranks", Rerank},
	{"/moderations", Moderations},
	{"/messages", Messages},
	{"/messages/count_tokens", CountTokens},
}

// KindOf tells the kind of a call from its method and its path below the API's base path. What stands before
// the known ending (a version, /compatible-mode, /apps/anthropic, /openai/deployments/NAME) does not matter,
// nor do letter case and a last slash: an upstream that does not mind them would otherwise be reached
// unmetered.
func KindOf(method, path string) Kind {
	if method != http.MethodPost {
		return Opaque
	}
	path = strings.TrimRight(strings.ToLower(path), "/")
	for _, e := range endings {
		if !strings.HasSuffix(path, e.path) {
			continue
		}
		if e.kind == Messages && strings.Contains(path, "/threads/") { // OpenAI's threads have messages too
			return Opaque
		}
		return e.kind
	}
	for _, native := range []string{"/services/aigc/", "/services/embeddings/", "/services/rerank/"} {
		if strings.Contains(path, native) {
			return Native
		}
	}
	return Opaque
}

// Metered reports whether calls of this kind use model tokens or images that are paid for.
func (k Kind) Metered() bool {
	return k != Opaque && k != Moderations && k != CountTokens
}

// form reports whether bodies of this kind may be multipart forms, for they carry files.
func (k Kind) form() bool { return k == Images || k == Transcription }

// asksUsage reports whether streams of this kind tell usage only where stream_options.include_usage is true.
func (k Kind) asksUsage() bool { return k == Chat || k == Completions }
