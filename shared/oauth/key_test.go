package oauth_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"keyless/shared/oauth"
)

func set(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

// with adds members to a JWK.
func with(jwk, members string) string { return strings.TrimSuffix(jwk, "}") + "," + members + "}" }

func oct(bytes int) string {
	return `{"kty":"oct","k":"` + base64.RawURLEncoding.EncodeToString(make([]byte, bytes)) + `"}`
}

func rsaOf(bits int, e string) string {
	n := make([]byte, bits/8)
	n[0], n[len(n)-1] = 0x80, 1
	return `{"kty":"RSA","n":"` + base64.RawURLEncoding.EncodeToString(n) + `","e":"` + e + `"}`
}

const (
	passed  = "passed over" // not an error, and not among the keys
	secret  = "c2VjcmV0LXRoYXQtbXVzdC1ub3QtYmUtc2hvd24"
	offLine = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",` +
		`"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a8"}`
)

// What stands in a set beside one good key: how a pasted and how a fetched set take it. V11: RFC 7517 §4.2, §4.3, RFC 7518 §3.4. V12:
// RFC 8725 §3.5, RFC 7518 §3.3. F15: a set that is ambiguous is none.
func TestV11V12F15KeysOfASet(t *testing.T) {
	t.Parallel()
	good := with(keyA3, `"kid":"good"`)
	tests := map[string]struct {
		jwk             string
		pasted, fetched string // "" taken, passed, or what the error says
	}{
		"EC":                            {with(keyA3, `"kid":"b"`), "", ""},
		"RSA":                           {keyA2, "", ""},
		"Ed25519":                       {key8037, "", ""},
		"without a kid":                 {keyA3, "", ""},
		"V11 use sig":                   {with(keyA3, `"use":"sig"`), "", ""},
		"V11 use enc":                   {with(keyA3, `"use":"enc"`), "use is not sig", passed},
		"V11 a use that is a number":    {with(keyA3, `"use":1`), "use is not sig", passed},
		"V11 key_ops verify":            {with(keyA3, `"key_ops":["verify"]`), "", ""},
		"V11 key_ops of more":           {with(keyA3, `"key_ops":["verify","sign"]`), "", ""},
		"V11 key_ops sign":              {with(keyA3, `"key_ops":["sign"]`), "key_ops lack verify", passed},
		"V11 no key_ops in the list":    {with(keyA3, `"key_ops":[]`), "key_ops lack verify", passed},
		"an unknown kty":                {`{"kty":"AKP","pub":"AA"}`, "kty is not", passed},
		"no kty":                        {`{"n":"AA"}`, "kty is not", passed},
		"kty in small letters":          {strings.Replace(keyA3, `"EC"`, `"ec"`, 1), "kty is not", passed},
		"V11 an unknown curve":          {strings.Replace(keyA3, "P-256", "secp256k1", 1), "crv is not", passed},
		"V11 X25519":                    {strings.Replace(key8037, "Ed25519", "X25519", 1), "crv is not", passed},
		"V11 alg that fits":             {with(keyA3, `"alg":"ES256"`), "", ""},
		"V11 alg of another curve":      {with(keyA3, `"alg":"ES384"`), "alg does not fit", "alg does not fit"},
		"V11 alg of another kind":       {with(keyA3, `"alg":"RS256"`), "alg does not fit", "alg does not fit"},
		"V06 alg HS256 on a public key": {with(keyA2, `"alg":"HS256"`), "alg does not fit", "alg does not fit"},
		"alg for encryption":            {with(keyA2, `"alg":"RSA-OAEP"`), "alg is not one", passed},
		"alg none":                      {with(keyA3, `"alg":"none"`), "alg is not one", passed},
		"alg of RFC 9864":               {with(key8037, `"alg":"Ed25519"`), "", ""},
		"alg EdDSA":                     {with(key8037, `"alg":"EdDSA"`), "", ""},
		"F15 the same kid":              {good, "kid stands twice", "kid stands twice"},
		"a kid that is a number":        {with(keyA3, `"kid":1`), "kid is not a string", "kid is not a string"},
		"a private EC key":              {with(keyA3, `"d":"`+secret+`"`), "private key", "private key"},
		"a private RSA key":             {with(keyA2, `"d":"`+secret+`"`), "private key", "private key"},
		"only a prime of it":            {with(keyA2, `"p":"`+secret+`"`), "private key", "private key"},
		"other primes":                  {with(keyA2, `"oth":[]`), "private key", "private key"},
		"d that is null":                {with(keyA3, `"d":null`), "private key", "private key"},
		"a private key of no use":       {with(keyA3, `"use":"enc","d":"`+secret+`"`), "private key", "private key"},
		"F15 symmetric beside public":   {oct(32), "symmetric and public", "must not be published"},
		"a point off the curve":         {offLine, "not a point", "not a point"},
		"x too short": {
			strings.Replace(keyA3, "f83O", "", 1), "x is not 32 bytes", "x is not 32 bytes",
		},
		"x not base64url":           {strings.Replace(keyA3, "f83O", "+83O", 1), "x is not base64url", "x is not"},
		"x padded":                  {strings.Replace(keyA3, `VEU"`, `VEU="`, 1), "x is not base64url", "x is not"},
		"x missing":                 {`{"kty":"EC","crv":"P-256","y":"AA"}`, "x is missing", "x is missing"},
		"Ed25519 too short":         {`{"kty":"OKP","crv":"Ed25519","x":"AAAA"}`, "x is not 32", "x is not 32"},
		"V12 RSA of 1024 bits":      {rsaOf(1024, "AQAB"), "2048 to 4096 bits", "2048 to 4096 bits"},
		"V12 RSA of 2040 bits":      {rsaOf(2040, "AQAB"), "2048 to 4096 bits", "2048 to 4096 bits"},
		"V12 RSA of 2048 bits":      {rsaOf(2048, "AQAB"), "", ""},
		"V12 RSA of 4096 bits":      {rsaOf(4096, "AQAB"), "", ""},
		"V12 RSA of 4104 bits":      {rsaOf(4104, "AQAB"), "2048 to 4096 bits", "2048 to 4096 bits"},
		"V12 RSA, e of 1":           {rsaOf(2048, "AQ"), "e is not", "e is not"},
		"V12 RSA, e of 3":           {rsaOf(2048, "Aw"), "", ""},
		"RSA, an even e":            {rsaOf(2048, "AQAA"), "e is not", "e is not"},
		"RSA, e of five bytes":      {rsaOf(2048, "AQAAAAE"), "e is not", "e is not"},
		"RSA, an empty n":           {`{"kty":"RSA","n":"","e":"AQAB"}`, "n is empty", "n is empty"},
		"a JWK that is no object":   {`"` + secret + `"`, "not a JSON object", "not a JSON object"},
		"members that nobody knows": {with(keyA3, `"x5c":["MII"],"zzz":{"a":1}`), "", ""},
	}
	for name, test := range tests {
		for kind, want := range map[oauth.KeySetKind]string{oauth.Pasted: test.pasted,
			oauth.Fetched: test.fetched} {
			keys, err := oauth.ParseJWKSet([]byte(set(good, test.jwk)), kind)
			switch {
			case want == "" || want == passed:
				if count := map[string]int{"": 2, passed: 1}[want]; err != nil || len(keys) != count {
					t.Errorf("%s, kind %d: %d keys, %v", name, kind, len(keys), err)
				}
			case err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "keys[1]"):
				t.Errorf("%s, kind %d: error %v, want %q", name, kind, err, want)
			case strings.Contains(err.Error(), secret) || keys != nil:
				t.Errorf("%s, kind %d: the refusal shows the key", name, kind)
			}
		}
	}
}

func TestWholeSets(t *testing.T) {
	t.Parallel()
	many := func(n int) string {
		keys := make([]string, n)
		for i := range keys {
			keys[i] = with(key8037, fmt.Sprintf(`"kid":"k%d"`, i))
		}
		return set(keys...)
	}
	padded := func(size int) string {
		s := set(keyA3)
		return s + strings.Repeat(" ", size-len(s))
	}
	tests := map[string]struct {
		text            string
		pasted, fetched bool
	}{
		"one key":               {set(keyA3), true, true},
		"a single JWK":          {keyA3, true, false},
		"a single oct JWK":      {oct(32), true, false},
		"a set of oct keys":     {set(oct(32), with(oct(64), `"kid":"b"`)), true, false},
		"an empty set":          {`{"keys":[]}`, false, false},
		"no keys":               {`{}`, false, false},
		"keys that are null":    {`{"keys":null}`, false, false},
		"keys that are a map":   {`{"keys":{"a":{}}}`, false, false},
		"keys twice":            {`{"keys":[` + keyA3 + `],"keys":[]}`, false, false},
		"Keys":                  {`{"Keys":[` + keyA3 + `]}`, false, false},
		"a bare list":           {`[` + keyA3 + `]`, false, false},
		"HTML":                  {"<!DOCTYPE html><html></html>", false, false},
		"nothing":               {"", false, false},
		"a PEM":                 {"-----BEGIN PUBLIC KEY-----", false, false},
		"a second document":     {set(keyA3) + set(keyA3), false, false},
		"members beside keys":   {`{"issuer":"x","keys":[` + keyA3 + `]}`, true, true},
		"none that is usable":   {set(`{"kty":"AKP"}`), false, false},
		"as many as may be":     {many(oauth.MaxKeys), true, true},
		"more by one":           {many(oauth.MaxKeys + 1), false, false},
		"as large as may be":    {padded(oauth.MaxKeySetBytes), true, true},
		"larger by one":         {padded(oauth.MaxKeySetBytes + 1), false, false},
		"two keys without kids": {set(keyA3, key8037), true, true},
	}
	for name, test := range tests {
		for kind, want := range map[oauth.KeySetKind]bool{oauth.Pasted: test.pasted, oauth.Fetched: test.fetched} {
			if keys, err := oauth.ParseJWKSet([]byte(test.text), kind); (err == nil) != want ||
				(len(keys) > 0) != want {
				t.Errorf("%s, kind %d: %d keys, %v", name, kind, len(keys), err)
			}
		}
	}
}

// V05, RFC 8725 §3.1: a key verifies its own algorithms. V12, RFC 8725 §3.5, RFC 7518 §3.2: a shared key is as long as the hash.
func TestV05V12AlgorithmsOfAKey(t *testing.T) {
	t.Parallel()
	rsaAll := []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	tests := map[string]struct {
		jwk  string
		want []string
	}{
		"RSA":                  {keyA2, rsaAll},
		"RSA with alg":         {with(keyA2, `"alg":"PS256"`), []string{"PS256"}},
		"P-256":                {keyA3, []string{"ES256"}},
		"Ed25519":              {key8037, []string{"EdDSA"}},
		"oct of 32 bytes":      {oct(32), []string{"HS256"}},
		"oct of 47 bytes":      {oct(47), []string{"HS256"}},
		"oct of 48 bytes":      {oct(48), []string{"HS256", "HS384"}},
		"oct of 64 bytes":      {oct(64), []string{"HS256", "HS384", "HS512"}},
		"oct of 1024 bytes":    {oct(1024), []string{"HS256", "HS384", "HS512"}},
		"oct of 64, alg HS384": {with(oct(64), `"alg":"HS384"`), []string{"HS384"}},
	}
	for name, test := range tests {
		key := one(t, test.jwk)
		if !slices.Equal(key.Algorithms, test.want) {
			t.Errorf("%s: %v", name, key.Algorithms)
		}
		for _, alg := range append(slices.Clone(oauth.Algorithms), "none", "") {
			if key.Allows(alg) != slices.Contains(test.want, alg) {
				t.Errorf("%s: allows %s", name, alg)
			}
		}
		if key.Symmetric() != strings.HasPrefix(name, "oct") {
			t.Errorf("%s: symmetric", name)
		}
	}
	for _, jwk := range []string{oct(31), oct(1025), with(oct(32), `"alg":"HS512"`),
		with(oct(48), `"alg":"ES256"`)} {
		if keys, err := oauth.ParseJWKSet([]byte(jwk), oauth.Pasted); err == nil {
			t.Errorf("%.40s… passes with %v", jwk, keys[0].Algorithms)
		}
	}
}

// FuzzJWKS looks for a set that passes and should not.
func FuzzJWKS(f *testing.F) {
	for _, seed := range []string{
		set(keyA2, keyA3, key8037), keyA3, oct(32), set(oct(64)), `{"keys":[]}`, "<html>", set(with(keyA3,
			`"d":"AA"`)),
		set(offLine), set(rsaOf(2048, "Aw")), set(with(keyA3, `"use":"enc"`), key8037), key7638,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, kind := range []oauth.KeySetKind{oauth.Pasted, oauth.Fetched} {
			keys, err := oauth.ParseJWKSet(text, kind)
			if err != nil {
				continue
			}
			if len(keys) == 0 || len(keys) > oauth.MaxKeys || len(text) > oauth.MaxKeySetBytes {
				t.Fatalf("%d keys of %d bytes", len(keys), len(text))
			}
			seen := map[string]bool{}
			for _, key := range keys {
				if key.ID != "" && seen[key.ID] || key.Symmetric() != keys[0].Symmetric() {
					t.Fatalf("an ambiguous set passes: %s", text)
				}
				seen[key.ID] = true
				if len(key.Algorithms) == 0 || len(key.Thumbprint) != 43 || key.Symmetric() && kind == oauth.Fetched {
					t.Fatalf("key %+v", key)
				}
				for _, alg := range key.Algorithms {
					if !slices.Contains(oauth.Algorithms, alg) || key.Symmetric() != strings.HasPrefix(alg, "HS") {
						t.Fatalf("a key of kind %T verifies %s", key.Public, alg)
					}
				}
			}
		}
	})
}
