package lambda

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"keyless/shared/platform/door"
)

// payloadMax is what the Runtime API takes as a buffered reply. The vendor's loop ends the process when it
// is refused, so that the next call would find a cold start.
const payloadMax = 6 << 20

// reply is a function's reply as the vendor's loop wants it: a reader with a content type, closed after the
// last byte was posted.
type reply struct {
	io.Reader
	contentType string
	close       func()
}

func newReply(message []byte, done func()) *reply {
	return &reply{bytes.NewReader(message), "application/json", done}
}

// ContentType is asked for by the vendor's loop.
func (r *reply) ContentType() string { return r.contentType }

// Close ends the invocation.
func (r *reply) Close() error {
	r.close()
	return nil
}

// MarshalJSON fails so that the vendor's loop, which tries JSON first, reads the reply instead.
func (r *reply) MarshalJSON() ([]byte, error) { return nil, errors.New("a reply is read, not encoded") }

func (f function) buffer(r *http.Request, t trigger, e *event, done func()) *reply {
	message := t.encode(e, door.Buffer(f.handler, r, f.log()))
	if len(message) > payloadMax {
		message = t.encode(e, door.TooLarge(r)) // headers beyond all measure
	}
	return newReply(message, done)
}

// encode writes the body as text where it is text, since a REST API hands base64 through undecoded unless
// its media types are declared binary. Text whose escapes make it too large (a quote is two bytes in JSON,
// a control character six) is sent as base64, whose size is known.
func (t trigger) encode(e *event, a door.Answer) []byte {
	if door.IsText(a.Header, a.Body) {
		if message := marshal(t.reply(e, a, string(a.Body), false)); len(message) <= payloadMax {
			return message
		}
	}
	return marshal(t.reply(e, a, base64.StdEncoding.EncodeToString(a.Body), len(a.Body) > 0))
}

// marshal encodes replies: structs of strings, numbers and maps of strings, which cannot fail.
func marshal(v any) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false) // the reader is no browser, and "<" would take six bytes
	if err := encoder.Encode(v); err != nil {
		panic(err) // a reply type of this package with a field that JSON cannot have
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}
