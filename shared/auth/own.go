package auth

import (
	"slices"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// ownRules checks what is asked of a token of our own instances beyond its consumer's rules; it returns which rule fails, "" for none.
// Of another issuer's token we cannot know: there the consumer's own audience rule decides.
func (g *Gate) ownRules(v registry.View, api *registry.API, token *oauth.Token, ours bool) string {
	switch {
	case !ours:
		return ""
	case token.Claims.IssuedAt.Before(v.NotBefore):
		return "not_before is later than iat: tokens of our own instances hold from then on"
	case api.ResourceServer != "" && !g.isFor(v, api, token.Claims.Audience):
		return "resource_server: aud is neither it nor the URL of the API"
	}
	return ""
}

// isFor reports whether one of the audiences is the API: by its resource server's identifier, or by its URL (RFC 8707 §2, RFC 9728 §7.4).
func (g *Gate) isFor(v registry.View, api *registry.API, audience []string) bool {
	return slices.ContainsFunc(audience, func(aud string) bool {
		if aud == api.ResourceServer {
			return true
		}
		named := v.APIOf(g.publicURL, aud)
		return named != nil && named.Name == api.Name
	})
}

// revocable notes under which digest the admission finds out whether the token was revoked.
func (d *Decision) revocable(token *oauth.Token) {
	if token.Claims.ID != "" {
		d.Revocation = registry.Revocation(token.Claims.Issuer, token.Claims.ID)
	}
}

// Revoke turns an allowed decision into a refusal: for the door that was told, as it admitted the call, that the token was revoked.
func (d *Decision) Revoke() {
	d.step("revocation", "the token was revoked")
	d.Certain = true
	d.refuse(TokenRevoked)
}

// scoped holds a verified token of whatever issuer to the scopes that the API requires, each by member (RFC 6750 §3.1). It refuses
// where it returns false. Callers by API key or signature have none: what they may is their authorization.
func (d *Decision) scoped(token *oauth.Token) bool {
	has := token.Claims.Values("scope")
	for _, scope := range d.API.Scopes {
		if !slices.Contains(has, scope) {
			d.step("scope", "the token lacks a scope that API "+d.API.Name+" requires: "+scope)
			d.refuse(InsufficientScope)
			return false
		}
	}
	return true
}
