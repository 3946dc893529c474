package auth_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"keyless/shared/auth"
	"keyless/shared/oauth"
)

// vector is a published JWS, its parts as printed, with the key that verifies it.
type vector struct {
	alg       string
	jwk       string
	header    string
	payload   string
	signature string
}

func (v vector) compact() string { return v.header + "." + v.payload + "." + v.signature }

const (
	claims7515 = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

	// RFC 7520 section 4, figure 8: "It's a dangerous business, Frodo, going out your door. …".
	frodo = "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm" +
		"9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlI" +
		"HN3ZXB0IG9mZiB0by4"
	// RFC 7520 section 3.3, figure 3.
	bilboRSA = `{"kty":"RSA","kid":"bilbo.baggins@hobbiton.example","use":"sig","e":"AQAB","n":"n4EPtAOCc9AlkeQHPzHS` +
		`tgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-Qti` +
		`WN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC` +
		`0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc` +
		`5gHdrNP5zw"}`
	// RFC 7520 section 3.1, figure 1.
	bilboEC = `{"kty":"EC","kid":"bilbo.baggins@hobbiton.example","use":"sig","crv":"P-521","x":"AHKZLLOsCOzz5cY97ew` +
		`NUajB957y-C-U88c3v13nmGZx6sYl_oJXu9A5RkTKqjqvjyekWF-7ytDyRXYgCF5cj0Kt","y":"AdymlHvOiLxXkEhayXQnNCvDX4h9` +
		`htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAgDPrwQrJmbnX9cwlGfP-HqHZR1"}`
	// RFC 7520 section 3.5, figure 5.
	hobbitHMAC = `{"kty":"oct","kid":"018c0ae5-4d9b-471b-bfd6-eef314bc7037","use":"sig","alg":"HS256",` +
		`"k":"hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg"}`
)

var vectors = map[string]vector{
	"RFC 7515 A.1, HS256": {"HS256",
		`{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}`,
		"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9", claims7515, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
	"RFC 7515 A.2, RS256": {"RS256",
		`{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2` +
			`mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5` +
			`z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-D` +
			`WNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}`,
		"eyJhbGciOiJSUzI1NiJ9", claims7515,
		"cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF" +
			"9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN938" +
			"3LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhW" +
			"kWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"},
	"RFC 7515 A.3, ES256": {"ES256",
		`{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",` +
			`"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`,
		"eyJhbGciOiJFUzI1NiJ9", claims7515,
		"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"},
	"RFC 7515 A.4, ES512": {"ES512",
		`{"kty":"EC","crv":"P-521","x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4q` +
			`UxcWceqwQGk","y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3k` +
			`yMj2"}`,
		"eyJhbGciOiJFUzUxMiJ9", "UGF5bG9hZA",
		"AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoX" +
			"D2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"},
	"RFC 7520 4.1, RS256": {"RS256", bilboRSA,
		"eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9", frodo,
		"MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-" +
			"BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFx" +
			"nt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_" +
			"fcIe8u9ipH84ogoree7vjbU5y18kDquDg"},
	"RFC 7520 4.2, PS384": {"PS384", bilboRSA,
		"eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9", frodo,
		"cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_" +
			"1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT" +
			"3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510" +
			"a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw"},
	"RFC 7520 4.3, ES512": {"ES512", bilboEC,
		"eyJhbGciOiJFUzUxMiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9", frodo,
		"AE_R_YZCChjn4791jSQCrdPZCNYqHXCTZH0-JZGYNlaAjP2kqaluUIIUnC9qvbu9Plon7KRTzoNEuT4Va2cmL1eJAQy3mtPBu_u_sDDyY" +
			"jnAMDxXPn7XrT0lw-kvAD890jl8e2puQens_IEKBpHABlsbEPX6sFY8OcGDqoRuBomu9xQ2"},
	"RFC 7520 4.4, HS256": {"HS256", hobbitHMAC,
		"eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9", frodo,
		"s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0"},
	"RFC 8037 A.4, EdDSA": {"EdDSA",
		`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`,
		"eyJhbGciOiJFZERTQSJ9", "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
		"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"},
}

// Each vector verifies under its own key, and no longer with one byte of its payload or signature changed, nor as another algorithm.
func TestVectorsVerify(t *testing.T) {
	t.Parallel()
	for name, v := range vectors {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := vectorKey(t, v.jwk)
			if !key.Allows(v.alg) || !auth.VerifiesCompact(v.compact(), v.alg, key) {
				t.Fatal("does not verify")
			}
			for what, changed := range map[string]vector{
				"payload":   {payload: flipped(t, v.payload), header: v.header, signature: v.signature},
				"signature": {payload: v.payload, header: v.header, signature: flipped(t, v.signature)},
				"header":    {payload: v.payload, header: flipped(t, v.header), signature: v.signature},
			} {
				if auth.VerifiesCompact(changed.compact(), v.alg, key) {
					t.Errorf("verifies with another %s", what)
				}
			}
			for _, alg := range oauth.Algorithms {
				if alg != v.alg && auth.VerifiesCompact(v.compact(), alg, key) {
					t.Errorf("verifies as %s", alg)
				}
			}
		})
	}
}

// No vector verifies under the key of another one; those of RFC 7520 share theirs.
func TestVectorsVerifyUnderTheirOwnKeyOnly(t *testing.T) {
	t.Parallel()
	for name, v := range vectors {
		for otherName, other := range vectors {
			key := vectorKey(t, other.jwk)
			if other.jwk != v.jwk && key.Allows(v.alg) && auth.VerifiesCompact(v.compact(), v.alg, key) {
				t.Errorf("%s verifies under the key of %s", name, otherName)
			}
		}
	}
}

// The strict door passes the RFCs' JWTs, and of their other JWSs none: their payloads are no claims.
func TestVectorsAtTheStrictDoor(t *testing.T) {
	t.Parallel()
	for name, v := range vectors {
		_, err := oauth.Parse(v.compact())
		if isJWT := v.payload == claims7515; isJWT != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func vectorKey(t *testing.T, jwk string) oauth.Key {
	t.Helper()
	keys, err := oauth.ParseJWKSet([]byte(jwk), oauth.Pasted)
	if err != nil || len(keys) != 1 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	return keys[0]
}

// flipped changes one bit in the middle of what a part encodes.
func flipped(t *testing.T, part string) string {
	t.Helper()
	decoded, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	changed := slices.Clone(decoded)
	changed[len(changed)/2] ^= 1
	return strings.TrimRight(base64.URLEncoding.EncodeToString(changed), "=")
}
