package authorizer_test

import (
	"context"
	_ "embed"
	"fmt"
	"io"
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
)

// front is a gateway of some kind before a backend, asking an authorizer.
type front struct {
	// start gives its URL.
	start   func(t *testing.T, backend, authorizer *httptest.Server) string
	failure int  // its answer where the authorizer fails
	relays  bool // a refusal's body reaches the client
}

func TestBehindAGateway(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]front{
		"nginx":                 {startNginx, 500, false},
		"HAProxy":               {startHAProxy, 503, false},
		"Traefik, doubled":      {double(traefikDouble), 503, true},
		"Envoy, doubled":        {double(pathDouble("envoy", statusOK)), 403, true},
		"Higress, doubled":      {double(pathDouble("higress", statusOK)), 403, true},
		"Higress, forward_auth": {double(higressForward), 403, true},
		"Alibaba, doubled":      {double(pathDouble("apig", statusOK)), 403, true},
		"Alibaba's own verdict": {double(pathDouble("apig", verdictTrue)), 403, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f.drive(t)
		})
	}
}

// drive sends calls through the front, good and lying ones, and looks at what reaches client and backend.
func (f front) drive(t *testing.T) {
	var got http.Header
	reached := 0
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached++
		got = r.Header
		io.WriteString(w, "hello")
	}))
	defer backend.Close()
	var counts counter
	counts.limit = 3 // calls of /reports and /open
	ours := httptest.NewServer(open(everything().store(t), &counts))
	defer ours.Close()
	base := f.start(t, backend, ours)
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
		{"a path that some would normalize", "GET", "/open/../reports", bearer("alice"), false, 403, "", ""},
		{"open, claiming to be root", "GET", "/open", "", true, 200, "", ""},
		{"the limit is reached", "GET", "/reports", bearer("alice"), false, 403, "", ""},
	}
	for _, step := range steps {
		before := reached
		reply := through(t, base, step.method, step.path, step.authorization,
			map[bool]http.Header{true: lies}[step.spoof])
		challenge := reply.Header.Get("WWW-Authenticate")
		if relayed := reply.Header.Get("Content-Type") == "application/problem+json"; f.relays &&
			relayed != (step.status != 200) {
			t.Errorf("%s: a problem document: %t", step.name, relayed)
		}
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
	if reply := through(t, base, "GET", "/reports", bearer("alice"), nil); reply.StatusCode != f.failure {
		t.Errorf("a failure: got %d", reply.StatusCode)
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
	binary, address, dir := installed(t, "nginx"), freeAddress(t), t.TempDir()
	conf := fmt.Sprintf(nginxConf, dir, address, backend.Listener.Addr(), authorizer.Listener.Addr())
	file := write0600(t, dir, "nginx.conf", conf)
	run(t, address, exec.Command(binary, "-p", dir, "-c", file, "-e", filepath.Join(dir, "error.log")))
	return "http://" + address
}

//go:embed testdata/haproxy.lua
var haproxyLua string

const haproxyConf = `global
  lua-load %[1]s/haproxy.lua
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend front
  bind %[2]s
  http-request lua.authorize http://%[4]s/_/authorize/nginx
  acl unproven var(txn.status) -m int 401
  http-request return status 401 hdr WWW-Authenticate %%[var(txn.challenge)] if unproven
  http-request deny deny_status 403 if { var(txn.status) -m int 403 }
  http-request deny deny_status 503 unless { var(txn.status) -m int 200 }
  http-request del-header X-Consumer
  http-request set-header X-Consumer %%[var(txn.consumer)] if { var(txn.consumer) -m found }
  default_backend back
backend back
  server backend %[3]s
`

// startHAProxy runs HAProxy, which asks by a small action in Lua.
func startHAProxy(t *testing.T, backend, authorizer *httptest.Server) string {
	t.Helper()
	binary, address, dir := installed(t, "haproxy"), freeAddress(t), t.TempDir()
	about, err := exec.Command(binary, "-vv").Output()
	if err != nil || !strings.Contains(string(about), "+LUA") {
		notRun(t, "haproxy is built without Lua")
	}
	write0600(t, dir, "haproxy.lua", haproxyLua)
	conf := fmt.Sprintf(haproxyConf, dir, address, backend.Listener.Addr(), authorizer.Listener.Addr())
	run(t, address, exec.Command(binary, "-db", "-f", write0600(t, dir, "haproxy.cfg", conf)))
	return "http://" + address
}

// installed finds a program, or ends the test as not run.
func installed(t *testing.T, name string) string {
	t.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name} {
		if binary, err := exec.LookPath(path); err == nil {
			return binary
		}
	}
	notRun(t, name+" is not installed")
	return ""
}

func notRun(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("KEYLESS_TEST_ALL") != "" {
		t.Fatal("NOT RUN: " + why)
	}
	t.Skip("NOT RUN: " + why)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer free.Close()
	return free.Addr().String()
}

func write0600(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// run starts a server, waits until it listens, and ends it with the test.
func run(t *testing.T, address string, command *exec.Cmd) {
	t.Helper()
	var said strings.Builder
	command.Stdout, command.Stderr = &said, &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
	for range 200 {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the server does not listen")
}

// through sends a request whose path is not cleaned on the way.
func through(t *testing.T, base, method, path, authorization string, spoof http.Header) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, base, strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	r.URL.Opaque = path
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
