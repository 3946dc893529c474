package tests

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// abuseConfig has protected APIs beside and within an open one, so that a path which is judged as one and served as another would show.
const abuseConfig = `
version: 1
domains: [{name: default, daily_call_limit: 0}, {name: last.example, daily_call_limit: 1}]
upstreams:
  - {name: backend, protocol: http, base_url: "${UPSTREAM}"}
  - {name: model, protocol: openai, base_url: "${UPSTREAM}/v1", api_keys: ["${PROVIDER_KEY}"]}
  - {name: broken, protocol: openai, base_url: "http://127.0.0.1:1/v1", api_keys: ["${PROVIDER_KEY}"]}
apis:
  - {name: open, type: http, base_path: /open, authentication: disabled, upstreams: [{upstream: backend}]}
  - {name: secret, type: http, base_path: /secret, upstreams: [{upstream: backend}]}
  - {name: secret-within, type: http, base_path: /open/secret, upstreams: [{upstream: backend}]}
  - {name: small, type: http, base_path: /small, authentication: disabled, body_max_bytes: 1024, upstreams: [{upstream: backend}]}
  - {name: models, type: llm, base_path: /v1, strip_base_path: true, upstreams: [{upstream: model}]}
  - {name: broken, type: llm, base_path: /broken, strip_base_path: true, upstreams: [{upstream: broken}]}
consumers:
  - name: alice
    jwt: {jwks: "${OCT}", value: alice, claims_to_headers: [{claim: sub, header: X-Sub}, {claim: none, header: X-None}]}
    authorizations: [{api: secret}, {api: secret-within}, {api: models}, {api: broken}]
  - {name: key, api_key: {source: {header: x-api-key}, keys: [{id: k1, value: "${KEY}-1"}]}, authorizations: [{api: secret}]}
`

// abused is a proxy with its upstream and its store.
type abused struct {
	proxy    string
	address  string
	process  *child
	upstream *upstream
	redis    string
}

func openAbused(t *testing.T, providerKey string) abused {
	t.Helper()
	redis, u := redisServer(t), newUpstream(t)
	k, _ := keysOf(t)
	configure(t, redis, abuseConfig, "UPSTREAM="+u.URL, "PROVIDER_KEY="+providerKey, "KEY="+testKey, "OCT="+octJWK(k.oct, "o1"))
	port := freePort(t)
	c := spawn(t, append(deployment(redis), "PORT="+port), binary(t, "proxy"))
	await(t, "http://127.0.0.1:"+port+"/_/healthz")
	return abused{"http://127.0.0.1:" + port, "127.0.0.1:" + port, c, u, redis}
}

// raw writes bytes to a new connection and returns the answers, until the other side ends it or says nothing for a while.
func (a abused) raw(t *testing.T, text string) (statuses []int, bodies []string) {
	t.Helper()
	return a.send(t, text, false)
}

// send is raw; where the text is all, its end is shown by closing our side. To a server that looks like a client who left.
func (a abused) send(t *testing.T, text string, all bool) (statuses []int, bodies []string) {
	t.Helper()
	connection, err := net.Dial("tcp", a.address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.WriteString(connection, text) // it may be cut off half way, and answered nevertheless
	if all {
		_ = connection.(*net.TCPConn).CloseWrite()
	}
	reader := bufio.NewReader(connection)
	for {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return statuses, bodies
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		statuses, bodies = append(statuses, response.StatusCode), append(bodies, string(body))
		_ = connection.SetDeadline(time.Now().Add(200 * time.Millisecond)) // for what a tail may be answered
	}
}

const rawHost = "Host: gateway.example\r\n"

// get sends a target and header lines as they are.
func (a abused) get(t *testing.T, target string, lines ...string) (int, string) {
	t.Helper()
	head := "GET " + target + " HTTP/1.1\r\n" + rawHost
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "Connection:") }) {
		head += "Connection: close\r\n"
	}
	for _, line := range lines {
		head += line + "\r\n"
	}
	statuses, bodies := a.raw(t, head+"\r\n")
	if len(statuses) == 0 {
		return 0, ""
	}
	return statuses[0], bodies[0]
}

// spellings are targets that two readers may understand differently, and honest neighbours of them.
func spellings() []string {
	return []string{
		"/open/../secret/x", "/open/%2e%2e/secret/x", "/open/.%2e/secret/x", "/open/%2E%2E/secret/x", "/open/..%2fsecret/x", "/open/..%2Fsecret/x",
		"/open/..%5csecret/x", "/open/..%5Csecret/x", `/open/..\secret\x`, "/open/..;/secret/x", "/open/..;v=1/secret/x", "/open/.;/secret/x",
		"/open/%252e%252e/secret/x", "/open/%c0%ae%c0%ae/secret/x", "/open/%e0%80%ae%e0%80%ae/secret/x", "/open/%ff/secret/x",
		"/open/%00/secret/x", "/open/x%00", "/open/%0a/secret", "/open/%0d%0aX-A:%20b", "/open/%09", "/open/%7f",
		"/open//secret/x", "/open///secret", "/open/./secret/x", "/open/%2e/secret/x", "/open/secret//x", "/open/secret/./x", "/open/x/../secret/x",
		"/open/secre%74/x", "/open/%73ecret/x", "/open/%53ecret/x", "/op%65n/x", "/%6fpen/x", "/%73ecret/x", "/secre%74/x", "/s%65cret",
		"/open/secret%2fx", "/open/secret%2Fx", "/open%2fsecret/x", "/open%2Fsecret/x", "/%2fopen/x", "/%2Fsecret/x", "/open/%5cx", "/open/%5Cx",
		"/open/secret;x/y", "/open/secret;/y", "/open;/secret/x", "/;/secret/x", "/open/x;jsessionid=1", "/open/x%3bv=1", "/open/x%3Bv=1",
		"/open/x%23y", "/open/x#y", "/open/secret#y", "/open/x%3fy", "/open/x%3Fy=1", "/open/x%25", "/open/x%2525", "/open/x%", "/open/x%2", "/open/x%zz",
		"//secret/x", "//open/x", "///open", "//gateway.example/secret/x", "/open/..", "/open/.", "/open/../..", "/..", "/.", "/../open/x", "/./open/x",
		"/OPEN/x", "/Secret/x", "/open/SECRET/x", "/open/Secret/x", "/openx/secret", "/secretx", "/open/secretx", "/open/secre",
		"/open/ x", "/open/\tx", "/open/x y", "/open/\u00fc", "/open/%c3%bc", "/open/%C3%BC", "/open/%C3%bc", "/open/%E2%80%AE/x", "/open/\xff",
		"/open/*", "/open/a+b", "/open/a%20b", "/open/a%2Bb", "/open/a%2bb", "/open/a:b@c", "/open/!$&'()*+,=", "/open/a,b=c", "/open/~x/-._", "/open/%7Ex",
		"/open/%3Cx%3E", "/open/<x>", "/open/|", "/open/%7C", "/open/^", "/open/`", "/open/{x}", "/open/[x]", "/open/%5Bx%5D", `/open/"x"`,
		"/open/", "/open", "/secret/", "/secret", "/open/secret", "/open/secret/", "/open/x/", "/open/x//", "/open//", "//",
		"/open/x?a=1#f", "/open/x?../secret", "/open/x?a=%2e%2e", "/open?/secret", "/open/?x=/secret/y", "/open/x??", "/secret?x=/open/y", "/secret/x?.css",
		"open/x", "secret/x", "*", "", "?x", "http://gateway.example/open/x", "http://gateway.example/secret/x", "http://gateway.example/open/../secret",
		"https://gateway.example/open/x", "http://gateway.example", "gateway.example:80", "javascript:x", "http:///open/x",
		"http://user:pw@gateway.example/secret/x", "/" + strings.Repeat("a/", 2000) + "x", "/open/" + strings.Repeat("a", 5000),
	}
}

// originForm is a target without scheme and host, as it must reach the upstream.
func originForm(target string) string {
	if _, rest, absolute := strings.Cut(target, "://"); absolute {
		_, path, _ := strings.Cut(rest, "/")
		return "/" + path
	}
	return target
}

func under(path, base string) bool { return path == base || strings.HasPrefix(path, base+"/") }

// C5, section 6 test 13: each spelling of a path is refused, or the upstream sees the path that was judged, byte for byte.
func TestAbusePaths(t *testing.T) {
	a := openAbused(t, provider)
	for name, c := range map[string]struct {
		lines  []string
		passed int
	}{
		"C5 path tricks, a stranger":   {nil, 20},
		"C5 path tricks, a credential": {[]string{bearer(uid(t, "alice", nil))}, 25},
	} {
		t.Run(name, func(t *testing.T) {
			passed, all := 0, spellings()
			for _, target := range all {
				before := a.upstream.count()
				status, body := a.get(t, target, c.lines...)
				reached := a.upstream.count() - before
				if status != 200 {
					if reached != 0 || !slices.Contains([]int{400, 401, 404}, status) {
						t.Errorf("%q: %d, upstream saw %d calls: %s", target, status, reached, body)
					}
					continue
				}
				passed++
				seen := a.upstream.last()
				path, _, _ := strings.Cut(seen.RequestURI, "?")
				protected := under(path, "/secret") || under(path, "/open/secret")
				if reached != 1 || seen.RequestURI != originForm(target) || protected != (seen.Header.Get("X-Consumer") == "alice") ||
					protected && c.lines == nil || !protected && !under(path, "/open") {
					t.Errorf("%q reached the upstream as %q, consumer %q", target, seen.RequestURI, seen.Header.Get("X-Consumer"))
				}
			}
			if len(all) < 120 || passed < c.passed {
				t.Errorf("%d spellings, of which %d passed", len(all), passed)
			}
			t.Logf("%d spellings, %d passed", len(all), passed)
		})
	}
	t.Run("C14 enumeration", func(t *testing.T) {
		unknown, body := a.get(t, "/no-such-api/x")
		if unknown != 404 || strings.Contains(body, "secret") {
			t.Errorf("unknown: %d %s", unknown, body)
		}
		// What exists within a protected API and what does not look the same to a stranger.
		first, firstBody := a.get(t, "/secret/exists")
		second, secondBody := a.get(t, "/secret/does-not")
		if first != 401 || second != 401 || same(firstBody) != same(secondBody) {
			t.Errorf("%d %s, %d %s", first, firstBody, second, secondBody)
		}
	})
}

// framed is a way to say where a body ends, and what may be answered.
type framed struct {
	head, body string
	want       []int
}

var framings = map[string]framed{
	"two lengths":              {"Content-Length: 4\r\nContent-Length: 5\r\n", "xxxxx", []int{400}},
	"a length of a list":       {"Content-Length: 4, 5\r\n", "xxxxx", []int{400}},
	"a length with a sign":     {"Content-Length: +4\r\n", "xxxx", []int{400}},
	"a negative length":        {"Content-Length: -1\r\n", "", []int{400}},
	"length and chunks":        {"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", []int{200, 400}},
	"a request as a tail":      {"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nGET /secret/smuggled HTTP/1.1\r\n" + rawHost + "\r\n", []int{200, 400}},
	"a space before the colon": {"Transfer-Encoding : chunked\r\n", "0\r\n\r\n", []int{400}},
	"chunks by another name":   {"Transfer-Encoding: xchunked\r\n", "0\r\n\r\n", []int{400, 501}},
	"identity":                 {"Transfer-Encoding: identity\r\n", "", []int{400, 501}},
	"two encodings":            {"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n", []int{400, 501}},
	"a bad chunk":              {"Transfer-Encoding: chunked\r\n", "zz\r\nxx\r\n0\r\n\r\n", []int{400}},
	"a chunk cut short":        {"Transfer-Encoding: chunked\r\n", "5\r\nxx", []int{400}},
	"an extension of a chunk":  {"Transfer-Encoding: chunked\r\n", "2;a=b\r\nxx\r\n0\r\n\r\n", []int{200, 400}},
	"two hosts":                {"Host: other.example\r\n", "", []int{400}},
	"a null in a value":        {"X-A: a\x00b\r\n", "", []int{400}},
	"a null in a name":         {"X\x00A: b\r\n", "", []int{400}},
	"a space in a name":        {"X A: b\r\n", "", []int{400}},
	"a bare line feed":         {"X-A: b\nX-B: c\r\n", "", []int{200, 400}},
	"a folded line":            {"X-A: b\r\n c: d\r\n", "", []int{200, 400}},
	"a carriage return":        {"X-A: b\rX-B: c\r\n", "", []int{200, 400}},
}

// Rows C2, C3, C4 and C7: what a hostile client does to a connection.
func TestAbuseConnections(t *testing.T) {
	a := openAbused(t, provider)
	dribbled := make(chan string, 1)
	go func() { dribbled <- dribble(a.address) }() // C2; it takes seconds, which the others pass meanwhile
	t.Run("C3 large heads, bodies and queries", func(t *testing.T) {
		for size, want := range map[int]int{16 << 10: 200, 64 << 10: 431} {
			if status, _ := a.get(t, "/open/x", "X-Big: "+strings.Repeat("x", size)); status != want {
				t.Errorf("a head of %d bytes: %d", size, status)
			}
		}
		for number, want := range map[int]int{100: 200, 101: 400} {
			if status, _ := a.get(t, "/open/x?"+strings.Repeat("a=1&", number-1)+"a=1"); status != want {
				t.Errorf("%d parameters: %d", number, status)
			}
		}
		post := "POST /small/x HTTP/1.1\r\n" + rawHost + "Connection: close\r\n"
		before := a.upstream.count()
		for name, request := range map[string]string{
			"announced": post + "Content-Length: 1025\r\n\r\n" + strings.Repeat("x", 1025),
			"chunked":   post + "Transfer-Encoding: chunked\r\n\r\n401\r\n" + strings.Repeat("x", 1025) + "\r\n0\r\n\r\n",
			"a lie":     post + "Content-Length: 999999999999\r\n\r\nx",
		} {
			if statuses, bodies := a.raw(t, request); !slices.Equal(statuses, []int{413}) || !strings.Contains(bodies[0], "Request Body Too Large") {
				t.Errorf("%s: %v %v", name, statuses, bodies)
			}
		}
		if a.upstream.count() != before {
			t.Error("the upstream saw a body that was too large")
		}
		if statuses, _ := a.raw(t, post+"Content-Length: 1024\r\n\r\n"+strings.Repeat("x", 1024)); !slices.Equal(statuses, []int{200}) {
			t.Errorf("the largest that is taken: %v", statuses)
		}
	})
	t.Run("C4 framing", func(t *testing.T) {
		for name, f := range framings {
			before := a.upstream.count()
			statuses, bodies := a.send(t, "POST /open/framed HTTP/1.1\r\n"+rawHost+f.head+"\r\n"+f.body, name == "a chunk cut short")
			reached := a.upstream.count() - before
			switch {
			case len(statuses) == 0 || !slices.Contains(f.want, statuses[0]):
				t.Errorf("%s: %v %v", name, statuses, bodies)
			case statuses[0] != 200 && reached != 0:
				t.Errorf("%s: refused, and the upstream saw it", name)
			case statuses[0] == 200:
				if seen := a.upstream.last(); reached != 1 || seen.URL.Path != "/open/framed" || len(seen.TransferEncoding) > 0 {
					t.Errorf("%s: the upstream saw %d calls, %s, encoding %v", name, reached, seen.URL.Path, seen.TransferEncoding)
				}
			}
			if len(statuses) > 1 && statuses[1] != 400 && statuses[1] != 401 {
				t.Errorf("%s: what followed was answered %v", name, statuses)
			}
		}
		get := func(path string) string { return "GET " + path + " HTTP/1.1\r\n" + rawHost + "\r\n" }
		if statuses, _ := a.raw(t, get("/open/a")+get("/secret/b")+get("/open/c")); !slices.Equal(statuses, []int{200, 401, 200}) {
			t.Errorf("pipelined: %v", statuses)
		}
		for _, method := range []string{"CONNECT", "TRACE"} { // 42 of section 4.3: nothing may take the connection
			statuses, _ := a.raw(t, method+" /open/x HTTP/1.1\r\n"+rawHost+"Connection: close\r\n\r\n")
			if len(statuses) != 1 || statuses[0] != 501 && statuses[0] != 400 {
				t.Errorf("%s: %v", method, statuses)
			}
		}
		if status, _ := a.get(t, "/open/x", "Upgrade: websocket", "Connection: Upgrade, close"); status != 501 {
			t.Errorf("upgrade: %d", status)
		}
	})
	t.Run("C7 Expect: 100-continue with a refusal", func(t *testing.T) {
		if first, final := a.expect(t, "/secret/x"); first != 401 || final != 401 {
			t.Errorf("refused: %d, then %d", first, final)
		}
		if first, final := a.expect(t, "/open/x"); first != 100 || final != 200 || a.upstream.last().Header.Get("Expect") != "" {
			t.Errorf("allowed: %d, then %d; the upstream saw %v", first, final, a.upstream.last().Header)
		}
	})
	t.Run("C1 a client that leaves a stream", func(t *testing.T) {
		handler, left := a.upstream.Config.Handler, make(chan struct{})
		defer func() { a.upstream.Config.Handler = handler }()
		a.upstream.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: 1\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			close(left)
		})
		connection, err := net.Dial("tcp", a.address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(connection, "GET /open/stream HTTP/1.1\r\n"+rawHost+"\r\n")
		_, _ = bufio.NewReader(connection).ReadString('\n')
		connection.Close()
		select {
		case <-left:
		case <-time.After(2 * time.Second):
			t.Error("the upstream still sends to nobody")
		}
	})
	t.Run("C2 a head that dribbles", func(t *testing.T) {
		if fault := <-dribbled; fault != "" {
			t.Error(fault)
		}
	})
}

// expect announces a body and waits to be asked for it; it returns the first status and the last.
func (a abused) expect(t *testing.T, path string) (first, final int) {
	t.Helper()
	connection, err := net.Dial("tcp", a.address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(3 * time.Second))
	fmt.Fprintf(connection, "POST %s HTTP/1.1\r\n%sContent-Length: 4\r\nExpect: 100-continue\r\n\r\n", path, rawHost)
	reader := bufio.NewReader(connection)
	status := func() (code int) {
		line, _ := reader.ReadString('\n')
		_, _ = fmt.Sscanf(line, "HTTP/1.1 %d", &code)
		return code
	}
	if first = status(); first != 100 {
		return first, first
	}
	_, _ = reader.ReadString('\n')
	_, _ = io.WriteString(connection, "body")
	return first, status()
}

// dribble sends a head byte by byte until it is cut off, and returns what is wrong with how long that took.
func dribble(address string) string {
	const patience = 15 * time.Second
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return err.Error()
	}
	defer connection.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, connection)
	}()
	_, _ = io.WriteString(connection, "GET /open/x HTTP/1.1\r\nX-Slow: ")
	for began := time.Now(); time.Since(began) < patience; {
		select {
		case <-ended:
			return ""
		case <-time.After(100 * time.Millisecond):
			_, _ = io.WriteString(connection, "x")
		}
	}
	return "it held a connection for " + patience.String()
}
