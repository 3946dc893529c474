package command

import (
	"fmt"
	"net/url"
	"strings"

	"keyless/shared/registry"
)

// kind is a kind of object as the command line names it.
type kind struct {
	name    string
	list    string // path of the list in the admin API; {parent} is what stands before the slash of a name
	key     string // the member that names one; "": there is one at most
	columns []string
	object  func() any
}

// prices and settings are how the admin API gives what has no list of its own.
type prices struct {
	Prices []registry.Price `json:"prices"`
}

type settings struct {
	Currency string `json:"currency,omitempty"`
}

func kinds() []kind {
	return []kind{
		{"instance", "/instances", "id", []string{"id", "m2m", "token_lifetime", "description"}, func() any { return &registry.Instance{} }},
		{"client", "/instances/{parent}/clients", "id", []string{"id", "name", "status", "authentication"},
			func() any { return &registry.Client{} }},
		{"resource-server", "/instances/{parent}/resource_servers", "identifier", []string{"identifier", "name", "status", "scopes"},
			func() any { return &registry.ResourceServer{} }},
		{"domain", "/domains", "name", []string{"name", "daily_call_limit", "time_zone"}, func() any { return &registry.Domain{} }},
		{"upstream", "/upstreams", "name", []string{"name", "protocol", "base_url"}, func() any { return &registry.Upstream{} }},
		{"api", "/apis", "name", []string{"name", "type", "base_path", "status", "authentication"}, func() any { return &registry.API{} }},
		{"group", "/groups", "name", []string{"name", "limits"}, func() any { return &registry.Group{} }},
		{"consumer", "/consumers", "name", []string{"name", "display_name", "status", "credentials", "authorizations"},
			func() any { return &registry.Consumer{} }},
		{"global-authentication", "/global_authentication", "", nil, func() any { return &registry.GlobalAuthentication{} }},
		{"prices", "/prices", "", nil, func() any { return &prices{} }},
		{"settings", "/settings", "", nil, func() any { return &settings{} }},
	}
}

// kindOf finds a kind by its name, also with _ and in the plural.
func kindOf(name string) (kind, bool) {
	name = strings.ReplaceAll(name, "_", "-")
	if name == "currency" { // what a report calls the one setting
		name = "settings"
	}
	for _, k := range kinds() {
		if name == k.name || name == k.name+"s" {
			return k, true
		}
	}
	return kind{}, false
}

// kindNames lists them for messages.
func kindNames() string {
	var names []string
	for _, k := range kinds() {
		names = append(names, k.name)
	}
	return strings.Join(names, ", ")
}

func (k kind) single() bool { return k.key == "" }

// inside reports whether the kind's objects belong to another, whose name stands before the slash.
func (k kind) inside() bool { return strings.Contains(k.list, "{parent}") }

// split takes a name apart.
func (k kind) split(name string) (parent, id string) {
	if !k.inside() {
		return "", name
	}
	parent, id, _ = strings.Cut(name, "/")
	return parent, id
}

// listPath is the path of the list in which an object of the name stands.
func (k kind) listPath(name string) string {
	parent, _ := k.split(name)
	return strings.ReplaceAll(k.list, "{parent}", url.PathEscape(parent))
}

// path is that of the object.
func (k kind) path(name string) string {
	if k.single() {
		return k.list
	}
	_, id := k.split(name)
	return k.listPath(name) + "/" + url.PathEscape(id)
}

// label is how an object is called in a message.
func (k kind) label(name string) string { return strings.TrimSpace(k.name + " " + name) }

// check refuses a name that cannot be one.
func (k kind) check(name string) error {
	parent, id := k.split(name)
	switch {
	case k.single() && name != "":
		return usage{fmt.Errorf("there is only one %s: it has no name", k.name)}
	case k.single():
		return nil
	case k.inside() && (parent == "" || id == ""):
		return usage{fmt.Errorf("the name of a %s is INSTANCE/%s", k.name, strings.ToUpper(k.key))}
	case id == "":
		return usage{fmt.Errorf("name the %s", k.name)}
	}
	return nil
}
