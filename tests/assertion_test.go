package tests

import (
	"crypto"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const assertionConfig = `
version: 1
instances:
  - id: acme
    description: Machines of Acme
    privacy_agreement: accepted
    resource_servers: [{identifier: "urn:acme", name: Acme, scopes: [{value: read, name: Read}]}]
    clients:
      - {id: signer, name: Signer, authentication: [private_key_jwt], jwks: {keys: [@JWK@]}, permissions: [{resource_server: "urn:acme", scopes: [read]}]}
`

// RFC 7523 §3 and RFC 7521 §5.2: an assertion is used once, however many processes it is sent to at the same time.
func TestOneAssertionPostedFiftyTimesToTenProcessesGivesOneToken(t *testing.T) {
	redis := redisServer(t)
	k, _ := keysOf(t)
	configure(t, redis, strings.Replace(assertionConfig, "@JWK@", ecJWK(&k.ec.PublicKey, "k1"), 1))
	const processes, posts = 10, 50
	var urls [processes]string
	var started sync.WaitGroup
	for i := range urls {
		started.Go(func() { urls[i] = function(t, "token", deployment(redis)) })
	}
	started.Wait()
	assertion := compact(`{"alg":"ES256","kid":"k1"}`, claims{
		"iss": "signer", "sub": "signer", "aud": publicURL + "/acme/oauth2", "jti": "once", "iat": in(0), "exp": in(time.Minute),
	}.json(), es(crypto.SHA256, k.ec))
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}.Encode()
	var issued, refused atomic.Int64
	var done sync.WaitGroup
	for i := range posts {
		done.Go(func() {
			a := ask(t, http.MethodPost, urls[i%processes]+"/acme/oauth2/token",
				[]string{"Content-Type: application/x-www-form-urlencoded"}, form)
			switch {
			case a.Status == http.StatusOK:
				issued.Add(1)
			case a.Status == http.StatusUnauthorized && strings.Contains(a.Body, "invalid_client"),
				a.Status == http.StatusTooManyRequests: // so many failures of one client are throttled
				refused.Add(1)
			default:
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	done.Wait()
	if issued.Load() != 1 || refused.Load() != posts-1 {
		t.Errorf("%d tokens and %d refusals of %d posts", issued.Load(), refused.Load(), posts)
	}
}
