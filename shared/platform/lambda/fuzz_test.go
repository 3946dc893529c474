package lambda_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyless/shared/platform/lambda"
)

// FuzzLambdaEvent: whatever the event, the door does not panic, and a request that comes of it is one that
// net/http could have made. A header and a cookie that were valid arrive as they were.
func FuzzLambdaEvent(f *testing.F) {
	files, err := filepath.Glob("../../../events/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no events: %v", err)
	}
	for _, file := range files {
		event, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(event, "x-header", "value", "a=1")
	}
	for _, event := range []string{
		`{"httpMethod":"GET","path":"/%2e%2e//x","requestContext":{}}`,
		`{"version":"2.0","rawPath":"\u0000?#%","rawQueryString":"%zz&&=",
			"requestContext":{"http":{"method":"A"}}}`,
		`{"httpMethod":"GET","path":"x","requestContext":{"elb":1}}`,
		`{"version":"2.0","rawPath":"/s","cookies":[";","=",""],
			"requestContext":{"stage":"s","http":{"method":"GET"}}}`,
	} {
		f.Add([]byte(event), "X_Y", "\r\n", "")
	}
	f.Fuzz(func(t *testing.T, event []byte, name, value, cookie string) {
		checkEvent(t, event, nil)
		var fields map[string]any
		if json.Unmarshal(event, &fields) != nil || fields == nil {
			return
		}
		fields["headers"] = map[string]string{name: value}
		fields["multiValueHeaders"] = map[string][]string{name: {value, value}}
		fields["cookies"] = []string{cookie}
		with, err := json.Marshal(fields)
		if err != nil {
			return
		}
		checkEvent(t, with, func(r *http.Request) {
			got := r.Header.Values(name)
			plain := isPlain(name) && isPlain(value) && http.CanonicalHeaderKey(name) != "Cookie"
			if plain && fields["version"] != "2.0" && (len(got) != 2 || got[0] != value || got[1] != value) {
				t.Errorf("header %s: got %q, want %q twice", name, got, value)
			}
			if c := r.Header.Get("Cookie"); isPlain(cookie) && fields["version"] == "2.0" && c != cookie {
				t.Errorf("cookie: got %q, want %q", c, cookie)
			}
		})
	})
}

func checkEvent(t *testing.T, event []byte, check func(*http.Request)) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, _, err := net.SplitHostPort(r.RemoteAddr); err != nil {
			t.Error(err)
		}
		again, err := url.ParseRequestURI(r.RequestURI)
		if err != nil || again.Path != r.URL.Path || again.EscapedPath() != r.URL.EscapedPath() {
			t.Errorf("target %q is not the URL %v: %v", r.RequestURI, r.URL, err)
		}
		for name := range r.Header {
			if strings.Contains(name, "_") || strings.HasPrefix(name, "X-Fc-") || name == "Host" {
				t.Errorf("header %s came in", name)
			}
		}
		if check != nil {
			check(r)
		}
	})
	for _, stream := range []bool{false, true} {
		o := lambda.Options{Stream: stream}
		if reply, err := invoke(context.Background(), o, h, string(event)); err == nil && reply == "" {
			t.Error("an empty reply")
		}
	}
}

// isPlain: letters and dashes, not one of the names that the door sets or takes away.
func isPlain(s string) bool {
	switch http.CanonicalHeaderKey(s) {
	case "Host", "Transfer-Encoding", "Trailer", "X-Request-Id", "Content-Length":
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || 'z' < c) && (c < 'A' || 'Z' < c) && c != '-' {
			return false
		}
	}
	return s != "" && !strings.HasPrefix(strings.ToLower(s), "x-fc-")
}
