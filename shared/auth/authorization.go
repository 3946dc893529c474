package auth

import (
	"slices"
	"strings"
	"time"

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
	d.Subject = token.Claims.Subject
	d.ClientID, _ = oauth.String(token.Claims.All["client_id"])
	if d.Consumer = may[0]; !d.scoped(token) {
		return
	}
	d.allow(may[0], now)
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

// allow ends a decision in favour of a consumer who is authorized on the API.
func (d *Decision) allow(c *registry.Consumer, now time.Time) {
	d.Allowed, d.Consumer = true, c
	d.step("authorization", "consumer "+c.Name+" may call API "+d.API.Name)
	a := c.Authorized(d.API.Name, now)
	if a == nil {
		return
	}
	if d.models = a.Models; d.LimitsModels() {
		d.step("models", "only some; judged where the body is seen")
	}
	if d.tools = a.Tools; d.LimitsTools() {
		d.step("tools", "only some; judged where the body is seen")
	}
}

// LimitsModels reports whether the consumer may name some models only, so that the door that sees the body must ask ModelAllowed.
func (d *Decision) LimitsModels() bool { return len(d.models) > 0 }

// ModelAllowed judges the model that a call names, by the caller's name for it; otherwise it turns the decision into a refusal. A call
// that names none may not pass where models are limited: what it would run is not known.
func (d *Decision) ModelAllowed(model string) bool {
	if len(d.models) == 0 || model != "" && slices.ContainsFunc(d.models, func(glob string) bool { return globs(glob, model) }) {
		return true
	}
	d.step("model", "none of the models that the authorization names")
	d.refuse(ModelNotAllowed)
	return false
}

// LimitsTools reports whether the consumer may call some tools of an MCP server only, so that the door that sees the body must ask
// ToolAllowed.
func (d *Decision) LimitsTools() bool { return len(d.tools) > 0 }

// ToolAllowed judges the tool that a call names; otherwise it turns the decision into a refusal. A call that names none may not pass
// where tools are limited. To leave tools out of a list, ask MaySeeTool.
func (d *Decision) ToolAllowed(name string) bool {
	if d.MaySeeTool(name) {
		return true
	}
	d.step("tool", "none of the tools that the authorization names")
	d.refuse(ToolNotAllowed)
	return false
}

// MaySeeTool says what ToolAllowed would, and changes nothing.
func (d *Decision) MaySeeTool(name string) bool {
	return !d.LimitsTools() || name != "" && slices.ContainsFunc(d.tools, func(glob string) bool { return globs(glob, name) })
}

// globs matches a name with a pattern in which * stands for any text. What stands between two stars is taken where it comes first: that
// never loses a match, and a caller's long name costs no more than its length.
func globs(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == name
	}
	rest, begins := strings.CutPrefix(name, parts[0])
	if !begins {
		return false
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		at := strings.Index(rest, part)
		if at < 0 {
			return false
		}
		rest = rest[at+len(part):]
	}
	return strings.HasSuffix(rest, parts[last])
}
