package console_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"keyless/shared/registry"
)

// hostile are texts that must be shown as text.
var hostile = map[string]string{
	"a script":       `<script>alert("kg")</script>`,
	"an attribute":   `" onmouseover="alert(1)" x="`,
	"a template":     `{{.CSRF}} </textarea><img src=x onerror=alert(1)>`,
	"an emoji":       "Büro 🙂 ✓",
	"right to left":  "تقرير לילי",
	"10,000 letters": strings.Repeat("long ", 2000),
}

// fit shortens a text to what a field takes.
func fit(text string, most int) string {
	if runes := []rune(strings.TrimSpace(text)); len(runes) > most {
		return strings.TrimSpace(string(runes[:most]))
	}
	return strings.TrimSpace(text)
}

// furnish makes one object of every kind, with a text in every field that takes any.
func (w *world) furnish(text string) {
	w.t.Helper()
	title, long := fit(text, 255), fit(text, 10000)
	quote := func(v any) string { b, _ := json.Marshal(v); return string(b) }
	w.api(http.MethodPost, "/instances", `{"id":"acme","privacy_agreement":"accepted","description":`+quote(long)+
		`,"resource_servers":[{"identifier":"urn:x/y","name":`+quote(title)+`,"scopes":[{"value":"model.invoke","name":`+quote(title)+`}]}]}`)
	w.api(http.MethodPost, "/instances/acme/clients", `{"id":"report","name":`+quote(title)+
		`,"permissions":[{"resource_server":"urn:x/y","scopes":["model.invoke"]}]}`)
	w.api(http.MethodPost, "/upstreams", `{"name":"back","protocol":"openai","base_url":"https://model.example/v1","api_keys":["MARKER-provider-key-0","MARKER-provider-key-1"],"headers":{"X-Team":`+
		quote(fit(strings.Map(ascii, text), 200))+`}}`)
	w.api(http.MethodPost, "/apis", `{"name":"models","type":"llm","base_path":"/v1","upstreams":[{"upstream":"back"}]}`)
	w.api(http.MethodPost, "/apis", `{"name":"tools","type":"mcp","base_path":"/mcp","authentication":"disabled"}`)
	w.api(http.MethodPost, "/groups", `{"name":"batch","limits":{"calls_per_day":5}}`)
	consumer := `"display_name":` + quote(long) + `,"description":` + quote(long)
	w.api(http.MethodPost, "/consumers", `{"name":"keyed",`+consumer+`,"api_key":{"keys":[{"id":"k1","value":"MARKER-api-key-0123456789"}]},"authorizations":[{"api":"models"}]}`)
	w.api(http.MethodPost, "/consumers", `{"name":"signer",`+consumer+`,"hmac":{"keys":[{"access_key":"ak","secret_key":"MARKER-hmac-secret-0123"}]}}`)
	w.api(http.MethodPost, "/consumers", `{"name":"tokens",`+consumer+`,"jwt":{"jwks":{"kty":"oct","alg":"HS256","k":"TUFSS0VSLW9jdC1rZXktMDEyMzQ1Njc4OS0wMTIzNDU2"},"value":`+
		quote(fit(text, 200))+`}}`)
	w.api(http.MethodPut, "/prices", `{"prices":[{"model":"m","tiers":[{"up_to":10,"input":"1"},{"input":"2"}]}]}`, "If-None-Match", "*")
	w.api(http.MethodPut, "/settings", `{"currency":"USD"}`, "If-None-Match", "*")
}

func ascii(r rune) rune {
	if r < ' ' || r > '~' {
		return -1
	}
	return r
}

// everyPage is the path of every page that shows or changes something of furnish.
func everyPage() []string {
	server := "/instances/acme/resource_servers/" + url.PathEscape("urn:x/y")
	all := []string{
		"/", "/guide", "/debug", "/debug?api=models", "/debug?api=tools", "/usage", "/usage?by=consumer", "/audit", "/apis?type=mcp",
		"/new/instances/acme/clients", "/instances/acme/clients/report?tab=permissions", server, server + "?tab=login", "/do/upgrade/instances/acme",
		"/instances/acme?tab=keys", "/settings",
	}
	for _, kind := range []string{"instances", "domains", "upstreams", "apis", "groups", "consumers"} {
		all = append(all, "/"+kind, "/new/"+kind)
	}
	for object, tabs := range map[string]string{
		"/instances/acme": "applications keys settings", "/instances/acme/clients/report": "general permissions settings",
		server: "permissions login settings", "/domains/default": "settings", "/domains/first.example": "settings", "/upstreams/back": "settings",
		"/apis/models": "consumers settings limits", "/apis/tools": "consumers settings limits", "/groups/batch": "limits",
		"/consumers/keyed": "authentication authorization limits settings", "/consumers/signer": "authentication settings",
		"/consumers/tokens": "authentication settings", "/prices": "settings", "/global_authentication": "settings",
	} {
		for tab := range strings.FieldsSeq(tabs) {
			all = append(all, object+"?tab="+tab)
		}
		if object != "/global_authentication" {
			all = append(all, "/json"+object, "/remove"+object)
		}
	}
	return all
}

var (
	inlineHandler = regexp.MustCompile(`(?i)<[^>"']*("[^"]*"[^>"']*|'[^']*'[^>"']*)*\son[a-z]+\s*=`)
	inlineStyle   = regexp.MustCompile(`(?i)<style|<[a-z][^<>]*\sstyle\s*=`)
	scripts       = regexp.MustCompile(`(?is)<script\b.*?</script>`)
)

func TestEveryPageShowsTextsAsTexts(t *testing.T) {
	t.Parallel()
	for says, text := range hostile {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			w := signedIn(t)
			w.furnish(text)
			seen := 0
			for _, page := range everyPage() {
				got := w.get(page)
				if got.status != http.StatusOK {
					t.Errorf("%s: %d", page, got.status)
					continue
				}
				w.check(page, got)
				if strings.Contains(got.body, html.EscapeString(fit(text, 30))) || strings.Contains(html.UnescapeString(got.body), fit(text, 30)) {
					seen++
				}
			}
			if seen < 15 {
				t.Errorf("the text is on %d pages only", seen)
			}
			if strings.Contains(w.log.String(), "level=ERROR") {
				t.Error(w.log)
			}
		})
	}
}

// check looks for what no page may have: code or styles of its own, tags of others' making, secrets.
func (w *world) check(page string, got answer) {
	w.t.Helper()
	policy := got.header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(policy, part) {
			w.t.Errorf("%s: the policy lacks %s", page, part)
		}
	}
	if strings.Contains(policy, "unsafe") || got.header.Get("Cache-Control") != "no-store" ||
		got.header.Get("X-Content-Type-Options") != "nosniff" || got.header.Get("Referrer-Policy") != "no-referrer" {
		w.t.Errorf("%s: headers %v", page, got.header)
	}
	if found := scripts.FindAllString(got.body, -1); len(found) != 1 || found[0] != `<script src="/_/console/assets/console.js" defer></script>` {
		w.t.Errorf("%s: scripts %q", page, found)
	}
	if found := inlineHandler.FindString(got.body); found != "" {
		w.t.Errorf("%s: an inline handler: %.200s", page, found)
	}
	if found := inlineStyle.FindString(got.body); found != "" {
		w.t.Errorf("%s: a style of its own: %.200s", page, found)
	}
	if strings.Contains(got.body, "<img src=x") || strings.Contains(got.body, "MARKER") || strings.Contains(got.body, "ZgotmplZ") {
		w.t.Errorf("%s: a tag of the text's, or a secret", page)
	}
	if strings.Contains(got.body, "TUFSS0VS") || strings.Contains(got.body, token) {
		w.t.Errorf("%s: a secret", page)
	}
}

func TestPagesOfNothingSayWhatToDo(t *testing.T) {
	t.Parallel()
	w := signedIn(t)
	for page, words := range map[string]string{
		"/": "Begin here", "/instances": "Create an instance", "/consumers": "Create a consumer", "/apis": "Create an API",
		"/apis?type=mcp": "speaks MCP", "/upstreams": "Create an upstream", "/groups": "Create a group", "/usage": "No calls in these days",
	} {
		if got := w.get(page); got.status != http.StatusOK || !strings.Contains(got.body, words) {
			t.Errorf("%s: %d, without %q", page, got.status, words)
		}
	}
}

func TestPathsThatAreNone(t *testing.T) {
	t.Parallel()
	w := signedIn(t)
	for path, want := range map[string]int{
		"/nowhere": 404, "/consumers/nobody": 404, "/consumers/a/b": 404, "/new/nowhere": 404, "/new/prices": 404, "/do/x/consumers/y": 404,
		"/json/consumers": 404, "/assets/../console.go": 404, "/assets/none.css": 404, "//": 404, "/consumers/": 404, "/instances/acme/clients": 404,
		"/oidc/start": 404, "/oidc/callback": 404, "/debug/other": 404, "": 303,
	} {
		if got := w.get(path); got.status != want {
			t.Errorf("%s: %d, want %d", path, got.status, want)
		}
	}
}

// As an instance's token may see no more than its half.
func TestRights(t *testing.T) {
	t.Parallel()
	for says, c := range map[string]struct {
		rights  []string
		shows   []string
		hides   []string
		refuses []string
	}{
		"reads the gateway": {[]string{registry.ScopeGatewayRead}, []string{"Consumers", "Usage"}, []string{"Instances", "Audit trail", "Keyless recipe"},
			[]string{"/instances", "/audit", "/guide", "/instances/acme"}},
		"writes identity": {[]string{registry.ScopeIdentityWrite}, []string{"Instances"}, []string{"Consumers", "Usage", "Audit trail"},
			[]string{"/consumers", "/debug", "/audit", "/usage", "/apis/models", "/guide"}},
		"reads all": {[]string{registry.ScopeAdminRead}, []string{"Instances", "Consumers", "Audit trail"}, []string{"Keyless recipe"}, []string{"/guide"}},
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.furnish("Plain")
			w.signInAs(c.rights...)
			side := w.get("/").body
			for _, word := range c.shows {
				if !strings.Contains(side, ">"+word+"</a>") {
					t.Errorf("%s is not shown", word)
				}
			}
			for _, word := range c.hides {
				if strings.Contains(side, ">"+word+"</a>") {
					t.Errorf("%s is shown", word)
				}
			}
			for _, path := range c.refuses {
				if got := w.get(path); got.status != http.StatusForbidden && got.status != http.StatusNotFound {
					t.Errorf("%s: %d", path, got.status)
				}
			}
			w.readsOnly(c.rights)
		})
	}
}

// readsOnly requires that who only reads sees no buttons, and is refused where he sends the form all the same.
func (w *world) readsOnly(rights []string) {
	w.t.Helper()
	if strings.HasSuffix(rights[0], ".write") {
		return
	}
	page := w.get("/consumers/keyed?tab=settings")
	if strings.Contains(page.body, ">Save</button>") || strings.Contains(w.get("/consumers").body, "Create Consumer") {
		w.t.Error("buttons that write are shown")
	}
	csrf := w.get("/").csrf()
	for path, form := range map[string]url.Values{
		"/new/groups": {"name": {"mine"}}, "/remove/consumers/keyed": {"version": {"x"}}, "/do/authorize/consumers/keyed": {"api": {"tools"}},
		"/do/create-key/consumers/keyed": {},
	} {
		form.Set("csrf", csrf)
		if got := w.send(w.request(path, form)); got.status != http.StatusForbidden {
			w.t.Errorf("POST %s: %d", path, got.status)
		}
	}
}
