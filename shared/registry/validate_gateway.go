package registry

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// validHost is a host name in lower case, or a suffix behind "*." (RFC 952, 1123; an underscore is common in
// private zones).
// It is compiled when the first file is validated: a function that only serves never does.
var validHost = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(\*\.)?[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$`)
})

const maxHost = 253 // RFC 1035 §2.3.4, without the last dot

func (v *validator) domains(list []Domain) {
	seen := map[string]bool{}
	for i := range list {
		d, at := &list[i], spot("domains").item(i)
		host := lower(d.Name)
		switch {
		case host == "":
			v.fault(at.key("name"), "is required and not empty")
		case len(host) > maxHost || !validHost().MatchString(host):
			v.fault(at.key("name"), "is not a host; write ai.example.com or *.example.com without scheme and port")
		case seen[host]:
			v.fault(at.key("name"), "%q stands twice; letter case does not count", host)
		}
		seen[host] = true
		if d.DailyCallLimit != nil && *d.DailyCallLimit < 0 {
			v.fault(at.key("daily_call_limit"), "is negative; write a positive number, or 0 for none")
		}
		v.zone(at.key("time_zone"), d.TimeZone)
	}
}

func (v *validator) upstreams(list []Upstream) {
	seen := map[string]bool{}
	for i := range list {
		u, at := &list[i], spot("upstreams").item(i)
		v.name(at.key("name"), u.Name, seen)
		if u.Protocol == "" {
			v.fault(at.key("protocol"), "is required; write openai, anthropic, mcp or http")
		}
		v.oneOf(at.key("protocol"), u.Protocol, OpenAI, Anthropic, MCP, HTTP)
		v.required(at.key("base_url"), u.BaseURL, judgeBaseURL)
		for n, key := range u.APIKeys {
			v.wrong(at.key("api_keys").item(n), judgeAPIKey(key))
		}
		v.upstreamAuth(at.key("auth"), u)
		v.upstreamHeaders(at.key("headers"), u.Headers)
	}
}

func (v *validator) required(at spot, text string, judge func(string) string) {
	if text == "" {
		v.fault(at, "is required and not empty")
		return
	}
	v.wrong(at, judge(text))
}

func judgeAPIKey(key Secret) string {
	if sealed, is := strings.CutPrefix(string(key), sealedPrefix); is {
		return judgeSealed(sealed)
	}
	switch {
	case key == "":
		return "is an empty key; write the provider's key, or leave api_keys out"
	case strings.HasPrefix(string(key), hashPrefix):
		return "is a hash, which cannot be sent to a provider; write the key itself, or its sealed form"
	}
	return judgeHeaderValue(string(key))
}

func (v *validator) upstreamHeaders(at spot, headers map[string]string) {
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		v.wrong(at.key(name), judgeHeader(name))
		v.wrong(at.key(name), judgeHeaderValue(headers[name]))
		if lower(name) == "authorization" {
			v.fault(at.key(name), "is where a credential stands; write the key into api_keys, which is sealed")
		}
		if seen[lower(name)] {
			v.fault(at.key(name), "stands twice; letter case does not count in a header's name")
		}
		seen[lower(name)] = true
	}
}

func (v *validator) apis(list []API) {
	seen, taken := map[string]bool{}, map[string]*claimants{}
	for i := range list {
		a, at := &list[i], spot("apis").item(i)
		v.name(at.key("name"), a.Name, seen)
		if a.Type == "" {
			v.fault(at.key("type"), "is required; write llm, mcp or http")
		}
		v.oneOf(at.key("type"), a.Type, LLM, MCP, HTTP)
		v.oneOf(at.key("status"), a.Status, "published", "draft")
		v.unique(at.key("domains"), a.Domains)
		for n, domain := range a.Domains {
			known(v, at.key("domains").item(n), "a domain", lower(domain), v.byDomain)
		}
		v.basePath(at.key("base_path"), a, taken)
		v.authentication(at.key("authentication"), a.Authentication)
		if a.ResourceServer != "" {
			v.boundServer(at.key("resource_server"), a.ResourceServer)
		}
		v.requiredScopes(at.key("scopes"), a.Scopes)
		v.targets(at.key("upstreams"), a)
		v.oneOf(at.key("on_client_gone"), a.OnClientGone, "cancel", "drain")
		v.positive(at.key("max_tokens_default"), a.MaxTokensDefault)
		v.positive(at.key("body_max_bytes"), a.BodyMaxBytes)
		v.positive(at.key("concurrency"), a.Concurrency)
		v.forwarding(at, a)
		v.cache(at.key("cache"), a)
		v.limits(at.key("limits"), a.Limits)
	}
}

// claimants are the published APIs that have one base path: on all domains, or by domain.
type claimants struct {
	all      string
	byDomain map[string]string
	any      string // one of them
}

func (v *validator) basePath(at spot, a *API, taken map[string]*claimants) {
	if judgement := judgeBasePath(a.BasePath); judgement != "" {
		v.fault(at, "%s", judgement)
		return
	}
	segments := strings.Split(a.BasePath, "/")
	ofInstance := len(segments) > 2 && segments[2] == "oauth2" && v.byID[segments[1]] != nil
	if segments[1] == "_" || segments[1] == ".well-known" || ofInstance {
		v.fault(at, "is where the gateway's own endpoints stand; write another path")
		return
	}
	if !a.Published() {
		return
	}
	c := taken[a.BasePath]
	if c == nil {
		c = &claimants{byDomain: map[string]string{}}
		taken[a.BasePath] = c
	}
	if other := c.clash(a); other != "" {
		v.fault(at, "is the base path of the API %q on the same domain too; write another path or domain", other)
		return
	}
	c.any = a.Name
	if len(a.Domains) == 0 {
		c.all = a.Name
	}
	for _, domain := range a.Domains {
		c.byDomain[lower(domain)] = a.Name
	}
}

func (c *claimants) clash(a *API) string {
	if c.all != "" || len(a.Domains) == 0 {
		if c.all != "" {
			return c.all
		}
		return c.any
	}
	for _, domain := range a.Domains {
		if other := c.byDomain[lower(domain)]; other != "" {
			return other
		}
	}
	return ""
}

func (v *validator) authentication(at spot, a *Authentication) {
	if a == nil || a.Disabled {
		return
	}
	if len(a.Methods) == 0 {
		v.fault(at.key("methods"), "is empty; write some of jwt, api_key, hmac, or leave authentication out")
		return
	}
	v.unique(at.key("methods"), a.Methods)
	for i, method := range a.Methods {
		if method == "" {
			v.fault(at.key("methods").item(i), "is empty; write jwt, api_key or hmac")
		}
		v.oneOf(at.key("methods").item(i), method, MethodJWT, MethodAPIKey, MethodHMAC)
	}
}

func (v *validator) boundServer(at spot, identifier string) {
	var all []string
	for _, in := range v.byID {
		if in.ResourceServer(identifier) != nil && identifier != AdminServer {
			return
		}
		for _, rs := range in.ResourceServers {
			all = append(all, rs.Identifier)
		}
	}
	v.dangling(at, "a resource server", identifier, all)
}

func (v *validator) targets(list spot, a *API) {
	seen := map[string]bool{}
	for i, t := range a.Upstreams {
		at := list.item(i).key("upstream")
		u := v.byUpstream[t.Upstream]
		switch {
		case u == nil:
			known(v, at, "an upstream", t.Upstream, v.byUpstream)
		case seen[t.Upstream]:
			v.fault(at, "%q stands twice; write it once", t.Upstream)
		case !speaks(a.Type, u.Protocol):
			v.fault(at, "speaks another protocol than the API; llm needs openai or anthropic, mcp mcp, http http")
		}
		seen[t.Upstream] = true
		v.positive(list.item(i).key("order"), t.Order)
		v.positive(list.item(i).key("weight"), t.Weight)
	}
}

// speaks reports whether an API of the type can stand on an upstream of the protocol. What is not a type or
// a protocol is another fault.
func speaks(kind, protocol string) bool {
	switch kind {
	case LLM:
		return protocol != MCP && protocol != HTTP
	case MCP:
		return protocol != OpenAI && protocol != Anthropic && protocol != HTTP
	case HTTP:
		return protocol != OpenAI && protocol != Anthropic && protocol != MCP
	}
	return true
}

func (v *validator) groups(list []Group) {
	seen := map[string]bool{}
	for i := range list {
		at := spot("groups").item(i)
		v.name(at.key("name"), list[i].Name, seen)
		v.limits(at.key("limits"), list[i].Limits)
	}
}

func (v *validator) limits(at spot, l *Limits) {
	if l == nil {
		return
	}
	v.zone(at.key("time_zone"), l.TimeZone)
	v.positive(at.key("calls_per_minute"), l.CallsPerMinute)
	v.positive(at.key("calls_per_hour"), l.CallsPerHour)
	v.positive(at.key("calls_per_day"), l.CallsPerDay)
	v.positive(at.key("calls_per_month"), l.CallsPerMonth)
	v.usageLimits(at, l)
}
