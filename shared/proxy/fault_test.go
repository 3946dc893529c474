package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"keyless/shared/proxy"
	"keyless/shared/quota"
)

// wire is an upstream that reads a request's head and then does as it is told with the connection.
func wire(t *testing.T, act func(conn *net.TCPConn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	t.Cleanup(func() { listener.Close(); open.Wait() })
	open.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					act(conn.(*net.TCPConn))
				}
			})
		}
	})
	return "http://" + listener.Addr().String()
}

// until waits for the peer to end the connection, so that nothing but it ends a test.
func until(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

func reset(conn *net.TCPConn) { _ = conn.SetLinger(0); _ = conn.Close() }

func says(text string) func(*net.TCPConn) {
	return func(conn *net.TCPConn) { _, _ = io.WriteString(conn, text) }
}

const streamHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

func chunk(text string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(text), text) }

// TestU4U5CutUpstreamLooksCut: whatever ends an answer early, its client sees an error, and in an event stream
// is told which.
func TestU4U5CutUpstreamLooksCut(t *testing.T) {
	t.Parallel()
	half := "data: {\"a\":1}\n\ndata: {\"b"
	const broke, silent = "The upstream's answer broke off or cannot be understood",
		"The upstream did not answer in time"
	openAI := "\n\ndata: " + inOpenAI(broke, "server_error", "upstream_broken") + "\n\n"
	timeout := "\n\ndata: " + inOpenAI(silent, "server_error", "upstream_timeout") + "\n\n"
	known := "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
	packed := strings.Replace(streamHead, "\r\n\r\n", "\r\nContent-Encoding: br\r\n\r\n", 1)
	stay, leave := func(c *net.TCPConn) { until(c) }, func(*net.TCPConn) {}
	for name, row := range map[string]struct {
		path, head string
		end        func(*net.TCPConn)
		patience   proxy.Patience
		want       string // after what was sent
	}{
		"an event stream is reset": {path: "/v1", head: streamHead + chunk(half), end: reset,
			want: openAI},
		"an event stream just closes": {path: "/v1", head: streamHead + chunk(half), end: leave,
			want: openAI},
		"Anthropic's": {path: "/anthropic/v1/messages", head: streamHead + chunk(half), end: reset,
			want: "\n\nevent: error\ndata: " + inAnthropic(broke, "api_error", "upstream_broken") + "\n\n"},
		"MCP's": {path: "/mcp", head: streamHead + chunk(half), end: reset,
			want: "\n\ndata: " + inRPC(broke, "5", "upstream_broken") + "\n\n"},
		"a backend's own stream": {path: "/accounts", head: streamHead + chunk(half), end: reset},
		"an event stream stalls": {path: "/v1", head: streamHead + chunk(half), end: stay, want: timeout,
			patience: proxy.Patience{Idle: 50 * time.Millisecond}},
		"an event stream drags on": {path: "/v1", head: streamHead + chunk(half), end: stay, want: timeout,
			patience: proxy.Patience{Total: 150 * time.Millisecond}},
		"a short Content-Length": {path: "/v1", head: known + half, end: leave},
		"a known length stalls": {path: "/v1", head: known + half, end: stay,
			patience: proxy.Patience{Idle: 50 * time.Millisecond}},
		"a stream of known length": {path: "/v1", end: leave,
			head: strings.Replace(known, "OK", "OK\r\nContent-Type: text/event-stream", 1) + half},
		"a packed stream": {path: "/v1", head: packed + chunk(half), end: reset},
		"an error with a key in it": {path: "/v1", head: strings.Replace(known, "200", "500", 1) + half,
			end: leave},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := wire(t, func(conn *net.TCPConn) {
				_, _ = io.WriteString(conn, row.head)
				time.Sleep(20 * time.Millisecond) // a reset discards what the peer has not read
				row.end(conn)
			})
			w := open(t, upstream, func(w *world) { w.patience = row.patience })
			got := do(t, w.request(http.MethodPost, row.path, `{"id":5}`))
			equal(t, "the cut is seen", errors.Is(got.err, io.ErrUnexpectedEOF), true)
			equal(t, "body", got.body, half+row.want)
			equal(t, "given back", w.quota.given(), 0)
		})
	}
}

func TestU2U9U12U15NoAnswer(t *testing.T) {
	t.Parallel()
	short := proxy.Patience{FirstByte: 60 * time.Millisecond}
	for name, row := range map[string]struct {
		upstream func(*net.TCPConn)
		patience proxy.Patience
		status   int
		code     string
	}{
		"silence": {func(c *net.TCPConn) { until(c) }, short, 504,
			"upstream_timeout"},
		"silence, and the total is short": {func(c *net.TCPConn) { until(c) },
			proxy.Patience{Total: 60 * time.Millisecond}, 504, "upstream_timeout"},
		"the connection ends": {func(*net.TCPConn) {}, proxy.Patience{}, 502,
			"upstream_broken"},
		"the connection is reset": {reset, proxy.Patience{}, 502, "upstream_broken"},
		"no HTTP": {says(providerKey + "\r\n\r\n"), proxy.Patience{}, 502,
			"upstream_broken"},
		"a status that is none": {says("HTTP/1.1 000 No\r\nContent-Length: 0\r\n\r\n"),
			proxy.Patience{}, 502, "upstream_broken"},
		"another protocol": {func(c *net.TCPConn) {
			_, _ = io.WriteString(c, "HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
		}, proxy.Patience{}, 502, "upstream_broken"},
		"a header without end": {func(c *net.TCPConn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 80<<10)+"\r\n\r\n")
			until(c)
		}, proxy.Patience{}, 502, "upstream_broken"},
		"our key is refused": {says("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"), proxy.Patience{},
			502, "upstream_auth"},
		"our key is forbidden": {says("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"), proxy.Patience{},
			502, "upstream_auth"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, wire(t, row.upstream), func(w *world) { w.patience = row.patience })
			got := do(t, w.request(http.MethodPost, "/v1", "{}"))
			equal(t, "status", got.StatusCode, row.status)
			equal(t, "code in "+got.body, strings.Contains(got.body, `"code":"`+row.code+`"`), true)
			equal(t, "challenge", got.Header.Get("WWW-Authenticate"), "")
			equal(t, "admitted", w.quota.admitted(), 1)
			equal(t, "given back, though the upstream had the call", w.quota.given(), 0)
			<-w.ended
			if strings.Contains(w.log.String(), providerKey) {
				t.Error("the provider's key stands in the log: " + w.log.String())
			}
			equal(t, "an alarm", strings.Contains(w.log.String(), "level=ERROR"),
				row.code == "upstream_auth")
		})
	}
}

// TestOwnCredentialRefused: where the caller's own token went up, the upstream's 401 is about it.
func TestOwnCredentialRefused(t *testing.T) {
	t.Parallel()
	upstream := record(t, func(w http.ResponseWriter,
		_ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
	})
	w := open(t, upstream.URL)
	for consumer, want := range map[string]int{"passing": 401, "shop": 502} {
		r := w.request(http.MethodPost, "/own", "{}", "Authorization: Bearer "+token(consumer))
		equal(t, consumer, do(t, r).StatusCode, want)
	}
}

func TestU1GivenBackOnlyWhereNothingWasSent(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	deaf := listener.Addr().String()
	listener.Close() // nobody listens there now
	plain := wire(t, func(c *net.TCPConn) { until(c) })
	for name, row := range map[string]struct {
		base, code string
		given      int
	}{
		"nobody listens": {"http://" + deaf, "upstream_connect", 1},
		"no such host":   {"http://nowhere.invalid", "upstream_connect", 1},
		"no TLS there": {strings.Replace(record(t, nil).URL, "http:", "https:", 1),
			"upstream_connect", 1},
		"it takes and is mute": {plain, "upstream_timeout", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, row.base,
				func(w *world) { w.patience = proxy.Patience{FirstByte: 2 * time.Second} })
			got := do(t, w.request(http.MethodPost, "/v1", "{}"))
			equal(t, "code in "+got.body, strings.Contains(got.body, `"code":"`+row.code+`"`), true)
			equal(t, "given back", w.quota.given(), row.given)
		})
	}
}

// TestC1C2ClientLeaves: the upstream is let go, and what is owed is settled all the same.
func TestC1C2ClientLeaves(t *testing.T) {
	t.Parallel()
	t.Run("before the connection stands", func(t *testing.T) {
		t.Parallel()
		upstream := record(t, nil)
		w := open(t, upstream.URL, func(w *world) {
			w.around = func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					ctx, leave := context.WithCancel(r.Context())
					w.quota.verdict = func() (quota.Admission, error) {
						leave()
						return quota.Admission{Admitted: true}, nil
					}
					next.ServeHTTP(rw, r.WithContext(ctx))
				})
			}
		})
		got := do(t, w.request(http.MethodPost, "/v1", "{}"))
		equal(t, "code in "+got.body, strings.Contains(got.body, `"code":"cancelled"`), true)
		equal(t, "given back", w.quota.given(), 1)
		equal(t, "the context of the settlement", w.quota.givenOf[0], nil)
		equal(t, "calls that went up", upstream.count(), 0)
	})
	t.Run("in the middle of a stream", func(t *testing.T) {
		t.Parallel()
		released := make(chan struct{})
		upstream := record(t, func(w http.ResponseWriter, r *http.Request) {
			defer close(released)
			w.Header().Set("Content-Type", "text/event-stream")
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, "data: 1\n\n")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(5 * time.Millisecond)
			}
		})
		w := open(t, upstream.URL)
		response, err := client.Do(w.request(http.MethodPost, "/v1", "{}"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadFull(response.Body, make([]byte, 9))
		response.Body.Close()
		within(t, "the upstream is let go", released)
		within(t, "the handler ends", w.ended)
		equal(t, "given back", w.quota.given(), 0)
		equal(t, "the line says aborted", strings.Contains(w.log.String(), "end=aborted"), true)
	})
	t.Run("without a word, and reads no more", func(t *testing.T) {
		t.Parallel()
		upstream := record(t, func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write(make([]byte, 64<<10))
			}
		})
		w := open(t, upstream.URL,
			func(w *world) { w.patience = proxy.Patience{Write: 50 * time.Millisecond} })
		response, err := client.Do(w.request(http.MethodGet, "/v1", ""))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		within(t, "the handler ends", w.ended)
		equal(t, "the line says why", strings.Contains(w.log.String(), "reason=client_gone"), true)
	})
}

func within(t *testing.T, what string, happened <-chan struct{}) {
	t.Helper()
	select {
	case <-happened:
	case <-time.After(10 * time.Second):
		t.Fatal(what + ": not within 10 seconds")
	}
}

// TestWriteDeadlineEndsWithItsAnswer: the next request of a connection is not held to the deadline of the
// one before.
func TestWriteDeadlineEndsWithItsAnswer(t *testing.T) {
	t.Parallel()
	upstream := record(t, nil)
	w := open(t, upstream.URL, func(w *world) { w.patience = proxy.Patience{Write: 30 * time.Millisecond} })
	for _, path := range []string{"/v1", "/nowhere"} { // the second answer sets no deadline of its own
		got := do(t, w.request(http.MethodPost, path, "{}")) // a client repeats a GET by itself
		equal(t, "error", got.err, nil)
		time.Sleep(60 * time.Millisecond)
	}
}

// TestManyAtOnce lets the race detector look.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	upstream := record(t, nil)
	w := open(t, upstream.URL)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 20 {
				path := []string{"/v1", "/mcp", "/accounts", "/nowhere"}[i%4]
				_ = do(t, w.request(http.MethodPost, path, "{}"))
			}
		})
	}
	all.Wait()
	equal(t, "admitted", w.quota.admitted(), 120)
	equal(t, "went up", upstream.count(), 120)
}
