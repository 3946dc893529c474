package oauth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"

	"keyless/shared/oauth"
)

// The examples of RFC 7515 appendix A.1 to A.3 and their keys.
const (
	payload7515 = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290" +
		"Ijp0cnVlfQ"

	rfc7515A1 = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + payload7515 +
		".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	rfc7515A2 = "eyJhbGciOiJSUzI1NiJ9." + payload7515 +
		".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujG" +
		"bds9uJdbF9CUA" +
		"r7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN93" +
		"83LcOLn6_dO--x" +
		"i12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmt" +
		"VrBp0igcN_Ioyp" +
		"GlUPQGe77Rw"
	rfc7515A3 = "eyJhbGciOiJFUzI1NiJ9." + payload7515 +
		".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"

	keyA1 = `{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUu` +
		`TwjAzZr1Z9CAow"}`
	keyA2 = `{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmf` +
		`HQp-Vaw-4qPCJrcS2m` +
		`JPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSX` +
		`ndS5z5rexMdbBYUs` +
		`LA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF` +
		`8NAco9_h9iaGNj8q2` +
		`ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}`
	keyA3 = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",` +
		`"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`

	// RFC 8037 appendix A.2, thumbprint in A.3.
	key8037 = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	// RFC 7638 section 3.1.
	n7638 = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJE" +
		"CPebWKRXjBZCiFV4n3" +
		"oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgn" +
		"Yb9c7d0zgdAZHzu6" +
		"qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-c" +
		"sFCur-kEgU8awapJ" +
		"zKnqDKgw"
	key7638 = `{"kty":"RSA","n":"` + n7638 + `","e":"AQAB","alg":"RS256","kid":"2011-04-29"}`
)

func one(t testing.TB, jwk string) oauth.Key {
	t.Helper()
	keys, err := oauth.ParseJWKSet([]byte(jwk), oauth.Pasted)
	if err != nil || len(keys) != 1 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	return keys[0]
}

// The door passes the RFC's own tokens as they are, and the parsed keys verify them.
func TestRFC7515Examples(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		token, jwk, alg string
		verify          func(key any, input, signature []byte) bool
	}{
		"A.1": {rfc7515A1, keyA1, "HS256", func(key any, input, signature []byte) bool {
			mac := hmac.New(sha256.New, key.([]byte))
			mac.Write(input)
			return hmac.Equal(mac.Sum(nil), signature)
		}},
		"A.2": {rfc7515A2, keyA2, "RS256", func(key any, input, signature []byte) bool {
			sum := sha256.Sum256(input)
			return rsa.VerifyPKCS1v15(key.(*rsa.PublicKey), crypto.SHA256, sum[:], signature) == nil
		}},
		"A.3": {rfc7515A3, keyA3, "ES256", func(key any, input, signature []byte) bool {
			sum := sha256.Sum256(input)
			r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
			return ecdsa.Verify(key.(*ecdsa.PublicKey), sum[:], r, s)
		}},
	}
	for name, test := range tests {
		token, err := oauth.Parse(test.token)
		if err != nil || token.Header.Algorithm != test.alg || token.Claims.Issuer != "joe" ||
			token.Claims.ExpiresAt.Unix() != 1300819380 || string(token.Claims.All["http://example.com/is_roo"+
			"t"]) != "true" {
			t.Fatalf("%s: %+v, %v", name, token, err)
		}
		key := one(t, test.jwk)
		last := strings.LastIndexByte(test.token, '.')
		signature, err := base64.RawURLEncoding.DecodeString(test.token[last+1:])
		if err != nil || !key.Allows(test.alg) || !test.verify(key.Public, []byte(test.token[:last]), signature) {
			t.Errorf("%s: the key does not verify the token", name)
		}
	}
}

func TestThumbprintsOfRFC7638AndRFC8037(t *testing.T) {
	t.Parallel()
	escaped := strings.Replace(strings.Replace(key7638, `"0vx7`, `"\u0030vx7`, 1), `"AQAB"`, `"\u0041QAB"`, 1)
	tests := map[string]struct{ jwk, want string }{
		"RFC 7638, RSA":             {key7638, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
		"the same, written escaped": {escaped, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
		"RFC 8037, Ed25519":         {key8037, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
	}
	for name, test := range tests {
		if got := one(t, test.jwk).Thumbprint; got != test.want {
			t.Errorf("%s: %s", name, got)
		}
	}
	if escapedCurve := strings.Replace(keyA3, "P-256", `P\u002d256`, 1); one(t, escapedCurve).Thumbprint !=
		one(t, keyA3).Thumbprint {
		t.Error("an escape changes the thumbprint of an EC key")
	}
}

// The public keys of RFC 7520 sections 3.1, 3.3 and 3.5 are read with all that they allow; the private ones of 3.2 and 3.4 are refused.
func TestRFC7520Keys(t *testing.T) {
	t.Parallel()
	const (
		bilbo  = "bilbo.baggins@hobbiton.example"
		curve  = `"kty":"EC","kid":"` + bilbo + `","use":"sig","crv":"P-521"`
		points = `"x":"AHKZLLOsCOzz5cY97ewNUajB957y-C-U88c3v13nmGZx6sYl_oJXu9A5RkTKqjqvjyekWF-7ytDyRXYgCF5cj0Kt",` +
			`"y":"AdymlHvOiLxXkEhayXQnNCvDX4h9htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAgDPrwQrJmbnX9cwlGfP-HqHZR1"`
		modulus = `"kty":"RSA","kid":"` + bilbo + `","use":"sig","e":"AQAB","n":"n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKP` +
			`EHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLr` +
			`HqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FV` +
			`bb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw"`
		shared = `{"kty":"oct","kid":"018c0ae5-4d9b-471b-bfd6-eef314bc7037","use":"sig","alg":"HS256",` +
			`"k":"hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg"}`
	)
	for name, test := range map[string]struct {
		jwk, kid string
		allows   []string
	}{
		"3.1, EC public":  {"{" + curve + "," + points + "}", bilbo, []string{"ES512"}},
		"3.3, RSA public": {"{" + modulus + "}", bilbo, []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}},
		"3.5, symmetric":  {shared, "018c0ae5-4d9b-471b-bfd6-eef314bc7037", []string{"HS256"}},
	} {
		if key := one(t, test.jwk); key.ID != test.kid || strings.Join(key.Algorithms, " ") != strings.Join(test.allows, " ") {
			t.Errorf("%s: kid %q, algorithms %v", name, key.ID, key.Algorithms)
		}
	}
	// Of the private members the beginnings stand here: their names are what is refused.
	for name, jwk := range map[string]string{
		"3.2, EC private":  "{" + curve + "," + points + `,"d":"AAhRON2r9cqXX1hg-RoI6R1tX5p2rUAYdmpHZoC1XNM56KtscrX6zb"}`,
		"3.4, RSA private": "{" + modulus + `,"d":"bWUC9B-EFRIo8kpGfh0ZuyGPvMNKvYWNtB_ikiH9k20eT-O1q_I78eiZkpXxXQ"}`,
	} {
		if _, err := oauth.ParseJWKSet([]byte(jwk), oauth.Pasted); err == nil || strings.Contains(err.Error(), "AAhRON") ||
			strings.Contains(err.Error(), "bWUC9B") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
