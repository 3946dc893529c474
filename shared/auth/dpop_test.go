package auth_test

import (
	"strings"
	"testing"
	"time"

	"keyless/shared/auth"
	"keyless/shared/oauth"
)

// RFC 9449 §7.1, figure 12: the proof of a resource request, the access token and the key's thumbprint of §6.1.
const (
	rfcToken = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
	rfcProof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJo" +
		"RjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiO" +
		"iJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsIm" +
		"lhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71E" +
		"OptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
	rfcThumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
)

// X07, RFC 9449 §4.3, §7.1: method, URL, time, token and key are the request's.
func TestX07RFC9449ProofOfFigure12(t *testing.T) {
	t.Parallel()
	p, err := oauth.ParseProof(rfcProof)
	if err != nil {
		t.Fatal(err)
	}
	made := time.Unix(1562262618, 0)
	good := auth.ProofOf{
		Method: "GET", URLs: []string{"https://resource.example.org/protectedresource"}, Token: rfcToken, Key: rfcThumbprint,
	}
	for name, c := range map[string]struct {
		change func(*auth.ProofOf)
		at     time.Time
		good   bool
	}{
		"as published":                     {func(*auth.ProofOf) {}, made, true},
		"at the edge of the window":        {func(*auth.ProofOf) {}, made.Add(time.Minute), true},
		"a second late":                    {func(*auth.ProofOf) {}, made.Add(time.Minute + time.Second), false},
		"at the other edge":                {func(*auth.ProofOf) {}, made.Add(-time.Minute), true},
		"a second early":                   {func(*auth.ProofOf) {}, made.Add(-time.Minute - time.Second), false},
		"another method":                   {func(of *auth.ProofOf) { of.Method = "POST" }, made, false},
		"the method in small":              {func(of *auth.ProofOf) { of.Method = "get" }, made, false},
		"another URL":                      {func(of *auth.ProofOf) { of.URLs[0] += "s" }, made, false},
		"another token":                    {func(of *auth.ProofOf) { of.Token += "x" }, made, false},
		"another key":                      {func(of *auth.ProofOf) { of.Key = strings.ToLower(of.Key) }, made, false},
		"no token, as at a token endpoint": {func(of *auth.ProofOf) { of.Token, of.Key = "", "" }, made, true},
	} {
		of := good
		of.URLs = []string{good.URLs[0]}
		c.change(&of)
		if why := of.Wrong(p, c.at); (why == "") != c.good {
			t.Errorf("%s: %q", name, why)
		}
	}
	damaged, err := oauth.ParseProof(rfcProof[:len(rfcProof)-4] + "AAAA")
	if why := good.Wrong(damaged, made); err != nil || !strings.Contains(why, "verify") {
		t.Errorf("a damaged signature: %v %q", err, why)
	}
	if auth.TokenHash(rfcToken) != "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo" {
		t.Error("ath of §7.1")
	}
}

// RFC 9449 §4.2, §11.6: every algorithm that the challenge names proves a key, and a proof may say when it ends.
func TestRFC9449EveryAlgorithmProves(t *testing.T) {
	t.Parallel()
	private := privateKeys(t)
	for _, alg := range oauth.DPoPAlgorithms {
		h, of := newHolder(t, alg, private[alg]), auth.ProofOf{Method: "GET", URLs: []string{"https://gateway.example/orders"}}
		for name, c := range map[string]struct {
			claims map[string]any
			good   bool
		}{
			"good":    {nil, true},
			"ends":    {map[string]any{"exp": now.Add(time.Second).Unix()}, true},
			"ended":   {map[string]any{"exp": now.Add(-time.Hour).Unix()}, false},
			"not yet": {map[string]any{"nbf": now.Add(time.Hour).Unix()}, false},
		} {
			p, err := oauth.ParseProof(h.proof(t, "", c.claims))
			if err != nil {
				t.Fatal(err)
			}
			if why := of.Wrong(p, now); (why == "") != c.good {
				t.Errorf("%s %s: %q", alg, name, why)
			}
		}
	}
}

// RFC 9449 §8, §9: a nonce is of its time and of its registry, and of no instance.
func TestRFC9449Nonces(t *testing.T) {
	t.Parallel()
	pepper, other := []byte(strings.Repeat("p", 32)), []byte(strings.Repeat("q", 32))
	nonce := auth.ProofNonce(pepper, now) // noon: where a span of five minutes begins
	for name, c := range map[string]struct {
		nonce string
		after time.Duration
		holds bool
	}{
		"at once":                             {nonce, 0, true},
		"at the end of its span":              {nonce, 5*time.Minute - time.Second, true},
		"at the end of the next span":         {nonce, 10*time.Minute - time.Second, true},
		"after that":                          {nonce, 10 * time.Minute, false},
		"of an instance whose clock is ahead": {nonce, -time.Second, true},
		"of an hour to come":                  {nonce, -time.Hour, false},
		"of another registry":                 {auth.ProofNonce(other, now), 0, false},
		"empty":                               {"", 0, false},
		"cut":                                 {nonce[:20], 0, false},
		"in other capitals":                   {strings.ToUpper(nonce), 0, false},
	} {
		if got := auth.ProofNonceHolds(pepper, c.nonce, now.Add(c.after)); got != c.holds {
			t.Errorf("%s: %v", name, got)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a nonce without a pepper")
		}
	}()
	auth.ProofNonce(nil, now)
}
