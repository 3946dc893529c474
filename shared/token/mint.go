package token

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

const (
	// idBytes is the size of a jti: 128 random bits, so that no two tokens share one.
	idBytes = 16
	// bearer is the token type of RFC 6750.
	bearer = "Bearer"
)

// errTooLong is a failure of the configuration: no caller can ask for more scopes than were granted to it, and names in
// what it exchanges are bounded.
var errTooLong = errors.New("longer than the 8 KiB that verifiers and proxies take: shorten scopes or names")

func isTooLong(err error) bool { return errors.Is(err, errTooLong) }

// mint makes an access token as RFC 9068 §2 says, signed with the instance's active key, and bound to
// a key that its bearer must prove to hold where bound is not nil. The claims are
// marshalled from a struct of fixed names.
func (e *endpoint) mint(
	ctx context.Context, snapshot *registry.Snapshot, instance, client string, g granted,
	bound *oauth.Confirmation,
) (*oauth.TokenResponse, error) {
	keys := snapshot.KeySets[instance]
	if keys == nil || keys.Active == "" {
		return nil, fmt.Errorf("instance %s has no signing key: run keyless apply, which makes one", instance)
	}
	now := e.now()
	lifetime := snapshot.Instances[instance].Lifetime(g.server)
	claims := oauth.AccessTokenClaims{
		Issuer:    e.issuer(instance),
		Subject:   cmp.Or(g.subject, client),
		Audience:  cmp.Or(g.audience, g.server.Identifier),
		ClientID:  client,
		Scope:     strings.Join(g.scopes, " "),
		IssuedAt:  now.Unix(),
		NotBefore: now.Unix(),
		ExpiresAt: now.Unix() + int64(lifetime/time.Second),
		ID:        newID(),

		Confirmation: bound,
		Actor:        g.actor,
	}
	if !g.until.IsZero() {
		claims.ExpiresAt = min(claims.ExpiresAt, g.until.Unix())
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return nil, fmt.Errorf("write claims: %w", err)
	}
	kid := e.signingKey(ctx, snapshot, instance, now)
	compact, err := e.signer.Sign(ctx, instance, kid, payload)
	if err != nil {
		return nil, fmt.Errorf("sign a token of %s: %w", instance, err)
	}
	note(ctx, slog.String("token_id", claims.ID))
	if len(compact) > oauth.MaxTokenBytes {
		return nil, fmt.Errorf("a token for client %s of %s: %w", client, instance, errTooLong)
	}
	return &oauth.TokenResponse{
		AccessToken: compact, TokenType: typeOf(bound), Scope: claims.Scope,
		ExpiresIn: claims.ExpiresAt - claims.IssuedAt, ExpiresAt: claims.ExpiresAt,
		IssuedTokenType: g.issuedType,
	}, nil
}

func newID() string {
	b := make([]byte, idBytes)
	_, _ = rand.Read(b) // crypto/rand.Read never returns an error
	return base64.RawURLEncoding.EncodeToString(b)
}
