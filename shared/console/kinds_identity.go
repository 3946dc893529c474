package console

import (
	"crypto/rand"
	"encoding/hex"
)

func identityKinds() []kind { return []kind{instanceKind(), clientKind(), serverKind()} }

func instanceKind() kind {
	description := field{path: "description", label: "Instance Description", as: asArea, required: true}
	return kind{
		path: "instances", title: "Instances", one: "instance", key: "id", half: "identity", create: "Create Instance",
		says:  "Each instance is one issuer of access tokens, with its own signing keys and M2M applications.",
		empty: "Create an instance, then turn on M2M Management in it: it will issue tokens to your machines.",
		columns: []column{
			{"Description", "description", ""}, {"M2M Management", "m2m", "on"}, {"Resource servers", "resource_servers", "count"},
		},
		form: []section{{fields: []field{
			description,
			{path: "id", label: "Instance ID", named: true, hint: "Lower case letters, digits and -; a part of the issuer's URL. Generated " +
				"where you leave it empty", example: "acme"},
			{path: "privacy_agreement", label: "I have read and agree to the privacy settings of this instance", as: asCheck,
				choices: []string{"accepted"}, required: true,
				hint: "The instance keeps names of applications, hashes or sealed forms of their secrets, and an audit trail of changes."},
		}}},
		fill: func(v *visit, o object) error {
			if o.text("id") == "" {
				o["id"] = "i-" + random(6)
			}
			o["m2m"] = "disabled"
			return nil
		},
		tabs: []tab{
			{id: "applications", title: "M2M Applications", extra: applications},
			{id: "keys", title: "Signing keys", extra: signingKeys},
			{id: "settings", title: "Settings", form: []section{{fields: []field{
				description,
				{path: "m2m", label: "M2M Management", as: asChoice, choices: []string{"enabled", "disabled"}, absent: "enabled",
					words: map[string]string{"enabled": "On: tokens are issued", "disabled": "Off: no token is issued, keys stay published"}},
				{path: "token_lifetime", label: "Token lifetime", example: "1h", hint: "1m to 24h"},
				{path: "signing_algorithm", label: "Signing algorithm", as: asChoice, choices: append([]string{""}, algorithms...),
					words: map[string]string{"": "ES256 (default)"}},
				{path: "key_rotation", label: "Signing keys are used for", example: "90d"},
				{path: "secret_storage", label: "Client secrets are kept", as: asChoice, choices: []string{"", "sealed", "hashed"},
					words: map[string]string{"": "Sealed (default): Show works again", "sealed": "Sealed: Show works again",
						"hashed": "Hashed: shown once"}},
			}}}},
		},
	}
}

// random is a name that nobody has yet.
func random(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // crypto/rand.Read never returns an error
	return hex.EncodeToString(b)
}

// The methods by which a client proves itself.
var clientMethods = []string{"client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "tls_client_auth",
	"self_signed_tls_client_auth", "federated"}

func clientKind() kind {
	name := field{path: "name", label: "Application Name", required: true}
	methods := field{path: "authentication", label: "Authentication methods", as: asMany, choices: clientMethods,
		hint: "None checked: client_secret_basic and client_secret_post"}
	return kind{
		path: "clients", title: "Client applications", one: "client application", key: "id", half: "identity", create: "Create",
		columns: []column{{"Name", "name", ""}, {"Status", "status", "status"}, {"Secrets", "secrets", "count"},
			{"Permissions", "permissions", "count"}},
		form: []section{{fields: []field{name,
			{path: "id", label: "client_id", named: true, hint: "Generated where you leave it empty"}, methods}}},
		fill: func(v *visit, o object) error {
			if o.text("id") == "" {
				o["id"] = "app-" + random(8)
			}
			return nil
		},
		tabs: []tab{
			{id: "general", title: "General", extra: clientGeneral},
			{id: "permissions", title: "Permissions", extra: clientPermissions},
			{id: "settings", title: "Settings", form: []section{
				{"", "", []field{name, statusField, methods,
					{path: "dpop", label: "DPoP", as: asChoice, choices: []string{"", "off", "optional", "required"},
						words: map[string]string{"": "off (default)"}}}},
				{"Keys of its own", "For private_key_jwt: a URL, a JWK Set or PEM.", []field{
					{path: "jwks_url", label: "JWKS URL"}, {path: "jwks", label: "JWKS", as: asJSON},
					{path: "public_keys", label: "Public keys (PEM)", as: asPEM},
					{path: "assertion_audience", label: "Audience of assertions", as: asChoice, choices: []string{"", "any", "issuer"},
						words: map[string]string{"": "any (default)", "any": "any: issuer or token endpoint", "issuer": "issuer alone"}}}},
				{"Certificates", "For mutual TLS: one name, and the authorities or the client's own certificates.", []field{
					{path: "certificate.subject_dn", label: "Subject DN"}, {path: "certificate.san_dns", label: "SAN DNS"},
					{path: "certificate.san_uri", label: "SAN URI"}, {path: "certificate.san_ip", label: "SAN IP"},
					{path: "certificate.san_email", label: "SAN email"},
					{path: "certificates", label: "Certificates (PEM)", as: asPEM}}},
				{"Federation and exchange", "Whose identities prove this client, and whose tokens it may exchange for ours.", []field{
					{path: "federated_credentials", label: "Federated credentials", as: asJSON,
						example: `[{"name": "github-main", "issuer": "https://…", "audience": "keyless", "subject": "repo:acme/*"}]`},
					{path: "token_exchange", label: "Token exchange", as: asJSON,
						example: `[{"name": "users", "issuer": "https://…", "audience": "…"}]`}}},
			}},
		},
	}
}

func serverKind() kind {
	name := field{path: "name", label: "Application Name", required: true}
	return kind{
		path: "resource_servers", title: "Server applications", one: "server application", key: "identifier", half: "identity",
		create:  "Create",
		columns: []column{{"Name", "name", ""}, {"Status", "status", "status"}, {"Scopes", "scopes", "count"}},
		form: []section{{fields: []field{name, {path: "identifier", label: "Resource Server Identifier", required: true, named: true,
			hint: "Unique in the instance; the aud of its tokens", example: "cloud:idaas:aigateway:alibabacloud:1234567890"}}}},
		tabs: []tab{
			{id: "permissions", title: "Permissions", extra: serverPermissions},
			{id: "login", title: "Login Methods", extra: loginMethods},
			{id: "settings", title: "Settings", form: []section{{fields: []field{name, statusField,
				{path: "token_lifetime", label: "Token lifetime", example: "20m", hint: "Overrides the instance's"}}}}},
		},
	}
}
