package token

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"unicode"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// identity is what a trusted token says.
type identity struct {
	claims  oauth.Claims
	foreign bool // not of the instance itself
	ours    bool // of whichever instance of ours
	scoped  bool // no more than scopes may be had by it
	scopes  []string
}

// trusts judges a subject or actor token (which one is told to the log) by what the client's entry trusts;
// nil where nothing does. An error is a key set or a store that cannot be had.
func (e *endpoint) trusts(
	ctx context.Context, instance string, c caller, which, text, kind string,
) (*identity, error) {
	token, err := oauth.Parse(text)
	why := "malformed"
	var trust string
	if err == nil {
		trust, why, err = e.trust(ctx, instance, c, token, kind)
		if err != nil {
			return nil, fmt.Errorf("judge a %s token: %w", which, err)
		}
	}
	if why != "" {
		note(ctx, slog.String(which+"_token", why))
		return nil, nil
	}
	note(ctx, slog.String(which+"_trust", trust))
	i := &identity{
		claims: token.Claims, foreign: token.Claims.Issuer != e.issuer(instance),
		ours: e.instanceOf(c.snapshot, token.Claims.Issuer) != "",
	}
	i.scopes, i.scoped = scopesOf(token.Claims)
	i.bound(trustNamed(c.client, trust).Scopes)
	return i, nil
}

// scopesOf are the scopes of a token and whether it says any, which may be none: in scope (RFC 8693 §4.2), and
// in scp as other issuers write it, each a text or a list.
func scopesOf(claims oauth.Claims) (scopes []string, said bool) {
	for _, member := range []string{"scope", "scp"} {
		text, there := claims.All[member]
		if !there {
			continue
		}
		said = true
		if list, ok := oauth.Strings(text); ok {
			scopes = append(scopes, strings.Fields(strings.Join(list, " "))...)
		}
	}
	return scopes, said
}

// bound holds an identity to the scopes that whoever trusts its issuer allows; none: no more than the token
// says. Another issuer's token that says nothing has those alone: what is not scoped there is no permission here.
func (i *identity) bound(allowed []string) {
	switch {
	case !i.scoped && (i.foreign || len(allowed) > 0):
		i.scoped, i.scopes = true, allowed
	case i.scoped && len(allowed) > 0:
		i.scopes = slices.DeleteFunc(i.scopes, func(s string) bool { return !slices.Contains(allowed, s) })
	}
}

// trustNamed is the client's trust of a name.
func trustNamed(c *registry.Client, name string) *registry.SubjectIssuer {
	i := slices.IndexFunc(c.TokenExchange, func(s registry.SubjectIssuer) bool { return s.Name == name })
	if i < 0 {
		panic("token: a token was trusted by an entry that the client has not")
	}
	return &c.TokenExchange[i]
}

// trust finds what trusts a token, by name, and says why it is not taken, "" where it is.
func (e *endpoint) trust(
	ctx context.Context, instance string, c caller, token *oauth.Token, kind string,
) (string, string, error) {
	accessToken := kind != oauth.TokenTypeIDToken && hasType(token, oauth.TypeAccessToken)
	switch bound, now := token.Claims.All["cnf"], e.now(); {
	case !accessToken && !hasType(token):
		return "", "typ is that of another kind of token", nil
	case bound != nil:
		return "", "it is bound to a key, which only its bearer proves to hold", nil
	case !isSubject(token.Claims.Subject):
		return "", "sub is absent or no name of at most 255 bytes", nil
	case token.Claims.ExpiresAt.Unix() <= now.Unix():
		return "", "exp has passed", nil
	}
	if name := e.instanceOf(c.snapshot, token.Claims.Issuer); name != "" {
		return e.trustOwn(ctx, instance, name, c, token)
	}
	var trusted []*registry.FederatedCredential
	for i := range c.client.TokenExchange {
		if s := &c.client.TokenExchange[i]; s.Status.On() && s.Issuer != registry.IssuerSelf {
			trusted = append(trusted, s.Credential())
		}
	}
	f, why, err := e.trustedBy(ctx, c.snapshot, trusted, token, conditionsWrong)
	if f == nil {
		return "", why, err
	}
	return f.Name, "", nil
}

// instanceOf is the instance of ours that an issuer is, "" for none.
func (e *endpoint) instanceOf(s *registry.Snapshot, issuer string) string {
	name, _ := strings.CutSuffix(strings.TrimPrefix(issuer, e.public+"/"), "/oauth2")
	if s.Instances[name] == nil || e.issuer(name) != issuer {
		return ""
	}
	return name
}

// trustOwn judges a token that an instance of ours has issued, as an introspection would: its keys are known,
// and what was revoked is too.
func (e *endpoint) trustOwn(
	ctx context.Context, instance, issuedBy string, c caller, token *oauth.Token,
) (string, string, error) {
	own, why := e.verified(c.snapshot, issuedBy, token.Compact, 0)
	if why != "" {
		return "", why, nil
	}
	name, why := "", "nothing of the client trusts its issuer"
	for i := range c.client.TokenExchange {
		s := &c.client.TokenExchange[i]
		self := s.Issuer == registry.IssuerSelf && issuedBy == instance
		if !s.Status.On() || !self && s.Issuer != own.Issuer {
			continue
		}
		f := s.Credential()
		if own.server != nil && own.server.Identifier == f.Audience {
			f.Audience = own.Audience // the same resource server, by an API's URL
		}
		if why = conditionsWrong(f, token, e.now()); why == "" {
			name = f.Name
			break
		}
	}
	if why == "" {
		var err error
		if why, err = e.standing(ctx, own, c.client); err != nil {
			return "", "", err
		}
	}
	return name, why, nil
}

// isClient reports whether a subject of another issuer has the name of a client of the instance, or one that
// reads like it: with other capitals, or with white space and characters in it that nobody sees.
func (e *endpoint) isClient(ctx context.Context, instance string, subject *identity) (bool, error) {
	if !subject.foreign {
		return false, nil
	}
	bare := strings.Map(visible, subject.claims.Subject)
	for _, name := range unique(subject.claims.Subject, bare, strings.ToLower(bare)) {
		client, _, err := e.find(ctx, instance, name)
		if err != nil {
			return false, fmt.Errorf("compare a subject with the clients of %s: %w", instance, err)
		}
		if client != nil {
			note(ctx, slog.String("subject_token", "sub is or reads like the name of a client of the instance"))
			return true, nil
		}
	}
	return false, nil
}

// visible drops what a reader does not see: white space, and what has no glyph.
func visible(r rune) rune {
	if unicode.IsSpace(r) || !unicode.IsPrint(r) || unicode.In(r, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) {
		return -1
	}
	return r
}

func unique(names ...string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
