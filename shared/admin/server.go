package admin

import (
	"encoding/json"
	"errors"
	"net/http"

	"keyless/shared/registry"
)

// builtinServer is the resource server of the admin API, as it stands in lists.
func builtinServer(version string) (json.RawMessage, error) {
	server := (&registry.Instance{}).ResourceServer(registry.AdminServer)
	text, err := json.Marshal(server)
	return withVersion(withMember(text, "builtin", true), version), err
}

// listServers answers the resource servers of an instance, the built-in one last.
func listServers(a *Admin, c *call) (reply, error) {
	answer, err := partServers.list(a, c)
	if err != nil {
		return reply{}, err
	}
	list, _ := answer.body.(page)
	last, err := builtinServer(answer.version)
	list.Items = append(list.Items, last)
	answer.body = list
	return answer, err
}

func getServer(a *Admin, c *call) (reply, error) {
	if c.vars["item"] != registry.AdminServer {
		return partServers.get(a, c)
	}
	object, err := a.editor.Object(c.ctx(), registry.EditInstance, c.vars["instance"])
	if err != nil {
		return reply{}, err
	}
	text, err := builtinServer(object.Version)
	return reply{body: text, version: object.Version}, err
}

// createServer adds a resource server to an instance.
func createServer(a *Admin, c *call) (reply, error) {
	cond, err := c.condition()
	if err != nil {
		return reply{}, err
	}
	item, id, err := c.server("")
	if err != nil {
		return reply{}, err
	}
	return addServer(a, c, cond, item, id)
}

func addServer(a *Admin, c *call, cond condition, item object, id string) (reply, error) {
	done, err := a.changeItems(c, partServers, cond, func(list []object, _ json.RawMessage) ([]object, error) {
		if partServers.at(list, id) >= 0 {
			return nil, exists()
		}
		return append(list, item), nil
	})
	if err != nil {
		return reply{}, err
	}
	answer, err := partServers.found(done.Object, done.Version, id, http.StatusCreated)
	answer.location = path("/instances/{instance}/resource_servers/{item}", map[string]string{"instance": c.vars["instance"], "item": id})
	return answer, err
}

// replaceServer puts a resource server in place of another, or a new one there. If-Match is the instance's version.
func replaceServer(a *Admin, c *call) (reply, error) {
	cond, err := c.must(true)
	if err != nil {
		return reply{}, err
	}
	item, id, err := c.server(c.vars["item"])
	if err != nil {
		return reply{}, err
	}
	if !cond.absent {
		return partServers.place(a, c, cond, item, id)
	}
	answer, err := addServer(a, c, condition{}, item, id)
	var known *refusal
	if errors.As(err, &known) && known.Code == exists().Code {
		object, _ := a.now(c.ctx(), partServers.target(c)) // without a version the refusal stands all the same
		return reply{}, &registry.ConflictError{Current: object.Version}
	}
	return answer, err
}

// server reads a resource server under its identifier.
func (c *call) server(identifier string) (object, string, error) {
	item, err := c.object()
	if err != nil {
		return nil, "", err
	}
	delete(item, "version")
	id := textOf(item["identifier"])
	switch {
	case identifier == "" && id == "":
		return nil, "", fault("identifier", "is required and not empty")
	case item["identifier"] == nil:
		id = identifier
		item["identifier"] = written(identifier)
	case identifier != "" && id != identifier:
		return nil, "", fault("identifier", "is not the one of the path")
	}
	return item, id, nil
}
