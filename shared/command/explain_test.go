package command

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"keyless/shared/admin"
	"keyless/shared/auth"
	"keyless/shared/config"
	"keyless/shared/process"
	"keyless/shared/trail"
)

const explainedGateway = `
version: 1
upstreams:
  - {name: back, protocol: http, base_url: "https://back.example"}
apis:
  - {name: keyed, type: http, base_path: /keyed, authentication: {methods: [api_key]}, upstreams: [{upstream: back}]}
  - {name: open, type: http, base_path: /open, authentication: disabled, upstreams: [{upstream: back}]}
consumers:
  - name: holder
    api_key: {source: bearer, keys: [{id: k1, value: kg_MARKER_holder_0123456789}]}
    authorizations: [{api: keyed}]
  - name: visitor
    api_key: {source: {header: X-Visitor}, keys: [{id: k1, value: kg_MARKER_visitor_0123456789}]}
`

// runExplain runs the command and returns exit code, standard output and standard error.
func runExplain(env map[string]string, stdin string, args ...string) (int, string, string) {
	return keyless(env, stdin, append([]string{"explain"}, args...)...)
}

func TestExplainEndToEnd(t *testing.T) {
	env := servingGateway(t)
	const url = "https://gateway.example"
	for name, c := range map[string]struct {
		stdin string
		args  []string
		code  int
		says  []string
	}{
		"a URL that passes":   {"", []string{url + "/open"}, exitOK, []string{"✓ admission", "allowed"}},
		"a URL that does not": {"", []string{url + "/keyed"}, exitRefused, []string{"✗ credential", "refused  401", "api_key_missing", "to pass  send an API key in"}},
		"flags": {"", []string{"--header", "Authorization: Bearer kg_MARKER_holder_0123456789", "--method", "PUT", url + "/keyed"}, exitOK,
			[]string{"API key of holder"}},
		"a curl command": {"", []string{"--", "curl", "-s", url + "/keyed", "-H", "X-Visitor: kg_MARKER_visitor_0123456789"}, exitRefused,
			[]string{"403", "consumer_unauthorized", "add {api: keyed} to the authorizations of consumer visitor"}},
		"a curl command as one text": {"", []string{"curl '" + url + "/keyed' -H 'Authorization: Bearer kg_MARKER_visitor_0123456789'"}, exitRefused,
			[]string{"consumer visitor", "header x-visitor"}},
		"a curl command from standard input": {"curl " + url + "/keyed \\\n -H 'Authorization: Bearer kg_MARKER_holder_0123456789'\n", []string{"-"}, exitOK,
			[]string{"allowed"}},
		"JSON":                      {"", []string{"--json", url + "/keyed"}, exitRefused, []string{`"code":"api_key_missing"`, `"decides":true`}},
		"an id that nobody knows":   {"", []string{"--request-id", "req-9"}, exitFailed, []string{"send the request itself"}},
		"an id that is known":       {"", []string{"--request-id", "req-1"}, exitRefused, []string{"request req-1, refused at", "calls_per_day"}},
		"nothing":                   {"", nil, exitUsage, []string{"name a request"}},
		"an id and a URL":           {"", []string{"--request-id", "a", url}, exitUsage, []string{"stands alone"}},
		"a curl command and flags":  {"", []string{"--method", "GET", "--", "curl", url}, exitUsage, []string{"says all"}},
		"two words":                 {"", []string{"MARKER", "MARKER"}, exitUsage, []string{"neither"}},
		"a text that is no command": {"rm -rf MARKER", []string{"-"}, exitUsage, []string{"no curl command"}},
		"a header that is none":     {"", []string{"--header", "MARKER", url}, exitUsage, []string{"name: value"}},
		"a URL that is none":        {"", []string{"MARKER:open"}, exitUsage, []string{"http:// or https://"}},
		"a flag that is unknown":    {"", []string{"--what"}, exitUsage, []string{"what"}},
	} {
		for where, target := range map[string]string{"in the store": "", "over the admin API": env["SERVED"]} {
			if target != "" && c.code == exitUsage {
				continue
			}
			t.Run(name+" "+where, func(t *testing.T) {
				keepRefusal(t, env, "req-1")
				args := c.args
				if target != "" {
					args = append([]string{"--url", target}, args...)
				}
				code, out, errs := runExplain(env, c.stdin, args...)
				if code != c.code {
					t.Errorf("exit %d, want %d", code, c.code)
				}
				for _, part := range c.says {
					if !strings.Contains(out+errs, part) {
						t.Errorf("no %q", part)
					}
				}
				if strings.Contains(out+errs, marker) {
					t.Error("a secret came out")
				}
				if t.Failed() {
					t.Logf("%s\n%s", out, errs)
				}
			})
		}
	}
}

// keepRefusal leaves a record of a refused call as the proxy does.
func keepRefusal(t *testing.T, env map[string]string, id string) {
	t.Helper()
	c, err := config.Load(func(name string) (string, bool) { v, ok := env[name]; return v, ok }, config.Serve())
	if err != nil {
		t.Fatal(err)
	}
	if c, err = reach(c); err != nil {
		t.Fatal(err)
	}
	p, err := process.On(c, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Redis.Close()
	text, err := json.Marshal(auth.Record{At: time.Now(), API: "keyed", Consumer: "holder", Limit: "calls_per_day", Status: 429,
		Code: "consumer_limit", Message: "Throttled by CONSUMER Flow Control"})
	if err != nil {
		t.Fatal(err)
	}
	if err := trail.NewRedis(p.Redis, c.Cell, time.Now).Keep(context.Background(), id, text); err != nil {
		t.Fatal(err)
	}
}

func TestExplainSaysWhatItCannotReach(t *testing.T) {
	t.Parallel()
	code, _, errs := runExplain(map[string]string{"KEYLESS_DATA": t.TempDir()}, "", "https://gateway.example/open")
	if code != exitFailed || !strings.Contains(errs, "no keyless serve runs on the folder") {
		t.Errorf("exit %d, %s", code, errs)
	}
	env := servingGateway(t)
	env["KEYLESS_ADMIN_TOKEN"] = "another-admin-token-0123456789"
	code, _, errs = runExplain(env, "", "--url", env["SERVED"], "https://gateway.example/open")
	if code != exitFailed || !strings.Contains(errs, "401") {
		t.Errorf("exit %d, %s", code, errs)
	}
}

func TestAnExplanationDoesNotCommandTheTerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	printExplanation(&out, admin.Explanation{Outcome: "refused\x1b[2J", Code: "a\nb", Message: "\x07", Remedy: "\x1b]0;x",
		Steps: []admin.Step{{Step: "\x1b[31m", Fact: "a\r"}}})
	if strings.ContainsAny(strings.ReplaceAll(out.String(), "\n", ""), "\x1b\x07\r") || strings.Count(out.String(), "\n") != 4 {
		t.Errorf("%q", out.String())
	}
}
