package auth_test

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyless/shared/auth"
	"keyless/shared/registry"
)

var httpDate = now.UTC().Format(http.TimeFormat)

// apisixRequest is a signed request of the other dialect.
type apisixRequest struct {
	method, target, body string
	lines                []string // "name: value" of the signed headers, in the order of the list
	algorithm, secret    string
	by                   func() hash.Hash
}

func apisix(lines ...string) apisixRequest {
	return apisixRequest{
		method: "POST", target: "/signed/x?a=1", lines: append([]string{"date: " + httpDate}, lines...),
		algorithm: "hmac-sha256", secret: caSecret, by: sha256.New,
	}
}

func (a apisixRequest) text() string {
	text := "partner\n" + a.method + " " + a.target + "\n"
	for _, line := range a.lines {
		text += line + "\n"
	}
	return text
}

func (a apisixRequest) header() string {
	list := "@request-target"
	for _, line := range a.lines {
		name, _, _ := strings.Cut(line, ": ")
		list += " " + name
	}
	return fmt.Sprintf(`Signature keyId="partner",algorithm="%s",headers="%s",signature="%s"`,
		a.algorithm, list, macBy(a.by, a.secret, a.text()))
}

func (a apisixRequest) build(then ...func(*http.Request)) *http.Request {
	r := send(a.method, "http://gateway.example"+a.target, a.body, a.lines...)
	r.Header.Set("Authorization", a.header())
	for _, f := range then {
		f(r)
	}
	return r
}

func authorized(change func(string) string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", change(r.Header.Get("Authorization"))) }
}

func replace(old, new string) func(*http.Request) {
	return authorized(func(s string) string { return strings.Replace(s, old, new, 1) })
}

func TestAPISIXSignature(t *testing.T) {
	t.Parallel()
	good := apisix()
	bodied := apisix("digest: " + digestOf("{}"))
	bodied.body = "{}"
	undigested := good
	undigested.body = "{}"
	at := func(offset time.Duration) apisixRequest {
		a := apisix()
		a.lines = []string{"date: " + now.Add(offset).UTC().Format(http.TimeFormat)}
		return a
	}
	long := good
	long.algorithm, long.by = "hmac-sha512", sha512.New
	weak := good
	weak.algorithm, weak.by = "hmac-sha1", sha1.New
	withoutDate := good
	withoutDate.lines = nil
	hosted := apisix("Host: gateway.example")
	tests := map[string]struct {
		request *http.Request
		want    auth.Reason
	}{
		"signed":                         {good.build(), ""},
		"spaces behind the commas":       {good.build(authorized(func(s string) string { return strings.ReplaceAll(s, ",", ", ") })), ""},
		"SHA-512":                        {long.build(), ""},
		"a listed header that is absent": {good.build(replace(`date"`, `date x-absent"`)), ""},
		"a listed header":                {apisix("x-role: reader").build(), ""},
		"a list in capitals":             {apisix("X-Role: reader").build(), ""},
		"a signed host":                  {hosted.build(set("Host")), ""},
		"a body with its digest":         {bodied.build(), ""},
		"the earliest date":              {at(-15 * time.Minute).build(), ""},
		"the latest date":                {at(15 * time.Minute).build(), ""},

		"too early":                     {at(-15*time.Minute - time.Second).build(), auth.HMACInvalidDate},
		"too late":                      {at(15*time.Minute + time.Second).build(), auth.HMACInvalidDate},
		"no date":                       {withoutDate.build(), auth.HMACInvalidDate},
		"a date that is not signed":     {withoutDate.build(set("Date", httpDate)), auth.HMACInvalidDate},
		"a date listed and absent":      {withoutDate.build(replace(`@request-target"`, `@request-target date"`)), auth.HMACInvalidDate},
		"a timestamp is no date here":   {withoutDate.build(set("X-Ca-Timestamp", fmt.Sprint(now.UnixMilli()))), auth.HMACInvalidDate},
		"two dates":                     {good.build(set("Date", httpDate, httpDate)), auth.HMACInvalidSignature},
		"another date":                  {good.build(set("Date", now.Add(time.Second).UTC().Format(http.TimeFormat))), auth.HMACInvalidSignature},
		"another path":                  {good.build(targeting("/signed/y?a=1")), auth.HMACInvalidSignature},
		"another query":                 {good.build(targeting("/signed/x?a=2")), auth.HMACInvalidSignature},
		"the query in another order":    {good.build(targeting("/signed/x?b=1&a=1")), auth.HMACInvalidSignature},
		"no query":                      {good.build(targeting("/signed/x")), auth.HMACInvalidSignature},
		"another method":                {good.build(func(r *http.Request) { r.Method = "PUT" }), auth.HMACInvalidSignature},
		"another host":                  {hosted.build(set("Host"), func(r *http.Request) { r.Host = "evil.example" }), auth.HMACInvalidSignature},
		"a signed header changed":       {apisix("x-role: reader").build(set("X-Role", "admin")), auth.HMACInvalidSignature},
		"a signed header taken away":    {apisix("x-role: reader").build(set("X-Role")), auth.HMACInvalidSignature},
		"an absent header filled":       {good.build(replace(`date"`, `date x-role"`), set("X-Role", "admin")), auth.HMACInvalidSignature},
		"a header off the list":         {apisix("x-role: reader").build(replace(" x-role", "")), auth.HMACInvalidSignature},
		"the target in capitals":        {good.build(replace("@request-target", "@Request-Target")), auth.HMACInvalidSignature},
		"the target off the list":       {good.build(replace("@request-target ", "")), auth.HMACInvalidSignature},
		"thirty-three headers":          {good.build(replace(`date"`, `date`+strings.Repeat(" a", 31)+`"`)), auth.HMACInvalidSignature},
		"another key's signature":       {good.build(replace(`="partner"`, `="nobody"`)), auth.HMACInvalidKey},
		"no key":                        {good.build(replace(`keyId="partner",`, "")), auth.HMACInvalidKey},
		"no algorithm":                  {good.build(replace(`algorithm="hmac-sha256",`, "")), auth.HMACInvalidSignature},
		"another algorithm":             {good.build(replace("sha256", "sha512")), auth.HMACInvalidSignature},
		"an unknown algorithm":          {good.build(replace("sha256", "md5")), auth.HMACInvalidSignature},
		"SHA-1 that is not allowed":     {weak.build(), auth.HMACInvalidSignature},
		"no signature":                  {good.build(authorized(func(s string) string { return s[:strings.Index(s, ",signature")] })), auth.HMACEmptySignature},
		"no base64":                     {good.build(replace(`signature="`, `signature="%`)), auth.HMACInvalidSignature},
		"a parameter twice":             {good.build(replace(`keyId="partner"`, `keyId="partner",keyId="partner"`)), auth.HMACInvalidSignature},
		"no quotes":                     {good.build(replace(`"partner"`, "partner")), auth.HMACInvalidSignature},
		"nothing behind the scheme":     {good.build(set("Authorization", "Signature ")), auth.HMACInvalidSignature},
		"two signatures":                {good.build(set("Authorization", good.header(), good.header())), auth.HMACInvalidSignature},
		"the scheme alone":              {good.build(set("Authorization", "Signature")), auth.HMACInvalidKey},
		"the scheme in small letters":   {good.build(replace("Signature ", "signature ")), auth.HMACInvalidKey},
		"a body without a digest":       {undigested.build(), auth.HMACInvalidDigest},
		"a body of unknown length":      {undigested.build(func(r *http.Request) { r.ContentLength = -1 }), auth.HMACInvalidDigest},
		"a digest that is not signed":   {undigested.build(set("Digest", digestOf("{}"))), auth.HMACInvalidDigest},
		"another body":                  {bodied.build(withBody("[]")), auth.HMACInvalidDigest},
		"another body and its digest":   {bodied.build(withBody("[]"), set("Digest", digestOf("[]"))), auth.HMACInvalidSignature},
		"a digest listed and absent":    {undigested.build(replace(`date"`, `date digest"`)), auth.HMACInvalidDigest},
		"a digest of another algorithm": {func() *http.Request { a := apisix("digest: SHA-1=x"); a.body = "{}"; return a.build() }(), auth.HMACInvalidDigest},
		"a key of x-ca beside it":       {good.build(set("X-Ca-Key", "partner")), auth.HMACInvalidSignature},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newPartner(t)
			d := s.want(name, tt.request, tt.want)
			if strings.Contains(d.StringToSign+fmt.Sprint(d.Trace), caSecret) {
				t.Error("the secret is told")
			}
		})
	}
}

// A signature that does not cover the request target is none, although it is the one of what it lists.
func TestAPISIXTargetMustBeSigned(t *testing.T) {
	t.Parallel()
	s := newPartner(t)
	a := apisix()
	signature := mac(caSecret, "partner\ndate: "+httpDate+"\n")
	s.want("date alone", a.build(set("Authorization",
		`Signature keyId="partner",algorithm="hmac-sha256",headers="date",signature="`+signature+`"`)), auth.HMACInvalidSignature)
}

// A signature is one credential, whatever prefix others use in Authorization; beside a token it is one too many.
func TestSignatureAmongOtherCredentials(t *testing.T) {
	t.Parallel()
	h := newHouse(t, &registry.Config{
		Version: 1,
		APIs:    []registry.API{api("all", "jwt", "api_key", "hmac"), api("tokens", "jwt", "api_key")},
		Consumers: []registry.Consumer{
			keyed("bare", "Authorization", "", []registry.APIKey{{ID: "k", Value: aliceKey}}, "all"),
			shop(func(c *registry.Consumer) { c.Authorizations = may("all", "tokens") }),
			{Name: "partner", Authorizations: may("all"), HMAC: &registry.HMACCredential{
				Keys: []registry.HMACKey{{AccessKey: "partner", SecretKey: caSecret}}}},
		},
	})
	a := apisix()
	a.target = "/all"
	token := "Bearer " + hs256(hs, claims(nil))
	h.want("a signature", a.build(), "all", "")
	h.want("a bare key", send("GET", "/all", "", "Authorization: "+aliceKey), "all", "")
	h.want("a token", send("GET", "/all", "", "Authorization: "+token), "all", "")
	h.want("a token and a signature", a.build(set("Authorization", token, a.header())), "all", auth.HMACInvalidSignature)
	h.want("a signature and a token", a.build(set("Authorization", a.header(), token)), "all", auth.HMACInvalidSignature)
	h.want("a signature and a bare key", a.build(set("Authorization", a.header(), aliceKey)), "all", auth.HMACInvalidSignature)
	h.want("where signatures are not taken it is a bare key", a.build(), "tokens", auth.APIKeyInvalid)
}
