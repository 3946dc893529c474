package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"keyless/shared/quota"
)

func TestBytesPassUnchangedBothWays(t *testing.T) {
	t.Parallel()
	var binary strings.Builder
	for i := range 100_000 {
		binary.WriteByte(byte(i * 7))
	}
	for name, body := range map[string]string{
		"nothing": "",
		"JSON that no encoder would write": "" +
			"\n{ \"a\" :1e400,\t\"a\":\"\\u0041\\/\",\"b\": 1.00000000000000001 } \r\n",
		"text that is not UTF-8": "{\"x\":\"\xff\xfe\"}",
		"bytes of every value":   binary.String(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := record(t, func(w http.ResponseWriter, _ *http.Request) {
				_,
					_ = io.WriteString(w, body)
			})
			w := open(t, upstream.URL)
			paths := []string{"/v1/files", "/anthropic/v1/messages/batches", "/accounts/x"}
			if name == "nothing" { // a message is to be one to any reader
				paths = append(paths, "/mcp")
			}
			if strings.HasPrefix(name, "JSON") { // a model's call is to be JSON
				paths = append(paths, "/v1/chat/completions", "/anthropic/v1/messages")
			}
			for _, path := range paths {
				for _, chunked := range []bool{false, true} {
					r := w.request(http.MethodPost, path, body)
					if chunked {
						r.ContentLength, r.Body = -1, io.NopCloser(strings.NewReader(body))
					}
					got := do(t, r)
					equal(t, path+": status", got.StatusCode, 200)
					equal(t, path+": the answer is whole", got.err, nil)
					equal(t, path+": answer unchanged", got.body == body, true)
					seen := upstream.last()
					equal(t, path+": body unchanged", seen.body == body, true)
					equal(t, path+": length announced", seen.ContentLength, int64(len(body)))
					equal(t, path+": never chunked", len(seen.TransferEncoding), 0)
				}
			}
		})
	}
}

func TestPathsAtTheUpstream(t *testing.T) {
	t.Parallel()
	upstream := record(t, nil)
	w := open(t, upstream.URL)
	for path, want := range map[string]string{
		"/v1/chat/completions":     "/provider/v1/chat/completions",
		"/v1/models/a%20b:c":       "/provider/v1/models/a%20b:c",
		"/v1":                      "/provider/v1",
		"/v1/":                     "/provider/v1/",
		"/v1?a=1":                  "/provider/v1?a=1",
		"/v1?":                     "/provider/v1?",
		"/anthropic/v1/messages":   "/v1/messages",
		"/anthropic":               "/",
		"/mcp":                     "/mcp",
		"/mcp/":                    "/mcp/",
		"/accounts/ü":              "/accounts/%C3%BC",
		"/accounts?q=%zz&a;b&&=&x": "/accounts?q=%zz&a;b&&=&x",
		"/accounts?token=a&key=b":  "/accounts?token=a&key=b",
		"/v1?a=%7e&b=+&c":          "/provider/v1?a=%7e&b=+&c",
		"/v1?a=1&KEY=s&b=2&to%6ben=s&api_key=s&apikey=s&access_token": "/provider/v1?a=1&b=2",
		"/v1?token=s": "/provider/v1",
	} {
		equal(t, path+": status", do(t, w.request(http.MethodGet, path, "")).StatusCode, 200)
		equal(t, path, upstream.last().RequestURI, want)
		equal(t, "Host", "http://"+upstream.last().Host, upstream.URL)
	}
	equal(t, "101 parameters", do(t, w.request(http.MethodGet, "/v1?"+strings.Repeat("a&", 100)+"a",
		"")).StatusCode, 400)
	equal(t, "100 parameters", do(t, w.request(http.MethodGet, "/v1?"+strings.Repeat("a&", 99)+"a",
		"")).StatusCode, 200)
}

func TestStreamArrivesAsItIsProduced(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]string{"an event stream": "text/event-stream; charset=utf-8",
		"an unknown length": "text/plain"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			read := make(chan struct{})
			upstream := record(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", kind)
				w.WriteHeader(http.StatusOK)
				_ = http.NewResponseController(w).Flush()
				for i := range 4 { // the head, then three events, each only after the one before was read
					select {
					case <-read:
					case <-r.Context().Done():
						return
					}
					if i < 3 {
						_, _ = fmt.Fprintf(w, "data: %d\n\n", i)
						_ = http.NewResponseController(w).Flush()
					}
				}
			})
			w := open(t, upstream.URL)
			response, err := client.Do(w.request(http.MethodPost, "/v1/chat/completions",
				`{"stream":true}`))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			read <- struct{}{}
			lines := bufio.NewReader(response.Body)
			for i := range 3 {
				line, err := lines.ReadString('\n')
				equal(t, "event", line, fmt.Sprintf("data: %d\n", i))
				equal(t, "error", err, nil)
				_, _ = lines.ReadString('\n')
				read <- struct{}{}
			}
			rest, err := io.ReadAll(lines)
			equal(t, "the stream ends as the upstream's did", string(rest), "")
			equal(t, "error", err, nil)
		})
	}
}

// TestLoginFlow is the requirement's: a backend behind an open API issues the token itself.
func TestLoginFlow(t *testing.T) {
	t.Parallel()
	upstream := record(t, func(w http.ResponseWriter, r *http.Request) {
		if user, _, ok := r.BasicAuth(); !ok || user != "machine" {
			w.Header().Set("WWW-Authenticate", `Basic realm="accounts"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Add("Set-Cookie", "a=1; HttpOnly")
		w.Header().Add("Set-Cookie", "b=2")
		w.Header().Set("Location", "http://elsewhere.example/home?x=1")
		w.WriteHeader(http.StatusSeeOther)
		_, _ = io.WriteString(w, "token")
	})
	w := open(t, upstream.URL)
	got := do(t, w.request(http.MethodPost, "/accounts/login", "user=machine", "Authorization: "))
	equal(t, "refused by the backend", got.StatusCode, 401)
	equal(t, "in its words", got.Header.Get("WWW-Authenticate"), `Basic realm="accounts"`)
	r := w.request(http.MethodPost, "/accounts/login", "user=machine", "Cookie: old=1")
	r.SetBasicAuth("machine", "pass")
	got = do(t, r)
	equal(t, "redirect", got.StatusCode, 303)
	equal(t, "Location", got.Header.Get("Location"), "http://elsewhere.example/home?x=1")
	equal(t, "Set-Cookie", strings.Join(got.Header["Set-Cookie"], "|"), "a=1; HttpOnly|b=2")
	equal(t, "body", got.body, "token")
	equal(t, "Cookie", upstream.last().Header.Get("Cookie"), "old=1")
	equal(t, "sent", upstream.last().body, "user=machine")
}

func TestU14U16ProviderKeyStaysHere(t *testing.T) {
	t.Parallel()
	echo := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, "bad key %s, and again %s, %s…", r.Header.Get("Authorization"),
			providerKey, providerKey[:10])
	}
	upstream := record(t, echo)
	w := open(t, upstream.URL)
	got := do(t, w.request(http.MethodPost, "/v1", "{}"))
	masked := strings.Repeat("*", len(providerKey))
	equal(t, "status", got.StatusCode, 400)
	equal(t, "body", got.body, "bad key Bearer "+masked+", and again "+masked+", ********de…")

	other := record(t, nil)
	upstream = record(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/steal", http.StatusTemporaryRedirect)
	})
	w = open(t, upstream.URL)
	for _, path := range []string{"/v1", "/mcp"} {
		got = do(t, w.request(http.MethodPost, path, "{}"))
		equal(t, "status", got.StatusCode, 502)
		equal(t, "Location", got.Header.Get("Location"), "")
	}
	equal(t, "requests at the other host", other.count(), 0)
	within(t, "the first access line is written", w.ended)
	within(t, "the second access line is written", w.ended)
	if text := w.log.String(); strings.Contains(text, providerKey) || strings.Contains(text,
		token("shop")) {
		t.Error("a secret stands in the log: " + text)
	}
}

func TestAdmissionIsAskedForTheCall(t *testing.T) {
	t.Parallel()
	upstream := record(t, nil)
	stale := 2
	w := open(t, upstream.URL, func(w *world) {
		w.quota.verdict = func() (quota.Admission, error) {
			stale--
			return quota.Admission{Stale: stale >= 0, Admitted: stale < 0}, nil
		}
	})
	equal(t, "status", do(t, w.request(http.MethodPost, "/v1", "body")).StatusCode, 200)
	equal(t, "asked until not stale", w.quota.admitted(), 3)
	equal(t, "one call went up", upstream.count(), 1)
	equal(t, "with its body", upstream.last().body, "body")
	call := w.quota.calls[0]
	equal(t, "id", call.RequestID, requestID)
	equal(t, "domain", call.Domain.Name, "default")
	equal(t, "API", call.API.Name, "models")
	equal(t, "consumer", call.Consumer.Name, "shop")
	equal(t, "groups that exist", len(call.Groups), 1)
	equal(t, "revision", call.Revision != "", true)
	within(t, "the access line is written", w.ended)
	for _, fact := range []string{"api=models", "domain=default", "consumer=shop", "upstream=openai",
		"upstream_status=200", "ttfb_ms="} {
		equal(t, "the access line has "+fact, strings.Contains(w.log.String(), fact), true)
	}
}
