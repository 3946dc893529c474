package auth_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"keyless/shared/auth"
	"keyless/shared/registry"
)

// M1: a token of ours is held to all that ours are, wherever its consumer has the key from: pasted, or from a URL in other letters.
func TestAPastedKeyOfOursIsOurs(t *testing.T) {
	t.Parallel()
	a := api("orders", "jwt")
	a.ResourceServer = ownServer
	for name, source := range map[string]func(*house){
		"pasted": func(h *house) {
			set, _ := json.Marshal(map[string]any{"keys": []any{h.public}})
			h.consumer("shop").JWT.JWKSURL, h.consumer("shop").JWT.JWKS = "", registry.Secret(set)
		},
		"in other letters": func(h *house) {
			const url = "HTTPS://GATEWAY.example:443/acme/oauth2/jwks"
			h.consumer("shop").JWT.JWKSURL, h.source[url] = url, h.source[foreignURL]
		},
	} {
		h, token := ownHouse(t, ownIssuer+"/jwks", a)
		source(h)
		h.apply()
		if d := h.want(name, bearing(token(nil), "/orders"), "orders", ""); d.Revocation != registry.Revocation(ownIssuer, "id-1") {
			t.Errorf("%s: cannot be revoked", name)
		}
		h.want(name+", for something else", bearing(token(map[string]any{"aud": "urn:x"}), "/orders"), "orders", auth.JWTInvalid)
		h.field("not_before", strconv.FormatInt(now.Unix()+1, 10))
		h.want(name+", issued before", bearing(token(nil), "/orders"), "orders", auth.JWTInvalid)
		h.want(name+", another issuer's", bearing(token(map[string]any{"iss": "https://idp.example"}), "/orders"), "orders", "")
	}
}

// H5: a token that was asked for by the URL of an API is for that API alone, also where another has no resource server; and where a
// domain has many hosts, on the one host.
func TestATokenForTheURLOfAnAPIIsForItAlone(t *testing.T) {
	t.Parallel()
	plain := api("plain", "jwt")
	h, token := ownHouse(t, ownIssuer+"/jwks", api("orders", "jwt"), func(c *registry.Config) {
		c.APIs = append(c.APIs, plain)
		c.Domains = []registry.Domain{{Name: "ai.acme.example"}, {Name: "*.any.example"}}
		c.Consumers[0].Authorizations = may("orders", "plain")
	})
	for name, c := range map[string]struct {
		host string
		aud  any
		want auth.Reason
	}{
		"its own URL":                       {"gateway.example", "https://gateway.example/orders", ""},
		"its URL on a named domain":         {"gateway.example", "https://ai.acme.example/orders", ""},
		"another API's":                     {"gateway.example", "https://gateway.example/plain", auth.JWTInvalid},
		"another API's, on a named domain":  {"gateway.example", "https://ai.acme.example:443/plain", auth.JWTInvalid},
		"both":                              {"gateway.example", []string{"https://gateway.example/plain", "https://gateway.example/orders"}, ""},
		"no API's":                          {"gateway.example", "https://gateway.example/nothing", ""},
		"of a host that is not ours":        {"gateway.example", "https://evil.example/plain", ""},
		"no URL":                            {"gateway.example", "urn:x", ""},
		"on its host of a wildcard domain":  {"x.any.example", "https://x.any.example/orders", ""},
		"… with ports":                      {"X.any.example:443", "https://x.any.example:443/orders", ""},
		"on another of the wildcard domain": {"y.any.example", "https://x.any.example/orders", auth.JWTInvalid},
		"a wildcard's, on the public host":  {"gateway.example", "https://x.any.example/orders", auth.JWTInvalid},
	} {
		r := bearing(token(map[string]any{"aud": c.aud}), "/orders")
		r.Host = c.host
		d := h.want(name, r, "orders", c.want)
		if c.want != "" && !strings.Contains(traceOf(d), "aud is the URL of ") {
			t.Errorf("%s: %s", name, traceOf(d))
		}
	}
}
