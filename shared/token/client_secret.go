package token

import (
	"context"
	"log/slog"
	"time"

	"keyless/shared/auth"
	"keyless/shared/oauth"
	"keyless/shared/registry"
	"keyless/shared/seal"
)

// maxSecrets is how many secrets a client has at most, and how many are checked for every request, so that a
// client which does not exist costs the same work as one that does.
const maxSecrets = 2

// minAssertionSecret is the shortest secret that may key HS256 (RFC 7518 §3.2).
const minAssertionSecret = 32

// Secrets opens what is kept sealed; *registry.Reader satisfies it.
type Secrets interface {
	// ClientSecret returns a secret in clear text, "" where only its hash is kept. No round trip.
	ClientSecret(c *registry.Client, s registry.ClientSecret) (registry.Secret, error)
}

// provesSecret compares the secrets with every live one of the client, and returns the id of the one that fits, "" for
// none. It does the same work for a client that does not exist, against hashes that match nothing, and never stops early.
func provesSecret(pepper []byte, instance string, c *registry.Client, secrets []string, now time.Time) string {
	proven := ""
	for slot := range max(maxSecrets, len(c.Secrets)) {
		var stored registry.ClientSecret
		if slot < len(c.Secrets) && c.Secrets[slot].Live(now) {
			stored = c.Secrets[slot]
		}
		place := registry.PlaceClientSecret(instance, c.ID, stored.ID)
		for _, secret := range secrets {
			if seal.Matches(pepper, place, secret, stored.Hash) {
				proven = stored.ID
			}
		}
	}
	return proven
}

// used tells the log, and whoever wants to know, which secret of a client was used. That it cannot be noted keeps nobody
// from a token.
func (e *endpoint) used(ctx context.Context, instance string, c *registry.Client, secret string) {
	if c == nil || secret == "" {
		return
	}
	note(ctx, slog.String("client_secret_id", secret))
	if e.lastUse == nil {
		return
	}
	if err := e.lastUse.SecretUsed(ctx, instance, c.ID, secret); err != nil {
		e.log.LogAttrs(ctx, slog.LevelWarn, "last use of a secret not noted", slog.String("reason", err.Error()))
	}
}

// provesSecretJWT judges client_secret_jwt: an assertion of HS256 keyed by a live secret (OpenID Connect Core 1.0 §9).
func (e *endpoint) provesSecretJWT(
	ctx context.Context, instance string, c *registry.Client, a *assertion,
) (bool, error) {
	if e.ownWrong(instance, c, a) != "" {
		return false, nil
	}
	proven := ""
	for slot := range max(maxSecrets, len(c.Secrets)) {
		clear := nobodysSecret
		if slot < len(c.Secrets) && c.Secrets[slot].Live(e.now()) {
			opened, err := e.secrets.ClientSecret(c, c.Secrets[slot])
			if err != nil {
				return false, err
			}
			clear = opened.Reveal()
		}
		key := oauth.Key{Public: []byte(clear), Algorithms: []string{oauth.AssertionSecretAlgorithm}}
		if len(clear) >= minAssertionSecret && auth.Verifies(a.token, key) && clear != nobodysSecret {
			proven = c.Secrets[slot].ID
		}
	}
	if proven == "" {
		return false, nil
	}
	first, err := e.once(ctx, instance, c, a)
	if first && err == nil {
		e.used(ctx, instance, c, proven)
	}
	return first, err
}

// nobodysSecret is verified against in the place of one that is not there.
const nobodysSecret = "no client has this secret, for it has spaces in front:  "
