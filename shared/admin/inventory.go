package admin

import (
	"cmp"
	"slices"
	"time"

	"keyless/shared/registry"
)

// inventory tells what there is, and who may call what. Identity is told to who may read all of it.
type inventory struct {
	Revision string         `json:"revision"`
	Counts   map[string]int `json:"counts"`
	APIs     []inventoryAPI `json:"apis"`
	Expiring []expiring     `json:"expiring"` // within 30 days, soonest first
}

type inventoryAPI struct {
	Name           string   `json:"name"`
	Type           string   `json:"type"`
	Status         string   `json:"status"`
	Domains        []string `json:"domains"` // empty: all
	BasePath       string   `json:"base_path"`
	Authentication []string `json:"authentication"` // methods; empty: open to all
	Upstreams      []string `json:"upstreams"`
	Consumers      []string `json:"consumers"` // who may call it, at most 100
	Authorized     int      `json:"authorized"`
}

type expiring struct {
	Object    string    `json:"object"` // such as "client acme/report"
	What      string    `json:"what"`   // such as "secret s1"
	ExpiresAt time.Time `json:"expires_at"`
}

const (
	// maxTold bounds the consumers that an inventory names for each API, and what it says of what expires; the rest are counted, or in
	// pages elsewhere.
	maxTold = 100
	// soon is how long before its end something is told.
	soon = 30 * 24 * time.Hour
)

func getInventory(a *Admin, c *call) (reply, error) {
	config, err := registry.Load(c.ctx(), a.o.Store)
	if err != nil {
		return reply{}, err
	}
	revision, err := a.o.Store.Revision(c.ctx())
	if err != nil {
		return reply{}, err
	}
	t := taking{now: a.o.Now(), out: inventory{Revision: revision, Counts: map[string]int{}, APIs: []inventoryAPI{}, Expiring: []expiring{}}}
	t.gateway(config)
	if c.caller.may(registry.ScopeAdminRead, "") {
		t.identity(config)
	}
	slices.SortStableFunc(t.out.Expiring, func(x, y expiring) int { return x.ExpiresAt.Compare(y.ExpiresAt) })
	t.out.Expiring = t.out.Expiring[:min(len(t.out.Expiring), maxTold)]
	return reply{body: t.out}, nil
}

// taking is an inventory on its way.
type taking struct {
	now time.Time
	out inventory
}

func (t *taking) expires(object, what string, at *time.Time) {
	if at != nil && at.Before(t.now.Add(soon)) {
		t.out.Expiring = append(t.out.Expiring, expiring{object, what, *at})
	}
}

func (t *taking) gateway(c *registry.Config) {
	count := t.out.Counts
	count["domains"], count["upstreams"], count["apis"] = len(c.Domains), len(c.Upstreams), len(c.APIs)
	count["groups"], count["consumers"], count["prices"] = len(c.Groups), len(c.Consumers), len(c.Prices)
	may := map[string][]string{}
	for i := range c.Consumers {
		consumer := &c.Consumers[i]
		for _, one := range consumer.Authorizations {
			t.expires("consumer "+consumer.Name, "authorization on "+one.API, one.ExpiresAt)
			if consumer.Status.On() && consumer.Authorized(one.API, t.now) != nil {
				may[one.API] = append(may[one.API], consumer.Name)
			}
		}
		if consumer.APIKey == nil {
			continue
		}
		for _, key := range consumer.APIKey.Keys {
			t.expires("consumer "+consumer.Name, "API key "+key.ID, key.ExpiresAt)
		}
	}
	for i := range c.APIs {
		t.out.APIs = append(t.out.APIs, inventoried(&c.APIs[i], may[c.APIs[i].Name]))
	}
}

func inventoried(api *registry.API, may []string) inventoryAPI {
	one := inventoryAPI{
		Name: api.Name, Type: api.Type, Status: cmp.Or(api.Status, "published"), Domains: list(api.Domains), BasePath: api.BasePath,
		Authentication: list(api.Methods()), Upstreams: []string{}, Consumers: list(may[:min(len(may), maxTold)]), Authorized: len(may),
	}
	for _, upstream := range api.Upstreams {
		one.Upstreams = append(one.Upstreams, upstream.Upstream)
	}
	return one
}

// list is a list that is never null.
func list(items []string) []string {
	if items == nil {
		return []string{}
	}
	return items
}

func (t *taking) identity(c *registry.Config) {
	count := t.out.Counts
	count["instances"] = len(c.Instances)
	for _, in := range c.Instances {
		count["resource_servers"] += len(in.ResourceServers)
		count["clients"] += len(in.Clients)
		for i := range in.Clients {
			for _, secret := range in.Clients[i].Secrets {
				t.expires("client "+in.ID+"/"+in.Clients[i].ID, "secret "+secret.ID, secret.ExpiresAt)
			}
		}
	}
}
