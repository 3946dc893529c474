package tests

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// headerTricks are lines that try to be taken for what only the gateway may say.
func headerTricks() [][]string {
	var tricks [][]string
	for _, name := range []string{"X-Consumer", "x-consumer", "X-CONSUMER", "X_Consumer", "X-Sub", "x_sub", "X-None", "X-Request-Id", "x_request_id"} {
		tricks = append(tricks, []string{name + ": evil"}, []string{name + ": evil", name + ": evil2"}, []string{"Connection: close, " + name},
			[]string{"Connection: close, " + strings.ToLower(name), name + ": evil"}, []string{name + ":evil"})
	}
	for _, line := range []string{
		"Connection: close, Authorization", "Connection: close, traceparent", "Connection: close, Host", "Connection: close, Content-Length",
		"Keep-Alive: X-Consumer", "Proxy-Connection: X-Consumer", "TE: trailers", "Trailer: X-Consumer", "Proxy-Authorization: Basic eA==", "Forwarded: for=evil",
		"X-Forwarded-For: 9.9.9.9", "X-Forwarded-Host: evil", "X-Forwarded-Proto: evil", "X-Forwarded-Prefix: /evil", "X-Forwarded-Port: 9.9.9.9", "X-Keyless-Subject: evil", "X-Original-Url: /evil", "X-Rewrite-Url: /evil",
		"X-Real-IP: 9.9.9.9", "X-HTTP-Method-Override: DELETE", "X-Fc-Account-Id: evil", "x_fc_role: evil", "Traceparent: evil", "Http2-Settings: AAAA",
	} {
		tricks = append(tricks, []string{line})
	}
	return tricks
}

// B07, RFC 9700 §4.13; C6, section 6 test 14, and the rows of section 4.3 on headers: the upstream sees our identity headers, once, with our values.
func TestB07AbuseHeaders(t *testing.T) {
	a := openAbused(t, provider)
	token := bearer(uid(t, "alice", claims{"sub": "the-subject"}))
	t.Run("C6 header tricks, 24, 27, 28", func(t *testing.T) {
		tricks := headerTricks()
		for _, trick := range tricks {
			before := a.upstream.count()
			status, body := a.get(t, "/secret/x", append([]string{token}, trick...)...)
			if status != 200 || a.upstream.count() != before+1 {
				t.Errorf("%v: %d %s", trick, status, body)
				continue
			}
			seen := a.upstream.last()
			for name, value := range map[string]string{"X-Consumer": "alice", "X-Sub": "the-subject"} {
				if !slices.Equal(seen.Header[name], []string{value}) {
					t.Errorf("%v: upstream saw %s: %v", trick, name, seen.Header[name])
				}
			}
			for name, values := range seen.Header {
				forged := slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, "evil") || strings.Contains(v, "9.9.9.9") })
				never := slices.Contains([]string{"X-None", "Te", "Trailer", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "Authorization"}, name)
				if strings.Contains(name, "_") || forged || never {
					t.Errorf("%v: upstream saw %s: %v", trick, name, values)
				}
			}
			if id := seen.Header["X-Request-Id"]; len(id) != 1 || len(id[0]) != 32 {
				t.Errorf("%v: request id %v", trick, id)
			}
			if parent := seen.Header["Traceparent"]; len(parent) != 1 || len(parent[0]) != 55 || seen.Method != http.MethodGet {
				t.Errorf("%v: traceparent %v, method %s", trick, parent, seen.Method)
			}
		}
		if len(tricks) < 60 {
			t.Errorf("only %d tricks", len(tricks))
		}
	})
	t.Run("C6 exactly one credential, 14", func(t *testing.T) {
		value := strings.TrimPrefix(token, "Authorization: ")
		for name, lines := range map[string][]string{
			"none":                {},
			"twice":               {token, token},
			"a list":              {token + ", " + value},
			"a trailing comma":    {token + ","},
			"a tab":               {"Authorization: Bearer\t" + value[7:]},
			"two spaces":          {"Authorization: Bearer  " + value[7:]},
			"a space within":      {"Authorization: Bearer " + value[7:20] + " " + value[20:]},
			"token and key":       {token, "X-Api-Key: " + testKey + "-1"},
			"two keys":            {"X-Api-Key: " + testKey + "-1", "x-api-key: " + testKey + "-1"},
			"underscored":         {strings.Replace(token, "Authorization", "Author_ization", 1)},
			"underscored key":     {"x_api_key: " + testKey + "-1"},
			"Proxy-Authorization": {"Proxy-" + token},
		} {
			if status, body := a.get(t, "/secret/x", lines...); status != 401 && status != 400 {
				t.Errorf("%s: %d %s", name, status, body)
			}
		}
		if status, _ := a.get(t, "/secret/x", token); status != 200 {
			t.Errorf("one: %d", status)
		}
	})
	t.Run("22 a skipped path in the query, 23, 25 no exception by header", func(t *testing.T) {
		for _, line := range []string{"User-Agent: ELB-HealthChecker/2.0", "User-Agent: kube-probe/1.30", "User-Agent: GoogleHC/1.0", "X-Forwarded-Uri: /open",
			"X-Original-URL: /open/x", "X-Original-Uri: /open", "X-Rewrite-Url: /open", "X-Consumer: alice", "X-Forwarded-User: alice", "X-Auth-Request-User: alice"} {
			if status, _ := a.get(t, "/secret/x?/open/x&path=/open", line); status != 401 {
				t.Errorf("%s: %d", line, status)
			}
		}
	})
	t.Run("58 one claim to one header", func(t *testing.T) {
		if status, _ := a.get(t, "/secret/x", token, "X-None: mine"); status != 200 {
			t.Fatal(status)
		}
		if seen := a.upstream.last().Header; !slices.Equal(seen["X-Sub"], []string{"the-subject"}) || seen["X-None"] != nil {
			t.Errorf("upstream saw %v", seen)
		}
	})
}

// Rows C10 and C13, and those of section 4.3 on caches and stores.
func TestAbuseOfCountersLogsAndCaches(t *testing.T) {
	a := openAbused(t, provider)
	t.Run("C10 64 at once on the last call", func(t *testing.T) {
		statuses := make(chan int, 64)
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				statuses <- ask(t, http.MethodGet, a.proxy+"/open/x", []string{"Host: last.example"}, "").Status
			})
		}
		all.Wait()
		close(statuses)
		count := map[int]int{}
		for status := range statuses {
			count[status]++
		}
		if count[200] != 1 || count[429] != 63 || a.upstream.count() != 1 {
			t.Errorf("statuses %v, upstream saw %d", count, a.upstream.count())
		}
	})
	t.Run("C13 one line for each event, 37", func(t *testing.T) {
		marks := []string{"%0A{%22level%22:%22forged%22}", "%1b%5b31m", strings.Repeat("a", 4000)}
		before := strings.Count(a.process.output.String(), "\n")
		for _, mark := range marks {
			_, _ = a.get(t, "/nothing/"+mark, "User-Agent: a%1b[31mb", "X-Long: "+strings.Repeat("x", 20<<10))
			_, _ = a.get(t, "/open/x?"+mark, "Authorization: Bearer "+mark, "Referer: x")
		}
		pause()
		lines := strings.Split(strings.TrimSuffix(a.process.output.String(), "\n"), "\n")[before:]
		if len(lines) != 2*len(marks) {
			t.Errorf("%d lines for %d requests", len(lines), 2*len(marks))
		}
		for _, line := range lines {
			var fields map[string]any
			if err := json.Unmarshal([]byte(line), &fields); err != nil || fields["msg"] != "request" || fields["level"] != "INFO" || len(line) > 2<<10 ||
				strings.ContainsAny(line, "\x1b\r") {
				t.Errorf("%d bytes: %v: %.300s", len(line), err, line)
			}
		}
	})
	t.Run("3 tokens with the same beginning", func(t *testing.T) {
		tokens := map[string]string{"first": uid(t, "alice", claims{"sub": "first"}), "second": uid(t, "alice", claims{"sub": "second"})}
		for range 2 {
			for sub, token := range tokens {
				_, _ = a.get(t, "/secret/x", bearer(token))
				if seen := a.upstream.last().Header.Get("X-Sub"); seen != sub {
					t.Errorf("the token of %s is taken for that of %s", sub, seen)
				}
			}
		}
		if status, _ := a.get(t, "/secret/x", bearer(flipLast(tokens["first"]))); status != 401 {
			t.Errorf("its signature changed after it was verified: %d", status)
		}
	})
	t.Run("7 allowed at one API, then at another", func(t *testing.T) {
		key := "X-Api-Key: " + testKey + "-1"
		first, _ := a.get(t, "/secret/x", key)
		second, _ := a.get(t, "/open/secret/x", key)
		if first != 200 || second != 403 {
			t.Errorf("%d, then %d", first, second)
		}
	})
	t.Run("1 what is presented never enters the store as it is", func(t *testing.T) {
		const mark = "mark-of-the-test-which-nobody-else-writes"
		for _, lines := range [][]string{{"Authorization: Bearer " + mark}, {"X-Api-Key: " + mark}, {"X-Ca-Key: " + mark, "X-Ca-Signature: eA=="},
			{bearer(uid(t, mark, nil))}, {"X-Request-Id: " + mark}} {
			_, _ = a.get(t, "/secret/x", lines...)
		}
		if text := dumped(t, a.redis); strings.Contains(text, mark) || strings.Contains(text, testKey) || !strings.Contains(text, "alice") {
			t.Error("the store holds what a caller presented, or a clear secret")
		}
	})
	t.Run("40 sealed keys that cannot be opened open nothing", func(t *testing.T) {
		env := slices.DeleteFunc(deployment(a.redis), func(line string) bool { return strings.HasPrefix(line, "KEYLESS_MASTER_KEY=") })
		base := function(t, "proxy", append(env, "KEYLESS_MASTER_KEY="+signingKey))
		before := a.upstream.count()
		for _, line := range []string{bearer(uid(t, "alice", nil)), "X-Api-Key: " + testKey + "-1"} {
			if reply := ask(t, http.MethodGet, base+"/secret/x", []string{line}, ""); reply.Status < 500 {
				t.Errorf("another master key: %d %s", reply.Status, reply.Body)
			}
		}
		if a.upstream.count() != before {
			t.Error("a call reached the upstream")
		}
	})
}

// dumped is all that stands in a store: names and values, as text.
func dumped(t *testing.T, redis string) string {
	t.Helper()
	connection, err := net.Dial("tcp", redis)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(5 * time.Second))
	const script = `local t = {} for _, k in ipairs(redis.call('KEYS', '*')) do t[#t+1] = k local y = redis.call('TYPE', k).ok ` +
		`if y == 'string' then t[#t+1] = redis.call('GET', k) elseif y == 'hash' then for _, v in ipairs(redis.call('HGETALL', k)) do t[#t+1] = v end ` +
		`else t[#t+1] = 'TYPE ' .. y end end return table.concat(t, '\n')`
	fmt.Fprintf(connection, "*3\r\n$4\r\nEVAL\r\n$%d\r\n%s\r\n$1\r\n0\r\n", len(script), script)
	reader := bufio.NewReader(connection)
	head, err := reader.ReadString('\n')
	var size int
	if _, failed := fmt.Sscanf(head, "$%d", &size); failed != nil || err != nil {
		t.Fatalf("%q %v", head, err)
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(reader, text); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// canary is a provider's key with all that needs escaping somewhere.
const canary = "sk-canary+/=0123456789abcdef&key"

// indiscreet answers as an upstream that tells its key wherever it can.
func indiscreet(elsewhere string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Echo", r.Header.Get("Authorization"))
		switch how := r.URL.Query().Get("how"); how {
		case "redirect":
			http.Redirect(w, r, elsewhere+"/?key="+url.QueryEscape(canary), http.StatusTemporaryRedirect)
		case "400", "401", "403", "429", "500":
			var code int
			_, _ = fmt.Sscan(how, &code)
			w.WriteHeader(code)
			fmt.Fprintf(w, `{"error":{"message":"Incorrect API key provided: %s."}}`, canary)
		case "cut":
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "data: x\n\n")
			panic(http.ErrAbortHandler)
		case "garbage":
			connection, _, _ := http.NewResponseController(w).Hijack()
			fmt.Fprintf(connection, "HTTP/1.1 200 OK\r\nX Bad %s\r\n\r\n", canary)
			connection.Close()
		case "trailer":
			w.Header().Set("Trailer", "X-Key")
			_, _ = io.WriteString(w, "{}")
			w.Header().Set("X-Key", canary)
		default:
			_, _ = io.WriteString(w, "{}")
		}
	}
}

// S-7, section 6 test 6: the provider's key reaches the configured upstream and nothing else, in no form.
func TestProviderKeyNeverLeaves(t *testing.T) {
	elsewhere := newUpstream(t)
	a := openAbused(t, canary)
	token := bearer(uid(t, "alice", nil))
	var keyed atomic.Int64
	tell := indiscreet(elsewhere.URL)
	a.upstream.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer "+canary && len(r.Header["Authorization"]) == 1 {
			keyed.Add(1)
		}
		tell(w, r)
	})
	var out bytes.Buffer
	ways := []string{"", "redirect", "400", "401", "403", "429", "500", "cut", "garbage", "trailer"}
	for _, how := range ways {
		r, _ := http.NewRequest(http.MethodPost, a.proxy+"/v1/chat/completions?how="+how, strings.NewReader(`{}`))
		r.Header.Set("Authorization", strings.TrimPrefix(token, "Authorization: "))
		transport := &http.Transport{DisableKeepAlives: true}
		response, err := transport.RoundTrip(r)
		if err != nil {
			fmt.Fprintln(&out, err)
			continue
		}
		_ = response.Write(&out)
		fmt.Fprintln(&out, response.Trailer)
		response.Body.Close()
	}
	// 2 of section 4.3: where the key goes is the registry's word, whatever the caller says.
	for _, line := range []string{"X-Upstream: " + elsewhere.URL, "Api-Base: " + elsewhere.URL, "Host: " + strings.TrimPrefix(elsewhere.URL, "http://")} {
		body := fmt.Sprintf(`{"model":"m","api_base":%q,"base_url":%q,"endpoint":%q}`, elsewhere.URL, elsewhere.URL, elsewhere.URL)
		reply := ask(t, http.MethodPost, a.proxy+"/v1/chat/completions?api_base="+elsewhere.URL, []string{line, token}, body)
		fmt.Fprintln(&out, reply.Header, reply.Body)
	}
	if keyed.Load() != int64(len(ways)+3) || elsewhere.count() != 0 {
		t.Errorf("the upstream got its key %d times, another host %d calls", keyed.Load(), elsewhere.count())
	}
	reply := ask(t, http.MethodPost, a.proxy+"/broken/chat/completions", []string{token}, `{}`)
	if reply.Status != 502 {
		t.Errorf("an upstream out of reach: %d", reply.Status)
	}
	fmt.Fprintln(&out, reply.Header, reply.Body)
	for _, path := range []string{"/_/healthz", "/_/readyz", "/_/metrics", "/v1/models", "/nothing"} {
		reply := ask(t, http.MethodGet, a.proxy+path, nil, "")
		fmt.Fprintln(&out, reply.Header, reply.Body)
	}
	pause()
	out.WriteString(a.process.output.String())
	out.WriteString(dumped(t, a.redis))
	for form, text := range map[string]string{
		"plain": canary, "base64": base64.StdEncoding.EncodeToString([]byte(canary)), "base64url": b64([]byte(canary)), "hex": hex.EncodeToString([]byte(canary)),
		"URL": url.QueryEscape(canary), "JSON": strings.ReplaceAll(canary, "&", `\u0026`), "its beginning": canary[:12],
	} {
		if at := strings.Index(out.String(), text); at >= 0 {
			t.Errorf("the provider's key shows, %s: …%s…", form, out.String()[max(0, at-300):min(out.Len(), at+60)])
		}
	}
}
