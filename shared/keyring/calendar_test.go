package keyring_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"keyless/shared/keyring"
	"keyless/shared/registry"
)

// The times of the contract, written apart from the code: discovery lets others keep a set for 5 minutes, the
// registry lets a token live for a day.
const (
	leastLead     = time.Hour
	longestToken  = 24 * time.Hour
	leastRotation = 24 * time.Hour
)

// clock is a time that tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// keysIn lists kids by state.
func keysIn(t testing.TB, ring *keyring.Ring, instance string) map[string][]string {
	t.Helper()
	keys, err := ring.Keys(t.Context(), instance)
	if err != nil {
		t.Fatal(err)
	}
	kids := map[string][]string{}
	for _, k := range keys {
		kids[k.State] = append(kids[k.State], k.ID)
	}
	return kids
}

func revision(t testing.TB, client redis.UniversalClient) string {
	t.Helper()
	return client.HGet(t.Context(), registry.Space(cell).Snapshot(), registry.FieldRevision).Val()
}

// matches reads the calendar as the registry does and compares it with the keyring's own reading, and the
// private halves with both.
func matches(t testing.TB, client redis.UniversalClient, ring *keyring.Ring, instance string) registry.KeySet {
	t.Helper()
	set := keySet(t, client, instance)
	kids := keysIn(t, ring, instance)
	if !slices.Equal(kids[keyring.Active], []string{set.Active}) || set.Keys[0].ID != set.Active {
		t.Fatalf("active %v, the Snapshot says %s and publishes %s first", kids[keyring.Active], set.Active, set.Keys[0].ID)
	}
	var published, dated []string
	for _, k := range set.Keys {
		published = append(published, k.ID)
	}
	for _, d := range set.Calendar {
		dated = append(dated, d.ID)
	}
	private := client.HKeys(t.Context(), registry.Space(cell).Keyring(instance)).Val()
	if slices.Sort(private); !slices.Equal(published, dated) || !slices.Equal(private, slices.Sorted(slices.Values(published))) {
		t.Fatalf("published %v, dated %v, private %v", published, dated, private)
	}
	return set
}

func TestK05AKeyPassesThroughItsStates(t *testing.T) {
	t.Parallel()
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, c := start(t), newClock()
			ring := keyring.New(keyring.NewRedis(client, cell), masterKeys(t)).WithClock(c.now)
			tend := func(want bool) registry.KeySet {
				t.Helper()
				before := revision(t, client)
				changed, err := ring.Tend(t.Context(), "acme", "ES256", 90*24*time.Hour)
				if err != nil || changed != want || (revision(t, client) != before) != want {
					t.Fatalf("changed %v, want %v; error %v", changed, want, err)
				}
				return matches(t, client, ring, "acme")
			}
			first := tend(true)
			next := keysIn(t, ring, "acme")[keyring.Next][0]
			if len(first.Keys) != 2 || next == first.Active {
				t.Fatalf("%d keys at first", len(first.Keys))
			}
			tend(false)
			c.pass(90*24*time.Hour - time.Millisecond)
			tend(false)
			c.pass(time.Millisecond)
			second := tend(true)
			kids := keysIn(t, ring, "acme")
			if second.Active != next || !slices.Equal(kids[keyring.Retired], []string{first.Active}) || len(kids[keyring.Next]) != 1 {
				t.Fatalf("after the rotation: active %s, %v", second.Active, kids)
			}
			verifies(t, ring, "acme", second)
			c.pass(longestToken)
			tend(false)
			c.pass(30 * time.Minute)
			if third := tend(true); third.Active != next || len(third.Keys) != 2 {
				t.Fatalf("the retired key stays: %v", keysIn(t, ring, "acme"))
			}
			fresh := keyring.New(keyring.NewRedis(client, cell), masterKeys(t))
			if _, err := fresh.Sign(t.Context(), "acme", first.Active, []byte("{}")); !errors.Is(err, keyring.ErrNoKey) {
				t.Fatalf("the removed key's private half is still there: %v", err)
			}
		})
	}
}

func TestAnotherAlgorithmWaitsForItsLead(t *testing.T) {
	t.Parallel()
	client, c := mini(t), newClock()
	ring := keyring.New(keyring.NewRedis(client, cell), masterKeys(t)).WithClock(c.now)
	ensure := func(algorithm, active string) registry.KeySet {
		t.Helper()
		if _, err := ring.Ensure(t.Context(), "acme", algorithm); err != nil {
			t.Fatal(err)
		}
		set := matches(t, client, ring, "acme")
		if got := set.Keys[0].Algorithms[0]; got != active {
			t.Fatalf("%s signs, want %s", got, active)
		}
		return set
	}
	ensure("ES256", "ES256")
	first := ensure("EdDSA", "ES256")
	if got := first.Keys[1].Algorithms[0]; len(first.Keys) != 2 || got != "EdDSA" {
		t.Fatalf("%d keys, next of %s: a key that never signed and never will is published", len(first.Keys), got)
	}
	c.pass(leastLead - time.Millisecond)
	if kid, err := ring.Promote(t.Context(), "acme", first.Active, "EdDSA"); err != nil || kid != first.Active {
		t.Fatalf("before its lead was over: %s, %v", kid, err)
	}
	c.pass(time.Millisecond)
	ensure("EdDSA", "EdDSA")
	ensure("ES256", "EdDSA") // and back
	c.pass(leastLead)
	last := ensure("ES256", "ES256")
	if len(last.Keys) != 4 {
		t.Fatalf("%d keys: two have signed and one waits", len(last.Keys))
	}
}

// TestPropertyOfTheSchedule walks months of random events on several instances of the program, and checks at
// each moment what reliability test 20 asks: whatever an honest token was signed with is published; nothing
// signs before its lead; one key is active.
func TestPropertyOfTheSchedule(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		random, c, client := rand.New(rand.NewPCG(seed, 1)), newClock(), mini(t)
		store, master := keyring.NewRedis(client, cell), masterKeys(t)
		rings := []*keyring.Ring{}
		for range 3 {
			rings = append(rings, keyring.New(store, master).WithClock(c.now))
		}
		rotation := leastRotation + time.Duration(random.Int64N(int64(10*24*time.Hour)))
		published := map[string]time.Time{} // kid → first seen in the set
		lastUse := map[string]time.Time{}
		start, rotations := c.now(), 0
		if _, err := rings[0].Ensure(t.Context(), "acme", "ES256"); err != nil {
			t.Fatal(err)
		}
		first := keySet(t, client, "acme").Active
		for c.now().Sub(start) < 150*24*time.Hour {
			ring := rings[random.IntN(len(rings))]
			in := &registry.Instance{KeyRotation: registry.Duration(rotation)}
			set := matches(t, client, ring, "acme")
			switch event := random.IntN(10); {
			case event < 6: // a request
				kid := set.Active
				if _, ready := set.Due(in, c.now()); ready {
					promoted, err := ring.Promote(t.Context(), "acme", kid, "ES256")
					if err != nil || promoted == kid {
						t.Fatalf("seed %d: due, and %s signs on: %v", seed, promoted, err)
					}
					kid, rotations = promoted, rotations+1
				}
				if age := c.now().Sub(published[kid]); kid != first && age < leastLead {
					t.Fatalf("seed %d: %s signs after %s", seed, kid, age)
				}
				lastUse[kid] = c.now()
			case event < 9:
				if _, err := ring.Tend(t.Context(), "acme", "ES256", rotation); err != nil {
					t.Fatal(err)
				}
			default: // nobody comes for long
				c.pass(time.Duration(random.Int64N(int64(3 * 24 * time.Hour))))
			}
			set = keySet(t, client, "acme")
			for _, k := range set.Keys {
				if _, known := published[k.ID]; !known {
					published[k.ID] = c.now()
				}
			}
			for kid, used := range lastUse {
				there := slices.ContainsFunc(set.Calendar, func(d registry.KeyDates) bool { return d.ID == kid })
				if !there && c.now().Before(used.Add(longestToken)) {
					t.Fatalf("seed %d: a token that lives was signed with %s, which is gone", seed, kid)
				}
			}
			c.pass(time.Duration(random.Int64N(int64(8 * time.Hour))))
		}
		if rotations == 0 || len(keySet(t, client, "acme").Keys) > 4 {
			t.Errorf("seed %d: %d rotations on requests, %d keys", seed, rotations, len(keySet(t, client, "acme").Keys))
		}
	}
}

func TestA6PromotedOnceHoweverManyTry(t *testing.T) {
	t.Parallel()
	const callers = 20
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, master, c := start(t), masterKeys(t), newClock()
			store := keyring.NewRedis(client, cell)
			ring := keyring.New(store, master).WithClock(c.now)
			if _, err := ring.Ensure(t.Context(), "acme", "ES256"); err != nil {
				t.Fatal(err)
			}
			active, next := keySet(t, client, "acme").Active, keysIn(t, ring, "acme")[keyring.Next][0]
			c.pass(leastLead)
			before := client.HLen(t.Context(), registry.Space(cell).Keyring("acme")).Val()
			var group sync.WaitGroup
			for range callers {
				group.Go(func() {
					kid, err := keyring.New(store, master).WithClock(c.now).Promote(context.Background(), "acme", active, "ES256")
					if err != nil || kid != next {
						t.Errorf("%s signs, want %s; error %v", kid, next, err)
					}
				})
			}
			group.Wait()
			set := matches(t, client, ring, "acme")
			if after := client.HLen(t.Context(), registry.Space(cell).Keyring("acme")).Val(); set.Active != next || after != before {
				t.Fatalf("active %s, want %s; %d private keys, want %d: a request makes none", set.Active, next, after, before)
			}
			// Whoever comes with an old Snapshot promotes nothing more.
			if kid, err := ring.Promote(t.Context(), "acme", active, "ES256"); err != nil || kid != next {
				t.Errorf("late: %s, %v", kid, err)
			}
			// No key waits: the active one signs on.
			c.pass(365 * 24 * time.Hour)
			if kid, err := ring.Promote(t.Context(), "acme", next, "ES256"); err != nil || kid != next {
				t.Errorf("without a next key: %s, %v", kid, err)
			}
		})
	}
}

func TestRotateAtOnce(t *testing.T) {
	t.Parallel()
	client, c := mini(t), newClock()
	ring := keyring.New(keyring.NewRedis(client, cell), masterKeys(t)).WithClock(c.now)
	if _, err := ring.Rotate(t.Context(), "acme", "ES256"); !errors.Is(err, keyring.ErrNoNext) {
		t.Fatalf("without keys: %v", err)
	}
	if _, err := ring.Ensure(t.Context(), "acme", "ES256"); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{keySet(t, client, "acme").Active: true}
	for range 40 { // more than a set fetched from a URL may have
		kid, err := ring.Rotate(t.Context(), "acme", "ES256")
		if err != nil || seen[kid] {
			t.Fatalf("%s signs again, or %v", kid, err)
		}
		seen[kid] = true
		matches2(t, client, ring)
	}
	if kids := keysIn(t, ring, "acme"); len(kids[keyring.Retired]) != 40 || len(kids[keyring.Next]) != 1 {
		t.Fatalf("%d retired, %d next", len(kids[keyring.Retired]), len(kids[keyring.Next]))
	}
}

// matches2 is what matches checks but for the bound of a set that comes from elsewhere.
func matches2(t testing.TB, client redis.UniversalClient, ring *keyring.Ring) {
	t.Helper()
	private := client.HLen(t.Context(), registry.Space(cell).Keyring("acme")).Val()
	keys, err := ring.Keys(t.Context(), "acme")
	if err != nil || int(private) != len(keys) || keys[0].State != keyring.Active {
		t.Fatalf("%d private, %d public, error %v", private, len(keys), err)
	}
}

func TestAFullSetTakesNoMoreKeysAndStillRevokes(t *testing.T) {
	t.Parallel()
	client := mini(t)
	ring := keyring.New(keyring.NewRedis(client, cell), masterKeys(t))
	if _, err := ring.Ensure(t.Context(), "acme", "EdDSA"); err != nil {
		t.Fatal(err)
	}
	fill(t, client, 511)
	if kid, err := ring.Rotate(t.Context(), "acme", "EdDSA"); err != nil || kid == "" {
		t.Fatalf("one key is missing to a full set, and none is made: %v", err)
	}
	if _, err := ring.Rotate(t.Context(), "acme", "EdDSA"); !errors.Is(err, keyring.ErrFull) {
		t.Fatalf("a full set: %v", err)
	}
	for range 3 {
		active := keysIn(t, ring, "acme")[keyring.Active][0]
		if kid, err := ring.Revoke(t.Context(), "acme", active, "EdDSA"); err != nil || kid == active || kid == "" {
			t.Fatalf("%s signs, error %v", kid, err)
		}
	}
}

// fill adds retired keys to the set of acme until it has so many.
func fill(t testing.TB, client redis.UniversalClient, size int) {
	t.Helper()
	key, field := registry.Space(cell).Snapshot(), registry.FieldKeySet("acme")
	var set registry.KeySet
	if err := json.Unmarshal([]byte(client.HGet(t.Context(), key, field).Val()), &set); err != nil {
		t.Fatal(err)
	}
	var keys struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(set.JWKS, &keys); err != nil {
		t.Fatal(err)
	}
	for i := len(keys.Keys); i < size; i++ {
		kid := fmt.Sprintf("retired-%d", i)
		keys.Keys = append(keys.Keys, json.RawMessage(fmt.Sprintf(`{"kid":%q,"alg":"EdDSA"}`, kid)))
		set.Calendar = append(set.Calendar, registry.KeyDates{
			ID: kid, State: keyring.Retired, Since: time.Now(), Until: time.Now().Add(time.Hour),
		})
	}
	set.JWKS, _ = json.Marshal(keys)
	text, _ := json.Marshal(set)
	client.HSet(t.Context(), key, field, text)
}

func TestK06A7Revoke(t *testing.T) {
	t.Parallel()
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, c := start(t), newClock()
			ring := keyring.New(keyring.NewRedis(client, cell), masterKeys(t)).WithClock(c.now)
			if _, err := ring.Ensure(t.Context(), "acme", "ES256"); err != nil {
				t.Fatal(err)
			}
			active, next := keySet(t, client, "acme").Active, keysIn(t, ring, "acme")[keyring.Next][0]
			if _, err := ring.Sign(t.Context(), "acme", active, []byte("{}")); err != nil {
				t.Fatal(err)
			}
			before := revision(t, client)
			if _, err := ring.Revoke(t.Context(), "acme", "nope", "ES256"); !errors.Is(err, keyring.ErrNoKey) || revision(t, client) != before {
				t.Fatalf("a kid that is not there: %v", err)
			}
			kid, err := ring.Revoke(t.Context(), "acme", active, "ES256")
			if err != nil || kid != next || revision(t, client) == before {
				t.Fatalf("%s signs, want %s; error %v", kid, next, err)
			}
			set := matches(t, client, ring, "acme")
			if slices.ContainsFunc(set.Calendar, func(d registry.KeyDates) bool { return d.ID == active }) || len(set.Keys) != 2 {
				t.Fatal("the revoked key is published, or no next one is")
			}
			if _, err := ring.Sign(t.Context(), "acme", active, []byte("{}")); !errors.Is(err, keyring.ErrNoKey) {
				t.Fatalf("the revoked key signs: %v", err)
			}
			// The next one is revoked: the active one stays. Then all at once: a new one signs.
			if kid, err := ring.Revoke(t.Context(), "acme", keysIn(t, ring, "acme")[keyring.Next][0], "ES256"); err != nil || kid != next {
				t.Fatalf("%s signs, error %v", kid, err)
			}
			if kid, err := ring.Revoke(t.Context(), "acme", next, "RS256"); err != nil || kid == next || kid == "" {
				t.Fatalf("%s signs, error %v", kid, err)
			}
			verifies(t, ring, "acme", matches(t, client, ring, "acme"))
		})
	}
}

func TestASetWithoutDatesGetsThem(t *testing.T) {
	t.Parallel()
	client, c, master := mini(t), newClock(), masterKeys(t)
	ring := keyring.New(keyring.NewRedis(client, cell), master).WithClock(c.now)
	if _, err := ring.Ensure(t.Context(), "acme", "ES256"); err != nil {
		t.Fatal(err)
	}
	set, field := keySet(t, client, "acme"), registry.FieldKeySet("acme")
	old := `{"active":"` + set.Active + `","jwks":` + string(set.JWKS) + `}`
	client.HSet(t.Context(), registry.Space(cell).Snapshot(), field, old)
	if due, _ := (&registry.KeySet{Active: set.Active}).Due(&registry.Instance{}, c.now()); due {
		t.Error("a set without dates is due")
	}
	if changed, err := ring.Ensure(t.Context(), "acme", "ES256"); err != nil || !changed {
		t.Fatalf("changed %v, error %v", changed, err)
	}
	kids := keysIn(t, ring, "acme")
	if now := matches(t, client, ring, "acme"); now.Active != set.Active || len(kids[keyring.Retired]) != 1 || len(kids[keyring.Next]) != 1 {
		t.Fatalf("%v", kids)
	}
}

func TestPrivateKeysOfARemovedInstanceGo(t *testing.T) {
	t.Parallel()
	client := mini(t)
	ring := keyring.New(keyring.NewRedis(client, cell), masterKeys(t))
	for range 2 {
		if _, err := ring.Ensure(t.Context(), "acme", "ES256"); err != nil {
			t.Fatal(err)
		}
		matches(t, client, ring, "acme")
		client.HDel(t.Context(), registry.Space(cell).Snapshot(), registry.FieldKeySet("acme")) // as apply removes an instance
	}
}
