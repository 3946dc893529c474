package console

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"keyless/shared/admin"
)

const (
	sessionCookie = "keyless_console"
	sessionPlace  = "console/session" // seals are bound to it

	idle        = 30 * time.Minute // without a visit, a session ends
	longest     = 8 * time.Hour    // a working day
	renewAfter  = time.Minute      // a cookie is not written with every page
	maxCookie   = 3900             // browsers take 4096 bytes with the name and attributes
	nonceBytes  = 16
	cookieLarge = "The credential is too long to be kept in a session; ask for a token with fewer scopes"
)

// session is what the cookie holds. Without a credential it only binds the sign-in form.
type session struct {
	Credential string        `json:"c,omitempty"` // bearer of the admin API
	Caller     *admin.Caller `json:"o,omitempty"` // proven by the OIDC provider
	Nonce      string        `json:"n"`
	Born       int64         `json:"b"` // Unix seconds
	Until      int64         `json:"u"`
}

func (s session) signedIn() bool { return s.Credential != "" || s.Caller != nil }

// token binds forms to the session.
func (s session) token() string {
	sum := sha256.Sum256([]byte("console form\x00" + s.Nonce))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func newNonce() string {
	b := make([]byte, nonceBytes)
	_, _ = rand.Read(b) // crypto/rand.Read never returns an error
	return base64.RawURLEncoding.EncodeToString(b)
}

// session opens the cookie; what is altered, too old or not ours is none.
func (c *Console) session(r *http.Request) session {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return session{}
	}
	var s session
	if !c.unseal(sessionPlace, cookie.Value, &s) {
		return session{}
	}
	now := c.o.Now().Unix()
	if now >= s.Until || now >= s.Born+int64(longest.Seconds()) || s.Born > now+int64(renewAfter.Seconds()) {
		return session{}
	}
	return s
}

func (c *Console) unseal(place, sealed string, into any) bool {
	text, err := c.o.Keys.Open(place, sealed)
	return err == nil && json.Unmarshal(text, into) == nil
}

func (c *Console) sealed(place string, what any) (string, error) {
	text, err := json.Marshal(what)
	if err != nil {
		return "", err
	}
	return c.o.Keys.Seal(place, text)
}

// begin makes a session of its own nonce, so that one from before the sign-in is worth nothing after it.
func (v *visit) begin(s session) error {
	now := v.c.o.Now()
	s.Nonce, s.Born = newNonce(), now.Unix()
	return v.keep(s)
}

// keep writes the cookie.
func (v *visit) keep(s session) error {
	s.Until = v.c.o.Now().Add(idle).Unix()
	value, err := v.c.sealed(sessionPlace, s)
	switch {
	case err != nil:
		return err
	case len(value) > maxCookie:
		return &problem{Status: http.StatusBadRequest, Title: "Bad Request", Detail: cookieLarge}
	}
	v.session = s
	v.cookie(sessionCookie, value, "/", http.SameSiteStrictMode, 0)
	return nil
}

// cookie sets one below the console's path; a negative age removes it.
func (v *visit) cookie(name, value, below string, site http.SameSite, age int) {
	http.SetCookie(v.w, &http.Cookie{
		Name: name, Value: value, Path: Prefix + below, HttpOnly: true, SameSite: site, MaxAge: age,
		Secure: v.r.TLS != nil || strings.HasPrefix(v.c.o.URL, "https://"),
	})
}

// renew puts the end of a session off.
func (v *visit) renew() {
	if v.c.o.Now().Add(idle-renewAfter).Unix() > v.session.Until {
		if err := v.keep(v.session); err != nil {
			v.c.o.Log.ErrorContext(v.r.Context(), "console", "error", err.Error())
		}
	}
}

func (v *visit) signedOut() { v.cookie(sessionCookie, "", "/", http.SameSiteStrictMode, -1) }

// own reports whether a POST comes from a page of ours in this session. A browser says where it comes from (Fetch Metadata, RFC 6454);
// "null" is what it says under our own no-referrer policy, and then the token decides.
func (v *visit) own() bool {
	if site := v.r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return false
	}
	origin := v.r.Header.Get("Origin")
	here := strings.HasSuffix(origin, "://"+v.r.Host)
	if origin != "" && origin != "null" && origin != v.c.o.URL && !here {
		return false
	}
	return v.session.Nonce != "" && subtle.ConstantTimeCompare([]byte(v.form.Get("csrf")), []byte(v.session.token())) == 1
}
