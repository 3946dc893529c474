package token

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"keyless/shared/oauth"
	"keyless/shared/registry"
	"keyless/shared/seal"
)

const (
	// maxAssertionLife is how far ahead exp may be: the SDKs of Alibaba IDaaS write ten minutes. It bounds how long a
	// jti is remembered.
	maxAssertionLife = 10 * time.Minute
	// assertionSkew is how far a client's clock may be off: more than what NTP leaves, for some machines have none.
	assertionSkew = 30 * time.Second
)

// Nonces remembers what may be used once, for all instances; *quota.Quota satisfies it.
type Nonces interface {
	// First remembers a key for a time and reports whether it was new. An error means that nobody knows. One round
	// trip.
	First(ctx context.Context, key string, remember time.Duration) (bool, error)
}

// assertion is what a client sends in the place of a secret (RFC 7521 §4.2). Nothing in it is proven.
type assertion struct {
	kind  string       // client_assertion_type
	id    string       // of the client that it shall prove
	token *oauth.Token // nil: a signed document
	text  string       // the document, as it was sent
	named string       // the federated credential that it is for, "": any
	leaf  string       // certificate of x509-jwt-bearer, PEM
	chain string       // what stands between it and the authority, PEM

	endpoint string // that it was sent to
}

// own reports whether the client says it of itself (RFC 7523 §3: iss and sub are the client_id), and not an issuer.
func (a *assertion) own() bool { return a.token.Claims.Issuer == a.token.Claims.Subject }

// readAssertion reads an assertion through the strict door that every JWT passes, and finds whom it shall prove: an own
// one names its client, of an issuer's identity the caller says whose it is.
func readAssertion(f form, endpoint string) (proof, reason) {
	a := &assertion{
		endpoint: endpoint,
		kind:     f.one(paramAssertionType), id: f.one(paramClientID), named: f.one(paramCredentialName),
		leaf: f.one(paramCertificate), chain: f.one(paramChain),
	}
	p := proof{method: oauth.FederatedIdentity, assertion: a}
	text := f.one(paramAssertion)
	switch a.kind {
	case oauth.AssertionPKCS7:
		a.text = text
	case oauth.AssertionJWT, oauth.AssertionIDToken, oauth.AssertionX509:
		var err error
		if a.token, err = oauth.Parse(text); err != nil {
			return proof{}, badClient
		}
	default:
		return proof{}, otherAssertion
	}
	if a.kind == oauth.AssertionJWT && a.own() {
		if a.id != "" && a.id != a.token.Claims.Subject {
			return proof{}, clientDiffers
		}
		a.id, p.method = a.token.Claims.Subject, oauth.PrivateKeyJWT
		if strings.HasPrefix(a.token.Header.Algorithm, "HS") {
			p.method = oauth.ClientSecretJWT
		}
	}
	if a.kind == oauth.AssertionX509 && (!a.own() || a.id != "" && a.id != a.token.Claims.Subject) {
		return proof{}, badClient
	}
	if a.id == "" {
		return proof{}, noClientID
	}
	p.id = a.id
	return p, none
}

// ownWrong judges the claims of a client's own assertion, RFC 7523 §3 and draft-ietf-oauth-rfc7523bis: aud is one string, exactly our
// issuer, our token endpoint or the endpoint that it was sent to, so that what was made for us is worth nothing elsewhere and the other
// way round. It returns what is wrong, "" for nothing.
func (e *endpoint) ownWrong(instance string, c *registry.Client, a *assertion) string {
	claims := a.token.Claims
	audience, isString := oauth.String(claims.All["aud"])
	allowed := []string{e.issuer(instance)}
	if c.AssertionAudience != registry.AudienceIssuer {
		base := e.tokenURL + "/" + instance + "/oauth2/"
		allowed = append(allowed, base+endpointToken, base+a.endpoint)
	}
	switch now := e.now(); {
	case !hasType(a.token, oauth.TypeClientAssertion):
		return "typ is that of another kind of token"
	case !isString || !slices.Contains(allowed, audience):
		return "aud is not one string, the issuer or the token endpoint"
	case claims.ID == "":
		return "no jti"
	case claims.ExpiresAt.After(now.Add(maxAssertionLife + assertionSkew)):
		return "exp is more than ten minutes ahead"
	default:
		return untimely(claims, now)
	}
}

// untimely compares the times of a token with ours.
func untimely(claims oauth.Claims, now time.Time) string {
	switch {
	case !now.Before(claims.ExpiresAt.Add(assertionSkew)):
		return "exp has passed"
	case claims.NotBefore.After(now.Add(assertionSkew)):
		return "nbf is in the future"
	case claims.IssuedAt.After(now.Add(assertionSkew)):
		return "iat is in the future"
	}
	return ""
}

// hasType reports whether the typ is absent, JWT or one of those named, in the comparison of RFC 7515 §4.1.9. Another
// one says that the token was made for something else (RFC 8725 §3.11).
func hasType(token *oauth.Token, types ...string) bool {
	typ := strings.TrimPrefix(strings.ToLower(token.Header.Type), "application/")
	return typ == "" || typ == "jwt" || slices.Contains(types, typ)
}

// once uses a verified assertion up. It never assumes that one is new: where nobody knows, it is a failure.
func (e *endpoint) once(ctx context.Context, instance string, c *registry.Client, a *assertion) (bool, error) {
	if e.nonces == nil {
		return false, errors.New("no memory of used assertions is wired")
	}
	// As long as the same one would be taken again.
	remember := a.token.Claims.ExpiresAt.Add(assertionSkew).Sub(e.now()) + time.Second
	first, err := e.nonces.First(ctx, seal.Digest("client_assertion", instance, c.ID, a.token.Claims.ID), remember)
	if err == nil && !first {
		e.wrong(ctx, "it was used before")
	}
	return first, err
}

// wrong puts into the log's line why an assertion proves nothing. The caller is not told.
func (e *endpoint) wrong(ctx context.Context, why string) { note(ctx, slog.String("assertion", why)) }

// provesKeyJWT judges private_key_jwt (OpenID Connect Core 1.0 §9).
func (e *endpoint) provesKeyJWT(
	ctx context.Context, s *registry.Snapshot, instance string, c *registry.Client, a *assertion,
) (bool, error) {
	if why := e.ownWrong(instance, c, a); why != "" {
		e.wrong(ctx, why)
		return false, nil
	}
	keys, err := e.clientKeys(ctx, s, c, a.token.Header.KeyID)
	if err != nil {
		return false, err
	}
	if !signed(a.token, keys, map[string]bool{}) {
		e.wrong(ctx, "no key of the client verifies it")
		return false, nil
	}
	return e.once(ctx, instance, c, a)
}

// issuer is that of an instance.
func (e *endpoint) issuer(instance string) string { return e.public + "/" + instance + "/oauth2" }
