// Command admin changes the registry over HTTP and in the console, and tends the signing keys at scheduled events.
package main

import (
	"net/http"
	"time"

	"keyless/shared/admin"
	"keyless/shared/auth"
	"keyless/shared/config"
	"keyless/shared/console"
	"keyless/shared/jwks"
	"keyless/shared/keyring"
	"keyless/shared/ledger"
	"keyless/shared/platform"
	"keyless/shared/process"
	"keyless/shared/quota"
	"keyless/shared/trail"
)

func main() { process.Main(open) }

func open(lookup func(string) (string, bool)) (*process.Process, http.Handler, platform.EventHandler, error) {
	defaults := config.Function()
	defaults.Required = append(defaults.Required, "KEYLESS_PUBLIC_URL")
	p, err := process.Open(lookup, defaults)
	if err != nil {
		return nil, nil, nil, err
	}
	signing, err := p.SigningKeys()
	if err != nil {
		return nil, nil, nil, err
	}
	keys := jwks.New(jwks.Options{
		Shared:       jwks.NewRedis(p.Redis, p.Config.Cell),
		AllowPrivate: p.Config.AllowPrivateURLs, AllowLoopback: p.Config.AllowLoopbackURLs, Now: time.Now, Log: p.Log,
	})
	ring := keyring.New(keyring.NewRedis(p.Redis, p.Config.Cell), signing)
	counts := quota.NewRedis(p.Redis, p.Config.Cell, time.Now)
	api := admin.New(admin.Options{
		Store: p.Store(), Keys: p.Keys, Ring: ring,
		Gate: auth.New(keys, p.Config.PublicURL, time.Now), Trail: trail.NewRedis(p.Redis, p.Config.Cell, time.Now),
		Ledger: ledger.New(p.Redis, p.Config.Cell, time.Now), Revocations: counts,
		Probe: admin.NewProbe(p.Redis), Failure: p.Config.StoreFailure, Region: p.Config.Region,
		Token: p.Config.AdminToken, PublicURL: p.Config.PublicURL, Now: time.Now, Log: p.Log,
	})
	pages := console.New(console.Options{
		API: api, Gateway: console.Straight(0).Do, Keys: p.Keys, PublicURL: p.Config.PublicURL, Region: p.Config.Region,
		OIDC: console.Provider(p.Config.ConsoleOIDC, keys), Failures: counts, Proxies: p.Config.TrustedProxies,
		Now: time.Now, Log: p.Log,
	})
	return p, pages.Beside(api), keyring.Calendar(ring, p.Reader.Instances, p.Log), nil
}
