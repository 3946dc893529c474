package tests

import (
	"crypto"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// keysetConfig has a consumer for each way in which an issuer's key set can be bad.
const keysetConfig = `
version: 1
instances:
  - id: acme
    description: Machines of Acme
    privacy_agreement: accepted
    signing_algorithm: @ALGORITHM@
domains: [{name: default, daily_call_limit: 0}]
upstreams: [{name: backend, protocol: http, base_url: "${UPSTREAM}"}]
apis: [{name: vault, type: http, base_path: /vault, authentication: {methods: [jwt]}, upstreams: [{upstream: backend}]}]
consumers:
`

// badSets are answers of an issuer that hold no usable key set, by their row (J2 to J5).
func badSets(public, shared, private string) map[string]http.HandlerFunc {
	text := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	return map[string]http.HandlerFunc{
		"j1-error":       text(500, jwkSet(public)),
		"j1-gone":        text(404, jwkSet(public)),
		"j2-html":        text(200, "<html>sign in to this network</html>"),
		"j2-json":        text(200, `{"issuer":"x"}`),
		"j2-half":        text(200, jwkSet(public)[:40]),
		"j3-empty":       text(200, `{"keys":[]}`),
		"j4-huge":        text(200, `{"keys":[`+public+`],"pad":"`+strings.Repeat("x", 300<<10)+`"}`),
		"j4-many":        text(200, jwkSet(slices.Repeat([]string{strings.Replace(public, `"kid":"u1"`, `"x":1`, 1)}, 40)...)),
		"j5-shared":      text(200, jwkSet(shared)),
		"j5-mixed":       text(200, jwkSet(public, shared)),
		"j5-private":     text(200, jwkSet(private)),
		"j5-twice":       text(200, jwkSet(public, public)),
		"j5-encryption":  text(200, jwkSet(strings.Replace(public, `"kid"`, `"use":"enc","kid"`, 1))),
		"j8-redirect":    func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/good-redirect", http.StatusFound) },
		"j8-endless":     func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
		"j5-other-curve": text(200, jwkSet(`{"kty":"EC","kid":"u1","crv":"secp256k1","x":"AA","y":"AA"}`)),
	}
}

// B08, and rows J1 to J5 and J8 on sockets: a bad key set lets nobody in, and is told as our failure to know; a good neighbour passes.
func TestB08HostileKeySets(t *testing.T) {
	redis, u := redisServer(t), newUpstream(t)
	k, _ := keysOf(t)
	public := ecJWK(&k.ec.PublicKey, "u1")
	sets := badSets(public, octJWK(k.oct, "u2"), strings.Replace(public, `"kid"`, `"d":"`+b64(k.ec.D.FillBytes(make([]byte, 32)))+`","kid"`, 1))
	var good, all atomic.Int64
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		all.Add(1)
		name := strings.TrimPrefix(r.URL.Path, "/")
		if bad := sets[name]; bad != nil {
			bad(w, r)
			return
		}
		good.Add(1)
		fmt.Fprint(w, jwkSet(public))
	}))
	defer issuer.Close()
	text := strings.Replace(keysetConfig, "@ALGORITHM@", "ES256", 1)
	for name := range sets {
		text += fmt.Sprintf("  - {name: %s, jwt: {jwks_url: \"%s/%s\", value: %s}, authorizations: [{api: vault}]}\n", name, issuer.URL, name, name)
	}
	for _, name := range []string{"fine", "fenced"} { // a set each: after an attempt the next one waits ten seconds, on all instances
		text += fmt.Sprintf("  - {name: %s, jwt: {jwks_url: \"%s/good-%s\", value: %s}, authorizations: [{api: vault}]}\n", name, issuer.URL, name, name)
	}
	configure(t, redis, text, "UPSTREAM="+u.URL)
	token := func(name string) []string {
		return []string{bearer(compact(`{"alg":"ES256","kid":"u1"}`, claims{"uid": name, "exp": in(time.Hour)}.json(), es(crypto.SHA256, k.ec)))}
	}
	t.Run("F03 J8 a private address, unless it is allowed", func(t *testing.T) {
		strict := function(t, "proxy", deployment(redis))
		a := ask(t, http.MethodGet, strict+"/vault", token("fenced"), "")
		if code, _ := refusalOf(a.Body); a.Status != 503 || code != "keys_unavailable" || all.Load() != 0 || strings.Contains(a.Body, "127.0.0.1") {
			t.Errorf("%d %s, the issuer saw %d requests", a.Status, a.Body, all.Load())
		}
	})
	open := function(t, "proxy", append(deployment(redis), "KEYLESS_ALLOW_PRIVATE_URLS=true"))
	for name := range sets {
		t.Run(strings.ToUpper(name[:2])+name[2:], func(t *testing.T) {
			a := ask(t, http.MethodGet, open+"/vault", token(name), "")
			if code, _ := refusalOf(a.Body); a.Status != 503 || code != "keys_unavailable" || a.Header.Get("Retry-After") == "" {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	if good.Load() != 0 || u.count() != 0 {
		t.Errorf("a redirect was followed %d times, the upstream saw %d calls", good.Load(), u.count())
	}
	if a := ask(t, http.MethodGet, open+"/vault", token("fine"), ""); a.Status != 200 {
		t.Errorf("a good set: %d %s", a.Status, a.Body)
	}
	t.Run("J6, J7 random kids cost the issuer one request", func(t *testing.T) {
		before := all.Load()
		for i := range 200 {
			forged := compact(fmt.Sprintf(`{"alg":"ES256","kid":"random-%d"}`, i), claims{"uid": "fine", "exp": in(time.Hour)}.json(), es(crypto.SHA256, k.other))
			if a := ask(t, http.MethodGet, open+"/vault", []string{bearer(forged)}, ""); a.Status != 401 {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
		}
		if n := all.Load() - before; n > 1 {
			t.Errorf("%d requests", n)
		}
	})
}

// J10: our own JWK Set has public members only, for each kind of key.
func TestJ10OwnKeySetIsPublic(t *testing.T) {
	redis, u := redisServer(t), newUpstream(t)
	publisher := function(t, "jwks", deployment(redis))
	public := map[string][]string{
		"EC": {"alg", "crv", "kid", "kty", "use", "x", "y"}, "RSA": {"alg", "e", "kid", "kty", "n", "use"}, "OKP": {"alg", "crv", "kid", "kty", "use", "x"},
	}
	for algorithm, kind := range map[string]string{"ES256": "EC", "RS256": "RSA", "EdDSA": "OKP"} {
		text := strings.NewReplacer("@ALGORITHM@", algorithm, "id: acme", "id: "+strings.ToLower(algorithm), "consumers:\n", "").Replace(keysetConfig)
		configure(t, redis, text, "UPSTREAM="+u.URL)
		var set struct{ Keys []map[string]any }
		expectSoon(t, func() int {
			a := ask(t, http.MethodGet, publisher+"/"+strings.ToLower(algorithm)+"/oauth2/jwks", nil, "")
			_ = json.Unmarshal([]byte(a.Body), &set)
			return a.Status
		}, 200)
		if len(set.Keys) == 0 {
			t.Errorf("%s: no key", algorithm)
		}
		for _, key := range set.Keys {
			var members []string
			for name := range key {
				members = append(members, name)
			}
			slices.Sort(members)
			if key["kty"] != kind || key["alg"] != algorithm || !slices.Equal(members, public[kind]) {
				t.Errorf("%s: kty %v, alg %v, members %v", algorithm, key["kty"], key["alg"], members)
			}
		}
	}
}
