package token_test

import (
	"testing"

	"keyless/shared/registry"
)

// M3: another issuer's token is no permission but for the scopes that it says itself, in scope or scp, or that whoever trusts the
// issuer has written down, which bound both.
func TestX06ScopesOfAnotherIssuer(t *testing.T) {
	t.Parallel()
	f, _ := newExchanging(t)
	f.client(t, "acme", registry.Client{
		ID: "agent", Secrets: []registry.ClientSecret{hashed(f.pepper, "agent", "s1", secret)},
		Permissions: []registry.Permission{{ResourceServer: gateway, Scopes: []string{"model.invoke", "model.list", "shared"}},
			{ResourceServer: tools, Scopes: []string{"tools.call", "shared"}}},
		TokenExchange: []registry.SubjectIssuer{
			{Name: "bounded", Issuer: people, Audience: "keyless", Claims: map[string]string{"tenant": "acme"},
				Scopes: []string{"model.list", "shared"}},
			{Name: "free", Issuer: people, Audience: "keyless", Claims: map[string]string{"tenant": "free"}},
			{Name: "own", Issuer: registry.IssuerSelf, Audience: tools, Subject: "both"},
			{Name: "own-bounded", Issuer: registry.IssuerSelf, Audience: tools, Subject: "one", Scopes: []string{"tools.call"}},
		},
	})
	const no = "invalid_scope"
	for name, test := range map[string]struct {
		tenant     string
		scope, scp any
		ask, want  string
	}{
		"neither, nothing written":        {"free", nil, nil, "", no},
		"neither, nothing written, asked": {"free", nil, nil, "shared", no},
		"scp as text":                     {"free", nil, "shared model.list x", "", "model.list shared"},
		"scp as a list":                   {"free", nil, []string{"shared"}, "", "shared"},
		"scp lacks what is asked":         {"free", nil, []string{"shared"}, "model.list", no},
		"scp is empty":                    {"free", nil, "", "", no},
		"scp is an empty list":            {"free", nil, []string{}, "", no},
		"scp is of no kind":               {"free", nil, 5, "", no},
		"both":                            {"free", "model.list", []string{"shared"}, "", "model.list shared"},
		"scope is empty, scp is not":      {"free", "", "shared", "", "shared"},
		"neither, some written":           {"acme", nil, nil, "", "model.list shared"},
		"neither, one of them asked":      {"acme", nil, nil, "shared", "shared"},
		"neither, another asked":          {"acme", nil, nil, "model.invoke", no},
		"scope, within what is written":   {"acme", "shared", nil, "", "shared"},
		"scope, beyond what is written":   {"acme", "model.invoke shared", nil, "", "shared"},
		"scope, beyond it, and asked":     {"acme", "model.invoke shared", nil, "model.invoke", no},
		"scope, nothing of it":            {"acme", "openid", nil, "", no},
		"an empty scope":                  {"acme", "", nil, "", no},
	} {
		w := f.trade(personToken(object{"tenant": test.tenant, "scope": test.scope, "scp": test.scp}), "scope", test.ask)
		if _, got := says(t, w); got != test.want {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	for client, want := range map[string]string{"both": "tools.call shared", "one": "tools.call"} {
		own := access(object{"aud": tools, "client_id": client, "sub": client, "scope": "shared tools.call"})
		if _, got := says(t, f.trade(f.resign(t, "acme", own), "audience", tools)); got != want {
			t.Errorf("a token of our own, of %s: %s", client, got)
		}
	}
}
