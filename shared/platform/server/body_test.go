package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"keyless/shared/platform/server"
)

// C2: a client that announces a body and falls silent is let go; one that takes its time between pieces, and then waits for a slow
// answer, is not.
func TestC2SilentBodiesEnd(t *testing.T) {
	t.Parallel()
	const idle = 400 * time.Millisecond
	seen := make(chan error, 1)
	address, _ := open(t, server.Options{BodyIdle: idle}, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		seen <- err
		select {
		case <-r.Context().Done():
		case <-time.After(2 * idle): // the answer's time is not the body's
			fmt.Fprint(w, "done")
		}
	})
	send := func(pieces ...string) net.Conn {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
		for _, piece := range pieces {
			fmt.Fprint(conn, piece)
			time.Sleep(idle / 4)
		}
		return conn
	}
	send("a")
	select {
	case err := <-seen:
		if err == nil {
			t.Error("a body that never came was whole")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("a silent client holds on")
	}
	slow := send("a", "b", "c")
	if err := <-seen; err != nil {
		t.Fatalf("a slow body: %v", err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(slow), nil)
	if err != nil {
		t.Fatalf("a slow answer: %v", err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || string(text) != "done" {
		t.Errorf("%q, %v", text, err)
	}
}
