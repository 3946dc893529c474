package seal_test

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
	"testing"

	"keyless/shared/seal"
)

func TestMatches(t *testing.T) {
	t.Parallel()
	pepper, secret := seal.NewPepper(), seal.NewSecret()
	hash := seal.Hash(pepper, "client/a/s1", secret)
	tests := map[string]struct {
		pepper              []byte
		place, secret, hash string
		want                bool
	}{
		"the secret at its place":     {pepper, "client/a/s1", secret, hash, true},
		"another place":               {pepper, "client/b/s1", secret, hash, false},
		"another pepper":              {seal.NewPepper(), "client/a/s1", secret, hash, false},
		"a truncated secret":          {pepper, "client/a/s1", secret[:42], hash, false},
		"an extended secret":          {pepper, "client/a/s1", secret + "A", hash, false},
		"a padded secret":             {pepper, "client/a/s1", secret + "=", hash, false},
		"another letter case":         {pepper, "client/a/s1", strings.ToUpper(secret), hash, false},
		"an empty secret":             {pepper, "client/a/s1", "", hash, false},
		"place and secret shifted":    {pepper, "client/a/s", "1" + secret, hash, false},
		"an empty hash":               {pepper, "client/a/s1", secret, "", false},
		"a truncated hash":            {pepper, "client/a/s1", secret, hash[:len(hash)-1], false},
		"an extended hash":            {pepper, "client/a/s1", secret, hash + "A", false},
		"a padded hash":               {pepper, "client/a/s1", secret, hash + "=", false},
		"a hash of another version":   {pepper, "client/a/s1", secret, "v2" + hash[2:], false},
		"the secret itself as a hash": {pepper, "client/a/s1", secret, secret, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := seal.Matches(test.pepper, test.place, test.secret, test.hash); got != test.want {
				t.Fatalf("got %v", got)
			}
		})
	}
}

// The stored form is a contract: a later version that writes it otherwise locks every client out.
func TestStoredFormsStay(t *testing.T) {
	t.Parallel()
	pepper := []byte(strings.Repeat("p", 32))
	const hash = "v1:Btq3saGPMf611DL39LwEn3ctE1H3reX4nnysK430W_M"
	if got := seal.Hash(pepper, "client/a/s1", "0123456789abcdef"); got != hash {
		t.Errorf("Hash gives %s", got)
	}
	const digest = "PJ1ZEEW8iHb50Dmbv7BcakEglukG9zJ4-YQGzV3Kht8"
	if got := seal.Digest("a", "b"); got != digest {
		t.Errorf("Digest gives %s", got)
	}
}

func TestHashWithoutPepperPanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Fatal("an unkeyed hash was made")
		}
	}()
	seal.Hash(nil, "p", "s")
}

func TestGenerated(t *testing.T) {
	t.Parallel()
	unreserved := regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
	seen := map[string]bool{}
	for range 64 {
		secret := seal.NewSecret()
		if !unreserved.MatchString(secret) || seen[secret] {
			t.Fatalf("secret %q", secret)
		}
		seen[secret] = true
	}
	if len(seal.NewPepper()) != 32 || slices.Equal(seal.NewPepper(), seal.NewPepper()) {
		t.Fatal("a pepper is 32 random bytes")
	}
	if key, err := base64.StdEncoding.DecodeString(seal.NewMasterKey()); err != nil || len(key) != 32 {
		t.Fatalf("master key of %d bytes, %v", len(key), err)
	}
}

func FuzzDigestIsInjective(f *testing.F) {
	f.Add("a", "b", "ab", "")
	f.Add("", "", "", "")
	f.Add("a\x00", "b", "a", "\x00b")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		lists := [][]string{{}, {a}, {a, b}, {c}, {c, d}, {a, b, c}, {a + b}, {a, b, ""}}
		for i, one := range lists {
			for _, other := range lists[i:] {
				if (seal.Digest(one...) == seal.Digest(other...)) != slices.Equal(one, other) {
					t.Fatalf("%q and %q", one, other)
				}
			}
		}
	})
}
