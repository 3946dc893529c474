package platform_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"keyless/shared/platform/door"
)

// facts are what a handler can know about a request.
type facts struct {
	Method, Path, EscapedPath, RawQuery, RequestURI, Host, Body string
	RemoteHost, RemotePort                                      string
	ContentLength                                               int64
	Header                                                      map[string][]string
	Cookies                                                     []string
	Deadline                                                    bool
}

var tellFacts = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	f := facts{Method: r.Method, Path: r.URL.Path, EscapedPath: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery,
		RequestURI: r.RequestURI, Host: r.Host, Body: base64.StdEncoding.EncodeToString(body),
		ContentLength: r.ContentLength, Header: r.Header}
	f.RemoteHost, f.RemotePort, _ = net.SplitHostPort(r.RemoteAddr)
	for _, c := range r.Cookies() {
		f.Cookies = append(f.Cookies, c.Name+"="+c.Value)
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(f)
})

func TestARequestIsTheSameThroughEveryDoor(t *testing.T) {
	everyDoor(t, tellFacts, func(t *testing.T, e entry, base string) {
		body := "binary \x00\xff\xfe body"
		target := "/a%20b/c%2Fd/%25/%C3%BC?b=2&a=1&a=x%26y%2Bz&empty="
		r, _ := http.NewRequest("PUT", base+target, strings.NewReader(body))
		r.Host = "api.example"
		for _, h := range [][2]string{
			{"X-Twice", "one"}, {"X-Twice", "two"}, {"Cookie", "a=1; b=2"}, {"Authorization", "Bearer x.y.z"},
			{"X-Request-Id", "chosen-by-the-client"}, {"X_Request_Id", "evil"}, {"x-fc-access-key-id", "evil"},
		} {
			r.Header[h[0]] = append(r.Header[h[0]], h[1])
		}
		status, _, got := do(t, r)
		var f facts
		if err := json.Unmarshal(got, &f); err != nil || status != 200 {
			t.Fatalf("%d %s: %v", status, got, err)
		}
		path := map[bool]string{true: "/a%20b/c%2Fd/%25/%C3%BC", false: "/a%20b/c/d/%25/%C3%BC"}[e.slash]
		query := map[bool]string{
			true: "b=2&a=1&a=x%26y%2Bz&empty=", false: "a=1&a=x%26y%2Bz&b=2&empty="}[e.query]
		if e.last { // a load balancer without multi-value headers loses repetitions in the query too
			query = "a=x%26y%2Bz&b=2&empty="
		}
		if strings.Contains(t.Name(), "event_function") {
			query = "a=1%2Cx%26y%2Bz&b=2&empty="
		}
		want := facts{Method: "PUT", Path: "/a b/c/d/%/ü", EscapedPath: path, RawQuery: query, Host: e.host,
			Body: base64.StdEncoding.EncodeToString([]byte(body)), ContentLength: int64(len(body)),
			RemoteHost: "127.0.0.1", Cookies: []string{"a=1", "b=2"}}
		checkFacts(t, e, f, want)
	})
}

func checkFacts(t *testing.T, e entry, f, want facts) {
	twice := strings.Join(f.Header["X-Twice"], ",")
	if wantTwice := map[bool]string{true: "two", false: "one,two"}[e.last]; twice != wantTwice {
		t.Errorf("repeated header: got %q, want %q", twice, wantTwice)
	}
	id := f.Header[door.RequestIDHeader]
	if len(id) != 1 || len(id[0]) < 32 {
		t.Errorf("request id: got %q", id)
	}
	for name := range f.Header {
		if strings.Contains(name, "_") || strings.HasPrefix(strings.ToLower(name), "x-fc-") || name == "Host" {
			t.Errorf("header %s came in", name)
		}
	}
	if port := f.RemotePort; port == "" {
		t.Error("RemoteAddr has no port")
	}
	u, err := url.ParseRequestURI(f.RequestURI)
	if err != nil || u.Path != want.Path || u.RawQuery != want.RawQuery {
		t.Errorf("RequestURI %q is not the URL", f.RequestURI)
	}
	if got := f.Header["Authorization"]; !slices.Equal(got, []string{"Bearer x.y.z"}) {
		t.Errorf("Authorization: got %q", got)
	}
	f.Header, f.RemotePort, f.RequestURI = nil, "", ""
	if got, want := fmt.Sprintf("%+v", f), fmt.Sprintf("%+v", want); !strings.EqualFold(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAReplyIsTheSameThroughEveryDoor(t *testing.T) {
	binary := string([]byte{0, 1, 2, 0xff, 0xfe, '<', '&'})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, v := range []string{"Bearer realm=\"a\"", "ApiKey realm=\"b\""} {
			w.Header().Add("WWW-Authenticate", v)
		}
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "1", Path: "/"})
		http.SetCookie(w, &http.Cookie{Name: "b", Value: "2", HttpOnly: true})
		w.Header().Set("Content-Type", "application/octet-stream")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusTeapot)
		w.WriteHeader(http.StatusOK)
		w.Header().Set("X-Late", "too late")
		io.WriteString(w, binary)
	})
	everyDoor(t, h, func(t *testing.T, e entry, base string) {
		status, header, body := do(t, request(base, "GET", "/"))
		if status != http.StatusTeapot || string(body) != binary || header.Get("X-Late") != "" {
			t.Errorf("got %d %q, X-Late %q", status, body, header.Get("X-Late"))
		}
		challenges := strings.Join(header["Www-Authenticate"], ", ")
		if challenges != `Bearer realm="a", ApiKey realm="b"` {
			t.Errorf("challenges: got %q", challenges)
		}
		cookies := (&http.Response{Header: header}).Cookies()
		if len(cookies) != e.cookies || cookies[len(cookies)-1].Name != "b" {
			t.Errorf("cookies: got %q", header["Set-Cookie"])
		}
	})
}

func TestAnAnswerWithoutABodyHasNone(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(http.StatusNoContent)
			if _, err := io.WriteString(w, "x"); err != http.ErrBodyNotAllowed {
				panic(err)
			}
		case "/head":
			io.WriteString(w, "eaten")
		}
	})
	everyDoor(t, h, func(t *testing.T, _ entry, base string) {
		for call, want := range map[string]int{"GET /204": 204, "HEAD /head": 200, "GET /nothing": 200} {
			method, path, _ := strings.Cut(call, " ")
			if status, _, body := do(t, request(base, method, path)); status != want || len(body) != 0 {
				t.Errorf("%s: got %d %q", call, status, body)
			}
		}
	})
}

func TestAContentTypeIsSniffed(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>hello") })
	everyDoor(t, h, func(t *testing.T, _ entry, base string) {
		_, header, _ := do(t, request(base, "GET", "/"))
		if got := header.Get("Content-Type"); got != "text/html; charset=utf-8" {
			t.Errorf("got %q", got)
		}
	})
}

func TestThreeChunksArriveOneByOne(t *testing.T) {
	for name, e := range doors {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			next := make(chan struct{}, 3)
			base := e.open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				for i := range 3 {
					<-next
					fmt.Fprintf(w, "data: %d\n\n", i)
					if err := http.NewResponseController(w).Flush(); err != nil {
						panic(err)
					}
				}
			}))
			if !e.streams {
				for range 3 {
					next <- struct{}{}
				}
				_, _, body := do(t, request(base, "GET", "/"))
				if string(body) != "data: 0\n\ndata: 1\n\ndata: 2\n\n" {
					t.Errorf("got %q", body)
				}
				return
			}
			next <- struct{}{}
			response, err := client.Do(request(base, "GET", "/"))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			for i := range 3 { // each is read before the handler may write the next
				chunk, want := make([]byte, len("data: 0\n\n")), fmt.Sprintf("data: %d\n\n", i)
				if _, err := io.ReadFull(response.Body, chunk); err != nil || string(chunk) != want {
					t.Fatalf("chunk %d: %q %v", i, chunk, err)
				}
				next <- struct{}{}
			}
			if rest, err := io.ReadAll(response.Body); err != nil || len(rest) > 0 {
				t.Errorf("after the last chunk: %q %v", rest, err)
			}
		})
	}
}

func TestTheProcessSurvivesItsHandler(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/panic":
			w.Header().Set("X-Half", "done")
			panic("a secret that must stay home")
		case "/panic-late", "/abort", "/short":
			if r.URL.Path == "/short" {
				w.Header().Set("Content-Length", "1000")
			}
			io.WriteString(w, "half")
			http.NewResponseController(w).Flush()
		case "/huge":
			chunk := bytes.Repeat([]byte("x"), 1<<20)
			for range 5 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}
		switch r.URL.Path {
		case "/panic-late":
			panic("late")
		case "/abort":
			panic(http.ErrAbortHandler)
		}
	})
	everyDoor(t, h, func(t *testing.T, e entry, base string) {
		status, header, body := do(t, request(base, "GET", "/panic"))
		if status != 500 || header.Get("X-Half") != "" || code(body) != "internal_error" ||
			bytes.Contains(body, []byte("secret")) {
			t.Errorf("panic: got %d %v %q", status, header, body)
		}
		for path, want := range map[string]struct {
			status int
			code   string
		}{
			"/panic-late": {500, "internal_error"},
			"/abort":      {502, "response_cut"},
			"/short":      {502, "response_cut"},
		} {
			if e.streams {
				if err := cutShort(base, path); err == nil {
					t.Errorf("%s: the answer looks complete", path)
				}
				continue
			}
			status, _, body := do(t, request(base, "GET", path))
			if status != want.status || code(body) != want.code {
				t.Errorf("%s: got %d %q", path, status, body)
			}
		}
		status, _, body = do(t, request(base, "GET", "/huge"))
		if e.streams && (status != 200 || len(body) != 5<<20) ||
			!e.streams && (status != 502 || code(body) != "response_too_large") {
			t.Errorf("huge: got %d, %d bytes", status, len(body))
		}
		if status, _, _ := do(t, request(base, "GET", "/well")); status != 200 {
			t.Errorf("afterwards: got %d", status)
		}
	})
}

func cutShort(base, path string) error {
	response, err := client.Do(request(base, "GET", path))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.ReadAll(response.Body)
	return err
}

func code(body []byte) string {
	var refusal struct {
		Error, Code string
		RequestID   string `json:"request_id"`
	}
	if json.Unmarshal(body, &refusal) != nil || refusal.Error == "" || refusal.RequestID == "" {
		return ""
	}
	return refusal.Code
}

func TestUnsupportedControlsSaySo(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := w.(http.Flusher); !ok {
			panic("no Flusher")
		}
		err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute))
		io.WriteString(w, fmt.Sprint(err))
	})
	everyDoor(t, h, func(t *testing.T, _ entry, base string) {
		if _, _, body := do(t, request(base, "GET", "/")); string(body) != "<nil>" &&
			string(body) != http.ErrNotSupported.Error() {
			t.Errorf("got %q", body)
		}
	})
}
