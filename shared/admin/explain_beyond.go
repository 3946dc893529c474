package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"keyless/shared/auth"
	"keyless/shared/registry"
)

// maxKnown bounds the consumers that one explanation reads: more than one credential value leads to is rare, more than these absurd.
const maxKnown = 16

// beyond finds what the gate does not see and an operator should: consumers that the credential leads to, and why they do not count.
// Their entries are read as they are stored; no secret is opened.
func (i *inquiry) beyond(ctx context.Context, gate *auth.Gate) error {
	leads, err := auth.Leads(i.view, i.request, i.route.API)
	if err != nil {
		return err
	}
	if len(leads) > 1 {
		var places []string
		for _, l := range leads {
			places = append(places, placeName(l.Place))
		}
		i.step("credentials", "in "+strings.Join(places, ", "))
	}
	for _, l := range leads {
		if err := i.follow(ctx, gate, l); err != nil {
			return err
		}
	}
	return nil
}

// follow reads the consumers that a credential leads to.
func (i *inquiry) follow(ctx context.Context, gate *auth.Gate, l auth.Lead) error {
	if len(l.Indexes) == 0 {
		return nil
	}
	copies, _, err := i.o.Store.Indexed(ctx, l.Indexes...)
	if err != nil {
		return fmt.Errorf("find consumers: %w", err)
	}
	var names []string
	for _, byName := range copies {
		for name := range byName {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if err := i.read(ctx, names[:min(len(names), maxKnown)]...); err != nil {
		return err
	}
	for _, name := range names {
		if c := i.known[name]; c != nil {
			if fact, remedy := unseen(c, l, i.o.Now()); fact != "" {
				i.step("consumer "+name, fact)
				i.hidden = append(i.hidden, remedy)
			}
		}
	}
	return i.keys(ctx, gate, l)
}

// keys says why no key of a consumer verifies the token.
func (i *inquiry) keys(ctx context.Context, gate *auth.Gate, l auth.Lead) error {
	for _, s := range i.decision.Trace {
		name, is := strings.CutPrefix(s.Name, stepSignature)
		if !is {
			continue
		}
		seen, err := i.view.Consumers(ctx, l.Indexes...)
		if err != nil {
			return err
		}
		for _, c := range seen {
			if c.Name == name {
				i.step("keys of "+name, gate.KeyFact(ctx, i.view, l, c))
			}
		}
	}
	return nil
}

// read reads consumers as they are stored.
func (i *inquiry) read(ctx context.Context, names ...string) error {
	if len(names) == 0 {
		return nil
	}
	entries, _, err := i.o.Store.Entries(ctx, registry.KindConsumer, names...)
	if err != nil {
		return fmt.Errorf("read consumers: %w", err)
	}
	for name, entry := range entries {
		c := &registry.Consumer{}
		if err := json.Unmarshal([]byte(entry.Value), c); err != nil {
			return fmt.Errorf("read consumer %s: %w", name, err)
		}
		i.known[name] = c
	}
	return nil
}

// unseen says why a consumer that a credential leads to is not found by it, and what would change that; "" where it is found.
func unseen(c *registry.Consumer, l auth.Lead, now time.Time) (string, string) {
	if !c.Status.On() {
		return "has this credential, and is disabled; to a caller it is as if unknown", "enable consumer " + c.Name + " (status: enabled)"
	}
	switch {
	case l.Method == registry.MethodJWT && c.JWT != nil && !auth.Stands(c.JWT, l.Place):
		return elsewhere(c.Name, "token", c.JWT.Place(), l.Place)
	case l.Method == registry.MethodAPIKey && c.APIKey != nil:
		for _, k := range c.APIKey.Keys {
			if k.Hash == l.Hash {
				return unseenKey(c, k, l, now)
			}
		}
	case l.Method == registry.MethodHMAC && c.HMAC != nil:
		for _, k := range c.HMAC.Keys {
			if !k.Status.On() && slices.Contains(l.Indexes, registry.IndexHMAC(k.AccessKey)) {
				return "has this access key, which is disabled", "enable the access key of consumer " + c.Name
			}
		}
	}
	return "", ""
}

func unseenKey(c *registry.Consumer, k registry.APIKey, l auth.Lead, now time.Time) (string, string) {
	switch {
	case !k.Status.On():
		return "has this API key, " + k.ID + ", which is disabled",
			"enable API key " + k.ID + " of consumer " + c.Name + ", or send another of its keys"
	case k.ExpiresAt != nil && !now.Before(*k.ExpiresAt):
		return "has this API key, " + k.ID + ", which expired at " + k.ExpiresAt.UTC().Format(time.RFC3339),
			"send another API key of consumer " + c.Name + ", or move expires_at of " + k.ID
	}
	return elsewhere(c.Name, "API key", c.APIKey.Place(), l.Place)
}

func elsewhere(consumer, what string, own, sent registry.Place) (string, string) {
	if own == sent {
		return "", ""
	}
	return "has this " + what + ", at another place: " + placeName(own),
		"send the " + what + " of consumer " + consumer + " in " + placeName(own) + ", or change its place in the configuration"
}

// placeName writes a place for people.
func placeName(p registry.Place) string {
	name := map[string]string{registry.InHeader: "header ", registry.InQuery: "query parameter ", registry.InCookie: "cookie "}[p.In] + p.Name
	if p.Prefix != "" {
		name += " behind '" + p.Prefix + "'"
	}
	return name
}

// recorded explains a live request by its record. What would make it pass is told on what the store knows now.
func (i *inquiry) recorded(ctx context.Context, id string) (Explanation, error) {
	if i.o.Trail == nil {
		return Explanation{}, ErrNoRecord
	}
	text, err := i.o.Trail.Find(ctx, id)
	if err != nil {
		return Explanation{}, err
	}
	var record auth.Record
	if text == nil || json.Unmarshal(text, &record) != nil {
		return Explanation{}, ErrNoRecord
	}
	err = registry.NewReader(i.o.Store, i.o.Keys, i.o.Now).Consult(ctx, func(v registry.View) (registry.Result, error) {
		i.view = v
		return registry.Final, nil
	})
	if err != nil && !errors.Is(err, registry.ErrEmpty) {
		return Explanation{}, err
	}
	return i.replay(ctx, id, record)
}

// replay puts a record's facts where a judged request has its own.
func (i *inquiry) replay(ctx context.Context, id string, record auth.Record) (Explanation, error) {
	if record.Consumer != "" {
		if err := i.read(ctx, record.Consumer); err != nil {
			return Explanation{}, err
		}
	}
	i.decision = auth.Decision{
		API: &registry.API{Name: record.API}, Reason: record.Reason, Method: record.Method, Trace: record.Steps,
		Consumer: i.known[record.Consumer],
	}
	if i.view.Snapshot != nil && i.view.APIs[record.API] != nil {
		i.decision.API = i.view.APIs[record.API]
	}
	i.step("API", record.API)
	for _, s := range record.Steps {
		i.step(s.Name, s.Fact)
	}
	i.behind(record)
	i.refuse(record.Status, record.Code, record.Message, i.remedyOf(record))
	i.out.RequestID, i.out.At = id, &record.At
	return i.out, nil
}
