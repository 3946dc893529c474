package command

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"keyless/shared/config"
	"keyless/shared/seal"
)

// until ends a process when it has written a text.
type until struct {
	mu   sync.Mutex
	text bytes.Buffer
	want string
	end  func()
}

func (u *until) Write(text []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	n, err := u.text.Write(text)
	if strings.Contains(u.text.String(), u.want) {
		u.end()
	}
	return n, err
}

// served runs keyless serve until it has written a text, and returns its exit code and what it wrote.
func served(t *testing.T, env map[string]string, want string, args ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	u := &until{want: want, end: cancel}
	env["KEYLESS_ADDR"], env["KEYLESS_LOG"] = "127.0.0.1:0", "text,error"
	code := run(ctx, terminal{
		lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok }, stdout: u, stderr: u,
	}, append([]string{"serve"}, args...))
	return code, u.text.String()
}

func TestServeSaysThatItsStoreDoesNotAnswer(t *testing.T) {
	t.Parallel()
	env := map[string]string{
		"KEYLESS_DATA": t.TempDir(), "REDIS_URL": "redis://127.0.0.1:1", "KEYLESS_MASTER_KEY": seal.NewMasterKey(),
	}
	code, out := served(t, env, "tells more")
	if code != exitOK {
		t.Errorf("exit %d", code)
	}
	says(t, out, "Keyless Gateway serves http://", "the store at REDIS_URL does not answer yet; keyless doctor tells more", "!Nothing is configured")
}

func TestTheDemoNamesItsConsole(t *testing.T) {
	t.Parallel()
	const signs = "/_/console/ (start with KEYLESS_ADMIN_TOKEN=… to sign in)\n"
	_, out := served(t, map[string]string{"KEYLESS_DATA": t.TempDir()}, "# the login flow", "--demo")
	says(t, out, "console: http://127.0.0.1:", signs, "!does not answer yet")
	env := map[string]string{"KEYLESS_DATA": t.TempDir(), "KEYLESS_ADMIN_TOKEN": "MARKER-admin-token-0123456789"}
	_, out = served(t, env, "# the login flow", "--demo")
	says(t, out, "/_/console/\n", "!to sign in", "!MARKER")
}

func TestTheFileOfAnotherProcessStays(t *testing.T) {
	t.Parallel()
	store, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	there, alive := "redis://:x@"+store.Addr().String(), os.Getppid()
	for name, c := range map[string]struct {
		had      running
		embedded bool
		stays    bool
	}{
		"of a process that lives":               {running{RedisURL: there, PID: alive}, false, true},
		"of one that lives, beside an embedded": {running{RedisURL: there, PID: alive}, true, false},
		"of one whose store is gone":            {running{RedisURL: "redis://127.0.0.1:1", PID: alive}, false, false},
		"of one that is gone":                   {running{RedisURL: there, PID: 1 << 30}, false, false},
		"of one that left no number":            {running{RedisURL: there}, false, false},
		"of one that had our number":            {running{RedisURL: there, PID: os.Getpid()}, false, false},
	} {
		folder := t.TempDir()
		path := filepath.Join(folder, serveFile)
		had, err := json.Marshal(c.had)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, had, 0o600); err != nil {
			t.Fatal(err)
		}
		withdraw, err := announce(config.Config{Data: folder, RedisURL: "redis://127.0.0.1:2", PublicURL: "http://x"}, c.embedded)
		if err != nil {
			t.Fatal(err)
		}
		now, _ := os.ReadFile(path)
		if bytes.Equal(now, had) != c.stays {
			t.Errorf("%s: it is now %s", name, now)
		}
		withdraw()
		if _, err := os.Stat(path); (err == nil) != c.stays {
			t.Errorf("%s: at the end: %v", name, err)
		}
	}
}

func TestAtTheEndOnlyOnesOwnFileGoes(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	withdraw, err := announce(config.Config{Data: folder, PublicURL: "http://x"}, false)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, serveFile)
	if err := os.WriteFile(path, []byte("another's"), 0o600); err != nil {
		t.Fatal(err)
	}
	withdraw()
	if now, err := os.ReadFile(path); err != nil || string(now) != "another's" {
		t.Errorf("%s, %v", now, err)
	}
}

func TestWhatASecretIsShownAgainBy(t *testing.T) {
	t.Parallel()
	env := servingOn(t, "")
	configuration := write(t, "gateway.yaml", `
version: 1
instances:
  - {id: open, description: Open, privacy_agreement: accepted, clients: [{id: a, name: A}]}
  - {id: shut, description: Shut, privacy_agreement: accepted, secret_storage: hashed, clients: [{id: b, name: B}]}
consumers:
  - {name: c, api_key: {}}
`)
	const again, once = "(again: keyless client secret show open/", "shown this once"
	out := must(t, exitOK, env, "apply", "-f", configuration)
	says(t, out, again+"a s1)")
	if strings.Count(out, once) != 2 {
		t.Errorf("of a hashed one and of a key:\n%s", out)
	}
	says(t, must(t, exitOK, env, "client", "create", "open/n"), again+"n s1)", "!"+once)
	says(t, must(t, exitOK, env, "client", "create", "shut/n"), once, "!again:")
	says(t, must(t, exitOK, env, "client", "secret", "create", "open/n", "--id", "s2"), again+"n s2)", "!"+once)
	says(t, must(t, exitOK, env, "client", "secret", "create", "shut/n", "--id", "s2"), once, "!again:")
	says(t, must(t, exitOK, env, "consumer", "key", "create", "c", "--id", "k9"), once, "!again:")
}
