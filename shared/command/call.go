package command

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"keyless/shared/registry"
)

// called is what a call sends.
type called struct {
	credentials
	token, key, place, host string
	method, path, data      string
	message, model          string
	whole, raw              bool
	headers                 list
}

// call sends a real request through the gateway and prints what comes back, as it comes.
func call(ctx context.Context, t terminal, args []string) error {
	flags, c := t.flags(), &called{}
	c.flags(t, flags)
	c.asks(flags)
	flags.StringVar(&c.token, "token", "",
		"an access `token`, - reads it from standard input; default KEYLESS_TOKEN, else one is got for the client")
	flags.StringVar(&c.key, "key", "", "an API `key` in place of a token, - reads it from standard input")
	flags.StringVar(&c.place, "key-header", "", "the `header` that the API key stands in; default Authorization: Bearer")
	flags.StringVar(&c.host, "host", "", "the API's `domain`, where it is not that of the URL")
	flags.StringVar(&c.message, "message", "", "what to say to a model")
	flags.StringVar(&c.model, "model", "", "to which `model`")
	flags.BoolVar(&c.whole, "whole", false, "ask for the answer in one piece; default as a stream")
	flags.StringVar(&c.path, "path", "",
		"the `path` below the API's base path; default that of chat completions where there is a message")
	flags.StringVar(&c.method, "method", "", "default GET, with a body POST")
	flags.StringVar(&c.data, "data", "", "a JSON `body` of your own, - reads it from standard input")
	flags.Var(&c.headers, "header", "a further `'name: value'`; may stand several times")
	flags.BoolVar(&c.raw, "json", false, "print the answer's body as it is")
	words, err := t.words(flags, args, "API|/PATH")
	if err != nil {
		return err
	}
	r, err := c.request(ctx, t, words[0])
	if err != nil {
		return err
	}
	response, err := direct().Do(r)
	if err != nil {
		return unreached("call the gateway", err)
	}
	defer response.Body.Close()
	return t.answered(response, c.raw, c.hint(r, response.StatusCode))
}

// request makes the request, and gets a token where it needs one.
func (c *called) request(ctx context.Context, t terminal, target string) (*http.Request, error) {
	base, err := t.public(c.url)
	if err != nil {
		return nil, err
	}
	if err := c.read(t); err != nil {
		return nil, err
	}
	path := target
	if !strings.HasPrefix(target, "/") {
		if path, err = c.pathOf(ctx, t, target); err != nil {
			return nil, err
		}
	}
	if c.method == "" {
		c.method = http.MethodGet
		if c.data != "" {
			c.method = http.MethodPost
		}
	}
	r, err := http.NewRequestWithContext(ctx, c.method, base+path, strings.NewReader(c.data))
	if err != nil {
		return nil, usage{errors.New("the path is no path of a URL")}
	}
	if c.data != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, line := range c.headers {
		name, value, is := strings.Cut(line, ":")
		if !is {
			return nil, usage{errors.New("--header is written 'name: value'")}
		}
		r.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	if c.host != "" {
		r.Host = c.host
	}
	return r, c.prove(ctx, t, r)
}

// read reads what stands elsewhere, and makes the body of a message.
func (c *called) read(t terminal) error {
	reads := 0
	for _, value := range []*string{&c.token, &c.key, &c.data} {
		if *value != "-" {
			continue
		}
		if reads++; reads > 1 {
			return usage{errors.New("only one thing can be read from standard input")}
		}
		text, err := t.read()
		if err != nil {
			return err
		}
		*value = strings.TrimRight(text, "\r\n")
	}
	switch {
	case c.message != "" && c.data != "":
		return usage{errors.New("--message makes the body; leave --data out")}
	case c.message == "":
		return nil
	case c.model == "":
		return usage{errors.New("--message needs --model")}
	}
	body := map[string]any{
		"model": c.model, "messages": []map[string]string{{"role": "user", "content": c.message}},
	}
	if !c.whole {
		body["stream"] = true
	}
	text, err := json.Marshal(body)
	c.data = string(text)
	return err
}

// chat is the path of chat completions below an API that is reached at a version's path.
const chat = "/chat/completions"

// pathOf finds where an API is reached, from the registry.
func (c *called) pathOf(ctx context.Context, t terminal, name string) (string, error) {
	g, err := t.gateway(&options{url: c.url})
	if err != nil {
		return "", fmt.Errorf("find the API %s (write its /PATH to call it without the admin API): %w", name, err)
	}
	defer g.close()
	var api registry.API
	k, _ := kindOf("api")
	if _, err := g.do(ctx, ask{path: k.path(name)}, &api); err != nil {
		return "", named(err, k.label(name))
	}
	if c.host == "" && len(api.Domains) > 0 && api.Domains[0] != registry.DefaultDomain && !strings.HasPrefix(api.Domains[0], "*") {
		c.host = api.Domains[0]
	}
	base := strings.TrimSuffix(api.BasePath, "/")
	switch {
	case c.path != "":
		return base + "/" + strings.TrimPrefix(c.path, "/"), nil
	case c.message == "":
		return cmp.Or(base, "/"), nil
	case strings.HasSuffix(base, "/v1") || api.StripBasePath:
		return base + chat, nil
	}
	return base + "/v1" + chat, nil
}

// prove puts the credential into the request.
func (c *called) prove(ctx context.Context, t terminal, r *http.Request) error {
	if c.token == "" && c.key == "" {
		c.token = t.variable("KEYLESS_TOKEN")
	}
	if c.token == "" && c.key == "" && c.client != "" {
		if err := c.complete(t); err != nil {
			return err
		}
		_, answer, err := c.get(ctx)
		if err != nil {
			return err
		}
		c.token = answer.AccessToken
	}
	switch {
	case c.token != "" && c.key != "":
		return usage{errors.New("--token or --key, not both: the gateway takes one credential")}
	case c.key != "" && c.place != "":
		r.Header.Set(c.place, c.key)
	case c.token+c.key != "":
		r.Header.Set("Authorization", "Bearer "+c.token+c.key)
	}
	return nil
}

// hint is where to look further after an answer, "" where nothing tells more.
func (c *called) hint(r *http.Request, status int) string {
	proves := c.token+c.key != "" || r.Header.Get("Authorization") != ""
	switch status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return "; keyless doctor tells more"
	case http.StatusForbidden, http.StatusTooManyRequests:
		if proves {
			return "; keyless explain tells more"
		}
	case http.StatusUnauthorized:
		if proves {
			return "; keyless explain tells more"
		}
		return "; no token: --token, --key or --client-id"
	}
	return ""
}

// answered prints an answer, and says how it ended and, where it failed, the hint.
func (t terminal) answered(response *http.Response, raw bool, hint string) error {
	isStream := strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream")
	if response.StatusCode >= http.StatusBadRequest {
		text, _ := io.ReadAll(io.LimitReader(response.Body, maxTokenAnswer)) // what came of it is told
		fmt.Fprintln(t.stdout, strings.TrimSpace(plainLines(string(text))))
		why := fmt.Errorf("the answer is %s, request %s%s",
			plain(response.Status), plain(response.Header.Get("X-Request-Id")), hint)
		if response.StatusCode < http.StatusInternalServerError {
			return refused{why}
		}
		return why
	}
	var err error
	if isStream && !raw {
		err = t.stream(response.Body)
	} else {
		_, err = io.Copy(t.stdout, response.Body)
	}
	if err != nil {
		return fmt.Errorf("the answer was cut: %w", err)
	}
	if !raw {
		fmt.Fprintln(t.stdout)
	}
	return nil
}
