package storetest

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const (
	// startWithin is how long a server may take to answer its first PING on a loaded machine.
	startWithin = 10 * time.Second
	// startTries is how often another port is tried: between choosing a free port and listening on it
	// another process may take it.
	startTries = 5
)

// Redis starts a redis-server that keeps nothing, on a free port of the loopback, and returns its
// host:port. It ends with the test. Where the program is not installed the test is skipped, or fails
// under KEYLESS_TEST_ALL=1. More arguments go to the server as they are.
func Redis(t testing.TB, args ...string) string {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		NotRun(t, "redis-server is not installed")
	}
	for range startTries {
		if address, ok := start(t, program, args); ok {
			return address
		}
	}
	t.Fatal("redis-server does not start")
	return ""
}

// NotRun skips a test for want of something on this machine; under KEYLESS_TEST_ALL=1 that is a failure.
func NotRun(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("KEYLESS_TEST_ALL") == "1" {
		t.Fatal("NOT RUN: " + reason)
	}
	t.Skip("NOT RUN: " + reason)
}

func start(t testing.TB, program string, args []string) (string, bool) {
	t.Helper()
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	args = append([]string{
		"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", t.TempDir(),
	}, args...)
	server := exec.Command(program, args...)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = server.Wait(); close(ended) }()
	t.Cleanup(func() { _ = server.Process.Kill(); <-ended })
	for deadline := time.Now().Add(startWithin); time.Now().Before(deadline); {
		select {
		case <-ended:
			return "", false
		case <-time.After(10 * time.Millisecond):
		}
		if answers(address) {
			return address, true
		}
	}
	return "", false
}

func freeAddress(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// answers sends PING. A server with a password answers NOAUTH, which is an answer too.
func answers(address string) bool {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := fmt.Fprint(conn, "PING\r\n"); err != nil {
		return false
	}
	line, _ := bufio.NewReader(conn).ReadString('\n')
	return strings.HasPrefix(line, "+PONG") || strings.HasPrefix(line, "-NOAUTH")
}
