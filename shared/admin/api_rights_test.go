package admin_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"keyless/shared/admin"
	"keyless/shared/registry"
)

// filled is a pattern's path in the world, on an instance.
func filled(pattern, instance string) string {
	names := map[string]string{"{instance}": instance, "{client}": "worker", "{name}": "kay", "{item}": "k1"}
	switch {
	case strings.HasPrefix(pattern, "/apis"):
		names["{name}"] = "models"
	case strings.Contains(pattern, "/resource_servers"):
		names["{item}"] = "urn:models%2Fv1"
	case strings.Contains(pattern, "/secrets"):
		names["{item}"] = "s1"
	case strings.Contains(pattern, "/authorizations"):
		names["{item}"] = "models"
	case strings.Contains(pattern, "/hmac_keys"):
		names["{name}"], names["{item}"] = "hal", "hal-ak"
	case strings.HasPrefix(pattern, "/domains"):
		names["{name}"] = "ai.example"
	case strings.HasPrefix(pattern, "/upstreams"):
		names["{name}"] = "model"
	case strings.HasPrefix(pattern, "/groups"):
		names["{name}"] = "batch"
	}
	return regexp.MustCompile(`\{[a-z]+\}`).ReplaceAllStringFunc(pattern, func(name string) string { return names[name] })
}

// lacking are the most rights that do not hold one.
var lacking = map[string]string{
	"identity.read": "gateway.read gateway.write", "identity.write": "identity.read gateway.read gateway.write admin.read",
	"gateway.read": "identity.read identity.write", "gateway.write": "identity.read identity.write gateway.read admin.read",
	"admin.read":  "identity.read identity.write gateway.read gateway.write",
	"admin.write": "identity.read identity.write gateway.read gateway.write admin.read",
}

func TestEveryRouteIsDeniedByDefault(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	foreign := a.token("other", "clerk", "identity.read identity.write", nil)
	for _, r := range admin.Routes() {
		path := filled(r.Pattern, "acme")
		a.refused(http.StatusUnauthorized, "unauthorized", a.call(r.Method, path, "{}", "Authorization", ""))
		a.refused(http.StatusUnauthorized, "unauthorized", a.call(r.Method, path, "{}", "Authorization", "Bearer "+adminToken[1:]))
		if r.Right == "" {
			continue
		}
		if lacking[r.Right] == "" {
			t.Fatalf("%s %s: no such right %q", r.Method, r.Pattern, r.Right)
		}
		got := a.call(r.Method, path, "{}", bearing(a.token("acme", "root", lacking[r.Right], nil))...)
		if a.refused(http.StatusForbidden, "forbidden", got); !strings.Contains(got.str("detail"), r.Right) {
			t.Errorf("%s %s: %s", r.Method, r.Pattern, got.text)
		}
		a.refused(http.StatusForbidden, "forbidden", a.call(r.Method, path, "{}", bearing(a.token("acme", "root", "", nil))...))
		if strings.HasPrefix(r.Pattern, "/instances/{instance}") {
			a.refused(http.StatusNotFound, "not_found", a.call(r.Method, path, "{}", bearing(foreign)...))
		}
	}
}

func TestEveryReadingRouteAnswersItsRight(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	for _, r := range admin.Routes() {
		if r.Method != http.MethodGet {
			continue
		}
		path := filled(r.Pattern, "acme")
		if r.Pattern == "/ledger" {
			path += "?consumer=kay"
		}
		for _, right := range []string{r.Right, strings.Replace(r.Right, ".read", ".write", 1), "admin.read"} {
			got := a.must(http.StatusOK, a.call("GET", path, "", bearing(a.token("acme", "root", right, nil))...))
			if got.header.Get("Cache-Control") != "no-store" || got.header.Get("Content-Type") != "application/json" {
				t.Errorf("%s: %v", path, got.header)
			}
		}
		head := a.must(http.StatusOK, a.call("HEAD", path, ""))
		if head.text != "" {
			t.Errorf("HEAD %s has a body", path)
		}
	}
}

func TestTokensOfOurOwn(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	good := func(change map[string]any) string { return a.token("acme", "root", "admin.read", change) }
	flipped := []byte(good(nil))
	flipped[len(flipped)-10] ^= 1
	for name, c := range map[string]struct {
		token  string
		status int
	}{
		"a good one":                         {good(nil), 200},
		"without aud":                        {good(map[string]any{"aud": nil}), 401},
		"for another resource server":        {good(map[string]any{"aud": "urn:models/v1"}), 401},
		"for two":                            {good(map[string]any{"aud": []string{"keyless:admin", "urn:models/v1"}}), 401},
		"for one, in a list":                 {good(map[string]any{"aud": []string{"keyless:admin"}}), 200},
		"expired":                            {good(map[string]any{"exp": now.Unix()}), 401},
		"of the last second":                 {good(map[string]any{"exp": now.Unix() + 1}), 200},
		"of the future":                      {good(map[string]any{"iat": now.Unix() + 31}), 401},
		"of a clock that is ahead":           {good(map[string]any{"iat": now.Unix() + 30, "nbf": now.Unix() + 30}), 200},
		"not before later":                   {good(map[string]any{"nbf": now.Unix() + 31}), 401},
		"without iat":                        {good(map[string]any{"iat": nil}), 401},
		"without jti":                        {good(map[string]any{"jti": nil}), 401},
		"without a client":                   {good(map[string]any{"client_id": nil}), 401},
		"of a client that there is not":      {good(map[string]any{"client_id": "nobody"}), 401},
		"of a client of another instance":    {good(map[string]any{"iss": publicURL + "/other/oauth2"}), 401},
		"of another issuer":                  {good(map[string]any{"iss": "https://evil.example/acme/oauth2"}), 401},
		"of an instance that there is not":   {good(map[string]any{"iss": publicURL + "/none/oauth2"}), 401},
		"bound to a key":                     {good(map[string]any{"cnf": map[string]string{"jkt": "x"}}), 401},
		"bound to a certificate, not proven": {good(map[string]any{"cnf": map[string]string{"x5t#S256": "x"}}), 401},
		"with another signature":             {string(flipped), 401},
		"of a scope that its client has not": {a.token("acme", "clerk", "admin.read", nil), 403},
		"without any scope":                  {a.token("acme", "root", "", nil), 403},
		"of other scopes":                    {a.token("acme", "root", "gateway.write identity.write", nil), 403},
		"no token":                           {"a.b.c", 401},
	} {
		t.Run(name, func(t *testing.T) {
			if got := a.call("GET", "/audit", "", bearing(c.token)...); got.status != c.status {
				t.Errorf("got %d %s", got.status, got.text)
			} else if challenge := got.header.Get("WWW-Authenticate"); (challenge != "") != (c.status == 401) {
				t.Errorf("challenge %q", challenge)
			}
		})
	}
}

func TestWhatIsWithdrawnHoldsOnTheNextRequest(t *testing.T) {
	t.Parallel()
	const root = "/instances/acme/clients/root"
	for name, withdraw := range map[string]func(a *api, token string){
		"the client is disabled": func(a *api, _ string) {
			a.must(200, a.call("PATCH", root, `{"status":"disabled"}`, a.ifMatch(root)...))
		},
		"the client is removed": func(a *api, _ string) { a.must(204, a.call("DELETE", root, "", a.ifMatch(root)...)) },
		"the permission is taken": func(a *api, _ string) {
			a.must(200, a.call("PUT", root+"/permissions", `[]`, a.ifMatch(root)...))
		},
		"the key is revoked": func(a *api, _ string) {
			keys := a.must(200, a.call("GET", "/instances/acme/keys", "")).body["keys"].([]any)
			a.must(200, a.call("POST", "/instances/acme/keys/revoke", `{"kid":"`+keys[0].(map[string]any)["kid"].(string)+`"}`))
		},
		"the token is revoked": func(a *api, _ string) {
			digest := registry.Revocation(publicURL+"/acme/oauth2", "jti-root")
			if err := a.counts.Revoke(a.Context(), digest, time.Hour); err != nil {
				a.Fatal(err)
			}
		},
		"not_before rises": func(a *api, _ string) {
			seconds := map[string]string{"not_before": jsonOf(now.Unix() + 1)}
			if err := a.Store.Write(a.Context(), registry.Change{Set: seconds}); err != nil {
				a.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAcme(t)
			token := a.token("acme", "root", "admin.write", nil)
			a.must(200, a.call("GET", "/audit", "", bearing(token)...))
			withdraw(a, token)
			if got := a.call("GET", "/audit", "", bearing(token)...); got.status != 401 && got.status != 403 {
				t.Errorf("got %d %s", got.status, got.text)
			}
		})
	}
}

func jsonOf(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

func TestARightOnAnInstanceReachesNoOther(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	clerk := bearing(a.token("acme", "clerk", "identity.read identity.write", nil))
	list := a.must(200, a.call("GET", "/instances", "", clerk...))
	if items := list.body["items"].([]any); len(items) != 1 || items[0].(map[string]any)["id"] != "acme" {
		t.Errorf("got %s", list.text)
	}
	a.refused(403, "forbidden", a.call("POST", "/instances", `{"id":"mine","description":"x","privacy_agreement":"accepted"}`, clerk...))
	none := a.refused(404, "not_found", a.call("GET", "/instances/other", "", clerk...))
	if absent := a.call("GET", "/instances/none", ""); absent.text != none.text {
		t.Errorf("what he may not see differs from what is not there: %s %s", none.text, absent.text)
	}
	a.refused(403, "forbidden", a.call("GET", "/consumers", "", clerk...))
	who := a.must(200, a.call("GET", "/whoami", "", clerk...))
	if who.str("who") != "client acme/clerk" || who.str("instance") != "acme" || len(who.body["rights"].([]any)) != 2 {
		t.Errorf("got %s", who.text)
	}
}

// escalations are what somebody with identity rights of an instance could try to get all rights.
func TestNobodyGivesRightsThatHeDoesNotHave(t *testing.T) {
	t.Parallel()
	const clients = "/instances/acme/clients"
	give := func(scopes string) string { return `[{"resource_server":"keyless:admin","scopes":` + scopes + `}]` }
	for name, c := range map[string]struct {
		method, path, body string
		status             int
	}{
		"a client with his own rights":   {"POST", clients, `{"name":"x","permissions":` + give(`["identity.write"]`) + `}`, 201},
		"a client with more":             {"POST", clients, `{"name":"x","permissions":` + give(`["identity.read","gateway.read"]`) + `}`, 403},
		"a client without any":           {"POST", clients, `{"name":"x"}`, 201},
		"his own rights to another":      {"PUT", clients + "/worker/permissions", give(`["identity.read"]`), 200},
		"more to another":                {"PUT", clients + "/worker/permissions", give(`["admin.read"]`), 403},
		"more to himself":                {"PUT", clients + "/clerk/permissions", give(`["identity.read","admin.write"]`), 403},
		"more by a patch":                {"PATCH", clients + "/worker", `{"permissions":` + give(`["gateway.write"]`) + `}`, 403},
		"more by a replacement":          {"PUT", clients + "/worker", `{"name":"x","permissions":` + give(`["admin.write"]`) + `}`, 403},
		"a secret of one who has more":   {"POST", clients + "/root/secrets", `{}`, 403},
		"a look at the secret of one":    {"POST", clients + "/root/secrets/s1/show", ``, 403},
		"a look at one of his kind":      {"POST", clients + "/clerk/secrets/s1/show", ``, 200},
		"a key for one who has more":     {"PATCH", clients + "/root", `{"authentication":["private_key_jwt"],"jwks_url":"https://evil.example/k"}`, 403},
		"the end of a secret of one":     {"PATCH", clients + "/root/secrets/s1", `{"status":"disabled"}`, 403},
		"the end of one who has more":    {"DELETE", clients + "/root", ``, 403},
		"a secret of one without rights": {"POST", clients + "/worker/secrets", `{}`, 201},
		"a configuration":                {"POST", "/apply", `{"version":1}`, 403},
		"the built-in resource server":   {"POST", "/instances/acme/resource_servers", `{"identifier":"keyless:admin","name":"x"}`, 422},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAcme(t)
			headers := bearing(a.token("acme", "clerk", "identity.read identity.write", nil))
			if c.method != "POST" {
				headers = append(headers, "If-Match", "*")
			}
			before := a.must(200, a.call("GET", clients+"?limit=200", "")).text
			got := a.call(c.method, c.path, c.body, headers...)
			if got.status != c.status {
				t.Errorf("got %d %s", got.status, got.text)
			}
			if after := a.must(200, a.call("GET", clients+"?limit=200", "")).text; c.status >= 400 && after != before {
				t.Errorf("it was refused, and done: %s", after)
			}
		})
	}
}

func TestNoCredentialNoAPI(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.Token = ""
	a.handler = admin.New(a.Options)
	for _, r := range admin.Routes() {
		a.refused(404, "admin_off", a.call(r.Method, filled(r.Pattern, "acme"), ""))
		a.refused(404, "admin_off", a.call(r.Method, filled(r.Pattern, "acme"), "", "Authorization", "Bearer "))
	}
	var c registry.Config
	if err := json.Unmarshal([]byte(acme), &c); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Apply(t.Context(), a.Options, &c, true, false); err != nil {
		t.Fatal(err)
	}
	later := *a // a process that did not know the empty registry of a moment ago
	later.handler = admin.New(a.Options)
	later.refused(401, "unauthorized", later.call("GET", "/whoami", ""))
	later.must(200, later.call("GET", "/audit", "", bearing(a.token("acme", "root", "admin.read", nil))...))
	c.Instances[0].Clients = slices.DeleteFunc(c.Instances[0].Clients, func(c registry.Client) bool { return c.ID != "worker" })
	c.Instances[1].Clients = nil
	if _, err := admin.Apply(t.Context(), a.Options, &c, true, false); err != nil {
		t.Fatal(err)
	}
	later.handler = admin.New(a.Options)
	later.refused(404, "admin_off", later.call("GET", "/whoami", ""))
}

func TestAnOperatorOfThisProcessNeedsNoBearer(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	ctx := admin.As(t.Context(), admin.Operator("command line"))
	got := a.must(200, a.callIn(ctx, "GET", "/whoami", "", "Authorization", ""))
	if got.str("who") != "command line" || len(got.body["rights"].([]any)) != 6 {
		t.Errorf("got %s", got.text)
	}
}
