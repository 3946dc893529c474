package platform_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"keyless/shared/platform"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	failing := func(context.Context) error { return errors.New("dial redis://user:secret@host") }
	const ok = `{"status":"ok"}`
	for name, c := range map[string]struct {
		ready  func(context.Context) error
		call   string
		status int
		body   string
	}{
		"alive":        {failing, "GET /_/healthz", 200, ok},
		"alive, head":  {nil, "HEAD /_/healthz", 200, ""},
		"always ready": {nil, "GET /_/readyz", 200, ok},
		"ready":        {func(context.Context) error { return nil }, "GET /_/readyz", 200, ok},
		"not ready": {failing, "GET /_/readyz", 503,
			`{"status":"unavailable","reason":"A part that every call needs does not answer."}`},
		"another method":      {nil, "POST /_/healthz", 405, `{"status":"error","reason":"Method not allowed."}`},
		"a path below it":     {nil, "GET /_/healthz/", 418, ""},
		"every other request": {failing, "GET /", 418, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(platform.Health(c.ready, http.HandlerFunc(
				func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })))
			defer server.Close()
			method, path, _ := strings.Cut(c.call, " ")
			status, header, body := do(t, request(server.URL, method, path))
			if status != c.status || string(body) != c.body {
				t.Errorf("got %d %s", status, body)
			}
			if status != 418 && header.Get("Cache-Control") != "no-store" ||
				(header.Get("Allow") == "GET, HEAD") != (status == 405) {
				t.Errorf("got %v", header)
			}
		})
	}
}

// lookup is an environment.
func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}
}

func TestARuntimeThatCannotStartIsAnError(t *testing.T) {
	t.Parallel()
	for runtime, want := range map[string]string{
		"lambda": "AWS_LAMBDA_RUNTIME_API", "fc-event": "FC_RUNTIME_API", "cgi": `runtime "cgi"`,
	} {
		err := platform.Serve(context.Background(), platform.Options{Runtime: runtime, Lookup: lookup(nil)},
			http.NotFoundHandler())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", runtime, err)
		}
	}
}

func TestTheEnvironmentNamesThePort(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	for _, env := range []map[string]string{
		{"FC_CUSTOM_LISTEN_PORT": port, "PORT": "1"}, {"FC_SERVER_PORT": port, "PORT": "1"}, {"PORT": port},
	} {
		err := platform.Serve(context.Background(), platform.Options{Lookup: lookup(env)}, http.NotFoundHandler())
		if err == nil || !strings.Contains(err.Error(), "0.0.0.0:"+port) {
			t.Errorf("%v: got %v", env, err)
		}
	}
	err = platform.Serve(context.Background(), platform.Options{Addr: "127.0.0.1:" + port, Runtime: "http",
		Lookup: lookup(map[string]string{"AWS_LAMBDA_RUNTIME_API": "x", "PORT": "1"})}, http.NotFoundHandler())
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:"+port) {
		t.Errorf("own options: got %v", err)
	}
}

func TestReadinessEndsFirst(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	entered, leave := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- platform.Serve(ctx, platform.Options{Addr: address, Lookup: lookup(nil), Log: quiet()},
			http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				close(entered)
				<-leave
			}))
	}()
	for status := 0; status != 200; { // until it listens
		if response, err := client.Get("http://" + address + "/_/readyz"); err == nil {
			status = response.StatusCode
			response.Body.Close()
		}
	}
	c, err := net.Dial("tcp", address) // a connection that stays open while the listener closes
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /_/readyz HTTP/1.1\r\nHost: x\r\n\r\n")
	<-entered
	stop()
	close(leave)
	answer, _ := io.ReadAll(c)
	if strings.Contains(string(answer), `{"status":"ok"}`) {
		t.Errorf("ready while it ends: %s", answer)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
