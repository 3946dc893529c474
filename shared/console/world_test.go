package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"keyless/shared/admin"
	"keyless/shared/auth"
	"keyless/shared/console"
	"keyless/shared/keyring"
	"keyless/shared/ledger"
	"keyless/shared/oauth"
	"keyless/shared/registry"
	"keyless/shared/seal"
)

const token = "an-admin-token-of-the-tests-0123456789"

// noKeys is a source of key sets that nobody can reach.
type noKeys struct{}

func (noKeys) Keys(context.Context, string, string) ([]oauth.Key, error) { return nil, auth.ErrKeys }

// world is a console over the real admin API, with a browser in front.
type world struct {
	t       testing.TB
	admin   *admin.Admin
	server  *httptest.Server
	client  *http.Client
	log     *bytes.Buffer
	mu      sync.Mutex // guards now
	now     time.Time
	gateway func(*http.Request) (*http.Response, error)
	limited admin.Caller // of the bearer limitedToken
}

// limitedToken is a bearer whose rights a test chooses.
const limitedToken = "a-token-with-less-rights"

// ServeHTTP is the admin API, which takes the bearer of less rights too.
func (w *world) ServeHTTP(answer http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") == "Bearer "+limitedToken {
		r = r.WithContext(admin.As(r.Context(), w.limited))
	}
	w.admin.ServeHTTP(answer, r)
}

// signInAs signs a person in who has these rights, on the instance acme.
func (w *world) signInAs(rights ...string) {
	w.t.Helper()
	w.limited = admin.Caller{Who: "client acme/limited", Rights: rights, Instance: "acme"}
	if got := w.signIn(limitedToken); got.status != http.StatusSeeOther {
		w.t.Fatalf("sign in: %d %s", got.status, got.body)
	}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// newWorld starts one; change may adapt the options.
func newWorld(t testing.TB, change ...func(*console.Options)) *world {
	t.Helper()
	w := &world{t: t, now: time.Now().UTC().Truncate(time.Second), log: &bytes.Buffer{}}
	w.gateway = func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }
	store := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: store.Addr()})
	t.Cleanup(func() { client.Close() })
	keys, err := seal.ParseKeys(seal.NewMasterKey())
	if err != nil {
		t.Fatal(err)
	}
	w.server = httptest.NewUnstartedServer(nil)
	public := "http://" + w.server.Listener.Addr().String()
	log := slog.New(slog.NewTextHandler(w.log, nil))
	kept := registry.NewRedis(client, "kg")
	w.admin = admin.New(admin.Options{
		Store: kept, Keys: keys, Ring: keyring.New(keyring.NewRedis(client, "kg"), keys), Gate: auth.New(noKeys{}, public, w.clock),
		Ledger: ledger.New(client, "kg", w.clock), Token: token, PublicURL: public, Now: w.clock, Log: log,
	})
	o := console.Options{
		API: w, Keys: keys, PublicURL: public, Region: "eu-central-1", Now: w.clock, Log: log,
		Gateway: func(r *http.Request) (*http.Response, error) { return w.gateway(r) },
	}
	for _, f := range change {
		f(&o)
	}
	w.server.Config.Handler = console.New(o)
	w.server.Start()
	t.Cleanup(w.server.Close)
	w.client = w.browser()
	// A registry that begins with an object of the gateway has its pepper before the first secret.
	w.api(http.MethodPost, "/domains", `{"name": "first.example"}`)
	return w
}

// browser is one with cookies of its own that follows no redirect.
func (w *world) browser() *http.Client {
	jar, _ := cookiejar.New(nil) // without options it cannot fail
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// api calls the admin API and requires success.
func (w *world) api(method, path, body string, headers ...string) string {
	w.t.Helper()
	r := httptest.NewRequest(method, admin.Prefix+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	got := httptest.NewRecorder()
	w.admin.ServeHTTP(got, r)
	if got.Code >= 300 {
		w.t.Fatalf("%s %s: %d %s", method, path, got.Code, got.Body)
	}
	return got.Body.String()
}

// answer is what a browser got.
type answer struct {
	status int
	header http.Header
	body   string
}

// send sends a request with the browser's cookies.
func (w *world) send(r *http.Request) answer {
	w.t.Helper()
	got, err := w.client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{got.StatusCode, got.Header, string(body)}
}

func (w *world) get(path string) answer {
	w.t.Helper()
	r, err := http.NewRequest(http.MethodGet, w.server.URL+"/_/console"+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.send(r)
}

// request is a form that is posted as a browser does from a page of ours.
func (w *world) request(path string, form url.Values) *http.Request {
	w.t.Helper()
	r, err := http.NewRequest(http.MethodPost, w.server.URL+"/_/console"+path, strings.NewReader(form.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Origin", "null")
	return r
}

var csrfInput = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// csrf is the token of a page.
func (a answer) csrf() string {
	if found := csrfInput.FindStringSubmatch(a.body); found != nil {
		return found[1]
	}
	return ""
}

// fields are the hidden inputs of a page's forms by name.
func (a answer) hidden(name string) string {
	found := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(a.body)
	if found == nil {
		return ""
	}
	return strings.NewReplacer("&#34;", `"`, "&amp;", "&", "&lt;", "<", "&gt;", ">", "&#39;", "'", "&#43;", "+").Replace(found[1])
}

// post loads a page and sends a form from it.
func (w *world) post(from, path string, pairs ...string) answer {
	w.t.Helper()
	form := url.Values{"csrf": {w.get(from).csrf()}}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return w.send(w.request(path, form))
}

func (w *world) signIn(with string) answer {
	w.t.Helper()
	return w.post("/sign-in", "/sign-in", "token", with, "to", "/_/console/")
}

// signedIn is a world whose browser has all rights.
func signedIn(t testing.TB, change ...func(*console.Options)) *world {
	t.Helper()
	w := newWorld(t, change...)
	if got := w.signIn(token); got.status != http.StatusSeeOther {
		t.Fatalf("sign in: %d %s", got.status, got.body)
	}
	return w
}

// object reads an object of the admin API.
func (w *world) object(path string) map[string]any {
	w.t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(w.api(http.MethodGet, path, "")), &o); err != nil {
		w.t.Fatal(err)
	}
	return o
}
