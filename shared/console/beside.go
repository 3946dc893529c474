package console

import (
	"net/http"
	"strings"
	"time"

	"keyless/shared/config"
)

// providerWithin bounds one call of an OpenID Connect provider: a person waits.
const providerWithin = 10 * time.Second

// Beside serves the console at its prefix and the admin API everywhere else, behind one listener.
func (c *Console) Beside(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == Prefix || strings.HasPrefix(r.URL.Path, Prefix+"/") {
			c.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})
}

// Provider is the provider of the environment; nil where it names none.
func Provider(c config.ConsoleOIDC, keys KeySource) *OIDC {
	if c.Issuer == "" {
		return nil
	}
	return &OIDC{
		Issuer: c.Issuer, ClientID: c.ClientID, ClientSecret: c.ClientSecret, Scope: c.Scope, Claim: c.Claim,
		Admins: c.Admins, Readers: c.Readers, Keys: keys, Client: Straight(providerWithin),
	}
}

// Straight is a client that follows no redirect. within bounds a whole call; 0: nothing does but its context.
func Straight(within time.Duration) *http.Client {
	return &http.Client{Timeout: within, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
