package file_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"keyless/shared/registry"
	"keyless/shared/registry/file"
)

// broken are single changes of testdata/built.yaml, which is without fault, and what is said about each after
// the line, which is that of the change unless at gives another text to find it by. The line of what only
// follows from the change is *.
var broken = map[string]struct{ old, new, at, want string }{
	"another version": {old: "version: 1", new: "version: 2", want: "version: is not 1; write version: 1"},
	"a currency's name": {old: "currency: USD", new: "currency: Dollar",
		want: "currency: is not a currency code of three capital letters; write one such as USD"},
	"an instance in capitals": {old: "- id: acme", new: "- id: Acme",
		want: "instances[0].id: is not an instance's id; write 1 to 63 of a-z 0-9 -, the first a letter or digit"},
	"an instance twice": {old: "id: hashed", new: "id: acme",
		want: `instances[1].id: "acme" stands twice; give each instance an id of its own`},
	"no description": {old: "    description: Machines of Acme\n", new: "", at: "- id: acme",
		want: "instances[0].description: is required and not empty"},
	"terms not accepted": {old: "privacy_agreement: accepted\n    m2m", new: "privacy_agreement: yes\n    m2m",
		want: "instances[0].privacy_agreement: is required; write accepted once you have accepted it"},
	"a symmetric signature": {old: "signing_algorithm: ES256", new: "signing_algorithm: HS256",
		want: "instances[0].signing_algorithm: is not one of the words it can be; write one of: " +
			"ES256, RS256, EdDSA, ES384, ES512, RS384, RS512, PS256, PS384, PS512"},
	"a token of a week": {old: "token_lifetime: 1h", new: "token_lifetime: 7d",
		want: "instances[0].token_lifetime: is not from 1m to 24h; write such as 20m"},
	"a bar in an identifier": {old: "- identifier: cloud:idaas:aigateway:alibabacloud:1234567890",
		new: "- identifier: cloud|1\n      - identifier: cloud:idaas:aigateway:alibabacloud:1234567890",
		want: `instances[0].resource_servers[0].identifier: is not an identifier; write 1 to 255 printable ASCII ` +
			`characters without space, " \ and |` + "\n" +
			"LINE: instances[0].resource_servers[0].name: is required and not empty"},
	"the scope of all scopes": {old: "value: tools.call, name", new: "value: .all, name",
		want: "instances[0].resource_servers[0].scopes[1].value: is .all, which asks for all scopes; write " +
			"another\n" +
			`*: instances[0].clients[1].permissions[0].scopes[0]: "tools.call" is not a scope of that resource ` +
			"server; write one of: .all, model.invoke"},
	"a scope twice": {old: "value: tools.call, name", new: "value: model.invoke, name",
		want: `instances[0].resource_servers[0].scopes[1].value: "model.invoke" stands twice in the resource ` +
			"server; write it once\n" +
			`*: instances[0].clients[1].permissions[0].scopes[0]: "tools.call" is not a scope of that resource ` +
			"server; write one of: model.invoke"},
	"an unknown way to authenticate": {old: "client_secret_post]", new: "password]",
		want: "instances[0].clients[0].authentication[1]: is not a way to authenticate; write one of: " +
			"client_secret_basic, client_secret_post, client_secret_jwt, private_key_jwt, tls_client_auth, " +
			"self_signed_tls_client_auth, federated"},
	"a third secret": {old: "- {id: s2}", new: "- {id: s2}\n          - {id: s3}", at: "secrets:",
		want: "instances[0].clients[0].secrets: has more than two secrets; remove the oldest"},
	"a short secret": {old: "- {id: s2}", new: "- {id: s2, value: fifteen-letters}",
		want: "instances[0].clients[0].secrets[1].value: is a secret of under 16 characters; write a longer one, " +
			"or leave value out to have one generated"},
	"a hash that is none": {old: "- {id: s2}", new: `- {id: s2, value: "hash: abc"}`,
		want: `instances[0].clients[0].secrets[1].value: is not a hash; write "hash: v1:…" as export prints it`},
	"a permission on nothing": {old: `"cloud:idaas:aigateway:alibabacloud:1234567890", scopes: [model.invoke]`,
		new: `"other", scopes: [model.invoke]`,
		want: `instances[0].clients[0].permissions[0].resource_server: "other" is not a resource server of this ` +
			"instance; write one of: cloud:idaas:aigateway:alibabacloud:1234567890"},
	"a nameless client twice": {old: "name: Without an id", new: "name: Nightly report",
		want: "instances[0].clients[1].name: stands twice, and this client has no id to tell it by; write an id"},
	"a domain with a port": {old: "name: AI.acme.example", new: "name: ai.acme.example:443",
		want: "domains[1].name: is not a host; write ai.example.com or *.example.com without scheme and port\n" +
			`*: apis[0].domains[1]: "ai.acme.example" is not a domain; ` +
			"write one of: ai.acme.example:443, default\n" +
			`*: global_authentication.rules[1].domain: "ai.acme.example" is not a domain; ` +
			"write one of: ai.acme.example:443, default"},
	"a domain twice": {old: "  - name: AI.acme.example", new: "  - name: AI.acme.example\n  - name: " +
		"ai.ACME.example",
		at: "  - name: ai.ACME", want: `domains[2].name: "ai.acme.example" stands twice; letter case does not ` +
			`count`},
	"a zone that is none": {old: "time_zone: UTC", new: "time_zone: Local",
		want: "domains[0].time_zone: is not a time zone; write a name of the IANA database such as " +
			"Asia/Shanghai, or UTC"},
	"an unknown protocol": {old: "protocol: mcp", new: "protocol: grpc",
		want: "upstreams[2].protocol: is not one of the words it can be; write one of: openai, anthropic, mcp, " +
			"http"},
	"a password in a URL": {old: "http://127.0.0.1:3002", new: "http://me:hunter2@127.0.0.1:3002",
		want: "upstreams[3].base_url: has a user or password in it; write an absolute URL such as " +
			"https://host/path"},
	"a relative URL": {old: "http://127.0.0.1:3002", new: "127.0.0.1:3002/x",
		want: "upstreams[3].base_url: is not a URL; write an absolute URL such as https://host/path"},
	"a query in a base URL": {old: "http://127.0.0.1:3002", new: "http://127.0.0.1:3002?a=b",
		want: "upstreams[3].base_url: has a query; write the URL that stands before a call's own path and query"},
	"a header of ours": {old: "header: X-Api-Key", new: "header: x-consumer",
		want: "upstreams[1].auth.header: is a header that the gateway itself sets or drops; write another"},
	"a header in two lines": {old: `'{"input":"cip"}'`, new: `"a\r\nX-Evil: b"`,
		want: "upstreams[0].headers.X-DashScope-DataInspection: has a control character or a line break; write " +
			"one line"},
	"a hash as a provider's key": {old: `["k-1"]`, new: `["hash: v1:x"]`,
		want: "upstreams[1].api_keys[0]: is a hash, which cannot be sent to a provider; write the key itself, " +
			"or its sealed form"},
	"a base path without slash": {old: "base_path: /reports", new: "base_path: reports",
		want: "apis[4].base_path: does not begin with /; write a path such as /v1"},
	"a base path with dots": {old: "base_path: /reports", new: "base_path: " +
		"/a/../b", want: "apis[4].base_path: is " +
		"not a canonical path; write whole segments without query, . or .. segments or needless %XX"},
	"a base path of ours": {old: "base_path: /reports", new: "base_path: /_/x",
		want: "apis[4].base_path: is where the gateway's own endpoints stand; write another path"},
	"a base path of an instance": {old: "base_path: /reports", new: "base_path: /acme/oauth2/token",
		want: "apis[4].base_path: is where the gateway's own endpoints stand; write another path"},
	"a base path on one domain and on all": {old: "base_path: /reports", new: "base_path: /v1",
		want: `apis[4].base_path: is the base path of the API "models" on the same domain too; ` +
			"write another path or domain"},
	"no domains, written": {old: "domains: [default, ai.ACME.example]", new: "domains: []",
		want: "apis[0].domains: is an empty list, which reads as absent; leave it out, or write its items"},
	"an unknown upstream": {old: "[{upstream: tools}]", new: "[{upstream: tool}]",
		want: `apis[2].upstreams[0].upstream: "tool" is not an upstream; ` +
			"write one of: accounts, claude, model-studio, tools"},
	"an upstream of another kind": {old: "[{upstream: tools}]", new: "[{upstream: claude}]",
		want: "apis[2].upstreams[0].upstream: speaks another protocol than the API; " +
			"llm needs openai or anthropic, mcp mcp, http http"},
	"no methods": {old: "{methods: [jwt]}", new: "{methods: []}", want: "apis[4].authentication.methods: is " +
		"empty; " +
		"write some of jwt, api_key, hmac, or leave authentication out"},
	"a negative limit": {old: "calls_per_minute: 6000", new: "calls_per_minute: -1",
		want: "apis[0].limits.calls_per_minute: is negative; write a positive number, or leave it out for none"},
	"an unknown group": {old: "groups: [batch]", new: "groups: [Batch]",
		want: `consumers[0].groups[0]: "Batch" is not a group; write one of: batch`},
	"an unknown API": {old: "- api: models", new: "- api: model",
		want: `consumers[0].authorizations[0].api: "model" is not an API; ` +
			"write one of: accounts, claude-native, models, reports, tools"},
	"two sources of keys": {old: "jwks: ${PARTNER_JWK}", new: "jwks: ${PARTNER_JWK}\n      jwks_url: http://h/k",
		at: "    jwt:\n      jwks: ${",
		want: "consumers[1].jwt: needs exactly one of jwks_url and jwks; write the URL of the JWK Set, or the " +
			"set itself"},
	"a key that is too short": {old: "jwks: ${PARTNER_JWK}", new: `jwks: '{"kty":"oct","k":"c2VjcmV0"}'`,
		want: `consumers[1].jwt.jwks: is not a key set: keys[0]: an oct key has 32 to 1024 bytes; ` +
			`write {"keys":[…]} or a single JWK`},
	"two kinds of algorithms": {old: "[ES256, RS256]", new: "[ES256, HS256]",
		want: "consumers[0].jwt.algorithms[1]: needs a shared secret, which no URL publishes; " +
			"write the oct key into jwks\nLINE: consumers[0].jwt.algorithms: mixes HS algorithms with others; " +
			"write one kind: a public key never verifies an HS one"},
	"an algorithm that fits no key": {old: "jwks: ${PARTNER_JWK}", new: "jwks: ${PARTNER_JWK}\n      " +
		"algorithms: [RS256]",
		at: "algorithms: [RS256]", want: "consumers[1].jwt.algorithms[0]: fits no key of jwks; leave it out"},
	"two places": {old: "cookie: session", new: "cookie: session\n      query: token", at: "    jwt:\n      " +
		"cookie",
		want: "consumers[2].jwt: has more than one of header, query and cookie; write one"},
	"a header that is dropped": {old: "cookie: session", new: "header: x_token",
		want: "consumers[2].jwt.header: is a header that is dropped on entry; write another, " +
			"or cookie: NAME for a cookie"},
	"two members of a scope claim": {old: "value: model.invoke\n      issuer", new: "value: model invoke\n   " +
		"   issuer",
		want: "consumers[0].jwt.value: is not one scope; a scope claim matches by member, so write a single one"},
	"no credential": {old: "    jwt:\n      jwks: ${PARTNER_JWK}\n", new: "", at: "  - name: partner-shared-key",
		want: "consumers[1]: has no credential; write jwt with a jwks_url or jwks, api_key, or hmac"},
	"a text that does not print": {old: "display_name: Nightly report", new: `display_name: "a\u0007"`,
		want: "consumers[0].display_name: has a character that does not print; write plain text"},
	"a rule of a domain that is none": {old: "domain: AI.acme.example, path", new: "domain: app.acme.example, path",
		want: `global_authentication.rules[1].domain: "app.acme.example" is not a domain; ` +
			"write one of: ai.acme.example, default"},
	"a rule of a path that no call has": {old: "path: /accounts/health", new: "path: /accounts//health",
		want: "global_authentication.rules[1].path: is not a canonical path; write whole segments without query, . " +
			"or .. segments or needless %XX"},
	"a hash for a signature": {old: `partner, secret_key: "${NIGHTLY_REPORT_SECRET}"`,
		new: `partner, secret_key: "hash: v1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"`,
		want: "consumers[2].hmac.keys[0].secret_key: is a hash, with which no signature can be verified; write the " +
			"secret itself, or its sealed form"},
	"a short API key": {old: `{id: new, value: "hash: v1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`,
		new: "{id: new, value: fifteen-letters}",
		want: "consumers[2].api_key.keys[1].value: is a secret of under 16 characters; write a longer one, " +
			"or leave value out to have one generated"},
	"an API key twice": {old: "{id: old, value:", new: `{id: older, value: "${NIGHTLY_REPORT_SECRET}"}
        - {id: old, value:`, at: "{id: old, value",
		want: `consumers[2].api_key.keys[1].value: is also that of the consumer "partner-public-key"; write another`},
	"a rule that is no expression": {old: "path: /accounts/login, match: prefix", new: "path: \"(\", match: " +
		"regex",
		want: "global_authentication.rules[0].path: is not a regular expression of RE2; write one that is"},
}

func TestBroken(t *testing.T) {
	t.Parallel()
	whole, err := os.ReadFile("testdata/built.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range broken {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(string(whole), row.old) {
				t.Fatalf("the file has no %q", row.old)
			}
			text := strings.Replace(string(whole), row.old, row.new, 1)
			config, positions, err := file.Read("f", []byte(text), lookup)
			if err != nil {
				t.Fatal(err)
			}
			line := 1 + strings.Count(text[:strings.Index(string(whole), row.old)], "\n")
			if row.at != "" {
				line = 1 + strings.Count(text[:strings.Index(text, row.at)], "\n")
			}
			want := strings.ReplaceAll(fmt.Sprintf("f:%d: "+
				"%s", line, row.want), "\nLINE:", fmt.Sprintf("\nf:%d:", line))
			got := positions.Explain(registry.Validate(config))
			if plain(got.Error()) != plain(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			for _, secret := range []string{"hunter2", "c2VjcmV0", "fifteen-letters", environment["PARTNER_JWK"]} {
				if strings.Contains(got.Error(), secret) {
					t.Errorf("the fault tells a secret: %s", got)
				}
			}
		})
	}
}

// plain takes the line off all faults but the first.
func plain(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if _, rest, ok := strings.Cut(line, ": "); ok && i > 0 {
			lines[i] = rest
		}
	}
	return strings.Join(lines, "\n")
}

// What is built bounded must stay so: the claims and places that every request is searched for.
func TestNinthClaim(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ form, want string }{
		"claims": {"claim: c%d", "f:11: consumers[8].jwt.claim: is the ninth claim in use; " +
			"all consumers together use at most 8"},
		"places": {"header: X-%d", "f:11: consumers[8].jwt: is the ninth place of a token in use; " +
			"all consumers together use at most 8"},
	} {
		text := "version: 1\nconsumers:\n"
		for i := range 9 {
			text += fmt.Sprintf("- {name: n%d, jwt: {jwks_url: http://h/k, "+row.form+"}}\n", i, i)
		}
		config, positions, err := file.Read("f", []byte(text), lookup)
		if err != nil {
			t.Fatal(err)
		}
		if got := positions.Explain(registry.Validate(config)); got.Error() != row.want {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

func TestManyShareAValue(t *testing.T) {
	t.Parallel()
	for _, n := range []int{64, 65} {
		text := "version: 1\nconsumers:\n"
		for i := range n {
			text += fmt.Sprintf("- {name: n%d, jwt: {jwks_url: http://h/%d, value: v}}\n", i, i)
		}
		config, _, err := file.Read("f", []byte(text), lookup)
		if err != nil {
			t.Fatal(err)
		}
		if faults := registry.Validate(config); len(faults) != n-64 {
			t.Errorf("%d consumers: %v", n, faults)
		}
	}
}

func TestIdenticalRules(t *testing.T) {
	t.Parallel()
	const first = "{jwks_url: http://h/k, value: v, issuer: i, audience: [a, b]}"
	for name, row := range map[string]struct {
		second string
		same   bool
	}{
		"the same in another order": {"{audience: [b, a], value: v, issuer: i, jwks_url: http://h/k, claim: " +
			"uid}", true},
		"another value":    {"{jwks_url: http://h/k, value: w, issuer: i, audience: [a, b]}", false},
		"another issuer":   {"{jwks_url: http://h/k, value: v, audience: [a, b]}", false},
		"another audience": {"{jwks_url: http://h/k, value: v, issuer: i, audience: a}", false},
		"another key set":  {"{jwks_url: http://h/l, value: v, issuer: i, audience: [a, b]}", false},
		"another place": {"{jwks_url: http://h/k, value: v, issuer: i, audience: [a, b], query: " +
			"t}", false},
		"a generated value": {"{jwks_url: http://h/k, issuer: i, audience: [a, b]}", false},
	} {
		text := "version: 1\nconsumers:\n- {name: one, jwt: " + first + "}\n- {name: two, jwt: " +
			"" + row.second + "}\n"
		config, _, err := file.Read("f", []byte(text), lookup)
		if err != nil {
			t.Fatal(err)
		}
		faults := registry.Validate(config)
		if (len(faults) == 1 && strings.Contains(faults[0].Text, `same rule as that of the consumer `+
			`"one"`)) != row.same {
			t.Errorf("%s: %v", name, faults)
		}
	}
}

// Ten thousand consumers are judged in one pass; a loop in a loop would be felt by whoever runs this.
func TestManyConsumers(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString("version: 1\napis: [{name: a, type: http, base_path: /}]\nconsumers:\n")
	for i := range 10000 {
		fmt.Fprintf(&text, "- {name: n%d, jwt: {jwks_url: http://h/k, value: v%d}, authorizations: [{api: "+
			"a}]}\n", i, i)
	}
	config, _, err := file.Read("f", []byte(text.String()), lookup)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if faults := registry.Validate(config); len(faults) > 0 {
		t.Fatal(faults)
	}
	t.Logf("validated in %v", time.Since(start))
	config.APIs[0].Name = "b"
	if faults := registry.Validate(config); len(faults) != 10000 {
		t.Fatalf("%d faults", len(faults))
	}
}
