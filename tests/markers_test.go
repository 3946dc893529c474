package tests

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Secrets of every kind, each with a text that stands nowhere else.
var planted = map[string]string{
	"CLIENT_SECRET": "marker-client-secret-7f3a91", "PROVIDER_KEY": "marker-provider-key-2b8c04", "API_KEY": "marker-api-key-9d1e55",
	"HMAC_SECRET": "marker-hmac-secret-c0ffee", "OAUTH_SECRET": "marker-oauth-secret-5e0b1d", "OWN_KEY": "marker-own-provider-key-a4d2",
	"OCT": "bWFya2VyLW9jdC1rZXktMDEyMzQ1Njc4OWFiY2RlZjAx", // marker-oct-key-0123456789abcdef01
}

const markedConfig = `version: 1
instances:
  - id: acme
    description: Machines of Acme
    privacy_agreement: accepted
    resource_servers: [{identifier: "urn:acme", name: Acme, scopes: [{value: read, name: Read}]}]
    clients: [{id: caller, name: Caller, secrets: [{id: s1, value: "${CLIENT_SECRET}"}], permissions: [{resource_server: "urn:acme", scopes: [read]}]}]
domains: [{name: default, daily_call_limit: 0}]
upstreams:
  - {name: model, protocol: openai, base_url: "${UPSTREAM}/v1", api_keys: ["${PROVIDER_KEY}"]}
  - {name: bank, protocol: openai, base_url: "${UPSTREAM}/v1", auth: {oauth: {token_url: "${UPSTREAM}/token", client_id: gw, client_secret: "${OAUTH_SECRET}"}}}
apis:
  - {name: models, type: llm, base_path: /v1, strip_base_path: true, upstreams: [{upstream: model}]}
  - {name: bank, type: llm, base_path: /bank, strip_base_path: true, upstreams: [{upstream: bank}]}
consumers:
  - {name: key, api_key: {keys: [{id: k1, value: "${API_KEY}"}]}, authorizations: [{api: models}, {api: bank}], upstream_keys: {bank: "${OWN_KEY}"}}
  - {name: signer, hmac: {keys: [{access_key: signer, secret_key: "${HMAC_SECRET}"}]}, authorizations: [{api: models}]}
  - {name: oct, jwt: {jwks: '{"kty":"oct","alg":"HS256","k":"${OCT}"}', value: oct}, authorizations: [{api: models}]}
`

// markerSpellings are how a secret could stand somewhere.
func markerSpellings(secret string) []string {
	return []string{
		secret, base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
		hex.EncodeToString([]byte(secret)), url.QueryEscape(secret + "/")[:len(url.QueryEscape(secret+"/"))-3],
	}
}

// What is planted in every secret stands nowhere that anybody can read: Redis, logs, errors, the console, exports, backups, the audit trail.
func TestMarkersInSecretsAreFoundNowhere(t *testing.T) {
	redis := redisServer(t)
	echo := newUpstream(t)
	echo.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // a provider that tells what it was sent
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":{"message":"Incorrect API key provided: %s"}}`, r.Header.Get("Authorization"))
	})
	base := "http://127.0.0.1:" + freePort(t)
	env := deployment(redis, "KEYLESS_ADMIN_TOKEN="+adminToken, "KEYLESS_LOG=json,debug", "UPSTREAM="+echo.URL,
		"KEYLESS_ADDR="+strings.TrimPrefix(base, "http://"), "KEYLESS_PUBLIC_URL="+base)
	for name, value := range planted {
		env = append(env, name+"="+value)
	}
	file := configured(t, markedConfig)
	seen := map[string]string{}
	command := func(args ...string) {
		t.Helper()
		out, err := run(t, env, args...)
		if err != nil && exitCode(err) != 4 && args[0] != "doctor" { // an upstream that refuses is a finding
			t.Fatalf("keyless %v: %v\n%s", args, err, out)
		}
		seen["keyless "+strings.Join(args, " ")] = out
	}
	backup, export := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "export.yaml")
	command("apply", "-f", file, "--prune", "--dry-run", "--json")
	command("apply", "-f", file, "--prune")
	serving := spawn(t, env, binary(t, "keyless"), "serve")
	await(t, base+"/_/readyz")
	for name, headers := range map[string][]string{
		"api key": {bearer(planted["API_KEY"])}, "wrong key": {bearer(planted["API_KEY"] + "x")},
		"token": {bearer(uid(t, "oct", nil))}, "basic": {"Authorization: " + basic("caller", planted["CLIENT_SECRET"])},
	} {
		for _, path := range []string{"/v1/chat/completions", "/bank/chat/completions", "/nowhere"} {
			a := ask(t, http.MethodPost, base+path, headers, `{"model":"m","messages":[]}`)
			seen[name+" "+path] = a.Body + fmt.Sprint(a.Header)
		}
	}
	for _, form := range []string{"grant_type=client_credentials", "grant_type=nonsense", "grant_type=client_credentials&scope=none"} {
		a := ask(t, http.MethodPost, base+"/acme/oauth2/token", []string{"Content-Type: application/x-www-form-urlencoded",
			"Authorization: " + basic("caller", planted["CLIENT_SECRET"])}, form)
		seen["token "+form] = a.Body
	}
	for _, path := range []string{"/instances/acme/clients/caller", "/instances/acme/clients/caller/secrets", "/upstreams", "/consumers", "/export",
		"/audit", "/inventory", "/usage", "/ledger?consumer=key&day=" + time.Now().UTC().Format(time.DateOnly), "/health", "/consumers/key/api_keys", "/consumers/signer/hmac_keys"} {
		seen["admin "+path] = ask(t, http.MethodGet, base+"/_/admin/v1"+path, []string{bearer(adminToken)}, "").Body
	}
	command("export", "-o", export)
	command("backup", "-o", backup)
	command("diff", "-f", file)
	command("doctor")
	serving.stop(t)
	seen["log"] = serving.output.String()
	for _, name := range []string{export, backup} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		seen[filepath.Base(name)] = string(text)
	}
	dump, err := evaluate(redis, `local all = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', key).ok
  local value = kind == 'string' and redis.call('GET', key) or kind == 'hash' and cjson.encode(redis.call('HGETALL', key))
    or kind == 'list' and cjson.encode(redis.call('LRANGE', key, 0, -1)) or kind == 'stream' and cjson.encode(redis.call('XRANGE', key, '-', '+'))
    or kind == 'set' and cjson.encode(redis.call('SMEMBERS', key)) or cjson.encode(redis.call('ZRANGE', key, 0, -1))
  all[#all + 1] = key .. ' ' .. value
end
return table.concat(all, '\n')`)
	if err != nil {
		t.Fatal(err)
	}
	seen["redis"] = dump
	if len(dump) < 5000 || !strings.Contains(seen["log"], "request_id") {
		t.Errorf("the test sees too little: %d bytes of Redis, log %q", len(dump), seen["log"])
	}
	for name, secret := range planted {
		for _, text := range markerSpellings(secret) {
			for where, content := range seen {
				if at := strings.Index(content, text); at >= 0 {
					t.Errorf("%s stands in %s: …%s…", name, where, content[max(0, at-80):min(len(content), at+80)])
				}
			}
		}
	}
}
