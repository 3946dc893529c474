package admin_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"keyless/shared/registry"
	endpoint "keyless/shared/token"
)

// mint asks the real token endpoint.
func (a *api) mint(instance, client, secret, scope string) (int, string) {
	a.Helper()
	door := endpoint.New(endpoint.Options{
		Reader: registry.NewReader(a.Store, a.Keys, clock), Signer: a.ring, PublicURL: publicURL, Now: clock, Log: a.Options.Log,
		Revocations: a.counts, Nonces: a.counts,
	})
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}
	r := httptest.NewRequestWithContext(a.Context(), http.MethodPost, "/"+instance+"/oauth2/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(client, secret)
	answer := httptest.NewRecorder()
	door.ServeHTTP(answer, r)
	var got struct {
		Token string `json:"access_token"`
	}
	_ = json.Unmarshal(answer.Body.Bytes(), &got)
	return answer.Code, got.Token
}

func TestATokenOfTheTokenEndpointIsTaken(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	status, minted := a.mint("acme", "root", "MARKER-root-secret-012345", "keyless:admin|gateway.write keyless:admin|identity.read")
	if status != http.StatusOK {
		t.Fatalf("got %d", status)
	}
	who := a.must(200, a.call("GET", "/whoami", "", bearing(minted)...))
	if who.str("who") != "client acme/root" || len(who.body["rights"].([]any)) != 2 {
		t.Errorf("got %s", who.text)
	}
	a.must(201, a.call("POST", "/groups", `{"name":"x"}`, bearing(minted)...))
	a.refused(403, "forbidden", a.call("GET", "/audit", "", bearing(minted)...))
	if status, _ = a.mint("acme", "clerk", "MARKER-clerk-secret-01234", "keyless:admin|admin.write"); status != http.StatusBadRequest {
		t.Errorf("a right that was not given: %d", status)
	}
	if status, _ = a.mint("acme", "worker", "MARKER-worker-secret-0123", "keyless:admin|.all"); status != http.StatusBadRequest {
		t.Errorf("rights of one who has none: %d", status)
	}
}
