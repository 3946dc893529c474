package jwks_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyless/shared/jwks"
)

// discovered answers as an issuer with discovery; document may use ISSUER.
func discovered(t *testing.T, document string) *issuer {
	t.Helper()
	i := newIssuer(t, "")
	keys := set(t, "a")
	i.with(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			w.Header().Set("Cache-Control", "max-age=3600")
			_, _ = io.WriteString(w, strings.ReplaceAll(document, "ISSUER", i.URL))
		case "/keys":
			_, _ = io.WriteString(w, keys)
		default:
			http.NotFound(w, r)
		}
	})
	return i
}

func TestF20Discovery(t *testing.T) {
	t.Parallel()
	good := `{"issuer":"ISSUER","jwks_uri":"ISSUER/keys"}`
	for name, row := range map[string]struct {
		document string
		found    bool
	}{
		"as the specification says":    {good, true},
		"with more members":            {`{"issuer":"ISSUER","jwks_uri":"ISSUER/keys","x":[{}]}`, true},
		"of another issuer":            {`{"issuer":"ISSUER/other","jwks_uri":"ISSUER/keys"}`, false},
		"of the issuer with a slash":   {`{"issuer":"ISSUER/","jwks_uri":"ISSUER/keys"}`, false},
		"without an issuer":            {`{"jwks_uri":"ISSUER/keys"}`, false},
		"without jwks_uri":             {`{"issuer":"ISSUER"}`, false},
		"with a member twice":          {`{"issuer":"ISSUER","jwks_uri":"ISSUER/keys","jwks_uri":"ISSUER/k"}`, false},
		"with keys at plain http":      {`{"issuer":"ISSUER","jwks_uri":"http://192.0.2.1/keys"}`, false},
		"with keys inside the network": {`{"issuer":"ISSUER","jwks_uri":"https://169.254.169.254/keys"}`, false},
		"that is HTML":                 {`<html>`, false},
		"longer than 256 KiB":          {`{"issuer":"ISSUER","jwks_uri":"ISSUER/keys"` + strings.Repeat(" ", 256<<10) + `}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := discovered(t, row.document)
			keys, err := process(i, newClock(), nil).IssuerKeys(t.Context(), i.URL, "a")
			if found := err == nil && len(keys) == 1; found != row.found {
				t.Fatalf("%v, %v", keys, err)
			}
			if err != nil && !errors.Is(err, jwks.ErrUnavailable) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestF21DiscoveryIsKept(t *testing.T) {
	t.Parallel()
	i, c := discovered(t, `{"issuer":"ISSUER","jwks_uri":"ISSUER/keys"}`), newClock()
	cache := process(i, c, nil)
	ask := func(want int64) {
		t.Helper()
		if _, err := cache.IssuerKeys(t.Context(), i.URL, "a"); err != nil {
			t.Fatal(err)
		}
		if got := i.fetches.Load(); got != want {
			t.Fatalf("%d fetches, want %d", got, want)
		}
	}
	ask(2)
	ask(2) // warm
	i.with(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	c.Add(2 * time.Hour)
	ask(4) // both are asked again, both fail, both serve on
	ask(4) // not within ten seconds
	c.Add(30 * time.Hour)
	if _, err := cache.IssuerKeys(t.Context(), i.URL, "a"); !errors.Is(err, jwks.ErrUnavailable) {
		t.Fatalf("after a day: %v", err)
	}
}

func TestF22DiscoveryIsShared(t *testing.T) {
	t.Parallel()
	i, c := discovered(t, `{"issuer":"ISSUER","jwks_uri":"ISSUER/keys"}`), newClock()
	shared := jwks.NewRedis(mini(t), "kg")
	for range 3 { // cold processes
		if _, err := process(i, c, shared).IssuerKeys(t.Context(), i.URL, "a"); err != nil {
			t.Fatal(err)
		}
	}
	if got := i.fetches.Load(); got != 2 {
		t.Fatalf("%d fetches by three processes", got)
	}
	edition := process(i, c, shared)
	if _, err := edition.IssuerKeys(t.Context(), i.URL+"#two", "a"); err != nil || i.fetches.Load() != 3 {
		t.Fatalf("a new edition fetches the keys anew: %d, %v", i.fetches.Load(), err)
	}
}
