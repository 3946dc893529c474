package tests

import (
	"crypto"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// gateConfig has an API for each way to ask who calls, and a consumer for each way to prove it.
const gateConfig = `
version: 1
domains:
  - {name: default, daily_call_limit: 0}
  - {name: ai.acme.example}
  - {name: "*.acme.example"}
upstreams:
  - {name: backend, protocol: http, base_url: "${UPSTREAM}"}
  - {name: model, protocol: openai, base_url: "${UPSTREAM}/v1", api_keys: ["${PROVIDER_KEY}"]}
  - {name: tools, protocol: mcp, base_url: "${UPSTREAM}/mcp"}
apis:
  - {name: tokens, type: http, base_path: /tokens, authentication: {methods: [jwt]}, upstreams: [{upstream: backend}]}
  - {name: keys, type: http, base_path: /keys, authentication: {methods: [api_key]}, upstreams: [{upstream: backend}]}
  - {name: signed, type: http, base_path: /signed, authentication: {methods: [hmac]}, upstreams: [{upstream: backend}]}
  - {name: own, type: http, base_path: /own, authentication: {methods: [hmac]}}
  - {name: any, type: http, base_path: /any, upstreams: [{upstream: backend}]}
  - {name: keyfirst, type: http, base_path: /keyfirst, authentication: {methods: [api_key, jwt]}, upstreams: [{upstream: backend}]}
  - {name: models, type: llm, base_path: /v1, strip_base_path: true, upstreams: [{upstream: model}]}
  - {name: tools, type: mcp, base_path: /mcp, upstreams: [{upstream: tools}]}
  - {name: nobody, type: http, base_path: /nobody, upstreams: [{upstream: backend}]}
  - {name: within, type: http, base_path: /tokens/inner, authentication: {methods: [jwt]}, upstreams: [{upstream: backend}]}
  - {name: draft, type: http, base_path: /draft, status: draft, upstreams: [{upstream: backend}]}
  - {name: open, type: http, base_path: /open, authentication: disabled, upstreams: [{upstream: backend}]}
  - {name: elsewhere, type: http, base_path: /elsewhere, authentication: disabled, domains: [ai.acme.example], upstreams: [{upstream: backend}]}
consumers:
  - name: alice
    jwt: {jwks: "${OCT}", value: alice}
    authorizations: [{api: tokens}, {api: any}, {api: keyfirst}, {api: models}, {api: tools}]
  - name: bob
    status: disabled
    jwt: {jwks: "${OCT}", value: bob}
    authorizations: [{api: tokens}, {api: any}]
  - {name: carol, jwt: {jwks: "${OCT}", value: carol}, authorizations: [{api: within}]}
  - {name: late, jwt: {jwks: "${OCT}", value: late}, authorizations: [{api: tokens, expires_at: 2020-01-01T00:00:00Z}]}
  - {name: soon, jwt: {jwks: "${OCT}", value: soon}, authorizations: [{api: tokens, expires_at: 2099-01-01T00:00:00Z}]}
  - name: strict
    jwt: {jwks: "${EC}", value: strict, issuer: "https://issuer.example", audience: [ours, theirs], typ: at+jwt, max_lifetime: 2h, skew: 0s}
    authorizations: [{api: tokens}]
  - name: rsa
    jwt: {jwks: "${RSA}", claim: sub, value: "a b|c/d?ü", algorithms: [RS256, PS256]}
    authorizations: [{api: tokens}]
  - {name: edward, jwt: {jwks: "${ED}", value: edward}, authorizations: [{api: tokens}]}
  - {name: header, jwt: {jwks: "${OCT}", value: header, header: X-Token, prefix: "Token "}, authorizations: [{api: tokens}]}
  - {name: query, jwt: {jwks: "${OCT}", value: query, query: access_token}, authorizations: [{api: tokens}]}
  - {name: cookie, jwt: {jwks: "${OCT}", value: cookie, cookie: session}, authorizations: [{api: tokens}]}
  - {name: scoped, jwt: {jwks: "${OCT}", claim: scope, value: model.invoke}, authorizations: [{api: tokens}]}
  - name: scoped-issuer
    jwt: {jwks: "${OCT}", claim: scope, value: model.invoke, issuer: "https://issuer.example"}
    authorizations: [{api: tokens}]
  - name: key
    api_key:
      keys:
        - {id: k1, value: "${KEY}-1"}
        - {id: k2, value: "${KEY}-2"}
        - {id: k3, value: "${KEY}-off", status: disabled}
        - {id: k4, value: "${KEY}-old", expires_at: 2020-01-01T00:00:00Z}
        - {id: k5, value: "${KEY}.with.dots"}
    authorizations: [{api: keys}, {api: any}, {api: keyfirst}, {api: models}]
  - name: key-header
    api_key: {source: {header: x-api-key}, keys: [{id: k1, value: "${KEY}-header"}]}
    authorizations: [{api: keys}, {api: any}]
  - name: key-query
    api_key: {source: {query: apikey}, keys: [{id: k1, value: "${KEY}-query"}]}
    authorizations: [{api: keys}]
  - {name: key-poor, api_key: {keys: [{id: k1, value: "${KEY}-poor"}]}}
  - name: key-disabled
    status: disabled
    api_key: {keys: [{id: k1, value: "${KEY}-disabled"}]}
    authorizations: [{api: keys}]
  - name: partner
    hmac: {keys: [{access_key: partner, secret_key: "${KEY}-hmac"}, {access_key: partner-old, secret_key: "${KEY}-sha1", allow_sha1: true},
      {access_key: partner-off, secret_key: "${KEY}-hmac-off", status: disabled}]}
    authorizations: [{api: signed}, {api: own}, {api: any}]
  - {name: partner-poor, hmac: {keys: [{access_key: partner-poor, secret_key: "${KEY}-hmac-poor"}]}}
`

// testKey begins every API key and HMAC secret of the tests.
const testKey = "key-of-the-tests-0123456789"

func openGate(t *testing.T, text string) (doorsOf, string) {
	t.Helper()
	redis, u := redisServer(t), newUpstream(t)
	applyGate(t, redis, u, text)
	return openVerdicts(t, deployment(redis), u), redis
}

func applyGate(t *testing.T, redis string, u *upstream, text string) {
	t.Helper()
	k, _ := keysOf(t)
	configure(t, redis, text, "UPSTREAM="+u.URL, "PROVIDER_KEY="+provider, "KEY="+testKey,
		"OCT="+octJWK(k.oct, "o1"), "EC="+jwkSet(ecJWK(&k.ec.PublicKey, "e1"), ecJWK(&k.other.PublicKey, "e2")),
		"RSA="+rsaJWK(&k.rsa.PublicKey, "r1"), "ED="+edJWK(edPublic(k.ed), "d1"))
}

// uid makes an honest HS256 token of a consumer by uid, with changed claims.
func uid(t *testing.T, name string, changed claims) string {
	t.Helper()
	k, _ := keysOf(t)
	c := claims{"uid": name, "iat": in(0), "exp": in(time.Hour)}.with(changed)
	return compact(`{"alg":"HS256","typ":"JWT","kid":"o1"}`, c.json(), hs256(k.oct))
}

// row is one line of a table: a call, and what every door must say of it.
type row struct {
	make     func() call
	want     want
	bodyless *want // of doors that see no body, where that differs
}

func plain(c call, w want) row { return row{fixed(c), w, nil} }

// The document's table for tokens.
func jwtRows(t *testing.T) map[string]row {
	k, thief := keysOf(t)
	const path = "/tokens/list"
	send := func(token string) call { return get(path, bearer(token)) }
	strictClaims := claims{"uid": "strict", "iss": "https://issuer.example", "aud": "ours", "exp": in(time.Hour), "iat": in(0)}
	strict := func(changed claims) call {
		return send(compact(`{"alg":"ES256","kid":"e1","typ":"at+jwt"}`, strictClaims.with(changed).json(), es(crypto.SHA256, k.ec)))
	}
	strictTyped := func(header string) call {
		return send(compact(header, strictClaims.json(), es(crypto.SHA256, k.ec)))
	}
	subject := claims{"sub": "a b|c/d?ü", "exp": in(time.Hour)}.json()
	scoped := func(scope any, issuer any) call {
		return send(compact(`{"alg":"HS256"}`, claims{"scope": scope, "iss": issuer, "exp": in(time.Hour)}.json(), hs256(k.oct)))
	}
	alice := uid(t, "alice", nil)
	fails := jwtFails("tokens")
	return map[string]row{
		"no token":                           plain(get(path), jwtMissing("tokens")),
		"another scheme":                     plain(get(path, "Authorization: Basic YTpi"), jwtMissing("tokens")),
		"a prefix alone":                     plain(get(path, "Authorization: Bearer"), jwtMissing("tokens")),
		"a tab for the space":                plain(get(path, "Authorization: Bearer\t"+alice), jwtMissing("tokens")),
		"a custom place without its prefix":  plain(get(path, "X-Token: "+uid(t, "header", nil)), jwtMissing("tokens")),
		"a custom prefix in other case":      plain(get(path, "X-Token: token "+uid(t, "header", nil)), jwtMissing("tokens")),
		"an honest token":                    plain(send(alice), passes("alice")),
		"bearer in lower case":               plain(get(path, "Authorization: bearer "+alice), passes("alice")),
		"two spaces":                         plain(get(path, "Authorization: Bearer  "+alice), fails),
		"expired":                            plain(send(uid(t, "alice", claims{"exp": in(-time.Hour)})), jwtExpired("tokens")),
		"expired within the skew":            plain(send(uid(t, "alice", claims{"exp": in(-10 * time.Second)})), passes("alice")),
		"expired and forged":                 plain(send(flipLast(uid(t, "alice", claims{"exp": in(-time.Hour)}))), fails),
		"expired, skew of none":              plain(strict(claims{"exp": in(-5 * time.Second)}), jwtExpired("tokens")),
		"expired, of nobody":                 plain(send(uid(t, "mallory", claims{"exp": in(-time.Hour)})), fails),
		"signature changed":                  plain(send(flipLast(alice)), fails),
		"key of another":                     plain(send(compact(`{"alg":"HS256"}`, claims{"uid": "alice", "exp": in(time.Hour)}.json(), hs256(thief.oct))), fails),
		"no exp":                             plain(send(uid(t, "alice", claims{"exp": nil})), fails),
		"seven days from now":                plain(send(uid(t, "alice", claims{"exp": in(7*24*time.Hour + time.Minute), "iat": nil})), fails),
		"almost seven days from now":         plain(send(uid(t, "alice", claims{"exp": in(7*24*time.Hour - time.Minute)})), passes("alice")),
		"seven days from iat":                plain(send(uid(t, "alice", claims{"exp": in(time.Hour), "iat": in(-7 * 24 * time.Hour)})), fails),
		"nbf ahead":                          plain(send(uid(t, "alice", claims{"nbf": in(5 * time.Minute)})), fails),
		"nbf ahead within the skew":          plain(send(uid(t, "alice", claims{"nbf": in(10 * time.Second)})), passes("alice")),
		"iat ahead":                          plain(send(uid(t, "alice", claims{"iat": in(5 * time.Minute)})), fails),
		"consumer unknown":                   plain(send(uid(t, "mallory", nil)), fails),
		"consumer disabled":                  plain(send(uid(t, "bob", nil)), fails),
		"a number for a uid":                 plain(send(uid(t, "", claims{"uid": 7})), fails),
		"not authorized":                     plain(send(uid(t, "carol", nil)), accessDenied),
		"authorized on the API within":       plain(get("/tokens/inner/x", bearer(uid(t, "carol", nil))), passes("carol")),
		"not on the API within":              plain(get("/tokens/inner", bearer(alice)), accessDenied),
		"authorization over":                 plain(send(uid(t, "late", nil)), accessDenied),
		"authorization not over":             plain(send(uid(t, "soon", nil)), passes("soon")),
		"nobody is authorized":               plain(get("/nobody", bearer(alice)), accessDenied),
		"all conditions met":                 plain(strict(nil), passes("strict")),
		"the other audience in a list":       plain(strict(claims{"aud": []string{"x", "theirs"}}), passes("strict")),
		"wrong issuer":                       plain(strict(claims{"iss": "https://issuer.example/"}), fails),
		"no issuer":                          plain(strict(claims{"iss": nil}), fails),
		"wrong audience":                     plain(strict(claims{"aud": "our"}), fails),
		"no audience":                        plain(strict(claims{"aud": nil}), fails),
		"longer than its own lifetime":       plain(strict(claims{"exp": in(3 * time.Hour)}), fails),
		"typ of an ID token":                 plain(strictTyped(`{"alg":"ES256","kid":"e1","typ":"JWT"}`), fails),
		"typ with application/":              plain(strictTyped(`{"alg":"ES256","kid":"e1","typ":"application/AT+JWT"}`), passes("strict")),
		"no kid":                             plain(strictTyped(`{"alg":"ES256","typ":"at+jwt"}`), passes("strict")),
		"kid of another key of the set":      plain(strictTyped(`{"alg":"ES256","kid":"e2","typ":"at+jwt"}`), fails),
		"RS256, and a subject of any text":   plain(send(compact(`{"alg":"RS256","kid":"r1"}`, subject, rs(crypto.SHA256, k.rsa))), passes("rsa")),
		"PS256":                              plain(send(compact(`{"alg":"PS256"}`, subject, ps(crypto.SHA256, 32, k.rsa))), passes("rsa")),
		"RS512, which is not configured":     plain(send(compact(`{"alg":"RS512"}`, subject, rs(crypto.SHA512, k.rsa))), fails),
		"EdDSA":                              plain(send(compact(`{"alg":"EdDSA"}`, claims{"uid": "edward", "exp": in(time.Hour)}.json(), ed(k.ed))), passes("edward")),
		"HS512 by a long key":                plain(send(compact(`{"alg":"HS512"}`, claims{"uid": "alice", "exp": in(time.Hour)}.json(), hs(sha512.New, k.oct))), passes("alice")),
		"a custom header and prefix":         plain(get(path, "X-Token: Token "+uid(t, "header", nil)), passes("header")),
		"another's header":                   plain(get(path, "X-Token: Token "+alice), fails),
		"a query parameter":                  plain(get(path+"?a=1&access_token="+uid(t, "query", nil)), passes("query")),
		"another's query parameter":          plain(get(path+"?access_token="+alice), fails),
		"a cookie":                           plain(get(path, "Cookie: a=1; session="+uid(t, "cookie", nil)), passes("cookie")),
		"another's cookie":                   plain(get(path, "Cookie: session="+alice), fails),
		"the cookie's token in the header":   plain(send(uid(t, "cookie", nil)), fails),
		"one token twice":                    plain(get(path, bearer(alice), bearer(alice)), fails),
		"header and query":                   plain(get(path+"?access_token="+uid(t, "query", nil), bearer(alice)), fails),
		"header and cookie":                  plain(get(path, bearer(alice), "Cookie: session="+uid(t, "cookie", nil)), fails),
		"a query parameter twice":            plain(get(path+"?access_token="+uid(t, "query", nil)+"&access%5Ftoken=x"), fails),
		"a member of the scope":              plain(scoped("openid model.invoke", nil), passes("scoped")),
		"the consumer with more conditions":  plain(scoped("model.invoke", "https://issuer.example"), passes("scoped-issuer")),
		"part of a member":                   plain(scoped("model.invoke2 xmodel.invoke", nil), fails),
		"a scope that is a list":             plain(scoped([]string{"model.invoke"}, nil), fails),
		"a credential of another method too": plain(get(path, bearer(alice), "X-Api-Key: "+testKey+"-header"), passes("alice")),
		"only a credential of another":       plain(get(path, "X-Api-Key: "+testKey+"-header"), jwtMissing("tokens")),
	}
}

// The document's table for API keys.
func keyRows(t *testing.T) map[string]row {
	const path = "/keys/list"
	none := keyRefusal("keys", "api_key_missing", "No API key found in request.")
	many := keyRefusal("keys", "api_key_multiple", "Multiple API keys found in request.")
	bad := keyRefusal("keys", "api_key_invalid", "Invalid API key.")
	poor := want{status: 403, code: "consumer_unauthorized", message: keyAuth + "Unauthorized consumer."}
	key := func(suffix string) string { return bearer(testKey + suffix) }
	return map[string]row{
		"no key":                           plain(get(path), none),
		"another scheme":                   plain(get(path, "Authorization: Basic YTpi"), none),
		"no prefix":                        plain(get(path, "Authorization: "+testKey+"-1"), none),
		"Bearer":                           plain(get(path, key("-1")), passes("key")),
		"the consumer's second key":        plain(get(path, key("-2")), passes("key")),
		"a key with two dots":              plain(get(path, key(".with.dots")), passes("key")),
		"a custom header":                  plain(get(path, "x-api-key: "+testKey+"-header"), passes("key-header")),
		"a custom query parameter":         plain(get(path+"?x=1&apikey="+testKey+"-query"), passes("key-query")),
		"one key twice":                    plain(get(path, key("-1"), key("-1")), many),
		"two keys":                         plain(get(path, key("-1"), key("-2")), many),
		"header and bearer":                plain(get(path, key("-1"), "x-api-key: "+testKey+"-header"), many),
		"query and bearer":                 plain(get(path+"?apikey="+testKey+"-query", key("-1")), many),
		"query twice":                      plain(get(path+"?apikey="+testKey+"-query&apikey=x"), many),
		"unknown":                          plain(get(path, key("-9")), bad),
		"a beginning of a key":             plain(get(path, bearer(testKey)), bad),
		"very long":                        plain(get(path, bearer(strings.Repeat("k", 4000))), bad),
		"two spaces":                       plain(get(path, "Authorization: Bearer  "+testKey+"-1"), bad),
		"disabled key":                     plain(get(path, key("-off")), bad),
		"expired key":                      plain(get(path, key("-old")), bad),
		"disabled consumer":                plain(get(path, key("-disabled")), bad),
		"a bearer's key in the header":     plain(get(path, "x-api-key: "+testKey+"-1"), bad),
		"a header's key as bearer":         plain(get(path, key("-header")), bad),
		"a token where keys are taken":     plain(get(path, bearer(uid(t, "alice", nil))), bad),
		"not authorized":                   plain(get(path, key("-poor")), poor),
		"nobody is authorized":             plain(get("/nobody", key("-1")), keyRefusal("nobody", "api_key_invalid", "Invalid API key.")),
		"any method, a key":                plain(get("/any", key("-1")), passes("key")),
		"any method, a token":              plain(get("/any", bearer(uid(t, "alice", nil))), passes("alice")),
		"any method, nothing":              plain(get("/any"), jwtMissing("any")),
		"any method, a key with two dots":  plain(get("/any", key(".with.dots")), jwtFails("any")),
		"any method, token and key":        plain(get("/any", bearer(uid(t, "alice", nil)), "x-api-key: "+testKey+"-header"), jwtFails("any")),
		"any method, two keys":             plain(get("/any", key("-1"), "x-api-key: "+testKey+"-header"), keyRefusal("any", "api_key_multiple", "Multiple API keys found in request.")),
		"keys first, nothing":              plain(get("/keyfirst"), keyRefusal("keyfirst", "api_key_missing", "No API key found in request.")),
		"keys first, a key":                plain(get("/keyfirst", key("-1")), passes("key")),
		"keys first, a token":              plain(get("/keyfirst", bearer(uid(t, "alice", nil))), passes("alice")),
		"keys first, a token that expired": plain(get("/keyfirst", bearer(uid(t, "alice", claims{"exp": in(-time.Hour)}))), jwtExpired("keyfirst")),
	}
}

// Signatures, in both dialects.
func hmacRows() map[string]row {
	const path, secret = "/signed/list?a=1&b=2", testKey + "-hmac"
	refused := func(code, message string) want { return hmacRefusal("signed", code, message) }
	post := func(kind, body string, more ...string) call {
		return call{"POST", "/signed/form", append([]string{"Content-Type: " + kind}, more...), body}
	}
	const form, json = "application/x-www-form-urlencoded", "application/json"
	needed := refused("hmac_body_needed", "Request Body Needed")
	signedBy := func(c call, key, secret string) func() call { return func() call { return xca(c, key, secret) } }
	at := func(c call, when time.Time) func() call {
		return func() call {
			return xcaAt(c, "partner", secret, strconv.FormatInt(when.UnixMilli(), 10), fmt.Sprint(time.Now().UnixNano()), sha256.New)
		}
	}
	sha1By := func(key, secret string) func() call {
		return func() call {
			return xcaAt(get(path), key, secret, strconv.FormatInt(time.Now().Unix(), 10), fmt.Sprint(time.Now().UnixNano()), sha1.New)
		}
	}
	changed := func(make func() call, change func(*call)) func() call {
		return func() call {
			c := make()
			change(&c)
			return c
		}
	}
	dialect := func(c call, listed string) call { return signature(c, "partner", secret, listed) }
	now := date(time.Now())
	return map[string]row{
		"nothing":                plain(get(path), refused("hmac_invalid_key", "Invalid Key")),
		"signed":                 {signedBy(get(path), "partner", secret), passes("partner"), nil},
		"an unknown key":         {signedBy(get(path), "nobody", secret), refused("hmac_invalid_key", "Invalid Key"), nil},
		"a disabled key":         {signedBy(get(path), "partner-off", testKey+"-hmac-off"), refused("hmac_invalid_key", "Invalid Key"), nil},
		"no signature":           plain(get(path, "X-Ca-Key: partner"), refused("hmac_empty_signature", "Empty Signature")),
		"a wrong secret":         {signedBy(get(path), "partner", secret+"x"), refused("hmac_invalid_signature", "Invalid Signature"), nil},
		"another query":          {changed(signedBy(get(path), "partner", secret), func(c *call) { c.target += "&c=3" }), refused("hmac_invalid_signature", "Invalid Signature"), nil},
		"another method":         {changed(signedBy(get(path), "partner", secret), func(c *call) { c.method = "DELETE" }), refused("hmac_invalid_signature", "Invalid Signature"), nil},
		"an old timestamp":       {at(get(path), time.Now().Add(-20*time.Minute)), refused("hmac_invalid_date", "Invalid Date"), nil},
		"a timestamp ahead":      {at(get(path), time.Now().Add(20*time.Minute)), refused("hmac_invalid_date", "Invalid Date"), nil},
		"a timestamp not so old": {at(get(path), time.Now().Add(-10*time.Minute)), passes("partner"), nil},
		"SHA-1 where allowed":    {sha1By("partner-old", testKey+"-sha1"), passes("partner"), nil},
		"SHA-1 where it is not":  {sha1By("partner", secret), refused("hmac_invalid_signature", "Invalid Signature"), nil},
		"not authorized":         {signedBy(get(path), "partner-poor", testKey+"-hmac-poor"), want{status: 403, code: "consumer_unauthorized", message: "Unauthorized Consumer"}, nil},
		"a form":                 {signedBy(post(form, "z=1&y=2"), "partner", secret), passes("partner"), &needed},
		"another form": {changed(signedBy(post(form, "z=1&y=2"), "partner", secret), func(c *call) { c.body = "z=1&y=3" }),
			refused("hmac_invalid_signature", "Invalid Signature"), &needed},
		"Content-MD5": {signedBy(post(json, `{"a":1}`, contentMD5(`{"a":1}`)), "partner", secret), passes("partner"), nil},
		"Content-MD5 of another body": {changed(signedBy(post(json, `{"a":1}`, contentMD5(`{"a":1}`)), "partner", secret), func(c *call) { c.body = `{"a":2}` }),
			refused("hmac_invalid_content_md5", "Invalid Content-MD5"), &want{status: 200, consumer: "partner"}},
		"Signature":             plain(dialect(get(path, now), "@request-target Date"), passes("partner")),
		"Signature with Digest": plain(dialect(post(json, `{}`, now, sha256Digest(`{}`)), "@request-target Date Digest"), passes("partner")),
		"Signature, another target": plain(changed(fixed(dialect(get(path, now), "@request-target Date")), func(c *call) { c.target += "0" })(),
			refused("hmac_invalid_signature", "Invalid Signature")),
		"Signature without Date": plain(dialect(get(path, now), "@request-target"), refused("hmac_invalid_date", "Invalid Date")),
		"Signature of a Date that is old": plain(dialect(get(path, date(time.Now().Add(-20*time.Minute))), "@request-target Date"),
			refused("hmac_invalid_date", "Invalid Date")),
		"Signature without target": plain(dialect(get(path, now), "Date"), refused("hmac_invalid_signature", "Invalid Signature")),
		"Signature, body without Digest": {fixed(dialect(post(json, `{}`, now), "@request-target Date")),
			refused("hmac_invalid_content_md5", "Invalid Content-MD5"), &needed},
		"Signature, key unknown": plain(signature(get(path, now), "nobody", secret, "@request-target Date"), refused("hmac_invalid_key", "Invalid Key")),
		"both dialects": {func() call { return xca(dialect(get(path, now), "@request-target Date"), "partner", secret) },
			refused("hmac_invalid_signature", "Invalid Signature"), nil},
		"any method, signed": {signedBy(get("/any"), "partner", secret), passes("partner"), nil},
		"any method, signed and a key": {func() call { return xca(get("/any"), "partner", secret).with(bearer(testKey + "-1")) },
			hmacRefusal("any", "hmac_invalid_signature", "Invalid Signature"), nil},
	}
}

// Routing comes before who calls.
func routeRows(t *testing.T) map[string]row {
	token := bearer(uid(t, "alice", nil))
	notFound := want{status: 404, code: "api_not_found", message: "No API matches this host and path"}
	elsewhere := func(host string) call { return get("/elsewhere", "Host: "+host) }
	return map[string]row{
		"no API":                      plain(get("/nothing", token), notFound),
		"a path that only begins so":  plain(get("/tokensx", token), notFound),
		"a draft":                     plain(get("/draft", token), notFound),
		"another domain's API":        plain(get("/elsewhere"), notFound),
		"its own domain":              plain(elsewhere("ai.acme.example"), passes("")),
		"its own domain with a port":  plain(elsewhere("ai.acme.example:8443"), passes("")),
		"its own domain, other case":  plain(elsewhere("AI.Acme.Example."), passes("")),
		"a domain of the wildcard":    plain(elsewhere("other.acme.example"), notFound),
		"an open API, with any token": plain(get("/open/x", "Authorization: Bearer x"), passes("")),
		"an open API, without":        plain(get("/open"), passes("")),
	}
}

// One gate behind every door: the same call is allowed, unproven or refused through each of them, as far as it can say so.
func TestGateThroughEveryDoor(t *testing.T) {
	doors, _ := openGate(t, gateConfig)
	for name, rows := range map[string]map[string]row{
		"JWT": jwtRows(t), "API key": keyRows(t), "HMAC": hmacRows(), "route": routeRows(t),
	} {
		for what, r := range rows {
			t.Run(name+"/"+what, func(t *testing.T) { doors.check(t, r.make, r.want, r.bodyless) })
		}
	}
	t.Run("HMAC/a nonce again", func(t *testing.T) {
		once := xca(get("/signed"), "partner", testKey+"-hmac")
		if v, _ := doors.tcp(t, once); v.status != 200 {
			t.Fatalf("first use: %+v", v)
		}
		// An authorizer leaves the nonce to the proxy, to which the call goes on.
		pass := passes("partner")
		doors.check(t, fixed(once), hmacRefusal("signed", "hmac_replayed_nonce", "Replayed Nonce"), &pass)
	})
	t.Run("HMAC/a nonce again where the authorizer answers for the call", func(t *testing.T) {
		once := xca(get("/own"), "partner", testKey+"-hmac")
		if v := doors.nginx(t, once); v.status != 200 {
			t.Fatalf("first use: %+v", v)
		}
		replayed := hmacRefusal("own", "hmac_replayed_nonce", "Replayed Nonce")
		doors.check(t, fixed(once), want{status: 404, code: "api_not_found", message: "No API matches this host and path"}, &replayed)
		for door, ask := range map[string]func(*testing.T, call) verdict{"REQUEST": doors.request, "2.0": doors.version2} {
			if v := ask(t, xca(get("/own"), "partner", testKey+"-hmac")); v.outcome != allowedTo {
				t.Errorf("%s, a nonce of its own: %+v", door, v)
			}
		}
	})
	t.Run("HMAC/the server's string to sign", func(t *testing.T) {
		c := xca(get("/signed?b=2&a=1", "Accept: text/plain"), "partner", testKey+"-wrong")
		_, a := doors.tcp(t, c)
		text := c.stringToSign([]string{"x-ca-key", "x-ca-nonce", "x-ca-timestamp"})
		want := "Server StringToSign:`" + strings.ReplaceAll(text, "\n", "#") + "`"
		if got := a.Header.Get("X-Ca-Error-Message"); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}
