package token

import (
	"cmp"
	"context"
	"slices"

	"keyless/shared/oauth"
)

// wanted is what a token exchange brings and asks for (RFC 8693 §2.1).
type wanted struct {
	subject, subjectType string
	actor, actorType     string // "" where the client itself acts
	issuedType           string
}

// exchange is the story of a token exchange (RFC 8693 §2): the client brings a token of somebody whom it may
// act for, and gets one of ours that names that subject, and who acts, with no more scope than client and
// subject both have, for no longer than the subject's token lives. A token that is bound to a key, revoked,
// or not of a trusted issuer is refused, and so is one whose subject has the name of a client of ours: it
// would pass for that client (RFC 9700 §4.15).
func (e *endpoint) exchange(
	ctx context.Context, instance string, c caller, a asked, grants []granted,
) (granted, reason, error) {
	if len(c.client.TokenExchange) == 0 {
		return granted{}, noExchange, nil
	}
	q, refused := readExchange(c.form)
	if refused != none {
		return granted{}, refused, nil
	}
	subject, err := e.trusts(ctx, instance, c, "subject", q.subject, q.subjectType)
	if err != nil || subject == nil {
		return granted{}, badSubject, err
	}
	if taken, err := e.isClient(ctx, instance, subject); err != nil || taken {
		return granted{}, badSubject, err
	}
	actor, refused, err := e.actor(ctx, instance, c, q, subject)
	if err != nil || refused != none {
		return granted{}, refused, err
	}
	if subject.scoped {
		grants = narrowed(grants, subject.scopes)
	}
	g, refused := a.resolve(grants)
	g.subject, g.actor, g.until, g.issuedType = subject.claims.Subject, actor.chain, actor.until, q.issuedType
	return g, refused, nil
}

// tokenTypes are those that a subject or actor token may be said to be.
var tokenTypes = []string{oauth.TokenTypeAccessToken, oauth.TokenTypeIDToken, oauth.TokenTypeJWT}

func readExchange(f form) (wanted, reason) {
	q := wanted{
		subject: f.one(paramSubjectToken), subjectType: f.one(paramSubjectTokenType),
		actor: f.one(paramActorToken), actorType: f.one(paramActorTokenType),
		issuedType: cmp.Or(f.one(paramRequestedType), oauth.TokenTypeAccessToken),
	}
	switch {
	case q.subject == "" || q.subjectType == "":
		return q, noSubjectToken
	case (q.actor == "") != (q.actorType == ""):
		return q, badActorPair
	case !slices.Contains(tokenTypes, q.subjectType),
		q.actor != "" && !slices.Contains(tokenTypes, q.actorType):
		return q, otherTokenType
	case q.issuedType != oauth.TokenTypeAccessToken && q.issuedType != oauth.TokenTypeJWT:
		return q, otherWantedType
	}
	return q, none
}

// narrowed keeps of what may be granted what the subject has too.
func narrowed(grants []granted, scopes []string) []granted {
	var left []granted
	for _, g := range grants {
		g.scopes = slices.DeleteFunc(slices.Clone(g.scopes), func(s string) bool { return !slices.Contains(scopes, s) })
		if len(g.scopes) > 0 {
			left = append(left, g)
		}
	}
	return left
}
