package auth_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyless/shared/auth"
	"keyless/shared/registry"
)

// X07, RFC 9449 §4.3, §7: what the gate asks of a token that is bound to a key. X08, RFC 9449 §7.2: as a bearer token it is none.
func TestX07X08RFC9449BoundTokensNeedTheirProof(t *testing.T) {
	t.Parallel()
	mine, other := ecHolder(t), ecHolder(t)
	token, unbound := mine.token(nil), hs256(hs, claims(nil))
	good := func(change map[string]any) string { return mine.proof(t, token, change) }
	const bad = "invalid_dpop_proof"
	for name, c := range map[string]struct {
		request *http.Request
		want    auth.Reason
		fault   string // error of the challenge
	}{
		"a good proof":                       {ask("DPoP ", token, good(nil)), "", ""},
		"the scheme in other capitals":       {ask("dpop ", token, good(nil)), "", ""},
		"htu with a query":                   {ask("DPoP ", token, good(map[string]any{"htu": "https://GATEWAY.example:443/orders?x=1#y"})), "", ""},
		"X08 §7.2: as a bearer token":        {ask("Bearer ", token, good(nil)), auth.JWTInvalid, "invalid_token"},
		"X08 §7.2: as a bearer token, alone": {ask("Bearer ", token, ""), auth.JWTInvalid, "invalid_token"},
		"no proof":                           {ask("DPoP ", token, ""), auth.JWTInvalid, bad},
		"a proof that is a token":            {ask("DPoP ", token, token), auth.JWTInvalid, bad},
		"a proof with another key":           {ask("DPoP ", token, other.proof(t, token, nil)), auth.JWTInvalid, bad},
		"for another method":                 {ask("DPoP ", token, good(map[string]any{"htm": "POST"})), auth.JWTInvalid, bad},
		"for another path":                   {ask("DPoP ", token, good(map[string]any{"htu": "https://gateway.example/orders/"})), auth.JWTInvalid, bad},
		"for another host":                   {ask("DPoP ", token, good(map[string]any{"htu": "https://example.com/orders"})), auth.JWTInvalid, bad},
		"over another scheme":                {ask("DPoP ", token, good(map[string]any{"htu": "http://gateway.example/orders"})), auth.JWTInvalid, bad},
		"for another token":                  {ask("DPoP ", token, mine.proof(t, unbound, nil)), auth.JWTInvalid, bad},
		"without ath":                        {ask("DPoP ", token, good(map[string]any{"ath": nil})), auth.JWTInvalid, bad},
		"a minute old":                       {ask("DPoP ", token, good(map[string]any{"iat": now.Add(-time.Minute).Unix()})), "", ""},
		"a second older":                     {ask("DPoP ", token, good(map[string]any{"iat": now.Add(-61 * time.Second).Unix()})), auth.JWTInvalid, bad},
		"of the future":                      {ask("DPoP ", token, good(map[string]any{"iat": now.Add(61 * time.Second).Unix()})), auth.JWTInvalid, bad},
		"a damaged proof":                    {ask("DPoP ", token, damage(good(nil))), auth.JWTInvalid, bad},
		"an unbound token behind DPoP":       {ask("DPoP ", unbound, mine.proof(t, unbound, nil)), auth.JWTInvalid, "invalid_token"},
		"an unbound token, and a proof":      {ask("Bearer ", unbound, mine.proof(t, unbound, nil)), "", ""},
		"no space behind the scheme":         {ask("DPoP", token, good(nil)), auth.JWTMissing, ""},
		"two spaces":                         {ask("DPoP  ", token, good(nil)), auth.JWTInvalid, "invalid_token"},
		"expired, with a good proof":         {ask("DPoP ", mine.token(map[string]any{"exp": now.Add(-time.Hour).Unix()}), good(nil)), auth.JWTExpired, "invalid_token"},
		"an empty thumbprint":                {ask("DPoP ", mine.token(map[string]any{"cnf": map[string]any{"jkt": ""}}), good(nil)), auth.JWTInvalid, "invalid_token"},
		"a thumbprint that is a number":      {ask("DPoP ", mine.token(map[string]any{"cnf": map[string]any{"jkt": 1}}), good(nil)), auth.JWTInvalid, "invalid_token"},
		"a confirmation of an unknown kind":  {ask("DPoP ", mine.token(map[string]any{"cnf": map[string]any{"jkt": mine.jkt, "kid": "k"}}), good(nil)), auth.JWTInvalid, "invalid_token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, orders())
			d := h.want(name, c.request, "orders", c.want)
			if c.fault != "" && !strings.Contains(d.Challenge(), `error="`+c.fault+`"`) {
				t.Errorf("challenge %s", d.Challenge())
			}
			if scheme, _, _ := strings.Cut(d.Challenge(), " "); c.want != "" && c.want != auth.JWTMissing && scheme != "DPoP" {
				t.Errorf("challenge %s", d.Challenge())
			}
			if c.want == "" && d.Consumer.Name != "shop" {
				t.Error("another consumer")
			}
		})
	}
}

// damage changes the last but some character of a signature.
func damage(compact string) string {
	return compact[:len(compact)-8] + "AAAA" + compact[len(compact)-4:]
}

// X07, RFC 9449 §4.3 item 1: one proof.
func TestX07RFC9449OneProof(t *testing.T) {
	t.Parallel()
	mine := ecHolder(t)
	token := mine.token(nil)
	r := ask("DPoP ", token, mine.proof(t, token, nil))
	r.Header.Add("DPoP", mine.proof(t, token, nil))
	newHouse(t, orders()).want("two proofs", r, "orders", auth.JWTInvalid)
	r = ask("DPoP ", token, "")
	r.Header.Set("DPoP", mine.proof(t, token, nil)+", "+mine.proof(t, token, nil))
	newHouse(t, orders()).want("two proofs in one line", r, "orders", auth.JWTInvalid)
	r = ask("DPoP ", token, mine.proof(t, token, nil))
	r.Header.Add("Authorization", "Bearer "+token)
	newHouse(t, orders()).want("under both schemes", r, "orders", auth.JWTInvalid)
}

// X07, RFC 9449 §11.1: a proof is used once, on whatever instance, and remembered for as long as it would be taken.
func TestX07RFC9449AProofIsUsedOnce(t *testing.T) {
	t.Parallel()
	mine, other := ecHolder(t), ecHolder(t)
	token := mine.token(nil)
	h := newHouse(t, orders())
	proof := mine.proof(t, token, map[string]any{"jti": "one", "iat": now.Add(30 * time.Second).Unix()})
	h.want("first", ask("DPoP ", token, proof), "orders", "")
	d := h.want("again", ask("DPoP ", token, proof), "orders", auth.JWTInvalid)
	if !strings.Contains(d.Challenge(), `error="invalid_dpop_proof"`) {
		t.Error(d.Challenge())
	}
	h.want("another with the same jti", ask("DPoP ", token, mine.proof(t, token, map[string]any{"jti": "one"})), "orders", auth.JWTInvalid)
	h.want("another jti", ask("DPoP ", token, mine.proof(t, token, map[string]any{"jti": "two"})), "orders", "")
	theirs := other.token(nil)
	h.want("the jti under another key", ask("DPoP ", theirs, other.proof(t, theirs, map[string]any{"jti": "one"})), "orders", "")
	if got := h.nonces.remember[0]; got != 91*time.Second {
		t.Errorf("remembered for %s, and taken for 90 s", got)
	}
	h.nonces.away = true
	if d, err := h.decide(ask("DPoP ", token, mine.proof(t, token, nil)), "orders"); err == nil || d.Allowed {
		t.Error("the memory is away, and the call passes")
	}
	if d, err := h.decideBy(h.gate.WithNonces(nil), ask("DPoP ", token, mine.proof(t, token, nil)), "orders"); err == nil || d.Allowed {
		t.Error("no memory is wired, and the call passes")
	}
}

// What is not proven otherwise makes nobody write: neither a forged token nor a wrong proof reaches the memory.
func TestOnlyAGoodProofIsRemembered(t *testing.T) {
	t.Parallel()
	mine := ecHolder(t)
	token := mine.token(nil)
	h := newHouse(t, orders())
	h.want("a forged token", ask("DPoP ", damage(token), mine.proof(t, damage(token), nil)), "orders", auth.JWTInvalid)
	h.want("a wrong proof", ask("DPoP ", token, damage(mine.proof(t, token, nil))), "orders", auth.JWTInvalid)
	if len(h.nonces.used) > 0 {
		t.Errorf("%d remembered", len(h.nonces.used))
	}
}

// A decision that is made anew, because what it rested on was old, finds its own proof unused.
func TestADecisionAnewKeepsItsProof(t *testing.T) {
	t.Parallel()
	mine := ecHolder(t)
	token := mine.token(nil)
	h := newHouse(t, orders())
	h.want("warm", ask("DPoP ", token, mine.proof(t, token, nil)), "orders", "")
	h.consumer("shop").Description = "another edition"
	h.apply()
	h.want("on what is old", ask("DPoP ", token, mine.proof(t, token, nil)), "orders", "")
}

// RFC 9449 §4.3 item 10, §9: the gate demands no nonce; one that is there is of now, and the answer has the next.
func TestRFC9449NoncesAtTheGate(t *testing.T) {
	t.Parallel()
	mine := ecHolder(t)
	token := mine.token(nil)
	h := newHouse(t, orders())
	var current, old string
	if err := h.reader.Consult(t.Context(), func(v registry.View) (registry.Result, error) {
		current, old = auth.ProofNonce(v.Pepper, now), auth.ProofNonce(v.Pepper, now.Add(-time.Hour))
		return registry.Final, nil
	}); err != nil {
		t.Fatal(err)
	}
	proof := func(nonce any) *http.Request {
		return ask("DPoP ", token, mine.proof(t, token, map[string]any{"nonce": nonce}))
	}
	if d := h.want("none", proof(nil), "orders", ""); d.ProofNonce != "" {
		t.Error("a nonce that nobody asked for")
	}
	if d := h.want("of now", proof(current), "orders", ""); d.ProofNonce != current {
		t.Error("no next nonce")
	}
	for _, nonce := range []string{old, "x"} {
		d := h.want("not of now", proof(nonce), "orders", auth.JWTInvalid)
		if d.ProofNonce != current || !strings.Contains(d.Challenge(), `error="use_dpop_nonce"`) {
			t.Errorf("%q: %s", d.ProofNonce, d.Challenge())
		}
	}
	d, err := h.decideBy(h.gate.WithoutBodies(), proof(old), "orders")
	if err != nil || d.Reason != "" || d.ProofNonce != "" {
		t.Errorf("an authorizer, which cannot answer with a nonce, judges one: %v %v", d.Trace, err)
	}
}

// RFC 8705 §3 and RFC 9449 §6 together: both bindings must be proven.
func TestRFC9449AndACertificate(t *testing.T) {
	t.Parallel()
	mine, peer, another := ecHolder(t), certificate(t), certificate(t)
	token := mine.token(map[string]any{"cnf": map[string]any{"jkt": mine.jkt, "x5t#S256": boundDigest(peer)}})
	h := newHouse(t, orders())
	h.want("both", over(peer, ask("DPoP ", token, mine.proof(t, token, nil))), "orders", "")
	h.want("the key alone", ask("DPoP ", token, mine.proof(t, token, nil)), "orders", auth.JWTInvalid)
	h.want("another certificate", over(another, ask("DPoP ", token, mine.proof(t, token, nil))), "orders", auth.JWTInvalid)
	h.want("the certificate alone", over(peer, ask("DPoP ", token, "")), "orders", auth.JWTInvalid)
	h.want("the certificate, as a bearer", over(peer, ask("Bearer ", token, "")), "orders", auth.JWTInvalid)
}

// A consumer that requires DPoP takes no other token.
func TestRequireDPoP(t *testing.T) {
	t.Parallel()
	mine := ecHolder(t)
	h := newHouse(t, orders(func(c *registry.Consumer) { c.JWT.RequireDPoP = true }))
	token, unbound := mine.token(nil), hs256(hs, claims(nil))
	h.want("bound", ask("DPoP ", token, mine.proof(t, token, nil)), "orders", "")
	for name, r := range map[string]*http.Request{
		"unbound": ask("Bearer ", unbound, ""), "unbound behind DPoP": ask("DPoP ", unbound, mine.proof(t, unbound, nil)),
		"bound, as a bearer": ask("Bearer ", token, mine.proof(t, token, nil)),
	} {
		if d := h.want(name, r, "orders", auth.JWTInvalid); !strings.HasPrefix(d.Challenge(), `DPoP realm="orders", error="invalid_token", algs="ES256 `) {
			t.Errorf("%s: %s", name, d.Challenge())
		}
	}
}

// The scheme DPoP stands in Authorization, whatever prefix its consumer has there, and nowhere else.
func TestWhereABoundTokenStands(t *testing.T) {
	t.Parallel()
	mine := ecHolder(t)
	token := mine.token(nil)
	custom := "Token "
	h := newHouse(t, orders(func(c *registry.Consumer) { c.JWT.Prefix = &custom }))
	d := h.want("a consumer with a prefix of its own", ask("DPoP ", token, mine.proof(t, token, nil)), "orders", "")
	if !auth.Fits("dPoP "+token, d.Place) || auth.Fits("Token "+token, d.Place) {
		t.Errorf("stands at %v", d.Place)
	}
	h.want("behind that prefix", ask("Token ", token, mine.proof(t, token, nil)), "orders", auth.JWTInvalid)
	h.want("both", addTo(ask("DPoP ", token, mine.proof(t, token, nil)), "Authorization", "Token "+token), "orders", auth.JWTInvalid)
	elsewhere := newHouse(t, orders(func(c *registry.Consumer) { c.JWT.Header = "X-Token" }))
	elsewhere.want("a consumer with a header of its own", ask("DPoP ", token, mine.proof(t, token, nil)), "orders", auth.JWTMissing)
	r := send("GET", "/orders", "", "X-Token: Bearer "+token, "DPoP: "+mine.proof(t, token, nil))
	elsewhere.want("in that header", r, "orders", auth.JWTInvalid)
}

func addTo(r *http.Request, name, value string) *http.Request {
	r.Header.Add(name, value)
	return r
}

// An authorizer leaves a proof to the proxy that the call goes on to, and uses it up where nobody else would.
func TestAnAuthorizersProofs(t *testing.T) {
	t.Parallel()
	mine := ecHolder(t)
	token := mine.token(nil)
	config := orders()
	config.Upstreams = []registry.Upstream{{Name: "u", Protocol: registry.HTTP, BaseURL: "https://u.example"}}
	config.APIs[0].Upstreams = []registry.Target{{Upstream: "u"}}
	h := newHouse(t, config)
	r := ask("DPoP ", token, mine.proof(t, token, nil))
	for range 2 {
		if d, err := h.decideBy(h.gate.WithoutBodies(), r, "orders"); err != nil || !d.Allowed || !d.Single() {
			t.Errorf("%v %v", d.Trace, err)
		}
	}
	h.want("then at the proxy", r, "orders", "")
	h.want("and once only", r, "orders", auth.JWTInvalid)
	config.APIs[0].Upstreams = nil
	h.apply()
	r = ask("DPoP ", token, mine.proof(t, token, nil))
	for _, want := range []auth.Reason{"", auth.JWTInvalid} {
		if d, err := h.decideBy(h.gate.WithoutBodies(), r, "orders"); err != nil || d.Reason != want {
			t.Errorf("%v %v", d.Trace, err)
		}
	}
}

// A proof is for the URL as its maker knows it: with the stage that a platform took off.
func TestTheURLThatTheCallerSaw(t *testing.T) {
	t.Parallel()
	mine := ecHolder(t)
	token := mine.token(nil)
	h := newHouse(t, orders())
	staged := mine.proof(t, token, map[string]any{"htu": "https://gateway.example/live/orders"})
	h.want("a stage that nobody told of", ask("DPoP ", token, staged), "orders", auth.JWTInvalid)
	h.want("with its stage", auth.SeenAs(ask("DPoP ", token, staged), "/live/orders"), "orders", "")
	h.want("without it", auth.SeenAs(ask("DPoP ", token, mine.proof(t, token, nil)), "/live/orders"), "orders", "")
	for _, own := range []struct{ public, htu string }{
		{"http://gateway.example:8080", "http://gateway.example:8080/orders"}, {"https://gateway.example", "https://gateway.example/orders"},
	} {
		gate := auth.New(h.source, own.public, h.clock).WithNonces(h.nonces)
		r := ask("DPoP ", token, mine.proof(t, token, map[string]any{"htu": own.htu}))
		if d, err := h.decideBy(gate, r, "orders"); err != nil || !d.Allowed {
			t.Errorf("public URL %s: %v %v", own.public, d.Trace, err)
		}
	}
	local := auth.New(h.source, "http://gateway.example", h.clock).WithNonces(h.nonces)
	r := over(nil, ask("DPoP ", token, mine.proof(t, token, nil)))
	if d, err := h.decideBy(local, r, "orders"); err != nil || !d.Allowed {
		t.Errorf("our own TLS listener: %v %v", d.Trace, err)
	}
}

// Global authentication holds tokens to their keys as consumers' credentials are.
func TestRFC9449GlobalAuthentication(t *testing.T) {
	t.Parallel()
	mine := ecHolder(t)
	token := person(map[string]any{"cnf": map[string]any{"jkt": mine.jkt}})
	h := newHouse(t, globalHouse())
	to := func(scheme, proof string) *http.Request {
		r := send("GET", "/accounts", "", "Authorization: "+scheme+token)
		if proof != "" {
			r.Header.Set("DPoP", proof)
		}
		return r
	}
	proof := func() string { return mine.proof(t, token, map[string]any{"htu": "https://gateway.example/accounts"}) }
	d := h.want("a good proof", to("DPoP ", proof()), "accounts", "")
	if d.Subject != "someone" || !d.Single() || !auth.Fits("DPoP x", d.Place) {
		t.Errorf("%+v", d)
	}
	h.want("as a bearer token", to("Bearer ", proof()), "accounts", auth.JWTInvalid)
	h.want("no proof", to("DPoP ", ""), "accounts", auth.JWTInvalid)
	h.want("for another URL", to("DPoP ", mine.proof(t, token, nil)), "accounts", auth.JWTInvalid)
	used := proof()
	h.want("once", to("DPoP ", used), "accounts", "")
	h.want("twice", to("DPoP ", used), "accounts", auth.JWTInvalid)
	h.want("under both schemes", addTo(to("DPoP ", proof()), "Authorization", "Bearer "+token), "accounts", auth.JWTInvalid)
}

// Explain finds the consumer of a bound token.
func TestLeadsOfABoundToken(t *testing.T) {
	t.Parallel()
	mine := ecHolder(t)
	h := newHouse(t, orders())
	err := h.reader.Consult(context.Background(), func(v registry.View) (registry.Result, error) {
		leads, err := auth.Leads(v, ask("DPoP ", mine.token(nil), ""), v.APIs["orders"])
		if err != nil || len(leads) != 1 || len(leads[0].Indexes) == 0 || !auth.Stands(h.consumer("shop").JWT, leads[0].Place) {
			t.Errorf("%+v %v", leads, err)
		}
		return registry.Final, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
