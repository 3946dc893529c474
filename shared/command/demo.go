package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"keyless/shared/config"
)

// demoWithin bounds the whole demo: each step takes milliseconds, the streamed one under a second.
const demoWithin = time.Minute

// demonstrate starts everything on free ports with a store in memory, runs the keyless flow over real sockets and prints each step's
// request and answer in short. It fails unless every step answers as it must.
func demonstrate(ctx context.Context, t terminal, args []string) error {
	if err := t.parse(flag.NewFlagSet("demo", flag.ContinueOnError), args); err != nil {
		return err
	}
	c, err := config.Load(demoEnvironment, config.Serve())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, demoWithin)
	defer cancel()
	s, err := start(ctx, t, c, true)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.run() }()
	f := flow{ctx: ctx, out: t.stdout, base: s.URL}
	f.all(s.Secrets.Client)
	cancel()
	if err := errors.Join(<-ended, f.failure()); err != nil {
		return err
	}
	fmt.Fprintf(t.stdout, "\nall %d steps answered as they must\n", f.steps)
	return nil
}

// demoEnvironment keeps the demo apart from whatever the shell has set.
func demoEnvironment(name string) (string, bool) {
	value, ok := map[string]string{"KEYLESS_ADDR": "127.0.0.1:0", "KEYLESS_DATA": "", "KEYLESS_LOG": "text,error"}[name]
	return value, ok
}

// flow is a run of the demo.
type flow struct {
	ctx    context.Context
	out    io.Writer
	base   string
	steps  int
	failed []string
}

// step is one request and what its answer must be.
type step struct {
	title       string
	path        string
	authorize   string // Authorization header, or user:secret for Basic
	body        string
	form        bool
	status      int
	mustContain string
}

func (f *flow) all(secret string) {
	const call = `{"model":"demo","messages":[{"role":"user","content":"Hello"}]}`
	const streamed = `{"model":"demo","stream":true,"messages":[{"role":"user","content":"Hello"}]}`
	const models, orders, test = "/v1/chat/completions", "/accounts/orders", "/test"
	grant := "grant_type=client_credentials&scope=" + url.QueryEscape(demoScope)
	token := member(f.do(step{"a machine gets a token", "/acme/oauth2/token", "nightly-report:" + secret, grant, true,
		200, `"token_type":"Bearer"`}), "access_token")
	other := member(f.do(step{"another machine gets one", "/acme/oauth2/token", "report-reader:" + secret,
		"grant_type=client_credentials", true, 200, `"scope":"report.read"`}), "access_token")
	f.do(step{"a call", models, bearer(token), call, false, 200, "consumer nightly-report"})
	f.do(step{"a streamed call", models, bearer(token), streamed, false, 200, "data: [DONE]"})
	f.do(step{"the same through Anthropic's API", "/anthropic/v1/messages", bearer(token),
		`{"model":"demo","max_tokens":100,"messages":[{"role":"user","content":"Hello"}]}`, false, 200, `"stop_reason":"end_turn"`})
	f.do(step{"no token", models, "", call, false, 401, "JWT missing"})
	f.do(step{"a changed token", models, bearer(token + "x"), call, false, 401, "JWT verification fails"})
	f.do(step{"two spaces after Bearer", models, bearer(" " + token), call, false, 401, "JWT verification fails"})
	f.do(step{"proven, but not authorized", models, bearer(other), call, false, 403, "Access Denied"})
	f.do(step{"the document's first example", test, "", "", false, 401, "JWT missing"})
	f.do(step{"the document's second example", test, bearer(document + "1"), "", false, 401, "JWT verification fails"})
	f.do(step{"the document's third example", test, bearer(document + "4"), "", false, 403, "Access Denied"})
	f.do(step{"a wrong client secret", "/acme/oauth2/token", "nightly-report:wrong", grant, true, 401, "invalid_client"})
	f.do(step{"a scope that was not granted", "/acme/oauth2/token", "nightly-report:" + secret,
		"grant_type=client_credentials&scope=report.read", true, 400, "invalid_scope"})
	f.do(step{"the instance's keys", "/acme/oauth2/jwks", "", "", false, 200, `"keys"`})
	f.do(step{"its metadata", "/.well-known/oauth-authorization-server/acme/oauth2", "", "", false, 200, `"issuer"`})
	login := member(f.do(step{"login: the backend issues a token", "/accounts/login", "",
		`{"username":"demo","password":"demo"}`, false, 200, `"token"`}), "token")
	f.do(step{"a call with the backend's token", orders, bearer(login), "", false, 200, `"consumer":"shop"`})
	f.do(step{"the same call without", orders, "", "", false, 401, "JWT missing"})
	f.do(step{"a path that nothing matches", "/nowhere", "", "", false, 404, "No API matches this host and path"})
}

func bearer(token string) string { return "Bearer " + token }

// do sends a step's request, prints both in short and notes whether the answer is right. It returns the answer's body.
func (f *flow) do(s step) []byte {
	f.steps++
	method := http.MethodGet
	if s.body != "" {
		method = http.MethodPost
	}
	fmt.Fprintf(f.out, "\n%2d. %s\n    %s %s\n", f.steps, s.title, method, s.path)
	status, body, err := f.send(method, s)
	if err != nil {
		f.failed = append(f.failed, fmt.Sprintf("step %d (%s): %v", f.steps, s.title, err))
		return nil
	}
	fmt.Fprintf(f.out, "    %d %s\n", status, short(body))
	if status != s.status || !strings.Contains(string(body), s.mustContain) {
		f.failed = append(f.failed, fmt.Sprintf("step %d (%s): want %d with %q", f.steps, s.title, s.status, s.mustContain))
	}
	return body
}

func (f *flow) send(method string, s step) (int, []byte, error) {
	r, err := http.NewRequestWithContext(f.ctx, method, f.base+s.path, strings.NewReader(s.body))
	if err != nil {
		return 0, nil, err
	}
	switch user, secret, basic := strings.Cut(s.authorize, ":"); {
	case basic:
		r.SetBasicAuth(user, secret)
	case s.authorize != "":
		r.Header.Set("Authorization", s.authorize)
	}
	r.Header.Set("Content-Type", "application/json")
	if s.form {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	const most = 1 << 20 // the demo's answers are a few KiB
	body, err := io.ReadAll(io.LimitReader(answer.Body, most))
	return answer.StatusCode, body, err
}

func (f *flow) failure() error {
	if len(f.failed) == 0 {
		return nil
	}
	return errors.New("the demo went wrong:\n  " + strings.Join(f.failed, "\n  "))
}

// member reads a string member of a JSON object, "" where there is none.
func member(body []byte, name string) string {
	var object map[string]any
	if json.Unmarshal(body, &object) != nil {
		return ""
	}
	s, _ := object[name].(string)
	return s
}

// short cuts a body to one line.
func short(body []byte) string {
	const most = 160
	line := string(bytes.Join(bytes.Fields(body), []byte(" ")))
	if len(line) > most {
		return line[:most] + "…"
	}
	return line
}
