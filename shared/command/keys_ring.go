package command

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
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

// open parses a verb's flags, opens the store and finds the instance that is asked for; every one is "".
func (t terminal) open(
	ctx context.Context, flags *flag.FlagSet, args []string, instance *string,
) (*onRing, error) {
	if err := t.parse(flags, args); err != nil {
		return nil, err
	}
	p, err := t.onStore()
	if err != nil {
		return nil, err
	}
	o := &onRing{Process: p}
	if o.ring, err = ringOn(p); err == nil {
		o.instances, err = p.Reader.Instances(ctx)
	}
	if err == nil && *instance != "" && o.instances[*instance] == nil {
		err = refused{fmt.Errorf("there is no instance %q", *instance)}
	}
	if err != nil {
		return nil, errors.Join(err, p.Redis.Close())
	}
	if *instance != "" {
		o.instances = map[string]*registry.Instance{*instance: o.instances[*instance]}
	}
	return o, nil
}

func (o *onRing) names() []string { return slices.Sorted(maps.Keys(o.instances)) }

// listed is a line of keys list.
type listed struct {
	Instance string `json:"instance"`
	keyring.Key
}

// keysList prints the published keys with their places in the calendar.
func keysList(ctx context.Context, t terminal, args []string) error {
	flags := flag.NewFlagSet("keys list", flag.ContinueOnError)
	instance := flags.String("instance", "", "of one `instance`; default all")
	asJSON := flags.Bool("json", false, "print JSON")
	o, err := t.open(ctx, flags, args, instance)
	if err != nil {
		return err
	}
	defer o.Redis.Close()
	list := []listed{}
	for _, name := range o.names() {
		keys, err := o.ring.Keys(ctx, name)
		if err != nil {
			return err
		}
		for _, k := range keys {
			list = append(list, listed{name, k})
		}
	}
	if *asJSON {
		return json.NewEncoder(t.stdout).Encode(list)
	}
	for _, k := range list {
		until := ""
		if !k.Until.IsZero() {
			until = map[string]string{keyring.Next: " signs from ", keyring.Retired: " published until "}[k.State] +
				k.Until.Format(time.RFC3339)
		}
		fmt.Fprintf(t.stdout, "%-20s %-7s %s %s since %s%s\n",
			k.Instance, k.State, k.Algorithm, k.ID, k.Since.Format(time.RFC3339), until)
	}
	return nil
}

// keysRotate carries the calendars forward; with --now the next key of one instance signs at once.
func keysRotate(ctx context.Context, t terminal, args []string) error {
	flags := flag.NewFlagSet("keys rotate", flag.ContinueOnError)
	instance := flags.String("instance", "", "one `instance`; default all")
	now := flags.Bool("now", false, "the next key signs at once; needs --instance")
	o, err := t.open(ctx, flags, args, instance)
	if err != nil {
		return err
	}
	defer o.Redis.Close()
	if *now {
		if *instance == "" {
			return usage{errors.New("--now needs --instance")}
		}
		kid, err := o.rotateNow(ctx, *instance)
		if err != nil {
			return full(err)
		}
		fmt.Fprintf(t.stdout, "%s signs with %s; what others signed verifies as before\n", *instance, kid)
		return nil
	}
	for _, name := range o.names() {
		in := o.instances[name]
		changed, err := o.ring.Tend(ctx, name, in.Algorithm(), in.Rotation())
		if err != nil {
			return full(err)
		}
		result := "as it should be"
		if changed {
			result = "changed; keys list shows it"
		}
		fmt.Fprintf(t.stdout, "%s: %s\n", name, result)
	}
	return nil
}

// rotateNow promotes the key that waits. Where none does, one is made and published for a moment first.
func (o *onRing) rotateNow(ctx context.Context, instance string) (string, error) {
	algorithm := o.instances[instance].Algorithm()
	kid, err := o.ring.Rotate(ctx, instance, algorithm)
	if !errors.Is(err, keyring.ErrNoNext) {
		return kid, err
	}
	if _, err := o.ring.Ensure(ctx, instance, algorithm); err != nil {
		return "", err
	}
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case <-time.After(settle):
	}
	return o.ring.Rotate(ctx, instance, algorithm)
}

// keysRevoke removes a key at once.
func keysRevoke(ctx context.Context, t terminal, args []string) error {
	flags := flag.NewFlagSet("keys revoke", flag.ContinueOnError)
	instance := flags.String("instance", "", "the `instance`")
	kid := flags.String("kid", "", "the key's `id`, as keys list shows it")
	o, err := t.open(ctx, flags, args, instance)
	if err != nil {
		return err
	}
	defer o.Redis.Close()
	if *instance == "" || *kid == "" {
		return usage{errors.New("--instance and --kid name the key")}
	}
	active, err := o.ring.Revoke(ctx, *instance, *kid, o.instances[*instance].Algorithm())
	if errors.Is(err, keyring.ErrNoKey) {
		return refused{fmt.Errorf("%s has no key %s", *instance, *kid)}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(t.stdout, "%s is gone: this gateway refuses what it signed from the next request on, verifiers "+
		"elsewhere within five minutes; %s signs with %s\n", *kid, *instance, active)
	return nil
}

// full makes a full set what it is: a refusal.
func full(err error) error {
	if errors.Is(err, keyring.ErrFull) {
		return refused{err}
	}
	return err
}
