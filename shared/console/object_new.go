package console

import (
	"errors"
	"net/http"
	"strconv"
)

func itoa(n int) string { return strconv.Itoa(n) }

// newPage is the form of a new object.
type newPage struct {
	*kind
	Parent  string
	Action  string
	Back    string
	Form    []formSection
	Problem *problem
	Others  []fault
	Part    string // a template of more fields
	Extra   any
}

// newObject shows the form of a new object, and creates it.
func newObject(v *visit, rest []string) (answer, error) {
	k, parent, name, ok := find(rest)
	if !ok || name != "" || k.key == "" {
		return answer{}, errNoPage
	}
	switch k.path {
	case "consumers":
		return newConsumer(v, k)
	case "clients", "resource_servers":
		return newApplication(v, parent)
	}
	o := object{}
	if only := v.r.URL.Query().Get("type"); only != "" {
		o["type"] = only
	}
	if !v.posted() {
		return v.showNew(k, parent, formState{object: o}, nil)
	}
	made, state, err := v.create(k, parent, o)
	if err != nil || state != nil {
		return v.notCreated(k, parent, state, err)
	}
	return answer{to: href(k.segments(parent, made.text(k.key))...) + "?done=created"}, nil
}

func (v *visit) notCreated(k *kind, parent string, state *formState, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	return v.showNew(k, parent, *state, nil)
}

// create makes an object of a form onto what it is given, and returns it as the API answers it. Where the form is not right, it is
// returned to be shown again.
func (v *visit) create(k *kind, parent string, o object) (object, *formState, error) {
	state := &formState{form: v.form, object: o, unread: write(k.form, v.form, o)}
	for _, s := range k.form {
		for _, f := range s.fields {
			if f.required && o.at(f.path) == nil && state.unread[f.path] == "" {
				state.unread[f.path] = "is required"
			}
		}
	}
	if len(state.unread) > 0 {
		return nil, state, nil
	}
	made := o.clone()
	if k.fill != nil {
		if err := k.fill(v, made); err != nil {
			return nil, nil, err
		}
	}
	got, err := v.api(http.MethodPost, path(k.segments(parent, "")...), made)
	var p *problem
	switch {
	case errors.As(err, &p) && p.Status != http.StatusUnauthorized:
		state.problem = p
		return nil, state, nil
	case err != nil:
		return nil, nil, err
	}
	made = object{}
	return made, nil, got.decode(&made)
}

// showNew writes the form of a new object.
func (v *visit) showNew(k *kind, parent string, state formState, change func(*newPage)) (answer, error) {
	shown := newPage{
		kind: k, Parent: parent, Action: href(append([]string{"new"}, k.segments(parent, "")...)...),
		Back: href(k.segments(parent, "")...), Problem: state.problem,
	}
	offered, err := v.offered(k.form)
	if err != nil {
		return answer{}, err
	}
	faults := map[string]string{}
	for name, wrong := range state.unread {
		faults[name] = wrong
	}
	if state.problem != nil {
		shown.Others = place(state.problem.Faults, k.form, faults)
	}
	shown.Form = showForm(k.form, state.object, offered, faults)
	retype(shown.Form, state.form, state.unread)
	if change != nil {
		change(&shown)
	}
	t := &thing{kind: k, parent: parent}
	crumbs := append(t.above(), crumb{k.title, shown.Back})
	if k.child() {
		crumbs = t.above()
	}
	return answer{status: state.status(), page: "new", title: k.create, crumbs: crumbs, data: shown}, nil
}
