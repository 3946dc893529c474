package auth_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"keyless/shared/auth"
	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// globalHouse has one issuer for everybody before two open APIs, and an API with consumers of its own.
func globalHouse(change ...func(*registry.GlobalAuthentication)) *registry.Config {
	global := &registry.GlobalAuthentication{
		JWKS: oct(sharedKey), Issuer: "https://login.example",
		Rules: []registry.Rule{{Path: "/accounts/login"}},
	}
	for _, f := range change {
		f(global)
	}
	return &registry.Config{
		Version:              1,
		Domains:              []registry.Domain{{Name: "default"}, {Name: "shop.example"}, {Name: "*.apps.example"}},
		APIs:                 []registry.API{api("accounts"), api("open"), api("orders", "jwt")},
		Consumers:            []registry.Consumer{shop()},
		GlobalAuthentication: global,
	}
}

// person is a good token of the global issuer, with changes.
func person(change map[string]any) string {
	c := map[string]any{"iss": "https://login.example", "sub": "someone"}
	for name, value := range change {
		c[name] = value
	}
	return hs256(hs, claims(c))
}

func TestGlobalToken(t *testing.T) {
	t.Parallel()
	h := newHouse(t, globalHouse(func(g *registry.GlobalAuthentication) { g.Subject, g.Audience = "someone", registry.Strings{"a", "b"} }))
	good := map[string]any{"aud": "b"}
	with := func(name string, value any) map[string]any { return map[string]any{"aud": "b", name: value} }
	tests := map[string]struct {
		headers []string
		want    auth.Reason
	}{
		"good":                         {[]string{"Authorization: Bearer " + person(good)}, ""},
		"in small letters":             {[]string{"Authorization: bearer " + person(good)}, ""},
		"none":                         {nil, auth.JWTMissing},
		"another scheme":               {[]string{"Authorization: Basic " + person(good)}, auth.JWTMissing},
		"nonsense":                     {[]string{"Authorization: Bearer x.y.z"}, auth.JWTInvalid},
		"two":                          {[]string{"Authorization: Bearer " + person(good), "Authorization: Bearer " + person(good)}, auth.JWTInvalid},
		"another issuer":               {[]string{"Authorization: Bearer " + person(with("iss", "https://login.example/"))}, auth.JWTInvalid},
		"no issuer":                    {[]string{"Authorization: Bearer " + person(with("iss", nil))}, auth.JWTInvalid},
		"another subject":              {[]string{"Authorization: Bearer " + person(with("sub", "Someone"))}, auth.JWTInvalid},
		"no subject":                   {[]string{"Authorization: Bearer " + person(with("sub", nil))}, auth.JWTInvalid},
		"another audience":             {[]string{"Authorization: Bearer " + person(with("aud", "c"))}, auth.JWTInvalid},
		"no audience":                  {[]string{"Authorization: Bearer " + person(nil)}, auth.JWTInvalid},
		"expired":                      {[]string{"Authorization: Bearer " + person(with("exp", now.Add(-31*time.Second).Unix()))}, auth.JWTExpired},
		"expired within the skew":      {[]string{"Authorization: Bearer " + person(with("exp", now.Add(-29*time.Second).Unix()))}, ""},
		"not yet valid":                {[]string{"Authorization: Bearer " + person(with("nbf", now.Add(31*time.Second).Unix()))}, auth.JWTInvalid},
		"a week long":                  {[]string{"Authorization: Bearer " + person(with("exp", now.Add(7*24*time.Hour).Unix()))}, auth.JWTInvalid},
		"a second under a week":        {[]string{"Authorization: Bearer " + person(with("exp", now.Add(7*24*time.Hour).Unix()-1))}, ""},
		"another key":                  {[]string{"Authorization: Bearer " + sealed(part(hs)+"."+part(claims(map[string]any{"iss": "https://login.example"})), strings.Repeat("A", 43))}, auth.JWTInvalid},
		"expired, with another key":    {[]string{"Authorization: Bearer " + sealed(part(hs)+"."+part(claims(map[string]any{"exp": 1})), strings.Repeat("A", 43))}, auth.JWTInvalid},
		"an API key has no say":        {[]string{"Authorization: Bearer " + aliceKey}, auth.JWTInvalid},
		"a signature has no say":       {[]string{"X-Ca-Key: x", "X-Ca-Signature: y"}, auth.JWTMissing},
		"forwarded paths have no say":  {[]string{"X-Forwarded-Uri: /accounts/login", "X-Original-Uri: /accounts/login"}, auth.JWTMissing},
		"forwarded hosts have no say":  {[]string{"X-Forwarded-Host: shop.example"}, auth.JWTMissing},
		"a health check has no say":    {[]string{"User-Agent: kube-probe/1.30"}, auth.JWTMissing},
		"a good token beside a cookie": {[]string{"Authorization: Bearer " + person(good), "Cookie: token=x"}, ""},
	}
	for name, tt := range tests {
		d := h.want(name, send("GET", "/open", "", tt.headers...), "open", tt.want)
		if tt.want == "" && (d.Subject != "someone" || d.Consumer != nil || d.Method != "jwt" || d.PassCredential()) {
			t.Errorf("%s: %+v", name, d)
		}
		if challenge := d.Challenge(); (tt.want == "") != (challenge == "") {
			t.Errorf("%s: challenge %q", name, challenge)
		}
	}
}

// What global authentication asks of an open API: row 22 and 23 of the incident table among them.
func TestGlobalPaths(t *testing.T) {
	t.Parallel()
	token := "Authorization: Bearer " + person(nil)
	h := newHouse(t, globalHouse())
	h.want("the login path", send("POST", "/accounts/login", ""), "accounts", "")
	h.want("below it", send("POST", "/accounts/login/callback", ""), "accounts", "")
	h.want("beside it", send("POST", "/accounts/logins", ""), "accounts", auth.JWTMissing)
	h.want("above it", send("POST", "/accounts", ""), "accounts", auth.JWTMissing)
	h.want("in a query", send("GET", "/accounts/private?x=/accounts/login", ""), "accounts", auth.JWTMissing)
	h.want("in a query, at its end", send("GET", "/accounts/private?/accounts/login", ""), "accounts", auth.JWTMissing)
	h.want("elsewhere with a token", send("GET", "/accounts/private", "", token), "accounts", "")
	d := h.want("credentials on the login path pass as they are", send("POST", "/accounts/login", "", token), "accounts", "")
	if d.Method != "" || d.Place != (registry.Place{}) || d.Subject != "" {
		t.Errorf("the login path's credential is ours: %+v", d)
	}
	for _, path := range []string{"/accounts/login/../private", "//accounts/login", "/accounts/%6Cogin", "/accounts/private%2F..%2Flogin"} {
		r := send("GET", "/accounts", "")
		r.URL = must(r.URL.Parse("http://gateway.example/accounts"))
		r.URL.RawPath, r.URL.Path = path, strings.NewReplacer("%6C", "l", "%2F", "/").Replace(path)
		if d, err := h.decide(r, "accounts"); err == nil || d.Allowed {
			t.Errorf("%s: allowed %v, %v", path, d.Allowed, err)
		}
	}
}

// An API with consumers of its own is decided by them alone, and they have no say elsewhere.
func TestGlobalLeavesOtherAPIsAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, globalHouse(func(g *registry.GlobalAuthentication) { g.Rules = nil }))
	consumers := "Authorization: Bearer " + hs256(hs, claims(nil))
	h.want("a consumer's token", send("GET", "/orders", "", consumers), "orders", "")
	h.want("a person's token, whose uid names a consumer", send("GET", "/orders", "", "Authorization: Bearer "+person(nil)), "orders", "")
	h.want("a person's token without a consumer", send("GET", "/orders", "", "Authorization: Bearer "+person(map[string]any{"uid": nil})), "orders", auth.JWTInvalid)
	h.want("a consumer's token on an open API", send("GET", "/open", "", consumers), "open", auth.JWTInvalid)
	h.consumer("shop").Status = registry.Disabled
	h.apply()
	h.want("a disabled consumer's token", send("GET", "/orders", "", consumers), "orders", auth.JWTInvalid)
	h.want("a person's, whatever a consumer is", send("GET", "/open", "", "Authorization: Bearer "+person(nil)), "open", "")
	h.config.GlobalAuthentication.Status = registry.Disabled
	h.apply()
	h.want("disabled: open", send("GET", "/open", ""), "open", "")
	h.config.GlobalAuthentication = nil
	h.apply()
	h.want("none: open", send("GET", "/open", ""), "open", "")
}

func TestGlobalPlaceAndWhatThePersonTakesAlong(t *testing.T) {
	t.Parallel()
	bare := "Token "
	h := newHouse(t, globalHouse(func(g *registry.GlobalAuthentication) {
		g.Header, g.Prefix, g.PassToken = "X-Session", &bare, true
		g.MaxLifetime = registry.Duration(time.Hour)
		g.ClaimsToHeaders = []registry.ClaimToHeader{{Claim: "sub", Header: "X-User"}, {Claim: "n", Header: "X-N"}, {Claim: "evil", Header: "X-Evil"}}
	}))
	short := map[string]any{"exp": now.Add(time.Hour - time.Second).Unix(), "iat": now.Unix(), "n": 7, "evil": "a\r\nb"}
	d := h.want("at its place", send("GET", "/open", "", "X-Session: Token "+person(short)), "open", "")
	if !d.PassCredential() || d.Place.Name != "x-session" {
		t.Errorf("%+v", d)
	}
	want := []auth.Header{{Name: "X-User", Value: "someone"}, {Name: "X-N"}, {Name: "X-Evil"}}
	if !slices.Equal(d.Headers, want) {
		t.Errorf("headers %v", d.Headers)
	}
	h.want("the prefix is byte-exact", send("GET", "/open", "", "X-Session: token "+person(short)), "open", auth.JWTMissing)
	h.want("another place", send("GET", "/open", "", "Authorization: Bearer "+person(short)), "open", auth.JWTMissing)
	h.want("an hour long", send("GET", "/open", "", "X-Session: Token "+person(nil)), "open", auth.JWTInvalid)
}

func TestGlobalKeysAtAURL(t *testing.T) {
	t.Parallel()
	private := privateKeys(t)["ES256"]
	h := newHouse(t, globalHouse(func(g *registry.GlobalAuthentication) { g.JWKS, g.JWKSURL = "", "https://login.example/jwks" }))
	token := "Authorization: Bearer " + signed(t, "ES256", private, claims(map[string]any{"iss": "https://login.example"}))
	if d, err := h.decide(send("GET", "/open", "", token), "open"); err == nil || d.Allowed {
		t.Errorf("an issuer out of reach: allowed %v", d.Allowed)
	}
	set, err := oauth.ParseJWKSet([]byte(publicOf(t, private)), oauth.Pasted)
	if err != nil {
		t.Fatal(err)
	}
	h.source["https://login.example/jwks"] = set
	h.want("within reach", send("GET", "/open", "", token), "open", "")
	h.source["https://login.example/jwks"] = nil
	h.want("a key that the issuer withdrew", send("GET", "/open", "", token), "open", auth.JWTInvalid)
}

// rulePaths are what each kind of match selects, and its neighbours.
var rulePaths = []struct{ match, path, yes, no string }{
	{"", "/a/b", "/a/b /a/b/ /a/b/c", "/a /a/ /a/bc /A/b /x/a/b"},
	{"prefix", "/a/", "/a /a/ /a/b", "/ab /b"},
	{"prefix", "/", "/ /a /a/b", ""},
	{"exact", "/a/b", "/a/b", "/a/b/c /a /a/B"},
	{"suffix", ".json", "/a.json /a/b.json /.json", "/a.json/ /a.jsonx /ajson"},
	{"suffix", "/login", "/login /a/login", "/login/ /xlogin2 /a-login"},
	{"regex", "/a/[0-9]+", "/a/1 /a/12", "/a/ /a/1/ /a/x /b/a/1 /a/1/x"},
	{"regex", "/a|/b", "/a /b", "/a/ /ab /b/c /x/a"},
	{"regex", "(?i)/A", "/a /A", "/aa"},
	{"regex", "(?m)/a$", "/a", "/a/b /b/a"},
	{"regex", "/a.*", "/a /ab /a/b/c", "/b /ba"},
	{"", "", "/ /a /a/b", ""},
	{"exact", "", "/ /a", ""},
}

// A backend that answers /a/b/ as /a/b must not open in a blacklist, nor close a whitelist further than it says.
func TestGlobalExactWithASlash(t *testing.T) {
	t.Parallel()
	for mode, asks := range map[string]bool{"blacklist": true, "whitelist": true} {
		h := newHouse(t, globalHouse(func(g *registry.GlobalAuthentication) {
			g.Mode, g.Rules = mode, []registry.Rule{{Path: "/a/b", Match: "exact"}}
		}))
		global := must(h.reader.Snapshot(t.Context())).Global
		if auth.Asks(global, "default", "/a/b/") != asks {
			t.Errorf("%s: /a/b/ asks %v", mode, !asks)
		}
	}
}

func TestGlobalRules(t *testing.T) {
	t.Parallel()
	for _, row := range rulePaths {
		for _, mode := range []string{"", "whitelist", "blacklist"} {
			h := newHouse(t, globalHouse(func(g *registry.GlobalAuthentication) {
				g.Mode, g.Rules = mode, []registry.Rule{{Path: row.path, Match: row.match}}
			}))
			global := must(h.reader.Snapshot(t.Context())).Global
			for _, path := range strings.Fields(row.yes) {
				if auth.Asks(global, "default", path) != (mode == "blacklist") {
					t.Errorf("%s %q %q does not select %s", mode, row.match, row.path, path)
				}
			}
			for _, path := range strings.Fields(row.no) {
				if auth.Asks(global, "default", path) != (mode != "blacklist") {
					t.Errorf("%s %q %q selects %s", mode, row.match, row.path, path)
				}
			}
		}
	}
}

func TestGlobalDomains(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"whitelist", "blacklist"} {
		h := newHouse(t, globalHouse(func(g *registry.GlobalAuthentication) {
			g.Mode = mode
			g.Rules = []registry.Rule{{Domain: "Shop.example"}, {Domain: "*.apps.example", Path: "/open/public"}, {Domain: "*", Path: "/open/any", Match: "exact"}}
		}))
		for target, listed := range map[string]bool{
			"http://shop.example/open": true, "http://SHOP.example.:443/open/x": true, "http://x.shop.example/open": false,
			"http://one.apps.example/open/public": true, "http://one.apps.example/open": false, "http://apps.example/open/public": false,
			"http://elsewhere.example/open/any": true, "http://elsewhere.example/open/any/": mode == "blacklist", "http://elsewhere.example/open": false,
		} {
			r, err := http.NewRequest(http.MethodGet, target, nil)
			if err != nil {
				t.Fatal(err)
			}
			want := auth.Reason("")
			if listed == (mode == "blacklist") {
				want = auth.JWTMissing
			}
			h.want(mode+" "+target, r, "open", want)
		}
	}
}

// Whoever lists nothing in a whitelist asks of all; in a blacklist of none.
func TestGlobalWithoutRules(t *testing.T) {
	t.Parallel()
	h := newHouse(t, globalHouse(func(g *registry.GlobalAuthentication) { g.Rules = nil }))
	h.want("a whitelist of nothing", send("GET", "/open", ""), "open", auth.JWTMissing)
	h.config.GlobalAuthentication.Mode = "blacklist"
	h.apply()
	h.want("a blacklist of nothing", send("GET", "/open", ""), "open", "")
}
