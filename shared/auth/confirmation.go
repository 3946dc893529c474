package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// dpopPlace is where a token that is bound to a DPoP key stands, whatever prefix its consumer has there otherwise (RFC 9449 §7.1).
var dpopPlace = registry.Place{In: registry.InHeader, Name: registry.BearerPlace.Name, Prefix: oauth.SchemeDPoP + " "}

// binding is what the bearer of a token must prove to hold (cnf, RFC 7800 §3.1); the zero binding is none.
type binding struct {
	certificate string // x5t#S256, RFC 8705 §3.1
	key         string // jkt, RFC 9449 §6.1
}

// bindingOf reads a token's cnf; ok is false for one that says anything which cannot be proven here: such a token is no bearer token.
func bindingOf(claims oauth.Claims) (b binding, ok bool) {
	text, bound := claims.All["cnf"]
	if !bound {
		return binding{}, true
	}
	members, err := oauth.Object(text)
	if err != nil || len(members) == 0 {
		return binding{}, false
	}
	for name, value := range members {
		s, isString := oauth.String(value)
		switch {
		case !isString || s == "":
			return binding{}, false
		case name == "x5t#S256":
			b.certificate = s
		case name == "jkt":
			b.key = s
		default:
			return binding{}, false
		}
	}
	return b, true
}

// confirmed holds a token to its binding as far as the request itself tells (RFC 8705 §3, RFC 9449 §7: MUST): the certificate of the
// connection, as the platform or our own listener tells it, and that a DPoP proof is there, and the scheme. The proof is judged when
// the token verifies. It refuses where it returns false.
func confirmed(r *http.Request, token *oauth.Token, d *Decision) bool {
	b, ok := bindingOf(token.Claims)
	d.jkt = b.key
	d.dpop = d.dpop || b.key != ""
	why := ""
	switch {
	case !ok:
		why = "is bound (cnf) in a way that cannot be proven here"
	case b.certificate != "" && !shown(r, b.certificate):
		why = "is bound to a certificate (cnf) that is not the connection's"
	case b.key != "" && d.Place != dpopPlace: // RFC 9449 §7.2: MUST
		why = "is bound to a DPoP key (cnf), so it must stand in Authorization behind the scheme DPoP"
	case b.key == "" && d.Place == dpopPlace:
		why = "stands behind the scheme DPoP and is bound to no DPoP key"
	}
	if why == "" {
		return b.key == "" || sentProof(r, d)
	}
	d.step("token", why)
	d.refuse(JWTInvalid)
	return false
}

// shown reports whether the connection's certificate has the digest.
func shown(r *http.Request, digest string) bool {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return false
	}
	sum := sha256.Sum256(r.TLS.PeerCertificates[0].Raw)
	return digest == base64.RawURLEncoding.EncodeToString(sum[:])
}

// sentProof reads the proof that a bound token needs.
func sentProof(r *http.Request, d *Decision) bool {
	proof, why := SentProof(r)
	if proof == nil && why == "" {
		why = "none came with the token, in the header DPoP; an authorizer must be told that header"
	}
	if why != "" {
		d.badProof(why)
		return false
	}
	d.proof = proof
	return true
}

func (d *Decision) badProof(why string) {
	d.step("DPoP proof", why)
	d.dpopFault = oauth.InvalidDPoPProof
	d.refuse(JWTInvalid)
}

// provesKey judges the proof that came with a verified token, and uses it up, at the door that answers for the call: an authorizer
// leaves that to the proxy where the call goes on to it, or every call would be a replay there. It refuses where it returns false.
func (g *Gate) provesKey(
	ctx context.Context, v registry.View, r *http.Request, token *oauth.Token, d *Decision,
) (bool, error) {
	p, now := d.proof, g.now()
	if p == nil {
		return true, nil
	}
	of := ProofOf{Method: r.Method, URLs: g.seen(v, r), Token: token.Compact, Key: d.jkt}
	if why := of.Wrong(p, now); why != "" {
		d.badProof(why)
		return false, nil
	}
	if !g.nonceFits(v, p, d) {
		return false, nil
	}
	if g.bodyless && !d.API.AuthorizerOnly() {
		d.step("DPoP proof", "fits; it is used up by the proxy, to which the call goes on")
		return true, nil
	}
	first, err := v.Once(proofKey(p), func() (bool, error) { return UseProof(ctx, g.nonces, p, now) })
	if err != nil {
		return false, err
	}
	if !first {
		d.badProof("was used before")
		return false, nil
	}
	d.step("DPoP proof", "fits")
	return true, nil
}

// nonceFits judges the nonce of a proof where it has one. None is demanded, for a proof is used up here anyhow; one that is there must
// be of now (RFC 9449 §4.3 item 10), and the answer says the next. A door that cannot answer with a nonce does not judge one, nor can
// one without the registry's pepper.
func (g *Gate) nonceFits(v registry.View, p *oauth.Proof, d *Decision) bool {
	if p.Nonce == "" || g.bodyless || len(v.Pepper) == 0 {
		return true
	}
	d.ProofNonce = ProofNonce(v.Pepper, g.now())
	if ProofNonceHolds(v.Pepper, p.Nonce, g.now()) {
		return true
	}
	d.step("DPoP proof", "its nonce is not of now; the answer has another")
	d.dpopFault = oauth.UseDPoPNonce
	d.refuse(JWTInvalid)
	return false
}

type seenAs struct{}

// SeenAs returns the request with the path that its caller sent, where a platform took a part of it off before we saw it: a DPoP proof
// is for the URL as its maker knows it.
func SeenAs(r *http.Request, path string) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), seenAs{}, path))
}

// seen are the spellings of the request's URL as its caller may know it, without query.
func (g *Gate) seen(v registry.View, r *http.Request) []string {
	origin := g.origin(v, r)
	urls := []string{origin + r.URL.EscapedPath()}
	if path, ok := r.Context().Value(seenAs{}).(string); ok {
		urls = append(urls, origin+path)
	}
	return urls
}

// origin is scheme and host of a request as its caller knows them. Whoever ends TLS in front of us seldom says so in words that can be
// believed, so the scheme is that of our own public URL, and https where our own listener speaks TLS; a deployment has one scheme for
// all its hosts. The host is the request's where it is ours for certain, and else that of the public URL: a call comes in under every
// host, and a proof that was made for another party's must not be one for us because that party sends it on.
func (g *Gate) origin(v registry.View, r *http.Request) string {
	scheme, host, _ := strings.Cut(g.publicURL, "://")
	if v.OurHost(g.publicURL, r.Host) {
		host = r.Host
	}
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + host
}
