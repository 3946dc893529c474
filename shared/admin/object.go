package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"keyless/shared/registry"
)

// collection is a list of objects of one kind, or with single the one object of a kind.
type collection struct {
	kind    string // of registry.Edit
	pattern string // of the list; of one, with the name of the object behind it
	key     string // the pattern's name of one: {name}
	half    string // of the rights
	says    string // what one is called
	object  any    // a value of its type
	single  bool
}

var collections = []collection{
	{registry.EditInstance, "/instances", "instance", "identity", "an instance", registry.Instance{}, false},
	{registry.EditClient, "/instances/{instance}/clients", "client", "identity", "a client", registry.Client{}, false},
	{registry.EditDomain, "/domains", "name", "gateway", "a domain", registry.Domain{}, false},
	{registry.EditUpstream, "/upstreams", "name", "gateway", "an upstream", registry.Upstream{}, false},
	{registry.EditAPI, "/apis", "name", "gateway", "an API", registry.API{}, false},
	{registry.EditGroup, "/groups", "name", "gateway", "a group", registry.Group{}, false},
	{registry.EditConsumer, "/consumers", "name", "gateway", "a consumer", registry.Consumer{}, false},
	{registry.EditGlobal, "/global_authentication", "", "gateway", "global authentication", registry.GlobalAuthentication{}, true},
	{registry.EditPrices, "/prices", "", "gateway", "the prices", pricesForm{}, true},
	{registry.EditSettings, "/settings", "", "gateway", "the settings", settingsForm{}, true},
}

// pricesForm is how the list of prices comes and goes.
type pricesForm struct {
	Prices []registry.Price `json:"prices"`
}

type settingsForm struct {
	Currency string `json:"currency,omitempty"`
}

// one is the pattern of one object.
func (k collection) one() string {
	if k.single {
		return k.pattern
	}
	return k.pattern + "/{" + k.key + "}"
}

// target is the object that a call names.
func (k collection) target(c *call) target {
	switch {
	case k.single:
		return target{k.kind, ""}
	case k.kind == registry.EditClient:
		return target{k.kind, c.vars["instance"] + "/" + c.vars["client"]}
	}
	return target{k.kind, c.vars[k.key]}
}

// inner is an object in the form of the registry, and outer the other way.
func (k collection) inner(members map[string]json.RawMessage) (json.RawMessage, error) {
	delete(members, "version") // it came with the object, and If-Match says it
	if k.kind != registry.EditPrices {
		return json.Marshal(members)
	}
	if err := only(members, "prices"); err != nil {
		return nil, err
	}
	if members["prices"] == nil {
		return nil, registry.Faults{{Path: "prices", Text: "is required; write the list"}}
	}
	return members["prices"], nil
}

func (k collection) outer(value json.RawMessage, version string) json.RawMessage {
	if k.kind == registry.EditPrices && value != nil {
		value = withMember(nil, "prices", value)
	}
	return withVersion(value, version)
}

// list answers a page. A caller whose rights reach one instance finds that one.
func (k collection) list(a *Admin, c *call) (reply, error) {
	options, err := c.listing()
	if err != nil {
		return reply{}, err
	}
	if k.kind == registry.EditClient {
		if options.Parent = c.vars["instance"]; options.After != "" {
			options.After = options.Parent + "/" + options.After
		}
		if _, err := a.editor.Object(c.ctx(), registry.EditInstance, options.Parent); err != nil {
			return reply{}, err
		}
	}
	if own := c.caller.Instance; k.kind == registry.EditInstance && !c.caller.may(registry.ScopeIdentityRead, "") {
		if !strings.HasPrefix(own, options.Prefix) || own <= options.After {
			return reply{body: page{Items: []json.RawMessage{}}}, nil
		}
		object, err := a.editor.Object(c.ctx(), k.kind, own)
		return reply{body: page{Items: []json.RawMessage{k.outer(object.Value, object.Version)}}}, err
	}
	objects, next, err := a.editor.List(c.ctx(), k.kind, options)
	if err != nil {
		return reply{}, err
	}
	answer := page{Items: []json.RawMessage{}, Next: k.short(next)}
	for _, object := range objects {
		answer.Items = append(answer.Items, k.outer(object.Value, object.Version))
	}
	return reply{body: answer}, nil
}

// short is the name of an object in its list: of a client without its instance.
func (k collection) short(name string) string {
	if k.kind != registry.EditClient {
		return name
	}
	_, id, _ := strings.Cut(name, "/")
	return id
}

// listing reads the parameters of a page.
func (c *call) listing() (registry.ListOptions, error) {
	o := registry.ListOptions{Prefix: c.query.Get("prefix"), After: c.query.Get("after"), Limit: registry.MaxPage / 2}
	if text := c.query.Get("limit"); text != "" {
		limit, err := strconv.Atoi(text)
		if err != nil || limit < 1 || limit > registry.MaxPage {
			return o, badRequest("limit is a number from 1 to " + strconv.Itoa(registry.MaxPage))
		}
		o.Limit = limit
	}
	return o, nil
}

func (k collection) get(a *Admin, c *call) (reply, error) {
	t := k.target(c)
	object, err := a.editor.Object(c.ctx(), t.kind, t.name)
	if err != nil {
		return reply{}, err
	}
	if c.unchanged(object.Version) {
		return reply{status: http.StatusNotModified, version: object.Version}, nil
	}
	return reply{body: k.outer(object.Value, object.Version), version: object.Version}, nil
}

// create adds an object under the name that it has; a client without an id gets one.
func (k collection) create(a *Admin, c *call) (reply, error) {
	members, err := c.object()
	if err != nil {
		return reply{}, err
	}
	object, err := k.inner(members)
	if err != nil {
		return reply{}, err
	}
	key := "name"
	if k.kind == registry.EditInstance || k.kind == registry.EditClient {
		key = "id"
	}
	t := target{k.kind, textOf(members[key])}
	if k.kind == registry.EditClient {
		t.name = c.vars["instance"] + "/" + t.name
	} else if t.name == "" {
		return reply{}, registry.Faults{{Path: key, Text: "is required and not empty"}}
	}
	if k.kind == registry.EditInstance {
		if err := c.caller.permit(registry.ScopeIdentityWrite, t.name); err != nil {
			return reply{}, forbidden("It needs the right " + registry.ScopeAdminWrite)
		}
	}
	done, err := a.edit(c, t, registry.Object{}, object)
	var conflict *registry.ConflictError
	if errors.As(err, &conflict) {
		return reply{}, exists()
	}
	return k.done(c, done, err)
}

func textOf(text json.RawMessage) string {
	var s string
	if json.Unmarshal(text, &s) != nil {
		return "" // the Editor says what is wrong
	}
	return s
}

// replace puts an object in place of another, or a new one there.
func (k collection) replace(a *Admin, c *call) (reply, error) {
	cond, err := c.must(true)
	if err != nil {
		return reply{}, err
	}
	members, err := c.object()
	if err != nil {
		return reply{}, err
	}
	object, err := k.inner(members)
	if err != nil {
		return reply{}, err
	}
	done, err := a.change(c, k.target(c), cond, func(json.RawMessage) (json.RawMessage, error) { return object, nil })
	return k.done(c, done, err)
}

// patch changes members of an object, RFC 7396.
func (k collection) patch(a *Admin, c *call) (reply, error) {
	cond, err := c.must(false)
	if err != nil {
		return reply{}, err
	}
	patch, err := c.object()
	if err != nil {
		return reply{}, err
	}
	delete(patch, "version")
	done, err := a.change(c, k.target(c), cond, func(now json.RawMessage) (json.RawMessage, error) {
		var members map[string]json.RawMessage
		if err := unmarshal(now, &members); err != nil {
			return nil, err
		}
		return merge(members, patch)
	})
	return k.done(c, done, err)
}

func (k collection) remove(a *Admin, c *call) (reply, error) {
	cond, err := c.must(false)
	if err != nil {
		return reply{}, err
	}
	if _, err := a.change(c, k.target(c), cond, func(json.RawMessage) (json.RawMessage, error) { return nil, nil }); err != nil {
		return reply{}, err
	}
	return noContent, nil
}

// done answers with what stands there now, and what was generated.
func (k collection) done(c *call, done registry.Edited, err error) (reply, error) {
	if err != nil {
		return reply{}, err
	}
	body := k.outer(done.Object, done.Version)
	if len(done.Generated) > 0 {
		body = withMember(body, "generated", done.Generated)
	}
	answer := reply{body: body, version: done.Version}
	if done.Change.Action == registry.ActionAdd {
		vars := map[string]string{"instance": c.vars["instance"]}
		vars[k.key] = k.short(done.Change.Name) // of an instance in place of the first
		answer.status, answer.location = http.StatusCreated, path(k.one(), vars)
	}
	return answer, nil
}
