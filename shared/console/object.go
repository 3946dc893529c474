package console

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// objects answers at the path of a kind: its list, or one object.
func objects(v *visit, segments []string) (answer, error) {
	k, parent, name, ok := find(segments)
	switch {
	case !ok || k.child() && name == "":
		return answer{}, errNoPage
	case name == "" && k.key != "":
		return listObjects(v, k, parent)
	}
	t, err := v.thing(k, parent, name)
	if err != nil {
		return answer{}, err
	}
	if v.posted() {
		return v.save(t)
	}
	return v.showObject(t, v.r.URL.Query().Get("tab"), formState{})
}

// listPage is what a list shows.
type listPage struct {
	*kind
	Items   []listed
	Prefix  string
	Next    string // link to the next page; "": none
	Only    string // of the list, a type alone
	Create  string // link; "": the visitor may not
	Current string
}

type listed struct {
	Name   string
	Href   string
	Object object
}

// Accessors for the templates.
func (k *kind) Title() string     { return k.title }
func (k *kind) One() string       { return k.one }
func (k *kind) Says() string      { return k.says }
func (k *kind) Empty() string     { return k.empty }
func (k *kind) Word() string      { return k.create }
func (k *kind) Columns() []column { return k.columns }
func (k *kind) Kind() string      { return k.path }
func (c column) Title() string    { return c.title }
func (c column) As() string       { return c.as }
func (c column) Text(o object) string {
	if c.as == "count" {
		items, _ := o.at(c.path).([]any)
		return textOf(json.Number(itoa(len(items))))
	}
	return o.text(c.path)
}

// perPage is how many objects a page lists.
const perPage = 50

func listObjects(v *visit, k *kind, parent string) (answer, error) {
	query := v.r.URL.Query()
	shown := listPage{kind: k, Prefix: query.Get("prefix"), Only: query.Get("type")}
	ask := url.Values{"limit": {itoa(perPage)}, "prefix": {shown.Prefix}, "after": {query.Get("after")}}
	var l list
	if _, err := v.get(path(k.segments(parent, "")...)+"?"+ask.Encode(), &l); err != nil {
		return answer{}, err
	}
	for _, item := range l.Items {
		if shown.Only != "" && item.text("type") != shown.Only {
			continue
		}
		name := item.text(k.key)
		shown.Items = append(shown.Items, listed{Name: name, Href: href(k.segments(parent, name)...), Object: item})
	}
	if l.Next != "" {
		next := url.Values{"after": {l.Next}}
		for _, name := range []string{"prefix", "type"} {
			if query.Get(name) != "" {
				next.Set(name, query.Get(name))
			}
		}
		shown.Next = "?" + next.Encode()
	}
	right := "write"
	if k.path == "instances" && !v.may("admin.write", "") {
		right = "" // an instance's own rights do not reach another
	}
	if right != "" && v.may(k.half+"."+right, parent) {
		shown.Create = href(append([]string{"new"}, k.segments(parent, "")...)...)
		if shown.Only != "" {
			shown.Create += "?type=" + url.QueryEscape(shown.Only)
		}
	}
	title := k.title
	if shown.Only == "mcp" {
		title = "MCP servers"
	}
	return answer{page: "list", title: title, data: shown}, nil
}

// href is a path of the console from segments.
func href(segments ...string) string { return Prefix + path(segments...) }

// formState is a form that was not saved: what was typed, and why.
type formState struct {
	object   object // nil: as it stands
	form     url.Values
	unread   map[string]string // by field
	problem  *problem
	conflict []change // what somebody else changed meanwhile
}

// objectPage is what the page of an object shows.
type objectPage struct {
	*thing
	Tabs     []tabLink
	Tab      string
	Form     []formSection
	Version  string
	Seen     string // the fields as they were shown, as JSON
	May      bool   // the visitor may write
	Problem  *problem
	Others   []fault // that belong to no field shown
	Conflict []change
	Extra    any
	Part     string // template of Extra
	Revealed *revealed
}

type tabLink struct {
	Title, Href string
	Current     bool
}

// Accessors for the templates.
func (t *thing) Object() object          { return t.object }
func (t *thing) Name() string            { return t.name }
func (t *thing) Parent() string          { return t.parent }
func (t *thing) Href() string            { return Prefix + t.at() }
func (t *thing) Heading() string         { return t.heading() }
func (t *thing) Single() bool            { return t.key == "" }
func (t *thing) To(verb string) string   { return Prefix + path(verb) + t.at() }
func (t *thing) Do(action string) string { return Prefix + path("do", action) + t.at() }
func (t *thing) Edition() string         { return t.version }

func (t *thing) tabOf(id string) *tab {
	for i := range t.tabs {
		if t.tabs[i].id == id {
			return &t.tabs[i]
		}
	}
	return &t.tabs[0]
}

// formOf is the form of an object at the tab.
func (t *tab) formOf(o object) []section {
	if t.when != nil && !t.when(o) {
		return nil
	}
	return t.form
}

// showObject writes the page of an object at one of its tabs.
func (v *visit) showObject(t *thing, id string, state formState) (answer, error) {
	at := t.tabOf(id)
	shown := objectPage{
		thing: t, Tab: at.id, Version: t.version, May: v.may(t.half+".write", t.reach()),
		Problem: state.problem, Conflict: state.conflict, Revealed: v.revealed,
	}
	for _, tab := range t.tabs {
		shown.Tabs = append(shown.Tabs, tabLink{tab.title, t.Href() + "?tab=" + tab.id, tab.id == at.id})
	}
	if err := v.fillForm(&shown, at.formOf(t.object), state); err != nil {
		return answer{}, err
	}
	if at.extra != nil {
		extra, err := at.extra(v, t)
		if err != nil {
			return answer{}, err
		}
		shown.Extra, shown.Part = extra, t.path+"_"+at.id
	}
	return answer{status: state.status(), page: "object", title: t.heading(), crumbs: t.crumbs(), data: shown}, nil
}

func (s formState) status() int {
	switch {
	case s.conflict != nil:
		return http.StatusPreconditionFailed
	case s.problem != nil:
		return s.problem.Status
	case len(s.unread) > 0:
		return http.StatusUnprocessableEntity
	}
	return 0
}

// fillForm makes the inputs, with what was typed and what is wrong with it.
func (v *visit) fillForm(shown *objectPage, form []section, state formState) error {
	if len(form) == 0 {
		return nil
	}
	offered, err := v.offered(form)
	if err != nil {
		return err
	}
	o, faults := shown.object, map[string]string{}
	if state.object != nil {
		o = state.object
	}
	for name, wrong := range state.unread {
		faults[name] = wrong
	}
	if state.problem != nil {
		shown.Others = place(state.problem.Faults, form, faults)
	}
	shown.Form = showForm(form, o, offered, faults)
	retype(shown.Form, state.form, state.unread)
	shown.Seen = compact(seen(form, shown.object))
	return nil
}

// seen are the fields of a form as an object has them.
func seen(form []section, o object) map[string]any {
	all := map[string]any{}
	for _, s := range form {
		for _, f := range s.fields {
			if value := o.at(f.path); value != nil {
				all[f.path] = value
			}
		}
	}
	return all
}

// place puts faults at their fields and returns those that have none.
func place(faults []fault, form []section, at map[string]string) []fault {
	var others []fault
	for _, one := range faults {
		placed := false
		for _, s := range form {
			for _, f := range s.fields {
				rest, within := strings.CutPrefix(one.Path, f.path)
				if placed || !within || rest != "" && rest[0] != '.' && rest[0] != '[' {
					continue
				}
				text := one.Text
				if rest != "" {
					text = strings.TrimPrefix(rest, ".") + " " + text
				}
				at[f.path], placed = strings.TrimPrefix(at[f.path]+"; "+text, "; "), true
			}
		}
		if !placed {
			others = append(others, one)
		}
	}
	return others
}

// save writes a form onto the object that its sender saw. Where somebody else was faster, what only he changed is taken over, what was
// typed is kept, and both are shown before anything is written.
func (v *visit) save(t *thing) (answer, error) {
	at := t.tabOf(v.form.Get("tab"))
	form := at.formOf(t.object)
	typed := t.object.clone()
	state := formState{form: v.form, unread: write(form, v.form, typed), object: typed}
	if v.form.Get("version") != t.version {
		v.merge(t, form, &state)
		return v.showObject(t, at.id, state)
	}
	if len(state.unread) > 0 {
		return v.showObject(t, at.id, state)
	}
	_, err := v.api(http.MethodPut, t.at(), typed, ifMatch(t.version)...)
	var p *problem
	switch {
	case err == nil:
		return answer{to: t.Href() + "?tab=" + at.id + "&done=saved"}, nil
	case !errors.As(err, &p):
		return answer{}, err
	case p.Status == http.StatusPreconditionFailed:
		now, err := v.thing(t.kind, t.parent, t.name)
		if err != nil {
			return answer{}, err
		}
		state.object = now.object.clone()
		state.unread = write(form, v.form, state.object)
		v.merge(now, form, &state)
		return v.showObject(now, at.id, state)
	}
	state.problem = p
	return v.showObject(t, at.id, state)
}

// merge keeps what was typed, and takes over what was changed by others alone.
func (v *visit) merge(now *thing, form []section, state *formState) {
	was := object{}
	_ = decode([]byte(v.form.Get("seen")), &was) // what cannot be read was nothing
	state.conflict = []change{}
	for _, s := range form {
		for _, f := range s.fields {
			before, theirs, mine := compact(was[f.path]), compact(now.object.at(f.path)), compact(state.object.at(f.path))
			if before == theirs || theirs == mine {
				continue
			}
			state.conflict = append(state.conflict, change{f.label, short(was[f.path]), short(now.object.at(f.path))})
			if mine == before && state.unread[f.path] == "" {
				state.object.set(f.path, now.object.at(f.path))
			}
		}
	}
}
