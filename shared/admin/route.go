package admin

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// route is one operation: what is answered at a method and a pattern, and what the OpenAPI document says of it.
type route struct {
	method  string
	pattern string // below Prefix; {name} is one segment, percent-decoded
	right   string // scope of registry.AdminServer; "": any caller
	serve   func(*Admin, *call) (reply, error)
	doc     doc
}

// doc is what the document says of an operation, beside its route.
type doc struct {
	says      string
	takes     any      // a value of the type of the body; nil: no body
	gives     any      // a value of the type of the answer; nil: none
	status    int      // of success; 0: 200
	query     []string // parameters
	condition string   // conditionMust, conditionMay or ""
	shows     bool     // the answer has generated secrets
	plain     bool     // takes has no version, and gives is no stored object
	list      bool     // of gives
}

// Whether a change needs a condition (RFC 9110 §13).
const (
	conditionMust = "must"
	conditionMay  = "may"
)

// find finds the route of a request. The error is a refusal: 404, or 405 with what is allowed.
func (a *Admin) find(r *http.Request) (route, map[string]string, error) {
	segments, ok := split(r.URL.EscapedPath())
	var allowed []string
	for _, one := range a.routes {
		vars, fits := match(one.pattern, segments)
		if !ok || !fits {
			continue
		}
		if one.method == r.Method || one.method == http.MethodGet && r.Method == http.MethodHead {
			return one, vars, nil
		}
		allowed = append(allowed, one.method)
		if one.method == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	if len(allowed) == 0 {
		return route{}, nil, refuse(http.StatusNotFound, "not_found",
			"The admin API has no such path; "+Prefix+"/openapi.json tells what it has")
	}
	slices.Sort(allowed)
	allow := strings.Join(slices.Compact(allowed), ", ")
	return route{}, nil, refuse(http.StatusMethodNotAllowed, "method_not_allowed", "This path takes "+allow).with("Allow", allow)
}

// split takes a path apart and decodes its segments, each by itself: an encoded slash is part of a name.
func split(escaped string) ([]string, bool) {
	rest, below := strings.CutPrefix(escaped, Prefix+"/")
	if !below {
		return nil, false
	}
	segments := strings.Split(rest, "/")
	for i, segment := range segments {
		decoded, err := url.PathUnescape(segment)
		if err != nil || decoded == "" {
			return nil, false
		}
		segments[i] = decoded
	}
	return segments, true
}

// match compares a pattern with segments and returns what its names stand for.
func match(pattern string, segments []string) (map[string]string, bool) {
	parts := strings.Split(strings.TrimPrefix(pattern, "/"), "/")
	if len(parts) != len(segments) {
		return nil, false
	}
	vars := map[string]string{}
	for i, part := range parts {
		if name, is := variable(part); is {
			vars[name] = segments[i]
		} else if part != segments[i] {
			return nil, false
		}
	}
	return vars, true
}

// variable is the name in a pattern's segment {name}.
func variable(part string) (string, bool) {
	name, opens := strings.CutPrefix(part, "{")
	name, closes := strings.CutSuffix(name, "}")
	return name, opens && closes
}

// path writes the path of an object from a pattern.
func path(pattern string, vars map[string]string) string {
	parts := strings.Split(pattern, "/")
	for i, part := range parts {
		if name, is := variable(part); is {
			parts[i] = url.PathEscape(vars[name])
		}
	}
	return Prefix + strings.Join(parts, "/")
}

// parameters reads the query. What the route does not take is refused, for a misspelled dry_run would be a real run.
func (r route) parameters(raw string) (url.Values, error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, badRequest("The query is not a list of names and values")
	}
	for name, values := range query {
		switch {
		case !slices.Contains(r.doc.query, name):
			return nil, badRequest("This path has no parameter " + quoted(name) + "; it has: " + strings.Join(r.doc.query, ", "))
		case len(values) > 1:
			return nil, badRequest("The parameter " + name + " stands twice")
		}
	}
	return query, nil
}

// id is the operation's name in the document.
func (r route) id() string {
	words := strings.FieldsFunc(r.pattern, func(c rune) bool { return strings.ContainsRune("/{}._", c) })
	return strings.Join(slices.Insert(words, 0, strings.ToLower(r.method)), "_")
}

// success is the status of an answer that is no problem.
func (r route) success() int { return cmp.Or(r.doc.status, http.StatusOK) }
