package admin

import (
	"cmp"
	"slices"
	"strings"

	"keyless/shared/registry"
)

// The names that the gate's trace gives to steps, where a remedy rests on one.
const (
	stepRules     = "rules of "
	stepSignature = "signature for "
	severalFact   = "more than one"
)

func tokenMissing(i *inquiry) string {
	return "send a token in " + i.places(i.tokenPlaces()) + i.takes()
}

func (i *inquiry) tokenPlaces() []registry.Place {
	switch {
	case i.view.Snapshot == nil:
		return []registry.Place{registry.BearerPlace}
	case i.decision.API.Open() && i.view.Global != nil:
		return []registry.Place{i.view.Global.Place()}
	case len(i.view.JWTPlaces) == 0:
		return []registry.Place{registry.BearerPlace}
	}
	return i.view.JWTPlaces
}

// tokenInvalid goes through the steps, for every consumer that the token names failed for a reason of its own.
func tokenInvalid(i *inquiry) string {
	var ways []string
	for _, s := range i.decision.Trace {
		if way := i.tokenStep(s.Name, s.Fact); way != "" {
			ways = append(ways, way)
		}
	}
	ways = append(ways, i.hidden...)
	return cmp.Or(strings.Join(slices.Compact(ways), "; or "), "get a new token from the issuer and send it whole")
}

// tokenStep is the remedy for one step; "" where the step does not refuse.
func (i *inquiry) tokenStep(name, fact string) string {
	if consumer, is := strings.CutPrefix(name, stepRules); is {
		if c := i.known[consumer]; c != nil && c.JWT != nil {
			return ruleRemedy(fact, c.JWT, "consumer "+consumer)
		}
	}
	if consumer, is := strings.CutPrefix(name, stepSignature); is {
		return "send a token that a key of consumer " + consumer + " signed: " + i.keysAt(consumer)
	}
	switch {
	case strings.HasPrefix(fact, severalFact):
		return oneCredential(i)
	case name == "DPoP proof" && !strings.HasPrefix(fact, "fits"):
		return "make a proof for each request anew, with the key that the token is bound to: for the URL as it is called, its method, " +
			"this token (ath) and the time. What is wrong with this one: " + fact
	case name == "rules":
		return ruleRemedy(fact, globalRule(i.view.Global), "global_authentication")
	case name == "signature":
		return "send a token that a key of global_authentication signed"
	case name == "token" && !strings.HasPrefix(fact, "verifies"):
		return "send a JWT in compact form, whole and unchanged, one space after Bearer; get it anew where in doubt. " +
			"What is wrong with this one: " + fact
	case name == "consumer" && len(i.hidden) == 0:
		return "send a token of a consumer that exists: the gateway looks for one by " + strings.Join(i.claims(), ", ") +
			"; or give the consumer this token's value as jwt.value, and the claim's name as jwt.claim"
	}
	return ""
}

func (i *inquiry) claims() []string {
	if i.view.Snapshot == nil || len(i.view.Claims) == 0 {
		return []string{registry.DefaultClaim}
	}
	return i.view.Claims
}

// keysAt says where a consumer's keys stand.
func (i *inquiry) keysAt(consumer string) string {
	c := i.known[consumer]
	switch {
	case c == nil || c.JWT == nil:
		return "those of its configuration"
	case c.JWT.JWKSURL != "":
		return "those at its jwks_url; where they changed a moment ago, keyless keys refresh fetches them anew"
	}
	return "those in its jwks; replace them where the issuer has new ones"
}

// globalRule is what global authentication asks of a token, in the form of a consumer's.
func globalRule(g *registry.GlobalAuthentication) *registry.JWTCredential {
	if g == nil {
		return &registry.JWTCredential{}
	}
	return &registry.JWTCredential{Issuer: g.Issuer, Audience: g.Audience, MaxLifetime: g.MaxLifetime}
}

// ruleRemedy is for a rule that the gate found broken. Its fact begins with the claim or header member that breaks it.
func ruleRemedy(fact string, j *registry.JWTCredential, whose string) string {
	subject, _, _ := strings.Cut(fact, " ")
	switch subject {
	case "iss":
		return "get the token from issuer " + j.Issuer + ", or correct the issuer of " + whose
	case "aud":
		return "ask the issuer for a token whose aud has " + strings.Join(j.Audience, " or ") + ", or correct the audience of " + whose
	case "alg":
		return "have the token signed with " + strings.Join(j.Algorithms, " or ") + ", or add its algorithm to those of " + whose
	case "typ":
		return "ask the issuer for a token of type " + j.Type + ", or correct typ of " + whose
	case "resource_server:":
		return "ask our token endpoint for a token with resource=, the URL of the API, or audience=, the identifier of its resource server"
	case "not_before":
		return "get a new token: those that were issued earlier do not hold any more"
	case "require_dpop:":
		return "get a token that is bound to a key, by a proof in the header DPoP of the token request; or take require_dpop from " + whose
	case "sub":
		return "send the token of the one subject that global_authentication names, or take subject away from it"
	case "nbf", "iat":
		return "wait, or set the issuer's clock right: more than " + registry.Duration(j.SkewOr()).String() +
			" are not forgiven; or raise skew of " + whose
	case "exp":
		longest := registry.Duration(j.MaxLifetime.Or(registry.DefaultMaxLifetime))
		return "ask the issuer for a token that lives less than " + longest.String() + ", or raise max_lifetime of " + whose
	}
	return "see the rule that decided, " + fact + ", of " + whose
}
