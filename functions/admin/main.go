// Command admin changes the registry over HTTP.
package main

import (
	"net/http"
	"time"

	"keyless/shared/admin"
	"keyless/shared/config"
	"keyless/shared/keyring"
	"keyless/shared/platform"
	"keyless/shared/process"
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
	return p, admin.New(admin.Options{
		Store: p.Store(), Keys: p.Keys, Ring: keyring.New(keyring.NewRedis(p.Redis, p.Config.Cell), signing),
		Token: p.Config.AdminToken, PublicURL: p.Config.PublicURL, Now: time.Now, Log: p.Log,
	}), nil, nil
}
