package token

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// identity is what a trusted token says.
type identity struct {
	claims  oauth.Claims
	foreign bool // not of the instance itself
	scoped  bool // it has a scope, which may be empty
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
	i := &identity{claims: token.Claims, foreign: token.Claims.Issuer != e.issuer(instance)}
	if scope, there := token.Claims.All["scope"]; there {
		list, ok := oauth.Strings(scope)
		i.scoped = true
		if ok {
			i.scopes = strings.Fields(strings.Join(list, " "))
		}
	}
	return i, nil
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

// isClient reports whether a subject of another issuer has the name of a client of the instance.
func (e *endpoint) isClient(ctx context.Context, instance string, subject *identity) (bool, error) {
	if !subject.foreign {
		return false, nil
	}
	client, _, err := e.find(ctx, instance, subject.claims.Subject)
	if err != nil {
		return false, fmt.Errorf("compare a subject with the clients of %s: %w", instance, err)
	}
	if client != nil {
		note(ctx, slog.String("subject_token", "sub is the name of a client of the instance"))
	}
	return client != nil, nil
}
