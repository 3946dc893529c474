package admin

import (
	"encoding/json"
	"net/http"
	"slices"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// part is a list inside an object whose items are edited one by one: secrets, keys, authorizations, resource servers. Each edit of an
// item is a rewrite of its object.
type part struct {
	kind   string   // of the object
	path   []string // where the list stands in it
	id     string   // the member that names an item
	says   string   // what one is called
	hidden string   // the member that holds a secret, which is told once and by another call
	taken  []string // members that a caller writes; empty: all, which the Editor judges
	kept   bool     // the list has one item at least
}

// The parts. The list of secrets may become empty only for clients that prove themselves in another way.
var (
	partSecrets = part{registry.EditClient, []string{"secrets"}, "id", "secret", "value",
		[]string{"status", "expires_at"}, false}
	partAPIKeys = part{registry.EditConsumer, []string{"api_key", "keys"}, "id", "API key", "value",
		[]string{"status", "expires_at"}, true}
	partHMACKeys = part{registry.EditConsumer, []string{"hmac", "keys"}, "access_key", "HMAC key", "secret_key",
		[]string{"status", "allow_sha1"}, true}
	partAuthorizations = part{registry.EditConsumer, []string{"authorizations"}, "api", "authorization", "",
		[]string{"models", "tools", "expires_at"}, false}
	partServers = part{registry.EditInstance, []string{"resource_servers"}, "identifier", "resource server", "",
		nil, false}
)

// object is members by their exact names.
type object = map[string]json.RawMessage

// target is the object that a call's part belongs to.
func (p part) target(c *call) target {
	switch p.kind {
	case registry.EditClient:
		return target{p.kind, c.vars["instance"] + "/" + c.vars["client"]}
	case registry.EditInstance:
		return target{p.kind, c.vars["instance"]}
	}
	return target{p.kind, c.vars["name"]}
}

// items reads the list of an object.
func (p part) items(text json.RawMessage) ([]object, error) {
	var list []object
	for _, name := range p.path {
		var members object
		if len(text) == 0 {
			return nil, nil
		}
		if err := unmarshal(text, &members); err != nil {
			return nil, err
		}
		text = members[name]
	}
	if len(text) == 0 {
		return nil, nil
	}
	err := unmarshal(text, &list)
	return list, err
}

// with is the object with another list. An empty one is left out, but for secrets, where absent means "as they are".
func (p part) with(text json.RawMessage, list []object) (json.RawMessage, error) {
	return put(text, p.path, func() (json.RawMessage, error) {
		if len(list) == 0 && p.hidden == "" {
			return nil, nil
		}
		return json.Marshal(list)
	})
}

// put sets a member of an object, however deep.
func put(text json.RawMessage, path []string, value func() (json.RawMessage, error)) (json.RawMessage, error) {
	if len(path) == 0 {
		return value()
	}
	members := object{}
	if len(text) > 0 {
		if err := unmarshal(text, &members); err != nil {
			return nil, err
		}
	}
	inner, err := put(members[path[0]], path[1:], value)
	if err != nil {
		return nil, err
	}
	if delete(members, path[0]); inner != nil {
		members[path[0]] = inner
	}
	return json.Marshal(members)
}

// at finds an item by its name; -1 where there is none.
func (p part) at(list []object, id string) int {
	return slices.IndexFunc(list, func(item object) bool { return textOf(item[p.id]) == id })
}

// changeItems rewrites the list of the object that a call names.
func (a *Admin) changeItems(
	c *call, p part, cond condition, to func(list []object, owner json.RawMessage) ([]object, error),
) (registry.Edited, error) {
	cond.there = true
	return a.change(c, p.target(c), cond, func(now json.RawMessage) (json.RawMessage, error) {
		list, err := p.items(now)
		if err != nil {
			return nil, err
		}
		if list, err = to(list, now); err != nil {
			return nil, err
		}
		return p.with(now, list)
	})
}

// told is an item as it is answered: without the mark of its secret, with the version of its object.
func (p part) told(item object, version string) (json.RawMessage, error) {
	shown := object{}
	for name, value := range item {
		if name != p.hidden {
			shown[name] = value
		}
	}
	if p.hidden != "" && shown["status"] == nil {
		shown["status"] = json.RawMessage(`"` + registry.Enabled + `"`)
	}
	text, err := json.Marshal(shown)
	return withVersion(text, version), err
}

// list answers all items; there are few.
func (p part) list(a *Admin, c *call) (reply, error) {
	t := p.target(c)
	owner, err := a.editor.Object(c.ctx(), t.kind, t.name)
	if err != nil {
		return reply{}, err
	}
	list, err := p.items(owner.Value)
	if err != nil {
		return reply{}, err
	}
	answer := page{Items: []json.RawMessage{}}
	for _, item := range list {
		text, err := p.told(item, owner.Version)
		if err != nil {
			return reply{}, err
		}
		answer.Items = append(answer.Items, text)
	}
	return reply{body: answer, version: owner.Version}, nil
}

func (p part) get(a *Admin, c *call) (reply, error) {
	t := p.target(c)
	owner, err := a.editor.Object(c.ctx(), t.kind, t.name)
	if err != nil {
		return reply{}, err
	}
	return p.found(owner.Value, owner.Version, c.vars["item"], 0)
}

// found answers with one item of an object.
func (p part) found(owner json.RawMessage, version, id string, status int) (reply, error) {
	list, err := p.items(owner)
	if err != nil {
		return reply{}, err
	}
	n := p.at(list, id)
	if n < 0 {
		return reply{}, registry.ErrNoObject
	}
	text, err := p.told(list[n], version)
	return reply{status: status, body: text, version: version}, err
}

// place puts an item in place of another of its name, or adds it.
func (p part) place(a *Admin, c *call, cond condition, item object, id string) (reply, error) {
	status := http.StatusOK
	done, err := a.changeItems(c, p, cond, func(list []object, _ json.RawMessage) ([]object, error) {
		if n := p.at(list, id); n >= 0 {
			status = http.StatusOK
			list[n] = item
			return list, nil
		}
		status = http.StatusCreated
		return append(list, item), nil
	})
	if err != nil {
		return reply{}, err
	}
	return p.found(done.Object, done.Version, id, status)
}

// patch changes members of an item, RFC 7396.
func (p part) patch(a *Admin, c *call) (reply, error) {
	cond, err := c.condition()
	if err != nil {
		return reply{}, err
	}
	patch, err := c.object()
	if err != nil {
		return reply{}, err
	}
	delete(patch, "version")
	if len(p.taken) > 0 {
		if err := only(patch, p.taken...); err != nil {
			return reply{}, err
		}
	}
	id := c.vars["item"]
	done, err := a.changeItems(c, p, cond, func(list []object, _ json.RawMessage) ([]object, error) {
		n := p.at(list, id)
		if n < 0 {
			return nil, registry.ErrNoObject
		}
		text, err := merge(list[n], patch)
		if err != nil {
			return nil, err
		}
		list[n] = object{}
		return list, unmarshal(text, &list[n])
	})
	if err != nil {
		return reply{}, err
	}
	return p.found(done.Object, done.Version, id, 0)
}

// remove takes an item away.
func (p part) remove(a *Admin, c *call) (reply, error) {
	cond, err := c.condition()
	if err != nil {
		return reply{}, err
	}
	_, err = a.changeItems(c, p, cond, func(list []object, owner json.RawMessage) ([]object, error) {
		n := p.at(list, c.vars["item"])
		switch {
		case n < 0:
			return nil, registry.ErrNoObject
		case len(list) == 1 && (p.kept || p.hidden != "" && bySecret(owner)):
			return nil, refuse(http.StatusConflict, "last_one", "This is the last "+p.says+"; add another first, or disable this one")
		}
		return slices.Delete(list, n, n+1), nil
	})
	if err != nil {
		return reply{}, err
	}
	return noContent, nil
}

// bySecret reports whether a client proves itself by its secrets.
func bySecret(text json.RawMessage) bool {
	var c registry.Client
	if json.Unmarshal(text, &c) != nil {
		return true
	}
	return len(c.Authentication) == 0 || slices.ContainsFunc(c.Authentication, func(method string) bool {
		return method == oauth.ClientSecretBasic || method == oauth.ClientSecretPost || method == oauth.ClientSecretJWT
	})
}
