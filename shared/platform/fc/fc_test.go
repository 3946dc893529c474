package fc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/aliyun/fc-runtime-go-sdk/fccontext"

	"keyless/shared/platform/fc"
)

var quiet = slog.New(slog.DiscardHandler)

func invoke(ctx context.Context, o fc.Options, h http.HandlerFunc, event string) (fc.Reply, error) {
	o.Log = quiet
	var reply fc.Reply
	raw, err := fc.Handler(o, h)(ctx, []byte(event))
	if err == nil {
		err = json.Unmarshal(raw, &reply)
	}
	return reply, err
}

func TestAnEventBecomesARequest(t *testing.T) {
	t.Parallel()
	event := `{"version":"v1","rawPath":"/a%2Fb","body":"aGVsbG8=","isBase64Encoded":true,
		"headers":{"Host":"evil.example","X-Fc-Security-Token":"s","Accept":"a,b"},
		"queryParameters":{"b":"1,2","a":"x y"},
		"requestContext":{"domainName":"api.example","requestId":"of-the-event",
			"http":{"method":"PUT","path":"/a/b","sourceIp":"192.0.2.1"}}}`
	var id string
	h := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		id = r.Header.Get("X-Request-Id")
		delete(r.Header, "X-Request-Id")
		fmt.Fprintf(w, "%s %s %s %s %v %s", r.Method, r.RequestURI, r.Host, r.RemoteAddr, r.Header, body)
	}
	reply, err := invoke(context.Background(), fc.Options{}, h, event)
	want := "PUT /a%2Fb?a=x+y&b=1%2C2 api.example 192.0.2.1:0 map[Accept:[a,b] Content-Length:[5]] hello"
	if err != nil || reply.Body != want || reply.StatusCode != 200 || id != "of-the-event" {
		t.Errorf("got %+v, id %s, %v", reply, id, err)
	}
	ctx := fccontext.NewContext(context.Background(), &fccontext.FcContext{RequestID: "of-the-context"})
	if invoke(ctx, fc.Options{}, h, event); id != "of-the-context" {
		t.Errorf("got id %s", id)
	}
}

func TestEventsThatAreNoRequests(t *testing.T) {
	t.Parallel()
	for _, event := range []string{"", "null", "[]", "{}", `{"version":"v2"}`, `{"version":"v1"}`,
		`{"version":"v1","isBase64Encoded":true,"body":"%","requestContext":{"http":{"method":"GET"}}}`} {
		if reply, err := invoke(context.Background(), fc.Options{}, http.NotFound, event); err == nil {
			t.Errorf("%s: got %+v", event, reply)
		}
	}
}

func TestTheEventHandlersErrorIsPassedOn(t *testing.T) {
	t.Parallel()
	o := fc.Options{Event: func(context.Context, json.RawMessage) (json.RawMessage, bool, error) {
		return nil, true, errors.New("Unauthorized")
	}}
	_, err := invoke(context.Background(), o, http.NotFound, `{}`)
	if err == nil || err.Error() != "Unauthorized" {
		t.Errorf("got %v", err)
	}
}

func TestOfSeveralCookiesTheLastPasses(t *testing.T) {
	t.Parallel()
	h := func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
		w.Header()["Vary"] = []string{"a", "b"}
		w.Write([]byte{0xff})
	}
	reply, err := invoke(context.Background(), fc.Options{}, h,
		`{"version":"v1","requestContext":{"http":{"method":"GET"}}}`)
	if err != nil || reply.Headers["Set-Cookie"] != "b=2" || reply.Headers["Vary"] != "a, b" ||
		!reply.IsBase64Encoded || reply.Body != "/w==" {
		t.Errorf("got %+v, %v", reply, err)
	}
}

// FuzzFCEvent: whatever the event, the door does not panic, and a request that comes of it is one that
// net/http could have made.
func FuzzFCEvent(f *testing.F) {
	event, err := os.ReadFile("../../../events/fc-http-v1.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(event, "x-header", "value")
	f.Add([]byte(`{"version":"v1","rawPath":"//%zz","requestContext":{"http":{"method":"GET"}}}`), "X_Y", "\r\n")
	f.Add([]byte(`{"version":"v1","requestContext":{"http":{"method":"G T","sourceIp":":"}}}`), "Cookie", "a=1")
	f.Fuzz(func(t *testing.T, event []byte, name, value string) {
		ours := false // whether the event has our header
		h := func(w http.ResponseWriter, r *http.Request) {
			if _, _, err := net.SplitHostPort(r.RemoteAddr); err != nil {
				t.Error(err)
			}
			if again, err := url.ParseRequestURI(r.RequestURI); err != nil || again.Path != r.URL.Path {
				t.Errorf("target %q is not the URL %v: %v", r.RequestURI, r.URL, err)
			}
			cookie := r.Header.Get("Cookie")
			valid := ours && name == "Cookie" && !strings.ContainsFunc(value, notPrintable)
			if valid && cookie != strings.TrimSpace(value) {
				t.Errorf("cookie: got %q, want %q", cookie, value)
			}
		}
		invoke(context.Background(), fc.Options{}, h, string(event))
		var fields map[string]any
		if json.Unmarshal(event, &fields) != nil || fields == nil {
			return
		}
		fields["headers"] = map[string]string{name: value}
		ours = true
		if with, err := json.Marshal(fields); err == nil {
			invoke(context.Background(), fc.Options{}, h, string(with))
		}
	})
}

func notPrintable(c rune) bool { return c < ' ' || c > '~' }
