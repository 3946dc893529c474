package platform_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"keyless/shared/platform/fc"
	"keyless/shared/platform/lambda"
	"keyless/shared/platform/server"
	"keyless/tests/emulator"
)

// entry is one way into the house and what its platform can carry.
type entry struct {
	open    func(*testing.T, http.Handler) string // gives the base URL
	streams bool                                  // chunks arrive as they are written, and a cut is seen
	query   bool                                  // the order of query names survives
	slash   bool                                  // %2F stays apart from "/"
	host    string                                // what a request for api.example is told as its host
	last    bool                                  // of repeated headers only the last arrives
	cookies int                                   // of two Set-Cookie so many arrive
}

const functionURLHost = "emulated.lambda-url.us-east-1.on.aws"

var doors = map[string]entry{
	"http": {openServer(false), true, true, true, "api.example", false, 2},
	"function compute, web function": {
		openServer(true), true, true, true, "api.example", false, 2},
	"function URL":              {openLambda(emulator.URL), false, true, true, functionURLHost, false, 2},
	"function URL, streamed":    {openLambda(emulator.URLStream), true, true, true, functionURLHost, false, 2},
	"HTTP API":                  {openLambda(emulator.HTTPAPI), false, true, false, "api.example", false, 2},
	"REST API":                  {openLambda(emulator.REST), false, false, true, "api.example", false, 2},
	"REST API, streamed":        {openLambda(emulator.RESTStream), true, false, true, "api.example", false, 2},
	"load balancer":             {openLambda(emulator.ALB), false, false, true, "api.example", true, 1},
	"load balancer, multivalue": {openLambda(emulator.ALBMulti), false, false, true, "api.example", false, 2},
	"function compute, event function": {
		openEventFunction, false, false, true, "api.example", false, 1},
}

// everyDoor runs one behaviour through each door.
func everyDoor(t *testing.T, h http.Handler, check func(*testing.T, entry, string)) {
	for name, e := range doors {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, e, e.open(t, h))
		})
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func openServer(underFC bool) func(*testing.T, http.Handler) string {
	return func(t *testing.T, h http.Handler) string {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() {
			ended <- server.Serve(ctx, server.Options{
				Listener: listener, Log: quiet(), UnderFC: underFC, Drain: time.Second}, h)
		}()
		t.Cleanup(func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		return "http://" + listener.Addr().String()
	}
}

func openLambda(mode string) func(*testing.T, http.Handler) string {
	return func(t *testing.T, h http.Handler) string {
		invoke := lambda.Handler(lambda.Options{Stream: strings.HasSuffix(mode, "-stream"), Log: quiet()}, h)
		return openFront(t, mode, func(_ context.Context, event []byte) (*emulator.Reply, error) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			reply, err := invoke(ctx, event)
			if err != nil {
				cancel()
				return &emulator.Reply{Failure: []byte(err.Error())}, nil
			}
			trailer := http.Header{}
			return &emulator.Reply{
				ContentType: reply.(interface{ ContentType() string }).ContentType(),
				Body:        trailing{reply, trailer},
				Trailer:     func() http.Header { return trailer },
				Done:        func(int) { reply.(io.Closer).Close(); cancel() },
			}, nil
		})
	}
}

func openEventFunction(t *testing.T, h http.Handler) string {
	invoke := fc.Handler(fc.Options{Log: quiet()}, h)
	return openFront(t, emulator.FCEvent, func(_ context.Context, event []byte) (*emulator.Reply, error) {
		reply, err := invoke(context.Background(), event)
		if err != nil {
			return &emulator.Reply{Failure: []byte(err.Error())}, nil
		}
		return &emulator.Reply{Body: bytes.NewReader(reply), Done: func(int) {}}, nil
	})
}

func openFront(t *testing.T, mode string, call emulator.Caller) string {
	front := httptest.NewServer(&emulator.Front{Mode: mode, Call: call, CutOnError: true})
	t.Cleanup(front.Close)
	return front.URL
}

// trailing reads as the vendor's loop does: an error becomes a trailer and the end of the body.
type trailing struct {
	io.Reader
	trailer http.Header
}

func (r trailing) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		r.trailer.Set("Lambda-Runtime-Function-Error-Type", "error")
		return n, io.EOF
	}
	return n, err
}

var client = &http.Client{
	Timeout:       30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{Proxy: nil, DisableCompression: true, DisableKeepAlives: true},
}

func request(base, method, path string) *http.Request {
	r, err := http.NewRequest(method, base+path, nil)
	if err != nil {
		panic(err)
	}
	return r
}

func do(t *testing.T, r *http.Request) (int, http.Header, []byte) {
	t.Helper()
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, body
}
