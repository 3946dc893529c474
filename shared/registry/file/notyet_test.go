package file_test

import (
	"slices"
	"strings"
	"testing"

	"keyless/shared/registry"
	"keyless/shared/registry/file"
)

// everythingLater has each setting that is known and not built, beside those of the example.
const everythingLater = `version: 1
instances:
  - {id: a, description: d, privacy_agreement: accepted, key_rotation: 90d, clients: [
      {id: c, name: C, dpop: required},
      {id: d, name: D, authentication: [client_secret_basic], dpop: "off"}]}
upstreams:
  - {name: u, protocol: openai, base_url: http://h, api_keys: [a, b], auth: {sigv4: {service: bedrock}}}
  - {name: w, protocol: openai, base_url: http://h, auth: {oauth: {token_url: "http://h"}}}
apis:
  - {name: x, type: llm, base_path: /x, upstreams: [{upstream: u, order: 2, weight: 2}], on_client_gone: drain}
  - {name: y, type: llm, base_path: /y, upstreams: [{upstream: u, order: 1, weight: 1}], on_client_gone: cancel}
groups:
  - {name: g, limits: {tokens_per_minute: 1, tokens_per_hour: 1, tokens_per_month: 1, spend_per_day: "1", shadow: true}}
consumers:
  - {name: n, jwt: {jwks_url: http://h/k, require_dpop: true}}
`

func TestNotYet(t *testing.T) {
	t.Parallel()
	config, _, err := file.Read("f", []byte(everythingLater), lookup)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range registry.Validate(config) {
		if !strings.HasSuffix(f.Text, "is not part of this version yet; leave it out") {
			t.Errorf("%s: %s", f.Path, f.Text)
		}
		got = append(got, f.Path)
	}
	want := []string{"upstreams[0].auth.sigv4", "upstreams[1].auth.oauth"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
