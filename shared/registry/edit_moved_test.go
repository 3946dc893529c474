package registry_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"keyless/shared/registry"
)

const toMove = `version: 1
upstreams:
  - {name: u, protocol: openai, base_url: "https://provider.example/v1", api_keys: [marker-key-0, marker-key-1]}
  - name: o
    protocol: http
    base_url: https://provider.example/v1
    auth: {oauth: {token_url: "https://login.example/t", client_id: me, client_secret: marker-oauth-secret}}
  - {name: w, protocol: http, base_url: "https://provider.example/w"}
consumers:
  - {name: k, api_key: {keys: [{id: k1, value: marker-api-key-of-k}]}, upstream_keys: {w: marker-own-key}}
`

// H1: who writes an upstream has never seen its secrets, and does not get them by pointing it to a place of his own.
func TestKeptSecretsDoNotMove(t *testing.T) {
	t.Parallel()
	const openai, kept = `"protocol":"openai",`, `"api_keys":["[kept]","[kept]"]`
	oauth := func(base, token, secret string) string {
		return fmt.Sprintf(`{"protocol":"http","base_url":%q,"auth":{"oauth":{"token_url":%q,"client_id":"me","client_secret":%q}}}`, base, token, secret)
	}
	const gave = ": write the secret again: it was given for https://provider.example:443"
	for name, row := range map[string]struct{ upstream, object, want string }{
		"nothing moves":           {"u", `{` + openai + `"base_url":"https://provider.example/v1",` + kept + `}`, ""},
		"another path":            {"u", `{` + openai + `"base_url":"https://provider.example/v2",` + kept + `}`, ""},
		"the same host, spelled":  {"u", `{` + openai + `"base_url":"HTTPS://Provider.example:443/v1",` + kept + `}`, ""},
		"another host":            {"u", `{` + openai + `"base_url":"https://sink.example/v1",` + kept + `}`, "api_keys[0]" + gave},
		"another port":            {"u", `{` + openai + `"base_url":"https://provider.example:444/v1",` + kept + `}`, "api_keys[1]" + gave},
		"another scheme":          {"u", `{` + openai + `"base_url":"http://provider.example:443/v1",` + kept + `}`, "api_keys[0]" + gave},
		"by number":               {"u", `{` + openai + `"base_url":"https://sink.example","api_keys":["[kept:1]"]}`, "api_keys[0]" + gave},
		"one new, one kept":       {"u", `{` + openai + `"base_url":"https://sink.example","api_keys":["new","[kept:1]"]}`, "api_keys[1]" + gave},
		"a host behind a user":    {"u", `{` + openai + `"base_url":"https://provider.example@sink.example/",` + kept + `}`, "api_keys[0]" + gave},
		"another header":          {"u", `{` + openai + `"base_url":"https://provider.example/v1","auth":{"header":"X-Echo"},` + kept + `}`, "api_keys[0]: write the secret again: it was given for the header authorization"},
		"another protocol's":      {"u", `{"protocol":"anthropic","base_url":"https://provider.example/v1",` + kept + `}`, "api_keys[0]: write the secret again: it was given for the header authorization"},
		"the same header":         {"u", `{"protocol":"http","base_url":"https://provider.example/v1","auth":{"header":"Authorization","prefix":"Bearer "},` + kept + `}`, ""},
		"another host, new keys":  {"u", `{` + openai + `"base_url":"https://sink.example","api_keys":["new"]}`, ""},
		"another host, no keys":   {"u", `{` + openai + `"base_url":"https://sink.example"}`, ""},
		"OAuth stays":             {"o", oauth("https://provider.example/v2", "https://login.example/t2", "[kept]"), ""},
		"OAuth, another base":     {"o", oauth("https://sink.example", "https://login.example/t", "[kept]"), "auth.oauth.client_secret" + gave},
		"OAuth, another endpoint": {"o", oauth("https://provider.example/v1", "https://sink.example/t", "[kept]"), "auth.oauth.client_secret: write the secret again: it was given for https://login.example:443"},
		"OAuth, a new secret":     {"o", oauth("https://sink.example", "https://sink.example/t", "new-secret"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBureau(t, registry.NewMemory(), toMove)
			if row.want != "" {
				b.refused("upstream", row.upstream, row.object, row.want)
				return
			}
			b.must("upstream", row.upstream, row.object)
		})
	}
}

// H1: an upstream that goes away from where it was takes no key of a consumer with it.
func TestConsumersKeysDoNotMove(t *testing.T) {
	t.Parallel()
	b := newBureau(t, registry.NewMemory(), toMove)
	b.must("upstream", "w", `{"protocol":"http","base_url":"https://provider.example/x"}`)
	const elsewhere = `{"protocol":"http","base_url":"https://sink.example/x"}`
	_, err := b.put("upstream", "w", elsewhere)
	var referenced *registry.ReferencedError
	if !errors.As(err, &referenced) || !slices.Equal(referenced.By, []string{"consumer k"}) {
		t.Fatalf("%v", err)
	}
	b.must("upstream", "u", `{"protocol":"http","base_url":"https://sink.example/x"}`) // no consumer has a key for it
	b.must("consumer", "k", `{"api_key":{"keys":[{"id":"k1","value":"[kept]"}]}}`)
	b.must("upstream", "w", elsewhere)
	b.refused("consumer", "k", `{"api_key":{"keys":[{"id":"k1","value":"[kept]"}]},"upstream_keys":{"w":"[kept]"}}`, "nothing is stored")
}

// The file of an operator says whole what it wants: there nothing is kept.
func TestApplyMovesAnUpstream(t *testing.T) {
	t.Parallel()
	b := newBureau(t, registry.NewMemory(), toMove)
	apply(t, b.store, b.keys, strings.ReplaceAll(toMove, "provider.example", "other.example"), registry.ApplyOptions{})
	var u registry.Upstream
	if err := json.Unmarshal(b.object("upstream", "u").Value, &u); err != nil || u.BaseURL != "https://other.example/v1" {
		t.Errorf("%+v, %v", u, err)
	}
}
