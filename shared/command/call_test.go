package command

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestWhatTellsMoreAfterACall(t *testing.T) {
	t.Parallel()
	const explains, examines, none = "keyless explain tells more", "keyless doctor tells more", "no token: --token, --key or --client-id"
	proven := []string{"--token", "x"}
	for name, c := range map[string]struct {
		status int
		args   []string
		says   []string
	}{
		"unproven":                      {401, nil, []string{none, "!" + explains}},
		"proven, but not good":          {401, proven, []string{explains, "!" + none}},
		"proven by a header of its own": {401, []string{"--header", "Authorization: Bearer x"}, []string{explains, "!" + none}},
		"not authorized":                {403, proven, []string{explains}},
		"refused without a token":       {403, nil, []string{"!" + explains, "!" + none}},
		"too many":                      {429, proven, []string{explains}},
		"no such path":                  {404, proven, []string{"!tells more"}},
		"a store that is away":          {503, proven, []string{examines, "!" + explains}},
		"an upstream that is away":      {502, nil, []string{examines, "!" + none}},
		"an upstream that is slow":      {504, proven, []string{examines}},
		"an open API":                   {200, nil, []string{"!tells more", "!" + none}},
	} {
		env := answering(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c.status) })
		_, out, errs := keyless(env, "", append([]string{"call", "/x"}, c.args...)...)
		t.Log(name)
		says(t, out+errs, c.says...)
	}
}

func TestARefusedTokenTellsHowLongToWait(t *testing.T) {
	t.Parallel()
	for wait, want := range map[string]string{
		"7": "; try again in 7 s", "Wed, 21 Oct 2026 07:28:00 GMT": "; try again at Wed, 21 Oct", "": "!try again",
	} {
		env := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			if wait != "" {
				w.Header().Set("Retry-After", wait)
			}
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w, `{"error":"slow_down"}`)
		})
		env["KEYLESS_CLIENT_SECRET"] = "s"
		says(t, must(t, exitRefused, env, "token", "--client-id", "acme/x"), "slow_down", want)
	}
}

func TestWhereACallGoes(t *testing.T) {
	t.Parallel()
	message := []string{"--message", "Hi", "--model", "m", "--whole"}
	for name, c := range map[string]struct {
		api  string
		args []string
		want string // method, host, path, what proves it, body
	}{
		"a message to an API at a version":   {`{"base_path":"/v1"}`, message, `POST here /v1/chat/completions`},
		"a message to one that strips":       {`{"base_path":"/llm","strip_base_path":true}`, message, `POST here /llm/chat/completions`},
		"a message to one that does not":     {`{"base_path":"/llm"}`, message, `POST here /llm/v1/chat/completions`},
		"a message to one at the root":       {`{"base_path":"/","strip_base_path":true}`, message, `POST here /chat/completions`},
		"another path":                       {`{"base_path":"/v1"}`, append([]string{"--path", "messages"}, message...), `POST here /v1/messages`},
		"no message":                         {`{"base_path":"/data"}`, nil, `GET here /data`},
		"no message, at the root":            {`{"base_path":"/"}`, nil, `GET here /`},
		"an API of a domain":                 {`{"base_path":"/data","domains":["ai.acme.example"]}`, nil, `GET ai.acme.example /data`},
		"an API of a pattern of domains":     {`{"base_path":"/data","domains":["*.acme.example"]}`, nil, `GET here /data`},
		"an API of the default domain":       {`{"base_path":"/data","domains":["default"]}`, nil, `GET here /data`},
		"a domain of one's own":              {`{"base_path":"/data"}`, []string{"--host", "x.example"}, `GET x.example /data`},
		"a body":                             {`{"base_path":"/data"}`, []string{"--data", `{"a":1}`}, `POST here /data  {"a":1}`},
		"a body with another method":         {`{"base_path":"/data"}`, []string{"--method", "PUT", "--data", `{"a":1}`}, `PUT here /data  {"a":1}`},
		"a token":                            {`{"base_path":"/data"}`, []string{"--token", "t.t.t"}, `GET here /data Bearer t.t.t`},
		"a key":                              {`{"base_path":"/data"}`, []string{"--key", "k1"}, `GET here /data Bearer k1`},
		"a key in a header":                  {`{"base_path":"/data"}`, []string{"--key", "k1", "--key-header", "X-Key"}, `GET here /data X-Key k1`},
		"a header with a second space in it": {`{"base_path":"/data"}`, []string{"--header", "Authorization: Bearer  x"}, `GET here /data Bearer  x`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			told := ""
			env := answering(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/_/admin/") {
					_, _ = io.WriteString(w, c.api)
					return
				}
				body, _ := io.ReadAll(r.Body)
				host := r.Host
				if strings.HasPrefix(host, "127.0.0.1:") {
					host = "here"
				}
				proof := r.Header.Get("Authorization")
				if key := r.Header.Get("X-Key"); key != "" {
					proof = "X-Key " + key
				}
				told = strings.TrimSpace(strings.Join([]string{r.Method, host, r.URL.Path, proof, string(body)}, " "))
			})
			if code, _, errs := keyless(env, "", append([]string{"call", "models"}, c.args...)...); code != exitOK {
				t.Fatalf("exit %d, %s", code, errs)
			}
			if strings.Contains(told, `"messages"`) {
				told, _, _ = strings.Cut(told, " {")
				told = strings.TrimSpace(told)
			}
			if told != c.want {
				t.Errorf("%q, want %q", told, c.want)
			}
		})
	}
	for name, args := range map[string][]string{
		"two credentials":              {"--token", "a", "--key", "b"},
		"a body beside a message":      {"--message", "Hi", "--model", "m", "--data", "{}"},
		"two things to read":           {"--token", "-", "--data", "-"},
		"a header that is none":        {"--header", "X"},
		"a client that proves nothing": {"--client-id", "acme/report"},
	} {
		env := answering(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"base_path":"/data"}`) })
		if code, out, errs := keyless(env, "", append([]string{"call", "models"}, args...)...); code != exitUsage {
			t.Errorf("%s: exit %d\n%s%s", name, code, out, errs)
		}
	}
}
