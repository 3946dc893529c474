package file_test

import (
	"testing"

	"keyless/shared/registry"
	"keyless/shared/registry/file"
)

// everything has settings beside those of the example: no part of the schema is known and refused.
const everything = `version: 1
instances:
  - {id: a, description: d, privacy_agreement: accepted, key_rotation: 90d, clients: [
      {id: c, name: C, dpop: required},
      {id: d, name: D, authentication: [client_secret_basic], dpop: "off"}]}
upstreams:
  - {name: u, protocol: openai, base_url: http://h, auth: {sigv4: {service: bedrock}}}
  - {name: w, protocol: openai, base_url: http://h, auth: {oauth: {token_url: "http://h", client_id: i, client_secret: s, scope: "a b"}}}
apis:
  - {name: x, type: llm, base_path: /x, upstreams: [{upstream: u, order: 2, weight: 2}], on_client_gone: drain, cache: {ttl: 7d}}
  - {name: y, type: llm, base_path: /y, upstreams: [{upstream: u, order: 1, weight: 1}], on_client_gone: cancel}
groups:
  - {name: g, limits: {tokens_per_minute: 1, tokens_per_hour: 1, tokens_per_month: 1, spend_per_day: "1", shadow: true}}
consumers:
  - {name: n, jwt: {jwks_url: http://h/k, require_dpop: true}, authorizations: [{api: x}]}
`

func TestEverythingIsBuilt(t *testing.T) {
	t.Parallel()
	config, _, err := file.Read("f", []byte(everything), lookup)
	if err != nil {
		t.Fatal(err)
	}
	if faults := registry.Validate(config); len(faults) > 0 {
		t.Error(faults)
	}
}
