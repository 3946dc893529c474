// Package auth decides who calls and whether they may: from a request to a Decision. Proxy and authorizer enter the same gate.
//
// A request meets it after the route is known and before anything is counted: one credential in an accepted place, the strict door,
// the consumers that the credential names, their keys, their rules, their authorization on the API. A refusal is a value with a Reason
// from a closed list; a failure (a key set out of reach, the store away) is an error.
//
// Nothing here outlives its request. Sources: the requirement document "Consumer authentication and authorization"; RFC 6750, 7519,
// 8705, 8725, 9449, 9728.
package auth

import (
	"context"
	"errors"
	"net/http"
	"time"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// KeySource finds the verification keys at a JWKS URL. A kid that the known set lacks is a reason to look again; "" is none.
type KeySource interface {
	Keys(ctx context.Context, url, kid string) ([]oauth.Key, error)
}

// ErrKeys marks a failure to get the keys that verify a token: the issuer is away, not the store.
var ErrKeys = errors.New("the keys that verify the token cannot be had")

// Gate decides. Immutable once made, safe for concurrent use.
type Gate struct {
	keys      KeySource
	publicURL string // ours: key sets below it are read from the Snapshot, never by HTTP
	now       func() time.Time
	nonces    Nonces // nil: a signed request with a nonce cannot be judged
	bodyless  bool   // the door does not see bodies
	verified  *signatures
}

// New makes a gate of a deployment whose public URL is given without a path.
func New(keys KeySource, publicURL string, now func() time.Time) *Gate {
	return &Gate{keys: keys, publicURL: publicURL, now: now, verified: newSignatures()}
}

// WithNonces returns the gate with a memory for what may be used once.
func (g *Gate) WithNonces(nonces Nonces) *Gate {
	with := *g
	with.nonces = nonces
	return &with
}

// WithoutBodies returns the gate of a door that does not see bodies, as an authorizer.
func (g *Gate) WithoutBodies() *Gate {
	with := *g
	with.bodyless = true
	return &with
}

// Decide judges a request to an API on what the view knows. The request's body is read only where an HMAC signature covers it, bounded
// by the API's body_max_bytes, and put back.
//
// Round trips: none warm; those of View.Consumers for a consumer not met before; none for a token that the strict door refuses. One
// HTTP request where a foreign key set is not known yet.
func (g *Gate) Decide(ctx context.Context, v registry.View, r *http.Request, api *registry.API) (Decision, error) {
	d := Decision{API: api, Trace: make([]Step, 0, 8), metadata: g.metadataOf(v, r, api)}
	if api.Open() {
		err := g.judgeGlobal(ctx, v, r, &d)
		return d, err
	}
	one, ok := g.credential(v, r, &d)
	if !ok {
		return d, nil
	}
	d.Method, d.Place = one.method, one.place
	var err error
	switch one.method {
	case registry.MethodAPIKey:
		err = g.judgeAPIKey(ctx, v, one, &d)
	case registry.MethodHMAC:
		err = g.judgeHMAC(ctx, v, r, &d)
	default:
		err = g.judgeJWT(ctx, v, r, one.value, &d)
	}
	return d, err
}

// credential finds the one credential of the request, or refuses.
func (g *Gate) credential(v registry.View, r *http.Request, d *Decision) (credential, bool) {
	found := find(r, v.Snapshot, d.API)
	switch len(found) {
	case 0:
		d.step("credential", "none at a place where one is accepted")
		d.refuse(missing(d.API.Methods()[0]))
		return credential{}, false
	case 1:
		d.step("credential", "one, in "+found[0].place.In+" "+found[0].place.Name)
		return found[0], true
	}
	d.step("credential", "more than one")
	d.Sent = true
	d.refuse(several(found))
	return credential{}, false
}
