package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const guideServer = "cloud:idaas:aigateway:alibabacloud:1234567890"

// keyless runs one command of the command line on a gateway, and returns what it prints.
func keyless(t *testing.T, program, gateway string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "KEYLESS_URL="+gateway, "KEYLESS_ADMIN_TOKEN="+bootstrap, "KEYLESS_PUBLIC_URL="+gateway)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("keyless %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// What differs from one registry to the next however it was made: secrets, the ids of generated ones, who accepted when, where it runs.
var (
	secrets   = regexp.MustCompile(`(?m)"?(sealed|hash): v1:[^"\n]*"?`)
	secretIDs = regexp.MustCompile(`id: s[0-9a-z_-]+`)
)

func exported(t *testing.T, program, gateway, upstream string) string {
	t.Helper()
	text := keyless(t, program, gateway, "export")
	text = strings.NewReplacer(gateway, "GATEWAY", upstream, "UPSTREAM").Replace(text)
	return secretIDs.ReplaceAllString(secrets.ReplaceAllString(text, "SECRET"), "id: SECRET")
}

// byCommands is the console guide, a command for each of its steps that makes something.
func byCommands(t *testing.T, program, gateway, upstream, provider string) {
	t.Helper()
	for _, args := range [][]string{
		{"set", "instance", "acme", "description=Machines of Acme", "privacy_agreement=accepted", "m2m=disabled"},
		{"set", "instance", "acme", "m2m=enabled"},
		{"client", "create", "acme/nightly-report", "--name", "Nightly report"}, // with a first secret
		{"client", "secret", "create", "acme/nightly-report"},
		{"set", "resource-server", "acme/" + guideServer, "name=Model gateway", "scopes=[{value: model.invoke, name: Invoke models}]"},
		{"client", "grant", "acme/nightly-report", guideServer, "model.invoke"},
		{"set", "upstream", "demo-model", "protocol=openai", "base_url=" + upstream, "api_keys=" + provider},
		{"set", "api", "models", "type=llm", "base_path=/v1", "strip_base_path=true", "upstreams=[{upstream: demo-model}]"},
		{"consumer", "create", "nightly-report", "--display-name", "Nightly report", "--jwks-url", gateway + "/acme/oauth2/jwks",
			"--claim", "scope", "--value", "model.invoke"},
		{"consumer", "authorize", "nightly-report", "models"},
	} {
		keyless(t, program, gateway, args...)
	}
}

const guideFile = `version: 1
instances:
  - id: acme
    description: Machines of Acme
    privacy_agreement: accepted
    m2m: enabled
    resource_servers:
      - {identifier: "` + guideServer + `", name: Model gateway, scopes: [{value: model.invoke, name: Invoke models}]}
    clients:
      - {id: nightly-report, name: Nightly report, secrets: [{id: s1}, {id: s2}], permissions: [{resource_server: "` + guideServer + `", scopes: [model.invoke]}]}
upstreams: [{name: demo-model, protocol: openai, base_url: UPSTREAM, api_keys: [PROVIDER]}]
apis: [{name: models, type: llm, base_path: /v1, strip_base_path: true, upstreams: [{upstream: demo-model}]}]
consumers:
  - name: nightly-report
    display_name: Nightly report
    jwt: {jwks_url: "${KEYLESS_PUBLIC_URL}/acme/oauth2/jwks", claim: scope, value: model.invoke}
    authorizations: [{api: models}]
`

// sameByOtherWays does the guide again by commands alone, and again by one file: the three registries are equal.
func sameByOtherWays(t *testing.T, program, byConsole string) {
	t.Helper()
	gateway, upstream, provider := consoleServe(t)
	byCommands(t, program, gateway, upstream, provider)
	if got := exported(t, program, gateway, upstream); got != byConsole {
		t.Errorf("by commands the registry is\n%s\nby the console\n%s", got, byConsole)
	}
	gateway, upstream, provider = consoleServe(t)
	name := filepath.Join(t.TempDir(), "gateway.yaml")
	text := strings.NewReplacer("UPSTREAM", upstream, "PROVIDER", provider).Replace(guideFile)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	keyless(t, program, gateway, "apply", "-f", name, "--prune")
	if got := exported(t, program, gateway, upstream); got != byConsole {
		t.Errorf("by one file the registry is\n%s\nby the console\n%s", got, byConsole)
	}
}
