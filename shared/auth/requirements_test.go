package auth_test

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"keyless/shared/auth"
	"keyless/shared/registry"
)

// V07, RFC 8725 §3.10: keys are those of the consumer's own set, by kid. Diverges: a token without kid, and a key without one, is tried
// with every key that fits, eight at most.
func TestV07KidChoosesAmongTheConsumersOwnKeys(t *testing.T) {
	t.Parallel()
	key := func(kid, k string) string { return fmt.Sprintf(`{"kty":"oct","kid":%q,"k":%q}`, kid, k) }
	mine, nameless := key("mine", sharedKey), fmt.Sprintf(`{"kty":"oct","k":%q}`, sharedKey)
	others := make([]string, 8)
	for i := range others {
		others[i] = key(fmt.Sprint("other-", i), strings.Repeat(string(rune('A'+i)), 42)+"A")
	}
	for name, row := range map[string]struct {
		keys []string
		kid  any
		want auth.Reason
	}{
		"its kid":                  {[]string{others[0], mine}, "mine", ""},
		"the kid of another key":   {[]string{others[0], mine}, "other-0", auth.JWTInvalid},
		"a kid that is not there":  {[]string{others[0], mine}, "x", auth.JWTInvalid},
		"a kid in other capitals":  {[]string{others[0], mine}, "Mine", auth.JWTInvalid},
		"another consumer's kid":   {others[:1], "mine", auth.JWTInvalid},
		"a kid, and a key without": {[]string{others[0], nameless}, "x", ""},
		"no kid, the one key":      {[]string{mine}, nil, ""},
		"no kid, the eighth":       {append(slices.Clone(others[:7]), mine), nil, ""},
		"no kid, the ninth":        {append(slices.Clone(others), mine), nil, auth.JWTInvalid},
		"the ninth, by its kid":    {append(slices.Clone(others), mine), "mine", ""},
		"no kid, and none of them": {others, nil, auth.JWTInvalid},
	} {
		set := `{"keys":[` + strings.Join(row.keys, ",") + `]}`
		w := newWorld(t, shop(func(c *registry.Consumer) { c.JWT.JWKS = registry.Secret(set) }))
		header := map[string]any{"alg": "HS256"}
		if row.kid != nil {
			header["kid"] = row.kid
		}
		d, err := w.decide(request("Authorization: Bearer "+hs256(header, claims(nil))), "orders")
		if err != nil || d.Reason != row.want {
			t.Errorf("%s: %q %v, want %q", name, d.Reason, err, row.want)
		}
	}
}

// V10, RFC 9068 §4, RFC 8725 §3.11. Diverges: typ is asked for where a consumer names one. Proofs are no tokens in any case: their header
// bears a key.
func TestV10TypIsAskedForWhereConfigured(t *testing.T) {
	t.Parallel()
	for typ, row := range map[any]struct{ free, held auth.Reason }{
		"at+jwt": {"", ""}, "application/at+jwt": {"", ""}, "AT+JWT": {"", ""},
		"JWT": {"", auth.JWTInvalid}, "logout+jwt": {"", auth.JWTInvalid}, nil: {"", auth.JWTInvalid},
		"at+jwt ": {"", auth.JWTInvalid}, "text/at+jwt": {"", auth.JWTInvalid},
	} {
		header := map[string]any{"alg": "HS256"}
		if typ != nil {
			header["typ"] = typ
		}
		r := request("Authorization: Bearer " + hs256(header, claims(nil)))
		for _, c := range []struct {
			configured string
			want       auth.Reason
		}{{"", row.free}, {"at+jwt", row.held}} {
			w := newWorld(t, shop(func(s *registry.Consumer) { s.JWT.Type = c.configured }))
			if d, err := w.decide(r, "orders"); err != nil || d.Reason != c.want {
				t.Errorf("typ %v where %q is configured: %q %v, want %q", typ, c.configured, d.Reason, err, c.want)
			}
		}
	}
}

// V14, RFC 9068 §4, RFC 8725 §3.8. Diverges: the identifying claim chooses consumer and keys, before the signature; iss is compared, byte
// for byte, where the consumer names one. So one identifier of two issuers is two consumers, and neither's key serves the other.
func TestV14IssIsComparedAndEachIssuerHasItsKeys(t *testing.T) {
	t.Parallel()
	other := strings.Repeat("B", 42) + "A"
	of := func(name, issuer, k string) registry.Consumer {
		return shop(func(c *registry.Consumer) { c.Name, c.JWT.Issuer, c.JWT.JWKS = name, issuer, oct(k) })
	}
	w := newWorld(t, of("a", "https://a.example", sharedKey), of("b", "https://b.example", other))
	for name, row := range map[string]struct{ iss, k, want string }{
		"a by its key":     {"https://a.example", sharedKey, "a"},
		"b by its key":     {"https://b.example", other, "b"},
		"a by the other's": {"https://a.example", other, ""},
		"b by the other's": {"https://b.example", sharedKey, ""},
		"a slash more":     {"https://a.example/", sharedKey, ""},
		"in capitals":      {"https://A.example", sharedKey, ""},
		"a third":          {"https://c.example", sharedKey, ""},
	} {
		token := sealed(part(hs)+"."+part(claims(map[string]any{"iss": row.iss})), row.k)
		d, err := w.decide(request("Authorization: Bearer "+token), "orders")
		if got := d.Consumer; err != nil || (got != nil) != (row.want != "") || got != nil && got.Name != row.want {
			t.Errorf("%s: %+v %q %v, want %q", name, got, d.Reason, err, row.want)
		}
	}
}

// V15, RFC 9068 §4, RFC 8725 §3.9. Diverges: aud is asked for where the consumer names one, or where the API is bound to a resource server
// and the token is ours.
func TestV15AudIsAskedForWhereConfigured(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		aud        any
		free, held auth.Reason
	}{
		"ours":             {"orders", "", ""},
		"ours among more":  {[]string{"x", "orders"}, "", ""},
		"another":          {"Orders", "", auth.JWTInvalid},
		"an empty list":    {[]string{}, "", auth.JWTInvalid},
		"an empty text":    {"", "", auth.JWTInvalid},
		"none":             {nil, "", auth.JWTInvalid},
		"one of a list":    {"orders x", "", auth.JWTInvalid},
		"what is no claim": {map[string]any{"orders": 1}, auth.JWTInvalid, auth.JWTInvalid},
	} {
		r := request("Authorization: Bearer " + hs256(hs, claims(map[string]any{"aud": row.aud})))
		for _, c := range []struct {
			configured registry.Strings
			want       auth.Reason
		}{{nil, row.free}, {registry.Strings{"orders"}, row.held}} {
			w := newWorld(t, shop(func(s *registry.Consumer) { s.JWT.Audience = c.configured }))
			if d, err := w.decide(r, "orders"); err != nil || d.Reason != c.want {
				t.Errorf("%s where %q is configured: %q %v, want %q", name, c.configured, d.Reason, err, c.want)
			}
		}
	}
}

// B02, RFC 6750 §2, §3.1. Diverges: two credentials, and malformed ones (B05), are 401 and never 400. The body's form is not read.
func TestB02B05TwoCredentialsAre401(t *testing.T) {
	t.Parallel()
	in := func(name string, change func(*registry.JWTCredential)) registry.Consumer {
		return shop(func(c *registry.Consumer) { c.Name = name; change(c.JWT) })
	}
	w := newWorld(t, in("header", func(*registry.JWTCredential) {}),
		in("query", func(j *registry.JWTCredential) { j.Query = "access_token" }),
		in("cookie", func(j *registry.JWTCredential) { j.Cookie = "session" }))
	good := hs256(hs, claims(nil))
	header, cookie := "Authorization: Bearer "+good, "Cookie: session="+good
	for name, row := range map[string]struct {
		query string
		lines []string
		form  string
		want  auth.Reason
	}{
		"in the header":            {"", []string{header}, "", ""},
		"in the query":             {"access_token=" + good, nil, "", ""},
		"two headers":              {"", []string{header, header}, "", auth.JWTInvalid},
		"header and query":         {"access_token=" + good, []string{header}, "", auth.JWTInvalid},
		"header and cookie":        {"", []string{header, cookie}, "", auth.JWTInvalid},
		"twice in the query":       {"access_token=" + good + "&access_token=" + good, nil, "", auth.JWTInvalid},
		"header and a bad one":     {"access_token=x", []string{header}, "", auth.JWTInvalid},
		"malformed":                {"", []string{"Authorization: Bearer a b"}, "", auth.JWTInvalid},
		"in the form":              {"", nil, "access_token=" + good, auth.JWTMissing},
		"in the header, and there": {"", []string{header}, "access_token=" + good, ""},
	} {
		r := httptest.NewRequest("POST", "/orders?"+row.query, strings.NewReader(row.form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, line := range row.lines {
			field, value, _ := strings.Cut(line, ": ")
			r.Header.Add(field, value)
		}
		d, err := w.decide(r, "orders")
		if err != nil || d.Reason != row.want || row.want != "" && d.Reason.Refusal().Status != 401 {
			t.Errorf("%s: %q %v, want %q", name, d.Reason, err, row.want)
		}
	}
}
