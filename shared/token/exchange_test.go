package token_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"keyless/shared/oauth"
	"keyless/shared/registry"
	"keyless/shared/token"
)

const (
	exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeJWT       = "urn:ietf:params:oauth:token-type:jwt"
	typeAccess    = "urn:ietf:params:oauth:token-type:access_token"
	typeID        = "urn:ietf:params:oauth:token-type:id_token"
	people        = "https://people.example"
	machines      = "https://machines.example"
)

// newExchanging has a client, agent, that may exchange tokens of people, of machines and of its own instance.
func newExchanging(t testing.TB) (*fixture, *revocations) {
	t.Helper()
	f, kept, _ := newRevoking(t)
	f.Keys = sets{people: jwksOf(t, "P-256", "k1"), machines: jwksOf(t, "RSA", "k1")}
	f.Handler = token.New(f.Options)
	f.client(t, "acme", registry.Client{
		ID: "agent", Secrets: []registry.ClientSecret{hashed(f.pepper, "agent", "s1", secret)},
		Permissions: []registry.Permission{
			{ResourceServer: gateway, Scopes: []string{"model.invoke", "model.list", "shared"}},
			{ResourceServer: tools, Scopes: []string{"tools.call", "shared"}},
		},
		TokenExchange: []registry.SubjectIssuer{
			{Name: "off", Status: registry.Disabled, Issuer: "https://off.example", Audience: "keyless"},
			{Name: "people", Issuer: people, Audience: "keyless", Claims: map[string]string{"tenant": "acme"}},
			{Name: "machines", Issuer: machines, Audience: "keyless", Subject: "job:*", MaxAge: registry.Duration(time.Hour)},
			{Name: "own", Issuer: registry.IssuerSelf, Audience: tools},
		},
	})
	return f, kept
}

// person are the claims of a token of people; changes of nil take one off.
func person(changes object) object {
	claims := object{
		"iss": people, "sub": "ann@example", "aud": "keyless", "tenant": "acme", "iat": now.Unix() - 5, "exp": now.Unix() + 300,
		"scope": "model.invoke model.list tools.call shared openid",
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return claims
}

func personToken(changes object) string {
	return signedBy("P-256", "ES256", object{"alg": "ES256", "kid": "k1"}, person(changes))
}

func jobToken(changes object) string {
	claims := object{"iss": machines, "sub": "job:nightly", "aud": []string{"x", "keyless"}, "iat": now.Unix() - 5, "exp": now.Unix() + 200,
		"scp": []string{"model.invoke", "shared"}}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return signedBy("RSA", "RS256", object{"alg": "RS256", "kid": "k1"}, claims)
}

// trade exchanges a subject token as agent; more are further parameters, one of "" takes a parameter off.
func (f *fixture) trade(subject string, more ...string) *httptest.ResponseRecorder {
	values := url.Values{
		"grant_type": {exchangeGrant}, "subject_token": {subject}, "subject_token_type": {typeJWT}, "audience": {gateway},
	}
	for i := 0; i < len(more); i += 2 {
		values.Set(more[i], more[i+1])
	}
	return f.do(call{authorization: basic("agent", secret), body: values.Encode()})
}

func TestX06Exchange(t *testing.T) {
	t.Parallel()
	f, _ := newExchanging(t)
	w := f.trade(personToken(nil))
	if w.Code != 200 {
		t.Fatalf("%d %s\n%s", w.Code, w.Body, f.log)
	}
	A01Headers(t, w)
	answer, claims := answerOf(t, w.Body.Bytes()), claimsOf(t, w.Body.Bytes())
	if answer.IssuedTokenType != typeAccess || answer.TokenType != "Bearer" || answer.ExpiresIn != 300 {
		t.Errorf("RFC 8693 §2.2.1: %+v", answer)
	}
	if strings.Contains(w.Body.String(), "refresh_token") {
		t.Errorf("%s", w.Body)
	}
	claims.ID = ""
	actor := claims.Actor
	claims.Actor = nil
	want := oauth.AccessTokenClaims{
		Issuer: issuerURL, Subject: "ann@example", Audience: gateway, ClientID: "agent",
		Scope: "model.invoke model.list shared", IssuedAt: now.Unix(), NotBefore: now.Unix(), ExpiresAt: now.Unix() + 300,
	}
	if claims != want || actor == nil || *actor != (oauth.Actor{Subject: "agent"}) {
		t.Errorf("%+v acted for by %+v", claims, actor)
	}
	parsed, err := oauth.Parse(answer.AccessToken)
	if err != nil || parsed.Header.Type != "at+jwt" {
		t.Errorf("RFC 9068 §2.1: %+v, %v", parsed, err)
	}
	if w := f.ask("gate", answer.AccessToken); !strings.Contains(w.Body.String(), `"act":{"sub":"agent"}`) {
		t.Errorf("X01: %s", w.Body)
	}
	if w := f.giveBack("agent", answer.AccessToken); w.Code != 200 || f.ask("gate", answer.AccessToken).Body.String() != inactive {
		t.Errorf("X04: %d", w.Code)
	}
}

// RFC 8693 §2.1, §2.2.2: what a request must hold.
func TestX06Requests(t *testing.T) {
	t.Parallel()
	f, _ := newExchanging(t)
	good := personToken(nil)
	for name, test := range map[string]struct {
		more   []string
		status int
		want   string // scope, or the error's code
	}{
		"plain":                           {nil, 200, "model.invoke model.list shared"},
		"said to be an access token":      {[]string{"subject_token_type", typeAccess}, 200, "model.invoke model.list shared"},
		"said to be an ID token":          {[]string{"subject_token_type", typeID}, 200, "model.invoke model.list shared"},
		"wants an access token":           {[]string{"requested_token_type", typeAccess}, 200, "model.invoke model.list shared"},
		"wants a JWT":                     {[]string{"requested_token_type", typeJWT}, 200, "model.invoke model.list shared"},
		"wants a scope":                   {[]string{"scope", "shared"}, 200, "shared"},
		"wants it of the other":           {[]string{"audience", tools}, 200, "tools.call shared"},
		"wants it as IDaaS clients":       {[]string{"audience", "", "scope", tools + "|.all"}, 200, "tools.call shared"},
		"wants a refresh token":           {[]string{"requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"}, 400, badRequest},
		"wants SAML":                      {[]string{"requested_token_type", "urn:ietf:params:oauth:token-type:saml2"}, 400, badRequest},
		"no subject token":                {[]string{"subject_token", ""}, 400, badRequest},
		"no type":                         {[]string{"subject_token_type", ""}, 400, badRequest},
		"of SAML":                         {[]string{"subject_token_type", "urn:ietf:params:oauth:token-type:saml2"}, 400, badRequest},
		"an actor without type":           {[]string{"actor_token", jobToken(nil)}, 400, badRequest},
		"a type without actor":            {[]string{"actor_token_type", typeJWT}, 400, badRequest},
		"an actor of another type":        {[]string{"actor_token", jobToken(nil), "actor_token_type", "x"}, 400, badRequest},
		"S04 not granted":                 {[]string{"scope", "secret.admin"}, 400, "invalid_scope"},
		"S05 an unknown audience":         {[]string{"audience", "urn:nobody"}, 400, "invalid_target"},
		"S05 two resource servers":        {[]string{"audience", gateway, "resource", tools}, 400, "invalid_target"},
		"S05 no target, two that fit":     {[]string{"audience", ""}, 400, "invalid_target"},
		"another grant type":              {[]string{"grant_type", exchangeGrant + "x"}, 400, "unsupported_grant_type"},
		"client_credentials, a token too": {[]string{"grant_type", "client_credentials"}, 200, "model.invoke model.list shared"},
	} {
		w := f.trade(good, test.more...)
		if status, got := says(t, w); status != test.status || got != test.want {
			t.Errorf("%s: %d %s", name, status, w.Body)
		}
	}
	w := f.trade(good, "requested_token_type", typeJWT)
	if answer := answerOf(t, w.Body.Bytes()); answer.IssuedTokenType != typeJWT {
		t.Errorf("issued_token_type %s", answer.IssuedTokenType)
	}
	w = f.do(call{query: "?subject_token=x"})
	if w.Code != 400 {
		t.Errorf("T06 a token in the query: %d", w.Code)
	}
	twice := "grant_type=" + exchangeGrant + "&subject_token=x&subject_token=y&subject_token_type=" + typeJWT
	if w := f.do(call{body: twice}); w.Code != 400 {
		t.Errorf("T03 a subject token twice: %d", w.Code)
	}
}

// T08, RFC 6749 §5.2: a client that is not registered for the grant.
func TestT08X06ExchangeIsForThoseWhoMay(t *testing.T) {
	t.Parallel()
	f, _ := newExchanging(t)
	body := url.Values{"grant_type": {exchangeGrant}, "subject_token": {personToken(nil)}, "subject_token_type": {typeJWT}}
	w := f.do(call{body: body.Encode()})
	if status, code := says(t, w); status != 400 || code != "unauthorized_client" {
		t.Errorf("%d %s", status, w.Body)
	}
	off := acme()
	off.M2M = registry.Disabled
	f.set(t, map[string]any{"instance:acme": off}, nil)
	if status, code := says(t, f.trade(personToken(nil))); status != 400 || code != "unauthorized_client" {
		t.Errorf("M2M disabled: %d %s", status, code)
	}
}

// RFC 8693 §2.2.2: a subject token that is invalid for any reason is invalid_request, and one body.
func TestX06SubjectTokens(t *testing.T) {
	t.Parallel()
	f, kept := newExchanging(t)
	sign := func(header object, claims object) string { return signedBy("P-256", "ES256", header, claims) }
	tool := func(changes object) string {
		claims := access(object{"aud": tools, "client_id": "both", "sub": "both", "scope": "shared tools.call"})
		maps.Copy(claims, changes)
		return f.resign(t, "acme", claims)
	}
	kept.kept[registry.Revocation(issuerURL, "given-back")] = time.Hour
	type row struct{ text, kind string }
	good := map[string]row{
		"a person":                       {personToken(nil), typeJWT},
		"typ JWT":                        {sign(object{"alg": "ES256", "kid": "k1", "typ": "JWT"}, person(nil)), typeID},
		"typ at+jwt":                     {sign(object{"alg": "ES256", "kid": "k1", "typ": "at+jwt"}, person(nil)), typeAccess},
		"a job":                          {jobToken(nil), typeJWT},
		"our own":                        {tool(nil), typeAccess},
		"our own, by the issuer's life":  {tool(object{"exp": now.Unix() + 3600}), typeJWT},
		"scope as a list":                {personToken(object{"scope": []string{"shared"}}), typeJWT},
		"a name like no client's":        {personToken(object{"sub": "one more"}), typeJWT},
		"somebody of theirs acts":        {personToken(object{"act": object{"sub": "one"}}), typeJWT},
		"somebody of another acts":       {personToken(object{"act": object{"sub": "one", "iss": public + ".evil.example"}}), typeJWT},
		"our own, one of ours acts":      {tool(object{"act": object{"sub": "one", "iss": public + "/other/oauth2"}}), typeAccess},
		"a person until the next second": {personToken(object{"exp": now.Unix() + 1}), typeJWT},
	}
	for name, r := range good {
		if w := f.trade(r.text, "subject_token_type", r.kind); w.Code != 200 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	bad := map[string]row{
		"malformed":                   {"x", typeJWT},
		"alg none":                    {written(object{"alg": "none"}, person(nil)) + ".", typeJWT},
		"another's key":               {signedBy("another", "ES256", object{"alg": "ES256", "kid": "k1"}, person(nil)), typeJWT},
		"another issuer":              {personToken(object{"iss": machines}), typeJWT},
		"an issuer nobody trusts":     {personToken(object{"iss": "https://evil.example"}), typeJWT},
		"a disabled trust":            {personToken(object{"iss": "https://off.example"}), typeJWT},
		"the issuer self":             {personToken(object{"iss": "self", "aud": tools}), typeJWT},
		"another audience":            {personToken(object{"aud": issuerURL}), typeJWT},
		"no audience":                 {personToken(object{"aud": nil}), typeJWT},
		"another tenant":              {personToken(object{"tenant": "evil"}), typeJWT},
		"no tenant":                   {personToken(object{"tenant": nil}), typeJWT},
		"another subject":             {jobToken(object{"sub": "admin:x"}), typeJWT},
		"no subject":                  {personToken(object{"sub": nil}), typeJWT},
		"a subject of 256 bytes":      {personToken(object{"sub": strings.Repeat("x", 256)}), typeJWT},
		"a subject with a line break": {personToken(object{"sub": "a\nb"}), typeJWT},
		"J03 the name of a client":    {personToken(object{"sub": "one"}), typeJWT},
		"… in capitals":               {personToken(object{"sub": "oNE"}), typeJWT},
		"… with a space":              {personToken(object{"sub": " one"}), typeJWT},
		"… with a wide space":         {personToken(object{"sub": "o\u2003ne"}), typeJWT},
		"… with what nobody sees":     {personToken(object{"sub": "One\u200b\ufeff\u3164\ufe0f"}), typeJWT},
		"for whom one of ours acts":   {personToken(object{"act": object{"sub": "one", "iss": issuerURL}}), typeJWT},
		"… further back":              {personToken(object{"act": object{"sub": "x", "act": object{"sub": "one", "iss": issuerURL}}}), typeJWT},
		"… in other letters":          {personToken(object{"act": object{"sub": "one", "iss": "https://ID.example/acme/oauth2/"}}), typeJWT},
		"… of any path of ours":       {personToken(object{"act": object{"sub": "one", "iss": public}}), typeJWT},
		"expired now":                 {personToken(object{"exp": now.Unix()}), typeJWT},
		"expired, within the skew":    {personToken(object{"exp": now.Unix() - 1}), typeJWT},
		"of the future":               {personToken(object{"nbf": now.Unix() + 31}), typeJWT},
		"older than max_age":          {jobToken(object{"iat": now.Unix() - 3631}), typeJWT},
		"without age":                 {jobToken(object{"iat": nil}), typeJWT},
		"of more than a day":          {personToken(object{"exp": now.Unix() + 86401}), typeJWT},
		"bound by DPoP":               {personToken(object{"cnf": object{"jkt": "k"}}), typeJWT},
		"bound to a certificate":      {personToken(object{"cnf": object{"x5t#S256": "k"}}), typeJWT},
		"an assertion":                {sign(object{"alg": "ES256", "kid": "k1", "typ": "client-authentication+jwt"}, person(nil)), typeJWT},
		"an access token as ID token": {sign(object{"alg": "ES256", "kid": "k1", "typ": "at+jwt"}, person(nil)), typeID},
		"our own, for another":        {f.resign(t, "acme", access(nil)), typeAccess},
		"our own, of another's key":   {sign(object{"alg": "ES256", "kid": "k1", "typ": "at+jwt"}, access(object{"aud": tools})), typeJWT},
		"our own, of another issuer":  {f.resign(t, "other", access(object{"iss": public + "/other/oauth2", "aud": tools, "sub": "web"})), typeJWT},
		"our own, expired":            {tool(object{"exp": now.Unix()}), typeAccess},
		"our own, revoked":            {tool(object{"jti": "given-back"}), typeAccess},
		"our own, of a disabled":      {tool(object{"client_id": "disabled"}), typeAccess},
		"our own, bound":              {tool(object{"cnf": object{"jkt": "k"}}), typeAccess},
		"our own, as an ID token":     {tool(nil), typeID},
	}
	bodies := map[string][]string{}
	for name, r := range bad {
		w := f.trade(r.text, "subject_token_type", r.kind)
		if status, code := says(t, w); status != 400 || code != badRequest {
			t.Errorf("%s: %d %s", name, status, w.Body)
		}
		bodies[w.Body.String()] = append(bodies[w.Body.String()], name)
	}
	if len(bodies) != 1 {
		t.Errorf("the caller can tell one cause from another: %v", bodies)
	}
}

// X06: scope can only shrink, by what the client has and by what the subject has.
func TestX06Scopes(t *testing.T) {
	t.Parallel()
	f, _ := newExchanging(t)
	for name, test := range map[string]struct {
		scope any // of the subject's token
		ask   string
		want  string // scope, or the error's code
	}{
		"none there, none asked":       {nil, "", "invalid_scope"},
		"none there, one asked":        {nil, "shared", "invalid_scope"},
		"one there":                    {"shared", "", "shared"},
		"one there, asked":             {"shared", "shared", "shared"},
		"one there, another asked":     {"shared", "model.list", "invalid_scope"},
		"one there, all asked":         {"shared", gateway + "|.all", "shared"},
		"more there than is granted":   {"shared secret.admin", "", "shared"},
		"what is not granted is asked": {"shared secret.admin", "secret.admin", "invalid_scope"},
		"a list there":                 {[]string{"shared", "x"}, "", "shared"},
		"an empty one there":           {"", "", "invalid_scope"},
		"none of ours there":           {"openid profile", "", "invalid_scope"},
		"of no kind that has scopes":   {5, "", "invalid_scope"},
	} {
		w := f.trade(personToken(object{"scope": test.scope}), "scope", test.ask)
		if _, got := says(t, w); got != test.want {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	own := access(object{"aud": tools, "client_id": "both", "sub": "both", "scope": "shared"})
	w := f.trade(f.resign(t, "acme", own), "audience", tools)
	if _, got := says(t, w); got != "shared" || claimsOf(t, w.Body.Bytes()).Subject != "both" {
		t.Errorf("a token of our own: %s", w.Body)
	}
}

func TestX06Failures(t *testing.T) {
	t.Parallel()
	f, kept := newExchanging(t)
	f.Keys = sets{}
	f.Handler = token.New(f.Options)
	if w := f.trade(personToken(nil)); w.Code != 503 {
		t.Errorf("the issuer is away: %d %s", w.Code, w.Body)
	}
	if w := f.trade(personToken(object{"aud": "x"})); w.Code != 400 {
		t.Errorf("what needs no keys: %d %s", w.Code, w.Body)
	}
	kept.err = errors.New("canary")
	own := f.resign(t, "acme", access(object{"aud": tools, "client_id": "both", "sub": "both"}))
	if w := f.trade(own); w.Code != 503 || strings.Contains(w.Body.String(), "canary") {
		t.Errorf("nobody knows whether it was revoked: %d %s", w.Code, w.Body)
	}
}

// J15: names that come from elsewhere are bounded, so that no caller makes a token of ours too long.
func TestJ15X06TheLongestNames(t *testing.T) {
	t.Parallel()
	f, _ := newExchanging(t)
	long := strings.Repeat("ü", 127)
	act := object{"sub": long, "iss": long}
	for range 2 {
		act = object{"sub": long, "iss": long, "act": act}
	}
	w := f.trade(personToken(object{"sub": long, "act": act}))
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(w.Body.Bytes(), &members); err != nil || len(members["access_token"]) > 8<<10 {
		t.Errorf("%d bytes", len(members["access_token"]))
	}
}
