package registry

import (
	"maps"
	"slices"
	"strings"
)

// identifiers are the fields that say what consumers use: claims, places, the APIs that somebody is authorized on. They stand before a
// consumer uses them.
func (p *planner) identifiers() map[string]bool {
	used := map[string]bool{}
	for i := range p.target.config.Consumers {
		c := &p.target.config.Consumers[i]
		if c.JWT != nil {
			used[fieldClaim+c.JWT.ClaimName()], used[fieldPlace+c.JWT.Place().String()] = true, true
			use(used, c.JWT.ClaimsToHeaders)
		}
		if c.APIKey != nil {
			used[fieldKeyPlace+c.APIKey.Place().String()] = true
		}
		for _, a := range c.Authorizations {
			used[fieldAuthz+a.API] = true
		}
	}
	if global := p.target.config.GlobalAuthentication; global != nil {
		use(used, global.ClaimsToHeaders)
	}
	return used
}

func use(used map[string]bool, mapped []ClaimToHeader) {
	for _, m := range mapped {
		used[fieldMapped+lower(m.Header)] = true
	}
}

// unset are those that do not stand there yet.
func (p *planner) unset(used map[string]bool) map[string]string {
	set := map[string]string{}
	for field := range used {
		if _, there := p.have.fields[field]; !there {
			set[field] = "1"
		}
	}
	return set
}

// forget lists the fields of what no consumer uses any more.
func (p *planner) forget(used map[string]bool) []string {
	var unset []string
	for _, field := range slices.Sorted(maps.Keys(p.have.fields)) {
		kind, _, _ := strings.Cut(field, ":")
		switch kind + ":" {
		case fieldClaim, fieldPlace, fieldKeyPlace, fieldAuthz, fieldMapped:
			if !used[field] {
				unset = append(unset, field)
			}
		}
	}
	return unset
}

func (p *planner) clients() {
	wanted := map[string]bool{}
	for _, in := range p.target.config.Instances {
		for i := range in.Clients {
			c := &in.Clients[i]
			name := in.ID + "/" + c.ID
			wanted[name] = true
			if s, differs := entryStep(p, KindClient, name, c, p.have.clients[name]); differs {
				p.steps = append(p.steps, s)
			}
		}
	}
	var removals []step
	for _, name := range slices.Sorted(maps.Keys(p.have.clients)) {
		if !wanted[name] {
			removals = append(removals, removal(KindClient, name, p.text(p.have.clients[name]), nil))
		}
	}
	p.last = append(removals, p.last...) // an instance is narrowed when none of its clients is left behind
}

func (p *planner) consumers() {
	wanted := map[string]bool{}
	for i := range p.target.config.Consumers {
		c := &p.target.config.Consumers[i]
		wanted[c.Name] = true
		had := p.have.consumers[c.Name]
		s, differs := entryStep(p, KindConsumer, c.Name, c, had)
		if !differs && !p.have.cut() {
			continue
		}
		s.change.Index = indexes(c)
		for _, index := range indexes(had) {
			if !slices.Contains(s.change.Index, index) {
				s.change.Unindex = append(s.change.Unindex, index)
			}
		}
		p.steps = append(p.steps, s)
	}
	var removals []step
	for _, name := range slices.Sorted(maps.Keys(p.have.consumers)) {
		if !wanted[name] {
			had := p.have.consumers[name]
			removals = append(removals, removal(KindConsumer, name, p.text(had), indexes(had)))
		}
	}
	p.last = append(removals, p.last...)
}

// entryStep writes an object that is an entry of its own. Told is empty where it does not differ.
func entryStep[T any](p *planner, kind Kind, name string, object, had *T) (step, bool) {
	text := p.text(object)
	s := step{
		change:    Change{Kind: kind, Name: name, Entry: &Entry{Value: text}},
		generated: p.target.generated[string(kind)+" "+name],
		has:       text,
		part:      Changed{ActionApply, string(kind), name},
	}
	if had != nil {
		s.had = p.text(had)
	}
	switch {
	case had == nil:
		s.told = Changed{ActionAdd, string(kind), name}
	case s.had != text:
		s.told = Changed{ActionChange, string(kind), name}
	}
	return s, s.told.Action != ""
}

func removal(kind Kind, name, had string, indexes []string) step {
	return step{
		change: Change{Kind: kind, Name: name, Unindex: indexes}, told: Changed{ActionRemove, string(kind), name}, had: had,
	}
}

// indexes are the index entries that lead to a consumer.
func indexes(c *Consumer) []string {
	if c == nil {
		return nil
	}
	var list []string
	if c.JWT != nil {
		list = append(list, IndexJWT(c.JWT.ClaimName(), c.JWT.Value))
	}
	if c.APIKey != nil {
		for _, key := range c.APIKey.Keys {
			list = append(list, IndexAPIKey(c.APIKey.Place(), key.Hash))
		}
	}
	if c.HMAC != nil {
		for _, key := range c.HMAC.Keys {
			list = append(list, IndexHMAC(key.AccessKey))
		}
	}
	return list
}
