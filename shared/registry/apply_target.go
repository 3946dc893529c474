package registry

import (
	"fmt"
	"slices"
	"time"

	"keyless/shared/seal"
)

// target is what a registry shall be after Apply: a Config whose secrets have their stored forms.
type target struct {
	config    *Config
	faults    Faults
	generated map[string][]GeneratedSecret // by "client acme/x" or "consumer y"
	extra     []string                     // what the Config lacks and the registry keeps
	extras    map[string]string            // path in config → which of extra stands there
	by        Actor
	now       time.Time
	before    bool // what the registry has stands before what the Config has
}

// newTarget fills in what a Config leaves out, and seals. It changes nothing in want.
func newTarget(want *Config, have *stored, keys *seal.Keys, o ApplyOptions) *target {
	config := *want
	t := &target{config: &config, generated: map[string][]GeneratedSecret{}, extras: map[string]string{}}
	t.by, t.now = o.By, clock(o.Now)
	s := &sealer{keys: keys, pepper: have.pepper, dry: o.DryRun}
	t.fillDomains(have, o.Prune)
	t.fillClients(have, s)
	config.Upstreams = slices.Clone(config.Upstreams)
	for i := range config.Upstreams {
		u := &config.Upstreams[i]
		s.upstream(spot("upstreams").item(i), u, have.snapshot.Upstreams[u.Name])
	}
	config.Consumers = slices.Clone(config.Consumers)
	for i := range config.Consumers {
		c := &config.Consumers[i]
		t.note("consumer "+c.Name, s.consumer(spot("consumers").item(i), c, have.consumers[c.Name]))
	}
	if config.GlobalAuthentication != nil {
		global, before := *config.GlobalAuthentication, Secret("")
		if had := have.snapshot.Global; had != nil {
			before = had.JWKS
		}
		global.JWKS = s.keySet("global_authentication.jwks", placeGlobalJWKS, global.JWKS, before)
		config.GlobalAuthentication = &global
	}
	t.faults = append(t.faults, s.faults...)
	return t
}

func (t *target) note(object string, generated []GeneratedSecret) {
	if len(generated) > 0 {
		t.generated[object] = append(t.generated[object], generated...)
	}
}

// fillDomains writes hosts in lower case, in which requests are compared, and adds the default domain.
func (t *target) fillDomains(have *stored, prune bool) {
	c := t.config
	c.Domains, c.APIs = slices.Clone(c.Domains), slices.Clone(c.APIs)
	hasDefault := false
	for i := range c.Domains {
		c.Domains[i].Name = lower(c.Domains[i].Name)
		hasDefault = hasDefault || c.Domains[i].Name == DefaultDomain
	}
	if !hasDefault {
		d := Domain{Name: DefaultDomain}
		if !prune {
			d = *have.snapshot.Domains[DefaultDomain]
		}
		c.Domains = append(c.Domains, d)
	}
	for i := range c.APIs {
		c.APIs[i].Domains = slices.Clone(c.APIs[i].Domains)
		for n, domain := range c.APIs[i].Domains {
			c.APIs[i].Domains[n] = lower(domain)
		}
	}
}

// fillClients gives every client its id and its secrets.
func (t *target) fillClients(have *stored, s *sealer) {
	ids := map[string][]string{} // of the stored clients, by instance/name
	for _, c := range have.clients {
		ids[c.Instance+"/"+c.Name] = append(ids[c.Instance+"/"+c.Name], c.ID)
	}
	t.config.Instances = slices.Clone(t.config.Instances)
	for i := range t.config.Instances {
		in := &t.config.Instances[i]
		in.Accepted(have.snapshot.Instances[in.ID], t.by.Who, t.now)
		in.Clients = slices.Clone(in.Clients)
		written := map[string]bool{}
		for _, c := range in.Clients {
			written[c.ID] = true
		}
		for n := range in.Clients {
			c, at := &in.Clients[n], spot("instances").item(i).key("clients").item(n)
			c.Instance = in.ID
			if c.ID == "" {
				t.findClient(at, in, c, ids[in.ID+"/"+c.Name], written, s)
			}
			object := "client " + in.ID + "/" + c.ID
			t.note(object, s.client(at, in, c, have.clients[in.ID+"/"+c.ID]))
		}
	}
}

// findClient finds the client without an id among the stored ones of its name, or makes it an id.
func (t *target) findClient(
	at spot, in *Instance, c *Client, ids []string, written map[string]bool, s *sealer,
) {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return written[id] })
	switch len(ids) {
	case 0:
		c.ID = newClientID()
		t.note("client "+in.ID+"/"+c.ID, []GeneratedSecret{
			s.told(fmt.Sprintf("client %q of %s", c.Name, in.ID), "client_id", c.ID),
		})
	case 1:
		c.ID = ids[0]
	default:
		s.fault(at.key("name"), "is the name of several clients of the registry; write the id of one")
	}
}
