package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyless/shared/process"
)

func TestAuditIsListedExportedAndVerified(t *testing.T) {
	env := empty(t)
	for where, way := range bothWays(env) {
		must(t, exitOK, way, "set", "group", "team", "limits.calls_per_day=7")
		must(t, exitOK, way, "remove", "group", "team")
		says(t, must(t, exitOK, way, "audit", "list", "--limit", "2"), "group team", "remove")
		says(t, must(t, exitOK, way, "audit", "list", "--after", "0", "--limit", "1", "--json"), `"seq":1`, "!\"seq\":2")
		says(t, must(t, exitOK, way, "audit", "verify", "--json"), `"expect":"`, `"entries":`)
		_ = where
	}
	says(t, must(t, exitOK, env, "audit", "list"), "bootstrap", "command line, ")
	name := filepath.Join(t.TempDir(), "audit.jsonl")
	says(t, must(t, exitOK, env, "audit", "export", "-o", name), "exported")
	text, err := os.ReadFile(name)
	if err != nil || !strings.HasPrefix(string(text), `{"seq":1,`) || strings.Count(string(text), "\n") < 4 {
		t.Errorf("%v\n%s", err, text)
	}
	_, head, found := strings.Cut(strings.TrimSpace(must(t, exitOK, env, "audit", "verify")), "\nhead ")
	if !found {
		t.Fatal("no head")
	}
	must(t, exitOK, env, "set", "group", "other", "limits.calls_per_day=7")
	must(t, exitOK, env, "audit", "verify", "--expect", head)
	number, _, _ := strings.Cut(head, ":")
	says(t, must(t, exitFailed, env, "audit", "verify", "--expect", number+":00ff"), "broken at entry "+number, "written anew")
	says(t, must(t, exitFailed, env, "audit", "verify", "--expect", "999:00ff"), "broken at entry 999")

	p := onStore(t, env)
	key := p.Config.Cell + ":{s}:audit"
	texts, err := p.Redis.LRange(t.Context(), key, 0, -1).Result()
	if err != nil || len(texts) < 3 {
		t.Fatalf("%d entries, %v", len(texts), err)
	}
	if err := p.Redis.LSet(t.Context(), key, 2, strings.Replace(texts[2], `"action":"`, `"action":"x`, 1)).Err(); err != nil {
		t.Fatal(err)
	}
	for _, way := range bothWays(env) {
		says(t, must(t, exitFailed, way, "audit", "verify"), "broken at entry 3", "altered")
	}
}

// onStore opens the store of a gateway that serves.
func onStore(t *testing.T, env map[string]string) *process.Process {
	t.Helper()
	p, err := terminal{lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok }, stderr: os.Stderr}.onStore()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Redis.Close() })
	return p
}

func TestBackupAndRestore(t *testing.T) {
	env := empty(t)
	must(t, exitOK, env, "apply", "-f", small(t))
	name := filepath.Join(t.TempDir(), "backup.jsonl")
	says(t, must(t, exitOK, env, "backup", "-o", name), "1 instances, 1 clients, 3 consumers", "KEYLESS_MASTER_KEY")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	says(t, string(text), "!MARKER")
	says(t, must(t, exitRefused, env, "restore", name), "--force", "nothing was changed")
	must(t, exitOK, env, "consumer", "remove", "signer")
	says(t, must(t, exitOK, env, "restore", name, "--force"), "restored", "the registry that the store held is gone", "hold no longer", "goes on")
	says(t, must(t, exitOK, env, "consumer", "list"), "signer")
	says(t, must(t, exitOK, env, "restore", name, "--force", "--json"), `"not_before"`, `"replaced":true`)
	says(t, must(t, exitRefused, env, "restore", write(t, "half", string(text[:len(text)/2])), "--force"), "not a whole backup")
	says(t, must(t, exitRefused, empty(t), "restore", name, "--force"), "another master key")
	key, err := os.ReadFile(filepath.Join(env["KEYLESS_DATA"], masterKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	other := servingUnder(t, strings.TrimSpace(string(key)))
	says(t, must(t, exitRefused, other, "backup", "-o", filepath.Join(t.TempDir(), "x")), "empty")
	says(t, must(t, exitOK, other, "restore", name), "the audit trail is that of the backup")
	if first, second := must(t, exitOK, env, "export"), must(t, exitOK, other, "export"); first != second {
		t.Errorf("the registries differ\n%s\n%s", first, second)
	}
}
