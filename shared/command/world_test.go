package command

import (
	"bytes"
	"context"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyless/shared/config"
)

// keyless runs the command line and returns exit code, standard output and standard error.
func keyless(env map[string]string, stdin string, args ...string) (int, string, string) {
	var out, errs bytes.Buffer
	code := run(context.Background(), terminal{
		lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		stdin:  strings.NewReader(stdin), stdout: &out, stderr: &errs,
	}, args)
	return code, out.String(), errs.String()
}

// bothWays are the two ways to reach a gateway.
func bothWays(env map[string]string) map[string]map[string]string {
	remote := map[string]string{"KEYLESS_URL": env["SERVED"], "KEYLESS_ADMIN_TOKEN": env["KEYLESS_ADMIN_TOKEN"], "KEYLESS_DATA": "/nowhere"}
	return map[string]map[string]string{"in the store": env, "over the admin API": remote}
}

// must runs a command that has to end with a code, and returns what it printed.
func must(t *testing.T, code int, env map[string]string, args ...string) string {
	t.Helper()
	got, out, errs := keyless(env, "", args...)
	if got != code {
		t.Fatalf("keyless %s: exit %d, want %d\n%s%s", strings.Join(args, " "), got, code, out, errs)
	}
	return out + errs
}

// says fails where a text lacks a part, or has one that begins with "!".
func says(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if without, not := strings.CutPrefix(part, "!"); not == strings.Contains(text, strings.TrimPrefix(part, "!")) {
			t.Errorf("%q (unwanted %t) in\n%s", without, not, text)
		}
	}
}

// write makes a file in a folder of the test.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// servingGateway starts keyless serve on a free port, with a store of its own, and returns the environment of a command line beside it.
func servingGateway(t *testing.T) map[string]string {
	t.Helper()
	return servingOn(t, explainedGateway)
}

// servingUnder serves an empty store under a master key.
func servingUnder(t *testing.T, key string) map[string]string {
	t.Helper()
	return servingWith(t, "", map[string]string{"KEYLESS_MASTER_KEY": key})
}

func servingOn(t *testing.T, configuration string) map[string]string {
	t.Helper()
	return servingWith(t, configuration, nil)
}

func servingWith(t *testing.T, configuration string, more map[string]string) map[string]string {
	t.Helper()
	folder := t.TempDir()
	file := filepath.Join(folder, "gateway.yaml")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		"KEYLESS_ADDR": "127.0.0.1:0", "KEYLESS_DATA": filepath.Join(folder, "data"), "KEYLESS_CONFIG": file,
		"KEYLESS_ADMIN_TOKEN": "MARKER-admin-token-0123456789", "KEYLESS_LOG": "text,error",
	}
	if configuration == "" {
		delete(env, "KEYLESS_CONFIG")
	}
	maps.Copy(env, more)
	var out bytes.Buffer
	term := terminal{lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok }, stdout: &out, stderr: &out}
	c, err := config.Load(term.lookup, config.Serve())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := start(ctx, term, c, false)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.run() }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err == nil {
			_ = conn.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	beside := map[string]string{"KEYLESS_DATA": env["KEYLESS_DATA"], "KEYLESS_LOG": "text,error", "SERVED": s.URL,
		"KEYLESS_ADMIN_TOKEN": env["KEYLESS_ADMIN_TOKEN"]}
	maps.Copy(beside, more)
	return beside
}
