// Command proxy is the data path: it decides, admits, injects the provider's key and streams the answer.
package main

import (
	"net/http"
	"time"

	"keyless/shared/auth"
	"keyless/shared/config"
	"keyless/shared/jwks"
	"keyless/shared/ledger"
	"keyless/shared/platform"
	"keyless/shared/process"
	"keyless/shared/proxy"
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
	keys := jwks.New(jwks.Options{
		Shared:       jwks.NewRedis(p.Redis, p.Config.Cell),
		AllowPrivate: p.Config.AllowPrivateURLs, AllowLoopback: p.Config.AllowLoopbackURLs, Now: time.Now, Log: p.Log,
	})
	counts := quota.NewRedis(p.Redis, p.Config.Cell, time.Now)
	counts.Open = p.Config.StoreFailure == "open"
	return p, proxy.New(proxy.Options{
		Reader:   p.Reader,
		Gate:     auth.New(keys, p.Config.PublicURL, time.Now).WithNonces(counts),
		Quota:    counts,
		Refusals: ledger.NewRefusals(p.Redis, p.Config.Cell, time.Now),
		Trail:    trail.NewRedis(p.Redis, p.Config.Cell, time.Now),
		Now:      time.Now, Log: p.Log, MaxBody: platform.MaxBody(lookup), Revoked: counts,
		PublicURL: p.Config.PublicURL,
		Circuits:  proxy.NewCircuits(p.Redis, p.Config.Cell, time.Now),
		Lookup:    lookup,
		Answers:   proxy.NewAnswers(p.Redis, p.Config.Cell),
	}), nil, nil
}
