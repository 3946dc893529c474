package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"keyless/shared/keyring"
	"keyless/shared/process"
	"keyless/shared/registry"
)

// settle is how long a key that was made only now is published before it signs: processes of ours ask at most
// a second apart whether they know the newest set.
const settle = 2 * time.Second

// onRing is what the verbs on signing keys work with.
type onRing struct {
	*process.Process
	ring      *keyring.Ring
	instances map[string]*registry.Instance
}

// open opens the store and finds the instance that is asked for; every one is "".
func (t terminal) open(ctx context.Context, instance string) (*onRing, error) {
	p, err := t.onStore()
	if err != nil {
		return nil, err
	}
	o := &onRing{Process: p}
	if o.ring, err = ringOn(p); err == nil {
		o.instances, err = p.Reader.Instances(ctx)
	}
	if err == nil && instance != "" && o.instances[instance] == nil {
		err = refused{fmt.Errorf("there is no instance %q", instance)}
	}
	if err != nil {
		return nil, errors.Join(err, p.Redis.Close())
	}
	if instance != "" {
		o.instances = map[string]*registry.Instance{instance: o.instances[instance]}
	}
	return o, nil
}

func (o *onRing) names() []string { return slices.Sorted(maps.Keys(o.instances)) }

// listed is a line of keys list.
type listed struct {
	Instance string `json:"instance"`
	keyring.Key
}

// keysOf reads the published keys of one instance, or of all with "".
func (g *gateway) keysOf(ctx context.Context, instance string) ([]listed, error) {
	names := []string{instance}
	k, _ := kindOf("instance")
	if instance == "" {
		names = nil
		err := g.each(ctx, k.list, nil, func(item json.RawMessage) error {
			names = append(names, cellOf(item, "id"))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	list := []listed{}
	for _, name := range names {
		var answer struct{ Keys []keyring.Key }
		if _, err := g.do(ctx, ask{path: k.path(name) + "/keys"}, &answer); err != nil {
			return nil, named(err, k.label(name))
		}
		for _, key := range answer.Keys {
			list = append(list, listed{name, key})
		}
	}
	return list, nil
}

// keysList prints the published keys with their places in the calendar.
func keysList(ctx context.Context, t terminal, args []string) error {
	flags, o := t.gatewayFlags()
	instance := flags.String("instance", "", "of one `instance`; default all")
	if err := t.parse(flags, args); err != nil {
		return err
	}
	g, err := t.gateway(o)
	if err != nil {
		return err
	}
	defer g.close()
	list, err := g.keysOf(ctx, *instance)
	if err != nil {
		return err
	}
	if o.asJSON {
		return t.json(list)
	}
	for _, k := range list {
		until := ""
		if !k.Until.IsZero() {
			until = map[string]string{keyring.Next: " signs from ", keyring.Retired: " published until "}[k.State] +
				k.Until.Format(time.RFC3339)
		}
		t.say("%-20s %-7s %s %s since %s%s", plain(k.Instance), plain(k.State), plain(k.Algorithm), plain(k.ID),
			k.Since.Format(time.RFC3339), until)
	}
	return nil
}

// keysRotate carries the calendars forward; with --now the next key of one instance signs at once.
func keysRotate(ctx context.Context, t terminal, args []string) error {
	flags, o := t.gatewayFlags()
	instance := flags.String("instance", "", "one `instance`; default all")
	now := flags.Bool("now", false, "the next key signs at once; needs --instance")
	if err := t.parse(flags, args); err != nil {
		return err
	}
	switch {
	case *now && *instance == "":
		return usage{errors.New("--now needs --instance")}
	case *now:
		return t.rotateNow(ctx, o, *instance)
	}
	on, err := t.open(ctx, *instance)
	if err != nil {
		return err
	}
	defer on.Redis.Close()
	done := []map[string]any{}
	for _, name := range on.names() {
		in := on.instances[name]
		changed, err := on.ring.Tend(ctx, name, in.Algorithm(), in.Rotation())
		if errors.Is(err, keyring.ErrFull) {
			return refused{err}
		}
		if err != nil {
			return err
		}
		result := "as it should be"
		if changed {
			result = "changed; keys list shows it"
		}
		if done = append(done, map[string]any{"instance": name, "changed": changed}); !o.asJSON {
			t.say("%s: %s", name, result)
		}
	}
	if o.asJSON {
		return t.json(done)
	}
	return nil
}

// rotateNow promotes the key that waits. Where none did, one was published by the first call, and waits for a moment.
func (t terminal) rotateNow(ctx context.Context, o *options, instance string) error {
	g, err := t.gateway(o)
	if err != nil {
		return err
	}
	defer g.close()
	k, _ := kindOf("instance")
	rotate := ask{method: http.MethodPost, path: k.path(instance) + "/keys/rotate"}
	var signs struct {
		Signs string `json:"signs"`
	}
	_, err = g.do(ctx, rotate, &signs)
	if codeOf(err) == "no_next_key" {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settle):
		}
		_, err = g.do(ctx, rotate, &signs)
	}
	if err != nil {
		return named(err, k.label(instance))
	}
	if o.asJSON {
		return t.json(signs)
	}
	t.say("%s signs with %s; what others signed verifies as before", plain(instance), plain(signs.Signs))
	return nil
}

// keysRevoke removes a key at once.
func keysRevoke(ctx context.Context, t terminal, args []string) error {
	flags, o := t.gatewayFlags()
	instance := flags.String("instance", "", "the `instance`")
	kid := flags.String("kid", "", "the key's `id`, as keys list shows it")
	if err := t.parse(flags, args); err != nil {
		return err
	}
	if *instance == "" || *kid == "" {
		return usage{errors.New("--instance and --kid name the key")}
	}
	g, err := t.gateway(o)
	if err != nil {
		return err
	}
	defer g.close()
	k, _ := kindOf("instance")
	var signs struct {
		Signs string `json:"signs"`
	}
	a := ask{method: http.MethodPost, path: k.path(*instance) + "/keys/revoke", body: map[string]string{"kid": *kid}}
	if _, err := g.do(ctx, a, &signs); err != nil {
		return named(err, k.label(*instance))
	}
	if o.asJSON {
		return t.json(signs)
	}
	t.say("%s is gone: this gateway refuses what it signed from the next request on, verifiers "+
		"elsewhere within five minutes; %s signs with %s", plain(*kid), plain(*instance), plain(signs.Signs))
	return nil
}
