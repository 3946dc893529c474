package registry

import "slices"

// AdminServer is the identifier of the resource server that stands for the admin API. Every instance has it, and none configures it:
// what its scopes mean is the admin API's to say.
const AdminServer = "keyless:admin"

// The scopes of AdminServer: reading and changing of the identity service, of that instance alone, of the gateway, and of both with
// all that is neither's alone.
const (
	ScopeIdentityRead  = "identity.read"
	ScopeIdentityWrite = "identity.write"
	ScopeGatewayRead   = "gateway.read"
	ScopeGatewayWrite  = "gateway.write"
	ScopeAdminRead     = "admin.read"
	ScopeAdminWrite    = "admin.write"
)

// AdminScopes are the scopes of AdminServer with their names. Nobody changes them.
var AdminScopes = []Scope{
	{ScopeIdentityRead, "Read this instance, its clients and resource servers"},
	{ScopeIdentityWrite, "Change this instance, its clients and resource servers"},
	{ScopeGatewayRead, "Read domains, APIs, upstreams, consumers and usage"},
	{ScopeGatewayWrite, "Change domains, APIs, upstreams and consumers"},
	{ScopeAdminRead, "Read everything, the audit trail and the export"},
	{ScopeAdminWrite, "Change everything, and apply configurations"},
}

var builtin = ResourceServer{Identifier: AdminServer, Name: "Admin API", Scopes: AdminScopes}

// Offered are the resource servers that a client of the instance may have permissions on: those of the configuration and the built-in
// one.
func (i *Instance) Offered() []*ResourceServer {
	all := make([]*ResourceServer, 0, len(i.ResourceServers)+1)
	for n := range i.ResourceServers {
		all = append(all, &i.ResourceServers[n])
	}
	return append(all, &builtin)
}

// AdminScopes are the scopes of the admin API that the client may ask for.
func (c *Client) AdminScopes() []string {
	var scopes []string
	for _, p := range c.Permissions {
		if p.ResourceServer == AdminServer {
			scopes = append(scopes, p.Scopes...)
		}
	}
	return slices.Clip(scopes)
}
