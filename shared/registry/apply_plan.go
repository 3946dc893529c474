package registry

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Kinds of a Changed beside those of an Entry.
const (
	kindInstance = "instance"
	kindDomain   = "domain"
	kindUpstream = "upstream"
	kindAPI      = "api"
	kindGroup    = "group"
	kindGlobal   = "global_authentication"
	kindCurrency = "currency"
	kindPrices   = "prices"
)

// step is one Change of a plan, and what the Report says once it is written; nothing where it only prepares. Had and has are the
// object's stored texts before and after.
type step struct {
	change    Change
	told      Changed
	generated []GeneratedSecret
	had, has  string
	part      Changed // what the audit trail says where told is empty
}

func (s step) what() string {
	if s.told.Kind == "" {
		return "fields"
	}
	return s.told.Kind + " " + s.told.Name
}

// planner compares a target with what is stored. What is referred to is written before what refers to it and
// removed after.
type planner struct {
	target *target
	have   *stored
	steps  []step
	last   []step // after clients and consumers
	err    error
}

// planned is a plan: fields to set before all steps, and to remove after them.
type planned struct {
	first map[string]string
	steps []step
	last  []string
}

// empty reports whether the registry is what it shall be.
func (p planned) empty() bool { return len(p.first)+len(p.steps)+len(p.last) == 0 }

func plan(t *target, have *stored) (planned, error) {
	p := &planner{target: t, have: have}
	c, h := t.config, have.snapshot
	p.instances()
	setFields(p, kindDomain, fieldDomain, c.Domains, h.Domains, domainName)
	setFields(p, kindUpstream, fieldUpstream, c.Upstreams, h.Upstreams, upstreamName)
	setFields(p, kindGroup, fieldGroup, c.Groups, h.Groups, groupName)
	setFields(p, kindAPI, fieldAPI, c.APIs, h.APIs, apiName)
	p.global()
	p.currency()
	p.prices()
	used := p.identifiers()
	p.clients()
	p.consumers()
	p.steps = append(p.steps, p.last...)
	unsetFields(p, kindAPI, fieldAPI, c.APIs, h.APIs, apiName)
	unsetFields(p, kindGroup, fieldGroup, c.Groups, h.Groups, groupName)
	unsetFields(p, kindUpstream, fieldUpstream, c.Upstreams, h.Upstreams, upstreamName)
	unsetFields(p, kindDomain, fieldDomain, c.Domains, h.Domains, domainName)
	unsetFields(p, kindInstance, fieldInstance, c.Instances, h.Instances, instanceID)
	return planned{first: p.unset(used), steps: p.steps, last: p.forget(used)}, p.err
}

func (p *planner) text(object any) string {
	text, err := json.Marshal(object)
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("write a registry entry: %w", err)
	}
	return string(text)
}

// set adds the write of one field where it differs; before is nil where the field is not there.
func (p *planner) set(kind, name, field, text string, before *string) {
	if before != nil && *before == text {
		return
	}
	action := ActionAdd
	if before != nil {
		action = ActionChange
	}
	p.steps = append(p.steps, step{
		change: Change{Set: map[string]string{field: text}}, told: Changed{action, kind, name},
		had: textOf(before), has: text,
	})
}

func textOf(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// before is the stored text of a field as this version would write it.
func before[T any](p *planner, field string, had *T) *string {
	if _, there := p.have.fields[field]; !there || had == nil {
		return nil
	}
	text := p.text(had)
	return &text
}

func setFields[T any](p *planner, kind, prefix string, list []T, stored map[string]*T, name func(*T) string) {
	for i := range list {
		n := name(&list[i])
		p.set(kind, n, prefix+n, p.text(list[i]), before(p, prefix+n, stored[n]))
	}
}

func unsetFields[T any](
	p *planner, kind, prefix string, list []T, stored map[string]*T, name func(*T) string,
) {
	wanted := make(map[string]bool, len(list))
	for i := range list {
		wanted[name(&list[i])] = true
	}
	for _, n := range slices.Sorted(maps.Keys(stored)) {
		if wanted[n] {
			continue
		}
		unset := []string{prefix + n}
		if kind == kindInstance {
			unset = append(unset, FieldKeySet(n)) // nothing verifies what a removed issuer has signed
		}
		p.steps = append(p.steps, step{
			change: Change{Unset: unset}, told: Changed{ActionRemove, kind, n}, had: p.have.fields[prefix+n],
		})
	}
}

// instances writes each instance without its clients, which are entries of their own. One that gives up a
// resource server or scope keeps it until no permission of a client names it.
func (p *planner) instances() {
	for _, in := range p.target.config.Instances {
		in.Clients = nil
		field, had := fieldInstance+in.ID, p.have.snapshot.Instances[in.ID]
		text, first := p.text(in), p.text(widened(in, had))
		p.set(kindInstance, in.ID, field, first, before(p, field, had))
		if first == text {
			continue
		}
		narrow := step{change: Change{Set: map[string]string{field: text}}, had: first, has: text}
		narrow.part = Changed{ActionChange, kindInstance, in.ID}
		if *before(p, field, had) == first {
			narrow.told = Changed{ActionChange, kindInstance, in.ID}
		}
		p.last = append(p.last, narrow)
	}
}

// widened is an instance with the resource servers and scopes of its stored form that it no longer has.
func widened(in Instance, had *Instance) Instance {
	if had == nil {
		return in
	}
	in.ResourceServers = slices.Clone(in.ResourceServers)
	for _, old := range had.ResourceServers {
		rs := in.ResourceServer(old.Identifier)
		if rs == nil {
			in.ResourceServers = append(in.ResourceServers, old)
			continue
		}
		rs.Scopes = slices.Clone(rs.Scopes)
		for _, scope := range old.Scopes {
			same := func(s Scope) bool { return s.Value == scope.Value }
			if !slices.ContainsFunc(rs.Scopes, same) {
				rs.Scopes = append(rs.Scopes, scope)
			}
		}
	}
	return in
}

func (p *planner) global() {
	global, had := p.target.config.GlobalAuthentication, p.have.snapshot.Global
	switch {
	case global != nil:
		p.set(kindGlobal, "", fieldGlobal, p.text(global), before(p, fieldGlobal, had))
	case had != nil:
		p.last = append(p.last, step{
			change: Change{Unset: []string{fieldGlobal}}, told: Changed{Action: ActionRemove, Kind: kindGlobal},
			had: p.have.fields[fieldGlobal],
		})
	}
}

// prices are one entry: they are tried in order.
func (p *planner) prices() {
	prices := p.target.config.Prices
	had, there := p.have.fields[fieldPrices]
	switch {
	case len(prices) > 0 && there:
		p.set(kindPrices, "", fieldPrices, p.text(prices), &had)
	case len(prices) > 0:
		p.set(kindPrices, "", fieldPrices, p.text(prices), nil)
	case there:
		p.last = append(p.last, step{
			change: Change{Unset: []string{fieldPrices}}, told: Changed{Action: ActionRemove, Kind: kindPrices}, had: had,
		})
	}
}

func (p *planner) currency() {
	currency := p.target.config.Currency
	had, there := p.have.fields[fieldCurrency]
	switch {
	case currency == had:
	case currency == "":
		p.last = append(p.last, step{
			change: Change{Unset: []string{fieldCurrency}}, told: Changed{ActionRemove, kindCurrency, had}, had: had,
		})
	case there:
		p.set(kindCurrency, currency, fieldCurrency, currency, &had)
	default:
		p.set(kindCurrency, currency, fieldCurrency, currency, nil)
	}
}
