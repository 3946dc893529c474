package registry

import "time"

// tokenExchange judges whose tokens a client may exchange.
func (v *validator) tokenExchange(list spot, in *Instance, c *Client) {
	trusted := c.TokenExchange
	if trusted != nil && len(trusted) == 0 {
		v.fault(list, "is empty; write whose tokens the client may exchange, or leave it out")
	}
	if len(trusted) > maxFederated {
		v.fault(list, "has more than %d items; make another client", maxFederated)
	}
	seen := map[string]bool{}
	for i := range trusted {
		s, at := &trusted[i], list.item(i)
		v.name(at.key("name"), s.Name, seen)
		v.status(at.key("status"), s.Status)
		if s.MaxAge != 0 && (s.MaxAge < Duration(time.Minute) || s.MaxAge > Duration(maxFederatedAge)) {
			v.fault(at.key("max_age"), "is not from 1m to 24h; write such as 20m")
		}
		v.conditions(at, s.Credential())
		v.exchangeScopes(at.key("scopes"), c, s.Scopes)
		if s.Issuer == IssuerSelf {
			v.ownSubjects(at, in, s)
			continue
		}
		v.required(at.key("issuer"), s.Issuer, judgeSubjectIssuer)
		v.required(at.key("audience"), s.Audience, judgeExact)
		v.keysOf(at, s)
	}
}

func judgeSubjectIssuer(text string) string {
	if judgement := judgeIssuer(text); judgement != "" {
		return judgement + ", or self for tokens of this instance"
	}
	return ""
}

// keysOf judges where the issuer's keys come from: one place, or discovery.
func (v *validator) keysOf(at spot, s *SubjectIssuer) {
	if s.JWKSURL != "" {
		v.wrong(at.key("jwks_url"), judgeURL(s.JWKSURL))
		if len(s.JWKS) > 0 {
			v.fault(at.key("jwks_url"), "stands beside jwks; write one of them, or neither to find the keys by discovery")
		}
	}
	v.publicSet(at.key("jwks"), s.JWKS)
}

// ownSubjects judges trust in tokens of the client's own instance, whose keys are known.
func (v *validator) ownSubjects(at spot, in *Instance, s *SubjectIssuer) {
	const own = "has no effect beside issuer: self, whose keys are the instance's; leave it out"
	if s.JWKSURL != "" {
		v.fault(at.key("jwks_url"), own)
	}
	if len(s.JWKS) > 0 {
		v.fault(at.key("jwks"), own)
	}
	if s.Audience == AdminServer {
		v.fault(at.key("audience"), "is the admin API, whose tokens are for it alone; write another")
		return
	}
	if in.ResourceServer(s.Audience) != nil {
		return
	}
	var all []string
	for _, rs := range in.ResourceServers {
		all = append(all, rs.Identifier)
	}
	v.dangling(at.key("audience"), "a resource server of this instance", s.Audience, all)
}

// exchangeScopes judges what a token may be exchanged for: some of what the client may ask for.
func (v *validator) exchangeScopes(list spot, c *Client, scopes []string) {
	v.unique(list, scopes)
	may := map[string]bool{}
	for _, p := range c.Permissions {
		for _, scope := range p.Scopes {
			may[scope] = true
		}
	}
	for i, scope := range scopes {
		known(v, list.item(i), "a scope of the client's permissions", scope, may)
	}
}
