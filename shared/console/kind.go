package console

import (
	"errors"
	"net/http"
)

// kind describes the objects of one kind: how they are listed, made and changed. Their paths in the console are those of the admin API.
type kind struct {
	path    string // of the list, without the instance before it
	title   string
	one     string // what one is called
	key     string // the member that names one; "": there is one object only
	half    string // of the rights
	says    string // what they are for
	empty   string // what to do where there is none
	create  string // the button's word
	columns []column
	form    []section // of a new one
	tabs    []tab
	fill    func(v *visit, o object) error // completes a new one
}

// column of a list: a path of the object, and how it is shown.
type column struct {
	title, path string
	as          string // "": text; or status, count, code, on
}

// tab is a part of an object's page: a form, or a page of its own below it.
type tab struct {
	id, title string
	form      []section
	extra     func(v *visit, t *thing) (any, error) // data of the template tab_<kind path>_<id>
	when      func(o object) bool                   // whether the form is for such an object; nil: for all
}

// section is a part of a form.
type section struct {
	title, says string
	fields      []field
}

// field is one setting of an object.
type field struct {
	path     string // in the object
	label    string
	hint     string
	as       string // how it is written: one of the ways below
	choices  []string
	words    map[string]string // of choices; others speak for themselves
	from     string            // path of a list of the admin API whose names are the choices
	example  string
	required bool
	named    bool    // it names the object: written once
	absent   string  // the choice that is written by leaving the member out
	columns  []field // of rows
}

// The ways in which a field is written.
const (
	asText    = ""        // one line
	asArea    = "area"    // several lines
	asNumber  = "number"  // a whole number
	asChoice  = "choice"  // one of choices
	asCheck   = "check"   // true, or absent; or the one choice, or absent
	asLines   = "lines"   // a list of texts, one a line
	asCauses  = "causes"  // the same, and what is a number is one
	asPairs   = "pairs"   // names and values, "name: value" a line
	asMany    = "many"    // several of choices
	asSecrets = "secrets" // a list that is written and never read
	asRows    = "rows"    // a list of objects
	asJSON    = "json"    // any value
	asTime    = "time"    // RFC 3339
	asMethods = "methods" // `authentication` of an API
	asSource  = "source"  // `source` of an API key
	asPEM     = "pem"     // a list of PEM texts, one behind the other
)

// thing is an object of a kind, as it stands.
type thing struct {
	*kind
	parent  string // the instance that it belongs to
	name    string
	object  object
	version string
}

// segments are the path of an object, or of the list where name is "", in the console and in the admin API alike.
func (k *kind) segments(parent, name string) []string {
	var all []string
	if parent != "" {
		all = append(all, "instances", parent)
	}
	if all = append(all, k.path); name != "" {
		all = append(all, name)
	}
	return all
}

func (t *thing) at() string { return path(t.segments(t.parent, t.name)...) }

// title is what the page of an object is called.
func (t *thing) heading() string {
	switch {
	case t.key == "":
		return t.title
	case t.object.text("display_name") != "":
		return t.object.text("display_name")
	case t.object.text("name") != "":
		return t.object.text("name")
	}
	return t.name
}

// reach is the instance on which rights must be held.
func (t *thing) reach() string {
	if t.path == "instances" {
		return t.name
	}
	return t.parent
}

// find reads segments: a kind, and where they name one, the parent and the name.
func find(segments []string) (k *kind, parent, name string, ok bool) {
	if len(segments) > 2 && segments[0] == "instances" {
		parent, segments = segments[1], segments[2:]
	}
	if len(segments) == 0 || len(segments) > 2 {
		return nil, "", "", false
	}
	for i := range kinds {
		k := &kinds[i]
		if k.path != segments[0] || k.child() != (parent != "") {
			continue
		}
		if len(segments) == 2 {
			name = segments[1]
		}
		return k, parent, name, k.key != "" || name == ""
	}
	return nil, "", "", false
}

// child reports whether the objects belong to an instance.
func (k *kind) child() bool { return k.path == "clients" || k.path == "resource_servers" }

// thing reads an object. Of a kind that has one object only it may not be there yet: it begins with the first saving.
func (v *visit) thing(k *kind, parent, name string) (*thing, error) {
	t := &thing{kind: k, parent: parent, name: name, object: object{}}
	var err error
	t.version, err = v.get(t.at(), &t.object)
	var p *problem
	if k.key == "" && errors.As(err, &p) && p.Status == http.StatusNotFound {
		return &thing{kind: k, object: object{}}, nil
	}
	delete(t.object, "version")
	return t, err
}

// list is the page that lists the object among its like.
func (t *thing) list() string {
	switch {
	case t.child():
		return href("instances", t.parent)
	case t.key == "":
		return Prefix + "/"
	}
	return href(t.path)
}

// above are the pages above the list.
func (t *thing) above() []crumb {
	if t.parent == "" {
		return nil
	}
	return []crumb{{"Instances", href("instances")}, {t.parent, href("instances", t.parent)}}
}

// crumbs are the pages above the object.
func (t *thing) crumbs() []crumb {
	if all := t.above(); t.child() || t.key == "" {
		return all
	}
	return []crumb{{t.title, t.list()}}
}
