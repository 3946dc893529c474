package registry_test

import (
	"fmt"
	"strings"
	"testing"

	"keyless/shared/registry"
)

func TestKeyFaults(t *testing.T) {
	t.Parallel()
	many := func(form string, n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(form, i))
		}
		return "[" + strings.Join(list, ", ") + "]"
	}
	key := func(value string) string { return `api_key: {keys: [{id: k, value: "` + value + `"}]}` }
	secret := func(value string) string { return `hmac: {keys: [{access_key: a, secret_key: "` + value + `"}]}` }
	for name, row := range map[string]struct{ credentials, want string }{
		"sixteen characters": {key("sixteen-letters!"), ""},
		"fifteen": {key("fifteen-letters"), "consumers[0].api_key.keys[0].value: is a secret of under 16 characters; " +
			"write a longer one, or leave value out to have one generated"},
		"512 characters":        {key(strings.Repeat("k", 512)), ""},
		"513":                   {key(strings.Repeat("k", 513)), "consumers[0].api_key.keys[0].value: is an API key of over 512 characters; write a shorter one"},
		"a space inside":        {key("sixteen letters!"), ""},
		"a space at its end":    {key("sixteen-letters! "), "consumers[0].api_key.keys[0].value: has a space at its ends, which no header keeps; write the bare key"},
		"a letter beyond ASCII": {key("sixteen-letters-é"), "consumers[0].api_key.keys[0].value: is a secret with a character that is not printable ASCII; write another"},
		"a hash that is none":   {key("hash: v2:x"), `consumers[0].api_key.keys[0].value: is not a hash; write "hash: v1:…" as export prints it`},
		"a seal that is none":   {key("sealed: x"), `consumers[0].api_key.keys[0].value: is not a sealed secret; write "sealed: v1:…" as export prints it`},
		"an id twice":           {"api_key: {keys: [{id: k}, {id: k}]}", `consumers[0].api_key.keys[1].id: "k" stands twice; give each a name of its own`},
		"no id":                 {"api_key: {keys: [{value: sixteen-letters!}]}", "consumers[0].api_key.keys[0].id: is required and not empty"},
		"an empty list":         {"api_key: {keys: []}", "consumers[0].api_key.keys: is an empty list, which reads as absent; leave it out, or write its items"},
		"sixteen keys":          {"api_key: {keys: " + many("{id: k%d}", 16) + "}", ""},
		"seventeen":             {"api_key: {keys: " + many("{id: k%d}", 17) + "}", "consumers[0].api_key.keys: has more than 16 keys; remove the oldest"},
		"one key twice": {"api_key: {keys: [{id: a, value: sixteen-letters!}, {id: b, value: sixteen-letters!}]}",
			`consumers[0].api_key.keys[1].value: is also that of the consumer "one"; write another`},
		"a header that is dropped": {"api_key: {source: {header: x_key}}", "consumers[0].api_key.source.header: is a header that is dropped on entry; " +
			"write another, or cookie: NAME for a cookie"},
		"a header of ours":        {"api_key: {source: {header: X-Consumer}}", "consumers[0].api_key.source.header: is a header that the gateway itself sets or drops; write another"},
		"a parameter with a sign": {`api_key: {source: {query: "a=b"}}`, "consumers[0].api_key.source.query: is not a parameter's name; write 1 to 128 of A-Z a-z 0-9 . _ ~ -"},
		"an unknown state":        {"api_key: {keys: [{id: k, status: on}]}", "consumers[0].api_key.keys[0].status: is not one of the words it can be; write one of: enabled, disabled"},

		"an access key":                {"hmac: {keys: [{access_key: a}]}", ""},
		"no access key":                {"hmac: {keys: [{status: enabled}]}", "consumers[0].hmac.keys[0].access_key: is required and not empty"},
		"no keys":                      {"hmac: {window: 1m}", "consumers[0].hmac.keys: is required; write at least {access_key: NAME}"},
		"a short secret":               {secret("fifteen-letters"), "consumers[0].hmac.keys[0].secret_key: is a secret of under 16 characters; write a longer one, or leave value out to have one generated"},
		"a hash for a secret":          {secret("hash: v1:" + strings.Repeat("A", 43)), "consumers[0].hmac.keys[0].secret_key: is a hash, with which no signature can be verified; write the secret itself, or its sealed form"},
		"an access key twice":          {"hmac: {keys: [{access_key: a}, {access_key: a}]}", `consumers[0].hmac.keys[1].access_key: is also that of the consumer "one"; write another`},
		"sixteen access keys":          {"hmac: {keys: " + many("{access_key: k%d}", 16) + "}", ""},
		"seventeen of them":            {"hmac: {keys: " + many("{access_key: k%d}", 17) + "}", "consumers[0].hmac.keys: has more than 16 keys; remove the oldest"},
		"a space before an access key": {`hmac: {keys: [{access_key: " a"}]}`, "consumers[0].hmac.keys[0].access_key: has a line break or a space at its ends; write the bare text"},
	} {
		got := ""
		if faults := registry.Validate(config(t, consumerWith(row.credentials))); len(faults) > 0 {
			got = faults.Error()
		}
		if got != row.want {
			t.Errorf("%s: got %q, want %q", name, got, row.want)
		}
		for _, clear := range []string{"sixteen-letters", "fifteen-letters", "kkkkkkkk"} {
			if strings.Contains(got, clear) {
				t.Errorf("%s: the fault tells the secret", name)
			}
		}
	}
}

func TestNinthPlaceOfAPIKeys(t *testing.T) {
	t.Parallel()
	text := "version: 1\nconsumers:\n"
	for i := range 9 {
		text += fmt.Sprintf("- {name: n%d, api_key: {source: {header: X-%d}}}\n", i, i)
	}
	want := "consumers[8].api_key.source: is the ninth place of an API key in use; all consumers together use at most 8"
	if got := registry.Validate(config(t, text)).Error(); got != want {
		t.Error(got)
	}
}

// One credential names one consumer, also where one of the two is in the registry already, or comes in another form.
func TestOneCredentialOfTwoConsumers(t *testing.T) {
	t.Parallel()
	const value = "a-key-that-is-brought"
	second := func(credentials string) string { return "version: 1\nconsumers: [{name: two, " + credentials + "}]\n" }
	for name, row := range map[string]struct {
		first, second string
		fault         bool
	}{
		"one key":                   {"api_key: {keys: [{id: k, value: " + value + "}]}", "api_key: {keys: [{id: j, value: " + value + "}]}", true},
		"one key, hashed":           {"api_key: {keys: [{id: k, value: " + value + "}]}", `api_key: {keys: [{id: j, value: "hash: HASH"}]}`, true},
		"one key at another place":  {"api_key: {keys: [{id: k, value: " + value + "}]}", "api_key: {source: {query: k}, keys: [{id: j, value: " + value + "}]}", false},
		"another key":               {"api_key: {keys: [{id: k, value: " + value + "}]}", "api_key: {keys: [{id: j, value: " + value + "x}]}", false},
		"one access key":            {"hmac: {keys: [{access_key: a}]}", "hmac: {keys: [{access_key: a}]}", true},
		"another access key":        {"hmac: {keys: [{access_key: a}]}", "hmac: {keys: [{access_key: A}]}", false},
		"a key and an access key":   {"api_key: {keys: [{id: k, value: " + value + "}]}", "hmac: {keys: [{access_key: " + value + "}]}", false},
		"two that are generated":    {"api_key: {}", "api_key: {}", false},
		"an access key and a claim": {"jwt: {jwks_url: http://h/k, value: a}", "hmac: {keys: [{access_key: a}]}", false},
	} {
		k := newKeyring(t)
		k.apply(consumerWith(row.first))
		text := strings.Replace(second(row.second), "HASH", k.hash(value), 1)
		_, err := registry.Apply(t.Context(), k.store, k.keys, config(t, text), registry.ApplyOptions{})
		if (err != nil) != row.fault || err != nil && !strings.Contains(err.Error(), "is also that of the consumer") {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), value) {
			t.Errorf("%s: the fault tells the key", name)
		}
	}
}

func TestGlobalFaults(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ rule, want string }{
		"a prefix":                   {"path: /a", ""},
		"a prefix with a slash":      {"path: /a/", ""},
		"everything":                 {"path: /", ""},
		"a domain":                   {"domain: ai.example", ""},
		"a domain in capitals":       {"domain: AI.example", ""},
		"any domain":                 {`domain: "*"`, ""},
		"the default domain":         {"domain: default", ""},
		"a suffix":                   {"path: .json, match: suffix", ""},
		"an expression":              {`path: "/a/[0-9]+", match: regex`, ""},
		"an unknown domain":          {"domain: b.example", `.domain: "b.example" is not a domain; write one of: ai.example, default`},
		"no slash":                   {"path: a", ".path: is not a canonical path; write whole segments without query, . or .. segments or needless %XX"},
		"a query":                    {`path: "/a?b"`, ".path: is not a canonical path; write whole segments without query, . or .. segments or needless %XX"},
		"dots":                       {"path: /a/../b, match: exact", ".path: is not a canonical path; write whole segments without query, . or .. segments or needless %XX"},
		"two slashes":                {"path: /a//b", ".path: is not a canonical path; write whole segments without query, . or .. segments or needless %XX"},
		"a needless escape":          {`path: "/%61"`, ".path: is not a canonical path; write whole segments without query, . or .. segments or needless %XX"},
		"a suffix with a query":      {`path: "a?b", match: suffix`, ".path: is not the end of a path; write such as .json, without query"},
		"an unknown match":           {"path: /a, match: glob", ".match: is not one of the words it can be; write one of: prefix, exact, suffix, regex"},
		"no expression":              {`path: "(", match: regex`, ".path: is not a regular expression of RE2; write one that is"},
		"looking ahead":              {`path: "/(?=a)", match: regex`, ".path: is not a regular expression of RE2; write one that is"},
		"an expression left open":    {`path: "/a)|(?:/b", match: regex`, ".path: is not a regular expression of RE2; write one that is"},
		"a quotation left open":      {`path: '/\Qa', match: regex`, ".path: is not a regular expression of RE2; write one that is"},
		"a quotation that is closed": {`path: '/\Qa\E', match: regex`, ""},
	} {
		text := "version: 1\ndomains: [{name: ai.example}]\nglobal_authentication: {jwks_url: http://h/k, rules: [{" + row.rule + "}]}\n"
		got := ""
		if faults := registry.Validate(config(t, text)); len(faults) > 0 {
			got = strings.TrimPrefix(faults.Error(), "global_authentication.rules[0]")
		}
		if got != row.want {
			t.Errorf("%s: got %q, want %q", name, got, row.want)
		}
	}
}

// Global authentication is applied, read, changed and removed; a shared key of it is sealed.
func TestGlobalIsReadBack(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	const text = "version: 1\nglobal_authentication: {jwks: '" + partnerKey + "', issuer: i, mode: blacklist, rules: [{path: '/a/[0-9]', match: regex}, {path: /b}]}\n"
	k.apply(text)
	g := k.snapshot().Global
	if g == nil || len(g.Keys()) != 1 || !g.Rules[0].Matches("/a/1") || g.Rules[0].Matches("/a/12") || g.Rules[1].Matches("/b") {
		t.Fatalf("%+v", g)
	}
	fields, err := k.store.Fields(t.Context())
	if err != nil || strings.Contains(fields["global"], "AAAA") || !strings.Contains(fields["global"], "sealed: v1:") {
		t.Errorf("stored as %s, %v", fields["global"], err)
	}
	if again := k.apply(text); len(again.Changes) != 0 {
		t.Errorf("again: %+v", again.Changes)
	}
	if report := k.apply("version: 1\n"); fmt.Sprint(lines(report)) != "[remove global_authentication]" || k.snapshot().Global != nil {
		t.Errorf("removed: %v", lines(report))
	}
}
