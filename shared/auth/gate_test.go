package auth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"keyless/shared/auth"
	"keyless/shared/oauth"
	"keyless/shared/registry"
)

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return now }

const (
	sharedKey = "VoBG-oyqVoyCr9G56ozmq8n_rlDDyYMQOd_DO4GOkEY" // the requirement document's example
	shopUID   = "11215ac069234abcb8944232b79ae711"
)

func oct(k string) registry.Secret {
	return registry.Secret(`{"kty":"oct","alg":"HS256","k":"` + k + `"}`)
}

// world is a registry in memory, written entry by entry as Apply would.
type world struct {
	t     *testing.T
	store registry.Store
	keys  keySource
}

// keySource is a set of key sets by URL; a URL that it lacks cannot be reached.
type keySource map[string][]oauth.Key

func (k keySource) Keys(_ context.Context, url, _ string) ([]oauth.Key, error) {
	if keys, ok := k[url]; ok {
		return keys, nil
	}
	return nil, errors.New("no route to host")
}

func newWorld(t *testing.T, consumers ...registry.Consumer) *world {
	t.Helper()
	w := &world{t, registry.NewMemory(), keySource{}}
	for _, api := range []registry.API{
		{Name: "orders", Type: registry.HTTP, BasePath: "/orders", Authentication: &registry.Authentication{Methods: []string{"jwt"}}},
		{Name: "open", Type: registry.HTTP, BasePath: "/open", Authentication: &registry.Authentication{Disabled: true}},
	} {
		w.set("api:"+api.Name, api)
	}
	for _, c := range consumers {
		w.add(c)
	}
	return w
}

func (w *world) set(field string, value any) {
	w.t.Helper()
	text, _ := json.Marshal(value)
	if err := w.store.Write(context.Background(), registry.Change{Set: map[string]string{field: string(text)}}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) add(c registry.Consumer) {
	w.t.Helper()
	text, _ := json.Marshal(c)
	err := w.store.Write(context.Background(), registry.Change{
		Set:  map[string]string{"claim:" + c.JWT.ClaimName(): "", "jwtplace:" + c.JWT.Place().String(): ""},
		Kind: registry.KindConsumer, Name: c.Name, Entry: &registry.Entry{Value: string(text)},
		Index: []string{registry.IndexJWT(c.JWT.ClaimName(), c.JWT.Value)},
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) decide(r *http.Request, api string) (auth.Decision, error) {
	w.t.Helper()
	gate := auth.New(w.keys, "https://gateway.example", clock)
	reader := registry.NewReader(w.store, nil, clock)
	var d auth.Decision
	err := reader.Consult(context.Background(), func(v registry.View) (registry.Result, error) {
		var err error
		d, err = gate.Decide(context.Background(), v, r, v.APIs[api])
		return d.Result(), err
	})
	return d, err
}

func request(headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/orders", nil)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return r
}

func shop(change ...func(*registry.Consumer)) registry.Consumer {
	c := registry.Consumer{
		Name:           "shop",
		JWT:            &registry.JWTCredential{JWKS: oct(sharedKey), Value: shopUID},
		Authorizations: []registry.Authorization{{API: "orders"}},
	}
	for _, f := range change {
		f(&c)
	}
	return c
}

// claims are those of a good token of the shop; a nil value removes one.
func claims(change map[string]any) map[string]any {
	c := map[string]any{"uid": shopUID, "iat": now.Unix(), "exp": now.Add(2 * time.Hour).Unix(), "nbf": now.Add(-time.Minute).Unix()}
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

func part(v any) string {
	text, _ := json.Marshal(v)
	return base64.RawURLEncoding.EncodeToString(text)
}

// hs256 signs with the shared key, header given.
func hs256(header, claims any) string {
	return sealed(part(header)+"."+part(claims), sharedKey)
}

func sealed(input, k string) string {
	key, _ := base64.RawURLEncoding.DecodeString(k)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

var hs = map[string]any{"alg": "HS256", "typ": "JWT"}

// V05: RFC 8725 §3.1. V06: RFC 8725 §2.1, §3.2. V10: RFC 9068 §4, RFC 8725 §3.11, where configured. V14: RFC 9068 §4, RFC 8725 §3.8. V15:
// RFC 9068 §4, RFC 8725 §3.9. V16: RFC 7519 §4.1.4. V17: RFC 7519 §4.1.5, §4.1.6. B01: RFC 6750 §2.1. B02: RFC 6750 §2. B04: RFC 6750 §3.1.
func TestV05ToV17B01B02B04Decide(t *testing.T) {
	t.Parallel()
	good := hs256(hs, claims(nil))
	other := func(c *registry.Consumer) { c.Authorizations = nil }
	tests := map[string]struct {
		consumer registry.Consumer
		request  *http.Request
		want     auth.Reason // "": allowed
		certain  bool
	}{
		"a good token":                             {shop(), request("Authorization: Bearer " + good), "", false},
		"B01 the scheme in another letter case":    {shop(), request("Authorization: bEARER " + good), "", false},
		"B04 no header":                            {shop(), request(), auth.JWTMissing, false},
		"B01 another scheme":                       {shop(), request("Authorization: Basic " + good), auth.JWTMissing, false},
		"B01 no prefix":                            {shop(), request("Authorization: " + good), auth.JWTMissing, false},
		"B01 two spaces":                           {shop(), request("Authorization: Bearer  " + good), auth.JWTInvalid, true},
		"B01 a tab for the space":                  {shop(), request("Authorization: Bearer\t" + good), auth.JWTMissing, false},
		"B01 something after the token":            {shop(), request("Authorization: Bearer " + good + " x"), auth.JWTInvalid, true},
		"B02 a list":                               {shop(), request("Authorization: Bearer " + good + ", Bearer " + good), auth.JWTInvalid, false},
		"B02 two headers":                          {shop(), request("Authorization: Bearer "+good, "Authorization: Bearer "+good), auth.JWTInvalid, false},
		"padding":                                  {shop(), request("Authorization: Bearer " + good + "="), auth.JWTInvalid, true},
		"another last character":                   {shop(), request("Authorization: Bearer " + good[:len(good)-1] + "_"), auth.JWTInvalid, true},
		"a changed signature":                      {shop(), request("Authorization: Bearer " + good[:len(good)-4] + "AAAA"), auth.JWTInvalid, false},
		"V16 expired":                              {shop(), request("Authorization: Bearer " + hs256(hs, claims(map[string]any{"exp": now.Add(-31 * time.Second).Unix()}))), auth.JWTExpired, false},
		"V16 expired within the skew":              {shop(), request("Authorization: Bearer " + hs256(hs, claims(map[string]any{"exp": now.Add(-29 * time.Second).Unix()}))), "", false},
		"expired and badly signed":                 {shop(), request("Authorization: Bearer " + sealed(part(hs)+"."+part(claims(map[string]any{"exp": 1})), strings.Repeat("A", 43))), auth.JWTInvalid, false},
		"V17 not yet valid":                        {shop(), request("Authorization: Bearer " + hs256(hs, claims(map[string]any{"nbf": now.Add(31 * time.Second).Unix()}))), auth.JWTInvalid, false},
		"V17 issued in the future":                 {shop(), request("Authorization: Bearer " + hs256(hs, claims(map[string]any{"iat": now.Add(31 * time.Second).Unix()}))), auth.JWTInvalid, false},
		"V16 no exp":                               {shop(), request("Authorization: Bearer " + hs256(hs, claims(map[string]any{"exp": nil}))), auth.JWTInvalid, true},
		"V16 exp as a string":                      {shop(), request("Authorization: Bearer " + hs256(hs, claims(map[string]any{"exp": "1900000000"}))), auth.JWTInvalid, true},
		"seven days after iat":                     {shop(), request("Authorization: Bearer " + hs256(hs, claims(map[string]any{"iat": now.Add(-time.Hour).Unix(), "exp": now.Add(7*24*time.Hour - time.Hour).Unix()}))), auth.JWTInvalid, false},
		"a second less":                            {shop(), request("Authorization: Bearer " + hs256(hs, claims(map[string]any{"iat": now.Add(-time.Hour).Unix(), "exp": now.Add(7*24*time.Hour - time.Hour - time.Second).Unix()}))), "", false},
		"seven days from now without iat":          {shop(), request("Authorization: Bearer " + hs256(hs, claims(map[string]any{"iat": nil, "exp": now.Add(7 * 24 * time.Hour).Unix()}))), auth.JWTInvalid, false},
		"a longer lifetime where configured":       {shop(func(c *registry.Consumer) { c.JWT.MaxLifetime = registry.Duration(2400 * 24 * time.Hour) }), request("Authorization: Bearer " + hs256(hs, claims(map[string]any{"exp": now.Add(2000 * 24 * time.Hour).Unix()}))), "", false},
		"nobody has the identifier":                {shop(), request("Authorization: Bearer " + hs256(hs, claims(map[string]any{"uid": "somebody"}))), auth.JWTInvalid, false},
		"the identifier as a number":               {shop(func(c *registry.Consumer) { c.JWT.Value = "7" }), request("Authorization: Bearer " + hs256(hs, claims(map[string]any{"uid": 7}))), auth.JWTInvalid, false},
		"no identifier":                            {shop(), request("Authorization: Bearer " + hs256(hs, claims(map[string]any{"uid": nil}))), auth.JWTInvalid, false},
		"a disabled consumer":                      {shop(func(c *registry.Consumer) { c.Status = registry.Disabled }), request("Authorization: Bearer " + good), auth.JWTInvalid, false},
		"not authorized":                           {shop(other), request("Authorization: Bearer " + good), auth.AccessDenied, false},
		"an authorization that has expired":        {shop(func(c *registry.Consumer) { c.Authorizations[0].ExpiresAt = &now }), request("Authorization: Bearer " + good), auth.AccessDenied, false},
		"V14 the configured issuer":                {shop(func(c *registry.Consumer) { c.JWT.Issuer = "abcd" }), request("Authorization: Bearer " + hs256(hs, claims(map[string]any{"iss": "abcd"}))), "", false},
		"V14 another issuer":                       {shop(func(c *registry.Consumer) { c.JWT.Issuer = "abcd" }), request("Authorization: Bearer " + hs256(hs, claims(map[string]any{"iss": "abcd/"}))), auth.JWTInvalid, false},
		"V14 no issuer where one is configured":    {shop(func(c *registry.Consumer) { c.JWT.Issuer = "abcd" }), request("Authorization: Bearer " + good), auth.JWTInvalid, false},
		"V15 one of the audiences":                 {shop(func(c *registry.Consumer) { c.JWT.Audience = registry.Strings{"a", "b"} }), request("Authorization: Bearer " + hs256(hs, claims(map[string]any{"aud": []string{"x", "b"}}))), "", false},
		"V15 none of the audiences":                {shop(func(c *registry.Consumer) { c.JWT.Audience = registry.Strings{"a", "b"} }), request("Authorization: Bearer " + hs256(hs, claims(map[string]any{"aud": []string{"x"}}))), auth.JWTInvalid, false},
		"V15 no audience where one is configured":  {shop(func(c *registry.Consumer) { c.JWT.Audience = registry.Strings{"a"} }), request("Authorization: Bearer " + good), auth.JWTInvalid, false},
		"V05 an algorithm that is not configured":  {shop(func(c *registry.Consumer) { c.JWT.Algorithms = []string{"RS256"} }), request("Authorization: Bearer " + good), auth.JWTInvalid, false},
		"V05 an algorithm that the key has not":    {shop(), request("Authorization: Bearer " + hs256(map[string]any{"alg": "HS512"}, claims(nil))), auth.JWTInvalid, false},
		"V06 alg none":                             {shop(), request("Authorization: Bearer " + hs256(map[string]any{"alg": "none"}, claims(nil))), auth.JWTInvalid, false},
		"V10 the configured typ":                   {shop(func(c *registry.Consumer) { c.JWT.Type = "at+jwt" }), request("Authorization: Bearer " + hs256(map[string]any{"alg": "HS256", "typ": "application/AT+JWT"}, claims(nil))), "", false},
		"V10 another typ":                          {shop(func(c *registry.Consumer) { c.JWT.Type = "at+jwt" }), request("Authorization: Bearer " + good), auth.JWTInvalid, false},
		"a scope claim matches by member":          {shop(func(c *registry.Consumer) { c.JWT.Claim, c.JWT.Value = "scope", "b" }), request("Authorization: Bearer " + hs256(hs, claims(map[string]any{"scope": "a b c"}))), "", false},
		"and by no part of one":                    {shop(func(c *registry.Consumer) { c.JWT.Claim, c.JWT.Value = "scope", "b" }), request("Authorization: Bearer " + hs256(hs, claims(map[string]any{"scope": "a bb c"}))), auth.JWTInvalid, false},
		"a scope that is an array":                 {shop(func(c *registry.Consumer) { c.JWT.Claim, c.JWT.Value = "scope", "b" }), request("Authorization: Bearer " + hs256(hs, claims(map[string]any{"scope": []string{"b"}}))), auth.JWTInvalid, false},
		"B08 a key set out of reach is no refusal": {shop(func(c *registry.Consumer) { c.JWT.JWKS, c.JWT.JWKSURL = "", "https://idp.example/jwks" }), request("Authorization: Bearer " + good), "failure", false},
		"a custom header and prefix":               {shop(func(c *registry.Consumer) { p := "Token "; c.JWT.Header, c.JWT.Prefix = "X-Token", &p }), request("X-Token: Token " + good), "", false},
		"a custom prefix is byte-exact":            {shop(func(c *registry.Consumer) { p := "Token "; c.JWT.Header, c.JWT.Prefix = "X-Token", &p }), request("X-Token: token " + good), auth.JWTMissing, false},
		"the default place where another is":       {shop(func(c *registry.Consumer) { p := "Token "; c.JWT.Header, c.JWT.Prefix = "X-Token", &p }), request("Authorization: Bearer " + good), auth.JWTMissing, false},
		"a cookie":                                 {shop(func(c *registry.Consumer) { c.JWT.Cookie = "session" }), request("Cookie: a=b; session=" + good), "", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := newWorld(t, tt.consumer).decide(tt.request, "orders")
			got := d.Reason
			if err != nil {
				got = "failure"
			}
			if got != tt.want || d.Allowed != (tt.want == "") || tt.certain && !d.Certain {
				t.Fatalf("reason %q, allowed %v, certain %v, err %v; want %q\n%v", got, d.Allowed, d.Certain, err, tt.want, d.Trace)
			}
			if len(d.Trace) == 0 {
				t.Error("no trace")
			}
		})
	}
}

// B03, RFC 6750 §2.3, RFC 9700 §4.3.2: a token in the query is one where a consumer is configured so; the default place is the header.
func TestB03TokensInTheQueryWhereConfigured(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop(func(c *registry.Consumer) { c.JWT.Query = "token" }))
	good := hs256(hs, claims(nil))
	for query, want := range map[string]auth.Reason{
		"token=" + good: "", "a=1&tok%65n=" + good: "", "": auth.JWTMissing, "token=": auth.JWTMissing,
		"token=" + good + "&token=" + good: auth.JWTInvalid,
	} {
		r := httptest.NewRequest(http.MethodGet, "/orders?"+query, nil)
		if d, err := w.decide(r, "orders"); err != nil || d.Reason != want {
			t.Errorf("%s: %q %v, want %q", query, d.Reason, err, want)
		}
	}
}

func TestOpenAPIAsksForNothing(t *testing.T) {
	t.Parallel()
	d, err := newWorld(t, shop()).decide(request("Authorization: Bearer nonsense"), "open")
	if err != nil || !d.Allowed || d.Consumer != nil {
		t.Fatalf("%+v %v", d, err)
	}
}

// Of several consumers that a token matches, those not authorized drop out; of the rest the one with most conditions wins.
func TestSeveralConsumersMatch(t *testing.T) {
	t.Parallel()
	scope := func(name string, change ...func(*registry.Consumer)) registry.Consumer {
		return shop(append([]func(*registry.Consumer){func(c *registry.Consumer) {
			c.Name, c.JWT.Claim, c.JWT.Value = name, "scope", "read"
		}}, change...)...)
	}
	strict := scope("zz-strict", func(c *registry.Consumer) { c.JWT.Issuer = "abcd" })
	wrongKey := scope("aa-other-key", func(c *registry.Consumer) { c.JWT.JWKS = oct(strings.Repeat("A", 43)) })
	unauthorized := scope("ab-unauthorized", func(c *registry.Consumer) { c.Authorizations = nil })
	w := newWorld(t, strict, wrongKey, unauthorized, scope("plain"), scope("plain-too"))
	token := hs256(hs, claims(map[string]any{"scope": "read", "iss": "abcd", "client_id": "c", "sub": "s"}))
	d, err := w.decide(request("Authorization: Bearer "+token), "orders")
	if err != nil || !d.Allowed || d.Consumer.Name != "zz-strict" || d.ClientID != "c" || d.Subject != "s" {
		t.Fatalf("%+v %v", d, err)
	}
	token = hs256(hs, claims(map[string]any{"scope": "read", "iss": "efgh"}))
	if d, _ := w.decide(request("Authorization: Bearer "+token), "orders"); d.Consumer == nil || d.Consumer.Name != "plain" {
		t.Fatalf("%+v", d)
	}
}

func TestClaimsToHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop(func(c *registry.Consumer) {
		c.JWT.ClaimsToHeaders = []registry.ClaimToHeader{{Claim: "sub", Header: "X-Sub"}, {Claim: "n", Header: "X-N"}, {Claim: "evil", Header: "X-Evil"}}
	}))
	token := hs256(hs, claims(map[string]any{"sub": "s", "n": 1, "evil": "a\r\nX-Admin: 1"}))
	d, err := w.decide(request("Authorization: Bearer "+token), "orders")
	want := []auth.Header{{Name: "X-Sub", Value: "s"}, {Name: "X-N"}, {Name: "X-Evil"}}
	if err != nil || !slices.Equal(d.Headers, want) {
		t.Fatalf("%+v %v", d.Headers, err)
	}
}

// V05, RFC 8725 §3.1; V06, RFC 8725 §2.1, §3.2: all thirteen algorithms verify; none verifies under a key of another kind, nor with a public key used as a shared one.
func TestV05V06ThirteenAlgorithms(t *testing.T) {
	t.Parallel()
	private := privateKeys(t)
	for _, alg := range oauth.Algorithms {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, shop(func(c *registry.Consumer) { c.JWT.JWKS = publicOf(t, private[alg]) }))
			token := signed(t, alg, private[alg], claims(nil))
			if d, err := w.decide(request("Authorization: Bearer "+token), "orders"); err != nil || !d.Allowed {
				t.Fatalf("%v %v", d.Trace, err)
			}
			for _, other := range oauth.Algorithms {
				if other == alg {
					continue
				}
				first, rest, _ := strings.Cut(token, ".")
				_ = first
				forged := part(map[string]any{"alg": other}) + "." + rest
				if d, _ := w.decide(request("Authorization: Bearer "+forged), "orders"); d.Reason != auth.JWTInvalid {
					t.Errorf("header %s over a signature of %s: %q", other, alg, d.Reason)
				}
			}
			if public, isPublic := private[alg].(crypto.Signer); isPublic {
				text, _ := json.Marshal(must(jwk.FromRaw(public.Public())))
				k := base64.RawURLEncoding.EncodeToString(text)
				confused := sealed(part(hs)+"."+part(claims(nil)), k)
				if d, _ := w.decide(request("Authorization: Bearer "+confused), "orders"); d.Reason != auth.JWTInvalid {
					t.Errorf("HMAC with the public key: %q", d.Reason)
				}
			}
		})
	}
}

// V13, RFC 7518 §3.5: the salt is as long as the hash.
func TestV13PSSSaltLengthIsTheHashes(t *testing.T) {
	t.Parallel()
	key := privateKeys(t)["PS256"].(*rsa.PrivateKey)
	w := newWorld(t, shop(func(c *registry.Consumer) { c.JWT.JWKS = publicOf(t, key) }))
	for salt, want := range map[int]auth.Reason{32: "", 20: auth.JWTInvalid, 0: auth.JWTInvalid} {
		input := part(map[string]any{"alg": "PS256"}) + "." + part(claims(nil))
		sum := sha256.Sum256([]byte(input))
		option := &rsa.PSSOptions{SaltLength: salt}
		if salt == 0 {
			option.SaltLength = 64
		}
		signature, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], option)
		if err != nil {
			t.Fatal(err)
		}
		token := input + "." + base64.RawURLEncoding.EncodeToString(signature)
		if d, _ := w.decide(request("Authorization: Bearer "+token), "orders"); d.Reason != want {
			t.Errorf("salt of %d bytes: %q, want %q", salt, d.Reason, want)
		}
	}
}

func privateKeys(t *testing.T) map[string]any {
	t.Helper()
	r := must(rsa.GenerateKey(rand.Reader, 2048))
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	secret := make([]byte, 64)
	_, _ = rand.Read(secret)
	return map[string]any{
		"RS256": r, "RS384": r, "RS512": r, "PS256": r, "PS384": r, "PS512": r,
		"ES256": must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
		"ES384": must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
		"ES512": must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)),
		"EdDSA": ed, "HS256": secret, "HS384": secret, "HS512": secret,
	}
}

func publicOf(t *testing.T, private any) registry.Secret {
	t.Helper()
	key := must(jwk.FromRaw(private))
	if _, symmetric := private.([]byte); !symmetric {
		key = must(key.PublicKey())
	}
	text, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	return registry.Secret(text)
}

func signed(t *testing.T, alg string, key any, claims any) string {
	t.Helper()
	text, _ := json.Marshal(claims)
	token, err := jws.Sign(text, jws.WithKey(jwa.SignatureAlgorithm(alg), key))
	if err != nil {
		t.Fatal(err)
	}
	return string(token)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// V21, RFC 6750 §3.1: every reason has its place in the table, and the table's sentences are the document's.
func TestV21EveryReasonHasARefusal(t *testing.T) {
	t.Parallel()
	for _, reason := range auth.Reasons {
		f := reason.Refusal()
		if f.Status != 401 && f.Status != 403 && f.Status != 413 || f.Message == "" || f.Code == "internal" {
			t.Errorf("%s: %+v", reason, f)
		}
		d := auth.Decision{Reason: reason, API: &registry.API{Name: "a"}}
		if (f.Status == 401 || reason == auth.InsufficientScope) != (d.Challenge() != "") {
			t.Errorf("%s: challenge %q", reason, d.Challenge())
		}
	}
	if auth.Reason("unheard of").Refusal().Status != 500 {
		t.Error("an unknown reason is a failure of ours")
	}
}

// B04, B05, RFC 6750 §3.1: who sent nothing is told no error, and who sent a bad token is.
func TestB04B05ChallengeNamesABadTokenOnly(t *testing.T) {
	t.Parallel()
	d := auth.Decision{Reason: auth.JWTMissing, API: &registry.API{Name: "orders"}}
	if got := d.Challenge(); got != `Bearer realm="orders"` {
		t.Error(got)
	}
	d = auth.Decision{Reason: auth.JWTInvalid, Sent: true, API: &registry.API{Name: "orders"}}
	if got := d.Challenge(); got != `Bearer realm="orders", error="invalid_token"` {
		t.Error(got)
	}
}

func ExampleDecision() {
	fmt.Println(auth.JWTExpired.Refusal().Message)
	// Output: JWT expired
}
