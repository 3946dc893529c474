package console

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"path/filepath"
	"strings"
	"time"
)

//go:embed pages assets
var embedded embed.FS

// crumb is a page above this one.
type crumb struct{ Title, Href string }

// frame is what every page has around it.
type frame struct {
	Title  string
	Crumbs []crumb
	Page   string
	Data   any
	Done   string // what has just been done
	Region string
	CSRF   string
	Who    string
	Nav    []navGroup
	v      *visit
}

type navGroup struct {
	Title string
	Items []navItem
}

type navItem struct {
	Title, Href string
	Current     bool
}

// May reports whether the visitor has a right.
func (f frame) May(right string) bool { return f.v.may(right, "") }

// doneWords are the messages that a redirect may bring along; an address never brings text of its own.
var doneWords = map[string]string{
	"created": "Created.", "saved": "Saved.", "removed": "Removed.", "upgraded": "M2M Management is on: this instance issues tokens.",
	"rotated": "The next signing key signs from now on.", "revoked": "The signing key is revoked: what it signed verifies no longer.",
	"authorized": "Authorized.", "granted": "The permissions are saved.", "scope": "The permission was added.",
	"changed": "Changed; it holds from the next request on.",
}

// sidebar are the pages, each with the right that it needs.
var sidebar = []struct {
	title string
	items []struct{ title, to, right string }
}{
	{"", []struct{ title, to, right string }{{"Overview", "/", ""}, {"Keyless recipe", "/guide", "both"}}},
	{"Identity", []struct{ title, to, right string }{{"Instances", "/instances", "identity.read"}}},
	{"AI Gateway", []struct{ title, to, right string }{
		{"APIs", "/apis", "gateway.read"}, {"MCP servers", "/apis?type=mcp", "gateway.read"}, {"Consumers", "/consumers", "gateway.read"},
		{"Groups", "/groups", "gateway.read"}, {"Domains", "/domains", "gateway.read"}, {"Upstreams", "/upstreams", "gateway.read"},
		{"Global authentication", "/global_authentication", "gateway.read"}, {"Prices", "/prices", "gateway.read"}}},
	{"Operate", []struct{ title, to, right string }{
		{"Debugger", "/debug", "gateway.read"}, {"Usage", "/usage", "gateway.read"}, {"Audit trail", "/audit", "admin.read"}}},
}

func (v *visit) nav() []navGroup {
	var all []navGroup
	for _, group := range sidebar {
		shown := navGroup{Title: group.title}
		for _, item := range group.items {
			both := item.right == "both" && v.may("identity.write", "") && v.may("gateway.write", "")
			if item.right == "" || both || item.right != "both" && v.may(item.right, "") {
				shown.Items = append(shown.Items, navItem{item.title, Prefix + item.to, v.stands(item.to)})
			}
		}
		if len(shown.Items) > 0 {
			all = append(all, shown)
		}
	}
	return all
}

// stands reports whether the visitor is at a page of the sidebar, or below it.
func (v *visit) stands(to string) bool {
	at := strings.TrimPrefix(v.r.URL.Path, Prefix)
	for _, verb := range []string{"/new", "/json", "/remove", "/do"} {
		at = strings.TrimPrefix(at, verb)
	}
	to, only, _ := strings.Cut(to, "?type=")
	if to == "/" {
		return at == "/"
	}
	return (at == to || strings.HasPrefix(at, to+"/")) && v.r.URL.Query().Get("type") == only
}

// functions of the templates.
var functions = template.FuncMap{
	"href":   href,
	"prefix": func() string { return Prefix },
	"day":    func(t any) string { return strings.Replace(first(textOf(t), 16), "T", " ", 1) },
	"local":  func(t any) string { return first(textOf(t), 16) },
	"inc":    func(n int) int { return n + 1 },
	"number": number,
	"money":  money,
	"json":   indented,
	"word":   func(words map[string]string, value string) string { return cmp.Or(words[value], value) },
	"off":    func(status any) bool { return status == "disabled" || status == "draft" },
	"count":  func(items any) int { list, _ := items.([]any); return len(list) },
	"of":     func(pairs ...any) map[string]any { return pairsTo(pairs) },
	"past": func(at string) bool {
		t, err := time.Parse(time.RFC3339, at)
		return err == nil && t.Before(time.Now())
	},
}

func first(text string, n int) string { return text[:min(len(text), n)] }

func pairsTo(pairs []any) map[string]any {
	all := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		all[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return all
}

// templates by page, each with the layout and the parts around it.
var templates = func() map[string]*template.Template {
	common := template.Must(template.New("").Funcs(functions).ParseFS(embedded, "pages/layout.html", "pages/part_*.html"))
	all := map[string]*template.Template{}
	files, err := embedded.ReadDir("pages")
	if err != nil {
		panic("console: its pages are not embedded")
	}
	for _, file := range files {
		name := strings.TrimSuffix(file.Name(), ".html")
		if name == "layout" || strings.HasPrefix(name, "part_") {
			continue
		}
		all[name] = template.Must(template.Must(common.Clone()).ParseFS(embedded, "pages/"+file.Name()))
	}
	return all
}()

// write sends an answer.
func (v *visit) write(a answer) {
	switch {
	case a.sent:
		return
	case a.to != "":
		http.Redirect(v.w, v.r, a.to, http.StatusSeeOther)
		return
	}
	f := frame{
		Title: a.title, Crumbs: a.crumbs, Page: a.page, Data: a.data, Region: v.c.o.Region, CSRF: v.session.token(), v: v,
		Done: doneWords[v.r.URL.Query().Get("done")],
	}
	if v.session.signedIn() {
		f.Who, f.Nav = v.who.Who, v.nav()
	}
	var text bytes.Buffer
	if err := templates[a.page].ExecuteTemplate(&text, "layout", f); err != nil {
		v.c.o.Log.ErrorContext(v.r.Context(), "console", "page", a.page, "error", err.Error())
		http.Error(v.w, "The page could not be written", http.StatusInternalServerError)
		return
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if a.status != 0 {
		v.w.WriteHeader(a.status)
	}
	_, _ = v.w.Write(text.Bytes()) // the visitor is gone
}

// kindsOfAssets are the media types of what is embedded.
var kindsOfAssets = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

// serveAsset answers with an embedded file. It is not kept either: a new version must never meet an old page.
func serveAsset(w http.ResponseWriter, r *http.Request, rest []string) {
	kind, text := "", []byte(nil)
	if len(rest) == 1 && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		kind = kindsOfAssets[filepath.Ext(rest[0])]
		text, _ = embedded.ReadFile("assets/" + rest[0]) // none: 404
	}
	if kind == "" || text == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(text)
}

// number writes a count with thin groups of three.
func number(n int64) string {
	text := fmt.Sprint(n)
	var groups []string
	for len(text) > 3 && text[len(text)-4] != '-' {
		groups = append([]string{text[len(text)-3:]}, groups...)
		text = text[:len(text)-3]
	}
	return strings.Join(append([]string{text}, groups...), ",")
}

// money writes millionths of a currency.
func money(micro int64) string {
	return fmt.Sprintf("%d.%02d", micro/1_000_000, micro%1_000_000/10_000)
}
