package auth_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"keyless/shared/auth"
	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// verifyingHouse has a consumer with an inline set, one with the key set of our own instance, and two whose tokens begin alike.
func verifyingHouse(t *testing.T) (h *house, private map[string]any) {
	t.Helper()
	private = privateKeys(t)
	h = newHouse(t, &registry.Config{
		Version:   1,
		Instances: []registry.Instance{{ID: "acme", Description: "d", PrivacyAgreement: "accepted"}},
		APIs:      []registry.API{api("orders", "jwt"), api("models", "jwt")},
		Consumers: []registry.Consumer{
			shop(func(c *registry.Consumer) {
				c.JWT.JWKS, c.Authorizations = publicOf(t, private["ES256"]), may("orders", "models")
			}),
			{Name: "ours", Authorizations: may("orders"), JWT: &registry.JWTCredential{
				JWKSURL: "https://gateway.example/acme/oauth2/jwks", Claim: "scope", Value: "read"}},
			{Name: "second", Authorizations: may("orders"), JWT: &registry.JWTCredential{JWKS: publicOf(t, private["ES256"]), Value: "second"}},
		},
	})
	h.publish("acme", private["ES384"])
	return h, private
}

// publish writes an instance's public keys, as a rotation does.
func (h *house) publish(instance string, private any) {
	h.t.Helper()
	jwks := `{"keys":[]}`
	if private != nil {
		jwks = `{"keys":[` + publicOf(h.t.(*testing.T), private).Reveal() + `]}`
	}
	set, err := json.Marshal(registry.KeySet{JWKS: json.RawMessage(jwks)})
	if err != nil {
		h.t.Fatal(err)
	}
	change := registry.Change{Set: map[string]string{registry.FieldKeySet(instance): string(set)}}
	if private == nil {
		change = registry.Change{Unset: []string{registry.FieldKeySet(instance)}}
	}
	if err := h.store.Write(h.t.Context(), change); err != nil {
		h.t.Fatal(err)
	}
	h.at(h.clock().Add(time.Second))
}

// V22: the memory is asked before the signature is verified, and only good signatures enter it.
func TestV22VerifiedSignatureIsRemembered(t *testing.T) {
	t.Parallel()
	h, private := verifyingHouse(t)
	token := signed(t, "ES256", private["ES256"], claims(nil))
	r := func(token string) auth.Reason {
		d, err := h.decide(request("Authorization: Bearer "+token), "orders")
		if err != nil {
			t.Fatal(err)
		}
		return d.Reason
	}
	forged := token[:len(token)-8] + "AAAAAAAA"
	if got := r(forged); got != auth.JWTInvalid || h.gate.Remembered() != 0 {
		t.Errorf("a forged token: %q, %d remembered", got, h.gate.Remembered())
	}
	for range 3 {
		if got := r(token); got != "" || h.gate.Remembered() != 1 {
			t.Errorf("a good token: %q, %d remembered", got, h.gate.Remembered())
		}
	}
	// What the gate believes it does not verify: a forged token that it is made to remember passes.
	set, err := oauth.ParseJWKSet([]byte(publicOf(t, private["ES256"])), oauth.Pasted)
	if err != nil {
		t.Fatal(err)
	}
	h.gate.Remember(forged, set[0].Thumbprint)
	if got := r(forged); got != "" {
		t.Errorf("a remembered token was verified again: %q", got)
	}
	h.gate.Remember(signed(t, "ES256", private["ES256"], claims(map[string]any{"exp": 1})), set[0].Thumbprint)
	if got := r(signed(t, "ES384", private["ES384"], claims(nil))); got != auth.JWTInvalid {
		t.Errorf("an algorithm that the key has not: %q", got)
	}
}

// V22, rows 7 and 21: facts are remembered, not decisions. What changed is refused on the very next request.
func TestV22RememberedTokenIsJudgedAnew(t *testing.T) {
	t.Parallel()
	changes := map[string]struct {
		change func(*house)
		want   auth.Reason
	}{
		"nothing":                  {func(*house) {}, ""},
		"the consumer is disabled": {func(h *house) { h.consumer("shop").Status = registry.Disabled; h.apply() }, auth.JWTInvalid},
		"the authorization is removed": {func(h *house) {
			h.consumer("shop").Authorizations = may("models")
			h.apply()
		}, auth.AccessDenied},
		"the authorization expires": {func(h *house) {
			at := now.Add(time.Minute)
			h.consumer("shop").Authorizations[0].ExpiresAt = &at
			h.apply()
			h.at(at)
		}, auth.AccessDenied},
		"the key is withdrawn": {func(h *house) {
			h.consumer("shop").JWT.JWKS = publicOf(h.t.(*testing.T), privateKeys(h.t.(*testing.T))["ES256"])
			h.apply()
		}, auth.JWTInvalid},
		"the issuer is bound": {func(h *house) { h.consumer("shop").JWT.Issuer = "another"; h.apply() }, auth.JWTInvalid},
		"the audience is bound": {func(h *house) {
			h.consumer("shop").JWT.Audience = registry.Strings{"another"}
			h.apply()
		}, auth.JWTInvalid},
		"the algorithm is narrowed": {func(h *house) {
			h.consumer("shop").JWT.JWKS = oct(sharedKey)
			h.apply()
		}, auth.JWTInvalid},
		"the value is another's": {func(h *house) { h.consumer("shop").JWT.Value = "another"; h.apply() }, auth.JWTInvalid},
		"the place moves":        {func(h *house) { h.consumer("shop").JWT.Header = "X-Token"; h.apply() }, auth.JWTInvalid},
		"the token expires":      {func(h *house) { h.at(now.Add(2*time.Hour + 30*time.Second)) }, auth.JWTExpired},
	}
	for name, tt := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, private := verifyingHouse(t)
			token := "Authorization: Bearer " + signed(t, "ES256", private["ES256"], claims(nil))
			for range 2 {
				h.want("before", request(token), "orders", "")
			}
			tt.change(h)
			h.want("after", request(token), "orders", tt.want)
		})
	}
}

// V22: the key set of our own instance is the Snapshot's: what is withdrawn there verifies nothing more.
func TestV22WithdrawnKeyOfOurOwn(t *testing.T) {
	t.Parallel()
	h, private := verifyingHouse(t)
	token := "Authorization: Bearer " + signed(t, "ES384", private["ES384"], claims(map[string]any{"scope": "write read"}))
	h.want("before", request(token), "orders", "")
	h.publish("acme", private["EdDSA"])
	h.want("another key", request(token), "orders", auth.JWTInvalid)
	h.publish("acme", private["ES384"])
	h.want("published again", request(token), "orders", "")
	h.publish("acme", nil)
	if d, err := h.decide(request(token), "orders"); err == nil || d.Allowed {
		t.Errorf("no set at all: %q, %v", d.Reason, err)
	}
}

// A token is good where its consumer is authorized, and nowhere else, however often it was seen.
func TestRememberedTokenElsewhere(t *testing.T) {
	t.Parallel()
	h, private := verifyingHouse(t)
	token := "Authorization: Bearer " + signed(t, "ES256", private["ES256"], claims(map[string]any{"uid": "second"}))
	h.want("authorized", request(token), "orders", "")
	h.want("not authorized", request(token), "models", auth.AccessDenied)
	h.want("authorized still", request(token), "orders", "")
}

// Row 3: tokens that begin alike are as different as any, also at the same instant (row 6).
func TestTokensThatBeginAlike(t *testing.T) {
	t.Parallel()
	h, private := verifyingHouse(t)
	tokens := map[string]string{}
	for name, uid := range map[string]string{"shop": shopUID, "second": "second"} {
		tokens[name] = signed(t, "ES256", private["ES256"], map[string]any{"exp": now.Add(time.Hour).Unix(), "uid": uid})
	}
	if tokens["shop"][:40] != tokens["second"][:40] {
		t.Fatal("the tokens do not begin alike")
	}
	var group sync.WaitGroup
	for range 8 {
		for name, token := range tokens {
			group.Go(func() {
				for range 20 {
					d, err := h.decide(request("Authorization: Bearer "+token), "orders")
					if err != nil || !d.Allowed || d.Consumer.Name != name {
						t.Errorf("%s is taken for %+v, %v", name, d.Consumer, err)
					}
				}
			})
		}
	}
	group.Wait()
	if got := h.gate.Remembered(); got != 2 {
		t.Errorf("%d remembered", got)
	}
}

// Row 4: each part of the fact is in its key. A signature that is good under one key is none under another.
func TestEachPartOfTheFactCounts(t *testing.T) {
	t.Parallel()
	private := privateKeys(t)
	key := func(alg string) oauth.Key {
		set, err := oauth.ParseJWKSet([]byte(publicOf(t, private[alg])), oauth.Pasted)
		if err != nil {
			t.Fatal(err)
		}
		return set[0]
	}
	memory := auth.NewSignatures()
	one := must(oauth.Parse(signed(t, "ES256", private["ES256"], claims(nil))))
	if !memory.Verifies(one, key("ES256")) || !memory.Verifies(one, key("ES256")) {
		t.Fatal("a good signature")
	}
	if memory.Verifies(one, key("ES384")) {
		t.Error("another key")
	}
	dot := strings.LastIndexByte(one.Compact, '.')
	for name, compact := range map[string]string{
		"another header":    part(map[string]any{"alg": "ES256", "typ": "x"}) + one.Compact[strings.IndexByte(one.Compact, '.'):],
		"another claim":     swapped(one.Compact, part(claims(map[string]any{"uid": "x"}))),
		"another signature": one.Compact[:dot+1] + "AAAA" + one.Compact[dot+5:],
	} {
		if other, err := oauth.Parse(compact); err == nil && memory.Verifies(other, key("ES256")) {
			t.Error(name)
		}
	}
	if memory.Len() != 1 {
		t.Errorf("%d remembered", memory.Len())
	}
}

// V22, two generations: memory is bounded, and what was just used is still known after the young one is full.
func TestV22MemoryOfSignaturesIsBounded(t *testing.T) {
	t.Parallel()
	memory := auth.NewSignatures()
	set, err := oauth.ParseJWKSet([]byte(oct(sharedKey)), oauth.Pasted)
	if err != nil {
		t.Fatal(err)
	}
	good := must(oauth.Parse(hs256(hs, claims(nil))))
	for i := range 3*auth.MaxVerified + 1 {
		memory.Remember(fmt.Sprint(i), "k")
		if memory.Len() > 2*auth.MaxVerified {
			t.Fatalf("%d remembered", memory.Len())
		}
	}
	if got := memory.Len(); got != auth.MaxVerified+1 {
		t.Errorf("%d remembered", got)
	}
	for i := range 3 {
		if !memory.Verifies(good, set[0]) {
			t.Fatal("a good signature")
		}
		if want := auth.MaxVerified + 2; memory.Len() != want {
			t.Errorf("%d remembered, want %d, the %d. time", memory.Len(), want, i+1)
		}
	}
	for i := range auth.MaxVerified {
		memory.Remember(fmt.Sprint("new", i), "k")
	}
	before := memory.Len()
	if !memory.Verifies(good, set[0]) || memory.Len() != before {
		t.Error("forgotten in the old generation")
	}
}

// swapped puts other claims between a token's header and its signature.
func swapped(compact, claims string) string {
	first, rest, _ := strings.Cut(compact, ".")
	_, third, _ := strings.Cut(rest, ".")
	return first + "." + claims + "." + third
}
