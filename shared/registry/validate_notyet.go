package registry

// What the file's schema knows and this version does not do is refused here, so that no setting is accepted
// and has no effect. A version that builds a part deletes its line.

func (v *validator) notYet(at spot, written bool, what string) {
	if written {
		v.fault(at, "%s is not part of this version yet; leave it out", what)
	}
}

func (v *validator) notYetClient(at spot, c *Client) {
	v.oneOf(at.key("dpop"), c.DPoP, "off", "optional", "required")
	v.notYet(at.key("dpop"), c.DPoP == "optional" || c.DPoP == "required", "DPoP")
}

func (v *validator) notYetUpstream(at spot, u *Upstream) {
	v.notYet(at.key("api_keys"), len(u.APIKeys) > 1, "more than one API key of an upstream")
	if u.Auth != nil {
		v.notYet(at.key("auth").key("sigv4"), u.Auth.SigV4 != nil, "AWS Signature Version 4")
		v.notYet(at.key("auth").key("oauth"), u.Auth.OAuth != nil, "OAuth towards an upstream")
	}
}

func (v *validator) notYetAPI(at spot, a *API) {
	v.notYet(at.key("resource_server"), a.ResourceServer != "", "an API's resource server")
	v.notYet(at.key("scopes"), a.Scopes != nil, "a scope that an API requires")
	v.notYet(at.key("upstreams"), len(a.Upstreams) > 1, "more than one upstream of an API")
	for i, t := range a.Upstreams {
		target := at.key("upstreams").item(i)
		v.notYet(target.key("models"), t.Models != nil, "renaming a model")
		v.notYet(target.key("order"), t.Order > 1, "an order of upstreams")
		v.notYet(target.key("weight"), t.Weight > 1, "the weight of an upstream")
	}
	v.notYet(at.key("retries"), a.Retries != nil, "a retry at another upstream")
	v.notYet(at.key("on_client_gone"), a.OnClientGone == "drain", "reading on when the caller is gone")
	v.notYet(at.key("max_tokens_default"), a.MaxTokensDefault != 0, "a default bound of model tokens")
	v.notYet(at.key("concurrency"), a.Concurrency != 0, "a bound of calls at once")
	v.notYet(at.key("cache"), a.Cache != nil, "a cache of answers")
	v.notYet(at.key("cors"), a.CORS != nil, "CORS")
}

func (v *validator) notYetLimits(at spot, l *Limits) {
	const tokens, spend = "a limit of model tokens", "a limit of money"
	v.notYet(at.key("tokens_per_minute"), l.TokensPerMinute != 0, tokens)
	v.notYet(at.key("tokens_per_hour"), l.TokensPerHour != 0, tokens)
	v.notYet(at.key("tokens_per_day"), l.TokensPerDay != 0, tokens)
	v.notYet(at.key("tokens_per_month"), l.TokensPerMonth != 0, tokens)
	v.notYet(at.key("spend_per_day"), l.SpendPerDay != "", spend)
	v.notYet(at.key("spend_per_month"), l.SpendPerMonth != "", spend)
	v.notYet(at.key("rate"), l.Rate != nil, "smoothing of calls")
	v.notYet(at.key("shadow"), l.Shadow, "a limit that only reports")
	v.notYet(at.key("models"), l.Models != nil, "a limit by model")
}

func (v *validator) notYetConsumer(at spot, c *Consumer) {
	v.notYet(at.key("upstream_keys"), c.UpstreamKeys != nil, "a consumer's own provider key")
	if c.JWT != nil {
		v.notYet(at.key("jwt").key("require_dpop"), c.JWT.RequireDPoP, "DPoP")
	}
	for i, a := range c.Authorizations {
		authorization := at.key("authorizations").item(i)
		v.notYet(authorization.key("tools"), a.Tools != nil, "an authorization by tool")
	}
}

func (v *validator) notYetPrices(prices []Price) {
	v.notYet("prices", prices != nil, "the cost of usage")
}
