// Command token is the token endpoint (RFC 6749 §3.2): the one place where access tokens are minted.
package main

import (
	"net/http"
	"time"

	"keyless/shared/config"
	"keyless/shared/jwks"
	"keyless/shared/keyring"
	"keyless/shared/platform"
	"keyless/shared/process"
	"keyless/shared/quota"
	"keyless/shared/token"
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
	counts := quota.NewRedis(p.Redis, p.Config.Cell, time.Now)
	return p, token.New(token.Options{
		Reader:    p.Reader,
		Signer:    keyring.New(keyring.NewRedis(p.Redis, p.Config.Cell), signing),
		PublicURL: p.Config.PublicURL, TokenURL: p.Config.TokenURL, Now: time.Now, Log: p.Log,
		Keys: keys, Nonces: counts, Secrets: p.Reader, LastUse: p.Reader, Failures: counts, Revocations: counts,
		Proxies: p.Config.TrustedProxies,
	}), nil, nil
}
