package demo

import (
	_ "embed" // the configuration below
	"encoding/base64"
	"net/http"
	"strings"
	"time"
)

// Config is the demo's gateway.yaml. It uses the variables that Variables sets, and KEYLESS_PUBLIC_URL.
//
//go:embed gateway.yaml
var Config []byte

// ShopUID is the identifier of the consumer whose tokens the accounts backend issues, as in the requirement document.
const ShopUID = "11215ac069234abcb8944232b79ae711"

// Secrets are the demo's: made anew for a store, and the same for as long as the store lives.
type Secrets struct {
	Client   string // client_secret of both clients
	Provider string // API key of the demo model
	Accounts []byte // key with which the accounts backend signs, at least 32 bytes
}

// Variables are what the demo's configuration refers to, for an upstream at the base URL.
func (s Secrets) Variables(upstreamURL string) map[string]string {
	k := base64.RawURLEncoding.EncodeToString(s.Accounts)
	return map[string]string{
		"DEMO_CLIENT_SECRET": s.Client,
		"DEMO_PROVIDER_KEY":  s.Provider,
		"DEMO_UPSTREAM_URL":  upstreamURL,
		"DEMO_ACCOUNTS_JWK":  `{"kty":"oct","alg":"HS256","kid":"demo","k":"` + k + `"}`,
	}
}

// Upstream is the demo model under /v1/ and the accounts backend everywhere else.
func Upstream(s Secrets, now func() time.Time) http.Handler {
	model, accounts := Model(s.Provider), Accounts(s.Accounts, ShopUID, now)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/") {
			model.ServeHTTP(w, r)
			return
		}
		accounts.ServeHTTP(w, r)
	})
}
