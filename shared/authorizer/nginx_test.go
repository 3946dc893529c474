package authorizer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"keyless/shared/auth"
	"keyless/shared/authorizer"
	"keyless/shared/config"
	"keyless/shared/registry"
)

func TestAnAnswerToNginx(t *testing.T) {
	t.Parallel()
	always := http.Header{"Cache-Control": {"no-store"}}
	for name, c := range map[string]struct {
		call   call
		limit  int
		status int
		want   http.Header // "" means absent
	}{
		"allowed": {get("/reports", bearer("alice")), 9, 200, http.Header{
			"X-Keyless-Code": {"allowed"}, "X-Consumer": {"alice"}, "X-Keyless-Subject": {"subject of alice"},
			"X-Mapped": {"subject of alice"}, "X-Nothing": {""}, "Www-Authenticate": {""}}},
		"open": {get("/open"), 9, 200, http.Header{"X-Keyless-Code": {"allowed"}, "X-Consumer": {""},
			"X-Keyless-Subject": {""}}},
		"nothing sent": {get("/reports"), 9, 401, http.Header{"X-Keyless-Code": {"jwt_missing"},
			"X-Consumer": {""}, "Www-Authenticate": {`Bearer realm="reports"`}}},
		"a bad token": {get("/reports", "Bearer x"), 9, 401, http.Header{
			"X-Keyless-Code": {"jwt_verification_failed"}, "X-Consumer": {""},
			"Www-Authenticate": {`Bearer realm="reports", error="invalid_token"`}}},
		"may not": {get("/reports", bearer("carol")), 9, 403, http.Header{"X-Keyless-Code": {"access_denied"},
			"X-Consumer": {""}, "X-Keyless-Subject": {""}, "X-Mapped": {""}, "Www-Authenticate": {""}}},
		"over the limit": {get("/reports", bearer("alice")), 0, 403, http.Header{"X-Keyless-Code": {"domain_limit"},
			"X-Consumer": {""}, "Retry-After": {"3600"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reply := serve(open(standard().store(t), &counter{limit: c.limit}), nginxRequest(c.call))
			if reply.StatusCode != c.status {
				t.Errorf("status %d", reply.StatusCode)
			}
			for _, want := range []http.Header{always, c.want} {
				for name := range want {
					if got := reply.Header.Get(name); got != want.Get(name) {
						t.Errorf("%s: got %q, want %q", name, got, want.Get(name))
					}
				}
			}
			id, body := reply.Header.Get("X-Request-Id"), readAll(t, reply.Body)
			if len(id) != 32 {
				t.Errorf("request id %q", id)
			}
			if c.status == 200 {
				if len(body) > 0 {
					t.Errorf("body %s", body)
				}
				return
			}
			var problem struct {
				Status                  int
				Detail, Code, RequestID string
			}
			body = bytes.Replace(body, []byte("request_id"), []byte("RequestID"), 1)
			if err := json.Unmarshal(body, &problem); err != nil || problem.Status != c.status ||
				problem.Detail == "" || problem.Code != c.want.Get("X-Keyless-Code") || problem.RequestID != id ||
				reply.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("body %s", body)
			}
		})
	}
}

func set(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func drop(name string) func(*http.Request) { return func(r *http.Request) { r.Header.Del(name) } }

func TestOnlyATrustedProxyIsBelieved(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit   func(*http.Request)
		status int
		code   string
	}{
		"as it should be": {func(*http.Request) {}, 200, "allowed"},
		"a POST with a body": {func(r *http.Request) {
			r.Method, r.Body = "POST", io.NopCloser(strings.NewReader("x"))
		}, 200, "allowed"},
		"from somewhere else": {func(r *http.Request) {
			r.RemoteAddr = "192.0.2.1:1"
		}, 403, "untrusted_proxy"},
		"from nowhere": {func(r *http.Request) {
			r.RemoteAddr = "@"
		}, 403, "untrusted_proxy"},
		"claiming to be here": {func(r *http.Request) {
			r.RemoteAddr = "192.0.2.1:1"
			r.Header.Set("X-Forwarded-For", "127.0.0.1")
		}, 403, "untrusted_proxy"},
		"no method": {drop("X-Original-Method"), 403, "bad_request"},
		"no URI":    {drop("X-Original-URI"), 403, "bad_request"},
		"no host":   {drop("X-Original-Host"), 403, "bad_request"},
		"two URIs": {func(r *http.Request) {
			r.Header.Add("X-Original-URI", "/open")
		}, 403, "bad_request"},
		"an empty URI":          {set("X-Original-URI", ""), 403, "bad_request"},
		"a whole URL":           {set("X-Original-URI", "http://a/open"), 403, "bad_request"},
		"an encoded slash":      {set("X-Original-URI", "/open%2F..%2Freports"), 403, "bad_request"},
		"two slashes":           {set("X-Original-URI", "//reports"), 403, "bad_request"},
		"a method with a space": {set("X-Original-Method", "GET /open"), 403, "bad_request"},
		"a host with a comma":   {set("X-Original-Host", "a,b"), 403, "bad_request"},
		"other dialects' words": {func(r *http.Request) {
			r.Header.Set("X-Original-URI", "/reports/2026")
			r.Header.Del("Authorization")
			for _, name := range []string{"X-Forwarded-Uri", "X-Forwarded-Path", "X-Original-Url", "X-Rewrite-Url",
				"X-Envoy-Original-Path", "X-Ca-Remote-Auth-Raw-Path"} {
				r.Header.Set(name, "/open")
			}
		}, 401, "jwt_missing"},
		"another dialect's path": {func(r *http.Request) {
			r.URL.Path = "/_/authorize/traefik"
		}, 404, "dialect_not_found"},
		"a path below the dialect": {func(r *http.Request) {
			r.URL.Path = "/_/authorize/nginx/open"
		}, 404, "dialect_not_found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := nginxRequest(get("/reports?x=1", bearer("alice")))
			c.edit(r)
			reply := serve(open(standard().store(t), &counter{limit: 9}), r)
			if got := reply.Header.Get("X-Keyless-Code"); reply.StatusCode != c.status || got != c.code {
				t.Errorf("got %d %s", reply.StatusCode, got)
			}
			if reply.StatusCode != 200 && reply.Header.Get("X-Consumer") != "" {
				t.Error("an identity on a refusal")
			}
		})
	}
}

// A consumer whose token stands in a header that gateways use for their own ends cannot be proven by it.
func TestForwardingHeadersAreNoCredentials(t *testing.T) {
	t.Parallel()
	w := standard()
	w.consumers = []string{strings.Replace(consumer("alice", "", "reports"),
		`"jwt":{`, `"jwt":{"header":"X-Forwarded-Access-Token","prefix":"",`, 1)}
	store := w.store(t)
	write(t, store, places("header:x-forwarded-access-token:"))
	r := nginxRequest(get("/reports"))
	r.Header.Set("X-Forwarded-Access-Token", bearer("alice")[len("Bearer "):])
	if reply := serve(open(store, &counter{limit: 9}), r); reply.StatusCode != 401 {
		t.Errorf("got %d", reply.StatusCode)
	}
}

const nginxConf = `daemon off;
master_process off;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  server {
    listen %[2]s;
    location / {
      auth_request /_authorize;
      auth_request_set $consumer $upstream_http_x_consumer;
      proxy_set_header X-Consumer $consumer;
      proxy_pass http://%[3]s;
    }
    location = /_authorize {
      internal;
      proxy_pass http://%[4]s/_/authorize/nginx;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_set_header X-Original-Method $request_method;
      proxy_set_header X-Original-URI $request_uri;
      proxy_set_header X-Original-Host $host;
    }
  }
}
`

// startNginx runs nginx with a configuration of its own before a backend, and gives its URL.
func startNginx(t *testing.T, backend, authorizer *httptest.Server) string {
	t.Helper()
	binary, err := exec.LookPath("nginx")
	if err != nil {
		if binary = "/usr/sbin/nginx"; !exists(binary) {
			if os.Getenv("KEYLESS_TEST_ALL") != "" {
				t.Fatal("NOT RUN: nginx is not installed")
			}
			t.Skip("NOT RUN: nginx is not installed")
		}
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	dir := t.TempDir()
	conf := fmt.Sprintf(nginxConf, dir, address, backend.Listener.Addr(), authorizer.Listener.Addr())
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(binary, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"),
		"-e", filepath.Join(dir, "error.log"))
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
	})
	for range 200 {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return "http://" + address
		}
		time.Sleep(10 * time.Millisecond)
	}
	text, _ := os.ReadFile(filepath.Join(dir, "error.log"))
	t.Fatalf("nginx does not listen: %s", text)
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestBehindARealNginx(t *testing.T) {
	t.Parallel()
	var got http.Header
	reached := 0
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached++
		got = r.Header
		io.WriteString(w, "hello")
	}))
	defer backend.Close()
	var counts counter
	counts.limit = 3
	store := registry.Store(standard().store(t))
	ours := httptest.NewServer(authorizer.New(authorizer.Options{
		Reader: registry.NewReader(store, nil, clock),
		Gate:   auth.New(noKeys{}, "https://gateway.example", clock), Quota: &counts,
		Proxies: config.Loopback(), Now: clock, Log: slog.New(slog.DiscardHandler),
	}))
	defer ours.Close()
	base := startNginx(t, backend, ours)

	spoof := http.Header{"X-Original-Method": {"GET"}, "X-Original-Uri": {"/open"},
		"X-Original-Host": {"other.example"},
		"X-Forwarded-Uri": {"/open"}, "X-Forwarded-Method": {"GET"}, "X-Forwarded-Host": {"other.example"},
		"X-Original-Url": {"/open"}, "X-Rewrite-Url": {"/open"}, "X-Consumer": {"root"}}
	steps := []struct {
		name, method, path, authorization string
		spoof                             bool
		status                            int
		consumer, challenge               string
	}{
		{"nobody", "GET", "/reports", "", false, 401, "", `Bearer realm="reports"`},
		{"nobody, spoofing", "DELETE", "/reports", "", true, 401, "", `Bearer realm="reports"`},
		{"may not, spoofing", "GET", "/v1/admin", bearer("alice"), true, 403, "", ""},
		{"may", "GET", "/reports/a?b=c", bearer("alice"), false, 200, "alice", ""},
		{"may, claiming to be root", "POST", "/reports", bearer("alice"), true, 200, "alice", ""},
		{"a path that nginx would normalize", "GET", "/open/../reports", bearer("alice"), false, 403, "", ""},
		{"open, claiming to be root", "GET", "/open", "", true, 200, "", ""},
		{"the limit is reached", "GET", "/reports", bearer("alice"), false, 403, "", ""},
	}
	for _, step := range steps {
		before := reached
		reply := through(t, base, step.method, step.path, step.authorization,
			map[bool]http.Header{true: spoof}[step.spoof])
		challenge := reply.Header.Get("WWW-Authenticate")
		if reply.StatusCode != step.status || challenge != step.challenge {
			t.Errorf("%s: got %d, challenge %q", step.name, reply.StatusCode, challenge)
		}
		if passed := reached > before; passed != (step.status == 200) {
			t.Errorf("%s: the backend was reached: %t", step.name, passed)
		}
		if step.status == 200 && strings.Join(got["X-Consumer"], ",") != step.consumer {
			t.Errorf("%s: the backend sees %q", step.name, got["X-Consumer"])
		}
	}
	counts.mu.Lock()
	counts.err = errDown
	counts.mu.Unlock()
	if reply := through(t, base, "GET", "/reports", bearer("alice"), nil); reply.StatusCode != 500 {
		t.Errorf("a failure: got %d", reply.StatusCode)
	}
}

// through sends a request whose path is not cleaned on the way.
func through(t *testing.T, base, method, path, authorization string, spoof http.Header) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, base, strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	r.URL.Opaque = "//" + r.URL.Host + path
	r.Header = spoof.Clone()
	if r.Header == nil {
		r.Header = http.Header{}
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	readAll(t, reply.Body)
	return reply
}

func readAll(t *testing.T, body io.ReadCloser) []byte {
	t.Helper()
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
