package command

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"keyless/shared/admin"
	"keyless/shared/auth"
	"keyless/shared/authorizer"
	"keyless/shared/config"
	"keyless/shared/console"
	"keyless/shared/discovery"
	"keyless/shared/jwks"
	"keyless/shared/keyring"
	"keyless/shared/ledger"
	"keyless/shared/process"
	"keyless/shared/proxy"
	"keyless/shared/quota"
	"keyless/shared/token"
	"keyless/shared/trail"
)

// handlers are the five functions in one process. Our own endpoints win over APIs on the public URL's host only.
type handlers struct {
	host                                       string // of the public URL
	token, discovery, authorizer, proxy, admin http.Handler
}

func wire(p *process.Process) (*handlers, error) {
	signing, err := p.SigningKeys()
	if err != nil {
		return nil, err
	}
	c := p.Config
	public, err := url.Parse(c.PublicURL)
	if err != nil {
		return nil, err
	}
	ring := keyring.New(keyring.NewRedis(p.Redis, c.Cell), signing)
	counts := quota.NewRedis(p.Redis, c.Cell, time.Now)
	counts.Open = c.StoreFailure == "open"
	gate := gateOn(p).WithNonces(counts)
	kept := trail.NewRedis(p.Redis, c.Cell, time.Now)
	api := admin.New(admin.Options{
		Store: p.Store(), Keys: p.Keys, Ring: ring, Gate: gate, Trail: kept, Revocations: counts,
		Ledger: ledger.New(p.Redis, c.Cell, time.Now), Probe: admin.NewProbe(p.Redis),
		Token: c.AdminToken, PublicURL: c.PublicURL, Failure: c.StoreFailure, Region: c.Region, Now: time.Now, Log: p.Log,
	})
	return &handlers{
		host: public.Hostname(),
		token: token.New(token.Options{
			Reader: p.Reader, Signer: ring, PublicURL: c.PublicURL, TokenURL: c.TokenURL, Now: time.Now, Log: p.Log,
			Keys: keysOn(p), Nonces: counts, Secrets: p.Reader, LastUse: p.Reader, Failures: counts, Revocations: counts,
			Proxies: c.TrustedProxies,
		}),
		discovery: discovery.New(discovery.Options{Reader: p.Reader, PublicURL: c.PublicURL, TokenURL: c.TokenURL}),
		authorizer: authorizer.New(authorizer.Options{
			Reader: p.Reader, Gate: gate.WithoutBodies(), Quota: counts, Revoked: counts, Trail: kept, Proxies: c.TrustedProxies,
			Now: time.Now, Log: p.Log,
		}),
		proxy: proxy.New(proxy.Options{
			Reader: p.Reader, Gate: gate, Quota: counts, Revoked: counts, Circuits: proxy.NewCircuits(p.Redis, c.Cell, time.Now), Trail: kept,
			Refusals: ledger.NewRefusals(p.Redis, c.Cell, time.Now),
			Lookup:   os.LookupEnv, Answers: proxy.NewAnswers(p.Redis, c.Cell), Now: time.Now, Log: p.Log, PublicURL: c.PublicURL,
		}),
		admin: console.New(console.Options{
			API: api, Gateway: console.Straight(0).Do, Keys: p.Keys, PublicURL: c.PublicURL, URL: adminURL(c), Region: c.Region,
			OIDC: console.Provider(c.ConsoleOIDC, keysOn(p)), Failures: counts, Proxies: c.TrustedProxies, Now: time.Now, Log: p.Log,
		}).Beside(api),
	}, nil
}

// adminURL is where the console is found.
func adminURL(c config.Config) string {
	if c.AdminAddr == "" {
		return c.PublicURL
	}
	return config.URLOf(c.AdminAddr, c.TLSCert != "")
}

// gateOn is the gate of a process, without a memory of nonces.
func gateOn(p *process.Process) *auth.Gate {
	return auth.New(keysOn(p), p.Config.PublicURL, time.Now)
}

// keysOn finds other issuers' keys; several of a process share what they fetch through Redis.
func keysOn(p *process.Process) *jwks.Cache {
	c := p.Config
	return jwks.New(jwks.Options{
		Shared:       jwks.NewRedis(p.Redis, c.Cell),
		AllowPrivate: c.AllowPrivateURLs, AllowLoopback: c.AllowLoopbackURLs, Now: time.Now, Log: p.Log,
	})
}

// ServeHTTP finds the function by path, as routes of a cloud's gateway do.
func (h *handlers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.find(r).ServeHTTP(w, r)
}

func (h *handlers) find(r *http.Request) http.Handler {
	path := r.URL.Path
	switch {
	case strings.HasPrefix(path, "/_/authorize/"):
		return h.authorizer
	case !h.ours(r.Host):
		return h.proxy
	case strings.HasPrefix(path, "/_/admin/"), path == console.Prefix, strings.HasPrefix(path, console.Prefix+"/"):
		return h.admin
	case strings.HasPrefix(path, "/.well-known/openid-configuration/"),
		strings.HasPrefix(path, "/.well-known/oauth-authorization-server/"):
		return h.discovery
	}
	instance, endpoint, isIdentity := strings.Cut(strings.TrimPrefix(path, "/"), "/oauth2/")
	switch {
	case !isIdentity || strings.Contains(instance, "/"):
		return h.proxy
	case endpoint == "jwks" || endpoint == "authorize" || strings.HasPrefix(endpoint, ".well-known/"):
		return h.discovery
	case endpoint == "token" || endpoint == "introspect" || endpoint == "revoke":
		return h.token
	}
	return h.proxy
}

// ours reports whether the Host is that of the public URL. On a laptop every name of loopback is.
func (h *handlers) ours(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(strings.TrimSuffix(host, "."), "[]"))
	return host == strings.ToLower(h.host) || loopback(host) && loopback(h.host)
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
