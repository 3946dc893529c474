package registry

import (
	"slices"
	"strings"
	"time"

	"keyless/shared/oauth"
	"keyless/shared/seal"
)

// Bounds of the ways in which consumers are told apart. A request is searched for every claim in use at every
// place in use, so both stay few.
const (
	maxClaims = 8
	maxPlaces = 8
)

func (v *validator) consumers(list []Consumer) {
	seen := map[string]bool{}
	for i := range list {
		c, at := &list[i], spot("consumers").item(i)
		v.name(at.key("name"), c.Name, seen)
		v.text(at.key("display_name"), c.DisplayName, false, maxText)
		v.text(at.key("description"), c.Description, false, maxText)
		v.status(at.key("status"), c.Status)
		if len(c.Groups) > 0 {
			v.unique(at.key("groups"), c.Groups)
		}
		for n, group := range c.Groups {
			known(v, at.key("groups").item(n), "a group", group, v.byGroup)
		}
		if c.JWT == nil && c.APIKey == nil && c.HMAC == nil {
			v.fault(at, "has no credential; write jwt with a jwks_url or jwks, api_key, or hmac")
		}
		if c.JWT != nil {
			v.jwt(at.key("jwt"), c.Name, c.JWT)
		}
		if c.APIKey != nil {
			v.apiKey(at.key("api_key"), c.Name, c.APIKey)
		}
		if c.HMAC != nil {
			v.hmac(at.key("hmac"), c.Name, c.HMAC)
		}
		v.authorizations(at.key("authorizations"), c.Authorizations)
		v.limits(at.key("limits"), c.Limits)
		v.upstreamKeys(at.key("upstream_keys"), c.UpstreamKeys)
	}
}

func (v *validator) authorizations(list spot, authorizations []Authorization) {
	seen := map[string]bool{}
	for i, a := range authorizations {
		at := list.item(i).key("api")
		known(v, at, "an API", a.API, v.byAPI)
		if seen[a.API] {
			v.fault(at, "%q stands twice; write it once", a.API)
		}
		seen[a.API] = true
		v.tools(list.item(i).key("tools"), a)
	}
}

// tools judges the names of tools, in which * stands for any text, that a consumer may call.
func (v *validator) tools(at spot, a Authorization) {
	if a.Tools != nil && v.byAPI[a.API] && !v.byMCP[a.API] {
		v.fault(at, "are only on an API of type mcp; leave them out")
	}
	v.unique(at, a.Tools)
	for i, tool := range a.Tools {
		if tool == "" || len(tool) > maxTool || strings.ContainsFunc(tool, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			v.fault(at.item(i), `is not a tool's name; write 1 to 128 bytes without spaces, such as echo or "get-*"`)
		}
	}
}

// maxTool is the longest name of a tool that MCP recommends, and that the proxy takes.
const maxTool = 128

// maxSkew is far above what clocks differ by, and below the hour for which a revocation outlives its token.
const maxSkew = 10 * time.Minute

func (v *validator) jwt(at spot, consumer string, j *JWTCredential) {
	keys, sources := v.keySource(at, j.JWKSURL, j.JWKS)
	v.wrong(at.key("claim"), judgeWord(j.Claim))
	v.wrong(at.key("value"), judgeWord(j.Value))
	if j.ClaimName() == "scope" && j.Value != "" && !oauth.ValidScope(j.Value) {
		v.fault(at.key("value"), "is not one scope; a scope claim matches by member, so write a single one")
	}
	v.wrong(at.key("issuer"), judgeWord(j.Issuer))
	v.audience(at.key("audience"), j.Audience)
	v.algorithms(at.key("algorithms"), j, keys)
	v.wrong(at.key("typ"), judgeWord(j.Type))
	v.place(at, j)
	if j.MaxLifetime < 0 {
		v.fault(at.key("max_lifetime"), "is negative; write such as 7d")
	}
	if j.Skew != nil && (*j.Skew < 0 || time.Duration(*j.Skew) > maxSkew) {
		v.fault(at.key("skew"), "is not between 0s and 10m; write such as 30s")
	}
	if j.RequireDPoP && (j.Place().Name != BearerPlace.Name || j.Place().In != InHeader) {
		v.fault(at.key("require_dpop"), "needs the token in the header Authorization (RFC 9449 §7.1); leave out header, query and cookie")
	}
	v.claimsToHeaders(at.key("claims_to_headers"), j.ClaimsToHeaders)
	v.bounded(at, j)
	if j.Value != "" && sources == 1 {
		v.rule(at, consumer, j, keys)
	}
}

// keySource judges where verification keys come from, and returns the inline ones, and how many sources there
// are.
func (v *validator) keySource(at spot, jwksURL string, jwks Secret) (keys []oauth.Key, sources int) {
	if jwksURL != "" {
		sources++
		v.wrong(at.key("jwks_url"), judgeURL(jwksURL))
	}
	if jwks != "" {
		sources++
		keys = v.inlineKeys(at.key("jwks"), jwks)
	}
	if sources != 1 {
		v.fault(at, "needs exactly one of jwks_url and jwks; write the URL of the JWK Set, or the set itself")
	}
	return keys, sources
}

func (v *validator) inlineKeys(at spot, jwks Secret) []oauth.Key {
	if sealed, is := strings.CutPrefix(string(jwks), sealedPrefix); is {
		v.wrong(at, judgeSealed(sealed))
		return nil
	}
	if len(jwks) > seal.MaxClear {
		v.fault(at, "is too long; write at most 64 KiB")
		return nil
	}
	keys, err := oauth.ParseJWKSet([]byte(jwks), oauth.Pasted)
	if err != nil {
		v.fault(at, `is not a key set: %s; write {"keys":[…]} or a single JWK`, err)
	}
	return keys
}

func (v *validator) audience(at spot, audience Strings) {
	v.unique(at, audience)
	for i, item := range audience {
		if item == "" {
			v.fault(at.item(i), "is empty; write the audience, or leave it out")
		}
		v.wrong(at.item(i), judgeWord(item))
	}
}

func (v *validator) algorithms(list spot, j *JWTCredential, keys []oauth.Key) {
	v.unique(list, j.Algorithms)
	symmetric, public := false, false
	for i, alg := range j.Algorithms {
		at := list.item(i)
		if !slices.Contains(oauth.Algorithms, alg) {
			v.fault(at, "is not an algorithm; write some of: %s", strings.Join(oauth.Algorithms, ", "))
			continue
		}
		hs := strings.HasPrefix(alg, "HS")
		symmetric, public = symmetric || hs, public || !hs
		fits := func(k oauth.Key) bool { return k.Allows(alg) }
		switch {
		case hs && j.JWKSURL != "":
			v.fault(at, "needs a shared secret, which no URL publishes; write the oct key into jwks")
		case len(keys) > 0 && !slices.ContainsFunc(keys, fits):
			v.fault(at, "fits no key of jwks; leave it out")
		}
	}
	if symmetric && public {
		v.fault(list, "mixes HS algorithms with others; write one kind: a public key never verifies an HS one")
	}
}

func (v *validator) place(at spot, j *JWTCredential) {
	written := 0
	for _, name := range []string{j.Header, j.Query, j.Cookie} {
		if name != "" {
			written++
		}
	}
	if written > 1 {
		v.fault(at, "has more than one of header, query and cookie; write one")
	}
	if j.Header != "" {
		v.wrong(at.key("header"), judgeInboundHeader(j.Header))
	}
	if j.Query != "" {
		v.wrong(at.key("query"), judgeParameter(j.Query))
	}
	if j.Cookie != "" && !isToken(j.Cookie) {
		v.fault(at.key("cookie"), "is not a cookie's name; write letters, digits, - and _")
	}
	if j.Prefix != nil {
		v.wrong(at.key("prefix"), judgePrefix(*j.Prefix))
	}
}

// judgeParameter judges a query parameter in which a credential comes.
func judgeParameter(name string) string {
	if !oauth.ValidName(name) {
		return "is not a parameter's name; write 1 to 128 of A-Z a-z 0-9 . _ ~ -"
	}
	return ""
}

// judgeInboundHeader judges a header in which a credential comes; some never reach the gate.
func judgeInboundHeader(name string) string {
	if strings.Contains(name, "_") || strings.HasPrefix(lower(name), "x-fc-") || lower(name) == "cookie" {
		return "is a header that is dropped on entry; write another, or cookie: NAME for a cookie"
	}
	return judgeHeader(name)
}

func (v *validator) claimsToHeaders(list spot, claims []ClaimToHeader) {
	seen := map[string]bool{}
	for i, c := range claims {
		at := list.item(i)
		v.required(at.key("claim"), c.Claim, judgeWord)
		v.required(at.key("header"), c.Header, judgeHeader)
		switch name := lower(c.Header); {
		case name == "authorization" || name == "cookie":
			v.fault(at.key("header"), "carries credentials; write another such as X-User")
		case name != "" && seen[name]:
			v.fault(at.key("header"), "stands twice; letter case does not count in a header's name")
		}
		seen[lower(c.Header)] = true
	}
}

// bounded keeps what a request is searched for few: the claims and places in use, over all consumers, and the
// consumers that share one value.
func (v *validator) bounded(at spot, j *JWTCredential) {
	claim, place := j.ClaimName(), j.Place()
	if !v.claims[claim] && len(v.claims) == maxClaims {
		v.fault(at.key("claim"), "is the ninth claim in use; all consumers together use at most 8")
		return
	}
	if !v.places[place] && len(v.places) == maxPlaces {
		v.fault(at, "is the ninth place of a token in use; all consumers together use at most 8")
		return
	}
	v.claims[claim], v.places[place] = true, true
	if j.Value == "" {
		return
	}
	index := IndexJWT(claim, j.Value)
	if v.values[index]++; v.values[index] == maxCandidates+1 {
		v.fault(at.key("value"), "is shared by more than %d consumers; write another value", maxCandidates)
	}
}

// rule refuses a consumer that no token could tell from another.
func (v *validator) rule(at spot, consumer string, j *JWTCredential, keys []oauth.Key) {
	source := []string{"url", j.JWKSURL}
	if j.JWKS != "" {
		source = []string{"text", string(j.JWKS)}
	}
	if len(keys) > 0 {
		source = []string{"keys"}
		for _, k := range keys {
			source = append(source, k.Thumbprint)
		}
		slices.Sort(source[1:])
	}
	audience := slices.Sorted(slices.Values(j.Audience))
	digest := seal.Digest(j.ClaimName(), j.Value, j.Place().String(), j.Issuer,
		seal.Digest(audience...), seal.Digest(source...))
	if other, twice := v.rules[digest]; twice {
		v.fault(at, "is the same rule as that of the consumer %q: no token could tell them apart; "+
			"write another value, issuer, audience or place", other)
		return
	}
	v.rules[digest] = consumer
}

func (v *validator) global(g *GlobalAuthentication) {
	if g == nil {
		return
	}
	at := spot("global_authentication")
	v.status(at.key("status"), g.Status)
	v.keySource(at, g.JWKSURL, g.JWKS)
	v.wrong(at.key("issuer"), judgeWord(g.Issuer))
	v.wrong(at.key("subject"), judgeWord(g.Subject))
	v.audience(at.key("audience"), g.Audience)
	if g.Header != "" {
		v.wrong(at.key("header"), judgeInboundHeader(g.Header))
	}
	if g.Prefix != nil {
		v.wrong(at.key("prefix"), judgePrefix(*g.Prefix))
	}
	v.claimsToHeaders(at.key("claims_to_headers"), g.ClaimsToHeaders)
	v.oneOf(at.key("mode"), g.Mode, "whitelist", "blacklist")
	for i, r := range g.Rules {
		rule := at.key("rules").item(i)
		v.oneOf(rule.key("match"), r.Match, MatchPrefix, MatchExact, MatchSuffix, MatchRegex)
		v.wrong(rule.key("path"), judgeRulePath(r))
		if r.Domain != "" && r.Domain != "*" {
			known(v, rule.key("domain"), "a domain", lower(r.Domain), v.byDomain)
		}
	}
}
