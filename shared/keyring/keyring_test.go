package keyring_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
	"github.com/redis/go-redis/v9"

	"keyless/shared/keyring"
	"keyless/shared/oauth"
	"keyless/shared/registry"
	"keyless/shared/seal"
)

const cell = "kg"

func masterKeys(t testing.TB) *seal.Keys {
	t.Helper()
	keys, err := seal.ParseKeys(seal.NewMasterKey())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// keySet reads what a verifier of ours reads: the field of the Snapshot, by the registry's own names.
func keySet(t testing.TB, client redis.UniversalClient, instance string) registry.KeySet {
	t.Helper()
	space := registry.Space(cell)
	text, err := client.HGet(t.Context(), space.Snapshot(), registry.FieldKeySet(instance)).Result()
	if err != nil {
		t.Fatal(err)
	}
	var set registry.KeySet
	if err := json.Unmarshal([]byte(text), &set); err != nil {
		t.Fatal(err)
	}
	if set.Keys, err = oauth.ParseJWKSet(set.JWKS, oauth.Fetched); err != nil {
		t.Fatalf("verifiers of ours refuse the set: %v", err)
	}
	return set
}

// K02, RFC 7517 §9.2. K03, RFC 7517 §4.
func TestK02K03PublishedKeys(t *testing.T) {
	t.Parallel()
	members := map[string][]string{
		"RSA": {"alg", "e", "kid", "kty", "n", "use"},
		"EC":  {"alg", "crv", "kid", "kty", "use", "x", "y"},
		"OKP": {"alg", "crv", "kid", "kty", "use", "x"},
	}
	client := mini(t)
	ring := keyring.New(keyring.NewRedis(client, cell), masterKeys(t))
	for _, algorithm := range oauth.SigningAlgorithms {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			instance := "i-" + strings.ToLower(algorithm)
			if created, err := ring.Ensure(t.Context(), instance, algorithm); !created || err != nil {
				t.Fatalf("created %v, error %v", created, err)
			}
			set := keySet(t, client, instance)
			var raw struct{ Keys []map[string]any }
			if err := json.Unmarshal(set.JWKS, &raw); err != nil || len(raw.Keys) != 2 {
				t.Fatalf("%d keys, want the active and the next one; error %v", len(raw.Keys), err)
			}
			key := raw.Keys[0]
			if got := slices.Sorted(maps.Keys(key)); !slices.Equal(got, members[key["kty"].(string)]) {
				t.Errorf("members %v", got)
			}
			if key["use"] != "sig" || key["alg"] != algorithm || key["kid"] != set.Active {
				t.Errorf("use %v, alg %v, kid %v, active %s", key["use"], key["alg"], key["kid"], set.Active)
			}
			if set.Keys[0].Thumbprint != set.Active {
				t.Errorf("kid %s is not the RFC 7638 thumbprint %s", set.Active, set.Keys[0].Thumbprint)
			}
			verifies(t, ring, instance, set)
		})
	}
}

// verifies signs with the active key and checks header and signature with the published half, by the library
// in its strictest form.
func verifies(t *testing.T, ring *keyring.Ring, instance string, set registry.KeySet) {
	t.Helper()
	payload := []byte(`{"iss":"x"}`)
	compact, err := ring.Sign(t.Context(), instance, set.Active, payload)
	if err != nil {
		t.Fatal(err)
	}
	message, err := jws.ParseString(compact)
	if err != nil {
		t.Fatal(err)
	}
	header, _ := json.Marshal(message.Signatures()[0].ProtectedHeaders())
	algorithm := set.Keys[0].Algorithms[0]
	want := `{"alg":"` + algorithm + `","kid":"` + set.Active + `","typ":"at+jwt"}`
	if string(header) != want {
		t.Errorf("J01: header %s, want %s", header, want)
	}
	got, err := jws.Verify([]byte(compact), jws.WithCompact(),
		jws.WithKey(jwa.SignatureAlgorithm(algorithm), set.Keys[0].Public))
	if err != nil || string(got) != string(payload) {
		t.Errorf("verified %q, error %v", got, err)
	}
}

func TestK07OneKeyHoweverManyTry(t *testing.T) {
	t.Parallel()
	const callers = 20
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, master := start(t), masterKeys(t)
			var made atomic.Int32
			var group sync.WaitGroup
			for range callers {
				group.Go(func() { // each a process of its own
					ring := keyring.New(keyring.NewRedis(client, cell), master)
					created, err := ring.Ensure(context.Background(), "acme", "ES256")
					if err != nil {
						t.Error(err)
					}
					if created {
						made.Add(1)
					}
				})
			}
			group.Wait()
			sealed := client.HGetAll(t.Context(), registry.Space(cell).Keyring("acme")).Val()
			set := keySet(t, client, "acme")
			if made.Load() != 1 || len(sealed) != 2 || len(set.Keys) != 2 {
				t.Fatalf("%d made, %d private, %d public", made.Load(), len(sealed), len(set.Keys))
			}
			ring := keyring.New(keyring.NewRedis(client, cell), master)
			verifies(t, ring, "acme", set)
			nothingInClear(t, client, master, sealed[set.Active], set.Active)
		})
	}
}

// nothingInClear looks for the private half in every key, field and value of the store.
func nothingInClear(t *testing.T, client redis.UniversalClient, master *seal.Keys, sealed, kid string) {
	t.Helper()
	clear, err := master.Open("keyring/acme/"+kid, sealed)
	if err != nil {
		t.Fatal(err)
	}
	var private struct{ D string }
	if err := json.Unmarshal(clear, &private); err != nil || private.D == "" {
		t.Fatalf("no private half under the seal, error %v", err)
	}
	var dump strings.Builder
	for _, key := range client.Keys(t.Context(), "*").Val() {
		for field, value := range client.HGetAll(t.Context(), key).Val() {
			dump.WriteString(key + "\n" + field + "\n" + value + "\n")
		}
	}
	if !strings.Contains(dump.String(), kid) {
		t.Fatal("the dump is not of this store")
	}
	for _, trace := range []string{private.D, `"d"`} {
		if strings.Contains(dump.String(), trace) {
			t.Error("a private member stands in the store in clear")
		}
	}
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	client, master := mini(t), masterKeys(t)
	ring := keyring.New(keyring.NewRedis(client, cell), master)
	for _, instance := range []string{"a", "b"} {
		if _, err := ring.Ensure(t.Context(), instance, "ES256"); err != nil {
			t.Fatal(err)
		}
	}
	space, kid := registry.Space(cell), keySet(t, client, "a").Active
	sealed := client.HGet(t.Context(), space.Keyring("a"), kid).Val()
	client.HSet(t.Context(), space.Keyring("b"), kid, sealed) // copied to another instance
	const canary = "canary-of-a-private-key"
	broken, _ := master.Seal("keyring/c/k", []byte(`{"kty":"EC","d":"`+canary+`"}`))
	client.HSet(t.Context(), space.Keyring("c"), "k", broken)
	tests := map[string]struct {
		ring          *keyring.Ring
		instance, kid string
		want          error // nil: any
	}{
		"a kid that is not stored":     {ring, "a", "nope", keyring.ErrNoKey},
		"an instance without keys":     {ring, "z", kid, keyring.ErrNoKey},
		"another instance's key":       {ring, "b", kid, seal.ErrTampered},
		"a key that is no JWK of ours": {ring, "c", "k", nil},
		"another master key": {
			keyring.New(keyring.NewRedis(client, cell), masterKeys(t)), "a", kid, seal.ErrUnknownMasterKey,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compact, err := test.ring.Sign(t.Context(), test.instance, test.kid, []byte("{}"))
			if err == nil || test.want != nil && !errors.Is(err, test.want) || compact != "" {
				t.Fatalf("%q, error %v", compact, err)
			}
			if strings.Contains(err.Error(), canary) {
				t.Fatalf("the error shows the key: %v", err)
			}
		})
	}
}

func TestStoreAway(t *testing.T) {
	t.Parallel()
	client := mini(t)
	ring := keyring.New(keyring.NewRedis(client, cell), masterKeys(t))
	if _, err := ring.Ensure(t.Context(), "acme", "ES256"); err != nil {
		t.Fatal(err)
	}
	kid := keySet(t, client, "acme").Active
	if _, err := ring.Sign(t.Context(), "acme", kid, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	_ = client.Close()
	if _, err := ring.Sign(t.Context(), "acme", kid, []byte("{}")); err != nil {
		t.Errorf("an opened key needs no store: %v", err)
	}
	_, err := ring.Sign(t.Context(), "acme", "other", []byte("{}"))
	if err == nil || errors.Is(err, keyring.ErrNoKey) {
		t.Errorf("a store that is away is no missing key: %v", err)
	}
	if _, err := ring.Ensure(t.Context(), "acme", "RS256"); err == nil {
		t.Error("a key is made without a store")
	}
	if _, err := ring.Ensure(t.Context(), "acme", "HS256"); err == nil {
		t.Error("a symmetric algorithm signs")
	}
}

// J11, RFC 7518 §3.3, §3.5.
func TestJ11RSAKeys(t *testing.T) {
	t.Parallel()
	client := mini(t)
	ring := keyring.New(keyring.NewRedis(client, cell), masterKeys(t))
	if _, err := ring.Ensure(t.Context(), "acme", "RS256"); err != nil {
		t.Fatal(err)
	}
	set, err := jwk.Parse(keySet(t, client, "acme").JWKS)
	if err != nil {
		t.Fatal(err)
	}
	key, _ := set.Key(0)
	public, ok := key.(jwk.RSAPublicKey)
	if !ok || len(public.N()) != 256 || string(public.E()) != "\x01\x00\x01" {
		t.Fatalf("not RSA of 2048 bits with e 65537: %T", key)
	}
}
