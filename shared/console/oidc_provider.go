package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"keyless/shared/oauth"
)

const (
	metadataWithin = 5 * time.Second  // a person waits for it
	metadataAge    = 10 * time.Minute // endpoints hardly ever move
	maxMetadata    = 256 << 10
	maxTokenAnswer = 256 << 10
)

// provider is the identity provider with what it says of itself.
type provider struct {
	OIDC
	now func() time.Time

	mu      sync.Mutex // guards what follows; never held across I/O
	known   endpoints
	fetched time.Time
}

// endpoints are what we follow of a provider's metadata (OpenID Connect Discovery 1.0 §3).
type endpoints struct {
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	Methods               []string `json:"token_endpoint_auth_methods_supported"`
}

func (p *provider) scope() string {
	if p.Scope == "" {
		return "openid email profile"
	}
	return p.Scope
}

// host is what the button calls the provider.
func (p *provider) host() string {
	if u, err := url.Parse(p.Issuer); err == nil && u.Host != "" {
		return u.Host
	}
	return p.Issuer
}

// metadata is read when somebody signs in, and kept for some minutes.
func (p *provider) metadata(ctx context.Context) (endpoints, error) {
	p.mu.Lock()
	known, age := p.known, p.now().Sub(p.fetched)
	p.mu.Unlock()
	if known.Issuer != "" && age >= 0 && age < metadataAge {
		return known, nil
	}
	ctx, cancel := context.WithTimeout(ctx, metadataWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(p.Issuer, "/")+"/.well-known/openid-configuration", nil)
	if err != nil {
		return endpoints{}, fmt.Errorf("make a request for the provider's metadata: %w", err)
	}
	var m endpoints
	if err := p.read(r, maxMetadata, &m); err != nil {
		return endpoints{}, fmt.Errorf("read the provider's metadata: %w", err)
	}
	if m.Issuer != p.Issuer || !absolute(m.AuthorizationEndpoint) || !absolute(m.TokenEndpoint) {
		return endpoints{}, errors.New("read the provider's metadata: it is of another issuer, or lacks an endpoint")
	}
	p.mu.Lock()
	p.known, p.fetched = m, p.now()
	p.mu.Unlock()
	return m, nil
}

func absolute(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

// read sends a request and decodes a good answer.
func (p *provider) read(r *http.Request, most int64, into any) error {
	r.Header.Set("Accept", "application/json")
	got, err := p.Client.Do(r)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	text, err := io.ReadAll(io.LimitReader(got.Body, most+1))
	switch {
	case err != nil:
		return err
	case int64(len(text)) > most:
		return errors.New("the answer is too large")
	case got.StatusCode != http.StatusOK:
		return fmt.Errorf("status %d", got.StatusCode)
	}
	return json.Unmarshal(text, into)
}

// redeem exchanges a code for an ID token and verifies that.
func (p *provider) redeem(ctx context.Context, code string, s oidcState, callback string) (oauth.Claims, error) {
	m, err := p.metadata(ctx)
	if err != nil {
		return oauth.Claims{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, metadataWithin)
	defer cancel()
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "client_id": {p.ClientID},
		"code_verifier": {s.Verifier},
	}
	basic := p.ClientSecret != "" && !p.postsSecret(m)
	if p.ClientSecret != "" && !basic {
		form.Set("client_secret", p.ClientSecret.Reveal())
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, m.TokenEndpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return oauth.Claims{}, fmt.Errorf("make a request for the ID token: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if basic {
		r.SetBasicAuth(url.QueryEscape(p.ClientID), url.QueryEscape(p.ClientSecret.Reveal()))
	}
	var got struct {
		IDToken string `json:"id_token"`
	}
	if err := p.read(r, maxTokenAnswer, &got); err != nil {
		return oauth.Claims{}, fmt.Errorf("redeem the code: %w", err)
	}
	return p.judge(ctx, got.IDToken, s.Nonce)
}

// postsSecret reports whether the provider wants the secret in the form alone; without a word of it, it wants Basic (Discovery §3).
func (p *provider) postsSecret(m endpoints) bool {
	post := false
	for _, method := range m.Methods {
		if method == "client_secret_basic" {
			return false
		}
		post = post || method == "client_secret_post"
	}
	return post
}
