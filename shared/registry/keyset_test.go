package registry_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"keyless/shared/registry"
)

func TestKeySetDue(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) string { return now.Add(-d).Format(time.RFC3339Nano) }
	const day, month = 24 * time.Hour, 30 * 24 * time.Hour
	active := func(age time.Duration) string {
		return `{"kid":"k1","state":"active","since":"` + ago(age) + `"}`
	}
	next := func(kid string, since time.Duration) string {
		return `{"kid":"` + kid + `","state":"next","since":"` + ago(since) + `","until":"` + ago(since-time.Hour) + `"}`
	}
	for name, test := range map[string]struct {
		calendar   string
		instance   registry.Instance
		due, ready bool
	}{
		"no dates":                      {"", registry.Instance{}, false, false},
		"in its time":                   {active(3*month-1) + "," + next("k2", day), registry.Instance{}, false, false},
		"its time is over":              {active(3*month) + "," + next("k2", day), registry.Instance{}, true, true},
		"no next key":                   {active(3 * month), registry.Instance{}, true, false},
		"next in its lead":              {active(3*month) + "," + next("k2", time.Hour-1), registry.Instance{}, true, false},
		"next out of its lead":          {active(3*month) + "," + next("k2", time.Hour), registry.Instance{}, true, true},
		"next that is not published":    {active(3*month) + "," + next("k9", day), registry.Instance{}, true, false},
		"a shorter time":                {active(day) + "," + next("k2", day), registry.Instance{KeyRotation: registry.Duration(day)}, true, true},
		"another algorithm, none ready": {active(day) + "," + next("k2", day), registry.Instance{SigningAlgorithm: "EdDSA"}, true, false},
		"active of another kid":         {strings.Replace(active(3*month), "k1", "k9", 1), registry.Instance{}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys := publicKey + "," + strings.Replace(publicKey, `"k1"`, `"k2"`, 1)
			set := loaded(t, map[string]string{
				"jwks:acme": `{"active":"k1","jwks":{"keys":[` + keys + `]},"calendar":[` + test.calendar + `]}`,
			}).KeySets["acme"]
			if due, ready := set.Due(&test.instance, now); due != test.due || ready != test.ready {
				t.Errorf("due %v, ready %v", due, ready)
			}
		})
	}
}

// A set of our own may be larger than one that is fetched from a URL, and is judged as strictly else.
func TestOwnKeySets(t *testing.T) {
	t.Parallel()
	set := func(count int) string {
		keys := []string{}
		for i := range count {
			keys = append(keys, strings.Replace(publicKey, `"k1"`, fmt.Sprintf(`"k%d"`, i), 1))
		}
		return `{"active":"k1","jwks":{"keys":[` + strings.Join(keys, ",") + `]}}`
	}
	if got := len(loaded(t, map[string]string{"jwks:acme": set(513)}).KeySets["acme"].Keys); got != 513 {
		t.Errorf("%d keys", got)
	}
	for name, text := range map[string]string{
		"too many":    set(1025),
		"a kid twice": `{"active":"k1","jwks":{"keys":[` + publicKey + "," + publicKey + `]}}`,
		"a secret":    `{"active":"k1","jwks":{"keys":[{"kty":"oct","k":"` + strings.Repeat("A", 64) + `"}]}}`,
	} {
		r, store := reader(t, nil)
		if err := store.Write(t.Context(), registry.Change{Set: map[string]string{"jwks:acme": text}}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Snapshot(t.Context()); err == nil {
			t.Errorf("%s: is read", name)
		}
	}
}

func TestKeyRotationBounds(t *testing.T) {
	t.Parallel()
	for rotation, good := range map[time.Duration]bool{
		0: true, 24*time.Hour - time.Second: false, 24 * time.Hour: true, 730 * 24 * time.Hour: true, 731 * 24 * time.Hour: false,
	} {
		faults := registry.Validate(&registry.Config{Version: 1, Instances: []registry.Instance{{
			ID: "a", Description: "d", PrivacyAgreement: "accepted", KeyRotation: registry.Duration(rotation),
		}}})
		if slices.ContainsFunc(faults, func(f registry.Fault) bool { return f.Path == "instances[0].key_rotation" }) == good {
			t.Errorf("%s: faults %v", rotation, faults)
		}
	}
}
