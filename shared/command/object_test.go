package command

import (
	"regexp"
	"strings"
	"testing"
)

// shownSecret finds what was generated, whether it can be shown again or not.
var shownSecret = regexp.MustCompile(`: (\S+)  \((?:shown this once|again: keyless client secret show [^)]*)\)`)

func TestEverythingOneByOne(t *testing.T) {
	for where, env := range bothWays(empty(t)) {
		t.Run(where, func(t *testing.T) {
			must(t, exitOK, env, "apply", "-f", write(t, "none.yaml", "version: 1\n"), "--prune")
			do := func(code int, args ...string) string {
				t.Helper()
				return must(t, code, env, args...)
			}
			says(t, do(exitOK, "set", "instance", "acme", "description=Acme <b>", "privacy_agreement=accepted", "token_lifetime=20m"), "created instance acme")
			says(t, do(exitOK, "set", "resource-server", "acme/cloud:gateway/x", "name=Gateway", "scopes=[{value: model.invoke, name: Invoke}]"), "created")
			says(t, do(exitOK, "set", "settings", "currency=USD"), "settings")
			says(t, do(exitOK, "set", "domain", "default", "daily_call_limit=5"), "changed domain default")
			says(t, do(exitOK, "set", "upstream", "back", "protocol=openai", "base_url=http://127.0.0.1:9/v1", "api_keys=MARKER_provider_0123"), "created", "!MARKER")
			says(t, do(exitOK, "set", "group", "team", "limits.calls_per_day=7", "limits.spend_per_day=1.50"), "created group team")
			says(t, do(exitOK, "set", "api", "models", "type=llm", "base_path=/v1", "strip_base_path=true", "authentication={methods: [jwt, api_key]}",
				"upstreams=[{upstream: back}]"), "created api models")
			says(t, do(exitOK, "set", "prices", "prices=[{upstream: back, model: demo, input: \"0.15\"}]"), "prices")

			says(t, do(exitOK, "get", "group", "team"), "# version: ", "calls_per_day: 7\n", `spend_per_day: "1.50"`)
			says(t, do(exitOK, "get", "apis"), "NAME", "models", "jwt,api_key")
			says(t, do(exitOK, "get", "upstream", "back"), "'[kept]'", "!MARKER")
			says(t, do(exitOK, "get", "settings", "--json"), `"currency":"USD"`)
			says(t, do(exitOK, "get", "resource-server", "acme"), "acme/cloud:gateway/x", "keyless:admin")
			says(t, do(exitRefused, "get", "api", "modles"), "api modles", "404 not_found")
			says(t, do(exitUsage, "set", "api", "models", "base=/v2"), "there is no member \"base\"", "base_path")
			says(t, do(exitRefused, "set", "group", "team", "limits.calls_per_day=many"), "limits.calls_per_day:1: is not a whole number")
			says(t, do(exitRefused, "set", "api", "models", "base_path=v1"), "base_path", "422 invalid")
			says(t, do(exitRefused, "remove", "upstream", "back"), "409 referenced", "models")
			says(t, do(exitRefused, "set", "group", "team", "limits=", "--match", "no-such-version"), "412 conflict")
			says(t, do(exitOK, "set", "group", "team", "limits="), "changed")
			says(t, do(exitOK, "get", "group", "team"), "!limits")

			clients(t, do)
			consumers(t, do)
			says(t, do(exitOK, "remove", "group", "team"), "removed group team")
			says(t, do(exitRefused, "remove", "group", "team"), "404")
		})
	}
}

func clients(t *testing.T, do func(int, ...string) string) {
	t.Helper()
	made := do(exitOK, "client", "create", "acme/report", "--name", "Report", "--grant", "cloud:gateway/x|model.invoke")
	says(t, made, "secret  client acme/report", "(again: keyless client secret show acme/report s1)", "created client acme/report")
	says(t, do(exitOK, "client", "create", "acme/", "--name", "Another"), "client_id", "created client acme/")
	says(t, do(exitRefused, "client", "create", "acme/report"), "409")
	says(t, do(exitRefused, "client", "create", "nobody/report"), "404")
	says(t, do(exitOK, "client", "list", "acme"), "acme/report", "Report", "enabled")
	says(t, do(exitOK, "client", "disable", "acme/report"), "disabled client acme/report")
	says(t, do(exitOK, "client", "show", "acme/report"), "status: disabled", "model.invoke")
	says(t, do(exitOK, "client", "enable", "acme/report"), "enabled")
	says(t, do(exitOK, "client", "revoke-permission", "acme/report", "cloud:gateway/x"), "no longer granted")
	says(t, do(exitOK, "client", "show", "acme/report"), "!model.invoke")
	says(t, do(exitOK, "client", "grant", "acme/report", "cloud:gateway/x", "model.invoke"), "granted")
	says(t, do(exitRefused, "client", "grant", "acme/report", "cloud:gateway/x", "no.such"), "no.such", "422")
	secret := shownSecret.FindStringSubmatch(do(exitOK, "client", "secret", "create", "acme/report", "--id", "s2", "--expires", "90d"))
	if secret == nil {
		t.Fatal("no secret was shown")
	}
	if shown := do(exitOK, "client", "secret", "show", "acme/report", "s2"); strings.TrimSpace(shown) != secret[1] {
		t.Errorf("the secret is %s, and shown %s", secret[1], shown)
	}
	says(t, do(exitOK, "client", "secret", "list", "acme/report"), "s1", "s2", "!"+secret[1])
	says(t, do(exitRefused, "client", "secret", "create", "acme/report"), "two secrets")
	says(t, do(exitOK, "client", "secret", "disable", "acme/report", "s2"), "disabled client acme/report secret s2")
	says(t, do(exitOK, "client", "secret", "remove", "acme/report", "s2"), "removed")
	says(t, do(exitRefused, "client", "secret", "remove", "acme/report", "s1"), "last secret")
	says(t, do(exitOK, "client", "remove", "acme/report"), "removed client acme/report")
	says(t, do(exitOK, "keys", "list"), "acme", "active")
	says(t, do(exitRefused, "keys", "list", "--instance", "nobody"), "404")
	says(t, do(exitOK, "keys", "rotate", "--instance", "acme", "--now"), "acme signs with")
	says(t, do(exitRefused, "keys", "revoke", "--instance", "acme", "--kid", "nope"), "404")
}

func consumers(t *testing.T, do func(int, ...string) string) {
	t.Helper()
	says(t, do(exitOK, "consumer", "create", "holder", "--api-key", "--group", "team", "--authorize", "models"), "secret  consumer holder", "created consumer holder")
	says(t, do(exitOK, "consumer", "create", "bearer", "--instance", "acme", "--claim", "scope", "--value", "model.invoke"), "created")
	says(t, do(exitOK, "consumer", "show", "bearer"), "/acme/oauth2/jwks", "claim: scope")
	says(t, do(exitOK, "consumer", "create", "signer", "--hmac"), "secret  consumer signer")
	says(t, do(exitOK, "consumer", "list"), "holder", "api_key", "hmac", "models")
	says(t, do(exitOK, "consumer", "key", "create", "holder", "--id", "k2"), "shown this once")
	says(t, do(exitOK, "consumer", "key", "disable", "holder", "k2"), "disabled consumer holder API key k2")
	says(t, do(exitOK, "consumer", "key", "list", "holder", "--json"), `"k2"`, `"disabled"`)
	says(t, do(exitOK, "consumer", "key", "remove", "holder", "k2"), "removed")
	says(t, do(exitRefused, "consumer", "key", "remove", "holder", "k2"), "404")
	says(t, do(exitOK, "consumer", "hmac-key", "create", "signer", "--id", "ak-2"), "shown this once")
	says(t, do(exitOK, "consumer", "jwt-key", "bearer", "--kind", "pair"), "PRIVATE KEY")
	says(t, do(exitRefused, "consumer", "jwt-key", "bearer", "--kind", "odd"), "4")
	says(t, do(exitOK, "consumer", "authorize", "bearer", "models", "--model", "demo", "--expires", "30d"), "authorized consumer bearer on api models")
	says(t, do(exitRefused, "consumer", "authorize", "bearer", "nothing"), "nothing", "422")
	says(t, do(exitOK, "consumer", "show", "bearer"), "expires_at", "- demo")
	says(t, do(exitOK, "consumer", "unauthorize", "bearer", "models"), "no longer authorized")
	says(t, do(exitRefused, "consumer", "unauthorize", "bearer", "models"), "404")
	for _, name := range []string{"holder", "signer", "bearer"} {
		says(t, do(exitOK, "consumer", "remove", name), "removed consumer "+name)
	}
}

func TestAnObjectThatWasReadIsWrittenOnlyOverItself(t *testing.T) {
	env := empty(t)
	must(t, exitOK, env, "set", "group", "team", "limits.calls_per_day=7")
	read := must(t, exitOK, env, "get", "group", "team")
	asJSON := must(t, exitOK, env, "get", "group", "team", "--json")
	changed := write(t, "team.yaml", strings.Replace(read, ": 7", ": 8", 1))
	says(t, must(t, exitOK, env, "set", "group", "team", "-f", changed), "changed group team")
	says(t, must(t, exitRefused, env, "set", "group", "team", "-f", changed), "412 conflict")
	says(t, must(t, exitRefused, env, "set", "group", "team", "-f", write(t, "team.json", asJSON)), "412 conflict")
	wrong := write(t, "wrong.yaml", "name: team\nlimits:\n  calls_per_dya: 7\n")
	says(t, must(t, exitRefused, env, "set", "group", "team", "-f", wrong), wrong+":3: limits.calls_per_dya")
	invalid := write(t, "invalid.yaml", "name: team\nlimits:\n  calls_per_day: -7\n")
	says(t, must(t, exitRefused, env, "set", "group", "team", "-f", invalid), invalid+":3: ")
	says(t, must(t, exitOK, env, "set", "group", "other", "-f", write(t, "other.yaml", "name: other\n")), "created group other")
	code, _, errs := keyless(env, "MARKER-of-stdin-0123456789\n", "set", "upstream", "back", "protocol=openai", "base_url=https://back.example/v1", "api_keys=@-")
	if code != exitOK {
		t.Errorf("exit %d, %s", code, errs)
	}
}
