package tests

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serveConfig is a registry of one client, one consumer by our own token, and a small daily limit.
const serveConfig = `
version: 1
instances:
  - id: acme
    description: Machines of Acme
    privacy_agreement: accepted
    resource_servers: [{identifier: urn:models, name: Models, scopes: [{value: invoke, name: Invoke}]}]
    clients: [{id: caller, name: Caller, permissions: [{resource_server: "urn:models", scopes: [invoke]}]}]
domains: [{name: default, daily_call_limit: 3}]
upstreams: [{name: backend, protocol: http, base_url: "${UPSTREAM}"}]
apis:
  - {name: data, type: http, base_path: /data, upstreams: [{upstream: backend}]}
consumers:
  - {name: own, jwt: {jwks_url: "${KEYLESS_PUBLIC_URL}/acme/oauth2/jwks", claim: scope, value: invoke}, authorizations: [{api: data}]}
  - {name: generated, api_key: {}, authorizations: [{api: data}]}
`

// serveOn starts keyless serve on a folder and returns its URL.
func serveOn(t *testing.T, folder string, env ...string) (string, *child) {
	t.Helper()
	env = append([]string{"KEYLESS_ADDR=127.0.0.1:0", "KEYLESS_DATA=" + folder}, env...)
	c := spawn(t, env, binary(t, "keyless"), "serve")
	return c.waitFor(t, "Keyless Gateway serves "), c
}

// configured writes a configuration to a folder of its own and returns its name.
func configured(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

var generatedSecret = regexp.MustCompile(`secret +(\S+) .*: (\S+) +\((?:shown this once|again: [^)]*)\)`)

func TestServeOnAFolderComesBackAsItWas(t *testing.T) {
	u, folder := newUpstream(t), t.TempDir()
	port := freePort(t)
	env := []string{"KEYLESS_CONFIG=" + configured(t, serveConfig), "UPSTREAM=" + u.URL, "KEYLESS_ADDR=127.0.0.1:" + port}
	base, first := serveOn(t, folder, env...)
	await(t, base+"/_/readyz")
	secrets := map[string]string{}
	for _, found := range generatedSecret.FindAllStringSubmatch(first.output.String(), -1) {
		secrets[found[1]] = found[2]
	}
	if len(secrets) != 2 {
		t.Fatalf("two secrets were to be generated and shown:\n%s", first.output)
	}
	client, key := "", ""
	for object, secret := range secrets {
		if strings.Contains(object, "client") {
			client = secret
		} else {
			key = secret
		}
	}
	token := mint(t, base, "caller", client, "grant_type=client_credentials")
	jwks := ask(t, http.MethodGet, base+"/acme/oauth2/jwks", nil, "").Body
	call := func(base, credential string, want int) {
		t.Helper()
		if a := ask(t, http.MethodGet, base+"/data", []string{bearer(credential)}, ""); a.Status != want {
			t.Fatalf("%d %s, want %d", a.Status, a.Body, want)
		}
	}
	call(base, token, 200)
	call(base, key, 200)
	for name, mode := range map[string]os.FileMode{"master.key": 0o600, "serve.json": 0o600} {
		if info, err := os.Stat(filepath.Join(folder, name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}

	t.Run("a second process on the folder", func(t *testing.T) {
		out, err := run(t, []string{"KEYLESS_ADDR=127.0.0.1:0", "KEYLESS_DATA=" + folder}, "serve")
		if exitCode(err) != 1 || !strings.Contains(out, folder) || !strings.Contains(out, "in use by another keyless serve") ||
			!strings.Contains(out, "KEYLESS_DATA") {
			t.Errorf("exit %d: %s", exitCode(err), out)
		}
		call(base, "nonsense", 401) // the first one serves on
	})
	t.Run("a second process on the port", func(t *testing.T) {
		out, err := run(t, []string{"KEYLESS_ADDR=127.0.0.1:" + port, "KEYLESS_DATA="}, "serve")
		if exitCode(err) != 1 || !strings.Contains(out, port) || !strings.Contains(out, "in use") {
			t.Errorf("exit %d: %s", exitCode(err), out)
		}
	})

	first.stop(t)
	if code := first.cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("after SIGTERM: exit %d\n%s", code, first.output)
	}
	if _, err := os.Stat(filepath.Join(folder, "serve.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("serve.json is left behind: %v", err)
	}
	base, second := serveOn(t, folder, env...)
	await(t, base+"/_/readyz")
	if strings.Contains(second.output.String(), "shown this once") || strings.Contains(second.output.String(), client) {
		t.Errorf("a secret is shown again:\n%s", second.output)
	}
	if again := ask(t, http.MethodGet, base+"/acme/oauth2/jwks", nil, "").Body; again != jwks {
		t.Errorf("the keys changed: %s, %s", jwks, again)
	}
	call(base, token, 200) // the third of the day: the count came back, and the token of before passes
	call(base, mint(t, base, "caller", client, "grant_type=client_credentials"), 429)
	call(base, key, 429)
	call(base, "nonsense", 401)
}

func TestServeDrainsAStreamOnSIGTERM(t *testing.T) {
	u := newUpstream(t)
	next := make(chan struct{})
	u.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	})
	open := strings.Replace(serveConfig, "base_path: /data,", "base_path: /data, authentication: disabled,", 1)
	base, c := serveOn(t, "", "KEYLESS_CONFIG="+configured(t, open), "UPSTREAM="+u.URL)
	response, err := http.Get(base + "/data")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	reader := bufio.NewReader(response.Body)
	if line, err := reader.ReadString('\n'); line != "data: 0\n" {
		t.Fatalf("%q %v", line, err)
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) { // until it takes nothing new
		connection, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
		if err != nil {
			break
		}
		connection.Close()
		if time.Now().After(end) {
			t.Fatal("it still listens after SIGTERM")
		}
	}
	select {
	case <-c.done:
		t.Fatal("it ended under a stream")
	default:
	}
	close(next)
	rest, err := io.ReadAll(reader)
	if err != nil || string(rest) != "\ndata: 1\n\ndata: 2\n\n" {
		t.Errorf("the rest of the stream: %q %v", rest, err)
	}
	<-c.done
	if code := c.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit %d\n%s", code, c.output)
	}
}

const adminToken = "admin-token-of-the-tests-0123456789"

func TestApplyOverHTTP(t *testing.T) {
	u := newUpstream(t)
	base, _ := serveOn(t, "", "KEYLESS_ADMIN_TOKEN="+adminToken)
	file := configured(t, serveConfig)
	env := []string{"UPSTREAM=" + u.URL, "KEYLESS_ADMIN_TOKEN=" + adminToken}
	apply := func(env []string, want int, args ...string) string {
		t.Helper()
		out, err := run(t, env, append([]string{"apply", "--url", base, "-f", file}, args...)...)
		if exitCode(err) != want {
			t.Fatalf("%v: exit %d, want %d:\n%s", args, exitCode(err), want, out)
		}
		return out
	}
	ready := func() int { return ask(t, http.MethodGet, base+"/_/readyz", nil, "").Status }
	if ready() != 503 {
		t.Error("ready without a registry")
	}
	if out := apply(env, 0, "--dry-run"); !strings.Contains(out, "none made (dry run)") || strings.Count(out, "would be generated") != 2 || strings.Contains(out, "shown this once") {
		t.Errorf("a dry run:\n%s", out)
	}
	if ready() != 503 {
		t.Error("a dry run made a registry")
	}
	wrong := []string{"UPSTREAM=" + u.URL, "KEYLESS_ADMIN_TOKEN=" + adminToken + "x"}
	if out := apply(wrong, 3); !strings.Contains(out, "401") || strings.Contains(out, adminToken) {
		t.Errorf("another token:\n%s", out)
	}
	out := apply(env, 0)
	secrets := generatedSecret.FindAllStringSubmatch(out, -1)
	if len(secrets) != 2 || ready() != 200 {
		t.Fatalf("the first apply:\n%s", out)
	}
	if out := apply(env, 0); !strings.Contains(out, "nothing to change") || strings.Contains(out, secrets[0][2]) ||
		strings.Contains(out, "shown this once") {
		t.Errorf("the second apply:\n%s", out)
	}
	for _, secret := range secrets {
		want := map[string]int{"client": 401, "consumer": 200}[secret[1]]
		if a := ask(t, http.MethodGet, base+"/data", []string{bearer(secret[2])}, ""); a.Status != want {
			t.Errorf("the secret of the %s as an API key: %d %s", secret[1], a.Status, a.Body)
		}
	}
	// What the file lacks stays, and is named; with --prune it goes.
	file = configured(t, strings.Replace(serveConfig, "  - {name: generated, api_key: {}, authorizations: [{api: data}]}\n", "", 1))
	if out := apply(env, 0); !strings.Contains(out, "generated") || !strings.Contains(out, "--prune") {
		t.Errorf("what the file lacks is not named:\n%s", out)
	}
	if out := apply(env, 0, "--prune", "--json"); !strings.Contains(out, `"generated"`) {
		t.Errorf("a prune as JSON:\n%s", out)
	}
	if out := apply(env, 0, "--prune"); !strings.Contains(out, "nothing to change") {
		t.Errorf("a prune again:\n%s", out)
	}
	// Without a bearer, and with bad ones, the admin API says nothing.
	for _, headers := range [][]string{nil, {"Authorization: Bearer x"}, {"Authorization: Basic " + adminToken}, {"Authorization: Bearer  " + adminToken}} {
		if a := ask(t, http.MethodPost, base+"/_/admin/v1/apply", headers, `{}`); a.Status != 401 || strings.Contains(a.Body, "acme") {
			t.Errorf("%v: %d %s", headers, a.Status, a.Body)
		}
	}
}

func TestFaultsNameFileAndLine(t *testing.T) {
	redis := redisServer(t)
	file := configured(t, strings.NewReplacer("version: 1", "version: 1\nversoin: 2", "name: Caller", `name: ""`, "base_path: /data", "base_path: data",
		"upstream: backend", "upstream: back", "[{api: data}]", "[{api: datum}]").Replace(serveConfig))
	out, err := run(t, deployment(redis), "apply", "-f", file)
	if exitCode(err) != 3 {
		t.Errorf("exit %d", exitCode(err))
	}
	located := regexp.MustCompile(regexp.QuoteMeta(file) + `:\d+: `)
	for what, words := range map[string]string{
		"an unknown key": "versoin", "an empty name": "name", "a path": "base_path", "a dangling upstream": "back", "a dangling API": "datum",
		"a missing variable": "UPSTREAM",
	} {
		found := false
		for line := range strings.SplitSeq(out, "\n") {
			found = found || located.MatchString(line) && strings.Contains(line, words)
		}
		if !found {
			t.Errorf("%s is not told with its line:\n%s", what, out)
		}
	}
	if strings.Contains(out, "revision") {
		t.Errorf("something was applied:\n%s", out)
	}
	out, err = run(t, []string{"KEYLESS_ADDR=127.0.0.1:0", "KEYLESS_DATA=", "KEYLESS_CONFIG=" + file}, "serve")
	if exitCode(err) != 3 || !located.MatchString(out) || strings.Contains(out, "serves") {
		t.Errorf("serve with a faulty file: exit %d\n%s", exitCode(err), out)
	}
}

func TestExitCodes(t *testing.T) {
	none := t.TempDir()
	for name, c := range map[string]struct {
		args []string
		env  []string
		exit int
		says string
	}{
		"no command":         {nil, nil, 0, "usage: keyless COMMAND"},
		"help":               {[]string{"help"}, nil, 0, "exit codes: 0 ok"},
		"--help":             {[]string{"--help"}, nil, 0, "apply"},
		"a command's help":   {[]string{"apply", "-h"}, nil, 0, "-dry-run"},
		"version":            {[]string{"version"}, nil, 0, "keyless"},
		"an unknown command": {[]string{"aply"}, nil, 2, `no command "aply"`},
		"an unknown flag":    {[]string{"serve", "--fast"}, nil, 2, "usage: keyless serve"},
		"too many words":     {[]string{"version", "please"}, nil, 2, `what is "please"?`},
		"apply without -f":   {[]string{"apply"}, nil, 2, "-f names the configuration file"},
		"a file that is not": {[]string{"apply", "-f", filepath.Join(none, "none.yaml")}, nil, 1, "none.yaml"},
		"nothing to work on": {[]string{"apply", "-f", configured(t, serveConfig)}, []string{"KEYLESS_DATA=" + none}, 1, "no keyless serve runs on the folder"},
		"a bad variable":     {[]string{"serve"}, []string{"KEYLESS_LOG=loud"}, 1, "KEYLESS_LOG"},
		"half of a TLS pair": {[]string{"serve"}, []string{"KEYLESS_TLS_CERT=" + none + "/c", "KEYLESS_DATA="}, 1, "KEYLESS_TLS_KEY"},
		"a certificate that is none": {[]string{"serve"}, []string{"KEYLESS_TLS_CERT=" + none + "/c", "KEYLESS_TLS_KEY=" + none + "/k",
			"KEYLESS_DATA=", "KEYLESS_ADDR=127.0.0.1:0"}, 1, "KEYLESS_TLS_CERT"},
	} {
		out, err := run(t, c.env, c.args...)
		if exitCode(err) != c.exit || !strings.Contains(out, c.says) {
			t.Errorf("%s: exit %d, want %d with %q:\n%s", name, exitCode(err), c.exit, c.says, out)
		}
	}
}

// selfSigned writes a self-signed certificate for loopback and returns its files.
func selfSigned(t *testing.T, folder string) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<60))
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "keyless test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), crypto.Signer(private))
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, _ := x509.MarshalPKCS8PrivateKey(private)
	cert, key = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, content := range map[string][]byte{cert: text, key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return cert, key, pool
}

func TestServeSpeaksTLS(t *testing.T) {
	u, folder := newUpstream(t), t.TempDir()
	cert, key, pool := selfSigned(t, folder)
	base, _ := serveOn(t, "", "KEYLESS_TLS_CERT="+cert, "KEYLESS_TLS_KEY="+key, "KEYLESS_CONFIG="+configured(t, serveConfig), "UPSTREAM="+u.URL)
	if !strings.HasPrefix(base, "https://127.0.0.1:") || strings.HasSuffix(base, ":0") {
		t.Fatalf("base %s", base)
	}
	read := func(pool *x509.CertPool, highest uint16) (*http.Response, string, error) {
		client := http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, DisableKeepAlives: true,
			TLSClientConfig: &tls.Config{RootCAs: pool, MaxVersion: highest}}}
		response, err := client.Get(base + "/acme/oauth2/.well-known/openid-configuration")
		if err != nil {
			return nil, "", err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return response, string(body), err
	}
	response, body, err := read(pool, 0)
	if err != nil || response.StatusCode != 200 || response.ProtoMajor != 2 || !strings.Contains(body, `"issuer":"`+base+`/acme/oauth2"`) {
		t.Fatalf("%v %s %v", response, body, err)
	}
	if _, _, err := read(pool, tls.VersionTLS11); err == nil {
		t.Error("TLS 1.1 is accepted")
	}
	// A certificate that is renewed is served without a restart; a file that is half written is not.
	_, _, renewed := selfSigned(t, folder)
	later := time.Now().Add(2 * time.Second)
	for _, name := range []string{cert, key} {
		if err := os.Chtimes(name, later, later); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := read(renewed, 0); err != nil {
		t.Errorf("after a renewal: %v", err)
	}
	if err := os.WriteFile(cert, []byte("-----BEGIN"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := read(renewed, 0); err != nil {
		t.Errorf("while the file is being written: %v", err)
	}
}
