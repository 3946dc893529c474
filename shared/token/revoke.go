package token

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// revocationTail is how much longer than the token a revocation is remembered: verifiers let a token live on
// for the difference of their clock, and none is off by an hour.
const revocationTail = time.Hour

// revoke is the story of a revocation (RFC 7009 §2): a client gives back a token that was issued to it, and
// from then on neither our gate nor an introspection takes it. What is no token any more is answered alike,
// for the caller has what it wants (§2.2); what was issued to another stays, and the caller is told (§2.1).
// One round trip beside the client's.
func (e *endpoint) revoke(w http.ResponseWriter, r *http.Request, instance string) (reason, error) {
	c, refused, err := e.caller(w, r, instance)
	if err != nil || refused != none {
		return refused, err
	}
	text := c.form.one(paramToken)
	if text == "" {
		return noToken, nil
	}
	ctx := r.Context()
	token, why := e.verified(c.snapshot, instance, text, revocationTail)
	if why != "" {
		note(ctx, slog.Bool("revoked", false), slog.String("reason", why))
		return none, nil
	}
	note(ctx, slog.String("token_id", token.ID), slog.String("token_client", token.ClientID))
	if token.ClientID != c.client.ID {
		return othersToken, nil
	}
	if e.revocations == nil {
		return none, errNoRevocations
	}
	keep := time.Unix(token.ExpiresAt, 0).Sub(e.now()) + revocationTail
	if err := e.revocations.Revoke(ctx, token.digest(), keep); err != nil {
		return none, fmt.Errorf("remember a revocation: %w", err)
	}
	note(ctx, slog.Bool("revoked", true))
	return none, nil
}
