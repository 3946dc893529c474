package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"keyless/shared/platform/door"
	"keyless/shared/platform/server"
)

// open starts a server; stop ends it and gives what Serve gave.
func open(t *testing.T, o server.Options, h http.HandlerFunc) (string, func() error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.Listener, o.Log = listener, slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, o, h) }()
	stop := func() error {
		cancel()
		err := <-ended
		ended <- err
		return err
	}
	t.Cleanup(func() { stop() })
	return listener.Addr().String(), stop
}

// exchange sends raw bytes and gives the raw answer.
func exchange(t *testing.T, address, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(c, request)
	answer, _ := io.ReadAll(c)
	return string(answer)
}

func tell(w http.ResponseWriter, r *http.Request) {
	deadline, bounded := r.Context().Deadline()
	margin := time.Duration(0)
	if bounded {
		margin = time.Until(deadline).Round(time.Minute)
	}
	fmt.Fprintf(w, "%s %s %s %s %v", r.Method, r.RequestURI, r.URL, r.Host, margin)
	w.Header().Set("X-Late", "x")
}

const tail = " HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n\r\n"

func TestTargetsArriveInOriginForm(t *testing.T) {
	t.Parallel()
	address, _ := open(t, server.Options{}, tell)
	for target, want := range map[string]string{
		"GET /a%2Fb?x=1":                     "GET /a%2Fb?x=1 /a%2Fb?x=1 api.example 0s",
		"GET http://other.example/a%2Fb?x=1": "GET /a%2Fb?x=1 /a%2Fb?x=1 other.example 0s",
		"GET http://other.example":           "GET / / other.example 0s",
		"OPTIONS *":                          "OPTIONS * * api.example 0s",
		"GET //evil.example/a":               "GET //evil.example/a //evil.example/a api.example 0s",
	} {
		got := exchange(t, address, target+tail)
		if !strings.HasSuffix(got, "\r\n\r\n"+want) {
			t.Errorf("%s: got %q", target, got)
		}
	}
}

func TestTheHeadOfARequestIsBounded(t *testing.T) {
	t.Parallel()
	address, _ := open(t, server.Options{}, tell)
	for size, want := range map[int]string{20 << 10: "HTTP/1.1 200", 64 << 10: "HTTP/1.1 431"} {
		request := "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Big: " + strings.Repeat("x", size)
		if got := exchange(t, address, request+"\r\n\r\n"); !strings.HasPrefix(got, want) {
			t.Errorf("%d bytes: got %.20q", size, got)
		}
	}
}

func call(t *testing.T, method, url string, header map[string]string, body string) (int, http.Header,
	string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(got)
}

func TestFunctionComputesHeadersAreBelievedOnlyUnderIt(t *testing.T) {
	t.Parallel()
	in := time.Now().Add(10 * time.Minute)
	header := map[string]string{"X-Fc-Request-Id": "of-the-platform", "X-Request-Id": "of-the-client",
		"X-Fc-Function-Deadline": strconv.FormatInt(in.UnixMilli(), 10), "X-Fc-Access-Key-Secret": "secret"}
	for under, want := range map[bool]string{true: "10m0s", false: "0s"} {
		address, _ := open(t, server.Options{UnderFC: under}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Id", r.Header.Get("X-Request-Id"))
			w.Header().Set("X-Names", fmt.Sprint(r.Header))
			tell(w, r)
		})
		_, got, body := call(t, "GET", "http://"+address+"/", header, "")
		if !strings.HasSuffix(body, want) || strings.Contains(got.Get("X-Names"), "X-Fc-") ||
			(got.Get("X-Id") == "of-the-platform") != under || got.Get("X-Id") == "of-the-client" {
			t.Errorf("under function compute %t: got %q, %v", under, body, got)
		}
	}
}

func TestLifecycleCalls(t *testing.T) {
	t.Parallel()
	ask := func(_ context.Context, event json.RawMessage) (json.RawMessage, bool, error) {
		switch string(event) {
		case "question":
			return json.RawMessage(`"answer"`), true, nil
		case "unproven":
			return nil, true, errors.New("Unauthorized")
		}
		return nil, false, nil
	}
	for name, c := range map[string]struct {
		under            bool
		event            door.EventHandler
		initialize       error
		method, path     string
		control, body    string
		status           int
		failed, ordinary bool
	}{
		"initialize": {true, nil, nil, "POST", "/initialize", "/initialize", "", 200, false, false},
		"initialize fails": {true, nil, errors.New("secret"), "POST", "/initialize", "/initialize", "", 500, true,
			false},
		"pre-stop":                   {true, nil, nil, "GET", "/pre-stop", "/pre-stop", "", 200, false, false},
		"pre-freeze":                 {true, nil, nil, "GET", "/pre-freeze", "/pre-freeze", "", 200, false, false},
		"not under function compute": {false, nil, nil, "POST", "/initialize", "/initialize", "", 200, false, true},
		"without the control header": {true, nil, nil, "POST", "/initialize", "", "", 200, false, true},
		"with another's":             {true, nil, nil, "POST", "/initialize", "/pre-stop", "", 200, false, true},
		"with an ordinary call's":    {true, nil, nil, "GET", "/pre-stop", "/http-invoke", "", 200, false, true},
		"another method":             {true, nil, nil, "GET", "/initialize", "/initialize", "", 200, false, true},
		"an event":                   {true, ask, nil, "POST", "/invoke", "/invoke", "question", 200, false, false},
		"an event's error":           {true, ask, nil, "POST", "/invoke", "/invoke", "unproven", 500, true, false},
		"an event not handled":       {true, ask, nil, "POST", "/invoke", "/invoke", "other", 200, false, true},
		"an event without a handler": {true, nil, nil, "POST", "/invoke", "/invoke", "question", 200, false, true},
		"a client's invoke":          {true, ask, nil, "POST", "/invoke", "", "question", 200, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := server.Options{UnderFC: c.under, Event: c.event,
				Initialize: func(context.Context) error { return c.initialize }}
			address, _ := open(t, o, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				fmt.Fprintf(w, "ordinary %s", body)
			})
			status, header, body := call(t, c.method, "http://"+address+c.path,
				map[string]string{"X-Fc-Control-Path": c.control}, c.body)
			if status != c.status || (header.Get("X-Fc-Status") == "404") != c.failed ||
				(body == "ordinary "+c.body) != c.ordinary || strings.Contains(body, "secret") {
				t.Errorf("got %d %v %q", status, header, body)
			}
		})
	}
}

func TestCallsInFlightDrain(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	address, stop := open(t, server.Options{}, func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-leave
		io.WriteString(w, "whole")
	})
	answer := make(chan string)
	go func() { answer <- exchange(t, address, "GET /"+tail) }()
	<-entered
	ended := make(chan error)
	go func() { ended <- stop() }()
	for { // until the listener is closed
		c, err := net.Dial("tcp", address)
		if err != nil {
			break
		}
		c.Close()
	}
	close(leave)
	if got := <-answer; !strings.HasSuffix(got, "whole") {
		t.Errorf("got %q", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestWhatDoesNotDrainIsCancelledAndMaySayFarewell(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	o := server.Options{Drain: time.Millisecond}
	address, stop := open(t, o, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "data: 1\n\n")
		http.NewResponseController(w).Flush()
		close(entered)
		<-r.Context().Done()
		io.WriteString(w, "event: error\n\n")
	})
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /"+tail)
	<-entered
	if err := stop(); err != nil {
		t.Error(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != "data: 1\n\nevent: error\n\n" {
		t.Errorf("got %q, %v", body, err)
	}
}

func TestATakenAddressIsAnError(t *testing.T) {
	t.Parallel()
	address, _ := open(t, server.Options{}, tell)
	err := server.Serve(context.Background(), server.Options{Addr: address}, http.HandlerFunc(tell))
	if err == nil || !strings.Contains(err.Error(), address) {
		t.Errorf("got %v", err)
	}
}
