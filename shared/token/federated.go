package token

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// maxIdentityLife bounds an identity token from iat to exp, and how far ahead exp is. Kubernetes makes them live an
// hour, CI systems five minutes to the length of a job, clouds an hour: whatever lives longer than a day is no proof
// of what runs now. They are reusable until then: a workload gets one and sends it as often as it needs an access token.
const maxIdentityLife = 24 * time.Hour

// provesIdentity judges an identity that somebody else issued, by the trust that the client has in its entry.
func (e *endpoint) provesIdentity(
	ctx context.Context, s *registry.Snapshot, instance string, c *registry.Client, a *assertion,
) (bool, error) {
	var trusted []*registry.FederatedCredential
	for i := range c.FederatedCredentials {
		f := &c.FederatedCredentials[i]
		if f.Status.On() && f.Kind() == kinds[a.kind] && (a.named == "" || a.named == f.Name) {
			trusted = append(trusted, f)
		}
	}
	switch a.kind {
	case oauth.AssertionPKCS7:
		return e.provesDocument(ctx, trusted, a), nil
	case oauth.AssertionX509:
		return e.provesAuthority(ctx, instance, c, trusted, a)
	}
	return e.provesIDToken(ctx, s, trusted, a)
}

// kinds are the credentials that an assertion can be of.
var kinds = map[string]string{
	oauth.AssertionJWT: registry.FederatedOIDC, oauth.AssertionIDToken: registry.FederatedOIDC,
	oauth.AssertionPKCS7: registry.FederatedPKCS7, oauth.AssertionX509: registry.FederatedPrivateCA,
}

// provesIDToken judges an OpenID Connect identity token (RFC 7523 §3: iss, sub, aud, exp MUST be there).
func (e *endpoint) provesIDToken(
	ctx context.Context, s *registry.Snapshot, trusted []*registry.FederatedCredential, a *assertion,
) (bool, error) {
	f, why, err := e.trustedBy(ctx, s, trusted, a.token, identityWrong)
	switch {
	case err != nil:
		return false, err
	case f == nil:
		e.wrong(ctx, why)
		return false, nil
	}
	note(ctx, slog.String("federated_credential", f.Name))
	return true, nil
}

// trustedBy finds the credential whose conditions a token meets and whose issuer's keys verify it, nil where there is
// none, and why. What is cheap comes first: a token that meets nobody's conditions fetches no keys.
func (e *endpoint) trustedBy(
	ctx context.Context, s *registry.Snapshot, trusted []*registry.FederatedCredential, token *oauth.Token,
	wrong func(*registry.FederatedCredential, *oauth.Token, time.Time) string,
) (*registry.FederatedCredential, string, error) {
	why, tried := "nothing of the client trusts its issuer", map[string]bool{}
	var failure error
	for _, f := range trusted {
		if f.Issuer != token.Claims.Issuer || f.Issuer == "" {
			continue
		}
		if why = wrong(f, token, e.now()); why != "" {
			continue
		}
		keys, err := e.identityKeys(ctx, s, f, token.Header.KeyID)
		if err != nil {
			failure = cmp.Or(failure, err)
			continue
		}
		if signed(token, keys, tried) {
			return f, "", nil
		}
		why = "no key of its issuer verifies it"
	}
	if failure == nil && len(tried) == 0 {
		pretend(token)
	}
	return nil, why, failure
}

// identityKeys are the issuer's: those that stand in the credential, those at its URL, else by discovery.
func (e *endpoint) identityKeys(
	ctx context.Context, s *registry.Snapshot, f *registry.FederatedCredential, kid string,
) ([]oauth.Key, error) {
	switch {
	case len(f.JWKS) > 0:
		return oauth.ParseJWKSet(f.JWKS, oauth.Pasted)
	case f.JWKSURL != "":
		return e.keys.Keys(ctx, s.Edition(f.JWKSURL), kid)
	}
	return e.keys.IssuerKeys(ctx, s.Edition(f.Issuer), kid)
}

// identityWrong compares an identity token with the conditions; "" where all hold.
func identityWrong(f *registry.FederatedCredential, token *oauth.Token, now time.Time) string {
	switch {
	case !hasType(token):
		return "typ is that of another kind of token"
	case f.Subject == "":
		return "sub is not the configured subject"
	}
	return conditionsWrong(f, token, now)
}

// conditionsWrong compares any token with the conditions; a credential without subject takes everybody's.
func conditionsWrong(f *registry.FederatedCredential, token *oauth.Token, now time.Time) string {
	c := token.Claims
	switch {
	case f.Audience == "" || !slices.Contains(c.Audience, f.Audience):
		return "aud lacks the configured audience"
	case f.Subject != "" && !matches(f.Subject, c.Subject):
		return "sub is not the configured subject"
	case untimely(c, now) != "":
		return untimely(c, now)
	case c.ExpiresAt.After(now.Add(maxIdentityLife)),
		!c.IssuedAt.IsZero() && c.ExpiresAt.After(c.IssuedAt.Add(maxIdentityLife)):
		return "it lives for more than a day"
	case f.MaxAge != 0 && (c.IssuedAt.IsZero() || now.Sub(c.IssuedAt) > time.Duration(f.MaxAge)+assertionSkew):
		return "it is older than max_age, or does not say how old it is"
	}
	for name, pattern := range f.Claims {
		if value, ok := oauth.String(claim(c.All, name)); !ok || !matches(pattern, value) {
			return "a claim is not what is configured"
		}
	}
	return ""
}
