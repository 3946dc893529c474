// Package auth decides who calls and whether they may: from a request to a Decision. Proxy and authorizer enter the same gate.
//
// A request meets it after the route is known and before anything is counted: one credential in an accepted place, the strict door,
// the consumers that the credential names, their keys, their rules, their authorization on the API. A refusal is a value with a Reason
// from a closed list; a failure (a key set out of reach, the store away) is an error.
//
// Nothing here outlives its request. Sources: the requirement document "Consumer authentication and authorization"; RFC 6750, 7519,
// 8725.
package auth

import (
	"context"
	"net/http"
	"time"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// KeySource finds the verification keys at a JWKS URL. A kid that the known set lacks is a reason to look again; "" is none.
type KeySource interface {
	Keys(ctx context.Context, url, kid string) ([]oauth.Key, error)
}

// Gate decides. Immutable after New, safe for concurrent use.
type Gate struct {
	keys      KeySource
	publicURL string // ours: key sets below it are read from the Snapshot, never by HTTP
	now       func() time.Time
}

// New makes a gate of a deployment whose public URL is given without a path.
func New(keys KeySource, publicURL string, now func() time.Time) *Gate {
	return &Gate{keys: keys, publicURL: publicURL, now: now}
}

// Decide judges a request to an API on what the view knows. The request's body is not read.
//
// Round trips: none warm; those of View.Consumers for a consumer not met before; none for a token that the strict door refuses. One
// HTTP request where a foreign key set is not known yet.
func (g *Gate) Decide(ctx context.Context, v registry.View, r *http.Request, api *registry.API) (Decision, error) {
	d := Decision{API: api, Trace: make([]Step, 0, 8)}
	if api.Open() {
		d.step("authentication", "disabled on API "+api.Name)
		d.Allowed = true
		return d, nil
	}
	one, ok := g.credential(v, r, &d)
	if !ok {
		return d, nil
	}
	d.Method = one.method
	d.Place = one.place
	return d, g.judgeJWT(ctx, v, one.value, &d)
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
	d.refuse(JWTInvalid)
	return credential{}, false
}
