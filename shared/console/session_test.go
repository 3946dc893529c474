package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"keyless/shared/console"
)

// cookie is the session's, as it was set last.
func (a answer) cookie(t *testing.T) *http.Cookie {
	t.Helper()
	for _, line := range a.header["Set-Cookie"] {
		if c, err := http.ParseSetCookie(line); err == nil && c.Name == "keyless_console" {
			return c
		}
	}
	t.Fatalf("no session was set: %v", a.header)
	return nil
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if got := w.get("/consumers"); got.status != http.StatusUnauthorized || !strings.Contains(got.body, "Admin token") {
		t.Fatalf("without a session: %d", got.status)
	}
	wrong := w.signIn("wrong-" + token)
	if wrong.status != http.StatusUnauthorized || strings.Contains(wrong.body, "wrong-"+token) {
		t.Fatalf("a wrong token: %d %s", wrong.status, wrong.body)
	}
	good := w.signIn(token)
	c := good.cookie(t)
	if good.status != http.StatusSeeOther || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/_/console/" || c.Secure {
		t.Fatalf("the token: %d %+v", good.status, c)
	}
	if strings.Contains(c.Value, token) {
		t.Error("the cookie shows the token")
	}
	if got := w.get("/consumers"); got.status != http.StatusOK {
		t.Errorf("with a session: %d", got.status)
	}
	if out := w.post("/", "/sign-out"); out.status != http.StatusSeeOther || w.get("/").status != http.StatusUnauthorized {
		t.Errorf("after signing out: %d, %d", out.status, w.get("/").status)
	}
}

func TestSignInGoesToThePageThatWasAsked(t *testing.T) {
	t.Parallel()
	for says, to := range map[string][2]string{
		"a page":               {"/_/console/usage?by=api", "/_/console/usage?by=api"},
		"another host":         {"https://evil.example/_/console/", "/_/console/"},
		"a host without name":  {"//evil.example/_/console/", "/_/console/"},
		"a backslash":          {`/\evil.example/_/console/`, "/_/console/"},
		"outside of the pages": {"/_/admin/v1/export", "/_/console/"},
		"up and out":           {"/_/console/../admin/v1/", "/_/console/"},
		"a script":             {"javascript:alert(1)", "/_/console/"},
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			got := w.post("/sign-in", "/sign-in", "token", token, "to", to[0])
			if at := got.header.Get("Location"); at != to[1] {
				t.Errorf("leads to %q, want %q", at, to[1])
			}
		})
	}
}

func TestSessionEnds(t *testing.T) {
	t.Parallel()
	for says, c := range map[string]struct {
		steps []time.Duration
		want  int
	}{
		"in use":               {[]time.Duration{20 * time.Minute, 20 * time.Minute, 20 * time.Minute}, http.StatusOK},
		"idle":                 {[]time.Duration{31 * time.Minute}, http.StatusUnauthorized},
		"after a working day":  {repeat(20*time.Minute, 25), http.StatusUnauthorized},
		"within a working day": {repeat(20*time.Minute, 23), http.StatusOK},
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			w := signedIn(t)
			status := 0
			for _, step := range c.steps {
				w.pass(step)
				status = w.get("/").status
			}
			if status != c.want {
				t.Errorf("status %d, want %d", status, c.want)
			}
		})
	}
}

func repeat(d time.Duration, n int) []time.Duration {
	all := make([]time.Duration, n)
	for i := range all {
		all[i] = d
	}
	return all
}

func TestCookieThatWasAlteredIsNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := w.signIn(token).cookie(t).Value
	anonymous := newWorld(t).get("/sign-in").cookie(t).Value
	other := signedIn(t).signIn(token)
	flipped := []byte(good)
	flipped[len(flipped)-5] ^= 1
	for says, value := range map[string]string{
		"one bit": string(flipped), "cut": good[:len(good)-4], "empty": "", "text": "v1:0000000000000000:AAAA", "of another key": anonymous,
		"of another gateway": strings.Join(other.header["Set-Cookie"], ""),
	} {
		r, _ := http.NewRequest(http.MethodGet, w.server.URL+"/_/console/", nil)
		r.Header.Set("Cookie", "keyless_console="+value)
		w.client.Jar = nil
		if got := w.send(r); got.status != http.StatusUnauthorized {
			t.Errorf("%s: %d", says, got.status)
		}
	}
	r, _ := http.NewRequest(http.MethodGet, w.server.URL+"/_/console/", nil)
	r.Header.Set("Cookie", "keyless_console="+good)
	if got := w.send(r); got.status != http.StatusOK {
		t.Errorf("the good one: %d", got.status)
	}
}

func TestFormsAreOfTheSession(t *testing.T) {
	t.Parallel()
	w := signedIn(t)
	good := w.get("/new/groups").csrf()
	stranger := signedIn(t).get("/new/groups").csrf()
	for says, c := range map[string]struct {
		token   string
		headers map[string]string
		want    int
	}{
		"own":                          {good, nil, http.StatusSeeOther},
		"own, an old browser":          {good, map[string]string{"Sec-Fetch-Site": "", "Origin": w.server.URL}, http.StatusSeeOther},
		"without a token":              {"", nil, http.StatusForbidden},
		"a token of another session":   {stranger, nil, http.StatusForbidden},
		"from another site":            {good, map[string]string{"Sec-Fetch-Site": "cross-site"}, http.StatusForbidden},
		"from a neighbour of the site": {good, map[string]string{"Sec-Fetch-Site": "same-site"}, http.StatusForbidden},
		"typed into the address bar":   {good, map[string]string{"Sec-Fetch-Site": "none"}, http.StatusForbidden},
		"another origin":               {good, map[string]string{"Sec-Fetch-Site": "", "Origin": "https://evil.example"}, http.StatusForbidden},
		"an origin that ends alike":    {good, map[string]string{"Sec-Fetch-Site": "", "Origin": "https://evil" + w.server.URL[7:]}, http.StatusForbidden},
	} {
		name := strings.ReplaceAll(says, " ", "-")
		r := w.request("/new/groups", url.Values{"csrf": {c.token}, "name": {strings.ReplaceAll(name, ",", "")}})
		for header, value := range c.headers {
			if r.Header.Del(header); value != "" {
				r.Header.Set(header, value)
			}
		}
		if got := w.send(r); got.status != c.want {
			t.Errorf("%s: %d, want %d", says, got.status, c.want)
		}
	}
	all := w.api(http.MethodGet, "/groups", "")
	if n := strings.Count(all, `"name"`); n != 2 {
		t.Errorf("%d groups were made: %s", n, all)
	}
}

func TestSignInFormOfAnotherBrowser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stolen := newWorld(t).get("/sign-in").csrf()
	got := w.send(w.request("/sign-in", url.Values{"csrf": {stolen}, "token": {token}}))
	if got.status != http.StatusForbidden {
		t.Errorf("signed in by somebody else's form: %d", got.status)
	}
}

func TestGetChangesNothing(t *testing.T) {
	t.Parallel()
	w := signedIn(t)
	w.api(http.MethodPost, "/groups", `{"name": "batch"}`)
	for _, path := range []string{"/remove/groups/batch", "/do/authorize/groups/batch", "/sign-out", "/new/groups?name=x", "/groups/batch?name=x"} {
		w.get(path)
	}
	if got := w.api(http.MethodGet, "/groups", ""); !strings.Contains(got, "batch") || w.get("/").status != http.StatusOK {
		t.Errorf("a GET changed something: %s", got)
	}
}

func TestSignInWithoutAnyCredentialSaysHowToTurnItOn(t *testing.T) {
	t.Parallel()
	off := newWorld(t, func(o *console.Options) {
		o.API = http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
			answer.WriteHeader(http.StatusNotFound)
			_, _ = answer.Write([]byte(`{"status": 404, "code": "admin_off", "detail": "There is no admin API here"}`))
		})
	})
	for _, at := range []string{"/sign-in", "/consumers"} {
		got := off.get(at).body
		if !strings.Contains(got, "There is no admin API here. Set KEYLESS_ADMIN_TOKEN") || strings.Contains(got, `name="token"`) {
			t.Errorf("%s: got %s", at, got)
		}
	}
	if got := newWorld(t).get("/sign-in").body; strings.Contains(got, "no admin API") || !strings.Contains(got, `name="token"`) {
		t.Errorf("with a credential: got %s", got)
	}
}

func TestOverviewAndAuditTrailSayWhatTheyMean(t *testing.T) {
	t.Parallel()
	w := signedIn(t)
	if got := w.get("/").body; !strings.Contains(got, "store healthy") {
		t.Errorf("the overview: %s", got)
	}
	if got := w.get("/audit").body; strings.Contains(got, "<td> <b>") {
		t.Errorf("an entry without an object has an empty name: %s", got)
	}
}
