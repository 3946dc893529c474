package jwks_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keyless/shared/jwks"
	"keyless/shared/oauth"
)

// jwk makes the public JWK of a new P-256 key.
func jwk(t testing.TB, kid string) map[string]string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"kty": "EC", "crv": "P-256", "kid": kid, "alg": "ES256", "use": "sig",
		"x": base64.RawURLEncoding.EncodeToString(point[1:33]),
		"y": base64.RawURLEncoding.EncodeToString(point[33:]),
	}
}

func set(t testing.TB, kids ...string) string {
	t.Helper()
	keys := []map[string]string{}
	for _, kid := range kids {
		keys = append(keys, jwk(t, kid))
	}
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// issuer is a TLS server whose answer can be changed, and which counts its fetches.
type issuer struct {
	*httptest.Server
	fetches atomic.Int64
	answer  atomic.Pointer[http.HandlerFunc]
}

func newIssuer(t testing.TB, text string) *issuer {
	t.Helper()
	i := &issuer{}
	i.serve(text)
	i.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.fetches.Add(1)
		(*i.answer.Load())(w, r)
	}))
	i.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) serve(text string) {
	i.with(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
}

func (i *issuer) with(answer http.HandlerFunc) { i.answer.Store(&answer) }

func (i *issuer) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(i.Certificate())
	return pool
}

// clock is set by the test alone.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// process makes the cache of one process that knows the issuer's certificate.
func process(i *issuer, c *clock, shared jwks.Shared) *jwks.Cache {
	return jwks.New(jwks.Options{
		Shared: shared, AllowLoopback: true, Now: c.Now, RootCAs: i.roots(), Log: slog.New(slog.DiscardHandler),
	})
}

// kids are the ids of keys, sorted and joined; "error" where the set is not available.
func kids(t testing.TB, cache *jwks.Cache, url, kid string) string {
	t.Helper()
	keys, err := cache.Keys(t.Context(), url, kid)
	if err != nil {
		return "error"
	}
	return names(keys)
}

func names(keys []oauth.Key) string {
	var list []string
	for _, key := range keys {
		list = append(list, key.ID)
	}
	slices.Sort(list)
	text, _ := json.Marshal(list)
	return string(text)
}
