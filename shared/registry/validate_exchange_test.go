package registry_test

import (
	"strings"
	"testing"
	"time"

	"keyless/shared/registry"
)

// X06: whose tokens a client may exchange is without fault, or has the one that is told.
func TestX06TokenExchangeEntries(t *testing.T) {
	t.Parallel()
	type trust = registry.SubjectIssuer
	const public = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	const oct = `{"kty":"oct","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}`
	good := func(change func(*trust)) trust {
		s := trust{Name: "n", Issuer: "https://i.example", Audience: "keyless"}
		change(&s)
		return s
	}
	own := func(change func(*trust)) trust {
		s := trust{Name: "n", Issuer: "self", Audience: "urn:a"}
		change(&s)
		return s
	}
	for name, row := range map[string]struct {
		trust trust
		want  string
	}{
		"by discovery":           {good(func(*trust) {}), ""},
		"by URL":                 {good(func(s *trust) { s.JWKSURL = "https://i.example/k" }), ""},
		"by value":               {good(func(s *trust) { s.JWKS = []byte(public) }), ""},
		"with conditions":        {good(func(s *trust) { s.Subject, s.Claims = "a:*", map[string]string{"t": "x"} }), ""},
		"with scopes":            {good(func(s *trust) { s.Scopes = []string{"read", "write"} }), ""},
		"no scopes":              {good(func(s *trust) { s.Scopes = []string{} }), "scopes: is an empty list"},
		"a scope it has not":     {good(func(s *trust) { s.Scopes = []string{"read", "admin"} }), `scopes[1]: "admin" is not a scope of the client's permissions`},
		"a scope twice":          {good(func(s *trust) { s.Scopes = []string{"read", "read"} }), "scopes[1]: "},
		"an empty scope":         {good(func(s *trust) { s.Scopes = []string{""} }), "scopes[0]: "},
		"… of this instance":     {own(func(s *trust) { s.Scopes = []string{"read"} }), ""},
		"with max_age":           {good(func(s *trust) { s.MaxAge = registry.Duration(time.Hour) }), ""},
		"of this instance":       {own(func(*trust) {}), ""},
		"… with conditions":      {own(func(s *trust) { s.Subject = "web-*" }), ""},
		"no name":                {good(func(s *trust) { s.Name = "" }), "name: "},
		"no issuer":              {good(func(s *trust) { s.Issuer = "" }), "issuer: is required"},
		"no URL":                 {good(func(s *trust) { s.Issuer = "Self" }), "issuer: is not a"},
		"an issuer with a query": {good(func(s *trust) { s.Issuer = "https://i.example?a" }), "issuer: has a query"},
		"an issuer with a star":  {good(func(s *trust) { s.Issuer = "https://*.example" }), "issuer: has a *"},
		"no audience":            {good(func(s *trust) { s.Audience = "" }), "audience: is required"},
		"an audience with a *":   {good(func(s *trust) { s.Audience = "*" }), "audience: has a *"},
		"a subject of anybody":   {good(func(s *trust) { s.Subject = "*" }), "subject: is nothing but *"},
		"an empty condition":     {good(func(s *trust) { s.Claims = map[string]string{"t": ""} }), "claims.t: is empty"},
		"two sources of keys": {good(func(s *trust) { s.JWKSURL, s.JWKS = "https://i.example/k", []byte(public) }),
			"jwks_url: stands beside jwks"},
		"a shared secret":         {good(func(s *trust) { s.JWKS = []byte(oct) }), "jwks: holds a shared secret"},
		"a key URL of no URL":     {good(func(s *trust) { s.JWKSURL = "x" }), "jwks_url: is not a"},
		"a long max_age":          {good(func(s *trust) { s.MaxAge = registry.Duration(25 * time.Hour) }), "max_age: is not from"},
		"a status of no word":     {good(func(s *trust) { s.Status = "on" }), "status: is"},
		"ours, by URL":            {own(func(s *trust) { s.JWKSURL = "https://i.example/k" }), "jwks_url: has no effect beside"},
		"ours, by value":          {own(func(s *trust) { s.JWKS = []byte(public) }), "jwks: has no effect beside"},
		"ours, for the admin API": {own(func(s *trust) { s.Audience = "keyless:admin" }), "audience: is the admin API"},
		"ours, for another": {own(func(s *trust) { s.Audience = "urn:b" }),
			`audience: "urn:b" is not a resource server of this instance`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			toldOf(t, []trust{row.trust}, "token_exchange[0].", row.want)
		})
	}
	twice := []trust{good(func(*trust) {}), own(func(*trust) {})}
	toldOf(t, twice, "token_exchange[1].", `name: "n" stands twice`)
	toldOf(t, []trust{}, "", "token_exchange: is empty")
}

func toldOf(t *testing.T, list []registry.SubjectIssuer, at, want string) {
	t.Helper()
	faults := registry.Validate(&registry.Config{Version: 1, Instances: []registry.Instance{{
		ID: "a", Description: "d", PrivacyAgreement: "accepted",
		ResourceServers: []registry.ResourceServer{{Identifier: "urn:a", Name: "A",
			Scopes: []registry.Scope{{Value: "read", Name: "R"}, {Value: "write", Name: "W"}}}},
		Clients: []registry.Client{{ID: "c", Name: "C", TokenExchange: list,
			Permissions: []registry.Permission{{ResourceServer: "urn:a", Scopes: []string{"read", "write"}}}}},
	}}})
	got := strings.ReplaceAll(faults.Error(), "instances[0].clients[0].", "")
	if want == "" && len(faults) > 0 || want != "" && (len(faults) != 1 || !strings.HasPrefix(got, at+want)) {
		t.Errorf("got %s, want %s%s", got, at, want)
	}
}

// An empty scope value or identifier is refused wherever one is written.
func TestEmptyScopesAndIdentifiersAreRefused(t *testing.T) {
	t.Parallel()
	faults := registry.Validate(&registry.Config{
		Version: 1,
		Instances: []registry.Instance{{
			ID: "a", Description: "d", PrivacyAgreement: "accepted",
			ResourceServers: []registry.ResourceServer{
				{Name: "none"}, {Identifier: "urn:a", Name: "A", Scopes: []registry.Scope{{Name: "none"}}},
			},
		}, {
			ID: "b", Description: "d", PrivacyAgreement: "accepted",
			ResourceServers: []registry.ResourceServer{
				{Identifier: "urn:b", Name: "B", Scopes: []registry.Scope{{Value: "s", Name: "S"}}},
			},
			Clients: []registry.Client{{ID: "c", Name: "C", Permissions: []registry.Permission{
				{Scopes: []string{"s"}}, {ResourceServer: "urn:b", Scopes: []string{""}},
			}, TokenExchange: []registry.SubjectIssuer{{Name: "n", Issuer: "self"}}}},
		}},
		APIs: []registry.API{{Name: "x", Type: "http", BasePath: "/x", Scopes: []string{"", "s p", "s"}}},
	}).Error()
	for _, at := range []string{
		"instances[0].resource_servers[0].identifier:", "instances[0].resource_servers[1].scopes[0].value:",
		"instances[1].clients[0].permissions[0].resource_server:", "instances[1].clients[0].permissions[1].scopes[0]:",
		"instances[1].clients[0].token_exchange[0].audience:", "apis[0].scopes[0]:", "apis[0].scopes[1]:",
	} {
		if !strings.Contains(faults, at) {
			t.Errorf("%s is not told: %s", at, faults)
		}
	}
	if strings.Contains(faults, "apis[0].scopes[2]") {
		t.Error(faults)
	}
}
