package token_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"keyless/shared/registry"
	"keyless/shared/token"
)

const (
	grantType  = "grant_type=client_credentials"
	formType   = "application/x-www-form-urlencoded"
	badRequest = "invalid_request"
	badClient  = "invalid_client"
)

// T01, T03 to T05: RFC 6749 §3.2. T02: RFC 6749 §4.4.2. T06: RFC 6749 §2.3.1. T07: RFC 6749 §5.2. T10: RFC 6749 appendix B.
// T12: RFC 6749 §3.2, RFC 9700 §4.12. A01: RFC 6749 §5.1, §5.2.
func TestT01ToT13A01A04Requests(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	tests := map[string]struct {
		call
		status int
		code   string
	}{
		"T01 GET":               {call{method: "GET"}, 405, badRequest},
		"T01 HEAD-like OPTIONS": {call{method: "OPTIONS"}, 405, badRequest},
		"T01 PUT":               {call{method: "PUT"}, 405, badRequest},
		"T02 charset":           {call{kind: formType + "; charset=UTF-8"}, 200, ""},
		"T02 letter case":       {call{kind: "Application/X-WWW-Form-Urlencoded"}, 200, ""},
		"T02 another charset":   {call{kind: formType + ";charset=utf-16"}, 400, badRequest},
		"T02 JSON":              {call{kind: "application/json", body: `{}`}, 400, badRequest},
		"T02 multipart":         {call{kind: "multipart/form-data; boundary=x"}, 400, badRequest},
		"T02 malformed":         {call{kind: ";"}, 400, badRequest},
		"T02 none":              {call{header: http.Header{"Content-Type": nil}}, 400, badRequest},
		"T03 grant_type twice":  {call{body: grantType + "&" + grantType}, 400, badRequest},
		"T03 scope twice": {
			call{body: grantType + "&scope=model.list&scope=model.list"}, 400, badRequest,
		},
		"T03 scope and an empty one": {call{body: grantType + "&scope=&scope=model.list"}, 400, badRequest},
		"T03 scope, once encoded":    {call{body: grantType + "&scope=a&%73cope=a"}, 400, badRequest},
		"T03 client_id twice":        {call{body: grantType + "&client_id=one&client_id=one"}, 400, badRequest},
		"T03 unknown twice":          {call{body: grantType + "&x=1&x=2"}, 400, badRequest},
		"T03 resource twice": {
			call{body: grantType + "&resource=" + gateway + "&resource=" + gateway}, 200, "",
		},
		"T03 audience twice": {
			call{body: grantType + "&audience=" + gateway + "&audience=" + gateway}, 200, "",
		},
		"T04 empty parameters": {
			call{body: grantType + "&scope=&client_secret=&client_id&client_assertion="}, 200, "",
		},
		"T04 empty grant_type": {call{body: "grant_type="}, 400, badRequest},
		"T05 unknown parameters": {
			call{body: grantType + "&application_federated_credential_name=&x=1"}, 200, "",
		},
		"T05 nothing between &":       {call{body: "&&" + grantType + "&"}, 200, ""},
		"T06 query is not read":       {call{query: "?grant_type=password&scope=x"}, 200, ""},
		"T06 grant_type in the query": {call{query: "?" + grantType, body: "x=1"}, 400, badRequest},
		"T06 secret in the query":     {call{query: "?client_secret=x"}, 400, badRequest},
		"T06 the same, encoded":       {call{query: "?a=%zz&client%5Fsecret="}, 400, badRequest},
		"T06 assertion in the query":  {call{query: "?client_assertion=x"}, 400, badRequest},
		"T07 no grant_type":           {call{body: "scope=x"}, 400, badRequest},
		"T07 password":                {call{body: "grant_type=password"}, 400, "unsupported_grant_type"},
		"T07 letter case":             {call{body: "grant_type=Client_Credentials"}, 400, "unsupported_grant_type"},
		"T09 8 KiB":                   {call{body: grantType + "&x=" + strings.Repeat("x", 8<<10-32)}, 200, ""},
		"T09 a byte more": {
			call{body: grantType + "&x=" + strings.Repeat("x", 8<<10-31)}, 413, badRequest,
		},
		"T10 percent":                {call{body: grantType + "&x=%"}, 400, badRequest},
		"T10 percent in a name":      {call{body: grantType + "&%zz=1"}, 400, badRequest},
		"T10 not UTF-8":              {call{body: grantType + "&x=%ff"}, 400, badRequest},
		"T10 not UTF-8, not encoded": {call{body: grantType + "&x=\xff"}, 400, badRequest},
		"T12 a slash more":           {call{path: "/acme/oauth2/token/"}, 404, "not_found"},
		"T12 two slashes":            {call{path: "//acme/oauth2/token"}, 404, "not_found"},
		"T12 dots":                   {call{path: "/x/../acme/oauth2/token"}, 404, "not_found"},
		"encoded letter in the path": {call{path: "/%61cme/oauth2/token"}, 404, "not_found"},
		"unknown instance":           {call{path: "/nobody/oauth2/token"}, 404, "not_found"},
		"no instance's name":         {call{path: "/ACME/oauth2/token"}, 404, "not_found"},
		"another path":               {call{path: "/acme/oauth2/jwks"}, 404, "not_found"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := f.do(test.call)
			if status, code := says(t, w); status != test.status || status != 200 && code != test.code {
				t.Fatalf("%d %s", status, w.Body)
			}
			A01Headers(t, w)
		})
	}
}

// A01Headers holds for every answer: RFC 6749 §5.1, T12, T13, A04.
func A01Headers(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	h := w.Header()
	if h.Get("Cache-Control") != "no-store" || h.Get("Pragma") != "no-cache" ||
		h.Get("Content-Type") != "application/json;charset=UTF-8" {
		t.Errorf("headers %v", h)
	}
	for _, name := range []string{"Location", "Access-Control-Allow-Origin", "ETag", "Content-Encoding"} {
		if h.Get(name) != "" {
			t.Errorf("%s: %s", name, h.Get(name))
		}
	}
	if (h.Get("Allow") == "POST") != (w.Code == 405) || (h.Get("WWW-Authenticate") != "") != (w.Code == 401) {
		t.Errorf("status %d, Allow %q, WWW-Authenticate %q", w.Code, h.Get("Allow"), h.Get("WWW-Authenticate"))
	}
	if w.Code != 200 && !strings.HasSuffix(w.Body.String(), `,"request_id":"r-1"}`) {
		t.Errorf("no request_id: %s", w.Body)
	}
}

// T11, RFC 6749 §5.2: the characters of error and error_description.
func TestT11Sentences(t *testing.T) {
	t.Parallel()
	allowed := regexp.MustCompile(`^[a-z_]+: [\x20\x21\x23-\x5B\x5D-\x7E]+[.]$`)
	for why, sentence := range token.Sentences() {
		if !allowed.MatchString(sentence) {
			t.Errorf("%s: %q", why, sentence)
		}
	}
}

// C01: RFC 6749 §2.3.1; the halves as they are, too. C03: RFC 9110 §11.1, RFC 6749 §5.2. C04: RFC 6749 §2.3.
// C05: RFC 6749 §2.3, RFC 7521 §4.2. C06: RFC 6749 §5.2. C11: RFC 7591 §2, RFC 9700 §2.5. C13: RFC 7523 §2.2. C19: RFC 6749 §4.4. J16: RFC 8725 §3.8.
func TestC01C06ToC19ClientAuthentication(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	post := func(id, secret string) string { return grantType + "&client_id=" + id + "&client_secret=" + secret }
	const jwtBearer = "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
	tests := map[string]struct {
		call
		status int
		code   string
	}{
		"C01 form-encoded halves": {call{authorization: basic("odd", awkward)}, 200, ""},
		"C01 raw halves":          {call{basic: "odd:" + awkward}, 200, ""},
		"C01 in the body":         {call{basic: "-", body: post("one", secret)}, 200, ""},
		"C01 an encoded id":       {call{basic: "o%6Ee:" + secret}, 200, ""},
		"C03 scheme's letter case": {
			call{authorization: strings.Replace(basic("one", secret), "B", "b", 1)}, 200, "",
		},
		"C03 malformed base64":       {call{authorization: "Basic !!!"}, 401, badClient},
		"C03 base64 with a line end": {call{authorization: basic("one", secret) + "\r\n"}, 401, badClient},
		"C03 without padding":        {call{authorization: "Basic b25lOg"}, 401, badClient},
		"C03 without a colon":        {call{basic: "one"}, 401, badClient},
		"C03 two spaces": {
			call{authorization: strings.Replace(basic("one", secret), " ", "  ", 1)}, 401, badClient,
		},
		"C03 another scheme": {call{authorization: "Bearer abc"}, 401, badClient},
		"C04 Basic and body": {call{body: grantType + "&client_secret=" + secret}, 400, badRequest},
		"C04 Basic and assertion": {
			call{body: grantType + "&client_assertion=x" + jwtBearer}, 400, badRequest,
		},
		"C04 body and assertion": {
			call{basic: "-", body: post("one", secret) + "&client_assertion=x" + jwtBearer}, 400, badRequest,
		},
		"C04 two Authorization headers": {
			call{header: http.Header{"Authorization": {basic("one", secret), basic("one", secret)}}}, 400, badRequest,
		},
		"C05 the same client_id":      {call{body: grantType + "&client_id=one"}, 200, ""},
		"C05 another client_id":       {call{body: grantType + "&client_id=both"}, 400, badRequest},
		"C10 the second secret":       {call{authorization: basic("one", other)}, 200, ""},
		"C11 basic only, by Basic":    {call{authorization: basic("basic", secret)}, 200, ""},
		"C11 basic only, in the body": {call{basic: "-", body: post("basic", secret)}, 401, badClient},
		"C11 federated only":          {call{authorization: basic("federated", secret)}, 401, badClient},
		"C13 assertion": {
			call{basic: "-", body: grantType + "&client_assertion=x" + jwtBearer}, 401, badClient,
		},
		"C13 assertion without its type": {
			call{basic: "-", body: grantType + "&client_assertion=x"}, 400, badRequest,
		},
		"C13 type without assertion": {call{basic: "-", body: grantType + jwtBearer}, 400, badRequest},
		"C19 no credential":          {call{basic: "-"}, 401, badClient},
		"C19 client_id alone":        {call{basic: "-", body: grantType + "&client_id=one"}, 401, badClient},
		"C19 secret alone": {
			call{basic: "-", body: grantType + "&client_secret=" + secret}, 401, badClient,
		},
		"an id that is no name":           {call{basic: "a}b:" + secret}, 401, badClient},
		"an id that climbs":               {call{basic: "..%2Fother%2Fone:" + secret}, 401, badClient},
		"J16 another instance's client":   {call{path: "/other/oauth2/token"}, 401, badClient},
		"the id as the secret's place":    {call{authorization: basic("both", secret+"x")}, 401, badClient},
		"an empty secret":                 {call{basic: "one:"}, 401, badClient},
		"an empty id":                     {call{basic: ":" + secret}, 401, badClient},
		"a secret that decodes to itself": {call{basic: "one:" + secret}, 200, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.body == "" {
				test.body = grantType + "&audience=" + gateway
			}
			w := f.do(test.call)
			if status, code := says(t, w); status != test.status || status != 200 && code != test.code {
				t.Fatalf("%d %s", status, w.Body)
			}
			A01Headers(t, w)
			realm := strings.Split(test.path+"/acme", "/")[1]
			challenge := w.Header().Get("WWW-Authenticate")
			if w.Code == 401 && challenge != `Basic realm="`+realm+`"` {
				t.Errorf("C06: WWW-Authenticate %q", challenge)
			}
		})
	}
}

// C07, RFC 6749 §5.2, §10.10: unknown and wrong are one answer.
func TestC07OneRefusal(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var bodies, headers = map[string][]string{}, map[string][]string{}
	for name, authorization := range map[string]string{
		"unknown client":  basic("nobody", secret),
		"no name at all":  basic("no body", secret),
		"wrong secret":    basic("one", secret+"x"),
		"disabled client": basic("disabled", secret),
		"expired secret":  basic("old", secret),
		"disabled secret": basic("old", other),
		"another's place": basic("none", awkward),
		"malformed":       "Basic !",
	} {
		w := f.do(call{authorization: authorization})
		var header bytes.Buffer
		_ = w.Header().Write(&header)
		bodies[w.Body.String()] = append(bodies[w.Body.String()], name)
		headers[header.String()] = append(headers[header.String()], name)
	}
	want := `{"error":"invalid_client","error_description":"Client authentication failed.","request_id":"r-1"}`
	if len(bodies) != 1 || len(headers) != 1 || bodies[want] == nil {
		t.Fatalf("bodies %v, headers %v", bodies, headers)
	}
}

// T08, RFC 6749 §5.2.
func TestT08M2MDisabled(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if w := f.do(call{}); w.Code != 200 {
		t.Fatal(w.Body)
	}
	off := acme()
	off.M2M = registry.Disabled
	f.set(t, map[string]any{"instance:acme": off}, nil)
	if status, code := says(t, f.do(call{})); status != 400 || code != "unauthorized_client" {
		t.Errorf("on the next request: %d %s", status, code)
	}
	if status, code := says(t, f.do(call{authorization: basic("one", "wrong")})); status != 401 {
		t.Errorf("it is told to clients only: %d %s", status, code)
	}
}

func TestS09ChangesHoldOnTheNextRequest(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if status, scope := says(t, f.do(call{})); status != 200 || scope != "model.invoke model.list shared" {
		t.Fatalf("%d %s", status, scope)
	}
	one := clients(f.pepper)[0]
	one.Permissions[0].Scopes = []string{"model.list"}
	f.client(t, "acme", one)
	if status, scope := says(t, f.do(call{})); status != 200 || scope != "model.list" {
		t.Errorf("a permission taken back: %d %s", status, scope)
	}
}

// away is a registry that fails at one call.
type away struct {
	token.Registry
	snapshot, client bool
}

var errAway = errors.New("dial tcp: canary of an inner address")

func (a away) Snapshot(ctx context.Context) (*registry.Snapshot, error) {
	if a.snapshot {
		return nil, errAway
	}
	return a.Registry.Snapshot(ctx)
}

func (a away) Client(ctx context.Context, i, id string) (*registry.Client, *registry.Snapshot, error) {
	if a.client {
		return nil, nil, errAway
	}
	return a.Registry.Client(ctx, i, id)
}

type signer func(payload []byte) (string, error)

func (s signer) Sign(_ context.Context, _, _ string, payload []byte) (string, error) {
	return s(payload)
}

// A05, RFC 6749 §5.2: a failure of ours tells nothing of its cause.
func TestA05Failures(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	good := f.Options
	tests := map[string]struct {
		spoil  func(*token.Options)
		path   string
		status int
		log    string
	}{
		"no snapshot": {func(o *token.Options) { o.Reader = away{good.Reader, true, false} }, "", 503, "canary"},
		"no client":   {func(o *token.Options) { o.Reader = away{good.Reader, false, true} }, "", 503, "canary"},
		"no signature": {func(o *token.Options) {
			o.Signer = signer(func([]byte) (string, error) { return "", errAway })
		}, "", 503, "canary"},
		"no signing key": {func(*token.Options) {}, "/bare/oauth2/token", 503, "run keyless apply"},
		"J15 a token over 8 KiB": {func(o *token.Options) {
			o.Signer = signer(func([]byte) (string, error) { return strings.Repeat("x", 8<<10+1), nil })
		}, "", 500, "8 KiB"},
		"J15 a token of 8 KiB": {func(o *token.Options) {
			o.Signer = signer(func([]byte) (string, error) { return strings.Repeat("x", 8<<10), nil })
		}, "", 200, ""},
	}
	bare := clients(f.pepper)[0]
	bare.Secrets[0].Hash = sealHash(f.pepper, "client/bare/one/secret/s1", secret)
	f.client(t, "bare", bare)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, options, log := *f, good, &bytes.Buffer{}
			options.Log = slog.New(slog.NewTextHandler(log, nil))
			test.spoil(&options)
			g.Handler = token.New(options)
			w := g.do(call{path: test.path})
			if w.Code != test.status || !strings.Contains(log.String(), test.log) {
				t.Fatalf("%d %s\n%s", w.Code, w.Body, log)
			}
			A01Headers(t, w)
			if (w.Header().Get("Retry-After") == "1") != (w.Code == 503) {
				t.Errorf("Retry-After %q", w.Header().Get("Retry-After"))
			}
			if strings.Contains(w.Body.String(), "canary") {
				t.Errorf("the caller sees %s", w.Body)
			}
			for _, hidden := range []string{secret, base64.StdEncoding.EncodeToString([]byte("one:" + secret))} {
				if strings.Contains(log.String(), hidden) {
					t.Error("a secret is logged")
				}
			}
		})
	}
}

func TestStoreAway(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if w := f.do(call{}); w.Code != 200 {
		t.Fatal(w.Body)
	}
	f.server.Close()
	w := f.do(call{})
	if status, code := says(t, w); status != 503 || code != "temporarily_unavailable" {
		t.Fatalf("%d %s", status, code)
	}
	for _, body := range []string{"grant_type=password", "x=1"} { // what needs no store is answered without it
		if w := f.do(call{body: body}); w.Code != 400 {
			t.Errorf("%s: %d", body, w.Code)
		}
	}
	if log := f.log.String(); !strings.Contains(log, "level=ERROR") || strings.Contains(log, secret) {
		t.Errorf("log %s", log)
	}
}

func TestNoPepper(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if err := f.store.Write(t.Context(), registry.Change{Unset: []string{"pepper"}}); err != nil {
		t.Fatal(err)
	}
	w := f.do(call{})
	if w.Code != 503 || !strings.Contains(f.log.String(), "KEYLESS_MASTER_KEY") {
		t.Fatalf("%d\n%s", w.Code, f.log)
	}
}
