package proxy

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// Bounds of a token that we fetch for an upstream.
const (
	// grantWithin is for the whole fetch: a call waits for it before anything is sent.
	grantWithin = 5 * time.Second
	// maxGrant bounds an answer of a token endpoint, and maxGrantToken the token in it, which stands in a header.
	maxGrant      = 64 << 10
	maxGrantToken = 16 << 10
	// renewsBefore the end a token is fetched anew, so that none ends on its way or during a call that begins late.
	renewsBefore = 60 * time.Second
	// untoldLifetime is that of a token whose endpoint does not say (RFC 6749 §5.1 only recommends it).
	untoldLifetime = 5 * time.Minute
	// maxLifetime bounds what an endpoint says: a token that was withdrawn is missed by then.
	maxLifetime = 24 * time.Hour
	// renewsEvery bounds what an upstream that refuses every token costs its token endpoint.
	renewsEvery = 10 * time.Second
	// maxGrants is above what a registry has; beyond, all is forgotten.
	maxGrants = 4096
)

// grantee is who asks a token endpoint for what, and for which upstream.
type grantee struct{ upstream, url, id, secret, scope, audience, resource string }

func granteeOf(u *registry.Upstream) grantee {
	of := func(member string) string { return u.Auth.OAuth[member].Reveal() }
	return grantee{
		u.Name, of("token_url"), of("client_id"), of("client_secret"), of("scope"), of("audience"), of("resource"),
	}
}

// byGrant reports whether an upstream is called with a token that we fetch.
func byGrant(u *registry.Upstream) bool { return u.Auth != nil && u.Auth.OAuth != nil }

// grant is a token of an upstream's.
type grant struct {
	token   string
	until   time.Time // wall clock
	renewed time.Time // when it last took the place of one that was refused
}

// grants keeps the tokens of upstreams, in this process, each until a minute before its end. One fetch at a time serves all who wait;
// it is made by one of them, and ends with it.
type grants struct {
	transport http.RoundTripper
	connect   time.Duration
	now       func() time.Time
	flight    singleflight.Group

	mu   sync.Mutex // guards held; never held across I/O
	held map[grantee]grant
}

func newGrants(transport http.RoundTripper, connect time.Duration, now func() time.Time) *grants {
	return &grants{
		transport: transport, connect: connect, held: map[grantee]grant{},
		now: func() time.Time { return now().Round(0) },
	}
}

// bear adds the upstream's token to the request.
func (p *proxy) bear(x *exchange, out *http.Request) error {
	g := granteeOf(x.upstream)
	token, err := p.grants.token(x.ctx, g)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnproven, err)
	}
	out.Header.Set("Authorization", "Bearer "+token)
	x.key, x.proof = token, proof{grantee: g, granted: true}
	return nil
}

// token returns the one that is kept, or fetches one.
func (s *grants) token(ctx context.Context, g grantee) (string, error) {
	if token := s.kept(g); token != "" {
		return token, nil
	}
	token, err, _ := s.flight.Do(fmt.Sprintf("%q", g), func() (any, error) {
		if token := s.kept(g); token != "" {
			return token, nil
		}
		token, lifetime, err := s.fetch(ctx, g)
		if err == nil {
			s.keep(g, token, lifetime)
		}
		return token, err
	})
	return token.(string), err
}

func (s *grants) kept(g grantee) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if held := s.held[g]; s.now().Before(held.until) {
		return held.token
	}
	return ""
}

func (s *grants) keep(g grantee, token string, lifetime time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	renewed := s.held[g].renewed
	if len(s.held) >= maxGrants {
		clear(s.held)
	}
	s.held[g] = grant{token, s.now().Add(lifetime - renewsBefore), renewed}
}

// refuse forgets a token that the upstream does not accept, and reports whether the next one may be another.
func (s *grants) refuse(g grantee, token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.held[g]
	switch age := s.now().Sub(held.renewed); {
	case held.token != token: // somebody was faster
		return true
	case age >= 0 && age < renewsEvery:
		return false
	}
	s.held[g] = grant{renewed: s.now()}
	return true
}

// fetch asks for a token by the client credentials grant (RFC 6749 §4.4), as client_secret_basic. A caller who is gone does not end
// what others wait for. No error tells of the answer more than its registered error code.
func (s *grants) fetch(ctx context.Context, g grantee) (string, time.Duration, error) {
	within := grantWithin
	if end, bounded := ctx.Deadline(); bounded {
		within = min(within, time.Until(end))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	ask, err := g.request(context.WithValue(ctx, connectWithin{}, s.connect))
	if err != nil {
		return "", 0, err
	}
	answer, err := s.transport.RoundTrip(ask) // follows no redirect
	if err != nil {
		return "", 0, fmt.Errorf("ask the token endpoint: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxGrant+1))
	switch {
	case err != nil:
		return "", 0, fmt.Errorf("read the token endpoint's answer: %w", err)
	case len(text) > maxGrant:
		return "", 0, errors.New("the token endpoint's answer is above 64 KiB")
	case answer.StatusCode != http.StatusOK:
		return "", 0, fmt.Errorf("the token endpoint answers %d%s", answer.StatusCode, errorCode(text))
	}
	return readGrant(text)
}

// request is the request for a token. Id and secret are form-encoded before they become a user and a password (RFC 6749 §2.3.1).
func (g grantee) request(ctx context.Context) (*http.Request, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	for name, value := range map[string]string{"scope": g.scope, "audience": g.audience, "resource": g.resource} {
		if value != "" {
			form.Set(name, value)
		}
	}
	ask, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("token_url is not a URL")
	}
	ask.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	ask.Header.Set("Accept", "application/json")
	ask.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString(
		[]byte(url.QueryEscape(g.id)+":"+url.QueryEscape(g.secret))))
	return ask, nil
}

// errorCode is the error of an answer (RFC 6749 §5.2) where it is one of the registered kind; it is no text of anybody's.
func errorCode(text []byte) string {
	members, err := oauth.Object(text)
	if err != nil {
		return ""
	}
	switch code, _ := oauth.String(members["error"]); code {
	case "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
		"invalid_target":
		return " " + code
	}
	return ""
}

// readGrant reads a token and its lifetime (RFC 6749 §5.1).
func readGrant(text []byte) (string, time.Duration, error) {
	members, err := oauth.Object(text)
	if err != nil {
		return "", 0, errors.New("the token endpoint's answer is not one JSON object")
	}
	token, _ := oauth.String(members["access_token"])
	kind, _ := oauth.String(members["token_type"])
	switch {
	case !isBearer(token):
		return "", 0, errors.New("the token endpoint's answer has no access_token that fits a header")
	case !strings.EqualFold(kind, "Bearer"):
		return "", 0, errors.New("the token endpoint's answer has a token_type other than Bearer")
	}
	told, is := members["expires_in"]
	if !is {
		return token, untoldLifetime, nil
	}
	var seconds int64
	if json.Unmarshal(told, &seconds) != nil || told[0] == 'n' || seconds < 0 {
		return "", 0, errors.New("the token endpoint's answer has an expires_in that is no number of seconds")
	}
	return token, time.Duration(min(seconds, int64(maxLifetime/time.Second))) * time.Second, nil
}

// isBearer reports whether a text is a b64token (RFC 6750 §2.1) of bounded length.
func isBearer(token string) bool {
	for i := range len(token) {
		c := token[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte("-._~+/=", c) < 0 {
			return false
		}
	}
	return token != "" && len(token) <= maxGrantToken
}

// unescaped is a parameter's name as its reader sees it.
func unescaped(name string) string {
	if clear, err := url.QueryUnescape(name); err == nil {
		return clear
	}
	return name
}
