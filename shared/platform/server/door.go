package server

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"keyless/shared/platform/door"
)

// entrance is the handler between net/http and ours.
type entrance struct {
	Options
	handler http.Handler
}

func (e entrance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, control, deadline := "", "", time.Time{}
	if e.UnderFC {
		id = r.Header.Get("X-Fc-Request-Id")
		control = r.Header.Get("X-Fc-Control-Path")
		deadline = functionDeadline(r.Header.Get("X-Fc-Function-Deadline"))
	}
	door.Enter(r, id)
	originForm(r)
	if !deadline.IsZero() {
		ctx, cancel := context.WithDeadline(r.Context(), deadline)
		defer cancel()
		ctx, cancel = door.WithDeadline(ctx)
		defer cancel()
		r = r.WithContext(ctx)
	}
	next := e.handler
	if control != "" && control == r.URL.Path {
		next = e.lifecycle(r, next)
	}
	if r.Body != nil && r.Body != http.NoBody {
		r = r.WithContext(r.Context()) // a copy: net/http looks at the body of its own, to answer Expect without reading
		r.Body = &paced{r.Body, http.NewResponseController(w), e.bodyIdle(), time.Now().Add(bodyWithin)}
	}
	e.guard(next, w, r)
}

// Bounds of a request's body in time. A client that sends nothing holds a connection and a goroutine for nothing.
const (
	defaultBodyIdle = 30 * time.Second
	bodyWithin      = 10 * time.Minute // 32 MiB over half a megabit a second
)

func (o Options) bodyIdle() time.Duration {
	if o.BodyIdle > 0 {
		return o.BodyIdle
	}
	return defaultBodyIdle
}

// paced gives a client new time for each read of its body, up to an end. The deadline is lifted with the body's end: what comes after
// is the answer's time.
type paced struct {
	io.ReadCloser
	client *http.ResponseController
	idle   time.Duration
	end    time.Time
}

func (p *paced) Read(b []byte) (int, error) {
	_ = p.client.SetReadDeadline(earlier(time.Now().Add(p.idle), p.end)) // net/http's writer has one
	n, err := p.ReadCloser.Read(b)
	if err != nil {
		_ = p.client.SetReadDeadline(time.Time{})
	}
	return n, err
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// guard survives the handler's panics: 500 where nothing was sent, else the connection is cut, which is
// what http.ErrAbortHandler asks net/http for.
func (e entrance) guard(h http.Handler, w http.ResponseWriter, r *http.Request) {
	t := &tracked{ResponseWriter: w}
	switch outcome := door.Guard(h, t, r, e.Log); {
	case outcome == door.Finished:
	case outcome == door.Panicked && !t.sent:
		door.InternalError(w, r)
	default:
		panic(http.ErrAbortHandler)
	}
}

// originForm brings a request in absolute form (RFC 9112 section 3.2.2) into the form in which functions
// see it; net/http has taken the host out of it already.
func originForm(r *http.Request) {
	if r.URL.Scheme == "" || r.Method == http.MethodConnect {
		return
	}
	r.URL = &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	if r.URL.Path == "" {
		r.URL.Path = "/"
	}
	r.RequestURI = r.URL.RequestURI()
}

// functionDeadline reads Function Compute's deadline, in milliseconds since 1970; zero where there is none.
func functionDeadline(ms string) time.Time {
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil || n <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(n)
}

// tracked knows whether the head was sent. http.ResponseController reaches the writer below by Unwrap.
type tracked struct {
	http.ResponseWriter
	sent bool
}

func (t *tracked) WriteHeader(status int) {
	t.sent = t.sent || status >= 200 || status == http.StatusSwitchingProtocols
	t.ResponseWriter.WriteHeader(status)
}

func (t *tracked) Write(p []byte) (int, error) {
	t.sent = true
	return t.ResponseWriter.Write(p)
}

// Flush sends the head, and what was written.
func (t *tracked) Flush() {
	t.sent = true
	_ = http.NewResponseController(t.ResponseWriter).Flush() // net/http's writer can always flush
}

// Unwrap serves http.ResponseController.
func (t *tracked) Unwrap() http.ResponseWriter { return t.ResponseWriter }
