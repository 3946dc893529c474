// Package emulator runs a built function binary the way AWS Lambda or Alibaba Function Compute runs it, on
// loopback: it serves the runtime API that the binary polls (or sends it HTTP, for a custom runtime), and
// puts the HTTP front ends of those clouds before it. Streams pass through as they arrive.
//
// A test calls Lambda or FC, sends HTTP to Function.URL or events to Function.Invoke, and is done: the
// child is ended by its own pid with the test. What the clouds really do, where it is known, is in the
// comments; sources are the runtime API pages of both and recorded events of hotsock/voker (2026-07-10).
//
// It is a black box like every test beside it: the standard library only.
package emulator

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// The modes of Lambda: which front end stands before the function.
const (
	URL        = "url"         // function URL, buffered
	URLStream  = "url-stream"  // function URL, RESPONSE_STREAM
	HTTPAPI    = "httpapi"     // API Gateway HTTP API 2.0
	REST       = "rest"        // API Gateway REST API
	RESTStream = "rest-stream" // API Gateway REST API, response transfer mode STREAM
	ALB        = "alb"         // Application Load Balancer
	ALBMulti   = "alb-mv"      // the same with multi-value headers
	Raw        = "raw"         // the POST body is the event
)

// The modes of FC.
const (
	FCCustom = "fc-custom" // custom runtime: the binary is an HTTP server
	FCEvent  = "fc-event"  // built-in Go runtime behind an HTTP trigger
)

// startTimeout is generous: the machine may be busy with other tests.
const startTimeout = 30 * time.Second

// Function is one running instance.
type Function struct {
	*Front // set CutOnError before the first request

	URL          string        // base URL of the front end, without a final slash
	InitDuration time.Duration // from spawn to the first /next, or to the open port of a custom runtime
	InitCPU      time.Duration // user and system time that the process had used by then

	process   *process
	lifecycle func(path string) error
	invoke    func(event []byte) ([]byte, string)
	closers   []func()
	closed    sync.Once
}

// Option changes how an instance runs.
type Option func(*settings)

type settings struct {
	timeout     time.Duration
	concurrency int
}

// Timeout is the function's timeout, 30 s unless set.
func Timeout(d time.Duration) Option { return func(s *settings) { s.timeout = d } }

// Concurrency lets n invocations run at once in the one instance (AWS_LAMBDA_MAX_CONCURRENCY).
func Concurrency(n int) Option { return func(s *settings) { s.concurrency = n } }

func newSettings(options []Option) settings {
	s := settings{timeout: 30 * time.Second}
	for _, set := range options {
		set(&s)
	}
	return s
}

// Invoke hands one event to the function, whatever the mode, and gives its reply or its error message.
func (f *Function) Invoke(event []byte) ([]byte, string) { return f.invoke(event) }

// Lifecycle sends one of Function Compute's lifecycle calls: /initialize, /pre-stop or /pre-freeze.
// Initialize was called once already.
func (f *Function) Lifecycle(path string) error {
	if f.lifecycle == nil {
		return errors.New("only Function Compute has lifecycle calls")
	}
	return f.lifecycle(path)
}

// Logs gives what the process wrote so far.
func (f *Function) Logs() string { return f.process.logs() }

// Alive tells whether the process runs. It is never started again.
func (f *Function) Alive() bool { return f.process.alive() }

// PID is the process, for tests that freeze or kill it.
func (f *Function) PID() int { return f.process.pid }

// Close ends the process (SIGTERM, after 3 s SIGKILL) and the front end. The test's end calls it.
func (f *Function) Close() {
	f.closed.Do(func() {
		f.process.end()
		for _, c := range f.closers {
			c()
		}
	})
}

// serveFront opens the front end and ties the instance's life to the test.
func (f *Function) serveFront(t testing.TB, front http.Handler) {
	server := httptest.NewServer(front)
	f.URL = server.URL
	f.closers = append([]func(){server.CloseClientConnections, server.Close}, f.closers...)
	t.Cleanup(func() {
		f.Close()
		if t.Failed() {
			t.Logf("log of the function:\n%s", f.Logs())
		}
	})
}

// invokeBy makes Invoke of a Caller: whole replies, failures as their errorMessage.
func invokeBy(call Caller) func([]byte) ([]byte, string) {
	return func(event []byte) ([]byte, string) {
		reply, err := call(context.Background(), event)
		if err != nil {
			return nil, err.Error()
		}
		if reply.Failure != nil {
			return nil, errorMessage(reply.Failure)
		}
		body, err := io.ReadAll(io.LimitReader(reply.Body, payloadMax+1))
		switch {
		case err != nil:
			reply.Done(http.StatusBadRequest)
			return nil, err.Error()
		case len(body) > payloadMax:
			reply.Done(http.StatusRequestEntityTooLarge)
			return nil, "Function.ResponseSizeTooLarge"
		}
		reply.Done(http.StatusAccepted)
		return body, ""
	}
}

// errorMessage gives the errorMessage member of a posted failure, or the whole of what is no such object.
func errorMessage(failure []byte) string {
	var e struct {
		Message string `json:"errorMessage"`
	}
	if err := json.Unmarshal(failure, &e); err != nil || e.Message == "" {
		return string(failure)
	}
	return e.Message
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}
