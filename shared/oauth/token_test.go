package oauth_test

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"keyless/shared/oauth"
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// compact puts a token together; its signature is of no meaning to the door.
func compact(header, claims string) string {
	return b64(header) + "." + b64(claims) + "." + b64("signature")
}

const (
	plainHeader = `{"alg":"ES256"}`
	plainClaims = `{"exp":1300819380}`
)

// The strict door of every token. V01: RFC 7515 §2, §3.1. V02: RFC 7519 §1. V04: RFC 7515 §4, RFC 7519 §4. V05: RFC 8725 §3.1.
// V08: RFC 8725 §3.10. V09: RFC 7515 §4.1.11, RFC 7797 §6. V16: RFC 7519 §4.1.4. V17: RFC 7519 §4.1.5, §4.1.6. V18: RFC 7519 §5.2.
// V20: RFC 8725 §3.7.
func TestV01ToV20TheStrictDoor(t *testing.T) {
	t.Parallel()
	good := compact(plainHeader, plainClaims)
	first, rest, _ := strings.Cut(good, ".")
	second, third, _ := strings.Cut(rest, ".")
	header := func(h string) string { return compact(h, plainClaims) }
	claims := func(c string) string { return compact(plainHeader, c) }
	sized := func(size int) string {
		token := claims(`{"exp":1300819380,"pad":"` + strings.Repeat("x", (size-len(good))*3/4-20) + `"}`)
		return token + strings.Repeat("A", (size-len(token))/4*4) + strings.Repeat("A", (size-len(token))%4)
	}
	deep := func(n int) string {
		return claims(`{"exp":1,"a":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}`)
	}
	tests := map[string]struct {
		token string
		ok    bool
	}{
		"V01 three canonical parts":            {good, true},
		"V01 nothing":                          {"", false},
		"V01 two parts":                        {first + "." + second, false},
		"V01 four parts":                       {good + ".AAAA", false},
		"V01 five parts, as JWE":               {good + ".AAAA.AAAA", false},
		"V01 an empty header":                  {"." + rest, false},
		"V01 empty claims":                     {first + ".." + third, false},
		"V01 an empty signature":               {first + "." + second + ".", false},
		"V02 JSON serialization":               {`{"payload":"` + second + `","signatures":[]}`, false},
		"V02 flattened JSON serialization":     {`{"protected":"a.b.c"}`, false},
		"V01 padding":                          {good + "=", false},
		"V01 two signs of padding":             {good + "==", false},
		"V01 padding of the header":            {first + "=." + rest, false},
		"V01 the standard alphabet, plus":      {first + "." + second + ".+AAA", false},
		"V01 the standard alphabet, slash":     {first + "." + second + "./AAA", false},
		"V01 the URL alphabet":                 {first + "." + second + ".-_AA", true},
		"V01 a line feed at the end":           {good + "\n", false},
		"V01 a line feed inside":               {first + "." + second + ".AA\nAA", false},
		"V01 a carriage return inside":         {first + "." + second + ".AA\rAA", false},
		"V01 a space before":                   {" " + good, false},
		"V01 a space after":                    {good + " ", false},
		"V01 a zero byte":                      {good + "\x00", false},
		"V01 a letter beyond ASCII":            {good + "é", false},
		"V01 one character left over":          {first + "." + second + ".AAAAA", false},
		"V01 unused bits, two characters":      {first + "." + second + ".AB", false},
		"V01 no unused bits, two characters":   {first + "." + second + ".AA", true},
		"V01 unused bits, three characters":    {first + "." + second + ".AAB", false},
		"V01 no unused bits, three characters": {first + "." + second + ".AAE", true},
		"V03 8 KiB":                            {sized(oauth.MaxTokenBytes), true},
		"V03 8 KiB and a byte":                 {sized(oauth.MaxTokenBytes + 4), false},
		"V20 a header that is an array":        {header(`["ES256"]`), false},
		"V20 a header that is a string":        {header(`"ES256"`), false},
		"V20 a header with a second value":     {header(`{"alg":"ES256"}{}`), false},
		"V20 a header with a comma too many":   {header(`{"alg":"ES256",}`), false},
		"V20 a header that is not UTF-8":       {header("{\"alg\":\"ES256\",\"kid\":\"\xff\"}"), false},
		"V20 white space in the header":        {header(" {\r\n\t\"alg\" : \"ES256\" } "), true},
		"V05 no alg":                           {header(`{"typ":"JWT"}`), false},
		"V05 an empty alg":                     {header(`{"alg":""}`), false},
		"V05 alg in another case of letters":   {header(`{"Alg":"ES256"}`), false},
		"V05 an alg that is a number":          {header(`{"alg":5}`), false},
		"V05 an alg that is null":              {header(`{"alg":null}`), false},
		"V05 an alg that is a list":            {header(`{"alg":["ES256"]}`), false},
		"V04 alg twice":                        {header(`{"alg":"ES256","alg":"ES256"}`), false},
		"V04 alg twice, once escaped":          {header(`{"alg":"ES256","\u0061lg":"none"}`), false},
		"V04 alg escaped":                      {header(`{"\u0061lg":"ES256"}`), true},
		"kid":                                  {header(`{"alg":"ES256","kid":"k"}`), true},
		"a kid that is a number":               {header(`{"alg":"ES256","kid":1}`), false},
		"typ":                                  {header(`{"alg":"ES256","typ":"at+jwt"}`), true},
		"a typ that is a list":                 {header(`{"alg":"ES256","typ":["JWT"]}`), false},
		"V18 cty JWT":                          {header(`{"alg":"ES256","cty":"JWT"}`), true},
		"V18 cty jwt":                          {header(`{"alg":"ES256","cty":"jwt"}`), true},
		"V18 another cty":                      {header(`{"alg":"ES256","cty":"application/json"}`), false},
		"V18 a cty that is null":               {header(`{"alg":"ES256","cty":null}`), false},
		"x5t":                                  {header(`{"alg":"ES256","x5t":"abc"}`), true},
		"x5t#S256":                             {header(`{"alg":"ES256","x5t#S256":"abc"}`), true},
		"an x5t that is an object":             {header(`{"alg":"ES256","x5t":{}}`), false},
		"V09 crit":                             {header(`{"alg":"ES256","crit":["exp"]}`), false},
		"V09 an empty crit":                    {header(`{"alg":"ES256","crit":[]}`), false},
		"V09 crit of b64":                      {header(`{"alg":"ES256","crit":["b64"],"b64":true}`), false},
		"V09 b64 alone":                        {header(`{"alg":"ES256","b64":false}`), false},
		"V08 jku":                              {header(`{"alg":"ES256","jku":"https://evil.test"}`), false},
		"V08 jwk":                              {header(`{"alg":"ES256","jwk":{"kty":"oct","k":"AA"}}`), false},
		"V08 x5u":                              {header(`{"alg":"ES256","x5u":"https://evil.test"}`), false},
		"V08 x5c":                              {header(`{"alg":"ES256","x5c":["MII"]}`), false},
		"enc":                                  {header(`{"alg":"ES256","enc":"A128GCM"}`), false},
		"zip":                                  {header(`{"alg":"ES256","zip":"DEF"}`), false},
		"a member that nobody knows":           {header(`{"alg":"ES256","zzz":"1"}`), false},
		"V20 claims that are an array":         {claims(`[{"exp":1}]`), false},
		"V18 claims that are a token":          {claims(good), false},
		"V20 claims that are not UTF-8":        {claims("{\"exp\":1,\"sub\":\"\xc3\x28\"}"), false},
		"V20 claims with a second value":       {claims(`{"exp":1} {"exp":2}`), false},
		"V20 claims with a BOM":                {claims("\ufeff" + plainClaims), false},
		"V16 no exp":                           {claims(`{}`), false},
		"V16 exp in another case of letters":   {claims(`{"EXP":1300819380}`), false},
		"V04 exp twice":                        {claims(`{"exp":1,"exp":2}`), false},
		"V04 exp twice, once escaped":          {claims(`{"exp":1,"e\u0078p":2}`), false},
		"V04 a member twice far inside":        {claims(`{"exp":1,"a":[{"b":{"c":1,"c":2}}]}`), false},
		"V04 equal names in two objects":       {claims(`{"exp":1,"a":[{"b":1},{"b":1}],"b":1}`), true},
		"V16 an exp that is a string":          {claims(`{"exp":"1300819380"}`), false},
		"V16 an exp that is null":              {claims(`{"exp":null}`), false},
		"V16 an exp that is true":              {claims(`{"exp":true}`), false},
		"V16 an exp that is a list":            {claims(`{"exp":[1]}`), false},
		"V16 an exp of zero":                   {claims(`{"exp":0}`), true},
		"V16 an exp with a fraction":           {claims(`{"exp":1300819380.5}`), true},
		"V16 an exp with an exponent":          {claims(`{"exp":1.3e9}`), true},
		"V16 a negative exp":                   {claims(`{"exp":-1}`), false},
		"V16 a negative exp of zero":           {claims(`{"exp":-0}`), false},
		"V16 the largest exp":                  {claims(`{"exp":9007199254740992}`), true},
		"V16 an exp beyond 2^53":               {claims(`{"exp":9007199254740994}`), false},
		"V16 a huge exp":                       {claims(`{"exp":1e30}`), false},
		"V16 an exp beyond every number":       {claims(`{"exp":1e999}`), false},
		"V16 an exp as NaN":                    {claims(`{"exp":NaN}`), false},
		"V17 an nbf that is a string":          {claims(`{"exp":1,"nbf":"1"}`), false},
		"V17 an nbf":                           {claims(`{"exp":1,"nbf":1}`), true},
		"V17 an iat that is null":              {claims(`{"exp":1,"iat":null}`), false},
		"V17 a negative iat":                   {claims(`{"exp":1,"iat":-5}`), false},
		"V17 an iat":                           {claims(`{"exp":1,"iat":1}`), true},
		"an iss that is a number":              {claims(`{"exp":1,"iss":1}`), false},
		"an iss that is a list":                {claims(`{"exp":1,"iss":["https://i.test"]}`), false},
		"a sub that is null":                   {claims(`{"exp":1,"sub":null}`), false},
		"a sub that is an object":              {claims(`{"exp":1,"sub":{}}`), false},
		"a jti that is a number":               {claims(`{"exp":1,"jti":7}`), false},
		"an aud that is a string":              {claims(`{"exp":1,"aud":"a"}`), true},
		"an aud that is a list":                {claims(`{"exp":1,"aud":["a","b"]}`), true},
		"an aud of no members":                 {claims(`{"exp":1,"aud":[]}`), true},
		"an aud that is a number":              {claims(`{"exp":1,"aud":1}`), false},
		"an aud that is null":                  {claims(`{"exp":1,"aud":null}`), false},
		"an aud that is an object":             {claims(`{"exp":1,"aud":{"a":1}}`), false},
		"an aud with a number in the list":     {claims(`{"exp":1,"aud":["a",1]}`), false},
		"an aud with null in the list":         {claims(`{"exp":1,"aud":["a",null]}`), false},
		"an aud with a list in the list":       {claims(`{"exp":1,"aud":[["a"]]}`), false},
		"V20 claims of other kinds":            {claims(`{"exp":1,"n":1,"o":{"p":[null,true]},"s":"x"}`), true},
		"V20 claims as deep as may be":         {deep(oauth.MaxJSONDepth), true},
		"V20 claims deeper by one":             {deep(oauth.MaxJSONDepth + 1), false},
	}
	for name, test := range tests {
		token, err := oauth.Parse(test.token)
		if (err == nil) != test.ok || (token != nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && token.Compact != test.token {
			t.Errorf("%s: the token changed", name)
		}
		if err != nil && (strings.Contains(err.Error(), "evil") || strings.Contains(err.Error(), second)) {
			t.Errorf("%s: the error shows the token: %v", name, err)
		}
	}
}

func TestParsedMembers(t *testing.T) {
	t.Parallel()
	token, err := oauth.Parse(compact(
		`{"alg":"RS256","kid":"k1","typ":"at+jwt","x5t":"ignored"}`,
		`{"iss":"https://i.test","sub":"s\u00e9","aud":["a","b"],"exp":1300819380.25,"nbf":5,"iat":6,"jti":"j",
		"scope":"one two  three","uid":"u","n":7,"ISS":"other"}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := (oauth.Header{Algorithm: "RS256", KeyID: "k1", Type: "at+jwt"}); token.Header != want {
		t.Errorf("header %+v", token.Header)
	}
	c := token.Claims
	if c.Issuer != "https://i.test" || c.Subject != "sé" || c.ID != "j" ||
		!slices.Equal(c.Audience, []string{"a", "b"}) {
		t.Errorf("claims %+v", c)
	}
	if !c.ExpiresAt.Equal(time.Unix(1300819380, 25e7)) || c.NotBefore.Unix() != 5 || c.IssuedAt.Unix() != 6 {
		t.Errorf("times %v %v %v", c.ExpiresAt, c.NotBefore, c.IssuedAt)
	}
	for claim, want := range map[string][]string{
		"uid": {"u"}, "scope": {"one", "two", "three"}, "n": nil, "missing": nil,
		"iss": {"https://i.test"}, "UID": nil,
		"aud": nil,
	} {
		if got := c.Values(claim); !slices.Equal(got, want) {
			t.Errorf("%s offers %q, want %q", claim, got, want)
		}
	}
	bare, err := oauth.Parse(compact(plainHeader, plainClaims))
	if err != nil || !bare.Claims.NotBefore.IsZero() || !bare.Claims.IssuedAt.IsZero() ||
		bare.Claims.Audience != nil {
		t.Errorf("absent claims: %+v, %v", bare, err)
	}
}

// FuzzTokenDoor looks for a token that has two spellings, or that another reader understands otherwise.
func FuzzTokenDoor(f *testing.F) {
	for _, seed := range []string{
		rfc7515A1, rfc7515A2, rfc7515A3, compact(plainHeader, plainClaims), "", "..", "a.b.c",
		compact(`{"alg":"ES256","alg":"none"}`, plainClaims), compact(plainHeader, `{"exp":"1"}`),
		compact(plainHeader, `{"exp":1,"aud":["a",{"b":[]}]}`), compact(`{"alg":"ES256","crit":[]}`, plainClaims),
	} {
		f.Add(seed)
	}
	allowed := []string{"alg", "kid", "typ", "cty", "x5t", "x5t#S256"}
	f.Fuzz(func(t *testing.T, compact string) {
		token, err := oauth.Parse(compact)
		if err != nil {
			return
		}
		parts := strings.Split(compact, ".")
		if len(compact) > oauth.MaxTokenBytes || len(parts) != 3 || token.Compact != compact {
			t.Fatalf("accepted %q", compact)
		}
		var texts [3][]byte
		for i, part := range parts {
			text, err := base64.RawURLEncoding.DecodeString(part)
			if err != nil || base64.RawURLEncoding.EncodeToString(text) != part || part == "" {
				t.Fatalf("part %d of %q is not canonical", i, compact)
			}
			texts[i] = text
		}
		var header map[string]any
		if err := json.Unmarshal(texts[0], &header); err != nil || header["alg"] != token.Header.Algorithm {
			t.Fatalf("header %s read as %+v, %v", texts[0], token.Header, err)
		}
		for name := range header {
			if !slices.Contains(allowed, name) {
				t.Fatalf("the header member %q passes", name)
			}
		}
		var claims map[string]any
		if err := json.Unmarshal(texts[1], &claims); err != nil || len(claims) != len(token.Claims.All) {
			t.Fatalf("claims %s: %v", texts[1], err)
		}
		exp, isNumber := claims["exp"].(float64)
		if !isNumber || exp < 0 || exp > 1<<53 || token.Claims.ExpiresAt.Unix() != int64(exp) {
			t.Fatalf("exp %v read as %v", claims["exp"], token.Claims.ExpiresAt)
		}
		for name, got := range map[string]string{"iss": token.Claims.Issuer, "sub": token.Claims.Subject} {
			if want, there := claims[name]; there && want != got {
				t.Fatalf("%s %v read as %q", name, want, got)
			}
		}
	})
}
