package config

// Variable is one line of the environment table.
type Variable struct {
	Name    string
	Meaning string
	Default string // in words; empty: none
}

// Variables lists every variable that Load reads, in the order of the documents. README, templates and tests
// check their names against it.
func Variables() []Variable {
	return []Variable{
		{"REDIS_URL", "redis:// or rediss:// URL of the store", "keyless serve: embedded"},
		{"KEYLESS_PUBLIC_URL", "scheme and host under which issuers are known",
			"keyless serve: the address listened on"},
		{"KEYLESS_TOKEN_URL", "base URL of the token endpoint where it is not the public URL",
			"the public URL"},
		{"KEYLESS_ADDR", "listen address of keyless serve", "127.0.0.1:8080"},
		{"KEYLESS_TLS_CERT", "PEM file with the certificate chain; then serve speaks TLS", ""},
		{"KEYLESS_TLS_KEY", "PEM file with the certificate's private key", ""},
		{"KEYLESS_ADMIN_ADDR", "own listen address of admin and console", "on the public URL's host"},
		{"KEYLESS_DATA", "folder of the embedded store; set and empty: in memory only", ".keyless"},
		{"KEYLESS_CONFIG", "file that serve applies", ""},
		{"KEYLESS_MASTER_KEY", "base64 of 32 bytes, or file:PATH, aws-kms:CIPHERTEXT, alibaba-kms:CIPHERTEXT; " +
			"several by comma, newest first; seals secrets",
			"keyless serve without REDIS_URL: made once, in the data folder"},
		{"KEYLESS_SIGNING_MASTER_KEY", "the same for private signing keys (token, admin)",
			"the master key"},
		{"KEYLESS_ADMIN_TOKEN", "bootstrap bearer of admin API and console, at least 16 characters",
			"no bootstrap login"},
		{"KEYLESS_CONSOLE_OIDC_ISSUER", "OpenID Connect provider with which people sign in to the console", "none"},
		{"KEYLESS_CONSOLE_OIDC_CLIENT_ID", "the console's client_id there; its redirect URI is <public URL>/_/console/oidc/callback", ""},
		{"KEYLESS_CONSOLE_OIDC_CLIENT_SECRET", "the console's secret there", "a public client"},
		{"KEYLESS_CONSOLE_OIDC_SCOPE", "scopes to ask for", "openid email profile"},
		{"KEYLESS_CONSOLE_OIDC_CLAIM", "claim of the ID token that names who signs in", "email"},
		{"KEYLESS_CONSOLE_OIDC_ADMINS", "values of that claim, by comma, that get all rights", ""},
		{"KEYLESS_CONSOLE_OIDC_READERS", "values of that claim, by comma, that may read", ""},
		{"KEYLESS_STORE_FAILURE", "closed or open: what limits do while Redis is away", "closed"},
		{"KEYLESS_RUNTIME", "lambda, fc-event or http", "by what the platform sets, else http"},
		{"KEYLESS_RESPONSE_MODE", "buffered or stream: what the integration in front of a function does",
			"buffered"},
		{"KEYLESS_TRUSTED_PROXIES", "CIDRs by comma whose forwarding headers are believed; empty: nobody",
			"keyless serve: loopback"},
		{"KEYLESS_ALLOW_PRIVATE_URLS", "true or false: JWK Set and issuer URLs at private addresses",
			"false; serve on loopback allows loopback"},
		{"KEYLESS_REGION", "a name that stands on every line of the log", ""},
		{"KEYLESS_LOG", "json or text, with a level after a comma: debug, info, warn, error",
			"json,info; keyless serve: text,info"},
		{"KEYLESS_CELL", "stands before every Redis key, so that several gateways can share a store", "kg"},
	}
}

// meaningOf is the sentence that a missing variable is asked for with.
func meaningOf(name string) string {
	for _, variable := range Variables() {
		if variable.Name == name {
			return "write " + variable.Meaning
		}
	}
	return "set it"
}
