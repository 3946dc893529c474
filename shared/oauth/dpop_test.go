package oauth_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"keyless/shared/oauth"
)

// The proofs of RFC 9449: figure 2 (§4.1), and figure 12 (§7.1) with the access token beside it. Their key's thumbprint stands in §6.1.
const (
	rfc9449Proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZ" +
		"OXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAt" +
		"MjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2Vu" +
		"IiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
	rfc9449Thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
)

func TestRFC9449ProofOfFigure2(t *testing.T) {
	t.Parallel()
	p, err := oauth.ParseProof(rfc9449Proof)
	if err != nil {
		t.Fatal(err)
	}
	if p.Method != "POST" || p.URL != "https://server.example.com/token" || p.Token.Claims.ID != "-BwC3ESc6acc2lTc" ||
		p.Token.Claims.IssuedAt.Unix() != 1562262616 || p.Key.Thumbprint != rfc9449Thumbprint || p.AccessToken+p.Nonce != "" {
		t.Errorf("%+v", p)
	}
	if _, err := oauth.Parse(rfc9449Proof); err == nil {
		t.Error("a proof passes the door of tokens")
	}
}

type object = map[string]any

func proofOf(header, claims object) string {
	encode := func(v object) string {
		text, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	return encode(header) + "." + encode(claims) + ".AAAA"
}

func changed(base, change object) object {
	all := maps.Clone(base)
	maps.Copy(all, change)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return all
}

var (
	proofJWK = object{"kty": "EC", "crv": "P-256", "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
		"y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}
	proofHeader = object{"typ": "dpop+jwt", "alg": "ES256", "jwk": proofJWK}
	proofClaims = object{"jti": "j", "htm": "GET", "htu": "https://h/p", "iat": 1562262616}
)

// X07, RFC 9449 §4.2, §4.3 items 2 to 6.
func TestX07RFC9449DoorOfProofs(t *testing.T) {
	t.Parallel()
	rsa := object{"kty": "RSA", "e": "AQAB", "n": base64.RawURLEncoding.EncodeToString(append([]byte{0x80}, make([]byte, 127)...))}
	for name, c := range map[string]struct {
		header, claims object // changes of a good one
		good           bool
	}{
		"a good one":                    {nil, nil, true},
		"with ath and nonce":            {nil, object{"ath": "a", "nonce": "n"}, true},
		"with a claim of its own":       {nil, object{"x": object{}}, true},
		"a key that says what it is":    {object{"jwk": changed(proofJWK, object{"use": "sig", "alg": "ES256", "kid": "k"})}, nil, true},
		"a key as WebCrypto exports it": {object{"jwk": changed(proofJWK, object{"key_ops": []string{"verify"}, "ext": true})}, nil, true},
		"a kid":                         {object{"kid": "k"}, nil, true},
		"no typ":                        {object{"typ": nil}, nil, false},
		"typ JWT":                       {object{"typ": "JWT"}, nil, false},
		"typ at+jwt":                    {object{"typ": "at+jwt"}, nil, false},
		"no alg":                        {object{"alg": nil}, nil, false},
		"alg none":                      {object{"alg": "none"}, nil, false},
		"alg None":                      {object{"alg": "None"}, nil, false},
		"a symmetric alg":               {object{"alg": "HS256"}, nil, false},
		"the alg of another curve":      {object{"alg": "ES384"}, nil, false},
		"the alg of another kind":       {object{"alg": "RS256"}, nil, false},
		"no key":                        {object{"jwk": nil}, nil, false},
		"a key that is a string":        {object{"jwk": "k"}, nil, false},
		"a list of keys":                {object{"jwk": []any{proofJWK}}, nil, false},
		"a set of keys":                 {object{"jwk": object{"keys": []any{proofJWK}}}, nil, false},
		"a private key":                 {object{"jwk": changed(proofJWK, object{"d": "AAAA"})}, nil, false},
		"a shared secret":               {object{"alg": "HS256", "jwk": object{"kty": "oct", "k": strings.Repeat("A", 43)}}, nil, false},
		"a secret under a public alg":   {object{"jwk": object{"kty": "oct", "k": strings.Repeat("A", 43)}}, nil, false},
		"a key for encryption":          {object{"jwk": changed(proofJWK, object{"use": "enc"})}, nil, false},
		"a key that may not verify":     {object{"jwk": changed(proofJWK, object{"key_ops": []string{"sign"}})}, nil, false},
		"a key of another alg":          {object{"jwk": changed(proofJWK, object{"alg": "ES384"})}, nil, false},
		"a point off the curve":         {object{"jwk": changed(proofJWK, object{"y": proofJWK["x"]})}, nil, false},
		"an RSA key of 1024 bits":       {object{"alg": "RS256", "jwk": rsa}, nil, false},
		"a jku":                         {object{"jku": "https://h/keys"}, nil, false},
		"crit":                          {object{"crit": []string{"jwk"}}, nil, false},
		"no jti":                        {nil, object{"jti": nil}, false},
		"an empty jti":                  {nil, object{"jti": ""}, false},
		"a jti that is a number":        {nil, object{"jti": 1}, false},
		"no htm":                        {nil, object{"htm": nil}, false},
		"htm a number":                  {nil, object{"htm": 1}, false},
		"no htu":                        {nil, object{"htu": nil}, false},
		"htu a list":                    {nil, object{"htu": []string{"https://h/p"}}, false},
		"no iat":                        {nil, object{"iat": nil}, false},
		"iat a string":                  {nil, object{"iat": "1562262616"}, false},
		"a negative iat":                {nil, object{"iat": -1}, false},
		"ath a number":                  {nil, object{"ath": 1}, false},
		"an empty ath":                  {nil, object{"ath": ""}, false},
		"an empty nonce":                {nil, object{"nonce": ""}, false},
	} {
		_, err := oauth.ParseProof(proofOf(changed(proofHeader, c.header), changed(proofClaims, c.claims)))
		if (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
	good := proofOf(proofHeader, proofClaims)
	for name, text := range map[string]string{
		"empty": "", "two parts": "a.b", "two proofs in one header": good + ", " + good, "padding": good + "==",
		"more than 8 KiB": proofOf(proofHeader, changed(proofClaims, object{"x": strings.Repeat("x", 7<<10)})),
		"four parts":      good + ".",
		"a claim twice": base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"dpop+jwt","alg":"ES256","jwk":{"kty":"EC","kty":"EC"}}`)) +
			good[strings.IndexByte(good, '.'):],
	} {
		if _, err := oauth.ParseProof(text); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

// X07, RFC 9449 §4.3 item 9, RFC 3986 §6.2.2 and §6.2.3.
func TestX07RFC9449URLsAreComparedNormalized(t *testing.T) {
	t.Parallel()
	const here = "https://gateway.example/v1/a%2Fb/c"
	for htu, want := range map[string]bool{
		here:                                           true,
		here + "?x=1":                                  true,
		here + "#f":                                    true,
		here + "?x=1#f":                                true,
		"HTTPS://GateWay.Example/v1/a%2Fb/c":           true,
		"https://gateway.example:443/v1/a%2fb/c":       true,
		"https://gateway.example:/v1/a%2fb/c":          true,
		"https://gateway.example/%76%31/a%2Fb/c":       true,
		"https://gateway.example/v1/./x/../a%2Fb/c":    true,
		"https://gateway.example/v1/%2e%2e/v1/a%2Fb/c": true,
		here + "/":                                     false,
		"https://gateway.example/v1/a/b/c":             false,
		"https://gateway.example/v1/a%252Fb/c":         false,
		"https://gateway.example/V1/a%2Fb/c":           false,
		"https://gateway.example//v1/a%2Fb/c":          false,
		"https://gateway.example/v1/a%2Fb":             false,
		"https://gateway.example":                      false,
		"http://gateway.example/v1/a%2Fb/c":            false,
		"https://gateway.example:8443/v1/a%2Fb/c":      false,
		"https://gateway.example:80/v1/a%2Fb/c":        false,
		"https://gateway.example./v1/a%2Fb/c":          false,
		"https://u@gateway.example/v1/a%2Fb/c":         false,
		"https://gateway.example@evil/v1/a%2Fb/c":      false,
		"https://evil/https://gateway.example/v1/":     false,
		"//gateway.example/v1/a%2Fb/c":                 false,
		"/v1/a%2Fb/c":                                  false,
		"gateway.example/v1/a%2Fb/c":                   false,
		"https:gateway.example/v1/a%2Fb/c":             false,
		"ftp://gateway.example/v1/a%2Fb/c":             false,
		" " + here:                                     false,
		here + "%":                                     false,
		here + "\n":                                    false,
		`https://gateway.example\@evil/v1/a%2Fb/c`:     false,
	} {
		p := oauth.Proof{URL: htu}
		if got := p.IsFor("https://other.example/", here); got != want {
			t.Errorf("%q: %v", htu, got)
		}
	}
	root := oauth.Proof{URL: "https://h"}
	if !root.IsFor("https://h/") || root.IsFor() || root.IsFor("https://h/x") {
		t.Error("an empty path is the root's, and no other")
	}
}

// What passes the door holds what a judge reads, and its URL has one normal form.
func FuzzParseProof(f *testing.F) {
	f.Add(rfc9449Proof, "https://server.example.com/token")
	f.Add(proofOf(proofHeader, proofClaims), "https://h/%70/../%")
	f.Add("a.b.c", "http://[::1]:80")
	f.Fuzz(func(t *testing.T, text, url string) {
		(&oauth.Proof{URL: url}).IsFor(url, text)
		p, err := oauth.ParseProof(text)
		if err != nil {
			return
		}
		if p.Key.Symmetric() || p.Key.Thumbprint == "" || !p.Key.Allows(p.Token.Header.Algorithm) || p.Token.Claims.ID == "" ||
			p.Method == "" || p.URL == "" || p.Token.Claims.IssuedAt.IsZero() || p.Token.Compact != text || len(text) > 8<<10 {
			t.Errorf("%+v", p)
		}
		if _, err := oauth.Parse(text); err == nil {
			t.Error("both doors are open")
		}
	})
}
