package registry_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"keyless/shared/registry"
	"keyless/shared/registry/storetest"
)

// C10: the last use of a secret is kept to the day, by every store alike.
func TestC10LastUseOfASecret(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) registry.Store{
		"memory": func(*testing.T) registry.Store { return registry.NewMemory() },
		"miniredis": func(t *testing.T) registry.Store {
			return registry.NewRedis(connect(t, "redis://"+miniredis.RunT(t).Addr()), "kg")
		},
		"redis-server": func(t *testing.T) registry.Store {
			return registry.NewRedis(connect(t, "redis://"+storetest.Redis(t)), "kg")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lastUse(t, open(t))
		})
	}
}

func lastUse(t *testing.T, store registry.Store) {
	start := time.Unix(1795348800, 0)
	clock := start
	put := func(entry *registry.Entry) {
		t.Helper()
		change := registry.Change{Kind: registry.KindClient, Name: "a/c", Entry: entry}
		if err := store.Write(t.Context(), change); err != nil {
			t.Fatal(err)
		}
	}
	process := func() func(secret string) {
		r := registry.NewReader(store, nil, func() time.Time { return clock })
		return func(secret string) {
			t.Helper()
			if err := r.SecretUsed(t.Context(), "a", "c", secret); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := func(why string, want map[string]int64) {
		t.Helper()
		at, err := registry.LastUsed(t.Context(), store, "a", "c")
		got := map[string]int64{}
		for secret, when := range at {
			got[secret] = when.Unix() - start.Unix()
		}
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("%s: %v, %v", why, got, err)
		}
	}
	one, another := process(), process()
	one("s1")
	want("a client that is not there", nil)
	put(&registry.Entry{Value: "{}"})
	another("s1")
	want("a first use", map[string]int64{"s1": 0})
	clock = start.Add(time.Hour)
	process()("s1")
	another("s2")
	want("an hour later, in another process too", map[string]int64{"s1": 0, "s2": 3600})
	put(&registry.Entry{Value: `{"name":"x"}`})
	want("the entry was written again", map[string]int64{"s1": 0, "s2": 3600})
	clock = start.Add(24 * time.Hour)
	another("s1")
	want("a day later", map[string]int64{"s1": 86400, "s2": 3600})
	clock = start
	process()("s1")
	want("a clock that was set back is believed", map[string]int64{"s1": 0, "s2": 3600})
	put(nil)
	put(&registry.Entry{Value: "{}"})
	want("another client of the same name", nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := registry.NewReader(store, nil, time.Now).SecretUsed(ctx, "a", "c", "s1"); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled call: %v", err)
	}
}

// A secret that is used a thousand times a second costs one round trip a day.
func TestC10LastUseCostsOneRoundTripADay(t *testing.T) {
	t.Parallel()
	proxy := storetest.NewProxy(t, storetest.Redis(t))
	store := registry.NewRedis(connect(t, "redis://"+proxy.Address()), "kg")
	r := registry.NewReader(store, nil, time.Now)
	use := func(secret string) {
		if err := r.SecretUsed(t.Context(), "a", "c", secret); err != nil {
			t.Fatal(err)
		}
	}
	use("warm") // the script is sent
	proxy.Reset()
	use("s1")
	for range 100 {
		use("s1")
	}
	if n := proxy.Trips(); n != 1 {
		t.Errorf("%d round trips", n)
	}
}

// Who accepted the privacy agreement, and when, is what was noted when it was.
func TestPrivacyAgreementIsNoted(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 25, 10, 0, 0, 5, time.FixedZone("x", 3600))
	noted := at.UTC().Truncate(time.Second)
	fresh := registry.Instance{PrivacyAgreement: "accepted", PrivacyAgreementBy: "a claim of the file's"}
	fresh.Accepted(nil, "ann", at)
	if fresh.PrivacyAgreementBy != "ann" || !fresh.PrivacyAgreementAt.Equal(noted) || fresh.PrivacyAgreementAt.Nanosecond() != 0 {
		t.Errorf("%+v", fresh)
	}
	again := registry.Instance{PrivacyAgreement: "accepted"}
	again.Accepted(&fresh, "bob", at.Add(time.Hour))
	if again.PrivacyAgreementBy != "ann" || !again.PrivacyAgreementAt.Equal(noted) {
		t.Errorf("accepted before: %+v", again)
	}
	old := registry.Instance{PrivacyAgreement: "accepted"}
	again.Accepted(&old, "bob", at)
	if again.PrivacyAgreementBy != "" || again.PrivacyAgreementAt != nil {
		t.Errorf("accepted before this was noted: %+v", again)
	}
	store, keys := registry.NewMemory(), masterKeys(t)
	text := `version: 1
instances: [{id: a, description: d, privacy_agreement: accepted}]
`
	by := registry.ApplyOptions{By: registry.Actor{Who: "ann"}, Now: func() time.Time { return at }}
	apply(t, store, keys, text, by)
	by.By.Who, by.Now = "bob", time.Now
	if report := apply(t, store, keys, text, by); len(report.Changes) != 0 {
		t.Errorf("the same again changes %v", report.Changes)
	}
	snapshot, err := registry.NewReader(store, keys, time.Now).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if in := snapshot.Instances["a"]; in.PrivacyAgreementBy != "ann" || !in.PrivacyAgreementAt.Equal(noted) {
		t.Errorf("stored: %+v", in)
	}
}
