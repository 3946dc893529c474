package admin

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"keyless/shared/auth"
	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// clockSkew is how far ahead the clock of the process may be that issued a token.
const clockSkew = 30 * time.Second

// tokenCaller verifies an access token of one of our own instances (RFC 9068 §4) and returns whose it is, or why it does not hold. Its
// rights are those scopes of the token that its client still has: what is withdrawn holds on the next request. Round trips: the
// client, with the Snapshot where that is new, and the revocation.
func (a *Admin) tokenCaller(r *http.Request, compact string) (Caller, string, error) {
	token, err := oauth.Parse(compact)
	if err != nil {
		return Caller{}, err.Error(), nil
	}
	instance, id, why := a.admissible(r, token)
	if why != "" {
		return Caller{}, why, nil
	}
	client, snapshot, err := a.reader.Client(r.Context(), instance, id)
	switch {
	case errors.Is(err, registry.ErrEmpty):
		return Caller{}, "the registry is empty", nil
	case err != nil:
		return Caller{}, "", fmt.Errorf("find the client of an admin token: %w", err)
	case snapshot.Instances[instance] == nil:
		return Caller{}, "no such instance", nil
	case token.Claims.IssuedAt.Before(snapshot.NotBefore):
		return Caller{}, "issued before not_before", nil
	case !signed(snapshot.KeySets[instance], token):
		return Caller{}, "no published key verifies it", nil
	case client == nil || !client.Status.On():
		return Caller{}, "its client is gone or disabled", nil
	}
	if revoked, err := a.revoked(r.Context(), token); err != nil || revoked {
		return Caller{}, "revoked", err
	}
	caller := Caller{Who: "client " + instance + "/" + id, Instance: instance, Rights: []string{}}
	if sub := token.Claims.Subject; sub != id && len(sub) <= maxSubject {
		caller.Who += " for " + sub
	}
	has := client.AdminScopes()
	for _, scope := range token.Claims.Values("scope") {
		if slices.Contains(has, scope) {
			caller.Rights = append(caller.Rights, scope)
		}
	}
	return caller, "", nil
}

// maxSubject bounds the subject of an exchanged token that the audit trail names.
const maxSubject = 256

// admissible checks what a token says before anything is read or verified. It returns its instance and client, or what is wrong.
func (a *Admin) admissible(r *http.Request, token *oauth.Token) (string, string, string) {
	c, now := token.Claims, a.o.Now()
	instance, ours := a.instanceOf(c.Issuer)
	id, _ := oauth.String(c.All["client_id"])
	switch {
	case !strings.EqualFold(token.Header.Type, oauth.TypeAccessToken):
		return "", "", "typ is not " + oauth.TypeAccessToken
	case !ours:
		return "", "", "iss is no instance of ours"
	case len(c.Audience) != 1 || c.Audience[0] != registry.AdminServer:
		return "", "", "aud is not " + registry.AdminServer
	case !oauth.ValidName(id) || c.ID == "":
		return "", "", "client_id or jti is missing"
	case !now.Before(c.ExpiresAt):
		return "", "", "expired"
	case c.IssuedAt.IsZero() || c.IssuedAt.After(now.Add(clockSkew)) || c.NotBefore.After(now.Add(clockSkew)):
		return "", "", "iat is missing, or it is of the future"
	case !proven(r, c):
		return "", "", "bound to a key or certificate that the request does not prove"
	}
	return instance, id, ""
}

// instanceOf reads an issuer of ours.
func (a *Admin) instanceOf(issuer string) (string, bool) {
	path, ours := strings.CutPrefix(issuer, a.o.PublicURL+"/")
	instance, is := strings.CutSuffix(path, "/oauth2")
	return instance, ours && is && oauth.ValidInstance(instance)
}

// signed looks for the one key that the token names: our instances write a kid into each.
func signed(keys *registry.KeySet, token *oauth.Token) bool {
	if keys == nil || token.Header.KeyID == "" {
		return false
	}
	for _, k := range keys.Keys {
		if k.ID == token.Header.KeyID {
			return auth.Verifies(token, k)
		}
	}
	return false
}

// proven holds a bound token to the certificate of the connection (RFC 7800 §3, RFC 8705 §3: MUST). A binding of another kind cannot be
// proven here.
func proven(r *http.Request, claims oauth.Claims) bool {
	text, bound := claims.All["cnf"]
	if !bound {
		return true
	}
	members, err := oauth.Object(text)
	if err != nil || len(members) != 1 || r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return false
	}
	want, _ := oauth.String(members["x5t#S256"])
	sum := sha256.Sum256(r.TLS.PeerCertificates[0].Raw)
	return want == base64.RawURLEncoding.EncodeToString(sum[:])
}

func (a *Admin) revoked(ctx context.Context, token *oauth.Token) (bool, error) {
	if a.o.Revocations == nil {
		return false, nil
	}
	list, err := a.o.Revocations.Revoked(ctx, registry.Revocation(token.Claims.Issuer, token.Claims.ID))
	if err != nil {
		return false, fmt.Errorf("look for the revocation of an admin token: %w", err)
	}
	return len(list) != 1 || list[0], nil
}
