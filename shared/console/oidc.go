package console

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"keyless/shared/admin"
	"keyless/shared/auth"
	"keyless/shared/config"
	"keyless/shared/oauth"
)

// OIDC is a provider that people sign in with (OpenID Connect Core 1.0 §3.1, RFC 7636, RFC 9700). Whose Claim is, or has, one of Admins
// gets all rights; one of Readers: reads.
type OIDC struct {
	Issuer       string
	ClientID     string
	ClientSecret config.Secret // "": a public client
	Scope        string        // default "openid email profile"
	Claim        string        // default "email"
	Admins       []string
	Readers      []string
	Keys         KeySource
	Client       *http.Client // to the provider: without redirects, with a timeout
}

// KeySource finds an issuer's public keys by discovery; *jwks.Cache satisfies it.
type KeySource interface {
	IssuerKeys(ctx context.Context, issuer, kid string) ([]oauth.Key, error)
}

const (
	stateCookie = "keyless_console_oidc"
	statePlace  = "console/oidc"
	stateWithin = 10 * time.Minute // people look for their second factor
	clockSkew   = time.Minute
	maxWho      = 200 // characters of a name in the audit trail
)

// oidcState is what a sign-in on its way must find again.
type oidcState struct {
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"`
	To       string `json:"t"`
	Until    int64  `json:"u"`
}

// oidcPage sends to the provider, and takes back from it.
func oidcPage(v *visit, rest []string) (answer, error) {
	switch {
	case v.c.provider == nil || len(rest) != 1:
		return answer{}, errNoPage
	case rest[0] == "start" && v.posted():
		return v.toProvider()
	case rest[0] == "callback" && !v.posted():
		return v.fromProvider()
	}
	return answer{}, errNoPage
}

func (c *Console) callbackURL() string { return c.o.URL + Prefix + "/oidc/callback" }

func (v *visit) toProvider() (answer, error) {
	p := v.c.provider
	m, err := p.metadata(v.r.Context())
	if err != nil {
		v.c.o.Log.ErrorContext(v.r.Context(), "console", "error", err.Error())
		return v.signInPage(within(v.form.Get("to")), "The identity provider cannot be reached now.", http.StatusBadGateway), nil
	}
	s := oidcState{newNonce(), newNonce(), newNonce() + newNonce(), within(v.form.Get("to")), v.c.o.Now().Add(stateWithin).Unix()}
	sealed, err := v.c.sealed(statePlace, s)
	if err != nil {
		return answer{}, err
	}
	v.cookie(stateCookie, sealed, "/oidc/", http.SameSiteLaxMode, 0)
	challenge := sha256.Sum256([]byte(s.Verifier))
	ask := url.Values{
		"response_type": {"code"}, "client_id": {p.ClientID}, "redirect_uri": {v.c.callbackURL()}, "scope": {p.scope()},
		"state": {s.State}, "nonce": {s.Nonce}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])},
	}
	sign := "?"
	if strings.Contains(m.AuthorizationEndpoint, "?") {
		sign = "&"
	}
	// form-action forbids the way to the provider as the answer of a form, so a page of ours goes there.
	return answer{page: "onward", title: "Sign in", data: m.AuthorizationEndpoint + sign + ask.Encode()}, nil
}

// fromProvider takes the code. The session's cookie is strict, so a page of ours leads on: what follows a redirect from elsewhere would
// come without it.
func (v *visit) fromProvider() (answer, error) {
	var s oidcState
	cookie, err := v.r.Cookie(stateCookie)
	if err != nil || !v.c.unseal(statePlace, cookie.Value, &s) || v.c.o.Now().Unix() >= s.Until {
		return v.signInPage("", "This sign-in took too long, or began in another browser. Try again.", http.StatusUnauthorized), nil
	}
	v.cookie(stateCookie, "", "/oidc/", http.SameSiteLaxMode, -1)
	query := v.r.URL.Query()
	issuer, named := query["iss"] // RFC 9207
	switch {
	case subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(s.State)) != 1, named && issuer[0] != v.c.provider.Issuer:
		return v.signInPage(s.To, "This sign-in did not begin here. Try again.", http.StatusUnauthorized), nil
	case query.Get("error") != "" || query.Get("code") == "":
		return v.signInPage(s.To, "The identity provider did not sign you in.", http.StatusUnauthorized), nil
	}
	claims, err := v.c.provider.redeem(v.r.Context(), query.Get("code"), s, v.c.callbackURL())
	if err != nil {
		v.c.o.Log.WarnContext(v.r.Context(), "console", "sign-in", err.Error())
		return v.signInPage(s.To, "The identity provider's answer does not hold.", http.StatusUnauthorized), nil
	}
	caller := v.c.provider.caller(claims)
	if len(caller.Rights) == 0 {
		v.c.o.Log.WarnContext(v.r.Context(), "console", "sign-in", "neither among admins nor readers")
		return v.signInPage(s.To, "You are signed in with the provider, but you have no rights here. Ask an operator.",
			http.StatusForbidden), nil
	}
	if err := v.begin(session{Caller: &caller}); err != nil {
		return answer{}, err
	}
	v.c.o.Log.InfoContext(v.r.Context(), "console", "signed in", caller.Who)
	return answer{page: "onward", title: "Signed in", data: s.To}, nil
}

// errToken marks an ID token that does not hold.
var errToken = errors.New("the ID token does not hold")

// judge verifies an ID token (OpenID Connect Core 1.0 §3.1.3.7).
func (p *provider) judge(ctx context.Context, compact, nonce string) (oauth.Claims, error) {
	token, err := oauth.Parse(compact)
	if err != nil {
		return oauth.Claims{}, errors.Join(errToken, err)
	}
	c, now := token.Claims, p.now()
	got, _ := oauth.String(c.All["nonce"])
	party, has := oauth.String(c.All["azp"])
	why := ""
	switch {
	case c.Issuer != p.Issuer:
		why = "iss is another"
	case !slices.Contains(c.Audience, p.ClientID):
		why = "aud is another"
	case len(c.Audience) > 1 && !has, has && party != p.ClientID:
		why = "azp is another"
	case !now.Before(c.ExpiresAt.Add(clockSkew)):
		why = "expired"
	case c.IssuedAt.IsZero() || c.IssuedAt.After(now.Add(clockSkew)) || c.NotBefore.After(now.Add(clockSkew)):
		why = "it is of the future"
	case c.Subject == "":
		why = "sub is missing"
	case subtle.ConstantTimeCompare([]byte(got), []byte(nonce)) != 1:
		why = "nonce is another"
	case !p.signed(ctx, token):
		why = "no key of the issuer verifies it"
	}
	if why != "" {
		return oauth.Claims{}, errors.Join(errToken, errors.New(why))
	}
	return c, nil
}

// maxTried bounds the keys that a token without a kid is tried with.
const maxTried = 8

// signed looks for a public key of the issuer that verifies the token.
func (p *provider) signed(ctx context.Context, token *oauth.Token) bool {
	keys, err := p.Keys.IssuerKeys(ctx, p.Issuer, token.Header.KeyID)
	if err != nil {
		return false
	}
	tried := 0
	for _, k := range keys {
		named := token.Header.KeyID == "" || k.ID == "" || k.ID == token.Header.KeyID
		if !named || k.Symmetric() || tried == maxTried {
			continue
		}
		tried++
		if auth.Verifies(token, k) {
			return true
		}
	}
	return false
}

// caller is who has signed in, with the rights that the configuration gives him. An address that the provider has not verified is
// nobody's.
func (p *provider) caller(c oauth.Claims) admin.Caller {
	claim := p.Claim
	if claim == "" {
		claim = "email"
	}
	if verified, told := c.All["email_verified"]; claim == "email" && told && string(verified) != "true" {
		return admin.Caller{}
	}
	has := texts(c.All[claim])
	who := admin.Caller{Who: "oidc " + cutRunes(c.Subject, maxWho)}
	if len(has) == 1 && has[0] != c.Subject {
		who.Who += " (" + cutRunes(has[0], maxWho) + ")"
	}
	among := func(list []string) bool {
		return slices.ContainsFunc(has, func(value string) bool { return value != "" && slices.Contains(list, value) })
	}
	switch {
	case among(p.Admins):
		who.Rights = admin.Operator("").Rights
	case among(p.Readers):
		who.Rights = slices.DeleteFunc(admin.Operator("").Rights, func(right string) bool { return !strings.HasSuffix(right, ".read") })
	}
	return who
}

// texts are a claim's text, or the texts of its list.
func texts(claim json.RawMessage) []string {
	if one, is := oauth.String(claim); is {
		return []string{one}
	}
	list, _ := oauth.Strings(claim)
	return list
}

func cutRunes(text string, most int) string {
	if all := []rune(text); len(all) > most {
		return string(all[:most])
	}
	return text
}
