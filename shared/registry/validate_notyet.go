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
}

func (v *validator) notYetUpstream(at spot, u *Upstream) {
	if u.Auth != nil {
		v.notYet(at.key("auth").key("sigv4"), u.Auth.SigV4 != nil, "AWS Signature Version 4")
		v.notYet(at.key("auth").key("oauth"), u.Auth.OAuth != nil, "OAuth towards an upstream")
	}
}

func (v *validator) notYetAPI(at spot, a *API) {
	v.notYet(at.key("cache"), a.Cache != nil, "a cache of answers")
}

func (v *validator) notYetConsumer(at spot, c *Consumer) {
	for i, a := range c.Authorizations {
		authorization := at.key("authorizations").item(i)
		v.notYet(authorization.key("tools"), a.Tools != nil, "an authorization by tool")
	}
}
