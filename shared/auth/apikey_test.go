package auth_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"keyless/shared/auth"
	"keyless/shared/registry"
)

// The API keys of the tests. Each is brought, so that it can be written here.
const (
	aliceKey   = "kg_alice-0123456789"
	aliceNew   = "kg_alice-rotated-in"
	aliceOff   = "kg_alice-disabled-x"
	aliceOld   = "kg_alice-expired-xx"
	dottedKey  = "two.dots.in-this-key"
	bobKey     = "kg_bob-in-a-header-0"
	carolKey   = "kg_carol-in-a-query="
	daveKey    = "kg_dave-is-disabled"
	erinKey    = "kg_erin-has-no-api-"
	sharedText = "the-same-text-twice"
)

func keyed(name, source, query string, keys []registry.APIKey, apis ...string) registry.Consumer {
	c := registry.Consumer{Name: name, APIKey: &registry.APIKeyCredential{Keys: keys}, Authorizations: may(apis...)}
	if source+query != "" {
		c.APIKey.Source = &registry.KeySource{Header: source, Query: query}
	}
	return c
}

// keyHouse has one consumer of each kind.
func keyHouse() *registry.Config {
	yesterday, tomorrow := now.Add(-time.Nanosecond), now.Add(24*time.Hour)
	dave := keyed("dave", "", "", []registry.APIKey{{ID: "k", Value: daveKey}}, "keys")
	dave.Status = registry.Disabled
	soon := keyed("soon", "X-Soon", "", []registry.APIKey{{ID: "k", Value: sharedText}}, "keys")
	soon.Authorizations[0].ExpiresAt = &yesterday
	return &registry.Config{
		Version: 1,
		APIs: []registry.API{
			api("keys", "api_key"), api("both", "jwt", "api_key"), api("all", "jwt", "api_key", "hmac"), api("tokens", "jwt"),
			api("lonely", "api_key"), api("keys-first", "api_key", "jwt"),
		},
		Consumers: []registry.Consumer{
			keyed("alice", "", "", []registry.APIKey{
				{ID: "k1", Value: aliceKey, ExpiresAt: &tomorrow}, {ID: "k2", Value: aliceNew},
				{ID: "off", Value: aliceOff, Status: registry.Disabled}, {ID: "old", Value: aliceOld, ExpiresAt: &yesterday},
				{ID: "dotted", Value: dottedKey},
			}, "keys", "both", "all", "keys-first"),
			keyed("bob", "X-Api-Key", "", []registry.APIKey{{ID: "k", Value: bobKey}, {ID: "s", Value: sharedText}}, "keys"),
			keyed("carol", "", "key", []registry.APIKey{{ID: "k", Value: carolKey}, {ID: "s", Value: sharedText}}, "keys"),
			dave,
			keyed("erin", "", "", []registry.APIKey{{ID: "k", Value: erinKey}}, "both"),
			soon,
			shop(func(c *registry.Consumer) { c.Authorizations = may("both", "all", "tokens") }),
		},
	}
}

func TestAPIKey(t *testing.T) {
	t.Parallel()
	h := newHouse(t, keyHouse())
	token := hs256(hs, claims(nil))
	bearer := "Authorization: Bearer "
	tests := map[string]struct {
		api, target string
		headers     []string
		want        auth.Reason
		consumer    string
	}{
		"Bearer":                               {"keys", "/keys", []string{bearer + aliceKey}, "", "alice"},
		"Bearer in another letter case":        {"keys", "/keys", []string{"Authorization: bEaReR " + aliceKey}, "", "alice"},
		"another key of the same consumer":     {"keys", "/keys", []string{bearer + aliceNew}, "", "alice"},
		"a custom header":                      {"keys", "/keys", []string{"X-Api-Key: " + bobKey}, "", "bob"},
		"a custom header in lower case":        {"keys", "/keys", []string{"x-api-key: " + bobKey}, "", "bob"},
		"a custom query parameter":             {"keys", "/keys?key=kg_carol-in-a-query%3D", nil, "", "carol"},
		"a parameter whose name is encoded":    {"keys", "/keys?k%65y=kg_carol-in-a-query%3D", nil, "", "carol"},
		"one text at two places, by the place": {"keys", "/keys", []string{"X-Api-Key: " + sharedText}, "", "bob"},
		"and at the other":                     {"keys", "/keys?key=" + sharedText, nil, "", "carol"},

		"nothing":                       {"keys", "/keys", nil, auth.APIKeyMissing, ""},
		"without the prefix":            {"keys", "/keys", []string{"Authorization: " + aliceKey}, auth.APIKeyMissing, ""},
		"another scheme":                {"keys", "/keys", []string{"Authorization: Basic " + aliceKey}, auth.APIKeyMissing, ""},
		"a tab for the space":           {"keys", "/keys", []string{"Authorization: Bearer\t" + aliceKey}, auth.APIKeyMissing, ""},
		"an empty value":                {"keys", "/keys", []string{bearer}, auth.APIKeyMissing, ""},
		"an empty parameter":            {"keys", "/keys?key=", nil, auth.APIKeyMissing, ""},
		"a header that nobody uses":     {"keys", "/keys", []string{"Api-Key: " + aliceKey}, auth.APIKeyMissing, ""},
		"a parameter in other capitals": {"keys", "/keys?Key=" + carolKey, nil, auth.APIKeyMissing, ""},
		"a custom header takes no prefix": {
			"keys", "/keys", []string{"X-Api-Key: Bearer " + bobKey}, auth.APIKeyInvalid, "",
		},

		"two spaces":             {"keys", "/keys", []string{bearer + " " + aliceKey}, auth.APIKeyInvalid, ""},
		"unknown":                {"keys", "/keys", []string{bearer + "kg_nobody-has-this-one"}, auth.APIKeyInvalid, ""},
		"truncated":              {"keys", "/keys", []string{bearer + aliceKey[:len(aliceKey)-1]}, auth.APIKeyInvalid, ""},
		"extended":               {"keys", "/keys", []string{bearer + aliceKey + "0"}, auth.APIKeyInvalid, ""},
		"padded":                 {"keys", "/keys", []string{bearer + aliceKey + "="}, auth.APIKeyInvalid, ""},
		"in other capitals":      {"keys", "/keys", []string{bearer + strings.ToUpper(aliceKey)}, auth.APIKeyInvalid, ""},
		"something behind it":    {"keys", "/keys", []string{bearer + aliceKey + " x"}, auth.APIKeyInvalid, ""},
		"longer than any":        {"keys", "/keys", []string{bearer + strings.Repeat("a", 513)}, auth.APIKeyInvalid, ""},
		"a disabled key":         {"keys", "/keys", []string{bearer + aliceOff}, auth.APIKeyInvalid, ""},
		"an expired key":         {"keys", "/keys", []string{bearer + aliceOld}, auth.APIKeyInvalid, ""},
		"a disabled consumer":    {"keys", "/keys", []string{bearer + daveKey}, auth.APIKeyInvalid, ""},
		"another's place":        {"keys", "/keys", []string{bearer + bobKey}, auth.APIKeyInvalid, ""},
		"another's custom place": {"keys", "/keys", []string{"X-Api-Key: " + aliceKey}, auth.APIKeyInvalid, ""},
		"a query for a header":   {"keys", "/keys?key=" + bobKey, nil, auth.APIKeyInvalid, ""},

		"not authorized":                      {"keys", "/keys", []string{bearer + erinKey}, auth.ConsumerUnauthorized, "erin"},
		"an authorization that has expired":   {"keys", "/keys", []string{"X-Soon: " + sharedText}, auth.ConsumerUnauthorized, "soon"},
		"an API that nobody is authorized on": {"lonely", "/lonely", []string{bearer + aliceKey}, auth.APIKeyInvalid, "alice"},

		"two keys at two places":         {"keys", "/keys", []string{bearer + aliceKey, "X-Api-Key: " + bobKey}, auth.APIKeyMultiple, ""},
		"one key twice":                  {"keys", "/keys", []string{bearer + aliceKey, bearer + aliceKey}, auth.APIKeyMultiple, ""},
		"two keys in one header":         {"keys", "/keys", []string{bearer + aliceKey, bearer + aliceNew}, auth.APIKeyMultiple, ""},
		"one parameter twice":            {"keys", "/keys?key=" + carolKey + "&key=" + carolKey, nil, auth.APIKeyMultiple, ""},
		"a good key and a bad one":       {"keys", "/keys?key=nonsense", []string{bearer + aliceKey}, auth.APIKeyMultiple, ""},
		"a key and a token":              {"both", "/both", []string{bearer + token, "X-Api-Key: " + bobKey}, auth.JWTInvalid, ""},
		"a key and a token, keys first":  {"keys-first", "/keys-first", []string{bearer + token, "X-Api-Key: " + bobKey}, auth.JWTInvalid, ""},
		"a key and a signature":          {"all", "/all", []string{bearer + aliceKey, "X-Ca-Key: x"}, auth.HMACInvalidSignature, ""},
		"a key, and an empty other":      {"keys", "/keys?key=", []string{bearer + aliceKey, "X-Api-Key: "}, "", "alice"},
		"a key for an API of tokens":     {"tokens", "/tokens", []string{"X-Api-Key: " + bobKey}, auth.JWTMissing, ""},
		"a key beside what is not taken": {"keys", "/keys", []string{bearer + aliceKey, "X-Ca-Key: x"}, "", "alice"},

		"a token where both are taken":          {"both", "/both", []string{bearer + token}, "", "shop"},
		"a key where both are taken":            {"both", "/both", []string{bearer + aliceKey}, "", "alice"},
		"two dots where keys alone are taken":   {"keys", "/keys", []string{bearer + dottedKey}, "", "alice"},
		"two dots where tokens are taken too":   {"both", "/both", []string{bearer + dottedKey}, auth.JWTInvalid, ""},
		"a token where keys alone are taken":    {"keys", "/keys", []string{bearer + token}, auth.APIKeyInvalid, ""},
		"a key where tokens alone are taken":    {"tokens", "/tokens", []string{bearer + aliceKey}, auth.JWTInvalid, ""},
		"nothing, and keys are listed first":    {"keys-first", "/keys-first", nil, auth.APIKeyMissing, ""},
		"nothing, and tokens are listed first":  {"both", "/both", nil, auth.JWTMissing, ""},
		"a key with three dots is a key":        {"both", "/both", []string{bearer + "a.b.c.d-0123456789"}, auth.APIKeyInvalid, ""},
		"a key of no consumer, tokens accepted": {"both", "/both", []string{bearer + "kg_nobody-has-this-one"}, auth.APIKeyInvalid, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := h.decide(send("GET", tt.target, "", tt.headers...), tt.api)
			got := ""
			if d.Consumer != nil {
				got = d.Consumer.Name
			}
			if err != nil || d.Reason != tt.want || d.Allowed != (tt.want == "") || got != tt.consumer {
				t.Fatalf("reason %q, consumer %q, err %v; want %q, %q\n%v", d.Reason, got, err, tt.want, tt.consumer, d.Trace)
			}
			if d.PassCredential() {
				t.Error("the upstream may see an API key")
			}
			for _, step := range d.Trace {
				for _, secret := range []string{"kg_", sharedText, "two.dots"} {
					if strings.Contains(step.Fact, secret) {
						t.Errorf("the trace holds a key: %v", step)
					}
				}
			}
		})
	}
}

// A key that is sent to an API of keys is invalid where nobody has one, not missing.
func TestAPIKeyWhereNobodyHasOne(t *testing.T) {
	t.Parallel()
	h := newHouse(t, &registry.Config{Version: 1, APIs: []registry.API{api("keys", "api_key")}})
	h.want("a key", send("GET", "/keys", "", "Authorization: Bearer "+aliceKey), "keys", auth.APIKeyInvalid)
	h.want("none", send("GET", "/keys", ""), "keys", auth.APIKeyMissing)
}

// Keys overlap while they rotate, and what is withdrawn is refused on the next request.
func TestAPIKeysRotate(t *testing.T) {
	t.Parallel()
	h := newHouse(t, keyHouse())
	first := func() *http.Request { return send("GET", "/keys", "", "Authorization: Bearer "+aliceKey) }
	second := func() *http.Request { return send("GET", "/keys", "", "Authorization: Bearer "+aliceNew) }
	h.want("the first", first(), "keys", "")
	h.want("the second", second(), "keys", "")
	alice := h.consumer("alice")
	alice.APIKey = &registry.APIKeyCredential{Keys: []registry.APIKey{{ID: "k2"}}}
	h.apply()
	h.want("the first, withdrawn", first(), "keys", auth.APIKeyInvalid)
	h.want("the second, kept by its id", second(), "keys", "")
	h.at(now.Add(48 * time.Hour))
	alice.Status = registry.Disabled
	h.apply()
	h.want("the second, its consumer disabled", second(), "keys", auth.APIKeyInvalid)
}

// The expiry of a key is judged at each request, also where the consumer is remembered.
func TestAPIKeyExpiresWhileRemembered(t *testing.T) {
	t.Parallel()
	h := newHouse(t, keyHouse())
	r := func() *http.Request { return send("GET", "/keys", "", "Authorization: Bearer "+aliceKey) }
	h.want("before", r(), "keys", "")
	h.at(now.Add(24*time.Hour - time.Nanosecond))
	h.want("just before", r(), "keys", "")
	h.at(now.Add(24 * time.Hour))
	h.want("at the time", r(), "keys", auth.APIKeyInvalid)
}

func TestGeneratedAPIKeyIsTaken(t *testing.T) {
	t.Parallel()
	h := newHouse(t, &registry.Config{Version: 1, APIs: []registry.API{api("keys", "api_key")}})
	h.config.Consumers = []registry.Consumer{keyed("gail", "", "", nil, "keys")}
	report := h.apply()
	if len(report.Generated) != 1 {
		t.Fatalf("%+v", report)
	}
	h.want("the generated key", send("GET", "/keys", "", "Authorization: Bearer "+report.Generated[0].Secret.Reveal()), "keys", "")
}

// Row 1 of the incident table: what a caller presents is hashed before anything else sees it. No Redis key and no value holds a key,
// whatever is presented and however it ends.
func TestPresentedSecretsAreHashedOnly(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	client := must(registry.Connect("redis://" + server.Addr()))
	t.Cleanup(func() { _ = client.Close() })
	h := newHouseIn(t, registry.NewRedis(client, "kg"), keyHouse())
	presented := []string{
		aliceKey, bobKey, "'; DROP TABLE keys; --", "kg:{s}", "*", "\\x00", "a\x1fb", "{c:alice}", hs256(hs, claims(nil)),
		strings.Repeat("x", 500), strings.Repeat("y", 9000),
	}
	for _, value := range presented {
		for _, name := range []string{"keys", "both", "all"} {
			if _, err := h.decide(send("GET", "/"+name, "", "Authorization: Bearer "+value), name); err != nil {
				t.Errorf("%.20q: %v", value, err)
			}
			if _, err := h.decide(send("GET", "/"+name, "", "X-Ca-Key: "+value, "X-Ca-Signature: AAAA"), name); err != nil {
				t.Errorf("%.20q: %v", value, err)
			}
		}
	}
	digest := regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
	asked := h.store.asked()
	if len(asked) < len(presented) {
		t.Errorf("only %d indexes were asked for", len(asked))
	}
	for _, index := range asked {
		if !digest.MatchString(index) {
			t.Errorf("an index is no digest: %q", index)
		}
	}
	ours := regexp.MustCompile(`^kg:(\{s\}(:names:consumer|:audit)?|\{c:[a-z]+\}|\{i:[A-Za-z0-9_-]{43}\})$`)
	for _, key := range server.Keys() {
		if !ours.MatchString(key) {
			t.Errorf("a Redis key of another form: %q", key)
		}
	}
	dump := server.Dump()
	for _, secret := range []string{aliceKey, aliceNew, aliceOff, aliceOld, bobKey, carolKey, daveKey, erinKey, sharedText, dottedKey} {
		if strings.Contains(dump, secret) {
			t.Errorf("Redis holds %s", secret)
		}
	}
}

// An index entry is checked against the consumer's own: one that a half-done change left at another place leads to nobody.
func TestIndexLeftAtAnotherPlace(t *testing.T) {
	t.Parallel()
	h := newHouse(t, keyHouse())
	hash := must(must(h.reader.Snapshot(t.Context())).HashAPIKey(bobKey))
	entries, _, err := h.store.Entries(t.Context(), registry.KindConsumer, "bob")
	if err != nil {
		t.Fatal(err)
	}
	bob := entries["bob"]
	err = h.store.Write(t.Context(), registry.Change{Kind: registry.KindConsumer, Name: "bob", Entry: &bob, Revision: true,
		Index: []string{registry.IndexAPIKey(registry.BearerPlace, hash)}})
	if err != nil {
		t.Fatal(err)
	}
	h.want("at the place of the index", send("GET", "/keys", "", "Authorization: Bearer "+bobKey), "keys", auth.APIKeyInvalid)
	h.want("at its own", send("GET", "/keys", "", "X-Api-Key: "+bobKey), "keys", "")
}

func TestWithoutPepperIsAFailure(t *testing.T) {
	t.Parallel()
	h := newHouse(t, keyHouse())
	h.reader = registry.NewReader(h.store, nil, h.clock)
	if d, err := h.decide(send("GET", "/keys", "", "Authorization: Bearer "+aliceKey), "keys"); err == nil || d.Allowed {
		t.Fatalf("allowed %v, reason %q", d.Allowed, d.Reason)
	}
}
