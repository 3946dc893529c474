package registry_test

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"keyless/shared/registry"
	"keyless/shared/seal"
)

// reader stands on a store with the fields.
func reader(t testing.TB, fields map[string]string) (*registry.Reader, registry.Store) {
	t.Helper()
	store := registry.NewMemory()
	fields = maps.Clone(fields)
	if fields == nil {
		fields = map[string]string{}
	}
	fields["format"] = "1"
	if err := store.Write(t.Context(), registry.Change{Set: fields}); err != nil {
		t.Fatal(err)
	}
	return registry.NewReader(store, nil, time.Now), store
}

func loaded(t testing.TB, fields map[string]string) *registry.Snapshot {
	t.Helper()
	r, _ := reader(t, fields)
	snapshot, err := r.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

func TestDomainOfAHost(t *testing.T) {
	t.Parallel()
	snapshot := loaded(t, map[string]string{
		"domain:ai.acme.example":    `{"name":"ai.acme.example"}`,
		"domain:*.acme.example":     `{"name":"*.acme.example"}`,
		"domain:*.eu.acme.example":  `{"name":"*.eu.acme.example"}`,
		"domain:Upper.Acme.Example": `{"name":"Upper.Acme.Example"}`,
		"domain:2001:db8::1":        `{"name":"2001:db8::1"}`,
	})
	tests := map[string]string{
		"ai.acme.example":          "ai.acme.example",
		"ai.acme.example:8443":     "ai.acme.example",
		"ai.acme.example.":         "ai.acme.example",
		"ai.acme.example.:443":     "ai.acme.example",
		"AI.Acme.EXAMPLE":          "ai.acme.example",
		"ai.acme.example:":         "ai.acme.example",
		"x.acme.example":           "*.acme.example",
		"x.y.acme.example":         "*.acme.example",
		"x.eu.acme.example":        "*.eu.acme.example",
		"eu.acme.example":          "*.acme.example",
		"acme.example":             "default",
		"xacme.example":            "default",
		"ai.acme.example.evil.com": "default",
		"upper.acme.example":       "Upper.Acme.Example",
		"[2001:db8::1]:443":        "2001:db8::1",
		"":                         "default",
		"default":                  "default",
		"localhost:8080":           "default",
		"127.0.0.1":                "default",
		"a:b:c":                    "default",
		".":                        "default",
		"..":                       "default",
	}
	for host, want := range tests {
		if got := snapshot.Domain(host); got == nil || got.Name != want {
			t.Errorf("%q belongs to %+v, want %s", host, got, want)
		}
	}
}

func TestDefaultDomain(t *testing.T) {
	t.Parallel()
	none := loaded(t, nil).Domain("x")
	if none.CallsPerDay() != registry.DefaultDailyCallLimit {
		t.Errorf("without an entry %d calls a day", none.CallsPerDay())
	}
	set := loaded(t, map[string]string{"domain:default": `{"name":"default","daily_call_limit":0}`}).Domain("x")
	if set.CallsPerDay() != 0 {
		t.Errorf("with the limit 0 %d calls a day", set.CallsPerDay())
	}
}

func TestRoute(t *testing.T) {
	t.Parallel()
	snapshot := loaded(t, map[string]string{
		"domain:ai.acme.example": `{"name":"ai.acme.example"}`,
		"domain:*.acme.example":  `{"name":"*.acme.example"}`,
		"api:models":             `{"name":"models","base_path":"/v1","strip_base_path":true}`,
		"api:chat":               `{"name":"chat","base_path":"/v1/chat"}`,
		"api:draft":              `{"name":"draft","base_path":"/v1/chat/draft","status":"draft"}`,
		"api:acme":               `{"name":"acme","base_path":"/v1/acme","domains":["ai.acme.example"]}`,
		"api:wild":               `{"name":"wild","base_path":"/wild","domains":["*.acme.example"]}`,
		"api:slash":              `{"name":"slash","base_path":"/slash/","strip_base_path":true}`,
		"api:all":                `{"name":"all","base_path":"/","domains":["default"],"strip_base_path":true}`,
	})
	tests := map[string]struct{ host, path, want, rest string }{
		"the base path":    {"ai.acme.example", "/v1", "models", ""},
		"below it":         {"ai.acme.example", "/v1/models", "models", "/models"},
		"a slash after it": {"ai.acme.example", "/v1/", "models", "/"},
		"a longer base path": {
			"ai.acme.example", "/v1/chat/completions", "chat", "/v1/chat/completions",
		},
		"not a whole segment":            {"ai.acme.example", "/v10/models", "", ""},
		"a segment that begins so":       {"ai.acme.example", "/v1/chatter", "models", "/chatter"},
		"another letter case":            {"ai.acme.example", "/V1/models", "", ""},
		"a draft is not there":           {"ai.acme.example", "/v1/chat/draft", "chat", "/v1/chat/draft"},
		"an API of the domain":           {"AI.acme.example.:443", "/v1/acme", "acme", "/v1/acme"},
		"of another domain":              {"x.acme.example", "/v1/acme", "models", "/acme"},
		"an API of a wildcard":           {"x.acme.example", "/wild", "wild", "/wild"},
		"the exact domain is another":    {"ai.acme.example", "/wild", "", ""},
		"everything else of the default": {"elsewhere.test", "/anything", "all", "/anything"},
		"the root":                       {"elsewhere.test", "/", "all", "/"},
		"a base path with a slash":       {"elsewhere.test", "/slash/x", "slash", "/x"},
		"the same without it":            {"elsewhere.test", "/slash", "slash", ""},
		"nothing":                        {"x.acme.example", "/anything", "", ""},
	}
	for name, test := range tests {
		got, err := snapshot.Route(&http.Request{Host: test.host, URL: &url.URL{Path: test.path}})
		switch {
		case err != nil || got.Path != test.path || got.Domain == nil:
			t.Errorf("%s: %+v, %v", name, got, err)
		case got.API == nil && test.want != "", got.API != nil && got.API.Name != test.want:
			t.Errorf("%s: API %+v, want %q", name, got.API, test.want)
		case got.API != nil && got.Rest() != test.rest:
			t.Errorf("%s: the rest is %q, want %q", name, got.Rest(), test.rest)
		}
	}
	route, err := snapshot.Route(&http.Request{Host: "ai.acme.example", URL: &url.URL{Path: "/v1/../x"}})
	if !errors.Is(err, registry.ErrPath) || route.API != nil || route.Domain.Name != "ai.acme.example" {
		t.Errorf("a path that is not canonical: %+v, %v", route, err)
	}
}

func TestSnapshotFields(t *testing.T) {
	t.Parallel()
	s := loaded(t, map[string]string{
		"instance:acme":                         `{"id":"acme"}`,
		"jwks:acme":                             `{"active":"k1","jwks":{"keys":[` + publicKey + `]}}`,
		"upstream:u":                            `{"name":"u","api_keys":["clear","sealed: v1:x"]}`,
		"group:g":                               `{"name":"g"}`,
		"claim:uid":                             "",
		"claim:scope":                           "",
		"jwtplace:header:authorization:Bearer ": "",
		"jwtplace:query:token:":                 "",
		"global":                                `{"issuer":"https://i.test","mode":"whitelist"}`,
		"pepper":                                "sealed: v1:x",
		"later:thing":                           "what a newer version writes",
		"later":                                 "{",
	})
	if s.Instances["acme"].ID != "acme" || s.Groups["g"].Name != "g" || s.Global.Issuer != "https://i.test" {
		t.Error("an entry is missing")
	}
	if set := s.KeySets["acme"]; set.Active != "k1" || len(set.Keys) != 1 || set.Keys[0].ID != "k1" {
		t.Errorf("key set %+v", set)
	}
	if !slices.Equal(s.Claims, []string{"scope", "uid"}) {
		t.Errorf("claims %v", s.Claims)
	}
	places := []registry.Place{{In: "header", Name: "authorization", Prefix: "Bearer "},
		{In: "query", Name: "token"}}
	if !slices.Equal(s.JWTPlaces, places) {
		t.Errorf("places %+v", s.JWTPlaces)
	}
	if s.Pepper != nil || s.Upstreams["u"].APIKeys[1].Reveal() != "sealed: v1:x" {
		t.Error("without master keys a secret was opened")
	}
}

const publicKey = `{"kty":"EC","crv":"P-256","kid":"k1","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",` +
	`"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`

func TestSnapshotThatCannotBeRead(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ field, value, want string }{
		"no JSON":                {"api:a", "{", "api:a"},
		"a newer format":         {"format", "2", "newer version"},
		"a format of no number":  {"format", "x", "newer version"},
		"a place of no kind":     {"jwtplace:body:x:", "", "jwtplace:body:x:"},
		"a key set of no keys":   {"jwks:acme", `{"jwks":{"keys":[]}}`, "jwks:acme"},
		"a private key in a set": {"jwks:acme", `{"jwks":{"keys":[{"kty":"EC","d":"c2VjcmV0"}]}}`, "jwks:acme"},
	}
	for name, test := range tests {
		r, store := reader(t, nil)
		change := registry.Change{Set: map[string]string{test.field: test.value}}
		if err := store.Write(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		_, err := r.Snapshot(t.Context())
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A sealed secret opens at its own place only, and under a master key that is known.
func TestSealedSecretsOfASnapshot(t *testing.T) {
	t.Parallel()
	keys := newMasterKeys(t)
	other := newMasterKeys(t)
	sealed, err := keys.Seal("upstream/u/api_keys/0", []byte("sk-1"))
	if err != nil {
		t.Fatal(err)
	}
	read := func(k *seal.Keys, upstream string) (*registry.Snapshot, error) {
		_, store := reader(t, map[string]string{
			"upstream:" + upstream: `{"name":"` + upstream + `","api_keys":["sealed: ` + sealed + `"]}`,
		})
		return registry.NewReader(store, k, time.Now).Snapshot(t.Context())
	}
	s, err := read(keys, "u")
	if err != nil || s.Upstreams["u"].APIKeys[0].Reveal() != "sk-1" {
		t.Errorf("at its place: %v", err)
	}
	if _, err := read(keys, "v"); !errors.Is(err, seal.ErrTampered) {
		t.Errorf("at another place: %v", err)
	}
	if _, err := read(other, "u"); !errors.Is(err, seal.ErrUnknownMasterKey) {
		t.Errorf("under another master key: %v", err)
	}
}

func newMasterKeys(t testing.TB) *seal.Keys {
	t.Helper()
	keys, err := seal.ParseKeys(seal.NewMasterKey())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}
