package token_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"keyless/shared/registry"
	"keyless/shared/token"
)

// signers are clients with a key of their own.
func signers(t testing.TB) []registry.Client {
	t.Helper()
	keyJWT := []string{"private_key_jwt"}
	return []registry.Client{
		{ID: "ec", Authentication: keyJWT, PublicKeys: []string{publicPEM(t, "P-256")}},
		{ID: "rsa", Authentication: keyJWT, PublicKeys: []string{publicPEM(t, "RSA")}},
		{ID: "ec384", Authentication: keyJWT, PublicKeys: []string{publicPEM(t, "P-384")}},
		{ID: "ec521", Authentication: keyJWT, PublicKeys: []string{publicPEM(t, "P-521")}},
		{ID: "ed", Authentication: keyJWT, PublicKeys: []string{publicPEM(t, "Ed25519")}},
		{ID: "inline", Authentication: keyJWT, JWKS: json.RawMessage(jwksOf(t, "P-256", "k1"))},
		{ID: "url", Authentication: keyJWT, JWKSURL: "https://keys.example/jwks"},
		{ID: "gone", Authentication: keyJWT, JWKSURL: "https://gone.example/jwks"},
		{ID: "strict", Authentication: keyJWT, PublicKeys: []string{publicPEM(t, "P-256")}, AssertionAudience: "issuer"},
		{ID: "off", Authentication: keyJWT, PublicKeys: []string{publicPEM(t, "P-256")}, Status: registry.Disabled},
		{ID: "other", Authentication: []string{"client_secret_basic"}, PublicKeys: []string{publicPEM(t, "P-256")}},
	}
}

func newSigners(t testing.TB) *fixture {
	t.Helper()
	return newProven(t, object{"https://keys.example/jwks": jwksOf(t, "P-256", "k1")}, signers(t)...)
}

// C12, RFC 7523 §3. J16, RFC 8725 §3.8.
func TestC12PrivateKeyJWT(t *testing.T) {
	t.Parallel()
	f := newSigners(t)
	es := func(header, claims any) string { return signedBy("P-256", "ES256", header, claims) }
	plain := object{"alg": "ES256", "typ": "JWT"}
	tests := map[string]struct {
		assertion string
		status    int
	}{
		"ES256":                       {es(plain, own("ec", nil)), 200},
		"RS256":                       {signedBy("RSA", "RS256", object{"alg": "RS256"}, own("rsa", nil)), 200},
		"RS384":                       {signedBy("RSA", "RS384", object{"alg": "RS384"}, own("rsa", nil)), 200},
		"RS512":                       {signedBy("RSA", "RS512", object{"alg": "RS512"}, own("rsa", nil)), 200},
		"PS256":                       {signedBy("RSA", "PS256", object{"alg": "PS256"}, own("rsa", nil)), 200},
		"ES384":                       {signedBy("P-384", "ES384", object{"alg": "ES384"}, own("ec384", nil)), 200},
		"ES512":                       {signedBy("P-521", "ES512", object{"alg": "ES512"}, own("ec521", nil)), 200},
		"EdDSA":                       {signedBy("Ed25519", "EdDSA", object{"alg": "EdDSA"}, own("ed", nil)), 200},
		"keys inline":                 {es(object{"alg": "ES256", "kid": "k1"}, own("inline", nil)), 200},
		"keys at a URL":               {es(object{"alg": "ES256", "kid": "k1"}, own("url", nil)), 200},
		"of another kid":              {es(object{"alg": "ES256", "kid": "k2"}, own("inline", nil)), 401},
		"C14 keys that cannot be had": {es(plain, own("gone", nil)), 503},

		"without typ":                      {es(object{"alg": "ES256"}, own("ec", nil)), 200},
		"typ of rfc7523bis":                {es(object{"alg": "ES256", "typ": "client-authentication+jwt"}, own("ec", nil)), 200},
		"typ, application/":                {es(object{"alg": "ES256", "typ": "application/JWT"}, own("ec", nil)), 200},
		"typ of access tokens":             {es(object{"alg": "ES256", "typ": "at+jwt"}, own("ec", nil)), 401},
		"typ of DPoP":                      {es(object{"alg": "ES256", "typ": "dpop+jwt"}, own("ec", nil)), 401},
		"aud, token endpoint":              {es(plain, own("ec", object{"aud": tokenURL})), 200},
		"aud, issuer, strictly":            {es(plain, own("strict", nil)), 200},
		"aud, endpoint, strictly":          {es(plain, own("strict", object{"aud": tokenURL})), 401},
		"aud, a list of one":               {es(plain, own("ec", object{"aud": []string{issuerURL}})), 401},
		"aud, a list of two":               {es(plain, own("ec", object{"aud": []string{issuerURL, "https://x"}})), 401},
		"aud, another":                     {es(plain, own("ec", object{"aud": "https://x"})), 401},
		"aud, with a slash":                {es(plain, own("ec", object{"aud": issuerURL + "/"})), 401},
		"aud, upper case":                  {es(plain, own("ec", object{"aud": strings.ToUpper(issuerURL)})), 401},
		"aud, another instance":            {es(plain, own("ec", object{"aud": public + "/other/oauth2"})), 401},
		"aud, the host":                    {es(plain, own("ec", object{"aud": public})), 401},
		"aud, none":                        {es(plain, own("ec", object{"aud": nil})), 401},
		"aud, empty":                       {es(plain, own("ec", object{"aud": ""})), 401},
		"exp, ten minutes":                 {es(plain, own("ec", object{"exp": now.Unix() + 600})), 200},
		"exp, eleven minutes":              {es(plain, own("ec", object{"exp": now.Unix() + 660})), 401},
		"exp, within the skew":             {es(plain, own("ec", object{"exp": now.Unix() - 29})), 200},
		"exp, passed":                      {es(plain, own("ec", object{"exp": now.Unix() - 30})), 401},
		"exp, none":                        {es(plain, own("ec", object{"exp": nil})), 401},
		"exp, a string":                    {es(plain, own("ec", object{"exp": "1795348860"})), 401},
		"iat, of the future":               {es(plain, own("ec", object{"iat": now.Unix() + 31})), 401},
		"iat, within the skew":             {es(plain, own("ec", object{"iat": now.Unix() + 30})), 200},
		"iat, none":                        {es(plain, own("ec", object{"iat": nil})), 200},
		"nbf, of the future":               {es(plain, own("ec", object{"nbf": now.Unix() + 31})), 401},
		"nbf, now":                         {es(plain, own("ec", object{"nbf": now.Unix()})), 200},
		"jti, none":                        {es(plain, own("ec", object{"jti": nil})), 401},
		"jti, empty":                       {es(plain, own("ec", object{"jti": ""})), 401},
		"jti, a number":                    {es(plain, own("ec", object{"jti": 1})), 401},
		"iss, another client":              {es(plain, own("ec", object{"iss": "rsa"})), 400}, // an identity token, of nobody
		"another's signature":              {signedBy("another", "ES256", plain, own("ec", nil)), 401},
		"another client's key":             {es(plain, own("rsa", nil)), 401},
		"unknown client":                   {es(plain, own("nobody", nil)), 401},
		"disabled client":                  {es(plain, own("off", nil)), 401},
		"C11 another method":               {es(plain, own("other", nil)), 401},
		"J16 a client of another instance": {es(plain, own("both", nil)), 401},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := f.send(asserted(jwtBearer, test.assertion))
			if w.Code != test.status {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			A01Headers(t, w)
			if w.Code == 401 && !strings.Contains(w.Body.String(), `"Client authentication failed."`) {
				t.Errorf("C07: %s", w.Body)
			}
		})
	}
}

// TestC12Forgeries: the strict door stands before every assertion, and the key binds the algorithm.
func TestC12Forgeries(t *testing.T) {
	t.Parallel()
	f := newSigners(t)
	pemText := publicPEM(t, "RSA")
	block, _ := base64.StdEncoding.DecodeString(strings.Join(strings.Split(strings.TrimSpace(pemText), "\n")[1:len(strings.Split(strings.TrimSpace(pemText), "\n"))-1], ""))
	good := func() string { return signedBy("P-256", "ES256", object{"alg": "ES256"}, own("ec", nil)) }
	parts := func() []string { return strings.Split(good(), ".") }
	header := func(h any) string { return signedBy("P-256", "ES256", h, own("ec", nil)) }
	claims := func(c string) string {
		return signedBy("P-256", "ES256", object{"alg": "ES256"}, strings.NewReplacer(
			"AUD", issuerURL, "EXP", "1795349100").Replace(c))
	}
	forged := map[string]string{
		"alg none":                       written(object{"alg": "none"}, own("ec", nil)) + ".",
		"alg none with a signature":      written(object{"alg": "none"}, own("ec", nil)) + "." + parts()[2],
		"alg None":                       header(object{"alg": "None"}),
		"no alg":                         header(object{"typ": "JWT"}),
		"alg of another case":            header(object{"alg": "es256"}),
		"alg ES384 with P-256":           header(object{"alg": "ES384"}),
		"alg RS256 with P-256":           header(object{"alg": "RS256"}),
		"alg ES256K":                     header(object{"alg": "ES256K"}),
		"HS256 with the PEM":             keyed([]byte(pemText), object{"alg": "HS256"}, own("rsa", nil)),
		"HS256 with the trimmed PEM":     keyed([]byte(strings.TrimSpace(pemText)), object{"alg": "HS256"}, own("rsa", nil)),
		"HS256 with the DER":             keyed(block, object{"alg": "HS256"}, own("rsa", nil)),
		"HS256 with the JWK":             keyed([]byte(jwksOf(t, "RSA", "")), object{"alg": "HS256"}, own("rsa", nil)),
		"HS256 with an empty secret":     keyed(nil, object{"alg": "HS256"}, own("rsa", nil)),
		"HS256 with nobody's secret":     keyed([]byte("no client has this secret, for it has spaces in front:  "), object{"alg": "HS256"}, own("one", nil)),
		"HS256 of a client with secrets": keyed([]byte(secret), object{"alg": "HS256"}, own("one", nil)),
		"jwk in the header":              header(object{"alg": "ES256", "jwk": object{}}),
		"jku in the header":              header(object{"alg": "ES256", "jku": "https://keys.example/jwks"}),
		"x5c in the header":              header(object{"alg": "ES256", "x5c": []string{}}),
		"x5u in the header":              header(object{"alg": "ES256", "x5u": "https://keys.example"}),
		"crit in the header":             header(object{"alg": "ES256", "crit": []string{"b64"}, "b64": false}),
		"alg twice":                      header(`{"alg":"ES256","alg":"ES256"}`),
		"aud twice":                      claims(`{"iss":"ec","sub":"ec","aud":"x","aud":"AUD","jti":"1","exp":EXP}`),
		"sub twice":                      claims(`{"iss":"ec","sub":"rsa","sub":"ec","aud":"AUD","jti":"1","exp":EXP}`),
		"sub of another case":            claims(`{"iss":"ec","Sub":"ec","aud":"AUD","jti":"1","exp":EXP}`),
		"a second JSON value":            claims(`{"iss":"ec","sub":"ec","aud":"AUD","jti":"1","exp":EXP}{}`),
		"no signature":                   strings.Join(parts()[:2], ".") + ".",
		"two parts":                      strings.Join(parts()[:2], "."),
		"four parts":                     good() + ".AAAA",
		"padded":                         good() + "=",
		"in DER":                         strings.Join(parts()[:2], ".") + "." + raw([]byte{0x30, 6, 2, 1, 1, 2, 1, 1}),
		"a signature of zeros":           strings.Join(parts()[:2], ".") + "." + raw(make([]byte, 64)),
		"a signature that is cut":        good()[:len(good())-4],
		"claims of another":              parts()[0] + "." + strings.Split(good(), ".")[1] + "." + parts()[2],
		"JSON serialization":             `{"payload":"` + parts()[1] + `","protected":"` + parts()[0] + `","signature":"` + parts()[2] + `"}`,
		"encrypted":                      "a.b.c.d.e",
		"longer than 8 KiB":              signedBy("P-256", "ES256", object{"alg": "ES256"}, own("ec", object{"x": strings.Repeat("x", 8<<10)})),
		"nothing":                        ".",
		"a space in front":               " " + good(),
		"a line end behind":              good() + "\n",
	}
	if len(forged) < 30 {
		t.Fatalf("%d forgeries", len(forged))
	}
	for name, assertion := range forged {
		for _, kind := range []string{jwtBearer, idToken} {
			if w := f.send(asserted(kind, assertion, "client_id", clientOf(name))); w.Code != 401 {
				t.Errorf("%s as %s: %d %s", name, kind, w.Code, w.Body)
			}
		}
	}
	if w := f.send(asserted(jwtBearer, good())); w.Code != 200 {
		t.Fatalf("the good one: %s", w.Body)
	}
	if w := f.send(asserted(jwtBearer, claims(`{"iss":"ec","sub":"ec","aud":"AUD","jti":"1","exp":EXP}`))); w.Code != 200 {
		t.Fatalf("the good claims: %s", w.Body)
	}
}

// clientOf is whose a forgery is.
func clientOf(name string) string {
	switch {
	case strings.HasSuffix(name, "secrets"), strings.HasSuffix(name, "nobody's secret"):
		return "one"
	case strings.HasPrefix(name, "HS256"):
		return "rsa"
	}
	return "ec"
}

// C13, RFC 7523 §2.2.
func TestC13AssertionParameters(t *testing.T) {
	t.Parallel()
	f := newSigners(t)
	fresh := func() string { return signedBy("P-256", "ES256", object{"alg": "ES256"}, own("ec", nil)) }
	tests := map[string]struct {
		call
		status int
		code   string
	}{
		"client_id left out":      {call{body: asserted(jwtBearer, fresh())}, 200, ""},
		"the same client_id":      {call{body: asserted(jwtBearer, fresh(), "client_id", "ec")}, 200, ""},
		"C05 another client_id":   {call{body: asserted(jwtBearer, fresh(), "client_id", "rsa")}, 400, badRequest},
		"another type":            {call{body: asserted("urn:x", fresh())}, 400, badRequest},
		"the type in upper case":  {call{body: asserted(strings.ToUpper(jwtBearer), fresh())}, 400, badRequest},
		"the type with a space":   {call{body: asserted(jwtBearer+" ", fresh())}, 400, badRequest},
		"saml2-bearer":            {call{body: asserted(strings.Replace(jwtBearer, "jwt", "saml2", 1), fresh())}, 400, badRequest},
		"C04 and a secret":        {call{body: asserted(jwtBearer, fresh(), "client_secret", "x")}, 400, badRequest},
		"C04 and Basic":           {call{body: asserted(jwtBearer, fresh()), basic: "ec:x"}, 400, badRequest},
		"T03 twice":               {call{body: asserted(jwtBearer, fresh()) + "&client_assertion=x"}, 400, badRequest},
		"T09 a body of 64 KiB":    {call{body: padded(asserted(jwtBearer, fresh()), 64<<10)}, 200, ""},
		"T09 a byte more":         {call{body: padded(asserted(jwtBearer, fresh()), 64<<10+1)}, 413, badRequest},
		"T06 in the query":        {call{body: grantType, query: "?client_assertion=" + fresh()}, 400, badRequest},
		"an identity of nobody":   {call{body: asserted(idToken, fresh())}, 400, badRequest},
		"an identity of a signer": {call{body: asserted(idToken, fresh(), "client_id", "ec")}, 401, badClient},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.basic == "" {
				test.basic = "-"
			}
			w := f.do(test.call)
			if status, code := says(t, w); status != test.status || status != 200 && code != test.code {
				t.Fatalf("%d %s", status, w.Body)
			}
			A01Headers(t, w)
		})
	}
}

func padded(body string, size int) string {
	return body + "&x=" + strings.Repeat("x", size-len(body)-3)
}

func TestC12ClientSecretJWT(t *testing.T) {
	t.Parallel()
	f := newProven(t, nil)
	const long, longer = "a secret of thirty-two characters", "another secret of thirty-two characters"
	const short = "twenty-characters-xx"
	expired := now.Add(-time.Second)
	made := func(id string, values ...string) registry.Client {
		c := registry.Client{ID: id, Authentication: []string{"client_secret_jwt"}}
		for i, value := range values {
			c.Secrets = append(c.Secrets, sealedSecret(t, f.master, f.pepper, id, string(rune('a'+i)), value))
		}
		c.Permissions = []registry.Permission{{ResourceServer: gateway, Scopes: []string{"model.invoke"}}}
		return c
	}
	two, old, off, brief, hash := made("two", long, longer), made("old", long), made("off", long), made("brief", short), made("hash", long)
	old.Secrets[0].ExpiresAt, off.Secrets[0].Status, hash.Secrets[0].Value = &expired, registry.Disabled, ""
	basic := made("plain", long)
	basic.Authentication = nil
	for _, c := range []registry.Client{two, old, off, brief, hash, basic} {
		f.client(t, "acme", c)
	}
	tests := map[string]struct {
		secret, id string
		header     object
		status     int
	}{
		"the first secret":      {long, "two", object{"alg": "HS256"}, 200},
		"C10 the second":        {longer, "two", object{"alg": "HS256"}, 200},
		"another":               {long + "x", "two", object{"alg": "HS256"}, 401},
		"alg HS512":             {long, "two", object{"alg": "HS512"}, 401},
		"expired":               {long, "old", object{"alg": "HS256"}, 401},
		"disabled":              {long, "off", object{"alg": "HS256"}, 401},
		"shorter than 256 bits": {short, "brief", object{"alg": "HS256"}, 401},
		"kept as a hash":        {long, "hash", object{"alg": "HS256"}, 401},
		"C11 by Basic only":     {long, "plain", object{"alg": "HS256"}, 401},
		"unknown client":        {long, "nobody", object{"alg": "HS256"}, 401},
		"keyed by the hash":     {string(two.Secrets[0].Hash), "two", object{"alg": "HS256"}, 401},
		"keyed by the sealed":   {two.Secrets[0].Value.Reveal(), "two", object{"alg": "HS256"}, 401},
		"an empty one, sealed":  {"", "hash", object{"alg": "HS256"}, 401},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := f.send(asserted(jwtBearer, keyed([]byte(test.secret), test.header, own(test.id, nil))))
			if w.Code != test.status {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
		})
	}
	again := asserted(jwtBearer, keyed([]byte(long), object{"alg": "HS256"}, own("two", nil)))
	if first, second := f.send(again).Code, f.send(again).Code; first != 200 || second != 401 {
		t.Errorf("C9 replay: %d, %d", first, second)
	}
	if w := f.send(grantType + "&client_id=two&client_secret=" + long); w.Code != 401 {
		t.Errorf("C11 the secret itself: %d", w.Code)
	}
}

// TestTokenURLIsTheAudience: where the token endpoint has a base of its own, that is the audience, beside the issuer.
func TestTokenURLIsTheAudience(t *testing.T) {
	t.Parallel()
	f := newSigners(t)
	o := f.Options
	o.TokenURL = "https://token.example/base/"
	f.Handler = token.New(o)
	for audience, want := range map[string]int{
		"https://token.example/base/acme/oauth2/token": 200, issuerURL: 200, tokenURL: 401,
		"https://token.example/base/acme/oauth2": 401,
	} {
		w := f.send(asserted(jwtBearer, signedBy("P-256", "ES256", object{"alg": "ES256"}, own("ec", object{"aud": audience}))))
		if w.Code != want {
			t.Errorf("%s: %d", audience, w.Code)
		}
	}
}

func FuzzAssertion(f *testing.F) {
	w := newSigners(f)
	good := signedBy("P-256", "ES256", object{"alg": "ES256"}, own("ec", nil))
	f.Add(jwtBearer, good, "", "", "")
	f.Add(idToken, good, "ec", "name", "")
	f.Add("urn:cloud:idaas:params:oauth:client-assertion-type:pkcs7-bearer", "MIAGCSqGSIb3DQEHAqCAMIACAQExADCABgkqhkiG9w0BBwEAADEAAAAAAAAA", "ec", "", "")
	f.Add("urn:cloud:idaas:params:oauth:client-assertion-type:x509-jwt-bearer", good, "ec", publicPEM(f, "RSA"), "x")
	f.Add(jwtBearer, strings.Repeat(".", 9), "..", "{", "}")
	f.Fuzz(func(t *testing.T, kind, assertion, id, leaf, chain string) {
		r := w.send(asserted(kind, assertion, "client_id", id, "client_x509", leaf, "client_x509_chain", chain))
		if r.Code == 200 && assertion != good {
			t.Fatalf("a token for %q", assertion)
		}
		if r.Code >= 500 {
			t.Fatalf("%d %s\n%s", r.Code, r.Body, w.log)
		}
	})
}
