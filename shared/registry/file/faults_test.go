package file_test

import (
	"strings"
	"testing"

	"keyless/shared/registry/file"
)

// faulty are texts and all that is said about them.
var faulty = map[string]struct{ text, want string }{
	"an empty file": {"", "f:1: the file is empty; write version: 1 and what the gateway shall " +
		"know"},
	"only a comment": {"# nothing\n", "f:1: the file is empty; write version: 1 and what the " +
		"gateway shall know"},
	"a list instead of a mapping": {"- a\n", "f:1: is not a mapping; write key: value pairs"},
	"a tab": {"version: 1\n\tcurrency: USD\n",
		"f:2: this is not YAML: found a tab character that violates indentation; indent with spaces"},
	"an unquoted variable in braces": {"version: 1\ngroups:\n  - {name: ${X}}\n",
		"f:3: this is not YAML: did not find expected ',' or '}'; inside { } and [ ] a text such as ${NAME} " +
			"stands in quotes"},
	"a control character": {"version: 1\ncurrency: \"\x01\"\n", "f:2: this is not YAML: control characters " +
		"are not allowed"},
	"an unquoted star": {"version: 1\ndomains:\n  - name: *.acme.example\n",
		"f:3: this is not YAML: a text that begins with * or & stands in quotes"},
	"an alias without an anchor": {"version: 1\ngroups:\n  - *all\n",
		"f:3: an alias (*) is not read; write the value out, or put a text that begins with * in quotes"},
	"two documents": {"version: 1\n---\nversion: 1\n", "f:2: a second document begins here; write one, " +
		"without ---"},
	"an anchor and its alias": {"version: 1\ngroups:\n  - &g {name: a}\n  - *g\n",
		`f:3: groups[0]: anchors and aliases are not read; write the value out
f:4: groups[1]: anchors and aliases are not read; write the value out`},
	"a merge key": {"version: 1\n<<: {currency: USD}\n",
		"f:2: has a key that is not a plain word; write the keys out one by one"},
	"a tag of one's own": {"version: 1\ncurrency: !env X\n", "f:2: currency: tags are not read; write the " +
		"bare value"},
	"an unknown key": {"version: 1\ngroups:\n  - nme: a\n    name: a\n",
		"f:3: groups[0].nme: is not a known key; did you mean name? known here: name, limits"},
	"an unknown key that resembles none": {"version: 1\ngroups: [{name: a, xyzzy: b}]\n",
		"f:2: groups[0].xyzzy: is not a known key; known here: name, limits"},
	"what is stored only": {"version: 1\ninstances:\n- id: a\n  description: d\n  privacy_agreement: " +
		"accepted\n" +
		"  clients: [{name: c, instance: b, secrets: [{id: s, hash: x}]}]\n",
		`f:6: instances[0].clients[0].instance: is not a known key; known here: id, name, status, ` +
			`authentication, ` +
			`secrets, federated_credentials, dpop, jwks_url, jwks, public_keys, assertion_audience, ` +
			`certificate, certificates, permissions, token_exchange
f:6: instances[0].clients[0].secrets[0].hash: is not a known key; known here: id, value, expires_at, status`},
	"a key that stands twice": {"version: 1\ncurrency: USD\ncurrency: EUR\n",
		"f:3: currency: stands twice, first on line 2; remove one"},
	"a key without a value": {"version: 1\ngroups:\n", "f:2: groups: has no value; write one, or leave the " +
		"key out"},
	"a number where a secret belongs": {"version: 1\nupstreams:\n- {name: u, protocol: http, base_url: " +
		"http://h, api_keys: [12345]}\n",
		"f:3: upstreams[0].api_keys[0]: is not a text but looks like a number, a date or true and false; quote it"},
	"a boolean and a date as names": {"version: 1\ngroups:\n- name: true\n- name: 2027-01-01\n",
		`f:3: groups[0].name: is not a text but looks like a number, a date or true and false; quote it
f:4: groups[1].name: is not a text but looks like a number, a date or true and false; quote it`},
	"numbers that are none": {"version: one\ndomains:\n- {name: a, daily_call_limit: 1_000}\n- {name: b, " +
		"daily_call_limit: 1.5}\n",
		`f:1: version: is not a whole number; write digits only, without quotes
f:3: domains[0].daily_call_limit: is not a whole number; write digits only, without quotes
f:4: domains[1].daily_call_limit: is not a whole number; write digits only, without quotes`},
	"a zero that reads as absent": {"version: 1\ngroups:\n- name: a\n  limits:\n    calls_per_day: 0\n",
		"f:5: groups[0].limits.calls_per_day: is 0, which reads as absent; write another number, or leave the " +
			"key out"},
	"durations that are none": {"version: 1\nupstreams:\n- name: u\n  protocol: http\n  base_url: http://h\n" +
		"  timeouts:\n    connect: 3\n    idle: 1.5h\n    total: 0s\n",
		`f:7: upstreams[0].timeouts.connect: is not a duration; write 90s, 15m, 1h or 7d
f:8: upstreams[0].timeouts.idle: is not a duration; write 90s, 15m, 1h or 7d
f:9: upstreams[0].timeouts.total: is 0, which reads as absent; write a longer one, or leave the key out`},
	"a time that is none": {"version: 1\napis: [{name: a, type: http, base_path: /}]\nconsumers:\n- name: c\n" +
		"  jwt: {jwks_url: http://h/k}\n  authorizations:\n  - {api: a, expires_at: 2027-06-30}\n",
		"f:7: consumers[0].authorizations[0].expires_at: is not a time; write such as 2027-06-30T00:00:00Z"},
	"neither true nor false": {"version: 1\napis: [{name: a, type: http, base_path: /, strip_base_path: yes}]\n",
		"f:2: apis[0].strip_base_path: is neither true nor false; write one of them, without quotes"},
	"authentication in a word": {"version: 1\napis: [{name: a, type: http, base_path: /, authentication: " +
		"none}]\n",
		"f:2: apis[0].authentication: is neither disabled nor {methods: [ … ]}; write one of them"},
	"variables that are not there": {"version: 1\nupstreams:\n- name: u\n  protocol: http\n  base_url: " +
		"${NO}/x\n  api_keys: [\"${EMPTY}\"]\n" +
		"consumers:\n- name: c\n  jwt:\n    jwks: ${NO_KEY}\n",
		`f:5: upstreams[0].base_url: the environment variable NO is not set or empty; set it
f:6: upstreams[0].api_keys[0]: the environment variable EMPTY is not set or empty; set it
f:10: consumers[0].jwt.jwks: the environment variable NO_KEY is not set or empty; set it`},
	"an unfinished variable": {"version: 1\ngroups: [{name: \"${x-y}\"}]\n",
		"f:2: groups[0].name: has ${ without NAME} behind it; write ${NAME}, or $${ for the characters themselves"},
	"an empty secret": {"version: 1\ninstances:\n- id: a\n  description: d\n  privacy_agreement: accepted\n" +
		"  clients: [{name: c, secrets: [{id: s, value: \"\"}]}]\n",
		"f:6: instances[0].clients[0].secrets[0].value: is an empty secret; write it, or leave the key out"},
	"faults of form and of sense together, by line": {"version: 1\ngroups:\n- name: a b\n- nam: c\n",
		`f:3: groups[0].name: is not a name; write 1 to 128 of A-Z a-z 0-9 . _ ~ -
f:4: groups[1].nam: is not a known key; did you mean name? known here: name, limits
f:4: groups[1].name: is required and not empty`},
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for name, row := range faulty {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, _, err := file.Read("f", []byte(row.text), lookup)
			if config != nil || err == nil {
				t.Fatalf("accepted as %+v", config)
			}
			if err.Error() != row.want {
				t.Errorf("got\n%s\nwant\n%s", err, row.want)
			}
		})
	}
}

func TestTooLargeAndTooDeep(t *testing.T) {
	t.Parallel()
	large := []byte("version: 1\n#" + strings.Repeat("x", 8<<20))
	if _, _, err := file.Read("f", large, lookup); err == nil || !strings.Contains(err.Error(), "larger than "+
		"8 MiB") {
		t.Errorf("large: %v", err)
	}
	deep := "version: 1\ngroups: [{name: a, limits: " + strings.Repeat("{models: {m: "+
		"", 40) + "{calls_per_day: 1}" +
		strings.Repeat("}}", 40) + "}]\n"
	_, _, err := file.Read("f", []byte(deep), lookup)
	if err == nil || !strings.Contains(err.Error(), "deeper than 32") {
		t.Errorf("deep: %v", err)
	}
}
