package registry

import "strings"

// settings are what stands in the file beside its lists.
type settings struct {
	Currency string `json:"currency,omitempty"`
}

// newObject makes an empty object of a kind; nil where there is no such kind.
func newObject(kind string) any {
	switch kind {
	case EditInstance:
		return &Instance{}
	case EditClient:
		return &Client{}
	case EditDomain:
		return &Domain{}
	case EditUpstream:
		return &Upstream{}
	case EditAPI:
		return &API{}
	case EditGroup:
		return &Group{}
	case EditConsumer:
		return &Consumer{}
	case EditGlobal:
		return &GlobalAuthentication{}
	case EditPrices:
		return &[]Price{}
	case EditSettings:
		return &settings{}
	}
	return nil
}

// place is the field of the Snapshot's hash in which an object stands; "" for an entry of its own.
func (e Edit) place() string {
	switch e.Kind {
	case EditGlobal, EditPrices:
		return map[string]string{EditGlobal: fieldGlobal, EditPrices: fieldPrices}[e.Kind]
	case EditSettings:
		return fieldCurrency
	case EditClient, EditConsumer:
		return ""
	case EditDomain:
		return fieldDomain + lower(e.Name)
	}
	return e.Kind + ":" + e.Name
}

// single reports whether there is one object of the kind at most.
func single(kind string) bool {
	return kind == EditGlobal || kind == EditPrices || kind == EditSettings
}

// nameOf is where an object keeps its name; nil where it has none.
func nameOf(object any) *string {
	switch o := object.(type) {
	case *Instance:
		return &o.ID
	case *Client:
		return &o.ID
	case *Domain:
		return &o.Name
	case *Upstream:
		return &o.Name
	case *API:
		return &o.Name
	case *Group:
		return &o.Name
	case *Consumer:
		return &o.Name
	}
	return nil
}

// config is a Config with the object alone; a client stands in its instance. With it, the path of the object in a Config in which
// others of its kind stand before it.
func (h *stored) config(edit Edit, object any) (*Config, func(*Config) spot) {
	c := &Config{Version: 1}
	switch o := object.(type) {
	case *Instance:
		c.Instances = []Instance{*o}
		return c, func(c *Config) spot { return spot("instances").item(len(c.Instances) - 1) }
	case *Client:
		parent, _, _ := strings.Cut(edit.Name, "/")
		in := *h.snapshot.Instances[parent]
		in.Clients = []Client{*o}
		c.Instances = []Instance{in}
		return c, func(c *Config) spot {
			last := len(c.Instances) - 1
			return spot("instances").item(last).key("clients").item(len(c.Instances[last].Clients) - 1)
		}
	case *Domain:
		c.Domains = []Domain{*o}
		return c, func(c *Config) spot { return spot("domains").item(len(c.Domains) - 1) }
	case *Upstream:
		c.Upstreams = []Upstream{*o}
		return c, func(c *Config) spot { return spot("upstreams").item(len(c.Upstreams) - 1) }
	case *API:
		c.APIs = []API{*o}
		return c, func(c *Config) spot { return spot("apis").item(len(c.APIs) - 1) }
	case *Group:
		c.Groups = []Group{*o}
		return c, func(c *Config) spot { return spot("groups").item(len(c.Groups) - 1) }
	case *Consumer:
		c.Consumers = []Consumer{*o}
		return c, func(c *Config) spot { return spot("consumers").item(len(c.Consumers) - 1) }
	case *GlobalAuthentication:
		c.GlobalAuthentication = o
		return c, func(*Config) spot { return "global_authentication" }
	case *[]Price:
		c.Prices = *o
		return c, func(*Config) spot { return "prices" }
	case *settings:
		c.Currency = o.Currency
	}
	return c, func(*Config) spot { return "" }
}
