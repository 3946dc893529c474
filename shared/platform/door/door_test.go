package door_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"keyless/shared/platform/door"
)

func newRequest(t *testing.T, f door.Facts) *http.Request {
	t.Helper()
	if f.Method == "" {
		f.Method = "GET"
	}
	if f.Target == "" {
		f.Target = "/"
	}
	if f.Header == nil {
		f.Header = http.Header{}
	}
	r, err := door.NewRequest(context.Background(), f)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	random := regexp.MustCompile(`^[0-9a-f]{32}$`)
	for name, c := range map[string]struct {
		id       string
		believed bool
	}{
		"a platform's id is taken":         {"1-65f0c0de-Ab_c.9", true},
		"128 characters are taken":         {strings.Repeat("a", 128), true},
		"129 characters are not":           {strings.Repeat("a", 129), false},
		"an absent id is made up":          {"", false},
		"a brace could change a Redis key": {"a{b}", false},
		"a line break could forge a log":   {"a\nb", false},
		"base64 padding is not in the set": {"ATfSmjLgPHcESJw=", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clients := http.Header{"X-Request-Id": {"client", "twice"}}
			r := newRequest(t, door.Facts{RequestID: c.id, Header: clients})
			got := r.Header["X-Request-Id"]
			if len(got) != 1 || c.believed != (got[0] == c.id) || !c.believed && !random.MatchString(got[0]) {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestWhatIsDroppedOnEntry(t *testing.T) {
	t.Parallel()
	r := newRequest(t, door.Facts{Header: door.Header(map[string]string{
		"x-fc-access-key-secret": "s", "X_Consumer": "admin", "x-api_key": "k", "host": "evil.example",
		"transfer-encoding": "chunked", "trailer": "x", "bad name": "x", "bad-value": "a\r\nb",
		"connection": "close", "authorization": " Bearer x ", "x-fcourse": "kept",
	}, nil), Host: "api.example"})
	delete(r.Header, "X-Request-Id")
	want := "map[Authorization:[Bearer x] Connection:[close] X-Fcourse:[kept]]"
	if got := fmt.Sprint(r.Header); got != want || r.Host != "api.example" {
		t.Errorf("got %s, host %s", got, r.Host)
	}
}

func TestHeaderMapsAreJoined(t *testing.T) {
	t.Parallel()
	got := door.Header(map[string]string{"A": "last", "b": "single", "B": "spelt twice"},
		map[string][]string{"a": {"first", "last"}, "C": {"1"}, "c": {"2"}})
	if want := "map[A:[first last] B:[spelt twice single] C:[1 2]]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestRemoteAddrAlwaysHasAPort(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1:0", "192.0.2.1:4711": "192.0.2.1:4711", "2001:db8::1": "[2001:db8::1]:0",
		"[2001:db8::1]:80": "[2001:db8::1]:80", "": "0.0.0.0:0", "unknown": "0.0.0.0:0", "@": "0.0.0.0:0",
	} {
		if got := newRequest(t, door.Facts{RemoteIP: in}).RemoteAddr; got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestWhatNetHTTPWouldRefuseIsMalformed(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]door.Facts{
		"a broken escape":       {Method: "GET", Target: "/%zz"},
		"an absolute form":      {Method: "GET", Target: "http://evil.example/"},
		"no path":               {Method: "GET", Target: "x"},
		"a control character":   {Method: "GET", Target: "/a?\x01"},
		"no method":             {Method: "", Target: "/"},
		"a method with a space": {Method: "GET /", Target: "/"},
	} {
		if _, err := door.NewRequest(context.Background(), f); !errors.Is(err, door.ErrMalformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, target := range []string{"/", "//a", "/a%2Fb?x=%zz", "/?", "/a:b@c"} {
		r, err := door.NewRequest(context.Background(), door.Facts{Method: "GET", Target: target})
		if err != nil || r.URL.Host != "" {
			t.Errorf("%s: host %q, %v", target, r.URL.Host, err)
		}
	}
}

func TestTheContextEndsBeforeThePlatformDoes(t *testing.T) {
	t.Parallel()
	end := time.Now().Add(time.Minute)
	platform, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	ctx, cancel := door.WithDeadline(platform)
	defer cancel()
	if got, _ := ctx.Deadline(); !got.Equal(end.Add(-door.DeadlineMargin)) {
		t.Errorf("got %v", got)
	}
	ctx, cancel = door.WithDeadline(context.Background())
	defer cancel()
	if _, ok := ctx.Deadline(); ok {
		t.Error("a deadline from nowhere")
	}
}

func buffer(t *testing.T, h http.HandlerFunc) door.Answer {
	return door.Buffer(h, newRequest(t, door.Facts{}), slog.New(slog.DiscardHandler))
}

func TestTheHeaderIsFixedByWriteHeader(t *testing.T) {
	t.Parallel()
	a := buffer(t, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/plain")
		h.Set("Connection", "keep-alive")
		h.Set("X-Split", "a\r\nEvil: 1")
		h["bad name"] = []string{"x"}
		w.WriteHeader(http.StatusAccepted)
		h.Set("Content-Type", "changed")
		h.Set(http.TrailerPrefix+"X", "trailer")
		h["X-Split"][0] = "changed"
	})
	want := "map[Content-Type:[text/plain] X-Split:[a  Evil: 1]]"
	if a.Status != http.StatusAccepted || fmt.Sprint(a.Header) != want {
		t.Errorf("got %d %v", a.Status, a.Header)
	}
}

func TestAnAnnouncedLengthBinds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body   string
		status int
		err    error
	}{
		"exactly":  {"12345", 200, nil},
		"too long": {"123456", 502, http.ErrContentLength},
		"short":    {"1234", 502, nil},
	} {
		var got error
		a := buffer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			_, got = io.WriteString(w, c.body)
		})
		if a.Status != c.status || got != c.err || a.Header.Get("Content-Length") != "" {
			t.Errorf("%s: got %d, %v, %v", name, a.Status, got, a.Header)
		}
	}
}

func TestTheLimitOfABufferedBody(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]int{door.BodyMax: 200, door.BodyMax + 1: 502} {
		var err error
		a := buffer(t, func(w http.ResponseWriter, _ *http.Request) { _, err = w.Write(make([]byte, size)) })
		if a.Status != want || (err != nil) != (want != 200) {
			t.Errorf("%d bytes: got %d, %v", size, a.Status, err)
		}
	}
}

func TestAPanicIsLoggedWithItsStackAndRequestID(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	r := newRequest(t, door.Facts{RequestID: "the-id"})
	h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") })
	a := door.Buffer(h, r, slog.New(slog.NewJSONHandler(&log, nil)))
	if a.Status != 500 || !strings.Contains(log.String(), "boom") || !strings.Contains(log.String(), "the-id") ||
		!strings.Contains(log.String(), "door_test.go") {
		t.Errorf("got %d, log %s", a.Status, &log)
	}
	log.Reset()
	h = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	if a := door.Buffer(h, r, slog.New(slog.NewJSONHandler(&log, nil))); a.Status != 502 || log.Len() > 0 {
		t.Errorf("abort: got %d, log %s", a.Status, &log)
	}
}

func TestDrainWaitsForCallsInFlight(t *testing.T) {
	t.Parallel()
	var busy door.Busy
	ended := busy.Enter()
	released := make(chan struct{})
	go func() {
		close(released)
		ended()
		ended() // a second end is none
	}()
	<-released
	busy.Drain(time.Minute)
	var stuck door.Busy
	stuck.Enter()
	stuck.Drain(time.Millisecond) // returns
}

func TestText(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		contentType, encoding, body string
		want                        bool
	}{
		"JSON":                 {"application/json; charset=utf-8", "", "{}", true},
		"a problem document":   {"application/problem+json", "", "{}", true},
		"events":               {"text/event-stream", "", "data: ü", true},
		"text that is not":     {"text/plain", "", "\xff", false},
		"compressed text":      {"text/plain", "gzip", "x", false},
		"an image that is one": {"image/png", "", "png", false},
		"an SVG image":         {"image/svg+xml", "", "<svg/>", true},
		"nothing":              {"", "", "", true},
	} {
		h := http.Header{}
		h.Set("Content-Type", c.contentType)
		h.Set("Content-Encoding", c.encoding)
		if got := door.IsText(h, []byte(c.body)); got != c.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
}
