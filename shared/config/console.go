package config

import "strings"

// ConsoleOIDC is an OpenID Connect provider for people: who it is, what we are to it, and whose sign-in gives which rights.
type ConsoleOIDC struct {
	Issuer, ClientID string
	ClientSecret     Secret // "": a public client
	Scope, Claim     string // "": the console's defaults
	Admins, Readers  []string
}

// consoleOIDC reads the provider. Its parts belong together: an issuer needs a client_id, and somebody who may sign in.
func (e *environment) consoleOIDC() ConsoleOIDC {
	const issuer, client, admins = "KEYLESS_CONSOLE_OIDC_ISSUER", "KEYLESS_CONSOLE_OIDC_CLIENT_ID", "KEYLESS_CONSOLE_OIDC_ADMINS"
	c := ConsoleOIDC{
		Issuer: e.text("KEYLESS_CONSOLE_OIDC_ISSUER"), ClientID: e.text("KEYLESS_CONSOLE_OIDC_CLIENT_ID"),
		ClientSecret: Secret(e.text("KEYLESS_CONSOLE_OIDC_CLIENT_SECRET")),
		Scope:        e.text("KEYLESS_CONSOLE_OIDC_SCOPE"), Claim: e.text("KEYLESS_CONSOLE_OIDC_CLAIM"),
		Admins: words(e.text("KEYLESS_CONSOLE_OIDC_ADMINS")), Readers: words(e.text("KEYLESS_CONSOLE_OIDC_READERS")),
	}
	switch {
	case c.Issuer == "" && c.ClientID == "":
	case c.Issuer == "":
		e.fault(client, "is set without "+issuer, "write the issuer's URL")
	case !strings.HasPrefix(c.Issuer, "https://") && !strings.HasPrefix(c.Issuer, "http://127.0.0.1") &&
		!strings.HasPrefix(c.Issuer, "http://localhost"):
		e.fault(issuer, "is no https URL", "write it as the provider's metadata has it")
	case c.ClientID == "":
		e.fault(issuer, "is set without "+client, "write the client_id that the provider gave the console")
	case len(c.Admins)+len(c.Readers) == 0:
		e.fault(admins, "and …_READERS are empty, so nobody could sign in", "write values of the claim, by comma")
	}
	return c
}

// words takes a list by comma.
func words(text string) []string {
	var list []string
	for word := range strings.SplitSeq(text, ",") {
		if word = strings.TrimSpace(word); word != "" {
			list = append(list, word)
		}
	}
	return list
}
