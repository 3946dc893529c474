package tests

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf16"
)

// forgeryConfig has one victim for each kind of key and place where keys stand. @GONE@ is a key that is withdrawn later.
const forgeryConfig = `
version: 1
instances:
  - id: acme
    description: Machines of Acme
    privacy_agreement: accepted
    resource_servers: [{identifier: urn:models, name: Models, scopes: [{value: invoke, name: Invoke}]}]
    clients: [{id: caller, name: Caller, secrets: [{id: s1, value: "${CLIENT_SECRET}"}], permissions: [{resource_server: "urn:models", scopes: [invoke]}]}]
  - id: other
    description: Machines of somebody else
    privacy_agreement: accepted
    resource_servers: [{identifier: urn:models, name: Models, scopes: [{value: invoke, name: Invoke}]}]
    clients: [{id: caller, name: Caller, secrets: [{id: s1, value: "${CLIENT_SECRET}"}], permissions: [{resource_server: "urn:models", scopes: [invoke]}]}]
domains: [{name: default, daily_call_limit: 0}]
upstreams: [{name: backend, protocol: http, base_url: "${UPSTREAM}"}]
apis: [{name: vault, type: http, base_path: /vault, authentication: {methods: [jwt]}, upstreams: [{upstream: backend}]}]
consumers:
  - {name: hs, jwt: {jwks: "${OCT}", value: hs}, authorizations: [{api: vault}]}
  - {name: es, jwt: {jwks: "${EC}", value: es, issuer: "https://a.example", audience: vault}, authorizations: [{api: vault}]}
  - {name: rs, jwt: {jwks: "${RSA}", value: rs}, authorizations: [{api: vault}]}
  - {name: pinned, jwt: {jwks: "${RSA}", value: pinned, algorithms: [RS256]}, authorizations: [{api: vault}]}
  - {name: typed, jwt: {jwks: "${EC}", value: typed, typ: at+jwt}, authorizations: [{api: vault}]}
  - {name: ed, jwt: {jwks: "${ED}", value: ed}, authorizations: [{api: vault}]}
  - {name: url, jwt: {jwks_url: "${ISSUER}/jwks", value: url, issuer: "https://b.example"}, authorizations: [{api: vault}]}
  - {name: own, jwt: {jwks_url: "${KEYLESS_PUBLIC_URL}/acme/oauth2/jwks", claim: scope, value: invoke}, authorizations: [{api: vault}]}
`

// gone is the kid of the key that is withdrawn before the forgeries begin.
const gone = "gone"

// forge is what the forgeries are made of.
type forge struct {
	honest, thief hand
	trap          string // a URL that nobody may ever fetch
	foreign       string // a token of the instance other, for the same client and scope
	retired       string // a token of a key that its set has no more
}

func (f forge) claims(name string) claims {
	all := claims{"uid": name, "exp": in(time.Hour), "iat": in(0)}
	switch name {
	case "es":
		return all.with(claims{"iss": "https://a.example", "aud": "vault"})
	case "url":
		return all.with(claims{"iss": "https://b.example"})
	}
	return all
}

// es is a token of the victim by the name es, its claims changed, honestly signed.
func (f forge) es(changed claims) string {
	return compact(`{"alg":"ES256","kid":"e1"}`, f.claims("es").with(changed).json(), es(crypto.SHA256, f.honest.ec))
}

// raw is a token of es with header and payload as given, honestly signed.
func (f forge) raw(header, payload string) string {
	return compact(header, payload, es(crypto.SHA256, f.honest.ec))
}

func (f forge) hs(header, payload string) string {
	return compact(header, payload, hs256(f.honest.oct))
}

func (f forge) honestTokens() map[string]string {
	c := func(name string) string { return f.claims(name).json() }
	return map[string]string{
		"hs":     f.hs(`{"alg":"HS256","kid":"o1"}`, c("hs")),
		"es":     f.es(nil),
		"rs":     compact(`{"alg":"RS256","kid":"r1"}`, c("rs"), rs(crypto.SHA256, f.honest.rsa)),
		"pinned": compact(`{"alg":"RS256","kid":"r1"}`, c("pinned"), rs(crypto.SHA256, f.honest.rsa)),
		"typed":  f.raw(`{"alg":"ES256","kid":"e1","typ":"at+jwt"}`, c("typed")),
		"ed":     compact(`{"alg":"EdDSA","kid":"d1"}`, c("ed"), ed(f.honest.ed)),
		"url":    compact(`{"alg":"RS256","kid":"u1"}`, c("url"), rs(crypto.SHA256, f.thief.rsa)),
	}
}

// byNone are tokens without a signature, and with that of nobody.
func (f forge) byNone() map[string]string {
	c, all := f.claims("es").json(), map[string]string{}
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "", "null", "NONE "} {
		header := fmt.Sprintf(`{"alg":%q,"kid":"e1"}`, alg)
		empty := b64([]byte(header)) + "." + b64([]byte(c)) + "."
		all["alg "+alg+", no signature"] = empty
		all["alg "+alg+", a signature"] = f.raw(header, c)
		all["alg "+alg+", a zero"] = empty + "AA"
	}
	whole := f.es(nil)
	body := whole[:strings.LastIndexByte(whole, '.')]
	all["no signature at all"] = body + "."
	all["two parts"] = body
	all["a signature of zeros"] = body + "." + b64(make([]byte, 64))
	all["half a signature"] = body + "." + b64(make([]byte, 32))
	all["header without alg"] = f.raw(`{"kid":"e1"}`, c)
	all["alg null"] = f.raw(`{"alg":null,"kid":"e1"}`, c)
	all["alg a list"] = f.raw(`{"alg":["ES256"],"kid":"e1"}`, c)
	all["alg in lower case"] = f.raw(`{"alg":"es256","kid":"e1"}`, c)
	return all
}

// byConfusion take one algorithm for another, or a public key for a secret.
func (f forge) byConfusion(t *testing.T) map[string]string {
	rsaClaims, esClaims, all := f.claims("rs").json(), f.claims("es").json(), map[string]string{}
	for kind, public := range map[string]any{"RSA": &f.honest.rsa.PublicKey, "EC": &f.honest.ec.PublicKey} {
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		jwk, claims, kid := rsaJWK(&f.honest.rsa.PublicKey, "r1"), rsaClaims, "r1"
		if kind == "EC" {
			jwk, claims, kid = ecJWK(&f.honest.ec.PublicKey, "e1"), esClaims, "e1"
		}
		for form, key := range map[string][]byte{
			"DER": der, "PEM": text, "PEM without its last line end": bytes.TrimSpace(text), "JWK": []byte(jwk), "JWK Set": []byte(jwkSet(jwk)),
		} {
			all["HS256 by the "+kind+" key as "+form] = compact(`{"alg":"HS256","kid":"`+kid+`"}`, claims, hs256(key))
		}
		all["HS512 by the "+kind+" key"] = compact(`{"alg":"HS512"}`, claims, hs(sha512.New, der))
	}
	all["HS256 by the modulus"] = compact(`{"alg":"HS256","kid":"r1"}`, rsaClaims, hs256(f.honest.rsa.N.Bytes()))
	all["HS256 by an empty secret"] = compact(`{"alg":"HS256"}`, f.claims("hs").json(), hs256(nil))
	all["RS256 for an EC key"] = compact(`{"alg":"RS256","kid":"e1"}`, esClaims, rs(crypto.SHA256, f.honest.rsa))
	all["ES256 for an RSA key"] = compact(`{"alg":"ES256","kid":"r1"}`, rsaClaims, es(crypto.SHA256, f.honest.ec))
	all["ES384 said of ES256"] = f.raw(`{"alg":"ES384","kid":"e1"}`, esClaims)
	all["ES512 said of ES256"] = f.raw(`{"alg":"ES512","kid":"e1"}`, esClaims)
	all["RS256 said of RS512"] = compact(`{"alg":"RS256","kid":"r1"}`, rsaClaims, rs(crypto.SHA512, f.honest.rsa))
	all["PS256 said of RS256"] = compact(`{"alg":"PS256","kid":"r1"}`, rsaClaims, rs(crypto.SHA256, f.honest.rsa))
	all["RS256 said of PS256"] = compact(`{"alg":"RS256","kid":"r1"}`, rsaClaims, ps(crypto.SHA256, 32, f.honest.rsa))
	all["PS256 where RS256 is pinned"] = compact(`{"alg":"PS256","kid":"r1"}`, f.claims("pinned").json(), ps(crypto.SHA256, 32, f.honest.rsa))
	all["EdDSA for an EC key"] = compact(`{"alg":"EdDSA","kid":"e1"}`, esClaims, ed(f.honest.ed))
	for _, salt := range []int{1, 20, 31, 33, 48, 64} {
		all[fmt.Sprintf("PS256, salt of %d", salt)] = compact(`{"alg":"PS256","kid":"r1"}`, rsaClaims, ps(crypto.SHA256, salt, f.honest.rsa))
	}
	sum := sha256.Sum256([]byte(b64([]byte(`{"alg":"ES256","kid":"e1"}`)) + "." + b64([]byte(esClaims))))
	der, err := ecdsa.SignASN1(rand.Reader, f.honest.ec, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	all["ES256 in DER"] = compact(`{"alg":"ES256","kid":"e1"}`, esClaims, func([]byte) []byte { return der })
	return all
}

// byHeader point to a key, or say what a reader might act on.
func (f forge) byHeader() map[string]string {
	c, all := f.claims("es").json(), map[string]string{}
	stolen := func(header string) string { return compact(header, c, es(crypto.SHA256, f.thief.ec)) }
	thief := ecJWK(&f.thief.ec.PublicKey, "e1")
	certificate := base64.StdEncoding.EncodeToString([]byte("no certificate"))
	for name, header := range map[string]string{
		"jku":           `{"alg":"ES256","kid":"e1","jku":"` + f.trap + `"}`,
		"x5u":           `{"alg":"ES256","kid":"e1","x5u":"` + f.trap + `"}`,
		"jwk":           `{"alg":"ES256","kid":"e1","jwk":` + thief + `}`,
		"x5c":           `{"alg":"ES256","kid":"e1","x5c":["` + certificate + `"]}`,
		"x5t":           `{"alg":"ES256","kid":"e1","x5t":"AAAA"}`,
		"kid of a path": `{"alg":"ES256","kid":"../../../../dev/null"}`,
		"kid of a URL":  `{"alg":"ES256","kid":"` + f.trap + `"}`,
		"kid of SQL":    `{"alg":"ES256","kid":"e1' UNION SELECT 'x"}`,
		"kid of Redis":  `{"alg":"ES256","kid":"e1\r\nFLUSHALL\r\n"}`,
	} {
		all[name+", another's key"] = stolen(header)
		if name != "x5t" {
			all[name+", our own key"] = f.raw(header, c)
		}
	}
	for name, header := range map[string]string{
		"crit unknown":            `{"alg":"ES256","kid":"e1","crit":["exp"],"exp":1}`,
		"crit empty":              `{"alg":"ES256","kid":"e1","crit":[]}`,
		"crit of an absent name":  `{"alg":"ES256","kid":"e1","crit":["x"]}`,
		"b64 false":               `{"alg":"ES256","kid":"e1","b64":false}`,
		"b64 false, crit":         `{"alg":"ES256","kid":"e1","b64":false,"crit":["b64"]}`,
		"zip":                     `{"alg":"ES256","kid":"e1","zip":"DEF"}`,
		"enc":                     `{"alg":"ES256","kid":"e1","enc":"A128GCM"}`,
		"cty of something else":   `{"alg":"ES256","kid":"e1","cty":"text"}`,
		"alg twice":               `{"alg":"none","alg":"ES256","kid":"e1"}`,
		"alg twice, escaped":      `{"alg":"ES256","\u0061lg":"none","kid":"e1"}`,
		"kid twice":               `{"alg":"ES256","kid":"e2","kid":"e1"}`,
		"kid a number":            `{"alg":"ES256","kid":1}`,
		"header a list":           `["ES256"]`,
		"header a text":           `"ES256"`,
		"header and more":         `{"alg":"ES256","kid":"e1"}{}`,
		"header with a BOM":       "\ufeff" + `{"alg":"ES256","kid":"e1"}`,
		"header in UTF-16":        utf16Text(`{"alg":"ES256","kid":"e1"}`),
		"header with a null byte": `{"alg":"ES256","kid":"e1"}` + "\x00",
		"kid with a null":         `{"alg":"ES256","kid":"e1\u0000"}`,
		"header of bad UTF-8":     `{"alg":"ES256","kid":"e1` + "\xff" + `"}`,
		"Alg with a capital":      `{"Alg":"ES256","kid":"e1"}`,
	} {
		all[name] = f.raw(header, c)
	}
	all["typ missing where one is configured"] = f.raw(`{"alg":"ES256","kid":"e1"}`, f.claims("typed").json())
	all["typ of another kind"] = f.raw(`{"alg":"ES256","kid":"e1","typ":"logout+jwt"}`, f.claims("typed").json())
	return all
}

// byClaims are honestly signed, and say what must not pass.
func (f forge) byClaims() map[string]string {
	all := map[string]string{
		"no exp":               f.es(claims{"exp": nil}),
		"exp a text":           f.es(claims{"exp": fmt.Sprint(in(time.Hour))}),
		"exp negative":         f.es(claims{"exp": -1}),
		"exp a list":           f.es(claims{"exp": []int64{in(time.Hour)}}),
		"exp true":             f.es(claims{"exp": true}),
		"exp far":              f.es(claims{"exp": in(10 * 365 * 24 * time.Hour)}),
		"exp beyond 2^53":      f.es(claims{"exp": uint64(1) << 60}),
		"nbf ahead":            f.es(claims{"nbf": in(time.Hour)}),
		"nbf a text":           f.es(claims{"nbf": "0"}),
		"iat ahead":            f.es(claims{"iat": in(time.Hour)}),
		"iat a text":           f.es(claims{"iat": "now"}),
		"iss of another":       f.es(claims{"iss": "https://b.example"}),
		"iss a list":           f.es(claims{"iss": []string{"https://a.example"}}),
		"no iss":               f.es(claims{"iss": nil}),
		"iss with a slash":     f.es(claims{"iss": "https://a.example/"}),
		"aud of another":       f.es(claims{"aud": "treasury"}),
		"aud a list of others": f.es(claims{"aud": []string{"treasury", "Vault"}}),
		"aud empty":            f.es(claims{"aud": ""}),
		"aud an empty list":    f.es(claims{"aud": []string{}}),
		"aud with a number":    f.es(claims{"aud": []any{"vault", 1}}),
		"aud an object":        f.es(claims{"aud": map[string]string{"vault": "vault"}}),
		"no aud":               f.es(claims{"aud": nil}),
		"uid a number":         f.es(claims{"uid": 1}),
		"uid a list":           f.es(claims{"uid": []string{"es"}}),
		"uid in other case":    f.es(claims{"uid": "ES"}),
		"uid of a glob":        f.es(claims{"uid": "*"}),
		"no uid":               f.es(claims{"uid": nil}),
		"sub an object":        f.es(claims{"sub": map[string]string{}}),
		"scope a list":         f.es(claims{"uid": nil, "scope": []string{"invoke"}}),
		"of another's uid":     f.es(claims{"uid": "hs"}),
	}
	c := f.claims("es").json()
	for name, payload := range map[string]string{
		"uid twice":             `{"uid":"hs",` + c[1:],
		"uid twice, escaped":    `{"\u0075id":"hs",` + c[1:],
		"exp twice":             `{"exp":1,` + c[1:],
		"twice within":          `{"x":{"a":1,"a":2},` + c[1:],
		"exp with an exponent":  strings.Replace(c, `"exp":`, `"exp":1e999,"y":`, 1),
		"exp not a number":      strings.Replace(c, `"exp":`, `"exp":NaN,"y":`, 1),
		"claims a list":         `[` + c + `]`,
		"claims and more":       c + `{}`,
		"claims empty":          `{}`,
		"claims null":           `null`,
		"claims with a BOM":     "\ufeff" + c,
		"claims in UTF-16":      utf16Text(c),
		"claims of bad UTF-8":   strings.Replace(c, "vault", "vault\xff", 1),
		"claims after a null":   "\x00" + c,
		"claims with a comment": c + "//",
		"claims very deep":      `{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `,` + c[1:],
		"a token within":        f.es(nil),
		"a token within a text": `"` + f.es(nil) + `"`,
		"Exp with a capital":    strings.Replace(c, `"exp"`, `"Exp"`, 1),
	} {
		all[name] = f.raw(`{"alg":"ES256","kid":"e1"}`, payload)
	}
	all["cty JWT and a token within"] = f.raw(`{"alg":"ES256","kid":"e1","cty":"JWT"}`, f.es(nil))
	return all
}

func utf16Text(s string) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(s)) {
		b.Write([]byte{byte(unit >> 8), byte(unit)})
	}
	return b.String()
}

// byForm are honest tokens in a form that is not theirs.
func (f forge) byForm() map[string]string {
	whole := f.es(nil)
	parts := strings.Split(whole, ".")
	header, payload, signature := parts[0], parts[1], parts[2]
	std := base64.StdEncoding
	decoded, _ := base64.RawURLEncoding.DecodeString(signature)
	long := claims{"pad": strings.Repeat("x", 8<<10)}
	all := map[string]string{
		"four parts":               whole + "." + signature,
		"five parts":               whole + ".AAAA.AAAA",
		"six parts":                whole + "." + whole,
		"a dot before":             "." + whole,
		"a dot after":              whole + ".",
		"only dots":                "..",
		"padding":                  whole + "==",
		"padding in the header":    header + "=." + payload + "." + signature,
		"padding escaped":          whole + "%3D%3D",
		"the standard alphabet":    header + "." + payload + "." + std.EncodeToString(append(decoded[:63:63], 0xff)),
		"a space within":           header + ". " + payload + "." + signature,
		"a tab within":             header + "." + payload + ".\t" + signature,
		"a space before":           " " + whole,
		"a comma after":            whole + ",",
		"a line's end escaped":     whole + "%0A",
		"the last character":       malleable(whole),
		"the header's last":        malleable(header) + "." + payload + "." + signature,
		"a byte after":             header + "." + payload + "." + b64(append(decoded[:64:64], 0)),
		"truncated by one":         whole[:len(whole)-1],
		"truncated by a lot":       whole[:len(whole)-20],
		"the JSON form":            `{"payload":"` + payload + `","protected":"` + header + `","signature":"` + signature + `"}`,
		"the general JSON form":    `{"payload":"` + payload + `","signatures":[{"protected":"` + header + `","signature":"` + signature + `"}]}`,
		"in quotes":                `"` + whole + `"`,
		"Bearer twice":             "Bearer " + whole,
		"more than 8 KiB":          f.es(long),
		"nothing like a token":     "nonsense",
		"no base64url":             "a!b.c!d.e!f",
		"text outside ASCII":       header + "." + payload + ".ünïcode",
		"its own payload as other": header + "." + b64([]byte(`{"uid":"hs"}`)) + "." + signature,
		"the header of another":    b64([]byte(`{"alg":"ES256"}`)) + "." + payload + "." + signature,
	}
	return all
}

// malleable sets a bit after the last whole byte, which a lax decoder drops.
func malleable(part string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, part[len(part)-1])
	return part[:len(part)-1] + string(alphabet[last^1])
}

// byKey are well made, by a key that is not the victim's.
func (f forge) byKey() map[string]string {
	c := f.claims("es").json()
	return map[string]string{
		"another's key of the kind":      compact(`{"alg":"ES256","kid":"e1"}`, c, es(crypto.SHA256, f.thief.ec)),
		"without kid":                    compact(`{"alg":"ES256"}`, c, es(crypto.SHA256, f.thief.ec)),
		"our key for another consumer":   compact(`{"alg":"HS256","kid":"o1"}`, c, hs256(f.honest.oct)),
		"another issuer's key, our iss":  compact(`{"alg":"RS256","kid":"u1"}`, c, rs(crypto.SHA256, f.thief.rsa)),
		"our key, another issuer's iss":  compact(`{"alg":"RS256","kid":"r1"}`, f.claims("url").json(), rs(crypto.SHA256, f.honest.rsa)),
		"another instance's key":         f.foreign,
		"a key that its set has no more": f.retired,
		"a shared secret of another":     compact(`{"alg":"HS256","kid":"o1"}`, f.claims("hs").json(), hs256(f.thief.oct)),
		"an RSA key of another":          compact(`{"alg":"RS256","kid":"r1"}`, f.claims("rs").json(), rs(crypto.SHA256, f.thief.rsa)),
		"an Ed25519 key of another":      compact(`{"alg":"EdDSA","kid":"d1"}`, f.claims("ed").json(), ed(f.thief.ed)),
		"a kid that the URL lacks":       compact(`{"alg":"RS256","kid":"u9"}`, f.claims("url").json(), rs(crypto.SHA256, f.thief.rsa)),
	}
}

// V21, RFC 6750 §3.1: every forgery is refused alike, by the proxy with one body and by the authorizer as unproven, and no byte of it reaches an upstream.
func TestV21ForgedTokensAreRefusedAlike(t *testing.T) {
	redis, u := redisServer(t), newUpstream(t)
	honest, thief := keysOf(t)
	f := forge{honest: honest, thief: thief}
	var trapped atomic.Int64
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { trapped.Add(1) }))
	defer trap.Close()
	f.trap = trap.URL + "/keys"
	foreign := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, jwkSet(rsaJWK(&thief.rsa.PublicKey, "u1")))
	}))
	defer foreign.Close()
	apply := func(ecKeys ...string) {
		t.Helper()
		configure(t, redis, forgeryConfig, "UPSTREAM="+u.URL, "CLIENT_SECRET="+secretOf,
			"ISSUER="+foreign.URL, "OCT="+octJWK(honest.oct, "o1"), "EC="+jwkSet(ecKeys...),
			"RSA="+rsaJWK(&honest.rsa.PublicKey, "r1"), "ED="+edJWK(edPublic(honest.ed), "d1"))
	}
	main := ecJWK(&honest.ec.PublicKey, "e1")
	apply(main, ecJWK(&honest.other.PublicKey, gone))
	doors := openVerdicts(t, deployment(redis), u)
	issuer := function(t, "token", deployment(redis))
	send := func(token string) call { return get("/vault", bearer(token)) }

	f.retired = compact(`{"alg":"ES256","kid":"`+gone+`"}`, f.claims("es").json(), es(crypto.SHA256, honest.other))
	if v, a := doors.tcp(t, send(f.retired)); v.status != 200 {
		t.Fatalf("before its key is withdrawn: %+v %s", v, a.Body)
	}
	apply(main)
	if v, a := doors.tcp(t, send(f.retired)); v.status != 401 {
		t.Fatalf("on the next request after its key was withdrawn: %+v %s", v, a.Body)
	}
	own := mintAt(t, issuer, "acme")
	f.foreign = mintAt(t, issuer, "other")

	honestly := func() {
		t.Helper()
		tokens := f.honestTokens()
		tokens["own"] = own
		for name, token := range tokens {
			before := u.count()
			if v, a := doors.tcp(t, send(token)); v.status != 200 || v.consumer != name || u.count() != before+1 {
				t.Fatalf("the honest token of %s: %+v %s", name, v, a.Body)
			}
			if v := doors.version2(t, send(token)); v.outcome != allowedTo || v.consumer != name {
				t.Fatalf("the honest token of %s at the authorizer: %+v", name, v)
			}
		}
	}
	honestly()
	served, forged, body := u.count(), 0, ""
	for kind, tokens := range map[string]map[string]string{
		"none": f.byNone(), "confusion": f.byConfusion(t), "header": f.byHeader(), "claims": f.byClaims(), "form": f.byForm(), "key": f.byKey(),
	} {
		for name, token := range tokens {
			forged++
			c := send(token)
			v, a := doors.tcp(t, c)
			if body == "" {
				body = same(a.Body)
			}
			if v.status != 401 || same(a.Body) != body || v.challenge != `Bearer realm="vault", error="invalid_token"` {
				t.Errorf("%s, %s: %d %s", kind, name, a.Status, a.Body)
			}
			if v, _ := doors.token(t, c); v.outcome != unproven {
				t.Errorf("%s, %s: TOKEN says %+v", kind, name, v)
			}
			if v := doors.version2(t, c); v.outcome == allowedTo || v.code != "jwt_verification_failed" || v.consumer != "" {
				t.Errorf("%s, %s: 2.0 says %+v", kind, name, v)
			}
		}
	}
	if want := `{"type":"about:blank","title":"Unauthorized","status":401,"detail":"JWT verification fails","code":"jwt_verification_failed",` +
		`"request_id":"*"}`; body != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
	if u.count() != served {
		t.Errorf("the upstream saw %d forged calls", u.count()-served)
	}
	if trapped.Load() != 0 {
		t.Errorf("a URL in a token was fetched %d times", trapped.Load())
	}
	if forged < 80 {
		t.Errorf("only %d forgeries", forged)
	}
	t.Logf("%d forgeries", forged)
	honestly()
}

func mintAt(t *testing.T, base, instance string) string {
	t.Helper()
	a := ask(t, http.MethodPost, base+"/"+instance+"/oauth2/token", []string{
		"Content-Type: application/x-www-form-urlencoded", "Authorization: " + basic("caller", secretOf)}, "grant_type=client_credentials")
	_, token, _ := strings.Cut(a.Body, `"access_token":"`)
	token, _, _ = strings.Cut(token, `"`)
	if token == "" {
		t.Fatalf("no token of %s: %d %s", instance, a.Status, a.Body)
	}
	return token
}
