package tests

import (
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
)

const followConfig = `version: 1
domains: [{name: default, daily_call_limit: 0}]
apis: [{name: a, type: http, base_path: /a}, {name: b, type: http, base_path: /b}]
consumers:
  - {name: one, description: of the file, jwt: {jwks_url: "https://id.example/keys", value: one}, authorizations: [{api: a}]}
`

// A file that did not change is not applied over what was changed by other ways; one that did is, unless both changed the same.
func TestServeFollowsItsConfiguration(t *testing.T) {
	folder, name := t.TempDir(), configured(t, followConfig)
	const token = "an-admin-token-of-the-tests"
	env := []string{"KEYLESS_CONFIG=" + name, "KEYLESS_ADMIN_TOKEN=" + token}
	description := func(base string) string {
		return ask(t, http.MethodGet, base+"/_/admin/v1/consumers/one", []string{bearer(token)}, "").Body
	}
	base, first := serveOn(t, folder, env...)
	await(t, base+"/_/readyz")
	a := ask(t, http.MethodPatch, base+"/_/admin/v1/consumers/one",
		[]string{bearer(token), "Content-Type: application/json", "If-Match: " + ask(t, http.MethodGet,
			base+"/_/admin/v1/consumers/one", []string{bearer(token)}, "").Header.Get("ETag")}, `{"description":"of the console"}`)
	if a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	first.stop(t)

	base, second := serveOn(t, folder, env...)
	await(t, base+"/_/readyz")
	if got := description(base); !strings.Contains(got, "of the console") {
		t.Fatalf("after a restart with the same file: %s", got)
	}
	write := func(old, new string) {
		text, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(name, []byte(strings.Replace(string(text), old, new, 1)), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = second.cmd.Process.Signal(syscall.SIGHUP)
	}
	write("base_path: /b}", "base_path: /c}")
	if line := second.waitFor(t, "KEYLESS_CONFIG was not applied"); !strings.Contains(line, "consumer one, by bootstrap") {
		t.Errorf("what both changed is not named: %s", line)
	}
	if got := ask(t, http.MethodGet, base+"/_/admin/v1/apis/b", []string{bearer(token)}, "").Body; !strings.Contains(got, `"/b"`) {
		t.Errorf("half of the file was applied: %s", got)
	}
	write("of the file", "of the console")
	second.waitFor(t, "KEYLESS_CONFIG was read again")
	got := ask(t, http.MethodGet, base+"/_/admin/v1/apis/b", []string{bearer(token)}, "").Body
	if !strings.Contains(got, `"/c"`) || !strings.Contains(description(base), "of the console") {
		t.Errorf("after SIGHUP: %s", got)
	}
	second.stop(t)
	write("version: 1", "version: 7")
	out, err := run(t, append(env, "KEYLESS_ADDR=127.0.0.1:0", "KEYLESS_DATA="+folder), "serve")
	if exitCode(err) != 3 || !strings.Contains(out, "version") {
		t.Errorf("a file with a fault: exit %d %s", exitCode(err), out)
	}
}
