package lambda

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"keyless/shared/platform/door"
)

// streamType announces the form: a JSON object with the head, eight NUL bytes, the body.
// Source: https://docs.aws.amazon.com/lambda/latest/dg/response-streaming-tutorial.html
const streamType = "application/vnd.awslambda.http-integration-response"

var preludeEnd = make([]byte, 8)

// errClosed is what a handler's write gives once nobody reads the answer any more.
var errClosed = errors.New("the reply's reader is gone")

// stream runs the handler beside the reader of its answer; a Write returns when its bytes were taken. The
// reader sees EOF only after the handler returned, so that what it settles is settled before the platform
// may freeze the process; an answer that is cut ends in an error, which the vendor's loop sends as error
// trailers.
func (f function) stream(r *http.Request, t trigger, done func()) *reply {
	ctx, cancel := context.WithCancel(r.Context())
	r = r.WithContext(ctx)
	reader, writer := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := door.ErrCut // stays when the handler ends this goroutine
		defer func() { writer.CloseWithError(err) }()
		err = door.Stream(f.handler, r, f.log(), func(status int, h http.Header) (io.Writer, error) {
			_, err := writer.Write(prelude(t, status, h))
			return writer, err
		})
	}()
	return &reply{reader, streamType, func() {
		reader.CloseWithError(errClosed)
		cancel() // the handler's writes fail and its waits end
		<-ended
		done()
	}}
}

// streamAnswer sends a whole answer in the streamed form.
func streamAnswer(t trigger, a door.Answer, done func()) *reply {
	head := prelude(t, a.Status, a.Header)
	return &reply{io.MultiReader(bytes.NewReader(head), bytes.NewReader(a.Body)), streamType, done}
}

func prelude(t trigger, status int, h http.Header) []byte {
	return append(marshal(t.prelude(status, h)), preludeEnd...)
}
