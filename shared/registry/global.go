package registry

import (
	"fmt"
	"regexp"

	"keyless/shared/oauth"
)

// GlobalAuthentication is one issuer for everybody, on every API whose own authentication is disabled.
type GlobalAuthentication struct {
	Status          Status          `json:"status,omitempty"`
	JWKSURL         string          `json:"jwks_url,omitempty"`
	JWKS            Secret          `json:"jwks,omitempty"`
	Issuer          string          `json:"issuer,omitempty"`
	Subject         string          `json:"subject,omitempty"`
	Audience        Strings         `json:"audience,omitempty"`
	Header          string          `json:"header,omitempty"`
	Prefix          *string         `json:"prefix,omitempty"`
	MaxLifetime     Duration        `json:"max_lifetime,omitempty"`
	PassToken       bool            `json:"pass_token,omitempty"`
	ClaimsToHeaders []ClaimToHeader `json:"claims_to_headers,omitempty"`
	Mode            string          `json:"mode,omitempty"`
	Rules           []Rule          `json:"rules,omitempty"`

	keys []oauth.Key // of JWKS, parsed when the Snapshot is read
}

// Keys returns the verification keys of an inline JWK Set; none where the keys stand at a URL.
func (g *GlobalAuthentication) Keys() []oauth.Key { return g.keys }

// Place returns where the token stands in a request.
func (g *GlobalAuthentication) Place() Place {
	name := BearerPlace.Name
	if g.Header != "" {
		name = lower(g.Header)
	}
	return Place{In: InHeader, Name: name, Prefix: prefixOr(g.Prefix, DefaultPrefix)}
}

// Rule selects requests by domain and path.
type Rule struct {
	Domain string `json:"domain,omitempty"`
	Path   string `json:"path,omitempty"`
	Match  string `json:"match,omitempty"` // prefix (default), exact, suffix or regex

	pattern *regexp.Regexp // of Path where Match is regex, compiled when the Snapshot is read
}

// The ways in which the path of a Rule selects.
const (
	MatchPrefix = "prefix"
	MatchExact  = "exact"
	MatchSuffix = "suffix"
	MatchRegex  = "regex"
)

// Matches reports whether the regular expression of a Rule of a Snapshot matches the whole path.
func (r Rule) Matches(path string) bool { return r.pattern != nil && r.pattern.MatchString(path) }

// compilePattern reads a regular expression of RE2 that must match a path as a whole. It must be one by itself too, or "a)|(?:b" would
// leave the group; and as it is compiled, or a \Q without \E would swallow the group's end.
func compilePattern(text string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(text); err != nil {
		return nil, err
	}
	return regexp.Compile(`^(?:` + text + `)$`)
}

func (g *GlobalAuthentication) compile() error {
	for i, rule := range g.Rules {
		if rule.Match != MatchRegex {
			continue
		}
		pattern, err := compilePattern(rule.Path)
		if err != nil {
			return fmt.Errorf("read rule %d: %w", i, err)
		}
		g.Rules[i].pattern = pattern
	}
	return nil
}
