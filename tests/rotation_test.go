package tests

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The change of signing keys and of master keys, on real processes and a real Redis (reliability A6, A7, S-2,
// tests 20 and 27).

// rotateEvery and rotations: ten seconds of it, or the whole minute where somebody has the time
// (KEYLESS_TEST_LONG).
const rotateEvery = 200 * time.Millisecond

func rotations() int {
	if os.Getenv("KEYLESS_TEST_LONG") != "" {
		return int(time.Minute / rotateEvery)
	}
	return int(10 * time.Second / rotateEvery)
}

// newMasterKey is what masterKey and signingKey are replaced by.
const newMasterKey = "bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmU="

// redisSays sends one command and returns the text that it answers with.
func redisSays(redis string, command ...string) (string, error) {
	connection, err := net.DialTimeout("tcp", redis, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(connection, "*%d\r\n", len(command))
	for _, part := range command {
		fmt.Fprintf(connection, "$%d\r\n%s\r\n", len(part), part)
	}
	return redisReply(bufio.NewReader(connection))
}

// redisReply reads a status, a text, or the last text of a list.
func redisReply(reader *bufio.Reader) (string, error) {
	head, err := reader.ReadString('\n')
	if err != nil || len(head) < 3 {
		return "", fmt.Errorf("redis answers %q: %w", head, err)
	}
	var size int
	_, _ = fmt.Sscan(head[1:], &size)
	switch head[0] {
	case '+':
		return strings.TrimSpace(head[1:]), nil
	case '*':
		last := ""
		for range size {
			if last, err = redisReply(reader); err != nil {
				return "", err
			}
		}
		return last, nil
	case '$':
		text := make([]byte, size+len("\r\n"))
		_, err = io.ReadFull(reader, text)
		return string(text[:size]), err
	}
	return "", fmt.Errorf("redis answers %q", head)
}

// evaluate runs a script that answers with a text.
func evaluate(redis, script string, arguments ...string) (string, error) {
	return redisSays(redis, append([]string{"EVAL", script, "0"}, arguments...)...)
}

// storedKeys is what stands in Redis of the keys of acme.
type storedKeys struct {
	Active   string
	JWKS     struct{ Keys []struct{ Kid string } }
	Calendar []struct {
		Kid, State   string
		Since, Until time.Time
	}
	private map[string]string // sealed, by kid
}

// readKeys reads both halves at one moment, and fails unless exactly one key is active and the halves fit.
func readKeys(redis string) (storedKeys, error) {
	var k storedKeys
	text, err := evaluate(redis, `return cjson.encode({set = redis.call('HGET', 'kg:{s}', 'jwks:acme'), `+
		`private = redis.call('HGETALL', 'kg:{s}:keyring:acme')})`)
	if err != nil {
		return k, err
	}
	var halves struct {
		Set     string
		Private []string
	}
	if err := json.Unmarshal([]byte(text), &halves); err != nil {
		return k, err
	}
	if err := json.Unmarshal([]byte(halves.Set), &k); err != nil {
		return k, err
	}
	k.private = map[string]string{}
	for i := 0; i+1 < len(halves.Private); i += 2 {
		k.private[halves.Private[i]] = halves.Private[i+1]
	}
	active := 0
	for i, d := range k.Calendar {
		if d.State == "active" {
			active++
		}
		if (d.State == "active") != (d.Kid == k.Active) || k.JWKS.Keys[i].Kid != d.Kid || k.private[d.Kid] == "" {
			return k, fmt.Errorf("key %s (%s) does not fit: active is %s", d.Kid, d.State, k.Active)
		}
	}
	if active != 1 || len(k.private) != len(k.Calendar) || len(k.JWKS.Keys) != len(k.Calendar) {
		return k, fmt.Errorf("%d active keys; %d private, %d public, %d dated", active, len(k.private), len(k.JWKS.Keys), len(k.Calendar))
	}
	return k, nil
}

func mustReadKeys(t *testing.T, redis string) storedKeys {
	t.Helper()
	k, err := readKeys(redis)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (k storedKeys) has(kid string) bool {
	return slices.ContainsFunc(k.JWKS.Keys, func(key struct{ Kid string }) bool { return key.Kid == kid })
}

// rotated is a deployment whose keys change.
type rotated struct {
	redis, proxy string
	tokens       []string
	children     []*child
}

func openRotated(t *testing.T, env ...string) *rotated {
	t.Helper()
	r := &rotated{redis: redisServer(t)}
	configureGateway(t, r.redis, newUpstream(t), 1_000_000_000)
	r.proxy = r.start(t, "proxy", env...)
	r.tokens = []string{r.start(t, "token", env...), r.start(t, "token", env...)}
	return r
}

// start is function, whose log can be read.
func (r *rotated) start(t *testing.T, name string, env ...string) string {
	t.Helper()
	port := freePort(t)
	r.children = append(r.children, spawn(t, append(deployment(r.redis, env...), "PORT="+port), binary(t, name)))
	await(t, "http://127.0.0.1:"+port+"/_/healthz")
	return "http://127.0.0.1:" + port
}

// mint is the harness's for goroutines; it returns the token and its kid.
func (r *rotated) mint(base string) (token, kid string, err error) {
	request, err := http.NewRequest(http.MethodPost, base+"/acme/oauth2/token", strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		return "", "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth("caller", secretOf)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", "", err
	}
	defer response.Body.Close()
	var body struct {
		Token string `json:"access_token"`
	}
	text, err := io.ReadAll(response.Body)
	if err != nil || json.Unmarshal(text, &body) != nil || body.Token == "" {
		return "", "", fmt.Errorf("no token: %d %s %w", response.StatusCode, text, err)
	}
	header, _, _ := strings.Cut(body.Token, ".")
	decoded, _ := base64.RawURLEncoding.DecodeString(header)
	var named struct{ Kid string }
	err = json.Unmarshal(decoded, &named)
	return body.Token, named.Kid, err
}

// call gives the proxy a token and returns the answer's status and body.
func (r *rotated) call(proxy, token string) (int, string, error) {
	request, err := http.NewRequest(http.MethodPost, proxy+"/v1/chat/completions", strings.NewReader(`{"model":"m"}`))
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// passes mints at a token function and calls; both must succeed.
func (r *rotated) passes(base string) (token, kid string, err error) {
	token, kid, err = r.mint(base)
	if err != nil {
		return "", "", err
	}
	status, body, err := r.call(r.proxy, token)
	if err != nil || status != http.StatusOK {
		return token, kid, fmt.Errorf("an honest token (kid %s) gets %d %s %w", kid, status, body, err)
	}
	return token, kid, nil
}

// command runs the command line on the deployment's store.
func (r *rotated) command(t *testing.T, env []string, arguments ...string) string {
	t.Helper()
	out, err := run(t, append(deployment(r.redis), env...), arguments...)
	if err != nil {
		t.Fatalf("keyless %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
	return out
}

// killed starts the command line and kills it after a while; it reports whether it was killed before its end.
func (r *rotated) killed(t *testing.T, after time.Duration, env []string, arguments ...string) bool {
	t.Helper()
	cmd := exec.Command(binary(t, "keyless"), arguments...)
	cmd.Env = append(append([]string{"PATH=" + os.Getenv("PATH")}, deployment(r.redis)...), env...)
	cmd.Dir = t.TempDir()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	_ = cmd.Process.Kill()
	var exit *exec.ExitError
	return errors.As(cmd.Wait(), &exit) && exit.ExitCode() == -1
}

// load keeps minting and calling with new and old tokens until stop is closed, and remembers which kids
// signed.
type load struct {
	mu     sync.Mutex
	tokens []string
	kids   map[string]bool
	calls  int
	faults []string
}

func (l *load) note(token, kid string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls++; err != nil {
		l.faults = append(l.faults, err.Error())
		return
	}
	if token != "" {
		l.tokens, l.kids[kid] = append(l.tokens, token), true
	}
}

// used are the kids that have signed so far.
func (l *load) used() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(func(yield func(string) bool) {
		for kid := range l.kids {
			if !yield(kid) {
				return
			}
		}
	})
}

func (l *load) old() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.tokens) == 0 {
		return ""
	}
	return l.tokens[rand.IntN(len(l.tokens))]
}

func (r *rotated) underLoad(t *testing.T, f func(*load)) *load {
	t.Helper()
	l, stop := &load{kids: map[string]bool{}}, make(chan struct{})
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
				l.note(r.passes(r.tokens[worker%len(r.tokens)]))
				if old := l.old(); old != "" {
					status, body, err := r.call(r.proxy, old)
					if err != nil || status != http.StatusOK {
						err = fmt.Errorf("an older token gets %d %s %w", status, body, err)
					}
					l.note("", "", err)
				}
			}
		})
	}
	defer func() {
		close(stop)
		group.Wait()
		if len(l.faults) > 0 {
			t.Errorf("%d of %d calls failed, the first: %s", len(l.faults), l.calls, l.faults[0])
		}
	}()
	f(l)
	return l
}

func TestA6KeysRotateUnderLoad(t *testing.T) {
	r := openRotated(t)
	var seen []string
	l := r.underLoad(t, func(l *load) {
		tick := time.NewTicker(rotateEvery)
		defer tick.Stop()
		for range rotations() {
			<-tick.C
			// The proxy's admission learns of the key that waits: this is the hour of the calendar in short.
			if _, _, err := r.passes(r.tokens[0]); err != nil {
				t.Error(err)
			}
			before := mustReadKeys(t, r.redis)
			r.command(t, nil, "keys", "rotate", "--instance", "acme", "--now")
			after := mustReadKeys(t, r.redis)
			if !before.has(after.Active) || after.Active == before.Active {
				t.Fatalf("%s signs: it was not published before, or signs on", after.Active)
			}
			used := l.used()
			stored := mustReadKeys(t, r.redis)
			for _, kid := range used {
				if !stored.has(kid) {
					t.Fatalf("%s signed a token that lives, and is not published", kid)
				}
			}
			seen = append(seen, after.Active)
		}
	})
	slices.Sort(seen)
	if got := len(slices.Compact(seen)); got != rotations() {
		t.Errorf("%d keys signed in turn, want %d", got, rotations())
	}
	if len(l.kids) < 3 {
		t.Errorf("tokens of %d keys only: the load and the rotation did not meet", len(l.kids))
	}
	t.Logf("%d calls, tokens of %d keys, %d rotations", l.calls, len(l.kids), rotations())
	jwks := ask(t, http.MethodGet, r.start(t, "jwks")+"/acme/oauth2/jwks", nil, "")
	for _, kid := range l.used() {
		if !strings.Contains(jwks.Body, kid) {
			t.Errorf("the JWKS URL lacks %s", kid)
		}
	}
}

func TestA6KilledWhileRotating(t *testing.T) {
	r := openRotated(t)
	kills, rotated, last := 0, 0, mustReadKeys(t, r.redis).Active
	for i := range 25 {
		if r.killed(t, time.Duration(i)*3*time.Millisecond, nil, "keys", "rotate", "--instance", "acme", "--now") {
			kills++
		}
		now := mustReadKeys(t, r.redis)
		if now.Active != last {
			rotated, last = rotated+1, now.Active
		}
		if _, kid, err := r.passes(r.tokens[i%2]); err != nil || kid != now.Active {
			t.Fatalf("after kill %d: signed with %s, active is %s; %v", i, kid, now.Active, err)
		}
	}
	if kills == 0 {
		t.Error("nothing was killed before its end")
	}
	t.Logf("%d of 25 killed before their end, %d rotations", kills, rotated)
}

// age makes the active key of acme as old as its time, and its next key old enough to sign, as a calendar of
// 90 days later has them.
func age(t *testing.T, redis string) (next string) {
	t.Helper()
	stored := mustReadKeys(t, redis)
	for _, d := range stored.Calendar {
		if d.State == "next" && next == "" {
			next = d.Kid
		}
	}
	_, err := evaluate(redis, `
local set = cjson.decode(redis.call('HGET', 'kg:{s}', 'jwks:acme'))
for _, d in ipairs(set.calendar) do
  if d.state == 'active' then d.since = '2020-01-01T00:00:00Z' end
  if d.state == 'next' then d.since, d['until'] = '2020-01-01T00:00:00Z', '2020-01-01T01:00:00Z' end
end
redis.call('HSET', 'kg:{s}', 'jwks:acme', cjson.encode(set), 'revision', ARGV[1])
return 'done'`, fmt.Sprintf("%016x", rand.Uint64()))
	if err != nil || next == "" {
		t.Fatalf("next key %q, error %v", next, err)
	}
	return next
}

func TestA6PromotedOnARequestsPathThoughKilled(t *testing.T) {
	r := openRotated(t)
	for i := range 8 {
		r.command(t, nil, "keys", "rotate")                 // makes a next key where there is none
		if _, _, err := r.passes(r.tokens[0]); err != nil { // the proxy learns of it, as it does within the hour
			t.Fatal(err)
		}
		next, before := age(t, r.redis), len(mustReadKeys(t, r.redis).private)
		victim := r.start(t, "token")
		process := r.children[len(r.children)-1].cmd.Process
		var group sync.WaitGroup
		for n := range 12 {
			group.Go(func() {
				if n%3 == 0 { // may be killed meanwhile
					_, _, _ = r.mint(victim)
					return
				}
				if _, kid, err := r.mint(r.tokens[n%2]); err != nil || kid != next {
					t.Errorf("round %d: signed with %s, want the next key %s; %v", i, kid, next, err)
				}
			})
		}
		time.Sleep(time.Duration(i) * time.Millisecond)
		_ = process.Kill()
		group.Wait()
		after := mustReadKeys(t, r.redis)
		if after.Active != next || len(after.private) != before {
			t.Fatalf("round %d: %s is active, want %s; %d keys, want %d: a request makes none", i, after.Active, next, len(after.private), before)
		}
		if _, _, err := r.passes(r.tokens[0]); err != nil {
			t.Fatal(err)
		}
	}
	// No key waits now: one that is made for the purpose is known to every process before it signs.
	before := mustReadKeys(t, r.redis).Active
	r.command(t, nil, "keys", "rotate", "--instance", "acme", "--now")
	if _, kid, err := r.passes(r.tokens[0]); err != nil || kid == before {
		t.Errorf("signed with %s, error %v", kid, err)
	}
}

func TestA7ARevokedKeyIsRefusedOnTheNextRequest(t *testing.T) {
	r := openRotated(t)
	proxies := []string{r.proxy, r.start(t, "proxy")}
	jwks := r.start(t, "jwks") + "/acme/oauth2/jwks"
	for range 3 {
		token, kid, err := r.passes(r.tokens[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, proxy := range proxies {
			if status, body, err := r.call(proxy, token); err != nil || status != http.StatusOK {
				t.Fatalf("before: %d %s %v", status, body, err)
			}
		}
		r.command(t, nil, "keys", "revoke", "--instance", "acme", "--kid", kid)
		for _, proxy := range proxies {
			if status, body, err := r.call(proxy, token); err != nil || status != http.StatusUnauthorized {
				t.Errorf("the next request: %d %s %v", status, body, err)
			}
		}
		for _, base := range r.tokens {
			if _, again, err := r.passes(base); err != nil || again == kid {
				t.Errorf("signed with %s, error %v", again, err)
			}
		}
		expectSoon(t, func() int { return strings.Count(ask(t, http.MethodGet, jwks, nil, "").Body, kid) }, 0)
	}
	for _, wrong := range [][]string{
		{"keys", "revoke", "--instance", "acme", "--kid", "nope"}, {"keys", "revoke", "--instance", "nobody", "--kid", "x"},
	} {
		if out, err := run(t, deployment(r.redis), wrong...); exitCode(err) != 3 {
			t.Errorf("%v: %v %s", wrong, err, out)
		}
	}
}

func TestKeysListSaysWhatIsStored(t *testing.T) {
	r := openRotated(t)
	r.command(t, nil, "keys", "rotate", "--instance", "acme", "--now")
	var list []struct{ Instance, Kid, Algorithm, State string }
	if err := json.Unmarshal([]byte(r.command(t, nil, "keys", "list", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	stored := mustReadKeys(t, r.redis)
	if len(list) != 3 {
		t.Fatalf("%d keys", len(list))
	}
	for i, d := range stored.Calendar {
		if l := list[i]; l.Instance != "acme" || l.Kid != d.Kid || l.State != d.State || l.Algorithm != "ES256" {
			t.Errorf("%+v, stored %+v", l, d)
		}
	}
}

func TestS2MasterKeysRotateUnderLoad(t *testing.T) {
	both := []string{"KEYLESS_MASTER_KEY=" + newMasterKey + "," + masterKey, "KEYLESS_SIGNING_MASTER_KEY=" + newMasterKey + "," + signingKey}
	r := openRotated(t, both...)
	r.underLoad(t, func(*load) {
		kills := 0
		for i := range 12 {
			if r.killed(t, time.Duration(20+8*i)*time.Millisecond, both, "keys", "rewrap") {
				kills++
			}
		}
		for range 2 {
			if out := r.command(t, both, "keys", "rewrap"); !strings.Contains(out, "nothing is sealed under an older one") {
				t.Errorf("%s", out)
			}
		}
		if out := r.command(t, both, "keys", "rewrap"); !strings.Contains(out, "0 secrets sealed") {
			t.Errorf("a second time: %s", out)
		}
		t.Logf("%d of 12 killed before their end", kills)
	})
	// The older keys are gone: processes that start with the newest alone open everything.
	newest := []string{"KEYLESS_MASTER_KEY=" + newMasterKey, "KEYLESS_SIGNING_MASTER_KEY=" + newMasterKey}
	r.proxy = r.start(t, "proxy", newest...)
	if _, _, err := r.passes(r.start(t, "token", newest...)); err != nil {
		t.Error(err)
	}
}

// unseal opens what the signing master key seals, by the description of the format alone: v1:<id>:<base64url
// of the wrapped data key, then the ciphertext>, AES-256-GCM with the nonce in front, and what is
// authenticated beside it each after its length.
func unseal(t *testing.T, place, sealed string) []byte {
	t.Helper()
	parts := strings.SplitN(sealed, ":", 3)
	master, _ := base64.StdEncoding.DecodeString(signingKey)
	message, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	open := func(key []byte, purpose string, message []byte) []byte {
		block, err := aes.NewCipher(key)
		if err != nil {
			t.Fatal(err)
		}
		gcm, _ := cipher.NewGCM(block)
		var beside []byte
		for _, part := range []string{"keyless", "v1", purpose, parts[1], place} {
			beside = append(append(beside, 0, 0, 0, 0, 0, 0, 0, byte(len(part))), part...)
		}
		clear, err := gcm.Open(nil, message[:12], message[12:], beside)
		if err != nil {
			t.Fatal(err)
		}
		return clear
	}
	const wrapped = 12 + 32 + 16
	return open(open(master, "data key", message[:wrapped]), "secret", message[wrapped:])
}

// TestK07PrivateKeysAreNowhereInClear looks for the private half of every key, in each form in which it could
// have been written (RFC 7517 §9.2).
func TestK07PrivateKeysAreNowhereInClear(t *testing.T) {
	r := openRotated(t)
	jwks := r.start(t, "jwks")
	var told strings.Builder
	for range 3 {
		told.WriteString(r.command(t, nil, "keys", "rotate", "--instance", "acme", "--now"))
		if _, _, err := r.passes(r.tokens[0]); err != nil {
			t.Fatal(err)
		}
	}
	told.WriteString(r.command(t, nil, "keys", "list", "--json") + r.command(t, nil, "keys", "list"))
	keys := mustReadKeys(t, r.redis)
	// A key that does not open makes every process say so.
	if _, err := evaluate(r.redis, `redis.call('HSET', 'kg:{s}:keyring:acme', ARGV[1], string.sub(ARGV[2], 1, -9) .. 'AAAAAAAA') return ''`,
		keys.Active, keys.private[keys.Active]); err != nil {
		t.Fatal(err)
	}
	broken := r.start(t, "token")
	refused := ask(t, http.MethodPost, broken+"/acme/oauth2/token", []string{
		"Content-Type: application/x-www-form-urlencoded", "Authorization: " + basic("caller", secretOf)}, "grant_type=client_credentials")
	if refused.Status != http.StatusServiceUnavailable {
		t.Errorf("a key that does not open: %d", refused.Status)
	}
	told.WriteString(refused.Body + ask(t, http.MethodGet, jwks+"/acme/oauth2/jwks", nil, "").Body)
	for _, c := range r.children {
		told.WriteString(c.output.String())
	}
	folder, err := redisSays(r.redis, "CONFIG", "GET", "dir")
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"CONFIG SET rdbcompression no", "SAVE"} {
		if _, err := redisSays(r.redis, strings.Fields(command)...); err != nil {
			t.Fatal(err)
		}
	}
	dump, err := os.ReadFile(filepath.Join(folder, "dump.rdb"))
	if err != nil {
		t.Fatal(err)
	}
	places := map[string][]byte{"what processes said": []byte(told.String()), "the dump": dump}
	for _, name := range []string{"proxy", "authorizer", "jwks"} {
		content, err := os.ReadFile(binary(t, name))
		if err != nil {
			t.Fatal(err)
		}
		places["the binary of "+name] = content
	}
	if !bytes.Contains(dump, []byte(keys.private[keys.Calendar[1].Kid])) || !strings.Contains(told.String(), keys.Active) {
		t.Fatal("the dump or the log is not of this store")
	}
	for kid, sealed := range keys.private {
		var private struct{ D string }
		if err := json.Unmarshal(unseal(t, "keyring/acme/"+kid, sealed), &private); err != nil || len(private.D) < 40 {
			t.Fatalf("no private half under the seal: %v", err)
		}
		raw, _ := base64.RawURLEncoding.DecodeString(private.D)
		for place, content := range places {
			for form, text := range map[string]string{"base64url": private.D, "bytes": string(raw), "hexadecimal": hex.EncodeToString(raw),
				"base64": base64.StdEncoding.EncodeToString(raw)} {
				if bytes.Contains(content, []byte(text)) {
					t.Errorf("%s has a private key as %s", place, form)
				}
			}
		}
	}
}
