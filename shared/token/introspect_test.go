package token_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"keyless/shared/registry"
	"keyless/shared/token"
)

const inactive = `{"active":false}`

// Every requirement on requests and client authentication holds at the two endpoints beside the token's as well:
// RFC 7662 §2.1, RFC 7009 §2.1.
func TestX01X04RequestsAndAuthentication(t *testing.T) {
	t.Parallel()
	f, _, _ := newRevoking(t)
	text := f.mint(t, call{})
	body := "token=" + text
	for name, test := range map[string]struct {
		call
		status int
		code   string
	}{
		"plain":                    {call{body: body}, 200, ""},
		"a hint is passed over":    {call{body: body + "&token_type_hint=refresh_token"}, 200, ""},
		"an unknown hint":          {call{body: body + "&token_type_hint=x"}, 200, ""},
		"in the body":              {call{basic: "-", body: body + "&client_id=one&client_secret=" + secret}, 200, ""},
		"T01 GET":                  {call{method: "GET"}, 405, badRequest},
		"T02 JSON":                 {call{kind: "application/json", body: `{}`}, 400, badRequest},
		"T03 token twice":          {call{body: body + "&" + body}, 400, badRequest},
		"T03 a hint twice":         {call{body: body + "&token_type_hint=x&token_type_hint=x"}, 400, badRequest},
		"T04 an empty token":       {call{body: "token="}, 400, badRequest},
		"no token":                 {call{body: "x=1"}, 400, badRequest},
		"T06 a token in the query": {call{query: "?token=x", body: body}, 400, badRequest},
		"T06 in the query only":    {call{query: "?token=" + text, body: "x=1"}, 400, badRequest},
		"T09 a token of 60 KiB":    {call{body: "token=" + strings.Repeat("x", 60<<10)}, 200, ""},
		"T09 64 KiB and more":      {call{body: "token=" + strings.Repeat("x", 64<<10)}, 413, badRequest},
		"T09 without a token":      {call{body: "x=" + strings.Repeat("x", 8<<10)}, 413, badRequest},
		"T10 percent":              {call{body: body + "&x=%"}, 400, badRequest},
		"T12 a slash more":         {call{path: "/"}, 404, "not_found"},
		"C04 two credentials":      {call{body: body + "&client_secret=" + secret}, 400, badRequest},
		"C05 another client_id":    {call{body: body + "&client_id=both"}, 400, badRequest},
		"C06 a wrong secret":       {call{body: body, authorization: basic("one", "wrong")}, 401, badClient},
		"C07 an unknown client":    {call{body: body, authorization: basic("nobody", secret)}, 401, badClient},
		"C11 another method":       {call{body: body, authorization: basic("federated", secret)}, 401, badClient},
		"no credential":            {call{basic: "-", body: body}, 401, badClient},
		"a token as credential":    {call{authorization: "Bearer " + text, body: body}, 401, badClient},
	} {
		for _, path := range []string{introspectPath, revokePath} {
			c := test.call
			c.path = path + c.path
			w := f.do(c)
			if w.Code != test.status {
				t.Errorf("%s at %s: %d %s", name, path, w.Code, w.Body)
			}
			if w.Code != 200 {
				A01Headers(t, w)
				if _, code := says(t, w); code != test.code {
					t.Errorf("%s at %s: %s", name, path, code)
				}
			}
			if w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%s at %s: %v", name, path, w.Header())
			}
		}
	}
	for _, path := range []string{"/nobody/oauth2/introspect", "/acme/oauth2/introspection", "/%61cme/oauth2/revoke"} {
		if w := f.do(call{path: path, body: body}); w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// RFC 7662 §2.1: all the ways in which a client authenticates at the token endpoint, and this endpoint's own URL as
// the audience of an assertion beside the issuer and the token endpoint.
func TestX01C12AssertionsAtTheirOwnEndpoint(t *testing.T) {
	t.Parallel()
	signs := registry.Client{ID: "ec", Authentication: []string{"private_key_jwt"}, PublicKeys: []string{publicPEM(t, "P-256")}}
	strict := signs
	strict.ID, strict.AssertionAudience = "strict", registry.AudienceIssuer
	f := newProven(t, nil, signs, strict)
	f.Revocations = &revocations{kept: map[string]time.Duration{}}
	f.Handler = token.New(f.Options)
	for name, test := range map[string]struct {
		client, path, audience string
		status                 int
	}{
		"the issuer":                      {"ec", introspectPath, issuerURL, 200},
		"the token endpoint":              {"ec", introspectPath, tokenURL, 200},
		"the endpoint itself":             {"ec", introspectPath, issuerURL + "/introspect", 200},
		"revoke itself":                   {"ec", revokePath, issuerURL + "/revoke", 200},
		"the other endpoint":              {"ec", introspectPath, issuerURL + "/revoke", 401},
		"that, at the token endpoint":     {"ec", "", issuerURL + "/introspect", 401},
		"the issuer, narrowed":            {"strict", introspectPath, issuerURL, 200},
		"the endpoint itself, narrowed":   {"strict", introspectPath, issuerURL + "/introspect", 401},
		"another instance's introspect":   {"ec", introspectPath, public + "/other/oauth2/introspect", 401},
		"the endpoint itself and a slash": {"ec", introspectPath, issuerURL + "/introspect/", 401},
	} {
		assertion := signedBy("P-256", "ES256", object{"alg": "ES256"}, own(test.client, object{"aud": test.audience}))
		w := f.do(call{basic: "-", path: test.path, body: asserted(jwtBearer, assertion, "token", "x")})
		if w.Code != test.status {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestX01Introspection(t *testing.T) {
	t.Parallel()
	f, _, _ := newRevoking(t)
	text := f.mint(t, call{body: grantType + "&scope=model.list+shared"})
	claims := claimsOf(t, []byte(`{"access_token":"`+text+`"}`))
	want := map[string]any{
		"active": true, "scope": "model.list shared", "client_id": "one", "token_type": "Bearer", "sub": "one",
		"exp": float64(now.Unix() + 1200), "iat": float64(now.Unix()), "nbf": float64(now.Unix()),
		"aud": gateway, "iss": issuerURL, "jti": claims.ID,
	}
	for client, sees := range map[string]bool{"one": true, "gate": true, "both": true, "toolbox": false, "none": false} {
		w := f.ask(client, text)
		A01Headers(t, w)
		var got map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
			t.Fatal(w.Code, w.Body)
		}
		if sees && !reflect.DeepEqual(got, want) || !sees && w.Body.String() != inactive {
			t.Errorf("X01: %s sees %s", client, w.Body)
		}
	}
}

func TestX01BoundAndExchangedTokensSaySo(t *testing.T) {
	t.Parallel()
	f, _, _ := newRevoking(t)
	for name, test := range map[string]struct {
		changes object
		want    string
	}{
		"RFC 9449 §6.2": {object{"cnf": object{"jkt": "k"}}, `"token_type":"DPoP"`},
		"DPoP's cnf":    {object{"cnf": object{"jkt": "k"}}, `"cnf":{"jkt":"k"}`},
		"RFC 8705 §3.2": {object{"cnf": object{"x5t#S256": "k"}}, `"cnf":{"x5t#S256":"k"}`},
		"mTLS's type":   {object{"cnf": object{"x5t#S256": "k"}}, `"token_type":"Bearer"`},
		"RFC 8693 §4.1": {object{"act": object{"sub": "a", "act": object{"iss": "i", "sub": "b"}}},
			`"act":{"sub":"a","act":{"iss":"i","sub":"b"}}`},
	} {
		if w := f.ask("gate", f.resign(t, "acme", access(test.changes))); !strings.Contains(w.Body.String(), test.want) {
			t.Errorf("%s: %s", name, w.Body)
		}
	}
}

// X02, RFC 7662 §2.2: one answer for whatever is not a token that holds.
func TestX02Inactive(t *testing.T) {
	t.Parallel()
	f, _, clock := newRevoking(t)
	good := f.resign(t, "acme", access(nil))
	if w := f.ask("gate", good); !strings.Contains(w.Body.String(), `"active":true`) {
		t.Fatalf("the neighbour of all that follows: %s\n%s", w.Body, f.log)
	}
	parts := strings.Split(good, ".")
	headed := func(header object) string {
		return signedBy("P-256", "ES256", header, access(nil))
	}
	snapshot, _ := f.Reader.Snapshot(t.Context())
	kid := snapshot.KeySets["acme"].Active
	for name, text := range map[string]string{
		"malformed":                 "x",
		"not our text":              "a.b.c",
		"unsigned":                  parts[0] + "." + parts[1] + ".",
		"a changed claim":           parts[0] + "." + raw([]byte(`{"exp":99999999999}`)) + "." + parts[2],
		"alg none":                  written(object{"alg": "none", "kid": kid, "typ": "at+jwt"}, access(nil)) + ".",
		"a stranger's key":          headed(object{"alg": "ES256", "kid": kid, "typ": "at+jwt"}),
		"a stranger's kid":          headed(object{"alg": "ES256", "kid": "x", "typ": "at+jwt"}),
		"no kid":                    headed(object{"alg": "ES256", "typ": "at+jwt"}),
		"typ JWT":                   headed(object{"alg": "ES256", "kid": kid, "typ": "JWT"}),
		"J16 another instance":      f.resign(t, "other", access(object{"iss": public + "/other/oauth2"})),
		"J16 another instance's":    f.resign(t, "other", access(nil)),
		"J16 another issuer":        f.resign(t, "acme", access(object{"iss": public + "/other/oauth2"})),
		"expired now":               f.resign(t, "acme", access(object{"exp": now.Unix()})),
		"not valid yet":             f.resign(t, "acme", access(object{"nbf": now.Unix() + 31})),
		"issued tomorrow":           f.resign(t, "acme", access(object{"iat": now.Unix() + 86400})),
		"no jti":                    f.resign(t, "acme", access(object{"jti": nil})),
		"of a client that is gone":  f.resign(t, "acme", access(object{"client_id": "gone"})),
		"of a disabled client":      f.resign(t, "acme", access(object{"client_id": "disabled"})),
		"of a resource server gone": f.resign(t, "acme", access(object{"aud": "urn:gone"})),
		"of another resource server": f.resign(t, "acme", access(object{"aud": tools,
			"client_id": "both", "sub": "both"})),
	} {
		if w := f.ask("gate", text); w.Code != 200 || w.Body.String() != inactive {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if w := f.ask("one", f.resign(t, "acme", access(object{"aud": "urn:off"}))); w.Body.String() != inactive {
		t.Errorf("of a disabled resource server: %s", w.Body)
	}
	*clock = now.Add(600 * time.Second)
	if w := f.ask("gate", good); w.Body.String() != inactive {
		t.Errorf("in the second of its exp: %s", w.Body)
	}
	*clock = now.Add(599 * time.Second)
	if w := f.ask("gate", good); w.Body.String() == inactive {
		t.Errorf("a second before its exp: %s", w.Body)
	}
}

// X02, K06: what was true of a token a moment ago does not count.
func TestX02ChangesHoldOnTheNextRequest(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*testing.T, *fixture){
		"the client is disabled": func(t *testing.T, f *fixture) {
			one := clients(f.pepper)[0]
			one.Status = registry.Disabled
			f.client(t, "acme", one)
		},
		"the resource server is disabled": func(t *testing.T, f *fixture) {
			in := acme()
			in.ResourceServers[0].Status = registry.Disabled
			f.set(t, map[string]any{"instance:acme": in}, nil)
		},
		"the key is withdrawn": func(t *testing.T, f *fixture) {
			snapshot, _ := f.Reader.Snapshot(t.Context())
			if _, err := f.ring.Revoke(t.Context(), "acme", snapshot.KeySets["acme"].Active, "ES256"); err != nil {
				t.Fatal(err)
			}
		},
		"all tokens of before are void": func(t *testing.T, f *fixture) {
			f.set(t, nil, map[string]string{"not_before": strconv.FormatInt(now.Unix()+1, 10)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _, _ := newRevoking(t)
			text := f.mint(t, call{})
			if w := f.ask("gate", text); w.Body.String() == inactive {
				t.Fatal(w.Body)
			}
			change(t, f)
			if w := f.ask("gate", text); w.Body.String() != inactive {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}

// X03, RFC 7662 §4: a caller is throttled, others are not, and the next second is another.
func TestX03Throttled(t *testing.T) {
	t.Parallel()
	f, _, clock := newRevoking(t)
	for n := range 500 {
		if w := f.ask("gate", "x"); w.Code != 200 {
			t.Fatalf("call %d: %d", n+1, w.Code)
		}
	}
	w := f.ask("gate", "x")
	if status, code := says(t, w); status != 429 || code != "temporarily_unavailable" || w.Header().Get("Retry-After") != "1" {
		t.Errorf("%d %s %v", status, code, w.Header())
	}
	A01Headers(t, w)
	if w := f.ask("one", "x"); w.Code != 200 {
		t.Errorf("another caller: %d", w.Code)
	}
	*clock = now.Add(time.Second)
	if w := f.ask("gate", "x"); w.Code != 200 {
		t.Errorf("a second later: %d", w.Code)
	}
}

func TestX02StoreAway(t *testing.T) {
	t.Parallel()
	f, kept, _ := newRevoking(t)
	text := f.mint(t, call{})
	kept.err = errors.New("canary")
	for _, w := range []interface {
		Result() *http.Response
	}{f.ask("gate", text), f.giveBack("one", text)} {
		if r := w.Result(); r.StatusCode != 503 || r.Header.Get("Retry-After") != "1" {
			t.Errorf("%d %v", r.StatusCode, r.Header)
		}
	}
	if w := f.ask("gate", "x"); w.Body.String() != inactive {
		t.Errorf("what needs no memory is answered without it: %s", w.Body)
	}
	o := f.Options
	o.Revocations = nil
	f.Handler = token.New(o)
	if w := f.ask("gate", text); w.Code != 503 {
		t.Errorf("without a memory: %d %s", w.Code, w.Body)
	}
}

// An instance without M2M issues nothing, and what it has issued can still be asked about and given back.
func TestX01M2MDisabled(t *testing.T) {
	t.Parallel()
	f, _, _ := newRevoking(t)
	text, off := f.mint(t, call{}), acme()
	off.M2M = registry.Disabled
	f.set(t, map[string]any{"instance:acme": off}, nil)
	if w := f.ask("gate", text); !strings.Contains(w.Body.String(), `"active":true`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := f.giveBack("one", text); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// X02, RFC 9068 §4: what an instance's key has signed for another purpose is no access token.
func TestX02AnotherKindOfToken(t *testing.T) {
	t.Parallel()
	f, _, _ := newRevoking(t)
	set := `{"active":"k1","jwks":` + jwksOf(t, "P-256", "k1") + `}`
	f.set(t, nil, map[string]string{"jwks:acme": set})
	for typ, active := range map[string]bool{"at+jwt": true, "AT+JWT": true, "JWT": false, "logout+jwt": false, "": false} {
		text := signedBy("P-256", "ES256", object{"alg": "ES256", "kid": "k1", "typ": typ}, access(nil))
		if w := f.ask("gate", text); (w.Body.String() != inactive) != active {
			t.Errorf("typ %q: %s", typ, w.Body)
		}
	}
}
