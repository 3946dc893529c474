package command

import (
	"regexp"
	"strings"
	"testing"
)

// everyRun is what is another on every run: secrets, in their stored forms, and the port.
var everyRun = regexp.MustCompile(`(sealed|hash): v1:\S+|127\.0\.0\.1:\d+`)

// The console guide's steps by single commands make the registry that one file makes.
func TestSingleCommandsMakeWhatOneFileMakes(t *testing.T) {
	one, other := empty(t), empty(t)
	must(t, exitOK, other, "apply", "--prune", "-f", write(t, "gateway.yaml", `
version: 1
instances:
  - id: acme
    description: Machines of Acme
    privacy_agreement: accepted
    m2m: enabled
    token_lifetime: 20m
    resource_servers: [{identifier: "cloud:gateway", name: Gateway, scopes: [{value: model.invoke, name: Invoke}, {value: report.read, name: Read}]}]
    clients:
      - {id: report, name: Nightly report, permissions: [{resource_server: "cloud:gateway", scopes: [model.invoke]}]}
domains: [{name: default, daily_call_limit: 1000}, {name: ai.acme.example}]
upstreams: [{name: demo, protocol: openai, base_url: "http://127.0.0.1:9/v1", api_keys: [provider-key-0123456789]}]
apis:
  - {name: models, type: llm, base_path: /v1, strip_base_path: true, authentication: {methods: [jwt]}, upstreams: [{upstream: demo}]}
consumers:
  - name: report
    display_name: Nightly report
    jwt: {jwks_url: "${KEYLESS_PUBLIC_URL}/acme/oauth2/jwks", issuer: "${KEYLESS_PUBLIC_URL}/acme/oauth2", audience: "cloud:gateway", claim: scope, value: model.invoke}
    authorizations: [{api: models, models: [demo]}]
  - {name: holder, api_key: {}, authorizations: [{api: models}]}
`))
	for _, words := range [][]string{
		{"set", "instance", "acme", "description=Machines of Acme", "m2m=disabled", "privacy_agreement=accepted"},
		{"set", "instance", "acme", "m2m=enabled", "token_lifetime=20m"},
		{"set", "resource-server", "acme/cloud:gateway", "name=Gateway", "scopes=[{value: model.invoke, name: Invoke}, {value: report.read, name: Read}]"},
		{"client", "create", "acme/report", "--name", "Nightly report"},
		{"client", "grant", "acme/report", "cloud:gateway", "model.invoke"},
		{"set", "domain", "default", "daily_call_limit=1000"},
		{"set", "domain", "ai.acme.example", "-f", write(t, "domain.yaml", "name: ai.acme.example\n")},
		{"set", "upstream", "demo", "protocol=openai", "base_url=http://127.0.0.1:9/v1", "api_keys=provider-key-0123456789"},
		{"set", "api", "models", "type=llm", "base_path=/v1", "strip_base_path=true", "authentication={methods: [jwt]}", "upstreams=[{upstream: demo}]"},
		{"consumer", "create", "report", "--display-name", "Nightly report", "--instance", "acme", "--audience", "cloud:gateway", "--claim", "scope",
			"--value", "model.invoke"},
		{"consumer", "authorize", "report", "models", "--model", "demo"},
		{"consumer", "create", "holder", "--api-key", "--authorize", "models"},
	} {
		must(t, exitOK, one, words...)
	}
	a, b := everyRun.ReplaceAllString(must(t, exitOK, one, "export"), "…"), everyRun.ReplaceAllString(must(t, exitOK, other, "export"), "…")
	if a != b {
		for i, line := range strings.Split(a, "\n") {
			if there := strings.Split(b+"\n", "\n"); i >= len(there) || there[i] != line {
				t.Fatalf("line %d is\n%s\nby single commands; the file makes\n%s\n\n%s", i+1, line, there[min(i, len(there)-1)], b)
			}
		}
		t.Errorf("by single commands\n%s\nby one file\n%s", a, b)
	}
}
