package registry

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"keyless/shared/oauth"
)

// How an upstream is told who calls, and what of its answers an API keeps.

// MaxCacheTTL bounds how long an answer is kept: models change, and a store is not to fill up with what nobody asks again.
const MaxCacheTTL = 7 * 24 * time.Hour

// upstreamAuth judges the one way in which an upstream is told who calls.
func (v *validator) upstreamAuth(at spot, u *Upstream) {
	a := u.Auth
	if a == nil {
		return
	}
	ways := 0
	for _, is := range []bool{a.Header != "" || a.Prefix != "", a.SigV4 != nil, a.OAuth != nil} {
		if is {
			ways++
		}
	}
	switch {
	case ways > 1:
		v.fault(at, "has more than one of header, sigv4 and oauth; write the one that the upstream takes")
	case a.SigV4 != nil:
		v.sigV4(at.key("sigv4"), a.SigV4)
	case a.OAuth != nil:
		v.upstreamOAuth(at.key("oauth"), a.OAuth)
	case a.Header == "":
		v.fault(at.key("header"), "is required; write the header that carries the key, or leave auth out")
	default:
		v.wrong(at.key("header"), judgeHeader(a.Header))
	}
	v.wrong(at.key("prefix"), judgePrefix(a.Prefix))
	if len(u.APIKeys) > 0 && (a.SigV4 != nil || a.OAuth != nil) {
		v.fault(at, "stands beside api_keys, of which only one can be sent; leave one of them out")
	}
}

// sigV4 judges the members of a signature's scope. A region that is absent is the function's own.
func (v *validator) sigV4(at spot, members map[string]string) {
	v.members(at, slices.Sorted(maps.Keys(members)), "service", "region")
	if members["service"] == "" {
		v.fault(at.key("service"), "is required and not empty; write the service's signing name such as bedrock")
	}
	for _, name := range []string{"service", "region"} {
		if !isSigningName(members[name]) {
			v.fault(at.key(name), "is no signing name; write small letters, digits and - such as bedrock or us-east-1")
		}
	}
}

// isSigningName reports whether a text can stand between the slashes of a credential scope; "" can be told apart.
func isSigningName(text string) bool {
	return len(text) <= 64 && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// upstreamOAuth judges how a token for an upstream is asked for. The token endpoint is the operator's choice as a base URL is.
func (v *validator) upstreamOAuth(at spot, members map[string]Secret) {
	v.members(at, slices.Sorted(maps.Keys(members)),
		"token_url", "client_id", oauthSecret, "scope", "audience", "resource")
	v.required(at.key("token_url"), members["token_url"].Reveal(), judgeURL)
	v.required(at.key("client_id"), members["client_id"].Reveal(), judgeIdentification)
	v.required(at.key(oauthSecret), members[oauthSecret].Reveal(), func(text string) string {
		if strings.HasPrefix(text, hashPrefix) {
			return "is a hash, which cannot be sent; write the secret itself, or its sealed form"
		}
		if sealed, is := strings.CutPrefix(text, sealedPrefix); is {
			return judgeSealed(sealed)
		}
		return judgeIdentification(text)
	})
	if scope := members["scope"].Reveal(); scope != "" {
		for word := range strings.SplitSeq(scope, " ") {
			if !oauth.ValidScope(word) {
				v.fault(at.key("scope"), "is no list of scopes; write them with one space between")
				break
			}
		}
	}
	v.wrong(at.key("audience"), judgeWord(members["audience"].Reveal()))
	if resource := members["resource"].Reveal(); resource != "" {
		u, err := url.Parse(resource)
		if err != nil || !u.IsAbs() || strings.Contains(resource, "#") {
			v.fault(at.key("resource"), "is no absolute URI without a fragment (RFC 8707); write one, or use audience")
		}
	}
}

// judgeIdentification judges RFC 6749 appendix A.1 and A.2: printable ASCII.
func judgeIdentification(text string) string {
	if len(text) > maxSecret || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "has a character that is not printable ASCII, or more than 8 KiB; write what the token endpoint knows"
	}
	return ""
}

// members judges the names of an object whose members are not fields.
func (v *validator) members(at spot, names []string, known ...string) {
	for _, name := range names {
		if !slices.Contains(known, name) {
			v.fault(at.key(name), "is not known; write some of %s", strings.Join(known, ", "))
		}
	}
}

// cache judges how long an API keeps answers.
func (v *validator) cache(at spot, a *API) {
	switch {
	case a.Cache == nil:
	case a.Type != LLM:
		v.fault(at, "keeps the answers of models, which only an API of type llm has; leave it out")
	case a.Cache.TTL <= 0:
		v.fault(at.key("ttl"), "is required and above 0; write how long an answer is kept, such as 10m, or leave cache out")
	case time.Duration(a.Cache.TTL) > MaxCacheTTL:
		v.fault(at.key("ttl"), "is above 7d; write at most that")
	}
}
