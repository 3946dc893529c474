package token

import (
	"context"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// everything asks, behind an identifier and |, for all that is granted there, as Alibaba IDaaS clients do.
const everything = ".all"

// asked is what a request asks for.
type asked struct {
	target string   // the identifier in resource or audience, "" where there is none
	url    string   // what stood there in the place of the identifier
	server string   // the identifier in front of |, "" where there is none
	values []string // bare scope values, in the order asked
	all    bool     // everything granted at the one resource server
}

// granted is what a token is issued for. All but the first two are absent where they are the usual.
type granted struct {
	server   *registry.ResourceServer
	scopes   []string
	audience string // as it was asked for: the URL of an API of the resource server

	// Of a token exchange:
	subject    string
	actor      *oauth.Actor
	until      time.Time // no later than which the token expires
	issuedType string
}

// readAsked reads scope (RFC 6749 §3.3), resource (RFC 8707 §2) and audience. A scope token is a bare value,
// or identifier|value, or identifier|.all; all name at most one resource server.
func readAsked(f form) (asked, reason) {
	var a asked
	for _, resource := range f[paramResource] {
		if u, err := url.Parse(resource); err != nil || !u.IsAbs() || strings.Contains(resource, "#") {
			return a, malformedTarget
		}
	}
	for _, target := range slices.Concat(f[paramResource], f[paramAudience]) {
		if a.target != "" && a.target != target {
			return a, severalTargets
		}
		a.target = target
	}
	tokens, err := oauth.ParseScope(f.one(paramScope))
	if err != nil {
		return a, malformedScope
	}
	a.all = len(tokens) == 0
	for _, token := range tokens {
		if refused := a.add(token); refused != none {
			return a, refused
		}
	}
	return a, none
}

// locate finds the resource server whose API the target is the URL of (RFC 8707 §2); an identifier comes first. The
// token's audience is the URL as it was asked for, which is what the API knows itself by.
func (e *endpoint) locate(s *registry.Snapshot, instance string, a asked) (asked, reason) {
	if a.target != "" && s.Instances[instance].ResourceServer(a.target) == nil {
		if server := e.serverOf(s, instance, a.target); server != nil {
			a.target, a.url = server.Identifier, a.target
		}
	}
	if a.target != "" && a.server != "" && a.target != a.server {
		return a, severalTargets
	}
	return a, none
}

func (a *asked) add(token string) reason {
	identifier, value, qualified := strings.Cut(token, "|")
	if !qualified {
		identifier, value = "", token
	} else if identifier == "" || value == "" || strings.Contains(value, "|") {
		return malformedScope
	}
	if identifier != "" {
		if a.server != "" && a.server != identifier {
			return severalServers
		}
		a.server = identifier
	}
	if identifier != "" && value == everything {
		a.all = true
	} else if !slices.Contains(a.values, value) {
		a.values = append(a.values, value)
	}
	return none
}

// grant finds what a token may be issued for, by the grant type.
func (e *endpoint) grant(ctx context.Context, instance string, c caller) (granted, reason, error) {
	kind := c.form.one(paramGrantType)
	note(ctx, slog.String("grant_type", kind))
	asked, refused := readAsked(c.form)
	if refused == none {
		asked, refused = e.locate(c.snapshot, instance, asked)
	}
	if refused != none {
		return granted{}, refused, nil
	}
	grants := grantsOf(c.snapshot.Instances[instance], c.client)
	if kind == oauth.GrantTokenExchange {
		return e.exchange(ctx, instance, c, asked, grants)
	}
	g, refused := asked.resolve(grants)
	return g, refused, nil
}

// resolve compares what is asked with what may be granted. Exactly one resource server must result.
func (a asked) resolve(grants []granted) (granted, reason) {
	g, refused := a.choose(grants)
	if refused != none {
		return granted{}, refused
	}
	for _, value := range a.values {
		if !slices.Contains(g.scopes, value) {
			return granted{}, unknownScope
		}
	}
	if !a.all {
		g.scopes = a.values
	}
	g.audience = a.url
	return g, none
}

// choose finds the one resource server.
func (a asked) choose(grants []granted) (granted, reason) {
	if len(grants) == 0 {
		return granted{}, nothingGranted
	}
	if identifier, refused := a.named(); identifier != "" {
		for _, g := range grants {
			if g.server.Identifier == identifier {
				return g, none
			}
		}
		return granted{}, refused
	}
	var fitting []granted
	for _, g := range grants {
		if containsAll(g.scopes, a.values) {
			fitting = append(fitting, g)
		}
	}
	switch {
	case len(fitting) == 1:
		return fitting[0], none
	case len(fitting) == 0:
		return granted{}, unknownScope
	case len(a.values) == 0:
		return granted{}, ambiguousTarget
	}
	return granted{}, ambiguousScope
}

// named returns the identifier that the request names, and the refusal where the client has none of it.
func (a asked) named() (string, reason) {
	if a.target != "" {
		return a.target, unknownTarget
	}
	return a.server, unknownScope
}

// grantsOf returns, for each enabled resource server, the scopes that it offers and the client was granted.
func grantsOf(instance *registry.Instance, client *registry.Client) []granted {
	var grants []granted
	for _, server := range instance.Offered() {
		g := granted{server: server}
		for _, scope := range g.server.Scopes {
			if permitted(client, g.server.Identifier, scope.Value) {
				g.scopes = append(g.scopes, scope.Value)
			}
		}
		if g.server.Status.On() && len(g.scopes) > 0 {
			grants = append(grants, g)
		}
	}
	return grants
}

func permitted(client *registry.Client, identifier, scope string) bool {
	return slices.ContainsFunc(client.Permissions, func(p registry.Permission) bool {
		return p.ResourceServer == identifier && slices.Contains(p.Scopes, scope)
	})
}

func containsAll(list, values []string) bool {
	for _, value := range values {
		if !slices.Contains(list, value) {
			return false
		}
	}
	return true
}
