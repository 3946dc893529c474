package registry

import (
	"maps"
	"slices"
)

// keepExtras adds to the target what the registry has and the Config lacks, so that all is judged together.
func (t *target) keepExtras(have *stored) {
	c, h := t.config, have.snapshot
	clients := map[string]map[string]*Client{}
	for _, client := range have.clients {
		if clients[client.Instance] == nil {
			clients[client.Instance] = map[string]*Client{}
		}
		clients[client.Instance][client.ID] = client
	}
	c.Instances = keep(t, c.Instances, h.Instances, "instances", "instance ", instanceID)
	for i := range c.Instances {
		in, list := &c.Instances[i], spot("instances").item(i).key("clients")
		in.Clients = keep(t, in.Clients, clients[in.ID], list, "client "+in.ID+"/", clientID)
	}
	c.Domains = keep(t, c.Domains, h.Domains, "domains", "domain ", domainName)
	c.Upstreams = keep(t, c.Upstreams, h.Upstreams, "upstreams", "upstream ", upstreamName)
	c.APIs = keep(t, c.APIs, h.APIs, "apis", "api ", apiName)
	c.Groups = keep(t, c.Groups, h.Groups, "groups", "group ", groupName)
	c.Consumers = keep(t, c.Consumers, have.consumers, "consumers", "consumer ", consumerName)
	if c.GlobalAuthentication == nil && h.Global != nil {
		c.GlobalAuthentication = h.Global
		t.extra = append(t.extra, kindGlobal)
		t.extras[kindGlobal] = kindGlobal
	}
	if len(c.Prices) == 0 {
		c.Prices = h.Prices
	}
	if c.Currency == "" {
		c.Currency = have.fields[fieldCurrency]
	}
}

// keep adds the stored objects that a list lacks: behind it, or before it.
func keep[T any](t *target, list []T, stored map[string]*T, at spot, kind string, name func(*T) string) []T {
	has := make(map[string]bool, len(list))
	for i := range list {
		has[name(&list[i])] = true
	}
	var lacking []T
	first := len(list)
	if t.before {
		first = 0
	}
	for _, n := range slices.Sorted(maps.Keys(stored)) {
		if !has[n] {
			t.extra = append(t.extra, kind+n)
			t.extras[string(at.item(first+len(lacking)))] = kind + n
			lacking = append(lacking, *stored[n])
		}
	}
	if t.before {
		return append(lacking, list...)
	}
	return append(slices.Clip(list), lacking...)
}

// explain names the object that a fault is about where the Config does not have it.
func (t *target) explain(faults Faults) Faults {
	for i, f := range faults {
		if object, _ := t.extraAt(f.Path); object != "" {
			faults[i].Text = "of the " + object + ", which the registry has and the file lacks: " + f.Text +
				" (or remove it: --prune)"
		}
	}
	return faults
}

func instanceID(i *Instance) string   { return i.ID }
func clientID(c *Client) string       { return c.ID }
func domainName(d *Domain) string     { return d.Name }
func upstreamName(u *Upstream) string { return u.Name }
func apiName(a *API) string           { return a.Name }
func groupName(g *Group) string       { return g.Name }
func consumerName(c *Consumer) string { return c.Name }
