package token

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"keyless/shared/auth"
	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// Revocations remembers which tokens were revoked, for all instances; *quota.Quota satisfies it.
type Revocations interface {
	// Revoke remembers a digest (registry.Revocation) for a time; again is the same. One round trip.
	Revoke(ctx context.Context, digest string, keep time.Duration) error
	// Revoked reports of each digest whether it is remembered. One round trip.
	Revoked(ctx context.Context, digests ...string) ([]bool, error)
}

// errNoRevocations is a failure of the wiring: that nobody knows is never taken for "not revoked".
var errNoRevocations = errors.New("no memory of revoked tokens is wired")

// ownToken is an access token of an instance of ours whose signature and times hold.
type ownToken struct {
	oauth.AccessTokenClaims
	instance string
	server   *registry.ResourceServer // that it is for; nil where that is gone
	parsed   *oauth.Token
}

func (t *ownToken) digest() string { return registry.Revocation(t.Issuer, t.ID) }

// tokenType is how the token is to be shown (RFC 9449 §7.1).
func (t *ownToken) tokenType() string { return typeOf(t.Confirmation) }

// verified judges a text as an access token of the instance, by the keys that the instance publishes now. It
// returns why it is none, "" where it is one. It may have expired for as long as late says. No round trip.
func (e *endpoint) verified(
	s *registry.Snapshot, instance, compact string, late time.Duration,
) (*ownToken, string) {
	parsed, err := oauth.Parse(compact)
	if err != nil {
		return nil, "malformed"
	}
	switch c, now := parsed.Claims, e.now(); {
	case !strings.EqualFold(parsed.Header.Type, oauth.TypeAccessToken): // RFC 9068 §4
		return nil, "not an access token"
	case c.Issuer != e.issuer(instance):
		return nil, "of another issuer"
	case !now.Before(c.ExpiresAt.Add(late)):
		return nil, "expired"
	case c.NotBefore.After(now.Add(assertionSkew)) || c.IssuedAt.After(now.Add(assertionSkew)):
		return nil, "of the future"
	case c.IssuedAt.Before(s.NotBefore):
		return nil, "issued before all that holds"
	case !signedByInstance(s.KeySets[instance], parsed):
		return nil, "no published key verifies it"
	}
	t := &ownToken{instance: instance, parsed: parsed}
	if err := json.Unmarshal(payload(compact), &t.AccessTokenClaims); err != nil || t.ID == "" {
		return nil, "not of our making"
	}
	t.server = e.serverOf(s, instance, t.Audience)
	return t, ""
}

// payload is the second part of a text that passed the strict door.
func payload(compact string) []byte {
	parts := strings.Split(compact, ".")
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		panic("token: the strict door let a part pass that is not base64url")
	}
	return text
}

// signedByInstance looks for the one key that the token names: an instance writes a kid into each.
func signedByInstance(keys *registry.KeySet, token *oauth.Token) bool {
	if keys == nil || token.Header.KeyID == "" {
		return false
	}
	for _, k := range keys.Keys {
		if k.ID == token.Header.KeyID {
			return auth.Verifies(token, k)
		}
	}
	return false
}

// standing judges what became of a verified token since: that its resource server and its client are still
// there and enabled, and that it was not revoked. It returns why it does not hold, "" where it does. One
// round trip, and one more where the token is not that of the client who asks.
func (e *endpoint) standing(ctx context.Context, t *ownToken, asks *registry.Client) (string, error) {
	if t.server == nil || !t.server.Status.On() {
		return "its resource server is gone or disabled", nil
	}
	if e.revocations == nil {
		return "", errNoRevocations
	}
	revoked, err := e.revocations.Revoked(ctx, t.digest())
	if err != nil {
		return "", fmt.Errorf("look for a revocation: %w", err)
	}
	if len(revoked) != 1 || revoked[0] {
		return "revoked", nil
	}
	if asks.Instance == t.instance && asks.ID == t.ClientID {
		return "", nil // it has just proven itself
	}
	client, _, err := e.find(ctx, t.instance, t.ClientID)
	if err != nil {
		return "", fmt.Errorf("find the client of a token of %s: %w", t.instance, err)
	}
	if client == nil || !client.Status.On() {
		return "its client is gone or disabled", nil
	}
	return "", nil
}

// serverOf is the resource server that an audience names: by its identifier, or by the URL of an API that is
// bound to one. Nil where there is none.
func (e *endpoint) serverOf(s *registry.Snapshot, instance, audience string) *registry.ResourceServer {
	in := s.Instances[instance]
	if server := in.ResourceServer(audience); server != nil {
		return server
	}
	if api := s.APIOf(e.public, audience); api != nil && api.ResourceServer != "" {
		return in.ResourceServer(api.ResourceServer)
	}
	return nil
}
