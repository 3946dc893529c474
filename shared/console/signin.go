package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Failures counts failed sign-ins; *quota.Quota satisfies it.
type Failures interface {
	// ClientFailed counts one from an address and returns how long to wait before the next, 0 where the limits hold.
	ClientFailed(ctx context.Context, client, address string) (time.Duration, error)
}

// failuresOf is under which name failed sign-ins are counted.
const failuresOf = "console/sign-in"

// slow is how long a wrong credential waits for its answer: nobody notices it once, and everybody a thousand times.
const slow = 500 * time.Millisecond

// signInPage is what the page shows.
type signInPage struct {
	To       string // where to go afterwards
	Says     string
	Provider string // "": none
	Off      bool   // no credential at all opens the admin API
}

// askToSignIn shows the sign-in page in place of another, or says that it must be loaded anew.
func (v *visit) askToSignIn(says string) answer {
	to := v.r.URL.RequestURI()
	if v.posted() || strings.HasPrefix(to, Prefix+"/sign-") {
		to = Prefix + "/"
	}
	return v.signInPage(to, says, http.StatusUnauthorized)
}

func (v *visit) signInPage(to, says string, status int) answer {
	if err := v.anonymous(); err != nil {
		return answer{status: http.StatusServiceUnavailable, page: "problem", title: "Service Unavailable",
			data: &problem{Status: http.StatusServiceUnavailable, Title: "Service Unavailable", Detail: "Sessions cannot be sealed; try again"}}
	}
	shown := signInPage{To: to, Says: says}
	if v.c.provider != nil {
		shown.Provider = v.c.provider.host()
	} else if off := v.adminOff(); off != "" {
		shown.Says, shown.Off = off+". Set KEYLESS_ADMIN_TOKEN, 16 random characters or more, and start the gateway anew.", true
	}
	return answer{status: status, page: "signin", title: "Sign in", data: shown}
}

// adminOff says why nobody can sign in; "" where somebody can, or where the store cannot tell. It asks without a credential.
func (v *visit) adminOff() string {
	_, err := v.api(http.MethodGet, "/whoami", nil)
	var p *problem
	if errors.As(err, &p) && p.Code == "admin_off" {
		return strings.TrimSuffix(p.Detail, ".")
	}
	return ""
}

// anonymous is the session of the form, which other tabs with the same form may share.
func (v *visit) anonymous() error {
	if v.session.Nonce != "" && !v.session.signedIn() {
		return nil
	}
	return v.begin(session{})
}

// signIn takes the admin token, or an access token with scopes of the admin API: whatever the API itself takes.
func signIn(v *visit) (answer, error) {
	if !v.posted() && v.session.signedIn() {
		return answer{to: within(v.r.URL.Query().Get("to"))}, nil
	}
	if !v.posted() {
		return v.signInPage(within(v.r.URL.Query().Get("to")), "", 0), nil
	}
	to, credential := within(v.form.Get("to")), strings.TrimSpace(v.form.Get("token"))
	before := v.session
	v.session = session{Credential: credential}
	_, err := v.get("/whoami", &v.who)
	var p *problem
	switch {
	case err == nil:
	case errors.As(err, &p) && p.Status == http.StatusUnauthorized:
		v.session = before
		return v.wrongCredential(to), nil
	case errors.As(err, &p):
		v.session = before
		return v.signInPage(to, p.Detail, p.Status), nil
	default:
		return answer{}, err
	}
	if len(v.who.Rights) == 0 {
		v.session = before
		return v.signInPage(to, "This token is good, but it has no scope of the admin API.", http.StatusForbidden), nil
	}
	if err := v.begin(session{Credential: credential}); err != nil {
		return answer{}, err
	}
	return answer{to: to}, nil
}

// wrongCredential answers late, and later where it happens often.
func (v *visit) wrongCredential(to string) answer {
	wait := slow
	if v.c.o.Failures != nil {
		more, err := v.c.o.Failures.ClientFailed(v.r.Context(), failuresOf, v.c.o.Proxies.Client(v.r))
		if err != nil {
			v.c.o.Log.ErrorContext(v.r.Context(), "console", "error", err.Error())
		}
		wait = min(max(wait, more), 10*slow)
	}
	select {
	case <-v.r.Context().Done():
	case <-time.After(wait):
	}
	return v.signInPage(to, "The gateway does not know this token, or it has expired.", http.StatusUnauthorized)
}

// within is a path of the console, and never another place.
func within(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(u.Path, Prefix+"/") ||
		strings.ContainsAny(to, "\\\r\n") || strings.Contains(u.Path, "/../") {
		return Prefix + "/"
	}
	return to
}

func signOut(v *visit, _ []string) (answer, error) {
	if v.posted() {
		v.signedOut()
	}
	return answer{to: Prefix + "/sign-in"}, nil
}
