// Package console is the web console: pages over the admin API, for people who click. Everything that it shows or does, it asks of that
// API, in the same process, with the caller's own credential: it has no rights of its own and no way around them.
//
// A request meets it at /_/console/…: who visits (a sealed cookie), whether a POST is his own (CSRF), then the page, which is written
// here on the server. Nothing but the live output of the debugger, Copy buttons and dialogs needs a script. Objects are shown and
// changed by descriptions of their kinds (kinds.go), one mechanism for all; what has no field of its own is changed as JSON.
//
// Sessions are stateless: AES-GCM under the master key, HttpOnly, SameSite=Strict, half an hour, renewed up to eight. The policy of every
// page (CSP level 3, https://www.w3.org/TR/CSP3/) lets nothing run or style but the two embedded files. Nothing outlives its request;
// safe for concurrent use.
package console

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"keyless/shared/admin"
	"keyless/shared/config"
	"keyless/shared/seal"
)

// Prefix stands before every path of the console.
const Prefix = "/_/console"

// maxForm bounds what a page sends: an object of the admin API has 1 MiB, and a form repeats what it was shown.
const maxForm = 4 << 20

// Options are what the console works with.
type Options struct {
	API       http.Handler                                // the admin API
	Gateway   func(*http.Request) (*http.Response, error) // sends the debugger's calls, and follows no redirects
	Keys      *seal.Keys                                  // seal the sessions
	PublicURL string                                      // where calls go, and what issuers begin with
	URL       string                                      // scheme and host of the console itself; "": the public URL
	Region    string
	OIDC      *OIDC    // nil: people sign in with a token of the admin API alone
	Failures  Failures // nil: failed sign-ins are not counted
	Proxies   config.Proxies
	Now       func() time.Time
	Log       *slog.Logger
}

// Console serves the console. Safe for concurrent use.
type Console struct {
	o        Options
	provider *provider // nil: none
}

// New makes the console.
func New(o Options) *Console {
	if o.URL == "" {
		o.URL = o.PublicURL
	}
	c := &Console{o: o}
	if o.OIDC != nil {
		c.provider = &provider{OIDC: *o.OIDC, now: o.Now}
	}
	return c
}

// visit is one request on its way.
type visit struct {
	c        *Console
	w        http.ResponseWriter
	r        *http.Request
	session  session
	who      admin.Caller
	form     url.Values // of a POST
	revealed *revealed  // nil: none
}

// answer is what becomes of a visit: a page, or another place to go to.
type answer struct {
	status int // 0: 200
	page   string
	title  string
	crumbs []crumb
	data   any
	to     string // redirect, in place of a page
	sent   bool   // it has been answered already
}

// page answers at a path; rest are the segments behind its first.
type page func(v *visit, rest []string) (answer, error)

// pages by the first segment of their path. All others are kinds of objects.
var pages map[string]page

func init() {
	pages = map[string]page{
		"": overview, "new": newObject, "json": editJSON, "remove": removeObject, "do": act, "debug": debug, "usage": usagePage,
		"usage.csv": usageCSV, "audit": auditTrail, "audit.csv": auditCSV, "guide": guide, "sign-out": signOut,
	}
}

// ServeHTTP tells the story of a visit.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	guardHeaders(w.Header())
	segments, ok := split(r.URL.EscapedPath())
	switch {
	case r.URL.Path == Prefix:
		http.Redirect(w, r, Prefix+"/", http.StatusSeeOther)
		return
	case ok && segments[0] == "assets":
		serveAsset(w, r, segments[1:])
		return
	}
	v := &visit{c: c, w: w, r: r}
	a, err := answer{}, error(errNoPage)
	if ok {
		a, err = v.answer(segments)
	}
	if err != nil {
		a = v.failed(err)
	}
	v.write(a)
}

// guardHeaders are those of every answer: nothing may run, style, frame, or be kept, but what we embed.
func guardHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "+
		"form-action 'self'; frame-ancestors 'none'; base-uri 'none'; connect-src 'self'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// split takes a path apart and decodes its segments, each by itself: an encoded slash is part of a name.
func split(escaped string) ([]string, bool) {
	rest, below := strings.CutPrefix(escaped, Prefix+"/")
	if !below {
		return nil, false
	}
	segments := strings.Split(rest, "/")
	for i, segment := range segments {
		decoded, err := url.PathUnescape(segment)
		if err != nil || decoded == "" && len(segments) > 1 {
			return nil, false
		}
		segments[i] = decoded
	}
	return segments, true
}

var errNoPage = &problem{Status: http.StatusNotFound, Title: "Not Found", Detail: "There is no such page"}

var errNotOwn = &problem{Status: http.StatusForbidden, Title: "Forbidden",
	Detail: "This form is not of your session, or the session has ended. Go back, load the page again and send it once more"}

// answer finds who visits, and the page.
func (v *visit) answer(segments []string) (answer, error) {
	if !slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodPost}, v.r.Method) {
		v.w.Header().Set("Allow", "GET, HEAD, POST")
		return answer{}, &problem{Status: http.StatusMethodNotAllowed, Title: "Method Not Allowed", Detail: "Pages take GET and POST"}
	}
	v.session = v.c.session(v.r)
	if v.posted() {
		if err := v.readForm(); errors.Is(err, errNotOwn) && segments[0] == "sign-in" && !v.session.signedIn() {
			return v.signInPage("", "This page was too old to sign in with. Try again.", http.StatusForbidden), nil
		} else if err != nil {
			return answer{}, err
		}
	}
	switch segments[0] {
	case "sign-in":
		return signIn(v)
	case "oidc":
		return oidcPage(v, segments[1:])
	}
	if !v.session.signedIn() {
		return v.askToSignIn(""), nil
	}
	if _, err := v.get("/whoami", &v.who); err != nil {
		return answer{}, err
	}
	v.renew()
	if p, is := pages[segments[0]]; is {
		return p(v, segments[1:])
	}
	return objects(v, segments)
}

func (v *visit) posted() bool { return v.r.Method == http.MethodPost }

// readForm takes what a page of ours sends, and nobody else's.
func (v *visit) readForm() error {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxForm)
	if err := v.r.ParseForm(); err != nil {
		return &problem{Status: http.StatusBadRequest, Title: "Bad Request", Detail: "The form cannot be read, or it is too large"}
	}
	v.form = v.r.PostForm
	if !v.own() {
		return errNotOwn
	}
	return nil
}

// failed makes a page of an error. The text of a failure goes to the log alone.
func (v *visit) failed(err error) answer {
	var p *problem
	if !errors.As(err, &p) {
		v.c.o.Log.ErrorContext(v.r.Context(), "console", "error", err.Error())
		p = &problem{Status: http.StatusServiceUnavailable, Title: "Service Unavailable", Detail: "It did not work; try again"}
	}
	if p.Status == http.StatusUnauthorized {
		v.session = session{}
		v.signedOut()
		return v.askToSignIn("Your session has ended: the credential that you signed in with is taken no longer.")
	}
	return answer{status: p.Status, page: "problem", title: p.Title, data: p}
}
