package admin

import (
	"net/http"

	"keyless/shared/registry"
)

// routes is the table of all operations; nothing is served that does not stand here, and the OpenAPI document is made of it.
func routes() []route {
	var all []route
	for _, k := range collections {
		all = append(all, k.routes()...)
	}
	all = append(all, clientRoutes()...)
	all = append(all, keyRoutes()...)
	all = append(all, consumerRoutes()...)
	return append(all, wholeRoutes()...)
}

// paging are the parameters of lists. Lists inside an object are short and answered whole; they take them all the same.
var paging = []string{"prefix", "after", "limit"}

// routes of a collection: list, create, read, replace, change, remove.
func (k collection) routes() []route {
	read, write := k.half+".read", k.half+".write"
	serve := func(f func(*Admin, *call) (reply, error), method, pattern, right string, d doc) route {
		return route{method, pattern, right, f, d}
	}
	var all []route
	if !k.single {
		all = append(all,
			serve(k.list, http.MethodGet, k.pattern, read,
				doc{says: "List: " + k.says, gives: k.object, list: true, query: paging}),
			serve(k.create, http.MethodPost, k.pattern, write,
				doc{says: "Create " + k.says, takes: k.object, gives: k.object, status: http.StatusCreated, shows: true}))
	}
	if k.kind != registry.EditPrices { // a list, which a merge patch could only replace
		all = append(all, serve(k.patch, http.MethodPatch, k.one(), write, doc{says: "Change members of " + k.says + " (RFC 7396)",
			takes: k.object, gives: k.object, condition: conditionMust, shows: true}))
	}
	return append(all,
		serve(k.get, http.MethodGet, k.one(), read, doc{says: "Read " + k.says, gives: k.object}),
		serve(k.replace, http.MethodPut, k.one(), write,
			doc{says: "Replace " + k.says + ", or create it", takes: k.object, gives: k.object, condition: conditionMust, shows: true}),
		serve(k.remove, http.MethodDelete, k.one(), write,
			doc{says: "Remove " + k.says, status: http.StatusNoContent, condition: conditionMust}))
}

// edits are the operations on the items of a part that all parts have.
func (p part) edits(pattern, right string, item any) []route {
	one := pattern + "/{item}"
	return []route{
		{http.MethodPatch, one, right, p.patch,
			doc{says: "Change one " + p.says + " (RFC 7396)", takes: item, gives: item, condition: conditionMay}},
		{http.MethodDelete, one, right, p.remove,
			doc{says: "Remove one " + p.says, status: http.StatusNoContent, condition: conditionMay}},
	}
}

// The parts of instances and clients.
func clientRoutes() []route {
	const (
		servers     = "/instances/{instance}/resource_servers"
		client      = "/instances/{instance}/clients/{client}"
		secrets     = client + "/secrets"
		permissions = client + "/permissions"
		read, write = registry.ScopeIdentityRead, registry.ScopeIdentityWrite
	)
	all := []route{
		{http.MethodGet, servers, read, listServers,
			doc{says: "List resource servers, the built-in one last", gives: registry.ResourceServer{}, list: true, query: paging}},
		{http.MethodPost, servers, write, createServer, doc{says: "Create a resource server", takes: registry.ResourceServer{},
			gives: registry.ResourceServer{}, status: http.StatusCreated, condition: conditionMay}},
		{http.MethodGet, servers + "/{item}", read, getServer,
			doc{says: "Read a resource server by its identifier", gives: registry.ResourceServer{}}},
		{http.MethodPut, servers + "/{item}", write, replaceServer, doc{says: "Replace a resource server, or create it; the version is that " +
			"of the instance", takes: registry.ResourceServer{}, gives: registry.ResourceServer{}, condition: conditionMust}},

		{http.MethodGet, secrets, read, listSecrets, doc{says: "List a client's secrets, without their values",
			gives: registry.ClientSecret{}, list: true, query: paging}},
		{http.MethodPost, secrets, write, generateSecret, doc{says: "Generate a secret; it is shown this once", takes: newSecret{},
			gives: shownSecret{}, status: http.StatusCreated, condition: conditionMay, plain: true}},
		{http.MethodPost, secrets + "/{item}/show", write, showSecret, doc{says: "Show a sealed secret; audited",
			gives: shownSecret{}, plain: true}},

		{http.MethodGet, permissions, read, listPermissions, doc{says: "List what a client may ask for", gives: permissionList{}, plain: true,
			query: paging}},
		{http.MethodPut, permissions, write, setPermissions, doc{says: "Replace what a client may ask for",
			takes: []registry.Permission{}, gives: permissionList{}, condition: conditionMust, plain: true}},
	}
	all = append(all, partServers.edits(servers, write, registry.ResourceServer{})...)
	return append(all, partSecrets.edits(secrets, write, registry.ClientSecret{})...)
}

// Signing keys of an instance.
func keyRoutes() []route {
	const keys = "/instances/{instance}/keys"
	return []route{
		{http.MethodGet, keys, registry.ScopeIdentityRead, listKeys,
			doc{says: "List the published signing keys", gives: keyList{}, plain: true}},
		{http.MethodPost, keys + "/rotate", registry.ScopeIdentityWrite, rotateKey,
			doc{says: "Sign with the next key at once", gives: signsWith{}, plain: true}},
		{http.MethodPost, keys + "/revoke", registry.ScopeIdentityWrite, revokeSigningKey,
			doc{says: "Remove a key at once: what it signed verifies no longer", takes: revokeKey{}, gives: signsWith{}, plain: true}},
	}
}

// The parts of consumers, and the other direction.
func consumerRoutes() []route {
	const (
		consumer       = "/consumers/{name}"
		keys           = consumer + "/api_keys"
		hmac           = consumer + "/hmac_keys"
		authorizations = consumer + "/authorizations"
		read, write    = registry.ScopeGatewayRead, registry.ScopeGatewayWrite
	)
	all := []route{
		{http.MethodGet, keys, read, partAPIKeys.list,
			doc{says: "List API keys, without their values", gives: registry.APIKey{}, list: true, query: paging}},
		{http.MethodPost, keys, write, generateAPIKey, doc{says: "Generate an API key; it is shown this once", takes: newSecret{},
			gives: shownSecret{}, status: http.StatusCreated, condition: conditionMay, plain: true}},
		{http.MethodGet, hmac, read, partHMACKeys.list,
			doc{says: "List HMAC keys, without their secrets", gives: registry.HMACKey{}, list: true, query: paging}},
		{http.MethodPost, hmac, write, generateHMACKey, doc{says: "Generate an access key and its secret; it is shown this once",
			takes: newHMACKey{}, gives: shownSecret{}, status: http.StatusCreated, condition: conditionMay, plain: true}},
		{http.MethodPost, consumer + "/jwt/key", write, generateJWTKey, doc{says: "Generate the key with which the consumer signs its own " +
			"tokens; the private half, or the shared secret, is shown this once", takes: newJWTKey{}, gives: shownJWTKey{},
			status: http.StatusCreated, condition: conditionMay, plain: true}},
		{http.MethodGet, authorizations, read, partAuthorizations.list, doc{says: "List what a consumer may call",
			gives: registry.Authorization{}, list: true, query: paging}},
		{http.MethodPut, authorizations + "/{item}", write, setAuthorization, doc{says: "Let a consumer call an API", takes: allowance{},
			gives: registry.Authorization{}, condition: conditionMay}},
		{http.MethodGet, "/apis/{name}/consumers", read, listAuthorized, doc{says: "List who may call an API; a page may be short and not be " +
			"the last", gives: authorizedPage{}, query: paging, plain: true}},
	}
	all = append(all, partAPIKeys.edits(keys, write, registry.APIKey{})...)
	all = append(all, partHMACKeys.edits(hmac, write, registry.HMACKey{})...)
	return append(all, partAuthorizations.edits(authorizations, write, registry.Authorization{})...)
}

// What is about everything at once.
func wholeRoutes() []route {
	const everything = registry.ScopeAdminRead
	return []route{
		{http.MethodPost, "/apply", registry.ScopeAdminWrite, apply, doc{says: "Make the registry what a configuration says",
			takes: registry.Config{}, gives: registry.Report{}, query: []string{"prune", "dry_run"}, plain: true}},
		{http.MethodGet, "/export", everything, export, doc{says: "Export the configuration, secrets sealed or hashed",
			gives: registry.Config{}, plain: true}},
		{http.MethodPost, "/explain", registry.ScopeGatewayRead, explain, doc{says: "Say what becomes of a request, and why",
			takes: Question{}, gives: Explanation{}, plain: true}},
		{http.MethodGet, "/usage", registry.ScopeGatewayRead, usage, doc{says: "What was used, and what it cost", gives: usageReport{},
			query: []string{"from", "to", "by", "consumer", "api", "upstream", "model", "format"}, plain: true}},
		{http.MethodGet, "/ledger", registry.ScopeGatewayRead, entries, doc{says: "Single calls of a day", gives: entryPage{},
			query: []string{"consumer", "api", "day", "after", "limit", "format"}, plain: true}},
		{http.MethodGet, "/audit", everything, audit, doc{says: "The audit trail, oldest first", gives: auditPage{},
			query: []string{"after", "limit", "format"}, plain: true}},
		{http.MethodGet, "/audit/verify", everything, verifyAudit, doc{says: "Verify the audit trail", gives: registry.AuditVerdict{},
			plain: true}},
		{http.MethodGet, "/inventory", registry.ScopeGatewayRead, getInventory, doc{says: "What there is, and who may call what",
			gives: inventory{}, plain: true}},
		{http.MethodGet, "/health", "", getHealth, doc{says: "How the store and the registry are", gives: health{}, plain: true}},
		{http.MethodGet, "/whoami", "", whoami, doc{says: "Who calls, and what he may", gives: Caller{}, plain: true}},
		{http.MethodGet, "/openapi.json", "", getDocument, doc{says: "This document", gives: map[string]any{}, plain: true}},
	}
}
