package clients

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestConsolePages looks at pages with texts that must stay texts, and at what the keyboard does.
func TestConsolePages(t *testing.T) {
	need(t, "chromium")
	gateway, _, _ := consoleServe(t)
	names := map[string]string{
		"script": `<script>window.broken = 1</script><img src=x onerror="window.broken = 1">`,
		"long":   strings.Repeat("Lo ng", 2000), "emoji": "Büro 🙂", "arabic": "تقرير لילי",
	}
	for name, text := range names {
		create(t, gateway, "/consumers", map[string]any{"name": name, "display_name": text, "description": text, "api_key": map[string]any{}})
	}
	b := openBrowser(t, gateway)
	if err := chromedp.Listen(b.ctx, func(event any) {
		if _, opened := event.(*page.EventJavascriptDialogOpening); opened {
			t.Error("a text opened a dialog")
		}
	}); err != nil {
		t.Fatal(err)
	}
	b.do("sign in", b.open("/sign-in"), fill("Admin token", bootstrap), press("Sign in"))
	for _, width := range []int64{1280, 390} {
		b.do("look at the size", chromedp.EmulateViewport(width, 800))
		for _, at := range []string{"/consumers", "/consumers/script", "/consumers/long", "/consumers/arabic?tab=settings", "/json/consumers/script", "/audit"} {
			b.do("open "+at, b.open(at))
			b.holds(at, `typeof window.broken === "undefined" && document.querySelectorAll("script").length === 1 && !document.querySelector("main img")`)
			b.holds(at+" is as wide as the window", `document.documentElement.scrollWidth <= window.innerWidth`)
		}
	}
	b.do("look at a name", b.open("/consumers/script"))
	if heading := b.text("h1"); heading != names["script"] {
		t.Errorf("the name reads %q", heading)
	}
	b.do("press /", b.open("/consumers"), chromedp.KeyEvent("/"))
	b.holds("the filter", `document.activeElement.id === "filter"`)
	b.do("filter", typeInto(chromedp.CSS("#filter"), "scr"), next(chromedp.KeyEvent(kb.Enter)))
	b.holds("the list", `document.querySelectorAll("tbody tr").length === 1`)
	b.do("press Tab", b.open("/consumers"), chromedp.KeyEvent(kb.Tab))
	b.holds("the first stop", `document.activeElement.className === "skip"`)
}

// holds requires that an expression is true on the page.
func (b *browser) holds(what, expression string) {
	b.t.Helper()
	is, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](expression))
	if err != nil || !is {
		b.t.Errorf("%s: not %s (%v)", what, expression, err)
	}
}

// create makes an object by the admin API.
func create(t *testing.T, gateway, at string, object any) {
	t.Helper()
	text, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPost, gateway+"/_/admin/v1"+at, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+bootstrap)
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	got.Body.Close()
	if got.StatusCode != http.StatusCreated {
		t.Fatalf("create %s: %d", at, got.StatusCode)
	}
}
