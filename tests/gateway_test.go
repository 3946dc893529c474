package tests

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// gateway is the configuration that the black-box tests share: an LLM API, an open HTTP one and an authorizer-only one.
const gateway = `
version: 1
instances:
  - id: acme
    description: Machines of Acme
    privacy_agreement: accepted
    resource_servers:
      - identifier: cloud:idaas:aigateway:alibabacloud:1234567890
        name: Model gateway
        scopes:
          - {value: model.invoke, name: Invoke models}
          - {value: report.read, name: Read reports}
    clients:
      - id: caller
        name: Caller
        secrets: [{id: s1, value: "${CLIENT_SECRET}"}]
        permissions: [{resource_server: "cloud:idaas:aigateway:alibabacloud:1234567890", scopes: [model.invoke]}]
      - id: stranger
        name: Stranger
        secrets: [{id: s1, value: "${CLIENT_SECRET}"}]
        permissions: [{resource_server: "cloud:idaas:aigateway:alibabacloud:1234567890", scopes: [report.read]}]
domains:
  - {name: default, daily_call_limit: @LIMIT@}
upstreams:
  - name: model
    protocol: openai
    base_url: ${UPSTREAM}/v1
    api_keys: ["${PROVIDER_KEY}"]
  - {name: backend, protocol: http, base_url: "${UPSTREAM}"}
apis:
  - {name: models, type: llm, base_path: /v1, strip_base_path: true, authentication: {methods: [jwt]}, upstreams: [{upstream: model}]}
  - {name: open, type: http, base_path: /open, authentication: disabled, upstreams: [{upstream: backend}]}
  - {name: reports, type: http, base_path: /reports, authentication: {methods: [jwt]}}
  - {name: test, type: http, base_path: /test, authentication: {methods: [jwt]}, upstreams: [{upstream: backend}]}
consumers:
  - name: caller
    jwt:
      jwks_url: ${KEYLESS_PUBLIC_URL}/acme/oauth2/jwks
      claim: scope
      value: model.invoke
      issuer: ${KEYLESS_PUBLIC_URL}/acme/oauth2
      audience: cloud:idaas:aigateway:alibabacloud:1234567890
    authorizations: [{api: models}, {api: reports}]
  - name: stranger
    jwt:
      jwks_url: ${KEYLESS_PUBLIC_URL}/acme/oauth2/jwks
      claim: scope
      value: report.read
  - name: consumer1
    jwt:
      jwks: >-
        {"kty":"oct","alg":"HS256","kid":"123","k":"hM0k3AbXBPpKOGg__Ql2Obcq7s60myWDpbHXzgKUQdYo7YCRp0gUqkCnbGSvZ2rGEl4YFkKqIqW7mTHdj-bcqXpNr-NOznEyMpVPOIlqG_NWVC3dydBgcsIZIdD-MR2AQceEaxriPA_VmiUCwfwL2Bhs6_i7eolXoY11EapLQtutz0BV6ZxQQ4dYUmct--7PLNb4BWJyQeWu0QfbIthnvhYllyl2dgeLTEJT58wzFz5HeNMNz8ohY5K0XaKAe5cepryqoXLhA-V-O1OjSG8lCNdKS09OY6O0fkyweKEtuDfien5tHHSsHXoAxYEHPFcSRL4bFPLZ0orTt1_4zpyfew"}
      claim: sub
      value: test
      issuer: abcd
      max_lifetime: @LIFETIME@
`

// upstream is a recording backend: it answers JSON, or a stream where the body asks for one.
type upstream struct {
	*httptest.Server
	mu   sync.Mutex
	seen []*http.Request
	body []string
}

func newUpstream(t *testing.T) *upstream { return newUpstreamAt(t, "127.0.0.1:0") }

func newUpstreamAt(t *testing.T, address string) *upstream {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{}
	u.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		u.mu.Lock()
		u.seen, u.body = append(u.seen, r), append(u.body, string(body))
		u.mu.Unlock()
		switch {
		case r.URL.Query().Get("then") == "cut":
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: one\n\n")
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case r.URL.Query().Get("then") == "stream":
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 3 {
				fmt.Fprintf(w, "data: %d\n\n", i)
				http.NewResponseController(w).Flush()
			}
			fmt.Fprint(w, "data: [DONE]\n\n")
		default:
			w.Header().Set("Content-Type", "application/json")
			w.Header().Add("X-Upstream", "a")
			fmt.Fprintf(w, `{"path":%q,"query":%q,"consumer":%q,"authorization":%q}`,
				r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Get("X-Consumer"), r.Header.Get("Authorization"))
		}
	}))
	_ = u.Listener.Close()
	u.Listener = listener
	u.Start()
	t.Cleanup(u.Server.Close)
	return u
}

func (u *upstream) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.seen)
}

// configureGateway applies the shared configuration with a daily limit of the default domain, in front of the upstream.
func configureGateway(t *testing.T, redisAddr string, u *upstream, limit int) {
	t.Helper()
	text := strings.NewReplacer("@LIMIT@", fmt.Sprint(limit), "@LIFETIME@", "2400d").Replace(gateway)
	configure(t, redisAddr, text, "CLIENT_SECRET="+secretOf, "PROVIDER_KEY="+provider, "UPSTREAM="+u.URL)
}
