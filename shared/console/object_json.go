package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// removePage asks before something goes.
type removePage struct {
	*thing
	Problem *problem
}

// removeObject asks, and then removes.
func removeObject(v *visit, rest []string) (answer, error) {
	k, parent, name, ok := find(rest)
	if !ok || name == "" && k.key != "" {
		return answer{}, errNoPage
	}
	t, err := v.thing(k, parent, name)
	if err != nil {
		return answer{}, err
	}
	shown := removePage{thing: t}
	a := answer{page: "remove", title: "Remove " + t.heading(), crumbs: append(t.crumbs(), crumb{t.heading(), t.Href()})}
	if v.posted() {
		_, err := v.api(http.MethodDelete, t.at(), nil, ifMatch(v.form.Get("version"))...)
		if err == nil {
			return answer{to: t.list() + "?done=removed"}, nil
		}
		if !errors.As(err, &shown.Problem) {
			return answer{}, err
		}
		a.status = shown.Problem.Status
	}
	a.data = shown
	return a, nil
}

// jsonPage is an object as text.
type jsonPage struct {
	*thing
	Text     string
	Version  string
	Problem  *problem
	Wrong    string
	Conflict []change
	May      bool
}

// editJSON changes an object as a whole: every setting of the file is reached here.
func editJSON(v *visit, rest []string) (answer, error) {
	k, parent, name, ok := find(rest)
	if !ok || name == "" && k.key != "" {
		return answer{}, errNoPage
	}
	t, err := v.thing(k, parent, name)
	if err != nil {
		return answer{}, err
	}
	shown := jsonPage{thing: t, Text: indented(t.object), Version: t.version, May: v.may(t.half+".write", t.reach())}
	a := answer{page: "json", title: t.heading() + " as JSON", crumbs: append(t.crumbs(), crumb{t.heading(), t.Href()})}
	if v.posted() {
		if done, err := v.saveJSON(t, &shown); err != nil || done {
			return answer{to: t.Href() + "?done=saved"}, err
		}
		if a.status = http.StatusUnprocessableEntity; shown.Problem != nil {
			a.status = shown.Problem.Status
		}
	}
	a.data = shown
	return a, nil
}

// saveJSON writes a text onto the version that its editor saw; false where it is not right, which the page then shows.
func (v *visit) saveJSON(t *thing, shown *jsonPage) (bool, error) {
	shown.Text, shown.Version = v.form.Get("text"), v.form.Get("version")
	typed := object{}
	if err := decode([]byte(shown.Text), &typed); err != nil {
		shown.Wrong = "This is not one JSON object: " + jsonFault(err)
		return false, nil
	}
	delete(typed, "version")
	_, err := v.api(http.MethodPut, t.at(), typed, ifMatch(shown.Version)...)
	if err == nil || !errors.As(err, &shown.Problem) {
		return err == nil, err
	}
	if shown.Problem.Status == http.StatusPreconditionFailed {
		was := object{}
		_ = decode([]byte(v.form.Get("seen")), &was) // what cannot be read was nothing
		shown.Conflict = changes(map[string]any(was), map[string]any(t.object), "", maxChanges)
		shown.Version = t.version
	}
	return false, nil
}

// maxChanges bounds what a page tells of somebody else's changes.
const maxChanges = 50

// jsonFault says what is wrong with a text that is no JSON, and where.
func jsonFault(err error) string {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("%s, at character %d", syntax.Error(), syntax.Offset)
	}
	return "it ends early, or is of another kind"
}
