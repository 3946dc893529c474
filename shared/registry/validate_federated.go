package registry

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// maxFederated bounds the credentials of one client, each of which a token may have to be compared with; Microsoft
	// Entra has the same limit.
	maxFederated = 20
	// maxFederatedClaims bounds the conditions of one.
	maxFederatedClaims = 16
	// maxStars bounds a pattern's wildcards, and so what comparing costs.
	maxStars = 8
	// maxFederatedAge is the longest that anybody's identity token lives.
	maxFederatedAge = 24 * time.Hour
)

func (v *validator) federated(list spot, c *Client, takes bool) {
	switch {
	case takes && len(c.FederatedCredentials) == 0:
		v.fault(list, "is required by the authentication federated; write whose identity token proves the client")
	case !takes && c.FederatedCredentials != nil:
		v.fault(list, "has no effect on this client; add federated to its authentication, or leave it out")
	case len(c.FederatedCredentials) > maxFederated:
		v.fault(list, "has more than %d items; make another client", maxFederated)
	}
	seen := map[string]bool{}
	for i := range c.FederatedCredentials {
		f, at := &c.FederatedCredentials[i], list.item(i)
		v.name(at.key("name"), f.Name, seen)
		v.status(at.key("status"), f.Status)
		v.oneOf(at.key("type"), f.Type, FederatedOIDC, FederatedPKCS7, FederatedPrivateCA)
		v.certificates(at.key("certificates"), f.Certificates)
		if f.MaxAge != 0 && (f.MaxAge < Duration(time.Minute) || f.MaxAge > Duration(maxFederatedAge)) {
			v.fault(at.key("max_age"), "is not from 1m to 24h; write such as 20m")
		}
		v.conditions(at, f)
		switch f.Kind() {
		case FederatedOIDC:
			v.federatedOIDC(at, f)
		case FederatedPKCS7:
			v.federatedDocument(at, f)
		case FederatedPrivateCA:
			v.federatedAuthority(at, f)
		}
	}
}

// conditions judges what a credential compares.
func (v *validator) conditions(at spot, f *FederatedCredential) {
	if f.Subject != "" {
		v.wrong(at.key("subject"), judgePattern(f.Subject))
	}
	if len(f.Claims) > maxFederatedClaims {
		v.fault(at.key("claims"), "has more than %d conditions; remove some", maxFederatedClaims)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Claims)) {
		one, pattern := at.key("claims").key(name), f.Claims[name]
		v.wrong(one, judgeWord(name))
		if pattern == "" {
			v.fault(one, "is empty; write the value that the claim must have")
			continue
		}
		v.wrong(one, judgePattern(pattern))
	}
}

// judgePattern refuses a pattern that would trust everybody.
func judgePattern(pattern string) string {
	switch {
	case judgeWord(pattern) != "":
		return judgeWord(pattern)
	case strings.Trim(pattern, "*:") == "":
		return "is nothing but *, which trusts everybody of the issuer; write what tells this client from others"
	case strings.Contains(pattern, "**"):
		return "has ** in it; one * stands for any characters but a colon"
	case strings.Count(pattern, "*") > maxStars:
		return "has more than 8 wildcards; write it more exactly"
	}
	return ""
}

// none refuses keys that a type does not read, so that no condition is believed to hold that is not looked at.
func (v *validator) none(at spot, kind string, written map[string]bool) {
	for _, key := range slices.Sorted(maps.Keys(written)) {
		if written[key] {
			v.fault(at.key(key), "has no effect on a credential of type %s; leave it out", kind)
		}
	}
}

func (v *validator) federatedOIDC(at spot, f *FederatedCredential) {
	v.none(at, FederatedOIDC, map[string]bool{"certificates": f.Certificates != nil})
	v.required(at.key("issuer"), f.Issuer, judgeIssuer)
	v.required(at.key("audience"), f.Audience, judgeExact)
	if f.Subject == "" {
		v.fault(at.key("subject"), "is required; write the sub of the token exactly, or with *")
	}
	if f.JWKSURL != "" {
		v.wrong(at.key("jwks_url"), judgeURL(f.JWKSURL))
		if len(f.JWKS) > 0 {
			v.fault(at.key("jwks_url"), "stands beside jwks; write one of them, "+
				"or neither to find the keys by discovery")
		}
	}
	v.publicSet(at.key("jwks"), f.JWKS)
}

func judgeExact(text string) string {
	if strings.Contains(text, "*") {
		return "has a * in it, and is compared exactly; write the whole value"
	}
	return judgeWord(text)
}

// judgeIssuer judges an issuer as OpenID Connect Discovery 1.0 §3 has it: https, no query, no fragment. Plain http is
// left to the guard of the fetch, which allows it at one's own addresses only.
func judgeIssuer(text string) string {
	if judgement := judgeURL(text); judgement != "" {
		return judgement
	}
	if judgement := judgeExact(text); judgement != "" {
		return judgement
	}
	if u, err := url.Parse(text); err != nil || u.RawQuery != "" || u.ForceQuery {
		return "has a query; write the issuer as it stands in the token's iss"
	}
	return ""
}

func (v *validator) federatedDocument(at spot, f *FederatedCredential) {
	v.none(at, FederatedPKCS7, map[string]bool{
		"issuer": f.Issuer != "", "jwks": len(f.JWKS) > 0, "jwks_url": f.JWKSURL != "", "subject": f.Subject != "",
	})
	v.required(at.key("audience"), f.Audience, judgeExact)
	v.trusted(at, f)
	if len(f.Claims) == 0 {
		v.fault(at.key("claims"), "is required; write what the document must say, such as {instance-id: i-…}")
	}
}

func (v *validator) federatedAuthority(at spot, f *FederatedCredential) {
	v.none(at, FederatedPrivateCA, map[string]bool{
		"issuer": f.Issuer != "", "jwks": len(f.JWKS) > 0, "jwks_url": f.JWKSURL != "", "audience": f.Audience != "",
		"max_age": f.MaxAge != 0,
	})
	v.trusted(at, f)
	if f.Subject == "" && len(f.Claims) == 0 {
		v.fault(at.key("subject"), "is required unless there are claims; write the certificate's subject such as "+
			"CN=job,O=Acme")
	}
	for _, name := range slices.Sorted(maps.Keys(f.Claims)) {
		v.oneOf(at.key("claims").key(name), name, CertificateFacts...)
	}
}

// CertificateFacts are the names that the claims of a private_ca credential may have.
var CertificateFacts = []string{"subject_dn", "cn", "san_dns", "san_uri", "san_ip", "san_email", "serial_number"}

func (v *validator) trusted(at spot, f *FederatedCredential) {
	if len(f.Certificates) == 0 {
		v.fault(at.key("certificates"), "is required; write the certificates that are trusted, in PEM")
	}
}
