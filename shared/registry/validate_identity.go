package registry

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"keyless/shared/oauth"
)

// A token lives at least as long as clocks differ, and at most the day after which nobody would notice that a
// client was disabled.
const (
	minTokenLifetime = time.Minute
	maxTokenLifetime = 24 * time.Hour
)

// maxClientSecrets lets one secret follow another without a gap.
const maxClientSecrets = 2

// The values of secret_storage.
const (
	StorageSealed = "sealed"
	StorageHashed = "hashed"
)

func itoa(n int) string { return strconv.Itoa(n) }

func (v *validator) instances(list []Instance) {
	seen := map[string]bool{}
	for i := range list {
		in, at := &list[i], spot("instances").item(i)
		v.instanceID(at.key("id"), in.ID, seen)
		v.text(at.key("description"), in.Description, true, maxText)
		if in.PrivacyAgreement != accepted {
			v.fault(at.key("privacy_agreement"), "is required; write accepted once you have accepted it")
		}
		v.status(at.key("m2m"), in.M2M)
		v.lifetime(at.key("token_lifetime"), in.TokenLifetime)
		v.oneOf(at.key("signing_algorithm"), in.SigningAlgorithm, oauth.SigningAlgorithms...)
		v.oneOf(at.key("secret_storage"), in.SecretStorage, StorageSealed, StorageHashed)
		v.keyRotation(at.key("key_rotation"), in.KeyRotation)
		v.resourceServers(at.key("resource_servers"), in.ResourceServers)
		v.clients(at.key("clients"), in)
	}
}

func (v *validator) instanceID(at spot, id string, seen map[string]bool) {
	switch {
	case id == "":
		v.fault(at, "is required and not empty")
	case !oauth.ValidInstance(id):
		v.fault(at, "is not an instance's id; write 1 to 63 of a-z 0-9 -, the first a letter or digit")
	case seen[id]:
		v.fault(at, "%q stands twice; give each instance an id of its own", id)
	}
	seen[id] = true
}

func (v *validator) lifetime(at spot, d Duration) {
	if d != 0 && (time.Duration(d) < minTokenLifetime || time.Duration(d) > maxTokenLifetime) {
		v.fault(at, "is not from 1m to 24h; write such as 20m")
	}
}

// A signing key signs for at least a day, so that a set has four keys at most, and for no longer than two years:
// NIST SP 800-57 part 1, table 1, has one to three for a private signature key.
const (
	minKeyRotation = 24 * time.Hour
	maxKeyRotation = 730 * 24 * time.Hour
)

func (v *validator) keyRotation(at spot, d Duration) {
	if d != 0 && (time.Duration(d) < minKeyRotation || time.Duration(d) > maxKeyRotation) {
		v.fault(at, "is not from 1d to 730d; write such as 90d")
	}
}

func (v *validator) resourceServers(list spot, servers []ResourceServer) {
	seen := map[string]bool{}
	for i := range servers {
		rs, at := &servers[i], list.item(i)
		if judgement := judgeIdentifier(rs.Identifier); judgement != "" {
			v.fault(at.key("identifier"), "%s", judgement)
		} else if rs.Identifier == AdminServer {
			v.fault(at.key("identifier"), "is that of the admin API, which every instance has; write another")
		} else if seen[rs.Identifier] {
			v.fault(at.key("identifier"), "%q stands twice in the instance; write another", rs.Identifier)
		}
		seen[rs.Identifier] = true
		v.text(at.key("name"), rs.Name, true, maxTitle)
		v.status(at.key("status"), rs.Status)
		v.lifetime(at.key("token_lifetime"), rs.TokenLifetime)
		v.scopes(at.key("scopes"), rs.Scopes)
	}
}

func (v *validator) scopes(list spot, scopes []Scope) {
	seen := map[string]bool{}
	for i, s := range scopes {
		at := list.item(i)
		switch {
		case s.Value == ".all":
			v.fault(at.key("value"), "is .all, which asks for all scopes; write another")
		case judgeIdentifier(s.Value) != "":
			v.fault(at.key("value"), "%s", judgeIdentifier(s.Value))
		case seen[s.Value]:
			v.fault(at.key("value"), "%q stands twice in the resource server; write it once", s.Value)
		}
		seen[s.Value] = true
		v.text(at.key("name"), s.Name, true, maxTitle)
	}
}

func (v *validator) clients(list spot, in *Instance) {
	seen, named := map[string]bool{}, map[string]int{}
	for i := range in.Clients {
		named[in.Clients[i].Name]++
	}
	for i := range in.Clients {
		c, at := &in.Clients[i], list.item(i)
		if c.ID != "" {
			v.name(at.key("id"), c.ID, seen)
		} else if named[c.Name] > 1 {
			v.fault(at.key("name"), "stands twice, and this client has no id to tell it by; write an id")
		}
		v.text(at.key("name"), c.Name, true, maxTitle)
		v.status(at.key("status"), c.Status)
		v.clientAuthentication(at.key("authentication"), c)
		v.clientSecrets(at.key("secrets"), c.Secrets)
		v.clientProof(at, in, c)
		v.tokenExchange(at.key("token_exchange"), in, c)
		v.oneOf(at.key("dpop"), c.DPoP, "off", "optional", "required")
		v.permissions(at.key("permissions"), in, c.Permissions)
	}
}

// clientMethods are those of RFC 7591 §2, RFC 8705 §2 and workload identity federation.
var clientMethods = []string{
	oauth.ClientSecretBasic, oauth.ClientSecretPost, oauth.ClientSecretJWT, oauth.PrivateKeyJWT,
	oauth.TLSClientAuth, oauth.SelfSignedTLSClientAuth, oauth.FederatedIdentity,
}

func (v *validator) clientAuthentication(list spot, c *Client) {
	v.unique(list, c.Authentication)
	for i, method := range c.Authentication {
		if !slices.Contains(clientMethods, method) {
			v.fault(list.item(i), "is not a way to authenticate; write one of: %s", strings.Join(clientMethods, ", "))
		}
	}
}

func (v *validator) clientSecrets(list spot, secrets []ClientSecret) {
	if len(secrets) > maxClientSecrets {
		v.fault(list, "has more than two secrets; remove the oldest")
	}
	seen := map[string]bool{}
	for i, s := range secrets {
		at := list.item(i)
		v.name(at.key("id"), s.ID, seen)
		v.wrong(at.key("value"), judgeSecret(s.Value))
		v.status(at.key("status"), s.Status)
	}
}

func (v *validator) permissions(list spot, in *Instance, permissions []Permission) {
	seen := map[string]bool{}
	for i, p := range permissions {
		at := list.item(i)
		rs := in.ResourceServer(p.ResourceServer)
		if rs == nil {
			var all []string
			for _, other := range in.ResourceServers {
				all = append(all, other.Identifier)
			}
			v.dangling(at.key("resource_server"), "a resource server of this instance", p.ResourceServer, all)
			continue
		}
		if seen[p.ResourceServer] {
			v.fault(at.key("resource_server"), "%q stands twice; write its scopes in one list", p.ResourceServer)
		}
		seen[p.ResourceServer] = true
		if p.Scopes == nil {
			v.fault(at.key("scopes"), "is required; write the scopes that the client may ask for")
		}
		v.unique(at.key("scopes"), p.Scopes)
		v.permissionScopes(at.key("scopes"), rs, p.Scopes)
	}
}

func (v *validator) permissionScopes(list spot, rs *ResourceServer, scopes []string) {
	offered := map[string]bool{}
	for _, s := range rs.Scopes {
		offered[s.Value] = true
	}
	for i, s := range scopes {
		known(v, list.item(i), "a scope of that resource server", s, offered)
	}
}

// requiredScopes judges what an API asks of a token. They need not be scopes of ours: another issuer's tokens have theirs.
func (v *validator) requiredScopes(list spot, scopes []string) {
	v.unique(list, scopes)
	for i, s := range scopes {
		v.wrong(list.item(i), judgeIdentifier(s))
	}
}
