package admin_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"keyless/shared/admin"
	"keyless/shared/oauth"
	"keyless/shared/registry"
)

func TestAClientsSecretsFollowOneAnother(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	const secrets = "/instances/acme/clients/worker/secrets"
	made := a.must(201, a.call("POST", secrets, `{"expires_at":"2027-01-01T00:00:00Z"}`))
	id := made.str("id")
	if len(made.str("secret")) < 40 || made.header.Get("Location") != admin.Prefix+secrets+"/"+id {
		t.Errorf("made %v %s", made.header, made.text)
	}
	a.refused(409, "too_many_secrets", a.call("POST", secrets, ""))
	a.refused(422, "invalid", a.call("POST", secrets, `{"value":"mine"}`))
	shown := a.must(200, a.call("POST", secrets+"/"+id+"/show", ""))
	if shown.str("secret") != made.str("secret") {
		t.Errorf("shown %s", shown.text)
	}
	list := a.must(200, a.call("GET", secrets, ""))
	if strings.Contains(list.text, made.str("secret")) || strings.Contains(list.text, "value") ||
		!strings.Contains(list.text, `"expires_at":"2027-01-01T00:00:00Z"`) || !strings.Contains(list.text, `"status":"enabled"`) {
		t.Errorf("list %s", list.text)
	}
	a.must(200, a.call("PATCH", secrets+"/s1", `{"status":"disabled"}`))
	a.must(200, a.call("PATCH", secrets+"/"+id, `{"expires_at":null}`))
	a.refused(422, "invalid", a.call("PATCH", secrets+"/"+id, `{"value":"another-secret-012345"}`))
	a.refused(404, "not_found", a.call("PATCH", secrets+"/none", `{"status":"disabled"}`))
	a.refused(412, "conflict", a.call("DELETE", secrets+"/s1", "", "If-Match", `"stale"`))
	a.must(204, a.call("DELETE", secrets+"/s1", ""))
	a.refused(409, "last_one", a.call("DELETE", secrets+"/"+id, ""))
	if list = a.must(200, a.call("GET", secrets, "")); len(list.body["items"].([]any)) != 1 || strings.Contains(list.text, "expires_at") {
		t.Errorf("list %s", list.text)
	}
	a.refused(404, "not_found", a.call("POST", "/instances/acme/clients/nobody/secrets", ""))
	a.refused(404, "not_found", a.call("POST", secrets+"/s1/show", ""))

	audit := a.must(200, a.call("GET", "/audit?limit=500", ""))
	if !strings.Contains(audit.text, `"action":"show"`) || strings.Contains(audit.text, made.str("secret")) {
		t.Errorf("audit %s", audit.text)
	}
}

func TestAClientWithoutNeedOfSecretsMayLoseTheLast(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	const worker = "/instances/acme/clients/worker"
	a.must(200, a.call("PATCH", worker, `{"authentication":["private_key_jwt"],"jwks_url":"https://w.example/jwks"}`, "If-Match", "*"))
	a.must(204, a.call("DELETE", worker+"/secrets/s1", ""))
	if list := a.must(200, a.call("GET", worker+"/secrets", "")); len(list.body["items"].([]any)) != 0 {
		t.Errorf("list %s", list.text)
	}
}

func TestWhenASecretWasUsedIsTold(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	reader := registry.NewReader(a.Store, a.Keys, clock)
	if err := reader.SecretUsed(t.Context(), "acme", "worker", "s1"); err != nil {
		t.Fatal(err)
	}
	if list := a.must(200, a.call("GET", "/instances/acme/clients/worker/secrets", "")); !strings.Contains(list.text, `"last_used_at":"2026-11-25T12:00:00Z"`) {
		t.Errorf("list %s", list.text)
	}
}

func TestKeysOfConsumersAreShownOnce(t *testing.T) {
	t.Parallel()
	for list, first := range map[string]string{"/consumers/kay/api_keys": "k1", "/consumers/hal/hmac_keys": "hal-ak", "/consumers/jay/api_keys": ""} {
		a := newAcme(t)
		made := a.must(201, a.call("POST", list, ""))
		id := made.str("id") + made.str("access_key")
		if len(made.str("secret")) < 40 || id == "" || made.header.Get("Location") != admin.Prefix+list+"/"+id {
			t.Errorf("made %v %s", made.header, made.text)
		}
		items := a.must(200, a.call("GET", list, ""))
		if strings.Contains(items.text, made.str("secret")) || strings.Contains(items.text, "kept") || !strings.Contains(items.text, id) {
			t.Errorf("list %s", items.text)
		}
		a.must(200, a.call("PATCH", list+"/"+id, `{"status":"disabled"}`))
		a.refused(422, "invalid", a.call("PATCH", list+"/"+id, `{"Status":"disabled"}`))
		if first == "" {
			a.refused(409, "last_one", a.call("DELETE", list+"/"+id, ""))
			continue
		}
		a.must(204, a.call("DELETE", list+"/"+first, ""))
		a.refused(409, "last_one", a.call("DELETE", list+"/"+id, ""))
	}
}

func TestAGeneratedKeyIsTakenByTheGate(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	made := a.must(201, a.call("POST", "/consumers/kay/api_keys", `{"id":"k2"}`))
	question := jsonOf(admin.Question{URL: publicURL + "/v1/chat", Headers: map[string][]string{"authorization": {"Bearer " + made.str("secret")}}})
	if got := a.must(200, a.call("POST", "/explain", question)); got.str("outcome") != "allowed" {
		t.Errorf("got %s", got.text)
	}
	a.must(204, a.call("DELETE", "/consumers/kay/authorizations/models", ""))
	if got := a.must(200, a.call("POST", "/explain", question)); got.str("outcome") != "refused" {
		t.Errorf("got %s", got.text)
	}
}

func TestAConsumersOwnKey(t *testing.T) {
	t.Parallel()
	for algorithm, kind := range map[string]string{
		"HS256": "symmetric", "HS384": "symmetric", "HS512": "symmetric", "ES256": "pair", "ES384": "pair", "ES512": "pair",
		"EdDSA": "pair", "RS256": "pair", "PS512": "pair",
	} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			a := newAcme(t)
			body := fmt.Sprintf(`{"kind":%q,"algorithm":%q}`, kind, algorithm)
			a.refused(404, "not_found", a.call("POST", "/consumers/new/jwt/key", body))
			got := a.must(201, a.call("POST", "/consumers/new/jwt/key", body, "If-None-Match", "*"))
			a.refused(412, "conflict", a.call("POST", "/consumers/new/jwt/key", body, "If-None-Match", "*"))
			jwk, _ := got.body["jwk"].(map[string]any)
			secret, _ := jwk["d"].(string)
			if kind == "symmetric" {
				secret, _ = jwk["k"].(string)
			}
			if secret == "" || (got.str("pem") == "") != (kind == "symmetric") || got.str("claim") != "uid" || got.str("value") == "" {
				t.Fatalf("made %s", got.text)
			}
			delete(jwk, "d")
			for _, private := range []string{"p", "q", "dp", "dq", "qi"} {
				delete(jwk, private)
			}
			keys, err := oauth.ParseJWKSet([]byte(jsonOf(jwk)), oauth.Pasted)
			if err != nil || !keys[0].Allows(algorithm) {
				t.Errorf("a JWK that is none: %v", err)
			}
			read := a.must(200, a.call("GET", "/consumers/new", ""))
			if strings.Contains(read.text+a.call("GET", "/export", "").text+a.call("GET", "/audit?limit=500", "").text, secret) {
				t.Error("the private half is told again")
			}
			if kind == "pair" && !strings.Contains(read.text, jwk["kid"].(string)) {
				t.Errorf("the public half is not there: %s", read.text)
			}
		})
	}
	a := newAcme(t)
	for _, body := range []string{`{}`, `{"kind":"pair","algorithm":"HS256"}`, `{"kind":"symmetric","algorithm":"ES256"}`, `{"kind":"Pair"}`} {
		a.refused(422, "invalid", a.call("POST", "/consumers/jay/jwt/key", body))
	}
	a.refused(404, "not_found", a.call("POST", "/consumers/nobody/jwt/key", `{"kind":"pair"}`))
}

func TestAuthorizationsBothWays(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	const one = "/consumers/hal/authorizations/models"
	a.must(201, a.call("PUT", one, `{"models":["qwen-*"],"expires_at":"2026-01-01T00:00:00Z"}`))
	a.must(200, a.call("PUT", one, `{"models":["gpt-*"],"expires_at":"2026-01-01T00:00:00Z"}`))
	a.refused(422, "invalid", a.call("PUT", one, `{"api":"idle"}`))
	a.refused(422, "invalid", a.call("PUT", "/consumers/hal/authorizations/none", `{}`))
	got := a.must(200, a.call("GET", "/apis/models/consumers?limit=2", ""))
	items := got.body["items"].([]any)
	if len(items) != 2 || got.str("next") != "jay" || items[0].(map[string]any)["expired"] != true || strings.Contains(got.text, marker) {
		t.Errorf("got %s", got.text)
	}
	if rest := a.must(200, a.call("GET", "/apis/models/consumers?after=jay", "")); len(rest.body["items"].([]any)) != 1 || rest.str("next") != "" {
		t.Errorf("got %s", rest.text)
	}
	if none := a.must(200, a.call("GET", "/apis/idle/consumers", "")); len(none.body["items"].([]any)) != 0 {
		t.Errorf("got %s", none.text)
	}
	a.refused(404, "not_found", a.call("GET", "/apis/none/consumers", ""))
	a.must(204, a.call("DELETE", one, ""))
	a.refused(404, "not_found", a.call("DELETE", one, ""))
}

func TestResourceServers(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	const servers = "/instances/acme/resource_servers"
	const one = servers + "/cloud:new"
	made := a.must(201, a.call("POST", servers, `{"identifier":"cloud:new","name":"n","scopes":[{"value":"a","name":"A"}]}`))
	if made.header.Get("Location") != admin.Prefix+one {
		t.Errorf("made %v", made.header)
	}
	a.refused(409, "exists", a.call("POST", servers, `{"identifier":"cloud:new","name":"n"}`))
	a.refused(428, "condition_required", a.call("PUT", one, `{"name":"m"}`))
	a.refused(412, "conflict", a.call("PUT", one, `{"name":"m"}`, "If-None-Match", "*"))
	a.refused(422, "invalid", a.call("PUT", one, `{"name":"m","identifier":"cloud:other"}`, "If-Match", "*"))
	got := a.must(200, a.call("PUT", one, `{"name":"m"}`, "If-Match", made.header.Get("ETag")))
	if got.str("name") != "m" || got.version() != a.must(200, a.call("GET", "/instances/acme", "")).version() {
		t.Errorf("got %s", got.text)
	}
	a.must(200, a.call("PATCH", one, `{"status":"disabled"}`, "If-Match", got.header.Get("ETag")))
	list := a.must(200, a.call("GET", servers, ""))
	items := list.body["items"].([]any)
	if last := items[len(items)-1].(map[string]any); last["identifier"] != registry.AdminServer || last["builtin"] != true {
		t.Errorf("the built-in one is not the last: %s", list.text)
	}
	a.must(200, a.call("GET", servers+"/keyless:admin", ""))
	a.refused(422, "invalid", a.call("PUT", servers+"/keyless:admin", `{"name":"x"}`, "If-None-Match", "*"))
	a.refused(404, "not_found", a.call("DELETE", servers+"/keyless:admin", ""))
	a.must(204, a.call("DELETE", one, ""))
	a.refused(404, "not_found", a.call("GET", one, ""))
}

func TestSigningKeysAreRotatedAndRevokedOnTheRecord(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	const keys = "/instances/acme/keys"
	states := func() map[string]string {
		found := map[string]string{}
		for _, k := range a.must(200, a.call("GET", keys, "")).body["keys"].([]any) {
			key := k.(map[string]any)
			found[key["state"].(string)] = key["kid"].(string)
		}
		return found
	}
	before := states()
	got := a.must(200, a.call("POST", keys+"/rotate", ""))
	after := states()
	if got.str("signs") != before["next"] || after["active"] != before["next"] || after["retired"] != before["active"] {
		t.Errorf("rotated from %v to %v: %s", before, after, got.text)
	}
	a.must(200, a.call("POST", keys+"/revoke", `{"kid":"`+after["retired"]+`"}`))
	if now := states(); now["retired"] != "" {
		t.Errorf("revoked %v", now)
	}
	a.refused(404, "not_found", a.call("POST", keys+"/revoke", `{"kid":"none"}`))
	a.refused(422, "invalid", a.call("POST", keys+"/revoke", `{}`))
	a.refused(404, "not_found", a.call("POST", "/instances/none/keys/rotate", ""))
	audit := a.must(200, a.call("GET", "/audit?limit=500", ""))
	for _, want := range []string{`"action":"rotate","kind":"signing_key","name":"acme"`, `"note":"done: ` + after["active"] + ` signs"`,
		`"action":"revoke"`, `"who":"bootstrap","request_id":"req-1"`} {
		if !strings.Contains(audit.text, want) {
			t.Errorf("audit lacks %s", want)
		}
	}
}

// brokenRing is a ring whose store went away in the middle.
type brokenRing struct{ admin.Ring }

func (brokenRing) Rotate(context.Context, string, string) (string, error) {
	return "", errors.New("dial " + marker)
}

func TestARotationThatFailedStandsInTheRecord(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	a.Ring = brokenRing{a.ring}
	a.handler = admin.New(a.Options)
	got := a.refused(503, "store_unavailable", a.call("POST", "/instances/acme/keys/rotate", ""))
	if strings.Contains(got.text, marker) || got.header.Get("Retry-After") == "" {
		t.Errorf("got %s", got.text)
	}
	audit := a.must(200, a.call("GET", "/audit?limit=500", ""))
	if !strings.Contains(audit.text, "asked for: rotate") || !strings.Contains(audit.text, "not done, or it is not known") {
		t.Errorf("audit %s", audit.text)
	}
}

// secretForms are the forms in which a secret could come out.
func secretForms(secret string) []string {
	return []string{
		secret, base64.StdEncoding.EncodeToString([]byte(secret))[:len(secret)], base64.RawURLEncoding.EncodeToString([]byte(secret))[:len(secret)],
		fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), strings.ReplaceAll(secret, "_", "%5F"),
	}
}

func TestNoSecretComesOutTwice(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	secrets := []string{"MARKER", "VoBG-oyqVoyCr9G56ozmq8n_rlDDyYMQOd_DO4GOkEY"}
	for _, path := range []string{"/instances/acme/clients/worker/secrets", "/consumers/kay/api_keys", "/consumers/hal/hmac_keys"} {
		secrets = append(secrets, a.must(201, a.call("POST", path, "")).str("secret"))
	}
	private := a.must(201, a.call("POST", "/consumers/jay/jwt/key", `{"kind":"pair"}`))
	secrets = append(secrets, private.body["jwk"].(map[string]any)["d"].(string))
	var told []string
	for _, r := range admin.Routes() {
		path := filled(r.Pattern, "acme")
		if r.Method == "GET" {
			for _, query := range []string{"", "?format=csv", "?format=jsonl", "?consumer=kay"} {
				told = append(told, a.call("GET", path+query, "").text)
			}
			continue
		}
		if strings.HasSuffix(r.Pattern, "/show") {
			continue
		}
		// A body that is refused must not come back.
		for _, body := range []string{`{"MARKER":"MARKER"`, `{"secrets":[{"id":"s1","value":"MARKER"}],"api_keys":["MARKER"],"limits":"MARKER"}`} {
			told = append(told, a.call(r.Method, path, body, "If-Match", `"stale"`).text)
		}
	}
	told = append(told, a.log.String(), a.server.Dump())
	for _, text := range told {
		for _, secret := range secrets {
			for _, form := range secretForms(secret) {
				if strings.Contains(text, form) && !strings.Contains(text, `unknown key \"`) {
					at := strings.Index(text, form)
					t.Errorf("%s in …%s…", form, text[max(0, at-100):min(len(text), at+60)])
				}
			}
		}
	}
}

func TestExportAppliedIsExportedAgain(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	a.must(200, a.call("PATCH", "/instances/other", `{"secret_storage":"hashed"}`, "If-Match", "*"))
	a.must(201, a.call("POST", "/instances/other/clients/clerk/secrets", ""))
	first := a.must(200, a.call("GET", "/export", ""))
	if !strings.Contains(first.text, "hash: v1:") || strings.Contains(first.text, marker) {
		t.Errorf("export %s", first.text)
	}
	b := newAPI(t)
	b.Keys = a.Keys
	b.handler = admin.New(b.Options)
	b.must(200, b.call("POST", "/apply?prune=true", first.text))
	if second := b.must(200, b.call("GET", "/export", "")); second.text != first.text {
		t.Errorf("another export:\n%s\n%s", first.text, second.text)
	}
	again := b.must(200, b.call("POST", "/apply?prune=true", first.text))
	if changes := again.body["changes"].([]any); len(changes) != 0 {
		t.Errorf("applied twice: %s", again.text)
	}
	var c registry.Config
	if err := json.Unmarshal([]byte(first.text), &c); err != nil || c.Version != 1 {
		t.Errorf("%v", err)
	}
}
