package auth

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rsa"
	_ "crypto/sha256" // PS256
	_ "crypto/sha512" // PS384, PS512
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// Bounds of what one token can make us do.
const (
	// maxIndexes bounds the index entries that a token's claims may lead to: a forged scope of a thousand members costs no more.
	maxIndexes = 32
	// maxTried bounds the keys tried for a token without kid.
	maxTried = 8
)

// judgeJWT decides on a token: strict door, candidates by the claims that identify consumers, each one's rules and keys, then their
// authorization. Nothing that the token says is trusted before its signature; until then its claims only choose whose keys to try.
func (g *Gate) judgeJWT(ctx context.Context, v registry.View, r *http.Request, compact string, d *Decision) error {
	token := parsed(r, compact, d)
	if token == nil {
		return nil
	}
	candidates, err := g.candidates(ctx, v, token, d)
	if err != nil {
		return err
	}
	outcome := g.verify(ctx, v, r, token, candidates, d)
	switch {
	case len(outcome.verified) > 0:
		if outcome.ours {
			d.revocable(token)
		}
		proven, err := g.provesKey(ctx, v, r, token, d)
		if err != nil || !proven {
			return err
		}
		g.authorize(token, outcome.verified, d)
	case outcome.failure != nil:
		return outcome.failure
	case outcome.expired:
		d.refuse(JWTExpired)
	default:
		d.refuse(JWTInvalid)
	}
	return nil
}

// looksLikeJWT reports whether a value has the three parts of one.
func looksLikeJWT(value string) bool { return strings.Count(value, ".") == 2 }

// parsed takes a token through the strict door and holds it to its binding; nil where it is refused.
func parsed(r *http.Request, compact string, d *Decision) *oauth.Token {
	d.Sent, d.dpop = true, d.Place == dpopPlace
	token, err := oauth.Parse(compact)
	if err != nil {
		d.step("token", err.Error())
		d.Certain = looksLikeJWT(compact) // else it may be an API key, which the API takes by now
		d.refuse(JWTInvalid)
		return nil
	}
	if !confirmed(r, token, d) {
		return nil
	}
	return token
}

// candidates are the enabled consumers that one of the token's identifying claims names and whose token stands where this one stood.
func (g *Gate) candidates(
	ctx context.Context, v registry.View, token *oauth.Token, d *Decision,
) ([]*registry.Consumer, error) {
	var indexes []string
	for _, claim := range v.Claims {
		for _, value := range token.Claims.Values(claim) {
			if len(indexes) < maxIndexes {
				indexes = append(indexes, registry.IndexJWT(claim, value))
			}
		}
	}
	if len(indexes) == 0 {
		d.step("consumer", "the token has none of the claims that identify consumers, as a string")
		return nil, nil
	}
	all, err := v.Consumers(ctx, indexes...)
	if err != nil {
		return nil, err
	}
	// The index is checked against the entry, and the place must be the consumer's own.
	mine := slices.DeleteFunc(slices.Clone(all), func(c *registry.Consumer) bool {
		return c.JWT == nil || !Stands(c.JWT, d.Place) ||
			!slices.Contains(token.Claims.Values(c.JWT.ClaimName()), c.JWT.Value)
	})
	if len(mine) == 0 {
		d.step("consumer", "nobody enabled has this identifier at this place")
	}
	return mine, nil
}

// Stands reports whether a consumer's token may stand at a place: at its own, or behind the scheme DPoP where its own is Authorization.
func Stands(j *registry.JWTCredential, at registry.Place) bool {
	own := j.Place()
	return own == at || at == dpopPlace && own.In == at.In && own.Name == at.Name
}

// outcome is what verifying a token for its candidates came to.
type outcome struct {
	verified []*registry.Consumer // for whom everything holds
	ours     bool                 // by a key of one of our own instances
	expired  bool                 // for some candidate only exp fails
	failure  error                // the first key set that could not be had
}

func (g *Gate) verify(
	ctx context.Context, v registry.View, r *http.Request, token *oauth.Token, candidates []*registry.Consumer, d *Decision,
) outcome {
	var o outcome
	tried := map[string]bool{} // thumbprint → whether the key verified, so that each is used once
	now := g.now()
	for _, c := range candidates {
		if why := rules(c.JWT, token, now); why != "" {
			d.step("rules of "+c.Name, why)
			d.dpop = d.dpop || c.JWT.RequireDPoP
			continue
		}
		keys, err := g.keysOf(ctx, v, c.JWT, token.Header.KeyID)
		if err != nil {
			d.step("keys of "+c.Name, "the key set cannot be had")
			o.failure = cmp.Or(o.failure, err)
			continue
		}
		by := g.signedBy(token, fitting(keys, token), tried)
		if by == nil {
			d.step("signature for "+c.Name, "no key of the consumer's set verifies it")
			continue
		}
		ours := g.ours(v, token, *by)
		if why := g.ownRules(v, r, d.API, token, ours); why != "" {
			d.step("rules of "+c.Name, why)
			continue
		}
		if !now.Before(token.Claims.ExpiresAt.Add(c.JWT.SkewOr())) {
			d.step("time for "+c.Name, "exp has passed; all else holds")
			o.expired = true
			continue
		}
		d.step("token of "+c.Name, "verifies")
		o.verified, o.ours = append(o.verified, c), o.ours || ours
	}
	return o
}

// rules checks what the consumer's configuration asks of the claims, all but exp; it returns which rule fails, "" for none.
// These are cheap, and come before the signature: an algorithm may cost milliseconds.
func rules(j *registry.JWTCredential, token *oauth.Token, now time.Time) string {
	c, skew, longest := token.Claims, j.SkewOr(), j.MaxLifetime.Or(registry.DefaultMaxLifetime)
	switch {
	case j.Issuer != "" && c.Issuer != j.Issuer:
		return "iss is not the configured issuer"
	case len(j.Audience) > 0 && !slices.ContainsFunc(j.Audience, func(a string) bool { return slices.Contains(c.Audience, a) }):
		return "aud has none of the configured audiences"
	case len(j.Algorithms) > 0 && !slices.Contains(j.Algorithms, token.Header.Algorithm):
		return "alg is not among the configured algorithms"
	case j.Type != "" && !sameType(j.Type, token.Header.Type):
		return "typ is not the configured one"
	case j.RequireDPoP && !boundToKey(c):
		return "require_dpop: the token is bound to no DPoP key"
	case c.NotBefore.After(now.Add(skew)):
		return "nbf is in the future"
	case c.IssuedAt.After(now.Add(skew)):
		return "iat is in the future"
	case !c.ExpiresAt.Before(now.Add(longest)):
		return "exp is not less than max_lifetime from now"
	case !c.IssuedAt.IsZero() && !c.ExpiresAt.Before(c.IssuedAt.Add(longest)):
		return "exp is not less than max_lifetime after iat"
	}
	return ""
}

func boundToKey(c oauth.Claims) bool {
	b, ok := bindingOf(c)
	return ok && b.key != ""
}

// sameType compares media types as RFC 7515 §4.1.9 does: without letter case, application/ may be left out.
func sameType(a, b string) bool {
	const prefix = "application/"
	return strings.EqualFold(strings.TrimPrefix(strings.ToLower(a), prefix), strings.TrimPrefix(strings.ToLower(b), prefix))
}

// keysOf returns the consumer's keys: its inline set, the Snapshot's where the URL is one of our own instances, else the source's.
func (g *Gate) keysOf(ctx context.Context, v registry.View, j *registry.JWTCredential, kid string) ([]oauth.Key, error) {
	if j.JWKSURL == "" {
		return j.Keys(), nil
	}
	if path, ours := strings.CutPrefix(j.JWKSURL, g.publicURL+"/"); ours {
		if instance, is := strings.CutSuffix(path, "/oauth2/jwks"); is && v.KeySets[instance] != nil {
			return v.KeySets[instance].Keys, nil
		}
	}
	keys, err := g.keys.Keys(ctx, v.Edition(j.JWKSURL), kid)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeys, err)
	}
	return keys, nil
}

// fitting returns the keys that may verify the token: by kid where both sides have one, and by the algorithm that the key allows.
func fitting(keys []oauth.Key, token *oauth.Token) []oauth.Key {
	var fit []oauth.Key
	for _, k := range keys {
		if token.Header.KeyID != "" && k.ID != "" && k.ID != token.Header.KeyID {
			continue
		}
		if k.Allows(token.Header.Algorithm) && len(fit) < maxTried {
			fit = append(fit, k)
		}
	}
	return fit
}

// signedBy is the key among some that verifies the token's signature; nil: none.
func (g *Gate) signedBy(token *oauth.Token, keys []oauth.Key, tried map[string]bool) *oauth.Key {
	for i, k := range keys {
		good, known := tried[k.Thumbprint]
		if !known {
			good = g.verified.verifies(token, k)
			tried[k.Thumbprint] = good
		}
		if good {
			return &keys[i]
		}
	}
	return nil
}

// Verifies reports whether the key verifies the token's signature, by an algorithm that the key allows (RFC 8725 §3.1). It is the one
// place where a library judges a signature.
func Verifies(token *oauth.Token, k oauth.Key) bool {
	if !k.Allows(token.Header.Algorithm) {
		return false
	}
	if public, isRSA := k.Public.(*rsa.PublicKey); isRSA && strings.HasPrefix(token.Header.Algorithm, "PS") {
		return verifiesPSS(token, public)
	}
	alg := jwa.SignatureAlgorithm(token.Header.Algorithm)
	_, err := jws.Verify([]byte(token.Compact), jws.WithKey(alg, k.Public), jws.WithCompact())
	return err == nil
}

var pssHashes = map[string]crypto.Hash{"PS256": crypto.SHA256, "PS384": crypto.SHA384, "PS512": crypto.SHA512}

// verifiesPSS holds the salt to the hash's length, which the library does not (RFC 7518 §3.5: MUST).
func verifiesPSS(token *oauth.Token, public *rsa.PublicKey) bool {
	hash := pssHashes[token.Header.Algorithm]
	end := strings.LastIndexByte(token.Compact, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token.Compact[end+1:])
	if err != nil || hash == 0 {
		return false
	}
	sum := hash.New()
	sum.Write([]byte(token.Compact[:end]))
	return rsa.VerifyPSS(public, hash, sum.Sum(nil), signature,
		&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
}
