package console_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// shown are the texts with a Copy button, by their labels.
func (a answer) shown() map[string]string {
	all := map[string]string{}
	for _, found := range regexp.MustCompile(`(?s)<(?:input type="text" readonly value="([^"]*)"|textarea readonly rows="6") aria-label="([^"]*)" spellcheck="false">([^<]*)`).
		FindAllStringSubmatch(a.body, -1) {
		all[found[2]] = found[1] + strings.TrimSpace(found[3])
	}
	return all
}

func TestNewConsumerProvesItselfInEachWay(t *testing.T) {
	t.Parallel()
	for says, c := range map[string]struct {
		pairs  []string
		status int
		shows  []string
		has    string
		value  string
	}{
		"API key":       {[]string{"credential.type", "api_key", "credential.source", "header", "credential.param", "x-key"}, 200, []string{"API key"}, "api_key", ""},
		"HMAC":          {[]string{"credential.type", "hmac"}, 200, []string{"Access key", "Secret key"}, "hmac", ""},
		"JWT by URL":    {[]string{"credential.type", "jwt", "credential.keys", "url", "credential.jwks_url", "https://issuer.example/jwks", "credential.claim", "scope", "credential.value", "model.invoke"}, 303, nil, "jwt", "model.invoke"},
		"symmetric key": {[]string{"credential.type", "jwt", "credential.keys", "symmetric", "credential.claim", "uid", "credential.value", "mine"}, 200, []string{"JWK", "Claim uid"}, "jwt", "mine"},
		"key pair":      {[]string{"credential.type", "jwt", "credential.keys", "pair", "credential.claim", "sub", "credential.value", ""}, 200, []string{"JWK", "PEM", "Claim sub"}, "jwt", ""},
		"nothing":       {nil, 422, nil, "", ""},
		"JWT no keys":   {[]string{"credential.type", "jwt", "credential.keys", "url", "credential.jwks_url", ""}, 422, nil, "", ""},
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			w := signedIn(t)
			got := w.post("/new/consumers", "/new/consumers", append([]string{"name", "partner", "display_name", "Kept when refused", "status", "disabled"}, c.pairs...)...)
			if got.status != c.status {
				t.Fatalf("status %d: %s", got.status, got.body)
			}
			for _, label := range c.shows {
				if got.shown()[label] == "" {
					t.Errorf("%s is not shown: %v", label, got.shown())
				}
			}
			if c.has == "" {
				if !strings.Contains(got.body, "Kept when refused") || strings.Contains(w.api(http.MethodGet, "/consumers", ""), "partner") {
					t.Error("what was typed is gone, or something was made")
				}
				return
			}
			o := w.object("/consumers/partner")
			for _, method := range []string{"api_key", "jwt", "hmac"} {
				if (o[method] != nil) != (method == c.has) {
					t.Errorf("credential %s: %v", method, o[method])
				}
			}
			if jwt, _ := o["jwt"].(map[string]any); o["status"] != "disabled" || c.value != "" && jwt["value"] != c.value {
				t.Errorf("made %v", o)
			}
		})
	}
}

func TestChangingTheAuthenticationTypeWarns(t *testing.T) {
	t.Parallel()
	w := signedIn(t)
	w.furnish("Plain")
	page := w.get("/consumers/keyed")
	pairs := []string{"version", page.hidden("version"), "credential.type", "jwt", "credential.keys", "url", "credential.jwks_url",
		"https://issuer.example/jwks", "credential.claim", "scope", "credential.value", "model.invoke"}
	asked := w.post("/consumers/keyed", "/do/authentication/consumers/keyed", pairs...)
	if asked.status != http.StatusOK || !strings.Contains(asked.body, "stop working at once") || w.object("/consumers/keyed")["api_key"] == nil {
		t.Fatalf("asks: %d", asked.status)
	}
	done := w.post("/consumers/keyed", "/do/authentication/consumers/keyed", append(pairs, "confirm", "yes")...)
	o := w.object("/consumers/keyed")
	if done.status != http.StatusSeeOther || o["api_key"] != nil || o["jwt"] == nil || o["authorizations"] == nil {
		t.Errorf("changed: %d %v", done.status, o)
	}
	stale := w.post("/consumers/keyed", "/do/authentication/consumers/keyed", append(pairs, "confirm", "yes")...)
	if stale.status != http.StatusPreconditionFailed {
		t.Errorf("with an old version: %d", stale.status)
	}
	page = w.get("/consumers/keyed")
	made := w.post("/consumers/keyed", "/do/authentication/consumers/keyed", "version", page.hidden("version"), "credential.type", "hmac", "confirm", "yes")
	if o = w.object("/consumers/keyed"); made.shown()["Secret key"] == "" || o["jwt"] != nil || o["hmac"] == nil {
		t.Errorf("to HMAC: %d %v", made.status, o)
	}
}

func TestKeysAreMadeDisabledAndDeleted(t *testing.T) {
	t.Parallel()
	w := signedIn(t)
	w.furnish("Plain")
	made := w.post("/consumers/keyed", "/do/create-key/consumers/keyed", "expires_at", "2030-01-31T12:00")
	secret := made.shown()["API key"]
	if made.status != http.StatusOK || secret == "" || strings.Contains(w.get("/consumers/keyed").body, secret) {
		t.Fatalf("made: %d, shown once: %q", made.status, secret)
	}
	if got := w.post("/consumers/keyed", "/do/change-key/consumers/keyed", "id", "k1", "status", "disabled"); got.status != http.StatusSeeOther {
		t.Errorf("disable: %d", got.status)
	}
	if got := w.post("/consumers/keyed", "/do/delete-key/consumers/keyed", "id", "k1"); got.status != http.StatusSeeOther {
		t.Errorf("delete: %d", got.status)
	}
	if got := w.post("/consumers/keyed", "/do/create-key/consumers/keyed", "expires_at", "soon"); got.status != http.StatusUnprocessableEntity {
		t.Errorf("an expiry that is none: %d", got.status)
	}
	if got := w.api(http.MethodGet, "/consumers/keyed", ""); strings.Contains(got, `"k1"`) || !strings.Contains(got, "2030-01-31T12:00:00Z") {
		t.Errorf("now %s", got)
	}
}

func TestSecretsAreShownAndAudited(t *testing.T) {
	t.Parallel()
	w := signedIn(t)
	w.furnish("Plain")
	const at = "/instances/acme/clients/report"
	made := w.post(at, "/do/create-secret"+at)
	secret := made.shown()["client_secret"]
	id := regexp.MustCompile(`name="id" value="(s[0-9a-f]{8})"`).FindStringSubmatch(made.body)
	if secret == "" || id == nil {
		t.Fatalf("made: %d", made.status)
	}
	if strings.Contains(w.get(at).body, secret) {
		t.Error("shown twice")
	}
	again := w.post(at, "/do/show-secret"+at, "id", id[1])
	if again.shown()["client_secret"] != secret || !strings.Contains(w.api(http.MethodGet, "/audit", ""), `"show"`) {
		t.Errorf("Show: %v", again.shown())
	}
	if third := w.post(at, "/do/create-secret"+at); third.status != http.StatusConflict {
		t.Errorf("a third secret: %d", third.status)
	}
}

func TestAuthorizationInBothDirections(t *testing.T) {
	t.Parallel()
	w := signedIn(t)
	w.furnish("Plain")
	if got := w.post("/consumers/signer", "/do/authorize/consumers/signer", "api", "tools", "tools", "search_*, fetch", "expires_at", "2030-01-31T12:00"); got.status != http.StatusSeeOther {
		t.Fatalf("from the consumer: %d %s", got.status, got.body)
	}
	if got := w.post("/apis/models", "/do/authorize/apis/models", "consumer", "signer", "models", "qwen-*"); got.status != http.StatusSeeOther {
		t.Fatalf("from the API: %d", got.status)
	}
	text := w.api(http.MethodGet, "/consumers/signer", "")
	for _, want := range []string{`"tools":["search_*","fetch"]`, `"models":["qwen-*"]`, "2030-01-31"} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %s: %s", want, text)
		}
	}
	if page := w.get("/apis/tools"); !strings.Contains(page.body, "/_/console/consumers/signer") {
		t.Error("the API does not list its consumer")
	}
	w.post("/apis/tools", "/do/unauthorize/apis/tools", "consumer", "signer")
	w.post("/consumers/signer", "/do/unauthorize/consumers/signer", "api", "models")
	if o := w.object("/consumers/signer"); o["authorizations"] != nil {
		t.Errorf("still authorized: %v", o)
	}
	if got := w.post("/apis/models", "/do/authorize/apis/models", "consumer", "nobody"); got.status != http.StatusNotFound {
		t.Errorf("nobody: %d", got.status)
	}
}

func TestUpgradeAndPermissions(t *testing.T) {
	t.Parallel()
	w := signedIn(t)
	got := w.post("/new/instances", "/new/instances", "description", "Machines", "id", "acme")
	if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "is required") {
		t.Fatalf("without the agreement: %d", got.status)
	}
	w.post("/new/instances", "/new/instances", "description", "Machines", "id", "acme", "privacy_agreement", "on")
	if w.object("/instances/acme")["m2m"] != "disabled" {
		t.Fatal("a new instance has M2M Management on")
	}
	w.post("/new/instances/acme/clients", "/new/instances/acme/clients", "type", "server", "name", "Gateway", "identifier", "urn:x/y|z")
	made := w.post("/new/instances/acme/clients", "/new/instances/acme/clients", "type", "server", "name", "Gateway", "identifier", "urn:x/y")
	server := strings.TrimSuffix(strings.TrimPrefix(made.header.Get("Location"), "/_/console"), "?done=created")
	if server != "/instances/acme/resource_servers/urn:x%2Fy" {
		t.Fatalf("made at %q", server)
	}
	if empty := w.post(server, "/do/add-permission"+server, "scope_name", "Invoke", "scope_value", " "); empty.status != http.StatusUnprocessableEntity {
		t.Errorf("without a value: %d", empty.status)
	}
	w.post(server, "/do/add-permission"+server, "scope_name", "Invoke", "scope_value", "model.invoke")
	w.post("/new/instances/acme/clients", "/new/instances/acme/clients", "type", "client", "name", "Report", "id", "report")
	const client = "/instances/acme/clients/report"
	page := w.get(client + "?tab=permissions")
	granted := w.post(client, "/do/grant"+client, "version", page.hidden("version"), "grant", "urn:x/y model.invoke")
	stale := w.post(client, "/do/grant"+client, "version", page.hidden("version"))
	if granted.status != http.StatusSeeOther || stale.status != http.StatusPreconditionFailed {
		t.Errorf("granted %d, stale %d", granted.status, stale.status)
	}
	if got := w.api(http.MethodGet, client+"/permissions", ""); !strings.Contains(got, "model.invoke") {
		t.Errorf("permissions %s", got)
	}
	w.post("/instances/acme", "/do/upgrade/instances/acme")
	if w.object("/instances/acme")["m2m"] == "disabled" {
		t.Error("still off")
	}
}
