package accesslog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"keyless/shared/accesslog"
	"keyless/shared/config"
)

// lines is a log that can be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// only returns the one line that was written.
func (l *lines) only(t *testing.T) map[string]any {
	t.Helper()
	text := l.String()
	if strings.Count(text, "\n") != 1 {
		t.Fatalf("want one line, got %q", text)
	}
	var line map[string]any
	if err := json.Unmarshal([]byte(text), &line); err != nil {
		t.Fatal(err)
	}
	return line
}

// serve runs a handler behind Handler on a real server and sends one request to it. The server is closed
// before serve returns, so that the line is written.
func serve(
	t *testing.T, h http.HandlerFunc, header http.Header, path string,
) (*http.Response, string, error, *lines) {
	t.Helper()
	log := &lines{}
	server := httptest.NewUnstartedServer(accesslog.Handler(slog.New(slog.NewJSONHandler(log, nil)), nil, h))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Start()
	defer server.Close()
	r, err := http.NewRequest(http.MethodGet, server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	res, err := server.Client().Do(r)
	if err != nil {
		return nil, "", err, log
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	return res, string(body), err, log
}

func TestLine(t *testing.T) {
	t.Parallel()
	h := func(w http.ResponseWriter, r *http.Request) {
		accesslog.Add(r.Context(), slog.String("consumer", "nightly"), slog.Int("tries", 2))
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "short")
	}
	res, _, err, log := serve(t, h, http.Header{"Authorization": {"Bearer canary"}}, "/v1/x?api_key=canary")
	if err != nil {
		t.Fatal(err)
	}
	line := log.only(t)
	want := map[string]any{
		"level": "INFO", "msg": "request", "method": "GET", "path": "/v1/x", "status": 418.0, "bytes": 5.0,
		"client": "127.0.0.1", "end": "ok", "consumer": "nightly", "tries": 2.0,
		"request_id": res.Header.Get("X-Request-Id"), "host": res.Request.URL.Host,
	}
	for name, value := range want {
		if line[name] != value {
			t.Errorf("%s: %v, want %v", name, line[name], value)
		}
	}
	if _, ok := line["duration_ms"].(float64); !ok {
		t.Errorf("duration_ms: %v", line["duration_ms"])
	}
	if strings.Contains(log.String(), "canary") {
		t.Errorf("the line shows a credential: %s", log)
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	made := regexp.MustCompile(`^[0-9a-f]{32}$`)
	tests := map[string]struct {
		sent []string
		kept bool
	}{
		"the platform's own":    {[]string{"1-5759e988-bd862e3fe1be46a994272793.A_z"}, true},
		"128 characters":        {[]string{strings.Repeat("a", 128)}, true},
		"129 characters":        {[]string{strings.Repeat("a", 129)}, false},
		"none":                  {nil, false},
		"an empty one":          {[]string{""}, false},
		"one with a space":      {[]string{"a b"}, false},
		"one with a brace":      {[]string{"{s}"}, false},
		"one with a colon":      {[]string{"a:b"}, false},
		"one with a quote":      {[]string{`a"b`}, false},
		"one outside ASCII":     {[]string{"a\u00e9"}, false},
		"the first of two":      {[]string{"first", "second"}, true},
		"a bad one before good": {[]string{"a b", "second"}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen string
			var header []string
			h := func(_ http.ResponseWriter, r *http.Request) {
				seen, header = accesslog.RequestID(r), r.Header.Values("X-Request-Id")
			}
			res, _, err, log := serve(t, h, http.Header{"X-Request-Id": test.sent}, "/")
			if err != nil {
				t.Fatal(err)
			}
			if test.kept && seen != test.sent[0] || !test.kept && !made.MatchString(seen) {
				t.Errorf("id %q", seen)
			}
			if len(header) != 1 || header[0] != seen || res.Header.Get("X-Request-Id") != seen ||
				log.only(t)["request_id"] != seen {
				t.Errorf("request %q, answer %q, line %s", header, res.Header.Values("X-Request-Id"), log)
			}
		})
	}
}

func TestWithoutHandler(t *testing.T) {
	t.Parallel()
	accesslog.Add(context.Background(), slog.Int("lost", 1))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if id := accesslog.RequestID(r); id != "" {
		t.Errorf("id %q", id)
	}
	r.Header.Set("X-Request-Id", "given")
	if id := accesslog.RequestID(r); id != "given" {
		t.Errorf("id %q", id)
	}
	r.Header.Set("X-Request-Id", "not given")
	if id := accesslog.RequestID(r); id != "" {
		t.Errorf("id %q", id)
	}
}

// secret stands in every request of the endings, and must stand nowhere else.
const secret = "canary"

// ending is one way for a handler to end.
type ending struct {
	handler http.HandlerFunc
	status  int    // of the line
	end     string // of the line
	panic   string // of the line
	answer  string // what the client gets; "cut": an answer that does not end well
}

var endings = map[string]ending{
	"nothing written": {func(http.ResponseWriter, *http.Request) {}, 200, "ok", "", ""},
	"nothing read":    {readFrom(""), 200, "ok", "", ""},
	"a source copied": {readFrom("whole"), 200, "ok", "", "whole"},
	"a source that fails before its first byte": {func(w http.ResponseWriter, _ *http.Request) {
		if _, err := io.Copy(w, iotest.ErrReader(errors.New("reset"))); err != nil {
			w.WriteHeader(http.StatusBadGateway)
		}
	}, 502, "ok", "", ""},
	"flushed only": {func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
	}, 200, "ok", "", ""},
	"aborted before the first byte": {func(http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	}, 0, "aborted", "", "cut"},
	"aborted in the middle": {func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}, 200, "aborted", "", "cut"},
	"given up by its goroutine": {func(http.ResponseWriter, *http.Request) {
		runtime.Goexit()
	}, 0, "aborted", "", "cut"},
	"panic before the first byte": {func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "3")
		w.Header().Set("Set-Cookie", secret)
		panic(r.Header.Get("Authorization") + r.URL.RawQuery)
	}, 500, "panic", "string", "internal"},
	"panic by the runtime": {func(_ http.ResponseWriter, r *http.Request) {
		_ = strings.Split(r.URL.Path, "/")[9]
	}, 500, "panic", "runtime error: index out of range [9] with length 2", "internal"},
	"panic with an error": {func(http.ResponseWriter, *http.Request) {
		panic(errors.New(secret))
	}, 500, "panic", "*errors.errorString", "internal"},
	"panic in the middle": {func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic(secret)
	}, 200, "panic", "string", "cut"},
	"panic in the source": {func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, panicking{})
	}, 200, "panic", "string", "cut"},
}

func TestHowItEnds(t *testing.T) {
	t.Parallel()
	for name, test := range endings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{"Authorization": {secret}, "X-Request-Id": {"id-1"}}
			res, body, err, log := serve(t, test.handler, header, "/x?"+secret)
			line := log.only(t)
			if line["status"] != float64(test.status) || line["end"] != test.end {
				t.Errorf("line %s", log)
			}
			if strings.Contains(log.String(), secret) || strings.Contains(body, secret) {
				t.Errorf("a credential shows: %s, %s", log, body)
			}
			if test.end == "panic" {
				stack, _ := line["stack"].(string)
				if line["level"] != "ERROR" || line["panic"] != test.panic ||
					!strings.Contains(stack, "accesslog_test.go") || len(stack) > 8<<10 {
					t.Errorf("line %s", log)
				}
			} else if line["level"] != "INFO" || line["stack"] != nil {
				t.Errorf("line %s", log)
			}
			switch test.answer {
			case "cut":
				if err == nil {
					t.Errorf("the answer looks whole: %d %q", res.StatusCode, body)
				}
			case "internal":
				want := `{"error":{"message":"Internal error","code":"internal"},"request_id":"id-1"}`
				if err != nil || res.StatusCode != 500 || body != want ||
					res.Header.Get("Content-Type") != "application/json" ||
					res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Set-Cookie") != "" ||
					res.Header.Get("X-Request-Id") != "id-1" {
					t.Errorf("error %v, answer %+v %q", err, res, body)
				}
			default:
				if err != nil || res.StatusCode != test.status || body != test.answer {
					t.Errorf("error %v, body %q", err, body)
				}
			}
		})
	}
}

// readFrom copies through io.ReaderFrom where the writer has it.
func readFrom(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader(text))
	}
}

// panicking is a source that breaks after it has been read once.
type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("canary") }

func TestValuesAreBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ab\u00e9\n", 100)
	h := func(_ http.ResponseWriter, r *http.Request) {
		accesslog.Add(r.Context(), slog.String("text", long), slog.Any("error", errors.New(long)),
			slog.Group("group", slog.String("inner", long)), slog.String(long, "v"),
			slog.Any("secret", config.Secret("canary")))
		for i := range 100 {
			accesslog.Add(r.Context(), slog.Int(fmt.Sprint("n", i), i))
		}
	}
	_, _, err, log := serve(t, h, nil, "/"+strings.Repeat("p%0A", 400))
	if err != nil {
		t.Fatal(err)
	}
	line := log.only(t)
	for name, value := range line {
		if text, _ := value.(string); len(name) > 256 || len(text) > 256 || strings.Contains(text, "\ufffd") {
			t.Errorf("%s: %d bytes", name, len(text))
		}
	}
	if line["n26"] != 26.0 || line["n27"] != nil {
		t.Error("want 32 added facts")
	}
	if line["secret"] != "[redacted]" || len(line["text"].(string)) < 250 {
		t.Errorf("line %s", log)
	}
}

func TestAddFromManyAndTooLate(t *testing.T) {
	t.Parallel()
	var late context.Context
	h := func(_ http.ResponseWriter, r *http.Request) {
		late = r.Context()
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() { accesslog.Add(r.Context(), slog.Int(fmt.Sprint("n", i), i)) })
		}
		group.Wait()
	}
	_, _, err, log := serve(t, h, nil, "/")
	if err != nil {
		t.Fatal(err)
	}
	accesslog.Add(late, slog.Int("late", 1))
	if line := log.only(t); line["n7"] != 7.0 || line["late"] != nil {
		t.Errorf("line %s", log)
	}
}

func TestWriterKeepsItsPowers(t *testing.T) {
	t.Parallel()
	h := func(w http.ResponseWriter, r *http.Request) {
		controller := http.NewResponseController(w)
		if err := controller.EnableFullDuplex(); err != nil {
			t.Errorf("full duplex: %v", err)
		}
		_, _ = io.WriteString(w, "one")
		if err := controller.Flush(); err != nil {
			t.Errorf("flush: %v", err)
		}
	}
	if _, body, err, _ := serve(t, h, nil, "/"); err != nil || body != "one" {
		t.Errorf("%q, %v", body, err)
	}
	// A writer that cannot flush: the answer has not begun, so a panic afterwards is still an ordinary 500.
	inner := &plain{header: http.Header{}}
	log := slog.New(slog.DiscardHandler)
	accesslog.Handler(log, nil, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("flush: %v", err)
		}
		panic("after")
	})).ServeHTTP(inner, httptest.NewRequest(http.MethodGet, "/", nil))
	if inner.status != http.StatusInternalServerError {
		t.Errorf("status %d", inner.status)
	}
}

// plain is a http.ResponseWriter without any other power.
type plain struct {
	header http.Header
	status int
}

func (p *plain) Header() http.Header         { return p.header }
func (p *plain) WriteHeader(status int)      { p.status = status }
func (p *plain) Write(b []byte) (int, error) { return len(b), nil }
