package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"

	"keyless/shared/auth"
	"keyless/shared/registry"
)

const (
	ownIssuer  = "https://gateway.example/acme/oauth2"
	ownServer  = "urn:acme:orders"
	foreignURL = "https://idp.example/jwks"
)

// ownHouse is a registry with an instance of ours, whose keys are published as the keyring does, and a consumer of its tokens; jwksURL
// may be another issuer's with the same key.
func ownHouse(t *testing.T, jwksURL string, a registry.API, change ...func(*registry.Config)) (*house, func(map[string]any) string) {
	t.Helper()
	private := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	public := must(jwk.FromRaw(private.Public()))
	_ = public.Set("kid", "own")
	config := &registry.Config{
		Version: 1,
		Instances: []registry.Instance{{
			ID: "acme", Description: "d", PrivacyAgreement: "accepted",
			ResourceServers: []registry.ResourceServer{{Identifier: ownServer, Name: "Orders", Scopes: []registry.Scope{{Value: "read", Name: "Read"}}}},
		}},
		APIs: []registry.API{a, api("other", "jwt")},
		Consumers: []registry.Consumer{shop(func(c *registry.Consumer) {
			c.JWT.JWKS, c.JWT.JWKSURL, c.Authorizations = "", jwksURL, may(a.Name)
		})},
	}
	for _, f := range change {
		f(config)
	}
	h := newHouse(t, config)
	h.public, h.source[foreignURL] = public, must(parseSet(public))
	set, _ := json.Marshal(map[string]any{"active": "own", "jwks": map[string]any{"keys": []any{public}}})
	h.field(registry.FieldKeySet("acme"), string(set))
	return h, func(change map[string]any) string {
		c := map[string]any{"iss": ownIssuer, "jti": "id-1", "aud": ownServer, "scope": "read write"}
		for name, value := range change {
			c[name] = value
		}
		return signed(t, "ES256", private, claims(c))
	}
}

// field writes one of the Snapshot's.
func (h *house) field(name, value string) {
	h.t.Helper()
	if err := h.store.Write(h.t.Context(), registry.Change{Set: map[string]string{name: value}}); err != nil {
		h.t.Fatal(err)
	}
	h.at(h.clock().Add(2 * time.Second))
}

func bearing(token, target string) *http.Request {
	return send("GET", target, "", "Authorization: Bearer "+token)
}

// X05, RFC 7009 §3: a token of ours can be looked up by who admits it; nobody else's can.
func TestX05RFC7009WhatCanBeRevoked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		jwksURL string
		claims  map[string]any
		want    string
	}{
		"ours":                          {ownIssuer + "/jwks", nil, registry.Revocation(ownIssuer, "id-1")},
		"ours, without jti":             {ownIssuer + "/jwks", map[string]any{"jti": nil}, ""},
		"ours, with a fetched key":      {foreignURL, nil, registry.Revocation(ownIssuer, "id-1")},
		"our key, another issuer":       {ownIssuer + "/jwks", map[string]any{"iss": "https://idp.example"}, ""},
		"our key, an unknown instance":  {foreignURL, map[string]any{"iss": "https://gateway.example/acm/oauth2"}, ""},
		"our key, an issuer without it": {foreignURL, map[string]any{"iss": "https://gateway.example/acme"}, ""},
	} {
		h, token := ownHouse(t, c.jwksURL, api("orders", "jwt"))
		d := h.want(name, bearing(token(c.claims), "/orders"), "orders", "")
		if d.Revocation != c.want {
			t.Errorf("%s: %q", name, d.Revocation)
		}
	}
	h := newHouse(t, orders())
	if d := h.want("a shared key", bearing(hs256(hs, claims(map[string]any{"jti": "x"})), "/orders"), "orders", ""); d.Revocation != "" {
		t.Error("a token that only its issuer can revoke")
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	h, token := ownHouse(t, ownIssuer+"/jwks", api("orders", "jwt"))
	d := h.want("before", bearing(token(nil), "/orders"), "orders", "")
	d.Revoke()
	f := d.Reason.Refusal()
	if d.Allowed || d.Reason != auth.TokenRevoked || f.Status != 401 || f.Message != "JWT verification fails" ||
		f.Code != "jwt_verification_failed" || d.Challenge() != `Bearer realm="orders", error="invalid_token"` ||
		!d.Proven() || d.Result() != registry.Final || d.Trace[len(d.Trace)-1].Name != "revocation" {
		t.Errorf("%+v %+v %s", d, f, d.Challenge())
	}
}

// Tokens of ours that were issued before the Snapshot's not_before hold no longer; others' do.
func TestNotBefore(t *testing.T) {
	t.Parallel()
	earliest := now.Add(-time.Minute)
	for name, c := range map[string]struct {
		jwksURL string
		iat     any
		iss     string
		want    auth.Reason
	}{
		"issued then":                   {ownIssuer + "/jwks", earliest.Unix(), ownIssuer, ""},
		"issued a second before":        {ownIssuer + "/jwks", earliest.Unix() - 1, ownIssuer, auth.JWTInvalid},
		"issued who knows when":         {ownIssuer + "/jwks", nil, ownIssuer, auth.JWTInvalid},
		"by a key from elsewhere":       {foreignURL, earliest.Unix() - 1, ownIssuer, auth.JWTInvalid},
		"another issuer's, long before": {foreignURL, earliest.Unix() - 3600, "https://idp.example", ""},
	} {
		h, token := ownHouse(t, c.jwksURL, api("orders", "jwt"))
		h.want(name+", at first", bearing(token(map[string]any{"iat": c.iat, "iss": c.iss}), "/orders"), "orders", "")
		h.field("not_before", strconv.FormatInt(earliest.Unix(), 10))
		d := h.want(name, bearing(token(map[string]any{"iat": c.iat, "iss": c.iss}), "/orders"), "orders", c.want)
		if trace := traceOf(d); c.want != "" && !strings.Contains(trace, "not_before") {
			t.Errorf("%s: %s", name, trace)
		}
	}
}

func traceOf(d auth.Decision) string {
	var b strings.Builder
	for _, s := range d.Trace {
		b.WriteString(s.Name + ": " + s.Fact + "\n")
	}
	return b.String()
}

// RFC 8707 §2, RFC 9068 §4, V15: a token of ours is for the API's resource server or for its URL.
func TestV15RFC8707AudienceOfAnAPI(t *testing.T) {
	t.Parallel()
	a := api("orders", "jwt")
	a.ResourceServer = ownServer
	for name, c := range map[string]struct {
		jwksURL string
		aud     any
		want    auth.Reason
	}{
		"the identifier":          {ownIssuer + "/jwks", ownServer, ""},
		"among others":            {ownIssuer + "/jwks", []string{"x", ownServer}, ""},
		"the API's URL":           {ownIssuer + "/jwks", "https://gateway.example/orders", ""},
		"with a slash":            {ownIssuer + "/jwks", "https://gateway.example/orders/", ""},
		"another API's URL":       {ownIssuer + "/jwks", "https://gateway.example/other", auth.JWTInvalid},
		"below it":                {ownIssuer + "/jwks", "https://gateway.example/orders/1", auth.JWTInvalid},
		"another scheme":          {ownIssuer + "/jwks", "http://gateway.example/orders", auth.JWTInvalid},
		"another resource server": {ownIssuer + "/jwks", "urn:acme:order", auth.JWTInvalid},
		"the name of the API":     {ownIssuer + "/jwks", "orders", auth.JWTInvalid},
		"none":                    {ownIssuer + "/jwks", nil, auth.JWTInvalid},
		"an empty one":            {ownIssuer + "/jwks", "", auth.JWTInvalid},
		"at a port of nobody's":   {ownIssuer + "/jwks", "https://gateway.example:8443/orders", auth.JWTInvalid},
		"on a host of nobody's":   {ownIssuer + "/jwks", "https://evil.example/orders", auth.JWTInvalid},
		"by a key from elsewhere": {foreignURL, "urn:acme:order", auth.JWTInvalid},
	} {
		h, token := ownHouse(t, c.jwksURL, a)
		d := h.want(name, bearing(token(map[string]any{"aud": c.aud}), "/orders"), "orders", c.want)
		if trace := traceOf(d); c.want != "" && !strings.Contains(trace, "resource_server: aud is neither") &&
			!strings.Contains(trace, "aud is the URL of another API") {
			t.Errorf("%s: %s", name, traceOf(d))
		}
	}
	h, token := ownHouse(t, foreignURL, a)
	h.want("another issuer's", bearing(token(map[string]any{"aud": "urn:theirs", "iss": "https://idp.example"}), "/orders"), "orders", "")
	h, token = ownHouse(t, ownIssuer+"/jwks", api("orders", "jwt"))
	h.want("an API without a resource server", bearing(token(map[string]any{"aud": "x"}), "/orders"), "orders", "")
	h, token = ownHouse(t, ownIssuer+"/jwks", a, func(c *registry.Config) { c.Consumers[0].JWT.Audience = registry.Strings{"x"} })
	h.want("the consumer's own audience too", bearing(token(nil), "/orders"), "orders", auth.JWTInvalid)
	h.want("both", bearing(token(map[string]any{"aud": []string{"x", ownServer}}), "/orders"), "orders", "")
}

// V19, B05, RFC 6750 §3.1: a token lacks a scope that the API requires.
func TestV19B05RFC6750InsufficientScope(t *testing.T) {
	t.Parallel()
	config := orders()
	config.APIs[0].Scopes = []string{"tools.call", "tools.list"}
	for name, c := range map[string]struct {
		scope any
		want  auth.Reason
	}{
		"both":              {"tools.call tools.list", ""},
		"and more":          {"x tools.list y tools.call", ""},
		"one":               {"tools.call", auth.InsufficientScope},
		"part of one":       {"tools.call tools.lis", auth.InsufficientScope},
		"in other capitals": {"tools.call Tools.list", auth.InsufficientScope},
		"none":              {nil, auth.InsufficientScope},
		"an array":          {[]string{"tools.call", "tools.list"}, auth.InsufficientScope},
	} {
		h := newHouse(t, config)
		d := h.want(name, bearing(hs256(hs, claims(map[string]any{"scope": c.scope, "sub": "s"})), "/orders"), "orders", c.want)
		if c.want == "" {
			continue
		}
		f := d.Reason.Refusal()
		if f.Status != 403 || f.Message != "Access Denied" || f.Code != "insufficient_scope" || d.Subject != "s" || d.Consumer == nil ||
			d.Challenge() != `Bearer realm="orders", error="insufficient_scope", scope="tools.call tools.list"` {
			t.Errorf("%s: %+v %s", name, f, d.Challenge())
		}
	}
	h := newHouse(t, config)
	h.want("a bad token", bearing(damage(hs256(hs, claims(nil))), "/orders"), "orders", auth.JWTInvalid)
	config.Consumers[0].Authorizations = nil
	newHouse(t, config).want("who may not call at all", bearing(hs256(hs, claims(nil)), "/orders"), "orders", auth.AccessDenied)
}

// Who proves itself by a key has no scopes; its authorization says all.
func TestScopesAreForTokensOnly(t *testing.T) {
	t.Parallel()
	config := keyHouse()
	for i := range config.APIs {
		config.APIs[i].Scopes = []string{"read"}
	}
	h := newHouse(t, config)
	h.want("an API key", send("GET", "/both", "", "Authorization: Bearer "+aliceKey), "both", "")
	h.want("a token", bearing(hs256(hs, claims(nil)), "/both"), "both", auth.InsufficientScope)
}

// Global authentication holds tokens to the same: revocation, not_before, audience and scopes.
func TestGlobalTokensOfOurOwn(t *testing.T) {
	t.Parallel()
	open := api("open")
	open.ResourceServer, open.Scopes = ownServer, []string{"read"}
	h, token := ownHouse(t, ownIssuer+"/jwks", api("orders", "jwt"), func(c *registry.Config) {
		c.APIs = append(c.APIs, open)
		c.GlobalAuthentication = &registry.GlobalAuthentication{JWKSURL: ownIssuer + "/jwks", Issuer: ownIssuer}
	})
	d := h.want("good", bearing(token(nil), "/open"), "open", "")
	if d.Revocation != registry.Revocation(ownIssuer, "id-1") {
		t.Error("cannot be revoked")
	}
	h.want("for something else", bearing(token(map[string]any{"aud": "x"}), "/open"), "open", auth.JWTInvalid)
	h.want("without the scope", bearing(token(map[string]any{"scope": "write"}), "/open"), "open", auth.InsufficientScope)
	h.field("not_before", strconv.FormatInt(now.Unix()+1, 10))
	h.want("issued before", bearing(token(nil), "/open"), "open", auth.JWTInvalid)
}

func TestToolsOfAnAuthorization(t *testing.T) {
	t.Parallel()
	decide := func(tools ...string) auth.Decision {
		w := newWorld(t, shop(func(c *registry.Consumer) { c.Authorizations[0].Tools = tools }))
		d, err := w.decide(bearing(hs256(hs, claims(nil)), "/orders"), "orders")
		if err != nil || !d.Allowed {
			t.Fatalf("%v %v", d.Trace, err)
		}
		return d
	}
	free := decide()
	if free.LimitsTools() || !free.ToolAllowed("anything") || !free.ToolAllowed("") {
		t.Error("no tools listed is all tools")
	}
	for tool, want := range map[string]bool{
		"search_web": true, "search_": true, "fetch": true, "fetch2": false, "Search_web": false, "search": false, "": false, "*": false,
	} {
		d := decide("search_*", "fetch")
		if !d.LimitsTools() || d.MaySeeTool(tool) != want || d.Reason != "" {
			t.Errorf("%q is seen: %v", tool, !want)
		}
		if got := d.ToolAllowed(tool); got != want || d.Allowed != want || (d.Reason == auth.ToolNotAllowed) == want {
			t.Errorf("%q: %v %+v", tool, got, d)
		}
	}
	f := auth.ToolNotAllowed.Refusal()
	if f.Status != 403 || f.Message != "Access Denied" || f.Code != "tool_not_allowed" {
		t.Errorf("%+v", f)
	}
}

// M06, RFC 9728 §5.1: an MCP client learns where to find out who issues tokens; others have no use for it.
func TestM06RFC9728ResourceMetadata(t *testing.T) {
	t.Parallel()
	a := api("orders", "jwt")
	a.Type, a.Scopes = registry.MCP, []string{"read"}
	root := api("root", "jwt")
	root.Type, root.BasePath = registry.MCP, "/"
	h := newHouse(t, &registry.Config{Version: 1, APIs: []registry.API{a, root, api("plain", "jwt"), api("keys", "api_key")},
		Consumers: []registry.Consumer{shop()}})
	const at = `resource_metadata="https://gateway.example/.well-known/oauth-protected-resource`
	token := hs256(hs, claims(nil))
	for name, c := range map[string]struct {
		api  string
		r    *http.Request
		want string
	}{
		"no token":      {"orders", send("GET", "/orders", ""), `Bearer realm="orders", ` + at + `/orders"`},
		"a bad token":   {"orders", bearing("x", "/orders"), `Bearer realm="orders", error="invalid_token", ` + at + `/orders"`},
		"no scope":      {"orders", bearing(token, "/orders"), `Bearer realm="orders", error="insufficient_scope", scope="read", ` + at + `/orders"`},
		"at the root":   {"root", send("GET", "/", ""), `Bearer realm="root", ` + at + `"`},
		"not MCP":       {"plain", send("GET", "/plain", ""), `Bearer realm="plain"`},
		"no permission": {"root", bearing(token, "/"), ""},
		"an API key":    {"keys", send("GET", "/keys", ""), `ApiKey realm="keys"`},
	} {
		d, err := h.decide(c.r, c.api)
		if got := d.Challenge(); err != nil || got != c.want {
			t.Errorf("%s: %v %s", name, err, got)
		}
	}
	r := send("GET", "/orders", "")
	r.Host = `evil", error="x`
	if d, _ := h.decide(r, "orders"); strings.Contains(d.Challenge(), `error="x`) {
		t.Errorf("a Host value breaks out: %s", d.Challenge())
	}
}
