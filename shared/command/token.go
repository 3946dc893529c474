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
	"strconv"
	"strings"
	"syscall"
	"time"

	"keyless/shared/config"
)

const (
	// tokenWithin bounds a call of an instance's endpoints.
	tokenWithin = 30 * time.Second
	// maxTokenAnswer bounds what is read of their answers: a token has at most 8 KiB.
	maxTokenAnswer = 1 << 20
)

// credentials are what a client proves itself with, and where.
type credentials struct {
	url, instance, client, secret string
	scopes, resources             list
}

func (c *credentials) flags(t terminal, flags *flag.FlagSet) {
	flags.StringVar(&c.url, "url", t.variable("KEYLESS_URL"),
		"the gateway's public `URL`; default KEYLESS_URL, KEYLESS_PUBLIC_URL, else keyless serve's")
	flags.StringVar(&c.instance, "instance", "", "the `instance`; may stand before the client as INSTANCE/CLIENT")
	flags.StringVar(&c.client, "client-id", t.variable("KEYLESS_CLIENT_ID"), "the `client`; default KEYLESS_CLIENT_ID")
	flags.StringVar(&c.secret, "client-secret", "", "its `secret`, - reads it from standard input; default KEYLESS_CLIENT_SECRET")
}

func (c *credentials) asks(flags *flag.FlagSet) {
	flags.Var(&c.scopes, "scope", "a `scope`; may stand several times; default all that is granted")
	flags.Var(&c.resources, "resource", "the resource `server` that the token is for")
}

// complete fills in what the flags left out.
func (c *credentials) complete(t terminal) error {
	if instance, client, is := strings.Cut(c.client, "/"); is && c.instance == "" {
		c.instance, c.client = instance, client
	}
	if c.secret == "" {
		c.secret = t.variable("KEYLESS_CLIENT_SECRET")
	}
	var err error
	if c.secret, err = t.secretOf(c.secret); err != nil {
		return err
	}
	switch {
	case c.instance == "" || c.client == "":
		return usage{errors.New("--instance and --client-id name who asks; --client-id INSTANCE/CLIENT does too")}
	case c.secret == "":
		return usage{errors.New("the client's secret is missing: set KEYLESS_CLIENT_SECRET, or --client-secret -")}
	}
	c.url, err = t.public(c.url)
	return err
}

// public is the base URL under which a gateway takes calls.
func (t terminal) public(given string) (string, error) {
	if given != "" {
		return baseURL(given)
	}
	c, err := config.Load(t.lookup, config.Serve())
	if err != nil {
		return "", err
	}
	if c.PublicURLSet {
		return c.PublicURL, nil
	}
	if c.RedisURL != "" {
		return "", usage{errors.New("say where the gateway is: --url, KEYLESS_URL or KEYLESS_PUBLIC_URL")}
	}
	if c, err = reach(c); err != nil {
		return "", err
	}
	return c.PublicURL, nil
}

// tokenAnswer is what an instance's endpoints answer: of a token, of an introspection, of an error.
type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	Error       string `json:"error"`
	Description string `json:"error_description"`
	RequestID   string `json:"request_id"`
}

// post sends a form to an endpoint of the instance (RFC 6749 §2.3.1: Basic, form-encoded).
func (c *credentials) post(ctx context.Context, endpoint string, form url.Values) ([]byte, tokenAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, tokenWithin)
	defer cancel()
	at := c.url + "/" + url.PathEscape(c.instance) + "/oauth2/" + endpoint
	var answer tokenAnswer
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, answer, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(c.client), url.QueryEscape(c.secret))
	response, err := direct().Do(r)
	if err != nil {
		return nil, answer, unreached("call the "+endpoint+" endpoint", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxTokenAnswer))
	if err != nil {
		return nil, answer, fmt.Errorf("read the %s endpoint's answer: %w", endpoint, err)
	}
	isJSON := len(bytes.TrimSpace(text)) == 0 || json.Unmarshal(text, &answer) == nil
	switch {
	case response.StatusCode == http.StatusOK && isJSON:
		return text, answer, nil
	case !isJSON || answer.Error == "":
		return nil, answer, fmt.Errorf("%s answered %d and is no endpoint of an instance; --url and --instance name it",
			plain(at), response.StatusCode)
	}
	why := fmt.Errorf("%d %s: %s (request %s)%s", response.StatusCode, plain(answer.Error), plain(answer.Description),
		plain(answer.RequestID), waitOf(response.Header))
	if response.StatusCode < http.StatusInternalServerError {
		return nil, answer, refused{why}
	}
	return nil, answer, why
}

// waitOf tells how long an answer asks to wait (RFC 9110 §10.2.3: seconds, or a time), "" where it does not.
func waitOf(h http.Header) string {
	text := h.Get("Retry-After")
	switch _, err := strconv.ParseUint(text, 10, 32); {
	case text == "":
		return ""
	case err != nil:
		return "; try again at " + plain(text)
	}
	return "; try again in " + text + " s"
}

// unreached tells of a call that no answer came to.
func unreached(what string, err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%s: %w: is the gateway running there?", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// direct is a client that follows no redirect: what it sends is for one host.
func direct() *http.Client {
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// get asks for an access token.
func (c *credentials) get(ctx context.Context) ([]byte, tokenAnswer, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if len(c.scopes) > 0 {
		form.Set("scope", strings.Join(c.scopes, " "))
	}
	form["resource"] = c.resources
	text, answer, err := c.post(ctx, "token", form)
	if err == nil && answer.AccessToken == "" {
		err = errors.New("the token endpoint answered without a token")
	}
	return text, answer, err
}

// getToken gets an access token and prints it.
func getToken(ctx context.Context, t terminal, args []string) error {
	flags, c := t.flags(), &credentials{}
	c.flags(t, flags)
	c.asks(flags)
	asJSON := flags.Bool("json", false, "print the whole answer")
	if err := t.parse(flags, args); err != nil {
		return err
	}
	if err := c.complete(t); err != nil {
		return err
	}
	text, answer, err := c.get(ctx)
	switch {
	case err != nil:
		return err
	case *asJSON:
		_, err = fmt.Fprintln(t.stdout, string(bytes.TrimSpace(text)))
		return err
	}
	t.say("%s", plain(answer.AccessToken))
	return nil
}

// onToken is a command that shows a token to an endpoint: introspect (RFC 7662) or revoke (RFC 7009).
func onToken(endpoint string) func(context.Context, terminal, []string) error {
	return func(ctx context.Context, t terminal, args []string) error {
		flags, c := t.flags(), &credentials{}
		c.flags(t, flags)
		asJSON := flags.Bool("json", false, "print JSON")
		words, err := t.words(flags, args, "TOKEN")
		if err != nil {
			return err
		}
		shown, err := t.secretOf(words[0])
		if err != nil {
			return err
		}
		if err := c.complete(t); err != nil {
			return err
		}
		text, _, err := c.post(ctx, endpoint, url.Values{"token": {shown}})
		switch {
		case err != nil:
			return err
		case endpoint == "revoke":
			return t.told("revoked", "the token", *asJSON)
		}
		_, err = fmt.Fprintln(t.stdout, string(bytes.TrimSpace(text)))
		return err
	}
}
