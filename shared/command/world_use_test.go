package command

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"keyless/shared/demo"
	"keyless/shared/registry/storetest"
	"keyless/shared/seal"
)

// modelGateway is a gateway whose API models is answered by the demo model: a client acme/report with a secret, and a consumer with an
// API key may call it.
func modelGateway(t *testing.T, more map[string]string) map[string]string {
	t.Helper()
	model := httptest.NewServer(demo.Model("demo-provider-key-0123456789"))
	t.Cleanup(model.Close)
	return servingWith(t, `
version: 1
instances:
  - id: acme
    description: Acme
    privacy_agreement: accepted
    resource_servers: [{identifier: "cloud:gateway", name: Gateway, scopes: [{value: model.invoke, name: Invoke}]}]
    clients:
      - {id: report, name: Report, secrets: [{id: s1, value: client-secret-0123456789}], permissions: [{resource_server: "cloud:gateway", scopes: [model.invoke]}]}
upstreams:
  - {name: demo, protocol: openai, base_url: "`+model.URL+`/v1", api_keys: [demo-provider-key-0123456789]}
apis:
  - {name: models, type: llm, base_path: /v1, strip_base_path: true, authentication: {methods: [jwt, api_key]}, upstreams: [{upstream: demo}]}
consumers:
  - name: report
    jwt: {jwks_url: "${KEYLESS_PUBLIC_URL}/acme/oauth2/jwks", claim: scope, value: model.invoke, issuer: "${KEYLESS_PUBLIC_URL}/acme/oauth2"}
    authorizations: [{api: models}]
  - name: holder
    api_key: {keys: [{id: k1, value: api-key-of-holder-0123456789}]}
    authorizations: [{api: models, models: [demo]}]
`, more)
}

func TestFromATokenToAStreamedAnswer(t *testing.T) {
	env := modelGateway(t, map[string]string{
		"REDIS_URL": "redis://" + storetest.Redis(t), "KEYLESS_MASTER_KEY": seal.NewMasterKey(),
	})
	env["KEYLESS_PUBLIC_URL"] = env["SERVED"]
	env["KEYLESS_CLIENT_SECRET"] = "client-secret-0123456789"
	got := must(t, exitOK, env, "token", "--client-id", "acme/report", "--scope", "cloud:gateway|model.invoke")
	says(t, must(t, exitOK, env, "token", "--client-id", "acme/report", "--json"), `"token_type"`, `"expires_in"`)
	says(t, must(t, exitRefused, env, "token", "--client-id", "acme/report", "--scope", "cloud:gateway|no.such"), "invalid_scope")
	says(t, must(t, exitRefused, env, "token", "--client-id", "acme/report", "--client-secret", "another-secret-0123456789"), "401 invalid_client", "!another")
	says(t, must(t, exitFailed, env, "token", "--client-id", "acme/report", "--url", "http://127.0.0.1:1"), "call the token endpoint")

	env["KEYLESS_TOKEN"] = got[:len(got)-1]
	says(t, must(t, exitOK, env, "call", "models", "--message", "Hello", "--model", "demo"), "Hello")
	says(t, must(t, exitOK, env, "call", "models", "--message", "Hello", "--model", "demo", "--json", "--whole"), `"choices"`)
	says(t, must(t, exitOK, env, "call", "/v1/chat/completions", "--data", `{"model":"demo","messages":[{"role":"user","content":"Hi"}]}`), `"choices"`)
	says(t, must(t, exitRefused, env, "call", "models", "--message", "Hello", "--model", "demo", "--token", "x"), "401", "keyless explain")
	delete(env, "KEYLESS_TOKEN")
	says(t, must(t, exitOK, env, "call", "models", "--message", "Hello", "--model", "demo", "--client-id", "acme/report"), "Hello")
	says(t, must(t, exitOK, env, "call", "models", "--message", "Hello", "--model", "demo", "--key", "api-key-of-holder-0123456789"), "Hello")
	says(t, must(t, exitRefused, env, "call", "models", "--message", "Hello", "--model", "other", "--key", "api-key-of-holder-0123456789"), "403")
	says(t, must(t, exitRefused, env, "call", "nothing"), "api nothing", "404")
	code, out, errs := keyless(env, "api-key-of-holder-0123456789\n", "call", "models", "--message", "Hello", "--model", "demo", "--key", "-")
	if code != exitOK {
		t.Errorf("a key from standard input: exit %d\n%s%s", code, out, errs)
	}

	says(t, must(t, exitOK, env, "token", "introspect", env2token(t, env), "--client-id", "acme/report"), `"active":`)
	for where, env := range bothWays(env) {
		says(t, must(t, exitOK, env, "usage", "--by", "consumer,model"), "CONSUMER", "holder", "report", "demo")
		says(t, must(t, exitOK, env, "usage", "--csv"), "consumer,calls")
		says(t, must(t, exitOK, env, "usage", "--json"), `"rows":`)
		says(t, must(t, exitOK, env, "usage", "--jsonl", "--by", "api"), `"api":"models"`)
		says(t, must(t, exitUsage, env, "usage", "--by", "colour"), "by day, consumer")
		_ = where
	}
}

func env2token(t *testing.T, env map[string]string) string {
	t.Helper()
	got := must(t, exitOK, env, "token", "--client-id", "acme/report")
	return got[:len(got)-1]
}

func TestACallThatIsCutSaysSo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter)
		code   int
		says   string
	}{
		"a stream with its end":    {func(w http.ResponseWriter) { stream(w, `{"choices":[{"delta":{"content":"Hi"}}]}`, "[DONE]") }, exitOK, "Hi"},
		"a stream without its end": {func(w http.ResponseWriter) { stream(w, `{"choices":[{"delta":{"content":"Hi"}}]}`) }, exitFailed, "the answer was cut"},
		"a stream that fails": {func(w http.ResponseWriter) {
			stream(w, `{"choices":[{"delta":{"content":"Hi"}}]}`, `{"error":{"message":"gone\u001b[2J"}}`)
		}, exitFailed, "gone"},
		"Anthropic's stream": {func(w http.ResponseWriter) {
			stream(w, `{"type":"content_block_delta","delta":{"text":"Hi"}}`, `{"type":"message_stop"}`)
		}, exitOK, "Hi"},
		"a connection that ends": {func(w http.ResponseWriter) {
			stream(w, `{"choices":[{"delta":{"content":"Hi"}}]}`)
			panic(http.ErrAbortHandler)
		}, exitFailed, "the answer was cut"},
		"a failure of the gateway": {func(w http.ResponseWriter) { http.Error(w, "store away", http.StatusServiceUnavailable) }, exitFailed, "503"},
		"a redirect":               {func(w http.ResponseWriter) { w.Header().Set("Location", "/"); w.WriteHeader(http.StatusFound) }, exitOK, ""},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { c.answer(w) }))
		t.Cleanup(server.Close)
		code, out, errs := keyless(nil, "", "call", "/v1/chat/completions", "--url", server.URL, "--key", "k", "--message", "Hi", "--model", "m")
		if code != c.code {
			t.Errorf("%s: exit %d, want %d\n%s%s", name, code, c.code, out, errs)
		}
		says(t, out+errs, c.says, "!\x1b")
	}
}

func stream(w http.ResponseWriter, frames ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, frame := range frames {
		_, _ = w.Write([]byte("data: " + frame + "\n\n"))
	}
	_ = http.NewResponseController(w).Flush()
	time.Sleep(time.Millisecond)
}
