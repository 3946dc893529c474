package command

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares a text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update writes it anew); it is now\n%s", path, got)
	}
}

func TestHelpIsAsWritten(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"all": {"help"}, "apply": {"apply", "-h"}, "client": {"client", "-h"}, "client_secret_create": {"client", "secret", "create", "--help"},
		"set": {"set", "-h"}, "token": {"help", "token"},
	} {
		code, out, errs := keyless(nil, "", args...)
		if code != exitOK || errs != "" {
			t.Errorf("%v: exit %d, %s", args, code, errs)
		}
		golden(t, "help/"+name+".txt", out)
	}
}

// leaves visits every command that runs, by its words.
func leaves(list []command, path []string, visit func([]string, command)) {
	for _, c := range list {
		at := append(path[:len(path):len(path)], c.name)
		if c.run != nil {
			visit(at, c)
		}
		leaves(c.sub, at, visit)
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	t.Parallel()
	plainOnes := map[string]bool{"serve": true, "demo": true, "demo-upstream": true, "completion": true}
	leaves(terminal{}.all(), nil, func(path []string, c command) {
		words := strings.Join(path, " ")
		code, out, _ := keyless(nil, "", append(path, "-h")...)
		if code != exitOK || !strings.Contains(out, "usage: keyless "+words) || !strings.Contains(out, "example:\n") ||
			!strings.Contains(c.example, "keyless "+path[0]) || !strings.Contains(out, exitCodes) {
			t.Errorf("%s: exit %d\n%s", words, code, out)
		}
		if !plainOnes[words] && !strings.HasPrefix(words, "keys re") && !strings.Contains(out, "--json") {
			t.Errorf("%s has no --json", words)
		}
	})
}

func TestHowTheCommandLineIsMisused(t *testing.T) {
	t.Parallel()
	nowhere := map[string]string{"KEYLESS_DATA": t.TempDir()}
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"a command that is none":         {[]string{"aply"}, exitUsage, `no command "aply"`},
		"a command misspelt":             {[]string{"aply"}, exitUsage, `did you mean apply?`},
		"a command like no other":        {[]string{"xyzzy"}, exitUsage, `no command "xyzzy"; keyless help`},
		"a verb misspelt":                {[]string{"client", "lst"}, exitUsage, `did you mean list?`},
		"a verb of a command that runs":  {[]string{"token", "introspekt"}, exitUsage, `did you mean introspect?`},
		"a flag misspelt":                {[]string{"apply", "--prun"}, exitUsage, `did you mean --prune?`},
		"a file without -f":              {[]string{"apply", "gateway.yaml"}, exitUsage, `what is "gateway.yaml"? did you mean -f gateway.yaml?`},
		"a file beside that of -f":       {[]string{"apply", "-f", "a.yaml", "b.yaml"}, exitUsage, "what is \"b.yaml\"?\n"},
		"a backup of a gateway by URL":   {[]string{"backup", "-o", "x", "--url", "http://127.0.0.1:1"}, exitUsage, "backup works on the store itself"},
		"a restore into one by URL":      {[]string{"restore", "x", "--url=http://127.0.0.1:1"}, exitUsage, "restore works on the store itself"},
		"a rewrap of one by URL":         {[]string{"keys", "rewrap", "-url", "x"}, exitUsage, "keys rewrap works on the store itself"},
		"a gateway that is not there":    {[]string{"token", "--client-id", "acme/x", "--client-secret", "s", "--url", "http://127.0.0.1:1"}, exitFailed, "is the gateway running there?"},
		"a call of one that is not":      {[]string{"call", "/v1", "--url", "http://127.0.0.1:1"}, exitFailed, "is the gateway running there?"},
		"a verb that is none":            {[]string{"client", "destroy"}, exitUsage, `there is no "destroy"`},
		"no verb":                        {[]string{"client"}, exitUsage, "keyless client list"},
		"a flag that is none":            {[]string{"diff", "--fast"}, exitUsage, "usage: keyless diff"},
		"too many words":                 {[]string{"export", "now"}, exitUsage, `what is "now"?`},
		"a word too few":                 {[]string{"client", "show"}, exitUsage, "NAME is missing"},
		"a client without its instance":  {[]string{"client", "show", "report"}, exitUsage, "INSTANCE/ID"},
		"a kind that is none":            {[]string{"get", "apple"}, exitUsage, "resource-server"},
		"a member that is none":          {[]string{"set", "api", "models", "base=/v1"}, exitFailed, "no keyless serve"},
		"set without anything to set":    {[]string{"set", "api", "models"}, exitUsage, "MEMBER=VALUE"},
		"a consumer that proves nothing": {[]string{"consumer", "create", "x"}, exitUsage, "how it proves itself"},
		"a name where there is one only": {[]string{"get", "prices", "x"}, exitFailed, "no keyless serve"},
		"nothing to work on":             {[]string{"client", "list"}, exitFailed, "no keyless serve runs on the folder"},
		"a URL that is none":             {[]string{"client", "list", "--url", "id.acme.example"}, exitUsage, "scheme and host"},
		"a URL without a token":          {[]string{"client", "list", "--url", "http://127.0.0.1:1"}, exitUsage, "KEYLESS_ADMIN_TOKEN"},
		"a token for nobody":             {[]string{"token"}, exitUsage, "name who asks"},
		"a token without a secret":       {[]string{"token", "--client-id", "acme/x"}, exitUsage, "KEYLESS_CLIENT_SECRET"},
		"a message to no model":          {[]string{"call", "/v1", "--url", "http://127.0.0.1:1", "--message", "Hi"}, exitUsage, "needs --model"},
		"a shell that is none":           {[]string{"completion", "csh"}, exitUsage, "bash, zsh or fish"},
		"a head that is none":            {[]string{"audit", "verify", "--expect", "x"}, exitUsage, "NUMBER:HASH"},
		"two forms":                      {[]string{"usage", "--csv", "--json"}, exitUsage, "choose one"},
		"a backup into nothing":          {[]string{"backup"}, exitUsage, "-o names the file"},
		"a backup that is not there":     {[]string{"restore", "/nowhere/x"}, exitFailed, "read the backup"},
		"a key without its instance":     {[]string{"keys", "rotate", "--now"}, exitUsage, "--now needs --instance"},
		"a time that is none":            {[]string{"consumer", "authorize", "a", "b", "--expires", "soon"}, exitUsage, "90d"},
	} {
		code, out, errs := keyless(nowhere, "", c.args...)
		if code != c.code || !strings.Contains(errs, c.says) {
			t.Errorf("%s: exit %d, want %d with %q:\n%s%s", name, code, c.code, c.says, out, errs)
		}
	}
}

func TestCompletionKnowsEveryCommandAndFlag(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish"} {
		code, out, errs := keyless(nil, "", "completion", shell)
		if code != exitOK {
			t.Fatalf("%s: exit %d, %s", shell, code, errs)
		}
		says(t, out, "client", "revoke-permission", "dry-run", "completion")
	}
	_, out, _ := keyless(nil, "", "completion", "bash")
	says(t, out, "  ' client secret create') next='--expires --id --json --url' ;;\n", "' keys') next='list rotate revoke rewrap refresh' ;;")
}
