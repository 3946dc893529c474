package emulator

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"
)

// Lambda starts the binary under Lambda's Runtime API and waits until it asks for its first event.
// Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
func Lambda(t testing.TB, binary string, env []string, mode string, options ...Option) *Function {
	t.Helper()
	if !slices.Contains([]string{URL, URLStream, HTTPAPI, REST, RESTStream, ALB, ALBMulti, Raw}, mode) {
		t.Fatalf("lambda mode %q is unknown", mode)
	}
	s := newSettings(options)
	api := &runtimeAPI{prefix: "/2018-06-01/runtime/invocation/", accepted: http.StatusAccepted,
		describe: describeLambda, extra: extensions, timeout: s.timeout}
	env = append([]string{
		"_HANDLER=bootstrap", "LAMBDA_TASK_ROOT=/var/task", "AWS_REGION=us-east-1",
		"AWS_DEFAULT_REGION=us-east-1",
		"AWS_LAMBDA_FUNCTION_NAME=emulated", "AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256", "AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
	}, env...)
	if s.concurrency > 0 {
		env = append(env, fmt.Sprintf("AWS_LAMBDA_MAX_CONCURRENCY=%d", s.concurrency))
	}
	f := startPolling(t, binary, append(env, "AWS_LAMBDA_RUNTIME_API="), api)
	f.Front = &Front{Mode: mode, Call: api.call}
	f.invoke = invokeBy(api.call)
	f.serveFront(t, f.Front)
	return f
}

// startPolling starts a binary that polls the api; the last variable of env gets the api's address.
func startPolling(t testing.TB, binary string, env []string, api *runtimeAPI) *Function {
	t.Helper()
	listener := listen(t)
	server := &http.Server{Handler: api.handler()}
	go server.Serve(listener) // ends with Close
	env[len(env)-1] += listener.Addr().String()
	p := start(t, binary, env)
	api.exited = p.exited // before the first event, which is when it is read
	f := &Function{process: p, closers: []func(){func() { server.Close() }}}
	select {
	case <-api.polled:
		f.InitDuration, f.InitCPU = time.Since(p.started), p.cpu()
		return f
	case <-p.exited:
	case <-time.After(startTimeout):
	}
	f.Close()
	t.Fatalf("%s never asked for an event; it wrote:\n%s", binary, f.Logs())
	return nil
}

func describeLambda(h http.Header, inv *invocation) {
	h.Set("Content-Type", "application/json")
	h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.deadline.UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:emulated")
	h.Set("Lambda-Runtime-Trace-Id", "Root=1-00000000-000000000000000000000000;Sampled=0")
}

// extensions serves a binary that registers an extension; init errors are in the log already.
func extensions(mux *http.ServeMux) {
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
	})
	mux.HandleFunc("POST /2020-01-01/extension/register", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Lambda-Extension-Identifier", newID())
		fmt.Fprint(w, `{"functionName":"emulated","functionVersion":"$LATEST","handler":"bootstrap"}`)
	})
	mux.HandleFunc("GET /2020-01-01/extension/event/next", func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	})
}
