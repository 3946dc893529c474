package command

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyless/shared/seal"
)

const smallGateway = `
version: 1
currency: USD
instances:
  - id: acme
    description: "Acme ${HOME_OF} & <script>"
    privacy_agreement: accepted
    token_lifetime: 20m
    resource_servers:
      - {identifier: "cloud:gateway", name: Gateway, scopes: [{value: model.invoke, name: Invoke}, {value: report.read, name: Read}]}
    clients:
      - id: report
        name: Report
        secrets: [{id: s1, value: MARKER_client_0123456789abcdef}]
        permissions: [{resource_server: "cloud:gateway", scopes: [model.invoke]}]
domains:
  - {name: default, daily_call_limit: 0}
upstreams:
  - {name: back, protocol: openai, base_url: "http://127.0.0.1:9/v1", api_keys: [MARKER_provider_0123456789]}
  - {name: web, protocol: http, base_url: "http://127.0.0.1:9"}
apis:
  - {name: models, type: llm, base_path: /v1, strip_base_path: true, authentication: {methods: [jwt, api_key]}, upstreams: [{upstream: back}]}
  - {name: open, type: http, base_path: /open, authentication: disabled, upstreams: [{upstream: web}]}
groups:
  - {name: team, limits: {calls_per_day: 7, spend_per_day: "1.50"}}
consumers:
  - name: holder
    display_name: "He said: \"no\" \u05d0 \U0001F600"
    groups: [team]
    api_key: {source: {header: X-Key}, keys: [{id: k1, value: MARKER_holder_0123456789abcdef}]}
    authorizations: [{api: models, models: [demo], expires_at: 2099-01-02T03:04:05Z}]
  - name: signer
    hmac: {keys: [{access_key: ak1, secret_key: MARKER_signer_0123456789abcdef}]}
  - name: bearer
    jwt: {claim: sub, value: "yes", audience: [a, b], jwks: '{"kty":"oct","alg":"HS256","kid":"1","k":"TUFSS0VSX2p3dF8wMTIzNDU2Nzg5YWJjZGVmZ2hpams"}'}
prices:
  - {upstream: back, model: demo, input: "0.15", output: "0.60"}
`

func small(t *testing.T) string {
	t.Helper()
	return write(t, "gateway.yaml", strings.ReplaceAll(smallGateway, "${HOME_OF}", "$${HOME_OF}"))
}

// empty is a gateway that knows one API key holder; an apply with --prune makes it another.
func empty(t *testing.T) map[string]string {
	t.Helper()
	return servingOn(t, "version: 1\n")
}

func TestApplyPlansAndApplies(t *testing.T) {
	for where, env := range bothWays(empty(t)) {
		t.Run(where, func(t *testing.T) {
			file := small(t)
			must(t, exitOK, env, "apply", "-f", write(t, "none.yaml", "version: 1\n"), "--prune")
			plan := must(t, exitOK, env, "apply", "-f", file, "--dry-run")
			says(t, plan, "+ instance acme\n", "+ client acme/report\n", "+ consumer holder\n", "none made (dry run)", "!MARKER")
			says(t, must(t, exitDiffers, env, "diff", "-f", file), "+ consumer holder\n", "objects differ", "!MARKER")
			golden(t, "plan_new.txt", cutRevision(must(t, exitOK, env, "apply", "-f", file)))
			says(t, must(t, exitOK, env, "apply", "-f", file), "nothing to change")
			says(t, must(t, exitOK, env, "diff", "-f", file), "no differences")

			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			other := write(t, "gateway.yaml", strings.NewReplacer("calls_per_day: 7", "calls_per_day: 8", "base_path: /open", "base_path: /opened",
				"MARKER_holder", "MARKER_other", "  - name: signer\n    hmac: {keys: [{access_key: ak1, secret_key: MARKER_signer_0123456789abcdef}]}\n", "",
				`input: "0.15"`, `input: "0.16"`).Replace(string(text)))
			golden(t, "diff.txt", must(t, exitDiffers, env, "diff", "-f", other))
			says(t, must(t, exitDiffers, env, "diff", "--json", "-f", other), `"path":"limits.calls_per_day","before":7,"after":8`, "!MARKER")
			golden(t, "plan_change.txt", cutRevision(must(t, exitOK, env, "apply", "-f", other)))
			says(t, must(t, exitOK, env, "apply", "-f", other, "--prune", "--json"), `"action":"remove","kind":"consumer","name":"signer"`, "!MARKER")
			says(t, must(t, exitOK, env, "diff", "-f", other), "no differences")
		})
	}
}

// cutRevision takes away what is another on every run.
func cutRevision(text string) string {
	before, _, _ := strings.Cut(text, ", revision")
	return before + "\n"
}

func TestExportAppliesAgainAndIsTheSameBytes(t *testing.T) {
	first := empty(t)
	must(t, exitOK, first, "apply", "-f", small(t))
	name := filepath.Join(t.TempDir(), "export.yaml")
	must(t, exitOK, first, "export", "-o", name)
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	says(t, string(text), "sealed: v1:", "$${HOME_OF}", "!MARKER", "!TUFSS0VS")

	key, err := os.ReadFile(filepath.Join(first["KEYLESS_DATA"], masterKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	second := servingUnder(t, strings.TrimSpace(string(key)))
	must(t, exitOK, second, "apply", "-f", name)
	for where, env := range bothWays(second) {
		code, again, errs := keyless(env, "", "export")
		if code != exitOK || again != string(text) {
			t.Errorf("%s: exit %d %s\n%s\nfirst\n%s", where, code, errs, again, text)
		}
	}
	// Under another master key it says so, and nothing changes.
	says(t, must(t, exitRefused, servingUnder(t, seal.NewMasterKey()), "apply", "-f", name), name+":3: pepper")
}

func TestManyConsumers(t *testing.T) {
	const many = 1_000 // ten thousand are applied by the tests of the built binaries
	var b strings.Builder
	b.WriteString("version: 1\nupstreams:\n  - {name: back, protocol: http, base_url: \"http://127.0.0.1:9\"}\napis:\n" +
		"  - {name: open, type: http, base_path: /open, upstreams: [{upstream: back}]}\nconsumers:\n")
	for i := range many {
		fmt.Fprintf(&b, "  - {name: c%d, api_key: {keys: [{id: k1, value: kg_0123456789_0123456789_%d}]}, authorizations: [{api: open}]}\n", i, i)
	}
	env := empty(t)
	wrong := write(t, "wrong.yaml", strings.Replace(b.String(), "{name: c700, api_key: {keys: [{id: k1, value: kg_0123456789_0123456789_700}]}, authorizations: [{api: open}]}",
		"{name: c700, api_key: {}, authorizations: [{api: opne}]}", 1))
	code, out, errs := keyless(env, "", "apply", "-f", wrong)
	if code != exitRefused {
		t.Errorf("exit %d", code)
	}
	says(t, errs, wrong+":707: consumers[700].authorizations[0].api")
	if out != "" {
		t.Errorf("something was planned:\n%s", out)
	}
	says(t, must(t, exitOK, env, "consumer", "list", "--json"), "[]")
	code, out, errs = keyless(env, "", "apply", "-f", write(t, "many.yaml", b.String()))
	if code != exitOK {
		t.Fatalf("exit %d, %s", code, errs)
	}
	says(t, errs, "written: ", " of 1002")
	says(t, out, "… and 802 more; --json tells all", "1002 changes")
}

// cutter ends a run once it has told of progress.
type cutter struct {
	strings.Builder
	cut func()
}

func (c *cutter) Write(text []byte) (int, error) {
	if strings.Contains(string(text), "written: ") {
		c.cut()
	}
	return c.Builder.Write(text)
}

func TestAnApplyThatWasCutGoesOn(t *testing.T) {
	var b strings.Builder
	b.WriteString("version: 1\nconsumers:\n")
	for i := range 600 {
		fmt.Fprintf(&b, "  - {name: c%d, api_key: {keys: [{id: k1, value: kg_0123456789_0123456789_%d}]}}\n", i, i)
	}
	env, name := empty(t), write(t, "many.yaml", b.String())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	errs := &cutter{cut: cancel}
	code := run(ctx, terminal{
		lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok }, stdout: io.Discard, stderr: errs,
	}, []string{"apply", "-f", name})
	if code != exitFailed {
		t.Fatalf("exit %d\n%s", code, errs.String())
	}
	says(t, errs.String(), "apply the file again to go on")
	out := must(t, exitOK, env, "apply", "-f", name)
	says(t, out, "!600 changes", "!nothing to change", "changes, revision")
	says(t, must(t, exitOK, env, "diff", "-f", name), "no differences")
}
