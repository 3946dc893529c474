package console_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

// form is what a browser sends of an object's page at a tab, before anybody types.
func (w *world) form(page string) url.Values {
	w.t.Helper()
	got := w.get(page)
	return url.Values{"csrf": {got.csrf()}, "tab": {got.hidden("tab")}, "version": {got.hidden("version")}, "seen": {got.hidden("seen")}}
}

func TestSaveChangesWhatTheFormHasAndNothingElse(t *testing.T) {
	t.Parallel()
	w := signedIn(t)
	w.furnish("Plain")
	w.api(http.MethodPut, "/consumers/keyed/authorizations/models", `{"models":["qwen-*"]}`)
	before := w.object("/consumers/keyed")
	form := w.form("/consumers/keyed?tab=limits")
	form.Set("limits.calls_per_day", "1,000")
	form.Set("limits.spend_per_month", "12.50")
	form.Set("limits.models", `{"m*": {"tokens_per_day": 10}}`)
	if got := w.send(w.request("/consumers/keyed", form)); got.status != http.StatusSeeOther {
		t.Fatalf("save: %d %s", got.status, got.body)
	}
	after := w.object("/consumers/keyed")
	want := map[string]any{"calls_per_day": 1000.0, "spend_per_month": "12.50", "models": map[string]any{"m*": map[string]any{"tokens_per_day": 10.0}}}
	if !reflect.DeepEqual(after["limits"], want) {
		t.Errorf("limits %v", after["limits"])
	}
	delete(before, "version")
	delete(after, "version")
	delete(after, "limits")
	if !reflect.DeepEqual(before, after) {
		t.Errorf("something else changed:\n%v\n%v", before, after)
	}
	form = w.form("/consumers/keyed?tab=limits")
	if got := w.send(w.request("/consumers/keyed", form)); got.status != http.StatusSeeOther || w.object("/consumers/keyed")["limits"] != nil {
		t.Errorf("emptied: %d %v", got.status, w.object("/consumers/keyed")["limits"])
	}
}

func TestEveryFormSavedUntouchedChangesNothing(t *testing.T) {
	t.Parallel()
	w := signedIn(t)
	w.furnish("Plain")
	for _, page := range []string{"/upstreams/back?tab=settings", "/apis/models?tab=settings", "/apis/tools?tab=consumers", "/consumers/tokens?tab=authentication",
		"/consumers/keyed?tab=settings", "/domains/default?tab=settings", "/prices?tab=settings", "/settings?tab=settings",
		"/instances/acme?tab=settings", "/instances/acme/clients/report?tab=settings", "/instances/acme/resource_servers/urn:x%2Fy?tab=settings"} {
		object, _, _ := strings.Cut(page, "?")
		before := w.api(http.MethodGet, object, "")
		form := typed(w.get(page).body)
		if got := w.send(w.request(object, form)); got.status != http.StatusSeeOther {
			t.Errorf("%s: %d", page, got.status)
		}
		if after := w.api(http.MethodGet, object, ""); without(after) != without(before) {
			t.Errorf("%s changed\n%s\n%s", page, before, after)
		}
	}
}

// without is an object without its version.
func without(text string) string {
	var o map[string]any
	_ = json.Unmarshal([]byte(text), &o) // none equals none
	delete(o, "version")
	again, _ := json.Marshal(o)
	return string(again)
}

func TestConflictKeepsWhatWasTyped(t *testing.T) {
	t.Parallel()
	w := signedIn(t)
	w.furnish("Plain")
	form := typed(w.get("/consumers/keyed?tab=settings").body)
	w.api(http.MethodPatch, "/consumers/keyed", `{"status":"disabled","description":"Theirs"}`, "If-Match", "*")
	form.Set("display_name", "Mine")
	got := w.send(w.request("/consumers/keyed", form))
	if got.status != http.StatusPreconditionFailed || !strings.Contains(got.body, "Somebody else changed this meanwhile") {
		t.Fatalf("status %d", got.status)
	}
	again := typed(got.body)
	for name, want := range map[string]string{"display_name": "Mine", "status": "disabled", "description": "Theirs"} {
		if again.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, again.Get(name), want)
		}
	}
	if o := w.object("/consumers/keyed"); o["display_name"] == "Mine" {
		t.Error("saved over somebody else's change")
	}
	if got := w.send(w.request("/consumers/keyed", again)); got.status != http.StatusSeeOther {
		t.Errorf("saved again: %d", got.status)
	}
	if o := w.object("/consumers/keyed"); o["display_name"] != "Mine" || o["status"] != "disabled" || o["description"] != "Theirs" {
		t.Errorf("now %v", o)
	}
}

func TestFaultsStandAtTheirFields(t *testing.T) {
	t.Parallel()
	w := signedIn(t)
	w.furnish("Plain")
	for says, c := range map[string]struct{ page, name, value, words string }{
		"not a number":       {"/groups/batch?tab=limits", "limits.calls_per_day", "many", "is not a whole number"},
		"refused by the API": {"/domains/default?tab=settings", "time_zone", "Mars/Base", "Time zone of the day <bdi>"},
		"not JSON":           {"/groups/batch?tab=limits", "limits.models", "{", "is not valid JSON"},
		"a line no pair":     {"/upstreams/back?tab=settings", "headers", "no colon", "without a name and a colon"},
		"in a row":           {"/apis/models?tab=settings", "upstreams.0.order", "first", "row 1: Order is not a whole number"},
		"an unknown name":    {"/apis/models?tab=settings", "upstreams.0.upstream", "nowhere", "Upstreams <bdi>"},
	} {
		object, _, _ := strings.Cut(c.page, "?")
		form := typed(w.get(c.page).body)
		form.Set(c.name, c.value)
		got := w.send(w.request(object, form))
		if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, c.words) || !strings.Contains(got.body, c.value) {
			t.Errorf("%s: %d, lacks %q", says, got.status, c.words)
		}
	}
}

func TestEditAsJSON(t *testing.T) {
	t.Parallel()
	w := signedIn(t)
	w.furnish("Plain")
	page := w.get("/json/consumers/keyed")
	form := url.Values{"csrf": {page.csrf()}, "version": {page.hidden("version")}, "seen": {page.hidden("seen")}}
	form.Set("text", `{"name":"keyed","api_key":{"keys":[{"id":"k1","value":"[kept]"}]},"limits":{"rate":{"per_second":5}}}`)
	if got := w.send(w.request("/json/consumers/keyed", form)); got.status != http.StatusSeeOther {
		t.Fatalf("save: %d %s", got.status, got.body)
	}
	form.Set("text", `{"name":"keyed","description":"typed","api_key":{}}`)
	conflict := w.send(w.request("/json/consumers/keyed", form))
	if conflict.status != http.StatusPreconditionFailed || !strings.Contains(conflict.body, "typed") || !strings.Contains(conflict.body, "limits") {
		t.Errorf("conflict: %d", conflict.status)
	}
	form.Set("version", conflict.hidden("version"))
	for text, words := range map[string]string{`{"name":`: "not one JSON object", `[]`: "not one JSON object", `{"name":"keyed","colour":1}`: "unknown key"} {
		form.Set("text", text)
		if got := w.send(w.request("/json/consumers/keyed", form)); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, words) {
			t.Errorf("%s: %d", text, got.status)
		}
	}
}

func TestRemoveAsksAndSaysWhoNeedsIt(t *testing.T) {
	t.Parallel()
	w := signedIn(t)
	w.furnish("Plain")
	page := w.get("/remove/upstreams/back")
	got := w.send(w.request("/remove/upstreams/back", url.Values{"csrf": {page.csrf()}, "version": {page.hidden("version")}}))
	if got.status != http.StatusConflict || !strings.Contains(got.body, "api models") {
		t.Errorf("in use: %d", got.status)
	}
	page = w.get("/remove/groups/batch")
	stale := w.send(w.request("/remove/groups/batch", url.Values{"csrf": {page.csrf()}, "version": {"other"}}))
	gone := w.send(w.request("/remove/groups/batch", url.Values{"csrf": {page.csrf()}, "version": {page.hidden("version")}}))
	if stale.status != http.StatusPreconditionFailed || gone.status != http.StatusSeeOther || w.get("/groups/batch").status != http.StatusNotFound {
		t.Errorf("stale %d, gone %d", stale.status, gone.status)
	}
}
