package auth

import (
	"slices"
	"strings"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// authorize chooses among the consumers for whom the token verifies: those authorized on the API, of them the one with most conditions
// of its own, then the smallest name. Nobody authorized is 403: the caller is proven, but may not.
func (g *Gate) authorize(token *oauth.Token, verified []*registry.Consumer, d *Decision) {
	now := g.now()
	may := slices.DeleteFunc(slices.Clone(verified), func(c *registry.Consumer) bool {
		return c.Authorized(d.API.Name, now) == nil
	})
	if len(may) == 0 {
		d.Consumer = verified[0]
		d.step("authorization", "consumer "+verified[0].Name+" has none on API "+d.API.Name)
		d.refuse(AccessDenied)
		return
	}
	slices.SortFunc(may, func(a, b *registry.Consumer) int {
		if more := conditions(b.JWT) - conditions(a.JWT); more != 0 {
			return more
		}
		return strings.Compare(a.Name, b.Name)
	})
	d.Allowed, d.Consumer = true, may[0]
	d.step("authorization", "consumer "+may[0].Name+" may call API "+d.API.Name)
	d.Subject = token.Claims.Subject
	d.ClientID, _ = oauth.String(token.Claims.All["client_id"])
	d.Headers = headersOf(may[0].JWT.ClaimsToHeaders, token.Claims)
}

func conditions(j *registry.JWTCredential) int {
	n := 0
	for _, set := range []bool{j.Issuer != "", len(j.Audience) > 0, len(j.Algorithms) > 0, j.Type != ""} {
		if set {
			n++
		}
	}
	return n
}

// headersOf maps claims to headers one to one. A claim that is no string, or that no header can hold, gives an empty value: the header
// is then removed, so that a caller cannot supply it.
func headersOf(rules []registry.ClaimToHeader, claims oauth.Claims) []Header {
	var headers []Header
	for _, rule := range rules {
		value, ok := oauth.String(claims.All[rule.Claim])
		if !ok || !headerValue(value) {
			value = ""
		}
		headers = append(headers, Header{rule.Header, value})
	}
	return headers
}

// headerValue reports whether the text can stand in a field value (RFC 9110 §5.5) as it is.
func headerValue(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return s != "" && strings.TrimSpace(s) == s
}
