package auth_test

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyless/shared/auth"
	"keyless/shared/registry"
)

const caSecret = "a-secret-of-the-partner"

// caRequest is a signed request of the x-ca scheme, as a client makes one: target is path and query as sent, signedTarget what stands
// in the string to sign.
type caRequest struct {
	method, target, signedTarget, body string
	accept, md5, contentType, date     string
	listed                             []string // "name: value" of the listed headers, in the order of their names
	secret                             string
	key                                string
}

func ca() caRequest {
	return caRequest{
		method: "GET", target: "/signed/x", signedTarget: "/signed/x", secret: caSecret, key: "partner",
		listed: []string{"x-ca-key: partner", "x-ca-timestamp: " + fmt.Sprint(now.UnixMilli())},
	}
}

func (c caRequest) with(change func(*caRequest)) caRequest {
	change(&c)
	return c
}

func (c caRequest) listing(line string) caRequest {
	c.listed = append(c.listed[:len(c.listed):len(c.listed)], line)
	return c
}

func (c caRequest) text() string {
	text := c.method + "\n" + c.accept + "\n" + c.md5 + "\n" + c.contentType + "\n" + c.date + "\n"
	for _, line := range c.listed {
		text += strings.Replace(line, ": ", ":", 1) + "\n"
	}
	return text + c.signedTarget
}

// build makes the request; then changes what was signed, or not.
func (c caRequest) build(then ...func(*http.Request)) *http.Request {
	r := send(c.method, "http://gateway.example"+c.target, c.body, c.listed...)
	for name, value := range map[string]string{
		"Accept": c.accept, "Content-Md5": c.md5, "Content-Type": c.contentType, "Date": c.date, "X-Ca-Key": c.key,
	} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	var names []string
	for _, line := range c.listed {
		name, _, _ := strings.Cut(line, ": ")
		names = append(names, name)
	}
	r.Header.Set("X-Ca-Signature-Headers", strings.Join(names, ","))
	r.Header.Set("X-Ca-Signature", mac(c.secret, c.text()))
	for _, f := range then {
		f(r)
	}
	return r
}

func set(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) { r.Header[http.CanonicalHeaderKey(name)] = values }
}

func targeting(target string) func(*http.Request) {
	return func(r *http.Request) { r.URL = send("GET", "http://gateway.example"+target, "").URL }
}

func withBody(body string) func(*http.Request) {
	return func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	}
}

func newPartner(t *testing.T, change ...func(*registry.Consumer)) *signer {
	t.Helper()
	s := newSigner(t)
	signing(t, s.world, "partner", caSecret, change...)
	return s
}

func TestCaSignature(t *testing.T) {
	t.Parallel()
	good := ca()
	form := ca().with(func(c *caRequest) {
		c.method, c.contentType, c.body, c.signedTarget = "POST", formType, "b=2&a=1%20", "/signed/x?a=1 &b=2"
	})
	hashed := ca().with(func(c *caRequest) { c.method, c.body, c.md5 = "POST", "abc", md5Of("abc") })
	query := ca().with(func(c *caRequest) { c.target, c.signedTarget = "/signed/x?b=2&a=%E4%BD%A0&c", "/signed/x?a=你&b=2&c=" })
	nonce := ca().listing("x-ca-nonce: n").with(func(c *caRequest) { c.listed[1], c.listed[2] = c.listed[2], c.listed[1] })
	old := now.Add(-15*time.Minute - time.Millisecond)
	stamped := func(stamp string) caRequest {
		c := ca()
		c.listed = []string{c.listed[0], "x-ca-timestamp: " + stamp}
		return c
	}
	dated := func(at time.Time, zone string) caRequest {
		return ca().with(func(c *caRequest) {
			c.listed, c.date = c.listed[:1], at.UTC().Format("Mon, 02 Jan 2006 15:04:05 ")+zone
		})
	}
	tests := map[string]struct {
		request *http.Request
		want    auth.Reason
	}{
		"signed":                                 {good.build(), ""},
		"with a method named":                    {good.build(set("X-Ca-Signature-Method", "HmacSHA256")), ""},
		"a list in capitals":                     {good.build(set("X-Ca-Signature-Headers", "X-CA-KEY,X-Ca-Timestamp")), ""},
		"a list in another order":                {good.build(set("X-Ca-Signature-Headers", "x-ca-timestamp,x-ca-key")), ""},
		"what has a place of its own is no more": {good.build(set("X-Ca-Signature-Headers", "x-ca-key,accept,x-ca-timestamp,date")), ""},
		"a query, decoded and sorted":            {query.build(), ""},
		"a form, decoded and sorted":             {form.build(), ""},
		"a form type with a charset, and no body": {ca().with(func(c *caRequest) {
			c.method, c.contentType = "POST", formType+"; charset=utf-8"
		}).build(), ""},
		"the body's digest":              {hashed.build(), ""},
		"a date":                         {dated(now, "GMT").build(), ""},
		"a date with an offset in words": {dated(now, "GMT+00:00").build(), ""},
		"seconds":                        {stamped(fmt.Sprint(now.Unix())).build(), ""},
		"a signed nonce":                 {nonce.build(), ""},
		"a signed host": {ca().with(func(c *caRequest) {
			c.listed = append([]string{"host: gateway.example"}, c.listed...)
		}).build(set("Host")), ""},

		"the earliest date":           {dated(now.Add(-15*time.Minute), "GMT").build(), ""},
		"the latest date":             {dated(now.Add(15*time.Minute), "GMT").build(), ""},
		"a second too early":          {dated(now.Add(-15*time.Minute-time.Second), "GMT").build(), auth.HMACInvalidDate},
		"a second too late":           {dated(now.Add(15*time.Minute+time.Second), "GMT").build(), auth.HMACInvalidDate},
		"a millisecond too early":     {stamped(fmt.Sprint(old.UnixMilli())).build(), auth.HMACInvalidDate},
		"the earliest millisecond":    {stamped(fmt.Sprint(old.UnixMilli() + 1)).build(), ""},
		"no time at all":              {ca().with(func(c *caRequest) { c.listed = c.listed[:1] }).build(), auth.HMACInvalidDate},
		"a time that is not signed":   {good.build(set("X-Ca-Signature-Headers", "x-ca-key")), auth.HMACInvalidDate},
		"a time that is none":         {stamped("today").build(), auth.HMACInvalidDate},
		"a time before all":           {stamped("-1").build(), auth.HMACInvalidDate},
		"a time beyond all":           {stamped("9223372036854775807").build(), auth.HMACInvalidDate},
		"a time with too many digits": {stamped("99999999999999999999").build(), auth.HMACInvalidDate},
		"a date that is none":         {ca().with(func(c *caRequest) { c.date = "today" }).build(), auth.HMACInvalidDate},
		"an old date and a fresh time": {ca().with(func(c *caRequest) {
			c.date = now.Add(-time.Hour).UTC().Format(http.TimeFormat)
		}).build(), auth.HMACInvalidDate},
		"a fresh date put before": {good.build(set("Date", now.UTC().Format(http.TimeFormat))), auth.HMACInvalidSignature},

		"no key":               {good.build(set("X-Ca-Key")), auth.HMACInvalidKey},
		"an unknown key":       {ca().with(func(c *caRequest) { c.key = "nobody" }).build(set("X-Ca-Key", "nobody")), auth.HMACInvalidKey},
		"two keys":             {good.build(set("X-Ca-Key", "partner", "partner")), auth.HMACInvalidKey},
		"no signature":         {good.build(set("X-Ca-Signature")), auth.HMACEmptySignature},
		"two signatures":       {good.build(set("X-Ca-Signature", "AAAA", "AAAA")), auth.HMACEmptySignature},
		"no base64":            {good.build(set("X-Ca-Signature", "%%")), auth.HMACInvalidSignature},
		"another signature":    {good.build(set("X-Ca-Signature", mac("another-secret", good.text()))), auth.HMACInvalidSignature},
		"half of a signature":  {good.build(set("X-Ca-Signature", mac(caSecret, good.text())[:20])), auth.HMACInvalidSignature},
		"an unknown method":    {good.build(set("X-Ca-Signature-Method", "HmacMD5")), auth.HMACInvalidSignature},
		"two methods":          {good.build(set("X-Ca-Signature-Method", "HmacSHA256", "HmacSHA1")), auth.HMACInvalidSignature},
		"another method":       {good.build(func(r *http.Request) { r.Method = "DELETE" }), auth.HMACInvalidSignature},
		"another path":         {good.build(targeting("/signed/y")), auth.HMACInvalidSignature},
		"an added parameter":   {good.build(targeting("/signed/x?admin=1")), auth.HMACInvalidSignature},
		"a changed parameter":  {query.build(targeting("/signed/x?b=3&a=%E4%BD%A0&c")), auth.HMACInvalidSignature},
		"a removed parameter":  {query.build(targeting("/signed/x?b=2&c")), auth.HMACInvalidSignature},
		"a changed header":     {good.build(set("X-Ca-Timestamp", fmt.Sprint(now.UnixMilli()+1))), auth.HMACInvalidSignature},
		"a header not listed":  {good.build(set("X-Other", "1")), ""},
		"another content type": {good.build(set("Content-Type", "text/plain")), auth.HMACInvalidSignature},
		"another host": {ca().with(func(c *caRequest) {
			c.listed = append([]string{"host: gateway.example"}, c.listed...)
		}).build(set("Host"), func(r *http.Request) { r.Host = "evil.example" }), auth.HMACInvalidSignature},
		"thirty-three headers": {good.build(set("X-Ca-Signature-Headers", strings.Repeat("a,", 32)+"b")), auth.HMACInvalidSignature},
		"SHA-1 that is not allowed": {good.build(set("X-Ca-Signature-Method", "HmacSHA1"),
			set("X-Ca-Signature", macBy(sha1.New, caSecret, good.text()))), auth.HMACInvalidSignature},

		"a form changed":             {form.build(withBody("b=2&a=2")), auth.HMACInvalidSignature},
		"a form with one field more": {form.build(withBody("b=2&a=1%20&admin=1")), auth.HMACInvalidSignature},
		"a form taken away":          {form.build(withBody("")), auth.HMACInvalidSignature},
		"a form declared as no form": {form.build(set("Content-Type", jsonType)), auth.HMACInvalidSignature},
		"a body declared as a form":  {hashed.build(set("Content-Type", formType)), auth.HMACInvalidSignature},
		"two content types":          {form.build(set("Content-Type", formType, jsonType)), auth.HMACInvalidSignature},
		"an unsigned header-only form": {ca().with(func(c *caRequest) {
			c.method, c.contentType = "POST", formType
		}).build(set("X-Ca-Signature", "AAAA")), auth.HMACInvalidSignature},
		"another body than hashed":    {hashed.build(withBody("abd")), auth.HMACInvalidDigest},
		"no body where one is hashed": {hashed.build(withBody("")), auth.HMACInvalidDigest},
		"two digests":                 {hashed.build(set("Content-Md5", md5Of("abc"), md5Of("abd"))), auth.HMACInvalidSignature},
		"a body that breaks off": {hashed.build(func(r *http.Request) {
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader("ab"), broken{}))
		}), auth.HMACInvalidDigest},

		"a nonce that is not signed": {good.build(set("X-Ca-Nonce", "n")), auth.HMACInvalidSignature},
		"a signed nonce taken away":  {nonce.build(set("X-Ca-Nonce")), auth.HMACInvalidSignature},
		"a nonce in two parts": {ca().with(func(c *caRequest) {
			c.listed = []string{c.listed[0], "x-ca-nonce: a,b", c.listed[1]}
		}).build(set("X-Ca-Nonce", "a", "b")), auth.HMACInvalidSignature},
		"a nonce of 129 characters": {ca().with(func(c *caRequest) {
			c.listed = []string{c.listed[0], "x-ca-nonce: " + strings.Repeat("n", 129), c.listed[1]}
		}).build(), auth.HMACInvalidSignature},

		"both dialects": {good.build(set("Authorization", `Signature keyId="partner"`)), auth.HMACInvalidSignature},
		"nothing":       {send("GET", "/signed/x", ""), auth.HMACInvalidKey},
		"a time alone":  {send("GET", "/signed/x", "", "X-Ca-Timestamp: 1"), auth.HMACInvalidKey},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newPartner(t)
			d := s.want(name, tt.request, tt.want)
			if strings.Contains(d.StringToSign+d.CaErrorMessage()+fmt.Sprint(d.Trace), caSecret) {
				t.Error("the secret is told")
			}
			if tt.want == "" && (d.Method != "hmac" || d.Consumer.Name != "c-partner" || d.PassCredential()) {
				t.Errorf("%+v", d)
			}
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("cut") }

func TestSHA1WhereTheKeyAllowsIt(t *testing.T) {
	t.Parallel()
	s := newPartner(t, func(c *registry.Consumer) { c.HMAC.Keys[0].AllowSHA1 = true })
	weak := func() *http.Request {
		return ca().build(set("X-Ca-Signature-Method", "HmacSHA1"), set("X-Ca-Signature", macBy(sha1.New, caSecret, ca().text())))
	}
	s.want("SHA-1", weak(), "")
	s.want("SHA-256 of the same key", ca().build(), "")
	s.want("SHA-1 called SHA-256", ca().build(set("X-Ca-Signature", weak().Header.Get("X-Ca-Signature"))), auth.HMACInvalidSignature)
	s.want("SHA-256 called SHA-1", ca().build(set("X-Ca-Signature-Method", "HmacSHA1")), auth.HMACInvalidSignature)
}

func TestWhoSigned(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*registry.Consumer)
		want   auth.Reason
	}{
		"a disabled key":         {func(c *registry.Consumer) { c.HMAC.Keys[0].Status = registry.Disabled }, auth.HMACInvalidKey},
		"a disabled consumer":    {func(c *registry.Consumer) { c.Status = registry.Disabled }, auth.HMACInvalidKey},
		"a key without a secret": {func(c *registry.Consumer) { c.HMAC.Keys[0].SecretKey = "" }, auth.HMACInvalidKey},
		"no authorization":       {func(c *registry.Consumer) { c.Authorizations = nil }, auth.HMACUnauthorized},
		"an expired authorization": {func(c *registry.Consumer) {
			c.Authorizations[0].ExpiresAt = &now
		}, auth.HMACUnauthorized},
		"the second of two keys": {func(c *registry.Consumer) {
			c.HMAC.Keys = append([]registry.HMACKey{{AccessKey: "other", SecretKey: "another-secret-xx"}}, c.HMAC.Keys...)
		}, ""},
		"another key's secret": {func(c *registry.Consumer) {
			c.HMAC.Keys[0].SecretKey = "another-secret-xx"
		}, auth.HMACInvalidSignature},
		"a window of its own": {func(c *registry.Consumer) { c.HMAC.Window = registry.Duration(time.Minute) }, ""},
	}
	for name, tt := range tests {
		s := newPartner(t, tt.change)
		s.want(name, ca().build(), tt.want)
		if name == "a window of its own" {
			s.now = now.Add(time.Minute + time.Second)
			s.want("after that window", ca().build(), auth.HMACInvalidDate)
		}
	}
}

// A door without bodies judges all but the body, and leaves the nonce to the proxy where the call goes on to it.
func TestSignedWithoutBodies(t *testing.T) {
	t.Parallel()
	s := newPartner(t, func(c *registry.Consumer) { c.Authorizations = may("signed", "proxied") })
	s.gate = func(g *auth.Gate) *auth.Gate { return g.WithoutBodies() }
	form := ca().with(func(c *caRequest) { c.method, c.contentType = "POST", formType })
	s.want("a form", form.build(), auth.HMACBodyNeeded)
	s.want("a form in capitals", form.with(func(c *caRequest) { c.contentType = strings.ToUpper(formType) }).build(), auth.HMACBodyNeeded)
	hashed := ca().with(func(c *caRequest) { c.method, c.md5 = "POST", md5Of("abc") })
	s.want("a digest's header", hashed.build(), "")
	s.want("another digest's header", hashed.build(set("Content-Md5", md5Of("abd"))), auth.HMACInvalidSignature)
	s.want("a nonce, of an API that ends here", nonced("n").build(), "")
	s.want("again", nonced("n").build(), auth.HMACReplayedNonce)
	s.wantOn("a nonce, of an API that the proxy serves", nonced("p").build(), "proxied", "")
	s.gate = func(g *auth.Gate) *auth.Gate { return g }
	s.wantOn("at the proxy", nonced("p").build(), "proxied", "")
	s.wantOn("at the proxy again", nonced("p").build(), "proxied", auth.HMACReplayedNonce)
}

func TestSignedBodyIsBoundedAndPutBack(t *testing.T) {
	t.Parallel()
	s := newPartner(t)
	form := func(body string) caRequest {
		return ca().with(func(c *caRequest) {
			c.method, c.contentType, c.body, c.signedTarget = "POST", formType, body, "/signed/x?"+body
		})
	}
	r := form("a=1&b=2345").build()
	s.wantOn("ten bytes", r, "small", "")
	if got := bodyOf(t, r); got != "a=1&b=2345" {
		t.Errorf("put back %q", got)
	}
	r = form("a=1&b=23456").build()
	s.wantOn("eleven", r, "small", auth.BodyTooLarge)
	if got := bodyOf(t, r); got != "a=1&b=23456" {
		t.Errorf("put back %q", got)
	}
	untouched := ca().with(func(c *caRequest) { c.method, c.body = "POST", strings.Repeat("x", 100) }).build()
	s.wantOn("a body that is not covered is not read", untouched, "small", "")
	if got := bodyOf(t, untouched); len(got) != 100 {
		t.Errorf("left %d bytes", len(got))
	}
}

func TestCaErrorMessageIsOneLine(t *testing.T) {
	t.Parallel()
	s := newPartner(t)
	r := ca().build(targeting("/signed/x?a=%0d%0aSet-Cookie:%20x%00%7f"), set("X-Ca-Signature", "AAAA"))
	d := s.want("line breaks in a parameter", r, auth.HMACInvalidSignature)
	if got := d.CaErrorMessage(); strings.ContainsAny(got, "\r\n\x00\x7f") || !strings.HasPrefix(got, "Server StringToSign:`GET#") {
		t.Errorf("%q", got)
	}
}

// The reference's rule, which the scheme lives with: of a repeated parameter the first is signed, the query's before the form's.
func TestFirstOfARepeatedParameterIsSigned(t *testing.T) {
	t.Parallel()
	s := newPartner(t)
	c := ca().with(func(c *caRequest) {
		c.method, c.contentType, c.target, c.body, c.signedTarget = "POST", formType, "/signed/x?a=1&a=2", "a=3&b=4", "/signed/x?a=1&b=4"
	})
	s.want("repeated", c.build(), "")
}
