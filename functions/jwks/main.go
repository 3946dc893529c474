// Command jwks publishes the instances' JWK Sets and discovery documents (RFC 7517, RFC 8414). It links no private key.
package main

import (
	"net/http"

	"keyless/shared/config"
	"keyless/shared/discovery"
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
	return p, discovery.New(discovery.Options{
		Reader: p.Reader, PublicURL: p.Config.PublicURL, TokenURL: p.Config.TokenURL,
	}), nil, nil
}
