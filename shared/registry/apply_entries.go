package registry

import (
	"maps"
	"slices"
)

// identifiers adds the claims and places that consumers use before a consumer uses them, and returns them.
func (p *planner) identifiers() (claims map[string]bool, places map[Place]bool) {
	claims, places = map[string]bool{}, map[Place]bool{}
	set := map[string]string{}
	for i := range p.target.config.Consumers {
		if j := p.target.config.Consumers[i].JWT; j != nil {
			claims[j.ClaimName()], places[j.Place()] = true, true
		}
	}
	for claim := range claims {
		if !slices.Contains(p.have.snapshot.Claims, claim) {
			set[fieldClaim+claim] = "1"
		}
	}
	for place := range places {
		if !slices.Contains(p.have.snapshot.JWTPlaces, place) {
			set[fieldPlace+place.String()] = "1"
		}
	}
	if len(set) > 0 {
		p.steps = append(p.steps, step{change: Change{Set: set}})
	}
	return claims, places
}

// forget removes the claims and places that no consumer uses any more.
func (p *planner) forget(claims map[string]bool, places map[Place]bool) {
	var unset []string
	for _, claim := range p.have.snapshot.Claims {
		if !claims[claim] {
			unset = append(unset, fieldClaim+claim)
		}
	}
	for _, place := range p.have.snapshot.JWTPlaces {
		if !places[place] {
			unset = append(unset, fieldPlace+place.String())
		}
	}
	if len(unset) > 0 {
		p.steps = append(p.steps, step{change: Change{Unset: unset}})
	}
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
			removals = append(removals, removal(KindClient, name, nil))
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
			removals = append(removals, removal(KindConsumer, name, indexes(p.have.consumers[name])))
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
	}
	switch {
	case had == nil:
		s.told = Changed{ActionAdd, string(kind), name}
	case p.text(had) != text:
		s.told = Changed{ActionChange, string(kind), name}
	}
	return s, s.told.Action != ""
}

func removal(kind Kind, name string, indexes []string) step {
	return step{
		change: Change{Kind: kind, Name: name, Unindex: indexes}, told: Changed{ActionRemove, string(kind), name},
	}
}

// indexes are the index entries that lead to a consumer.
func indexes(c *Consumer) []string {
	if c == nil || c.JWT == nil {
		return nil
	}
	return []string{IndexJWT(c.JWT.ClaimName(), c.JWT.Value)}
}
