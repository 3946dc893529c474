package auth

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// ours reports whether a token is of an instance of ours: its iss is the instance's issuer URL, and the key that verified it is one that
// the instance publishes, wherever its consumer has the key from.
func (g *Gate) ours(v registry.View, token *oauth.Token, by oauth.Key) bool {
	path, below := strings.CutPrefix(token.Claims.Issuer, g.publicURL+"/")
	instance, is := strings.CutSuffix(path, "/oauth2")
	if !below || !is || v.KeySets[instance] == nil {
		return false
	}
	return slices.ContainsFunc(v.KeySets[instance].Keys, func(k oauth.Key) bool { return k.Thumbprint == by.Thumbprint })
}

// ownRules checks what is asked of a token of our own instances beyond its consumer's rules; it returns which rule fails, "" for none.
// Of another issuer's token we cannot know: there the consumer's own audience rule decides.
func (g *Gate) ownRules(v registry.View, r *http.Request, api *registry.API, token *oauth.Token, ours bool) string {
	audience := token.Claims.Audience
	switch {
	case !ours:
		return ""
	case token.Claims.IssuedAt.Before(v.NotBefore):
		return "not_before is later than iat: tokens of our own instances hold from then on"
	case api.ResourceServer != "" && slices.Contains(audience, api.ResourceServer):
		return ""
	}
	elsewhere := ""
	for _, aud := range audience {
		named := v.APIOf(g.publicURL, aud)
		switch {
		case named == nil:
		case named.Name != api.Name:
			elsewhere = "aud is the URL of another API, for which alone the token holds"
		case !onItsHost(v, r, aud):
			elsewhere = "aud is the URL of the API on another host of a wildcard domain"
		default:
			return ""
		}
	}
	if elsewhere == "" && api.ResourceServer != "" {
		elsewhere = "resource_server: aud is neither it nor the URL of the API"
	}
	return elsewhere
}

// onItsHost holds a URL under a wildcard domain, whose hosts may be different parties, to the request's own host.
func onItsHost(v registry.View, r *http.Request, audience string) bool {
	u, err := url.Parse(audience)
	if err != nil {
		return false
	}
	if !strings.HasPrefix(v.Domain(u.Host).Name, "*.") {
		return true
	}
	asked := url.URL{Host: r.Host}
	return strings.EqualFold(strings.TrimSuffix(u.Hostname(), "."), strings.TrimSuffix(asked.Hostname(), "."))
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
