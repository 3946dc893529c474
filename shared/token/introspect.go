package token

import (
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// inactive says nothing about a token, also not why (RFC 7662 §2.2).
var inactive = &oauth.Introspection{}

// introspect is the story of an introspection (RFC 7662): the caller proves itself as at the token endpoint,
// and learns about a token that it holds itself, or that is for a resource server which its permissions name.
// Everybody and everything else gets one answer. One round trip for the caller, one or two more for a token
// that seems to hold.
func (e *endpoint) introspect(
	w http.ResponseWriter, r *http.Request, instance string,
) (*oauth.Introspection, reason, error) {
	c, refused, err := e.caller(w, r, instance)
	if err != nil || refused != none {
		return nil, refused, err
	}
	text := c.form.one(paramToken)
	if text == "" {
		return nil, noToken, nil
	}
	if !e.introspections.allow(instance+"/"+c.client.ID, e.now()) {
		_ = throttle(w, time.Second)
		return nil, tooManyQuestions, nil
	}
	ctx := r.Context()
	token, why := e.verified(c.snapshot, instance, text, 0)
	if why == "" && !mayIntrospect(c.client, token) {
		why = "the caller has nothing to do with it"
	}
	if why == "" {
		if why, err = e.standing(ctx, token, c.client); err != nil {
			return nil, none, err
		}
	}
	note(ctx, slog.Bool("active", why == ""))
	if why != "" {
		note(ctx, slog.String("reason", why))
		return inactive, none, nil
	}
	note(ctx, slog.String("token_id", token.ID), slog.String("token_client", token.ClientID))
	return &oauth.Introspection{
		Active: true, Scope: token.Scope, ClientID: token.ClientID, TokenType: token.tokenType(),
		ExpiresAt: token.ExpiresAt, IssuedAt: token.IssuedAt, NotBefore: token.NotBefore,
		Subject: token.Subject, Audience: token.Audience, Issuer: token.Issuer, ID: token.ID,
		Confirmation: token.Confirmation, Actor: token.Actor,
	}, none, nil
}

// mayIntrospect reports whether the caller is the token's own client, or one with a permission at the token's
// resource server, as that server's own client has.
func mayIntrospect(client *registry.Client, token *ownToken) bool {
	if client.ID == token.ClientID {
		return true
	}
	return token.server != nil && slices.ContainsFunc(client.Permissions, func(p registry.Permission) bool {
		return p.ResourceServer == token.server.Identifier
	})
}

// maxIntrospections is what one caller may ask in a second of one process (RFC 7662 §4): a resource server
// that does not remember an answer for a moment would take the processor from everybody who wants a token.
const maxIntrospections = 500

// maxCallers bounds the callers that are counted in one second.
const maxCallers = 4096

// introspections counts by caller, in whole seconds. The zero value is ready.
type introspections struct {
	mu     sync.Mutex // guards all below
	second int64
	calls  map[string]int
}

func (i *introspections) allow(caller string, now time.Time) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if second := now.Unix(); second != i.second || len(i.calls) >= maxCallers {
		i.second, i.calls = second, map[string]int{}
	}
	i.calls[caller]++
	return i.calls[caller] <= maxIntrospections
}
