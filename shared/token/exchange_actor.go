package token

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"time"

	"keyless/shared/oauth"
)

// acting is who acts by a token, and until when.
type acting struct {
	chain *oauth.Actor
	until time.Time
}

// actor finds who acts: whom the actor token names, else the client. Whoever acted before stays behind it in
// the chain (RFC 8693 §4.1), and what the subject says of who may act is held to (§4.4).
func (e *endpoint) actor(
	ctx context.Context, instance string, c caller, q wanted, subject *identity,
) (acting, reason, error) {
	a := acting{&oauth.Actor{Subject: c.client.ID}, subject.claims.ExpiresAt}
	if q.actor != "" {
		actor, err := e.trusts(ctx, instance, c, "actor", q.actor, q.actorType)
		if err != nil || actor == nil {
			return a, badActor, err
		}
		if actor.claims.All["act"] != nil { // who acts for the actor would be lost
			note(ctx, slog.String("actor_token", "somebody acts for the actor"))
			return a, badActor, nil
		}
		a.chain.Subject = actor.claims.Subject
		if actor.foreign {
			a.chain.Issuer = actor.claims.Issuer
		}
		if actor.claims.ExpiresAt.Before(a.until) {
			a.until = actor.claims.ExpiresAt
		}
	}
	if !mayAct(subject.claims.All["may_act"], cmp.Or(a.chain.Issuer, e.issuer(instance)), a.chain.Subject) {
		return a, mayNotAct, nil
	}
	issuer := ""
	if subject.foreign {
		issuer = subject.claims.Issuer
	}
	before, ok := readActors(subject.claims.All["act"], issuer, maxActors-1)
	if !ok {
		return a, manyActors, nil
	}
	if !subject.ours && e.namesUs(before) {
		note(ctx, slog.String("subject_token", "its act names an issuer of ours, for whom no other speaks"))
		return a, badSubject, nil
	}
	a.chain.Actor = before
	return a, none, nil
}

// namesUs reports whether one of those who acted is said to be of an issuer below our public URL.
func (e *endpoint) namesUs(chain *oauth.Actor) bool {
	ours := strings.ToLower(e.public) + "/"
	for ; chain != nil; chain = chain.Actor {
		if strings.HasPrefix(strings.ToLower(strings.TrimSpace(chain.Issuer))+"/", ours) {
			return true
		}
	}
	return false
}

// maxActors bounds the chain of those who acted: a call passes through a few services, and each makes the
// token longer.
const maxActors = 4

// readActors reads an act claim with what is nested in it, by the members that identify (RFC 8693 §4.1).
// Whoever has no issuer is of the token's. It is false where the chain is longer than allowed, or malformed.
func readActors(text json.RawMessage, issuer string, most int) (*oauth.Actor, bool) {
	if text == nil {
		return nil, true
	}
	members, err := oauth.Object(text)
	if err != nil || most == 0 {
		return nil, false
	}
	subject, isString := oauth.String(members["sub"])
	if !isString || !isSubject(subject) {
		return nil, false
	}
	if named, there := members["iss"]; there {
		if issuer, isString = oauth.String(named); !isString || !isSubject(issuer) {
			return nil, false
		}
	}
	before, ok := readActors(members["act"], issuer, most-1)
	return &oauth.Actor{Issuer: issuer, Subject: subject, Actor: before}, ok
}

// mayAct compares who acts with the may_act of a subject token. A member that we do not compare is one that
// we cannot hold to.
func mayAct(text json.RawMessage, issuer, subject string) bool {
	if text == nil {
		return true
	}
	members, err := oauth.Object(text)
	if err != nil || members["sub"] == nil {
		return false
	}
	for name, value := range members {
		text, isString := oauth.String(value)
		named := name == "sub" && text == subject || name == "iss" && text == issuer
		if !isString || !named {
			return false
		}
	}
	return true
}

// isSubject bounds the names that go from a foreign token into ours: OpenID Connect Core 1.0 §2 has 255
// characters.
func isSubject(text string) bool {
	const longest = 255
	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	return text != "" && len(text) <= longest && !strings.ContainsFunc(text, control)
}
