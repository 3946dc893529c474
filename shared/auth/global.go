package auth

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// judgeGlobal decides on an API that has no authentication of its own: open, unless global authentication asks for a token at this
// domain and path. There one issuer serves everybody: a valid token authenticates and authorizes at once (B2C), and its sub names the
// caller.
func (g *Gate) judgeGlobal(ctx context.Context, v registry.View, r *http.Request, d *Decision) error {
	global := v.Global
	if global == nil || !global.Status.On() {
		d.step("authentication", "disabled on API "+d.API.Name)
		d.Allowed = true
		return nil
	}
	path, err := registry.CanonicalPath(r)
	if err != nil {
		return err
	}
	if !asks(global, v.Domain(r.Host).Name, path) {
		d.step("global authentication", "asks for nothing at this domain and path")
		d.Allowed = true
		return nil
	}
	d.Method, d.Place = registry.MethodJWT, global.Place()
	values := globalTokens(r, d)
	switch len(values) {
	case 0:
		d.step("global authentication", "asks for a token, and none was sent")
		d.refuse(JWTMissing)
		return nil
	case 1:
		return g.verifyGlobal(ctx, v, r, global, values[0], d)
	}
	d.Sent = true
	d.step("global authentication", "more than one token")
	d.refuse(JWTInvalid)
	return nil
}

// globalTokens are the values at the place of global authentication; one behind the scheme DPoP moves the place there.
func globalTokens(r *http.Request, d *Decision) []string {
	var values []string
	place := d.Place
	for _, sent := range Sent(r, place) {
		if value, ok := unprefixed(sent, dpopPlace.Prefix); ok && value != "" && isAuthorization(place) {
			values, d.Place = append(values, value), dpopPlace
		} else if value, ok := unprefixed(sent, place.Prefix); ok && value != "" {
			values = append(values, value)
		}
	}
	return values
}

func (g *Gate) verifyGlobal(
	ctx context.Context, v registry.View, r *http.Request, global *registry.GlobalAuthentication, compact string, d *Decision,
) error {
	token := parsed(r, compact, d)
	if token == nil {
		return nil
	}
	rule := registry.JWTCredential{
		JWKSURL: global.JWKSURL, Issuer: global.Issuer, Audience: global.Audience, MaxLifetime: global.MaxLifetime,
	}
	why := rules(&rule, token, g.now())
	if why == "" && global.Subject != "" && token.Claims.Subject != global.Subject {
		why = "sub is not the configured subject"
	}
	if why != "" {
		d.step("rules", why)
		d.refuse(JWTInvalid)
		return nil
	}
	keys := global.Keys()
	if global.JWKSURL != "" {
		var err error
		if keys, err = g.keysOf(ctx, v, &rule, token.Header.KeyID); err != nil {
			return err
		}
	}
	by := g.signedBy(token, fitting(keys, token), map[string]bool{})
	if by == nil {
		d.step("signature", "no key of the global set verifies it")
		d.refuse(JWTInvalid)
		return nil
	}
	ours := g.ours(v, token, *by)
	if why := g.ownRules(v, r, d.API, token, ours); why != "" {
		d.step("rules", why)
		d.refuse(JWTInvalid)
		return nil
	}
	switch {
	case !g.now().Before(token.Claims.ExpiresAt.Add(registry.DefaultSkew)):
		d.step("time", "exp has passed; all else holds")
		d.refuse(JWTExpired)
	default:
		if ours {
			d.revocable(token)
		}
		return g.passGlobally(ctx, v, r, global, token, d)
	}
	return nil
}

// passGlobally ends a decision on a token that verifies: it authorizes at once, once its binding is proven and its scopes are seen.
func (g *Gate) passGlobally(
	ctx context.Context, v registry.View, r *http.Request, global *registry.GlobalAuthentication, token *oauth.Token, d *Decision,
) error {
	proven, err := g.provesKey(ctx, v, r, token, d)
	if err != nil || !proven {
		return err
	}
	d.Subject = token.Claims.Subject
	if !d.scoped(token) {
		return nil
	}
	d.step("token", "verifies; global authentication authorizes at once")
	d.Allowed, d.passGlobal = true, global.PassToken
	d.Headers = headersOf(global.ClaimsToHeaders, token.Claims)
	return nil
}

// asks reports whether a request needs a token: in a blacklist the listed do, in a whitelist (the default) all others do.
func asks(global *registry.GlobalAuthentication, domain, path string) bool {
	blacklist := global.Mode == "blacklist"
	listed := slices.ContainsFunc(global.Rules, func(rule registry.Rule) bool {
		// Many backends answer /x/ as /x: what is listed for a token must not be open with a slash behind it.
		return selects(rule, domain, path) ||
			blacklist && rule.Match == registry.MatchExact && path != "/" && selects(rule, domain, strings.TrimSuffix(path, "/"))
	})
	return listed == blacklist
}

// selects judges a rule on the canonical path with base path, without query. An absent domain or path means any.
func selects(rule registry.Rule, domain, path string) bool {
	if rule.Domain != "" && rule.Domain != "*" && !strings.EqualFold(rule.Domain, domain) {
		return false
	}
	switch {
	case rule.Path == "":
		return true
	case rule.Match == "exact":
		return path == rule.Path
	case rule.Match == "suffix":
		return strings.HasSuffix(path, rule.Path)
	case rule.Match == "regex":
		return rule.Matches(path)
	}
	return registry.Under(path, rule.Path)
}
