package token_test

import (
	"testing"
	"time"

	"keyless/shared/registry"
)

// X04, RFC 7009 §2.1, §2.2. X05, RFC 7009 §3.
func TestX04X05Revocation(t *testing.T) {
	t.Parallel()
	f, kept, clock := newRevoking(t)
	text := f.mint(t, call{})
	id := claimsOf(t, []byte(`{"access_token":"`+text+`"}`)).ID
	for name, test := range map[string]struct {
		client, text string
		status       int
		code         string
	}{
		"no token at all":              {"one", "x", 200, ""},
		"a stranger's":                 {"one", signedBy("P-256", "ES256", object{"alg": "ES256", "typ": "at+jwt"}, access(nil)), 200, ""},
		"another instance's":           {"one", f.resign(t, "other", access(object{"iss": public + "/other/oauth2"})), 200, ""},
		"long expired":                 {"one", f.resign(t, "acme", access(object{"exp": now.Unix() - 3600})), 200, ""},
		"another client's":             {"both", text, 400, "unauthorized_client"},
		"of its resource server":       {"gate", text, 400, "unauthorized_client"},
		"another client's, that is it": {"both", f.resign(t, "acme", access(object{"sub": "both"})), 400, "unauthorized_client"},
	} {
		w := f.giveBack(test.client, test.text)
		if w.Code != test.status || len(kept.kept) != 0 {
			t.Errorf("%s: %d %s, %d kept", name, w.Code, w.Body, len(kept.kept))
		}
		if test.code != "" {
			A01Headers(t, w)
			if _, code := says(t, w); code != test.code {
				t.Errorf("%s: %s", name, code)
			}
		}
	}
	if w := f.ask("gate", text); w.Body.String() == inactive {
		t.Fatal("another client has revoked it")
	}
	for range 2 { // an answer that was lost is asked for again
		if w := f.giveBack("one", text, "token_type_hint", "refresh_token"); w.Code != 200 || w.Body.Len() != 0 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	want := registry.Revocation(issuerURL, id)
	if keep := kept.kept[want]; len(kept.kept) != 1 || keep != 20*time.Minute+time.Hour {
		t.Errorf("X05: kept %v", kept.kept)
	}
	if w := f.ask("gate", text); w.Body.String() != inactive {
		t.Errorf("X05: %s", w.Body)
	}
	*clock = now.Add(20*time.Minute + 30*time.Second)
	if w := f.giveBack("one", f.resign(t, "acme", access(object{"jti": "late"}))); w.Code != 200 || len(kept.kept) != 2 {
		t.Errorf("what a verifier with another clock still takes is revoked: %d, %d kept", w.Code, len(kept.kept))
	}
}

// A token of a resource server that was disabled holds again once that is enabled: it can be given back.
func TestX04OfADisabledResourceServer(t *testing.T) {
	t.Parallel()
	f, kept, _ := newRevoking(t)
	for _, audience := range []string{"urn:off", "urn:gone"} {
		before := len(kept.kept)
		if w := f.giveBack("one", f.resign(t, "acme", access(object{"aud": audience, "jti": audience}))); w.Code != 200 ||
			len(kept.kept) != before+1 {
			t.Errorf("%s: %d, %d kept", audience, w.Code, len(kept.kept))
		}
	}
}
