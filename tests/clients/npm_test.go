package clients

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const npmFolder = "../npm"

// need names a program that a test cannot do without; where KEYLESS_TEST_ALL is set its absence is a failure.
func need(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if os.Getenv("KEYLESS_TEST_ALL") != "" {
		t.Fatalf("%s is not installed, and KEYLESS_TEST_ALL wants every test run", name)
	}
	t.Skipf("NOT RUN: %s is not installed", name)
}

// packages installs what package-lock.json names, once.
func packages(t *testing.T) {
	t.Helper()
	need(t, "node")
	need(t, "npm")
	installed, err := os.Stat(filepath.Join(npmFolder, "node_modules", ".package-lock.json"))
	locked, lockedErr := os.Stat(filepath.Join(npmFolder, "package-lock.json"))
	if err == nil && lockedErr == nil && installed.ModTime().After(locked.ModTime()) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	install := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = npmFolder
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
}

// start runs a program until the test ends, and returns the rest of the line on which it says that it is there.
func start(t *testing.T, env []string, says string, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout // one pipe for both
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines, seen := make(chan string, 1), &bytes.Buffer{}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s printed:\n%s", filepath.Base(program), seen)
		}
	})
	go func() {
		told := false
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			seen.WriteString(scanner.Text() + "\n")
			if _, rest, found := strings.Cut(scanner.Text(), says); found && !told {
				told = true
				lines <- rest
			}
		}
	}()
	select {
	case line := <-lines:
		return line
	case <-time.After(30 * time.Second):
		t.Fatalf("%s never said %q", filepath.Base(program), says)
		return ""
	}
}

// clientKey makes the key pair of the client that proves itself by private_key_jwt.
func clientKey(t *testing.T) (public, private string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	publicDER, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicDER})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: privateDER}))
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

// TestNPM runs the vendors' own JavaScript clients against the gateway, in front of the demo model and of the MCP SDK's example server.
func TestNPM(t *testing.T) {
	packages(t)
	program := build(t)
	mcpPort := freePort(t)
	start(t, []string{"PORT=" + mcpPort}, "listening on port", "node",
		npmFolder+"/node_modules/@modelcontextprotocol/server-everything/dist/index.js", "streamableHttp")
	const provider = "provider-key-of-the-npm-tests"
	upstream := start(t, []string{"DEMO_PROVIDER_KEY=" + provider}, "base_url ", program, "demo-upstream", "--addr", "127.0.0.1:0")
	upstream, _, _ = strings.Cut(upstream, "/v1,")
	public, private := clientKey(t)
	secret, apiKey := "a-client-secret-of-the-npm-tests", "an-api-key-of-the-npm-tests"
	url := start(t, []string{
		"KEYLESS_ADDR=127.0.0.1:0", "KEYLESS_DATA=", "KEYLESS_CONFIG=" + npmFolder + "/gateway.yaml", "KEYLESS_LOG=text,error",
		"CLIENT_SECRET=" + secret, "CLIENT_KEY=" + public, "UPSTREAM=" + upstream, "PROVIDER_KEY=" + provider, "API_KEY=" + apiKey,
		"MCP_SERVER=http://127.0.0.1:" + mcpPort + "/mcp",
	}, "Keyless Gateway serves ", program, "serve")
	files, err := filepath.Glob(npmFolder + "/*.test.mjs")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in %s: %v", npmFolder, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			// The flag gives Node 18 the global that newer ones have.
			run := exec.CommandContext(ctx, "node", "--experimental-global-webcrypto", "--test", filepath.Base(file))
			run.Dir = npmFolder
			run.Env = append(os.Environ(), "GATEWAY="+url, "CLIENT_SECRET="+secret, "CLIENT_PRIVATE_KEY="+private, "API_KEY="+apiKey)
			if out, err := run.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
