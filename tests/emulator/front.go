package emulator

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
)

// payloadMax is the size of Lambda's largest event and of its largest buffered reply (the interface
// emulator of AWS has the 100 bytes too); Function Compute takes fcPayloadMax.
const (
	payloadMax   = 6<<20 + 100
	fcPayloadMax = 32 << 20
)

// streamType marks a reply that streams: a JSON head, eight NUL bytes, the body.
const streamType = "application/vnd.awslambda.http-integration-response"

// preludeMax bounds the head of a stream.
const preludeMax = 256 << 10

// Front is the HTTP side of a cloud: it makes an event of each request and a response of each reply.
type Front struct {
	Mode string
	Call Caller
	// CutOnError cuts the client's connection when a stream ends in error trailers. A real function URL
	// ends the body cleanly there, so the default is false; a test that wants to see the difference sets
	// it.
	CutOnError bool

	cuts atomic.Int64
}

// Cuts counts the streams that ended in error trailers.
func (f *Front) Cuts() int { return int(f.cuts.Load()) }

func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	event := newEvent(f.Mode, r, body)
	if len(event) > f.payloadMax() {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	reply, err := f.Call(r.Context(), event)
	switch {
	case err != nil:
		gatewayError(w)
	case reply.Failure != nil:
		f.failed(w, reply)
	case strings.HasSuffix(f.Mode, "-stream") && reply.ContentType == streamType:
		f.stream(w, reply)
	default:
		f.buffered(w, reply)
	}
}

func (f *Front) payloadMax() int {
	if f.Mode == FCEvent {
		return fcPayloadMax
	}
	return payloadMax
}

// gatewayError is what clients see of every function error.
func gatewayError(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadGateway)
	fmt.Fprint(w, `{"message":"Internal Server Error"}`)
}

func (f *Front) failed(w http.ResponseWriter, reply *Reply) {
	if f.Mode != Raw {
		gatewayError(w)
		return
	}
	w.Header().Set("X-Amz-Function-Error", "Unhandled")
	w.Write(reply.Failure)
}

func (f *Front) stream(w http.ResponseWriter, reply *Reply) {
	defer reply.Done(http.StatusAccepted)
	head, rest, err := readPrelude(reply.Body)
	if err != nil {
		gatewayError(w)
		return
	}
	head.write(w, true)
	client := http.NewResponseController(w)
	client.Flush()
	buffer := make([]byte, 32<<10)
	for {
		n, err := rest.Read(buffer)
		if n > 0 {
			w.Write(buffer[:n]) // a client that is gone does not end the invocation
			client.Flush()
		}
		if err == io.EOF && reply.Trailer().Get("Lambda-Runtime-Function-Error-Type") == "" {
			return
		}
		if err != nil {
			break
		}
	}
	f.cuts.Add(1)
	if f.CutOnError {
		panic(http.ErrAbortHandler)
	}
}

// readPrelude reads the head and gives the rest of the stream.
func readPrelude(body io.Reader) (responseHead, io.Reader, error) {
	var head responseHead
	var raw []byte
	buffer := make([]byte, 4<<10)
	for {
		n, err := body.Read(buffer)
		raw = append(raw, buffer[:n]...)
		if prelude, rest, ok := bytes.Cut(raw, make([]byte, 8)); ok {
			err := json.Unmarshal(prelude, &head)
			return head, io.MultiReader(bytes.NewReader(rest), body), err
		}
		if err != nil || len(raw) > preludeMax {
			return head, nil, fmt.Errorf("no prelude in %d bytes: %w", len(raw), err)
		}
	}
}

func (f *Front) buffered(w http.ResponseWriter, reply *Reply) {
	body, err := io.ReadAll(io.LimitReader(reply.Body, int64(f.payloadMax())+1))
	switch {
	case err != nil:
		reply.Done(http.StatusBadRequest)
		gatewayError(w)
		return
	case len(body) > f.payloadMax():
		io.Copy(io.Discard, reply.Body)
		reply.Done(http.StatusRequestEntityTooLarge) // upon which the vendor's loop ends the process
		gatewayError(w)
		return
	}
	reply.Done(http.StatusAccepted)
	switch f.Mode {
	case Raw, URLStream, RESTStream: // an envelope that nobody opens
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Write(body)
	default:
		f.open(w, body)
	}
}

// open turns the envelope into a response.
func (f *Front) open(w http.ResponseWriter, envelope []byte) {
	var head responseHead
	err := json.Unmarshal(envelope, &head)
	version2 := f.Mode == URL || f.Mode == HTTPAPI || f.Mode == FCEvent
	if (err != nil || head.StatusCode == 0) && version2 {
		w.Header().Set("Content-Type", "application/json") // documented: the whole output is the body
		w.Write(envelope)
		return
	}
	body := []byte(head.Body)
	if err == nil && head.IsBase64Encoded {
		body, err = base64.StdEncoding.DecodeString(head.Body)
	}
	if err != nil || head.StatusCode == 0 {
		gatewayError(w)
		return
	}
	if f.Mode == ALBMulti {
		head.Headers = nil
	} else if f.Mode != REST {
		head.MultiValueHeaders = nil
	}
	if f.Mode != URL && f.Mode != HTTPAPI {
		head.Cookies = nil
	}
	head.write(w, version2)
	w.Write(body)
}

type responseHead struct {
	StatusCode        int                 `json:"statusCode"`
	Headers           map[string]string   `json:"headers"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders"`
	Cookies           []string            `json:"cookies"`
	Body              string              `json:"body"`
	IsBase64Encoded   bool                `json:"isBase64Encoded"`
}

// write sends the head. json is the content type that some front ends assume.
func (head responseHead) write(w http.ResponseWriter, json bool) {
	h := w.Header()
	for name, value := range head.Headers {
		h.Set(name, value)
	}
	for name, values := range head.MultiValueHeaders {
		h[http.CanonicalHeaderKey(name)] = values
	}
	for _, cookie := range head.Cookies {
		h.Add("Set-Cookie", cookie)
	}
	if json && h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	h.Del("Content-Length")
	w.WriteHeader(max(head.StatusCode, http.StatusOK))
}
