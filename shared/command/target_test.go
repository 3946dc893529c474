package command

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// answering is a server that answers everything in one way.
func answering(t *testing.T, answer http.HandlerFunc) map[string]string {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return map[string]string{"KEYLESS_URL": server.URL, "KEYLESS_ADMIN_TOKEN": "MARKER-admin-token-0123456789"}
}

func TestWhatAnswersOverHTTP(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	t.Cleanup(other.Close)
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		code   int
		says   string
	}{
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		}, exitFailed,
			"no admin API"},
		"a page": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, exitFailed, "no admin API"},
		"another 404": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not here", http.StatusNotFound) }, exitRefused,
			"what answered is no admin API (404"},
		"a refusal": {problemAnswer(http.StatusForbidden, "forbidden", "It needs the right gateway.read"), exitRefused,
			"It needs the right gateway.read (403 forbidden)"},
		"a failure": {problemAnswer(http.StatusServiceUnavailable, "store_unavailable", "The store did not answer; try again"), exitFailed,
			"try again (503 store_unavailable)"},
		"a problem that commands the terminal": {problemAnswer(http.StatusForbidden, "\x1b[2J", "\x1b]0;x\x07"), exitRefused, "403"},
		"an answer that is cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"items":[`)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, exitFailed, "read the admin API's answer"},
		"an answer without end": {func(w http.ResponseWriter, _ *http.Request) {
			block := strings.Repeat(" ", 1<<20)
			for range maxAnswer>>20 + 1 {
				if _, err := io.WriteString(w, block); err != nil {
					return
				}
			}
		}, exitFailed, "larger than 64 MiB"},
		"pages that turn in circles": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"items":[{"name":"a"}],"next":"a"}`)
		}, exitOK, "a"},
	} {
		env := answering(t, c.answer)
		code, out, errs := keyless(env, "", "get", "group")
		if code != c.code {
			t.Errorf("%s: exit %d, want %d\n%s%s", name, code, c.code, out, errs)
		}
		says(t, out+errs, c.says, "!MARKER", "!\x1b", "!\x07")
	}
	if elsewhere.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

func problemAnswer(status int, code, detail string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		text, _ := json.Marshal(map[string]any{"detail": detail, "code": code, "status": status})
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_, _ = w.Write(text)
	}
}

func TestWhoeverGrantsMeanwhileLosesNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		conflicts int64
		code      int
	}{"once": {1, exitOK}, "all the time": {100, exitRefused}} {
		var reads, writes atomic.Int64
		env := answering(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer MARKER-admin-token-0123456789" {
				t.Error("no bearer")
			}
			if r.Method == http.MethodGet {
				w.Header().Set("ETag", fmt.Sprintf(`"v%d"`, reads.Add(1)))
				_, _ = io.WriteString(w, `{"items":[{"resource_server":"other","scopes":["x"]}]}`)
				return
			}
			if got, want := r.Header.Get("If-Match"), fmt.Sprintf(`"v%d"`, reads.Load()); got != want {
				t.Errorf("If-Match %s, want %s", got, want)
			}
			if writes.Add(1) <= c.conflicts {
				problemAnswer(http.StatusPreconditionFailed, "conflict", "changed meanwhile")(w, r)
				return
			}
			text, _ := io.ReadAll(r.Body)
			if want := `[{"resource_server":"other","scopes":["x"]},{"resource_server":"rs","scopes":["a","b"]}]`; string(text) != want {
				t.Errorf("%s, want %s", text, want)
			}
			_, _ = io.WriteString(w, "{}")
		})
		code, _, errs := keyless(env, "", "client", "grant", "acme/report", "rs", "a", "b")
		if code != c.code || writes.Load() > maxConflicts+1 {
			t.Errorf("%s: exit %d, want %d; %d writes; %s", name, code, c.code, writes.Load(), errs)
		}
	}
}

func TestAHandlerThatAbortsIsACutAnswer(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	_, err := inside(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic(http.ErrAbortHandler)
	}), r)
	if err == nil {
		t.Error("it is taken for whole")
	}
	answer, err := inside(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }), r)
	if err != nil || answer.StatusCode != http.StatusNoContent {
		t.Errorf("%v, %v", answer, err)
	}
	_ = answer.Body.Close()
}

func TestHowMembersAreAssigned(t *testing.T) {
	t.Parallel()
	term := terminal{lookup: func(string) (string, bool) { return "", false }, stdin: strings.NewReader("from stdin\n")}
	set := func(name string) (string, bool) { return map[string]string{"KEY": "se:cret"}[name], name == "KEY" }
	for name, c := range map[string]struct {
		kind string
		one  []string
		want string
		says string
	}{
		"a text that looks like a number": {"group", []string{"limits.spend_per_day=5"}, `{"limits":{"spend_per_day":"5"}}`, ""},
		"a number":                        {"group", []string{"limits.calls_per_day=5"}, `{"limits":{"calls_per_day":5}}`, ""},
		"two below one":                   {"group", []string{"limits.calls_per_day=5", "limits.shadow=true"}, `{"limits":{"calls_per_day":5,"shadow":true}}`, ""},
		"a member of a map":               {"group", []string{"limits.models.demo.calls_per_day=5"}, `{"limits":{"models":{"demo":{"calls_per_day":5}}}}`, ""},
		"a list with commas":              {"api", []string{"domains=a.example, b.example"}, `{"domains":["a.example","b.example"]}`, ""},
		"a list as YAML":                  {"api", []string{"domains=[a.example]"}, `{"domains":["a.example"]}`, ""},
		"objects as YAML":                 {"api", []string{"upstreams=[{upstream: a, weight: 2}]"}, `{"upstreams":[{"upstream":"a","weight":2}]}`, ""},
		"a word or an object":             {"api", []string{"authentication=disabled"}, `{"authentication":"disabled"}`, ""},
		"a duration":                      {"instance", []string{"token_lifetime=15m"}, `{"token_lifetime":"15m"}`, ""},
		"zero behind a pointer":           {"domain", []string{"daily_call_limit=0"}, `{"daily_call_limit":0}`, ""},
		"a member that goes":              {"api", []string{"limits="}, `{"limits":null}`, ""},
		"a variable":                      {"upstream", []string{"api_keys=${KEY}"}, `{"api_keys":["se:cret"]}`, ""},
		"a text with everything":          {"instance", []string{"description=a = <b> \"c\" 'd' # e: f"}, `{"description":"a = <b> \"c\" 'd' # e: f"}`, ""},
		"standard input":                  {"instance", []string{"description=@-"}, `{"description":"from stdin"}`, ""},
		"a variable that is none":         {"upstream", []string{"api_keys=${NOBODY}"}, "", "NOBODY"},
		"no assignment":                   {"api", []string{"base_path"}, "", "MEMBER=VALUE"},
		"a member that is none":           {"api", []string{"limits.calls=5"}, "", "calls_per_day"},
		"below what has no members":       {"api", []string{"name.x=5"}, "", "has no members"},
		"what the registry notes itself":  {"instance", []string{"privacy_agreement_by=me"}, "", "no member"},
		"no number":                       {"domain", []string{"daily_call_limit=many"}, "", "whole number"},
		"a file that is not there":        {"instance", []string{"description=@/nowhere/x"}, "", "read a value"},
	} {
		k, _ := kindOf(c.kind)
		members, err := k.members(c.one, set, term)
		got, _ := json.Marshal(members)
		var want any
		_ = json.Unmarshal([]byte(c.want), &want)
		again, _ := json.Marshal(want)
		switch {
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %s, %v, want %s", name, got, err, c.says)
		case c.says == "" && (err != nil || string(got) != string(again)):
			t.Errorf("%s: %s, %v, want %s", name, got, err, c.want)
		}
	}
}
