package proxy

import (
	"bytes"
	"net/http"

	"keyless/shared/proxy/meter"
)

// headerCache tells a caller what the cache did: hit, miss or bypass.
const headerCache = "X-Keyless-Cache"

// The words of headerCache.
const (
	wordHit    = "hit"
	wordMiss   = "miss"
	wordBypass = "bypass"
)

// maxAnswer bounds an answer that is kept, in bytes: above what a model writes in a chat or as vectors for a page of text, and little
// enough that a store holds many.
const maxAnswer = 1 << 20

// tape writes an answer to the caller and takes it down, as the caller gets it. It belongs to one call.
type tape struct {
	http.ResponseWriter
	word string
	off  bool // nothing is taken down, or no longer
	body []byte
}

// Unwrap lets http.ResponseController reach the door's own writer.
func (t *tape) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// WriteHeader says what the cache did, above what an upstream may say under that name.
func (t *tape) WriteHeader(status int) {
	t.Header().Set(headerCache, t.word)
	t.off = t.off || status != http.StatusOK
	t.ResponseWriter.WriteHeader(status)
}

func (t *tape) Write(piece []byte) (int, error) {
	switch {
	case t.off || bytes.Equal(piece, meter.KeepAlive): // who asks later does not wait
	case len(t.body)+len(piece) > maxAnswer:
		t.off, t.body = true, nil
	default:
		t.body = append(t.body, piece...)
	}
	return t.ResponseWriter.Write(piece)
}
