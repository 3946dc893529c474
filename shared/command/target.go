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
	"os/user"
	"strings"
	"time"

	"keyless/shared/admin"
	"keyless/shared/config"
	"keyless/shared/process"
)

const (
	// askWithin bounds a call of the admin API: a foreign key set may have to be fetched, a trail to be verified.
	askWithin = time.Minute
	// applyWithin bounds an apply: ten thousand consumers take seconds.
	applyWithin = 10 * time.Minute
	// maxAnswer bounds what is read of an answer: an export of a hundred thousand consumers.
	maxAnswer = 64 << 20
)

// options are the flags that every command about a gateway has.
type options struct {
	url    string
	asJSON bool
}

// gatewayFlags are the flags of a command about a gateway.
func (t terminal) gatewayFlags() (*flag.FlagSet, *options) {
	flags, o := t.flags(), &options{}
	flags.StringVar(&o.url, "url", t.variable("KEYLESS_URL"),
		"the gateway's `URL`, with KEYLESS_ADMIN_TOKEN; default KEYLESS_URL, else the store")
	flags.BoolVar(&o.asJSON, "json", false, "print JSON")
	return flags, o
}

// gateway is the admin API of a gateway: over HTTP, or in this process on its store.
type gateway struct {
	url     string                      // base URL of the gateway, as far as it is known
	lookup  func(string) (string, bool) // variables of a configuration file that is for this gateway
	process *process.Process            // nil: over HTTP
	send    func(r *http.Request) (*http.Response, error)
}

// gateway reaches the gateway that the flags and the environment name.
func (t terminal) gateway(o *options) (*gateway, error) {
	c, err := config.Load(t.lookup, config.Serve())
	if err != nil {
		return nil, err
	}
	if o.url != "" {
		return t.remote(o.url, c)
	}
	if c, err = reach(c); err != nil {
		return nil, err
	}
	p, err := process.On(c, t.stderr)
	if err != nil {
		return nil, err
	}
	h, err := wire(p)
	if err != nil {
		return nil, errors.Join(err, p.Redis.Close())
	}
	return &gateway{
		url: c.PublicURL, lookup: t.publicURL(c), process: p,
		send: func(r *http.Request) (*http.Response, error) {
			return inside(h.admin, r.WithContext(admin.As(r.Context(), admin.Operator(operator()))))
		},
	}, nil
}

// operator is who works in this process, for the audit trail.
func operator() string {
	if u, err := user.Current(); err == nil {
		return "command line, " + u.Username
	}
	return "command line"
}

// remote is a gateway over HTTP. No redirect is followed: the token is for this gateway.
func (t terminal) remote(text string, c config.Config) (*gateway, error) {
	base, err := baseURL(text)
	if err != nil {
		return nil, err
	}
	lookup := t.lookup
	if t.variable("KEYLESS_PUBLIC_URL") == "" {
		lookup = t.overlay(map[string]string{"KEYLESS_PUBLIC_URL": base})
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &gateway{url: base, lookup: lookup, send: func(r *http.Request) (*http.Response, error) {
		if c.AdminToken == "" {
			return nil, usage{errors.New("the admin API asks for a token: set KEYLESS_ADMIN_TOKEN to the gateway's")}
		}
		r.Header.Set("Authorization", "Bearer "+c.AdminToken.Reveal())
		answer, err := client.Do(r)
		if err != nil {
			return nil, unreached("call the admin API", err)
		}
		return answer, nil
	}}, nil
}

// baseURL reads --url: scheme and host.
func baseURL(text string) (string, error) {
	u, err := url.Parse(strings.TrimSuffix(text, "/"))
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
		return "", usage{errors.New("--url is scheme and host, such as https://id.acme.example")}
	}
	return u.String(), nil
}

// publicURL makes ${KEYLESS_PUBLIC_URL} what the gateway on the store calls itself: as the environment says, or the process that serves
// from the folder. For a store elsewhere the laptop's default would be a wrong guess, so there it is missing unless it is set.
func (t terminal) publicURL(c config.Config) func(string) (string, bool) {
	if t.variable("REDIS_URL") != "" && !c.PublicURLSet {
		return t.lookup
	}
	return t.overlay(map[string]string{"KEYLESS_PUBLIC_URL": c.PublicURL})
}

// close ends what gateway began.
func (g *gateway) close() {
	if g.process != nil {
		_ = g.process.Redis.Close()
	}
}

// ask is one call of the admin API. Path is below its prefix, with parameters; match is the If-Match of a change, newOnly its
// If-None-Match.
type ask struct {
	method, path string
	match        string
	newOnly      bool
	body         any // JSON; nil: none
	within       time.Duration
}

// anyVersion is the If-Match of a change that the operator wants whatever stands there.
const anyVersion = "*"

// do calls the admin API, reads the answer into a value where that is not nil, and returns the object's version. A refusal is a
// *problem.
func (g *gateway) do(ctx context.Context, a ask, into any) (string, error) {
	within := a.within
	if within == 0 {
		within = askWithin
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	r, err := g.request(ctx, a)
	if err != nil {
		return "", err
	}
	answer, err := g.send(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("read the admin API's answer: %w", err)
	case len(text) > maxAnswer:
		return "", errors.New("the admin API's answer is larger than 64 MiB")
	case answer.StatusCode >= http.StatusMultipleChoices:
		return "", problemOf(answer.StatusCode, text)
	}
	version := strings.Trim(answer.Header.Get("ETag"), `"`)
	switch to := into.(type) {
	case nil:
		return version, nil
	case *[]byte:
		*to = text
		return version, nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return "", errors.New("what answered is no admin API: --url names the gateway's public URL, or that of KEYLESS_ADMIN_ADDR")
	}
	return version, nil
}

func (g *gateway) request(ctx context.Context, a ask) (*http.Request, error) {
	base, body := g.url, io.Reader(http.NoBody)
	if g.process != nil {
		base = "http://localhost"
	}
	if a.body != nil {
		text, err := json.Marshal(a.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	method := a.method
	if method == "" {
		method = http.MethodGet
	}
	r, err := http.NewRequestWithContext(ctx, method, base+admin.Prefix+a.path, body)
	if err != nil {
		return nil, err
	}
	if a.body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	switch {
	case a.newOnly:
		r.Header.Set("If-None-Match", "*")
	case a.match == anyVersion:
		r.Header.Set("If-Match", anyVersion)
	case a.match != "":
		r.Header.Set("If-Match", `"`+a.match+`"`)
	}
	return r, nil
}

// page is a part of a list.
type page struct {
	Items []json.RawMessage `json:"items"`
	Next  string            `json:"next"`
}

// pageLength is how many objects are asked for at once: as many as the admin API gives.
const pageLength = "200"

// each visits every item of a list, page by page.
func (g *gateway) each(ctx context.Context, path string, query url.Values, visit func(json.RawMessage) error) error {
	if query == nil {
		query = url.Values{}
	}
	for {
		var p page
		if _, err := g.do(ctx, ask{path: path + "?" + query.Encode()}, &p); err != nil {
			return err
		}
		for _, item := range p.Items {
			if err := visit(item); err != nil {
				return err
			}
		}
		if p.Next == "" || p.Next == query.Get("after") {
			return nil
		}
		query.Set("after", p.Next)
	}
}
