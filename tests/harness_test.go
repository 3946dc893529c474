package tests

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// need skips a test for want of a component; where KEYLESS_TEST_ALL is set that is a failure.
func need(t *testing.T, component string) string {
	t.Helper()
	for _, name := range []string{component, "/usr/sbin/" + component} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("KEYLESS_TEST_ALL") != "" {
		t.Fatalf("%s is not installed, and KEYLESS_TEST_ALL wants every test run", component)
	}
	t.Skipf("NOT RUN: %s is not installed", component)
	return ""
}

var built struct {
	sync.Once
	folder string
	output []byte
	err    error
}

// binary builds all functions once, as they are released, for this machine, and returns the path of one.
func binary(t *testing.T, name string) string {
	t.Helper()
	built.Do(func() {
		if built.folder, built.err = os.MkdirTemp("", "keyless-tests-"); built.err != nil {
			return
		}
		build := exec.Command("go", "build", "-tags", "lambda.norpc", "-trimpath", "-buildvcs=false",
			"-ldflags", "-s -w -buildid=", "-o", built.folder+"/", "./functions/...")
		build.Dir = ".."
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		built.output, built.err = build.CombinedOutput()
	})
	if built.err != nil {
		t.Fatalf("build: %v\n%s", built.err, built.output)
	}
	return filepath.Join(built.folder, name)
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.folder != "" {
		_ = os.RemoveAll(built.folder)
	}
	os.Exit(code)
}

// child is a process of a test; it is ended by its own pid.
type child struct {
	cmd    *exec.Cmd
	output *lines
	done   chan struct{}
}

// lines collects what a process prints.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func spawn(t *testing.T, env []string, program string, args ...string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(program, args...), output: &lines{}, done: make(chan struct{})}
	c.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, env...)
	c.cmd.Stdout, c.cmd.Stderr = c.output, c.output
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // Pdeathsig follows the thread that starts the process
		c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		started <- c.cmd.Start()
		_ = c.cmd.Wait()
		close(c.done)
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.stop(t) })
	return c
}

// stop asks the process to end, and ends it after ten seconds.
func (c *child) stop(t *testing.T) {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(10 * time.Second):
		t.Errorf("%s did not end on SIGTERM", filepath.Base(c.cmd.Path))
		_ = c.cmd.Process.Kill()
		<-c.done
	}
	if t.Failed() {
		t.Logf("output of %s:\n%s", filepath.Base(c.cmd.Path), c.output)
	}
}

// waitFor waits until the process has printed the text and returns the rest of that line.
func (c *child) waitFor(t *testing.T, text string) string {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		scanner := bufio.NewScanner(strings.NewReader(c.output.String()))
		for scanner.Scan() {
			if _, rest, found := strings.Cut(scanner.Text(), text); found {
				return rest
			}
		}
		select {
		case <-c.done:
			t.Fatalf("%s ended:\n%s", filepath.Base(c.cmd.Path), c.output)
		default:
		}
	}
	t.Fatalf("%s never printed %q:\n%s", filepath.Base(c.cmd.Path), text, c.output)
	return ""
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// redisServer starts a real Redis without persistence and returns its address.
func redisServer(t *testing.T) string {
	t.Helper()
	program, port := need(t, "redis-server"), freePort(t)
	c := spawn(t, nil, program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	c.waitFor(t, "Ready to accept connections")
	return "127.0.0.1:" + port
}

// The keys of the tests' deployments.
const (
	masterKey  = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	signingKey = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="
	publicURL  = "https://gateway.example"
	secretOf   = "a-secret-of-the-tests-0123456789"
	provider   = "provider-key-of-the-tests"
)

// deployment is the environment of functions on one store.
func deployment(redisAddr string, more ...string) []string {
	return append([]string{
		"REDIS_URL=redis://" + redisAddr, "KEYLESS_MASTER_KEY=" + masterKey, "KEYLESS_SIGNING_MASTER_KEY=" + signingKey,
		"KEYLESS_PUBLIC_URL=" + publicURL, "KEYLESS_LOG=json,info",
	}, more...)
}

// configure applies a configuration to a store with the command line.
func configure(t *testing.T, redisAddr, text string, variables ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, append(deployment(redisAddr), variables...), "apply", "-f", name, "--prune")
	if err != nil {
		t.Fatalf("keyless apply: %v\n%s", err, out)
	}
	return out
}

// run runs the command line to its end.
func run(t *testing.T, env []string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(binary(t, "keyless"), args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, env...)
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// function starts a function as an HTTP server, the door of a container, and returns its base URL.
func function(t *testing.T, name string, env []string) string {
	t.Helper()
	port := freePort(t)
	spawn(t, append(env, "PORT="+port), binary(t, name))
	url := "http://127.0.0.1:" + port
	await(t, url+"/_/healthz")
	return url
}

// await waits until the URL answers 200.
func await(t *testing.T, url string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if r, err := http.Get(url); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return
			}
		}
	}
	t.Fatalf("%s never answered 200", url)
}

// answer is a response, read to its end.
type answer struct {
	Status int
	Header http.Header
	Body   string
	Err    error // of reading the body: a cut one
}

// ask sends a request built from method, URL, headers as "Name: value" lines and a body.
func ask(t *testing.T, method, url string, headers []string, body string) answer {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(text), err}
}

// mint asks the token endpoint for a token with a client's secret.
func mint(t *testing.T, base, client, secret, form string) string {
	t.Helper()
	a := ask(t, http.MethodPost, base+"/acme/oauth2/token", []string{
		"Content-Type: application/x-www-form-urlencoded", "Authorization: " + basic(client, secret),
	}, form)
	var reply struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(a.Body), &reply); err != nil || reply.AccessToken == "" {
		t.Fatalf("no token: %d %s", a.Status, a.Body)
	}
	return reply.AccessToken
}

func basic(user, password string) string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return r.Header.Get("Authorization")
}

func bearer(token string) string { return fmt.Sprintf("Authorization: Bearer %s", token) }
