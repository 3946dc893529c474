package admin

import (
	"encoding/json"
	"slices"

	"keyless/shared/registry"
)

// listPermissions answers what a client may ask for.
func listPermissions(a *Admin, c *call) (reply, error) {
	t := partSecrets.target(c)
	object, err := a.editor.Object(c.ctx(), t.kind, t.name)
	if err != nil {
		return reply{}, err
	}
	return permissionsOf(object.Value, object.Version)
}

func permissionsOf(text json.RawMessage, version string) (reply, error) {
	var client registry.Client
	if err := unmarshal(text, &client); err != nil {
		return reply{}, err
	}
	answer := permissionList{Items: client.Permissions}
	if answer.Items == nil {
		answer.Items = []registry.Permission{}
	}
	return reply{body: answer, version: version}, nil
}

type permissionList struct {
	Items []registry.Permission `json:"items"`
	Next  string                `json:"next"` // always "": there are few
}

// setPermissions replaces the list of a client's permissions.
func setPermissions(a *Admin, c *call) (reply, error) {
	cond, err := c.must(false)
	if err != nil {
		return reply{}, err
	}
	var list []registry.Permission
	if err := c.into(&list, maxBody); err != nil {
		return reply{}, err
	}
	done, err := a.change(c, partSecrets.target(c), cond, func(now json.RawMessage) (json.RawMessage, error) {
		return put(now, []string{"permissions"}, func() (json.RawMessage, error) {
			if len(list) == 0 {
				return nil, nil
			}
			return json.Marshal(list)
		})
	})
	if err != nil {
		return reply{}, err
	}
	return permissionsOf(done.Object, done.Version)
}

// allowance is what a consumer may do on an API that the path names.
type allowance struct {
	Models    []string `json:"models,omitempty"`
	Tools     []string `json:"tools,omitempty"`
	ExpiresAt string   `json:"expires_at,omitempty"` // RFC 3339
}

// setAuthorization lets a consumer call an API, or changes what he may call there.
func setAuthorization(a *Admin, c *call) (reply, error) {
	cond, err := c.condition()
	if err != nil {
		return reply{}, err
	}
	var asked allowance
	if err := c.into(&asked, maxBody); err != nil {
		return reply{}, err
	}
	text, err := json.Marshal(asked)
	if err != nil {
		return reply{}, err
	}
	var item object
	if err := unmarshal(withMember(text, "api", c.vars["item"]), &item); err != nil {
		return reply{}, err
	}
	return partAuthorizations.place(a, c, cond, item, c.vars["item"])
}

// authorized is a consumer who may call an API.
type authorized struct {
	Consumer      string                 `json:"consumer"`
	Status        registry.Status        `json:"status"`
	Authorization registry.Authorization `json:"authorization"`
	Expired       bool                   `json:"expired,omitempty"`
	Version       string                 `json:"version"` // of the consumer
}

// maxSearched bounds the consumers that are read for one page of those of an API.
const maxSearched = 2000

type authorizedPage struct {
	Items []authorized `json:"items"`
	Next  string       `json:"next"`
}

// listAuthorized answers who may call an API: a page of those among the next consumers. A page may be short, or empty, and not be the
// last.
func listAuthorized(a *Admin, c *call) (reply, error) {
	api := c.vars["name"]
	if _, err := a.editor.Object(c.ctx(), registry.EditAPI, api); err != nil {
		return reply{}, err
	}
	options, err := c.listing()
	if err != nil {
		return reply{}, err
	}
	limit, answer, searched := options.Limit, authorizedPage{Items: []authorized{}}, 0
	options.Limit = registry.MaxPage
	for searched < maxSearched {
		objects, next, err := a.editor.List(c.ctx(), registry.EditConsumer, options)
		if err != nil {
			return reply{}, err
		}
		for _, object := range objects {
			one, is, err := a.authorizedOn(object, api)
			if err != nil {
				return reply{}, err
			}
			if is {
				answer.Items = append(answer.Items, one)
			}
			if len(answer.Items) == limit {
				answer.Next = object.Name
				return reply{body: answer}, nil
			}
		}
		searched += len(objects)
		answer.Next, options.After = next, next
		if next == "" {
			break
		}
	}
	return reply{body: answer}, nil
}

func (a *Admin) authorizedOn(object registry.Object, api string) (authorized, bool, error) {
	var consumer registry.Consumer
	if err := unmarshal(object.Value, &consumer); err != nil {
		return authorized{}, false, err
	}
	n := slices.IndexFunc(consumer.Authorizations, func(x registry.Authorization) bool { return x.API == api })
	if n < 0 {
		return authorized{}, false, nil
	}
	one := consumer.Authorizations[n]
	status := registry.Enabled
	if !consumer.Status.On() {
		status = registry.Disabled
	}
	return authorized{
		Consumer: consumer.Name, Status: status, Authorization: one, Version: object.Version,
		Expired: one.ExpiresAt != nil && !a.o.Now().Before(*one.ExpiresAt),
	}, true, nil
}
