package tests

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"keyless/tests/emulator"
)

func pause() { time.Sleep(100 * time.Millisecond) }

var requestID = regexp.MustCompile(`"request_id":"[^"]*"`)

// same takes out of a body what differs from request to request.
func same(body string) string { return requestID.ReplaceAllString(body, `"request_id":"*"`) }

// openDoors starts a function behind every door and returns their base URLs by name; streaming says which pass chunks on as they come.
func openDoors(t *testing.T, name string, env []string) (bases map[string]string, streaming map[string]bool) {
	t.Helper()
	program := binary(t, name)
	bases = map[string]string{"tcp": function(t, name, env)}
	streaming = map[string]bool{"tcp": true}
	for _, mode := range []string{emulator.URL, emulator.URLStream, emulator.HTTPAPI, emulator.REST, emulator.RESTStream,
		emulator.ALB, emulator.ALBMulti} {
		more := env
		if strings.HasSuffix(mode, "-stream") {
			more = append(append([]string{}, env...), "KEYLESS_RESPONSE_MODE=stream")
			streaming["lambda "+mode] = true
		}
		f := emulator.Lambda(t, program, more, mode)
		bases["lambda "+mode] = f.URL
	}
	bases[emulator.FCEvent] = emulator.FC(t, program, env, emulator.FCEvent).URL
	bases[emulator.FCCustom] = emulator.FC(t, program, env, emulator.FCCustom).URL
	streaming[emulator.FCCustom] = true
	return bases, streaming
}

// The same request gives the same answer through each door.
func TestProxySameAnswerThroughEveryDoor(t *testing.T) {
	redis, u := redisServer(t), newUpstream(t)
	configureGateway(t, redis, u, 100000)
	issuer := function(t, "token", deployment(redis))
	token := mint(t, issuer, "caller", secretOf, "grant_type=client_credentials")
	stranger := mint(t, issuer, "stranger", secretOf, "grant_type=client_credentials")
	bases, _ := openDoors(t, "proxy", deployment(redis))
	cases := map[string]struct {
		method, path string
		headers      []string
		body         string
		status       int
		contains     string
	}{
		"a call": {"POST", "/v1/chat/completions?a=1", []string{bearer(token)}, `{"model": "m"}`, 200, `"consumer":"caller"`},
		"the provider's key": {"POST", "/v1/chat/completions", []string{bearer(token)}, `{}`, 200,
			`"authorization":"Bearer ` + strings.Repeat("*", len(provider)) + `"`}, // which the upstream saw, and nobody else does
		"no token":                 {"POST", "/v1/chat/completions", nil, `{}`, 401, "JWT missing"},
		"a bad token":              {"POST", "/v1/chat/completions", []string{bearer("a.b.c")}, `{}`, 401, "JWT verification fails"},
		"not authorized":           {"POST", "/v1/chat/completions", []string{bearer(stranger)}, `{}`, 403, "Access Denied"},
		"no such API":              {"GET", "/nowhere", nil, ``, 404, "No API matches this host and path"},
		"an open API":              {"GET", "/open/a", nil, ``, 200, `"path":"/open/a"`},
		"a path with two readings": {"GET", "/open/a//b", nil, ``, 400, "canonical"},
		"the document's first":     {"GET", "/test", nil, ``, 401, "JWT missing"},
		"the document's second":    {"GET", "/test", []string{bearer(documentToken + "1")}, ``, 401, "JWT verification fails"},
		"the document's third":     {"GET", "/test", []string{bearer(documentToken + "4")}, ``, 403, "Access Denied"},
	}
	for title, c := range cases {
		for door, base := range bases {
			a := ask(t, c.method, base+c.path, c.headers, c.body)
			if a.Status != c.status || !strings.Contains(a.Body, c.contains) {
				t.Errorf("%s through %s: %d %s; want %d with %s", title, door, a.Status, a.Body, c.status, c.contains)
			}
			if a.Header.Get("X-Request-Id") == "" {
				t.Errorf("%s through %s: no X-Request-Id", title, door)
			}
			if c.status == 401 && a.Header.Get("WWW-Authenticate") == "" && a.Header.Get("X-Amzn-Remapped-Www-Authenticate") == "" {
				t.Errorf("%s through %s: no challenge", title, door)
			}
			if base != bases["tcp"] {
				if want := ask(t, c.method, bases["tcp"]+c.path, c.headers, c.body); same(want.Body) != same(a.Body) {
					t.Errorf("%s through %s: body %s, over TCP %s", title, door, a.Body, want.Body)
				}
			}
		}
	}
}

const documentToken = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6IjEyMyJ9." +
	"eyJpc3MiOiJhYmNkIiwic3ViIjoidGVzdCIsImlhdCI6MTY2NTY2MDUyNywiZXhwIjoxODY1NjczODE5fQ." +
	"-vBSV0bKeDwQcuS6eeSZN9dLTUnSnZVk8eVCXdooCQ"

// A cut upstream looks cut through every door: the body ends in an error, or an error event stands at its end, or the answer is a 502.
func TestCutUpstreamLooksCutThroughEveryDoor(t *testing.T) {
	redis, u := redisServer(t), newUpstream(t)
	configureGateway(t, redis, u, 100000)
	token := mint(t, function(t, "token", deployment(redis)), "caller", secretOf, "grant_type=client_credentials")
	bases, _ := openDoors(t, "proxy", deployment(redis))
	for door, base := range bases {
		a := ask(t, http.MethodPost, base+"/v1/chat/completions?then=cut", []string{bearer(token)}, `{"stream":true}`)
		told := strings.Contains(a.Body, `"error"`)
		switch {
		case a.Status == 502:
		case a.Status == 200 && told:
		default:
			t.Errorf("%s: status %d, body %q, read error %v: looks whole", door, a.Status, a.Body, a.Err)
		}
		if whole := ask(t, http.MethodPost, base+"/v1/chat/completions?then=stream", []string{bearer(token)}, `{}`); whole.Err != nil ||
			whole.Status != 200 || !strings.HasSuffix(whole.Body, "data: [DONE]\n\n") {
			t.Errorf("%s after a cut: %d %q %v", door, whole.Status, whole.Body, whole.Err)
		}
	}
}

// Streaming doors hand each event on before the next is made.
func TestStreamsArriveAsTheyAreMade(t *testing.T) {
	redis := redisServer(t)
	next := make(chan struct{})
	u := newUpstream(t)
	u.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			http.NewResponseController(w).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	})
	configureGateway(t, redis, u, 100000)
	token := mint(t, function(t, "token", deployment(redis)), "caller", secretOf, "grant_type=client_credentials")
	bases, streaming := openDoors(t, "proxy", deployment(redis))
	for door := range streaming {
		r, _ := http.NewRequest(http.MethodPost, bases[door]+"/v1/chat/completions", strings.NewReader(`{"stream":true}`))
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		reader := bufio.NewReader(response.Body)
		for i := range 3 {
			for _, want := range []string{fmt.Sprintf("data: %d\n", i), "\n"} {
				if line, err := reader.ReadString('\n'); err != nil || line != want {
					t.Fatalf("%s: line %q, %v; want %q", door, line, err, want)
				}
			}
			next <- struct{}{} // only now the upstream makes the next event
		}
		response.Body.Close()
	}
}

// The token endpoint and the published documents are the same through each door.
func TestTokenAndKeysThroughEveryDoor(t *testing.T) {
	redis, u := redisServer(t), newUpstream(t)
	configureGateway(t, redis, u, 100)
	form := url.Values{"grant_type": {"client_credentials"},
		"scope": {"cloud:idaas:aigateway:alibabacloud:1234567890|model.invoke"}}.Encode()
	issuers, _ := openDoors(t, "token", deployment(redis))
	for door, base := range issuers {
		if token := mint(t, base, "caller", secretOf, form); strings.Count(token, ".") != 2 {
			t.Errorf("%s: %s", door, token)
		}
		a := ask(t, http.MethodPost, base+"/acme/oauth2/token", []string{
			"Content-Type: application/x-www-form-urlencoded", "Authorization: " + basic("caller", "wrong")}, form)
		if a.Status != 401 || !strings.Contains(a.Body, "invalid_client") || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: wrong secret: %d %s %v", door, a.Status, a.Body, a.Header)
		}
	}
	publishers, _ := openDoors(t, "jwks", deployment(redis))
	for _, path := range []string{"/acme/oauth2/jwks", "/acme/oauth2/.well-known/openid-configuration",
		"/.well-known/openid-configuration/acme/oauth2", "/.well-known/oauth-authorization-server/acme/oauth2"} {
		want := ask(t, http.MethodGet, publishers["tcp"]+path, nil, "")
		for door, base := range publishers {
			if a := ask(t, http.MethodGet, base+path, nil, ""); a.Status != 200 || a.Body != want.Body {
				t.Errorf("%s %s: %d %s; over TCP %s", door, path, a.Status, a.Body, want.Body)
			}
		}
	}
}

// The functions that a cold start waits for: at most 12 MB stripped, the proxy a quarter more for what it translates and meters, and under 30 ms of CPU until the runtime API is asked for work.
// What else the machine does adds to a start, so the best of a few counts.
func TestFunctionsStartSmallAndQuick(t *testing.T) {
	const largest, longest, starts = 12 << 20, 30 * time.Millisecond, 5
	for _, name := range []string{"token", "jwks", "authorizer", "proxy"} {
		program := binary(t, name)
		info, err := os.Stat(program)
		if err != nil {
			t.Fatal(err)
		}
		best := time.Hour
		for range starts {
			// No store runs at this address: init must not need one.
			f := emulator.Lambda(t, program, deployment("127.0.0.1:1"), emulator.URL)
			best = min(best, f.InitCPU)
			f.Close()
		}
		t.Logf("%s: %.1f MB, handshake after %v of CPU", name, float64(info.Size())/(1<<20), best)
		most := int64(largest)
		if name == "proxy" {
			most += 256 << 10
		}
		if info.Size() > most {
			t.Errorf("%s has %d bytes", name, info.Size())
		}
		if best > longest {
			t.Errorf("%s took %v of CPU to the handshake", name, best)
		}
	}
}

// Lambda's authorizer events, over the runtime API.
func TestAuthorizerEvents(t *testing.T) {
	redis, u := redisServer(t), newUpstream(t)
	configureGateway(t, redis, u, 4)
	issuer := function(t, "token", deployment(redis))
	good := mint(t, issuer, "caller", secretOf, "grant_type=client_credentials")
	stranger := mint(t, issuer, "stranger", secretOf, "grant_type=client_credentials")
	f := emulator.Lambda(t, binary(t, "authorizer"), deployment(redis), emulator.Raw)
	const arn = "arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/GET/reports/daily"
	events := map[string]func(token string) string{
		"TOKEN": func(token string) string {
			return fmt.Sprintf(`{"type":"TOKEN","authorizationToken":%q,"methodArn":%q}`, "Bearer "+token, arn)
		},
		"REQUEST": func(token string) string {
			return fmt.Sprintf(`{"type":"REQUEST","methodArn":%q,"resource":"/reports/{id}","path":"/reports/daily","httpMethod":"GET",
				"headers":{"Authorization":%q},"multiValueHeaders":{"Authorization":[%q]},
				"requestContext":{"domainName":"abcdef1234.execute-api.us-east-1.amazonaws.com","stage":"prod","requestId":"r"}}`,
				arn, "Bearer "+token, "Bearer "+token)
		},
		"2.0": func(token string) string {
			return fmt.Sprintf(`{"version":"2.0","type":"REQUEST","routeArn":%q,"identitySource":[%q],"routeKey":"GET /reports/{id}",
				"rawPath":"/reports/daily","headers":{"authorization":%q},"requestContext":{"domainName":
				"abcdef1234.execute-api.us-east-1.amazonaws.com","stage":"$default","http":{"method":"GET","path":"/reports/daily"}}}`,
				arn, "Bearer "+token, "Bearer "+token)
		},
	}
	for name, event := range events {
		reply, fault := f.Invoke([]byte(event(good)))
		if fault != "" || !allowed(t, reply) {
			t.Errorf("%s allowed: %s %s", name, reply, fault)
		}
		if strings.Contains(string(reply), `"Resource":"*"`) || strings.Contains(string(reply), `["*"]`) {
			t.Errorf("%s: policy for everything: %s", name, reply)
		}
		reply, fault = f.Invoke([]byte(event(stranger)))
		if fault != "" || allowed(t, reply) || !strings.Contains(string(reply), "access_denied") {
			t.Errorf("%s refused: %s %s", name, reply, fault)
		}
		reply, fault = f.Invoke([]byte(event("nonsense")))
		if name == "2.0" {
			if fault != "" || allowed(t, reply) {
				t.Errorf("2.0 unproven: %s %s", reply, fault)
			}
		} else if fault != "Unauthorized" {
			t.Errorf("%s unproven: %s %q", name, reply, fault)
		}
	}
	// Three were admitted; the domain has four a day, and the authorizer counts for a backend that is not ours.
	if reply, fault := f.Invoke([]byte(events["2.0"](good))); fault != "" || !allowed(t, reply) {
		t.Errorf("fourth: %s %s", reply, fault)
	}
	if reply, fault := f.Invoke([]byte(events["2.0"](good))); fault != "" || allowed(t, reply) ||
		!strings.Contains(string(reply), "domain_limit") {
		t.Errorf("fifth: %s %s", reply, fault)
	}
}

// allowed reads either reply: a policy whose first fitting statement allows, or the simple response.
func allowed(t *testing.T, reply []byte) bool {
	t.Helper()
	var r struct {
		IsAuthorized   *bool `json:"isAuthorized"`
		PolicyDocument struct {
			Statement []struct {
				Effect   string
				Resource []string
			}
		} `json:"policyDocument"`
	}
	if err := json.Unmarshal(reply, &r); err != nil {
		t.Fatalf("reply %s: %v", reply, err)
	}
	if r.IsAuthorized != nil {
		return *r.IsAuthorized
	}
	may := false
	for _, s := range r.PolicyDocument.Statement {
		for _, resource := range s.Resource {
			if strings.Contains(resource, "/reports") {
				if s.Effect == "Deny" {
					return false
				}
				may = true
			}
		}
	}
	return may
}
