// Package keyring keeps the signing keys of our own instances: the private half sealed, the public half
// beside it in the Snapshot's hash, where every verifier of ours finds it. It exists so that one small room
// alone ever holds a private signing key in clear.
//
// How a request meets it: the token endpoint signs with the kid that the Snapshot calls active (Ring.Sign);
// the first signature with a key loads and opens it, later ones cost no round trip. Keys are made by
// Ring.Ensure, which apply and serve call and no request path does: an RSA key takes seconds of CPU.
//
// Sources: RFC 7517 (JWK), RFC 7518 (algorithms), RFC 7638 (thumbprint as kid), RFC 8037 (Ed25519), RFC 7515
// (compact serialization), RFC 9068 §2.1 (typ). The library is jwx v2; what it makes is checked by tests.
// Nothing here starts a goroutine or a timer.
package keyring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"keyless/shared/oauth"
	"keyless/shared/seal"
)

const (
	// maxOpened bounds the private keys that a process holds in clear: one for each instance in use. When it
	// is reached all are dropped, and those in use come back with one round trip each.
	maxOpened = 256
	// attempts is how often Ensure starts anew because somebody else wrote meanwhile. Whoever wrote has made
	// the key, so the second attempt finds it; more are needed only where algorithms are being changed.
	attempts = 4
)

var (
	// ErrNoKey says that the store holds no private key of this instance and kid.
	ErrNoKey = errors.New("no signing key of this kid is stored")
	// ErrBusy says that the key set changed on every attempt.
	ErrBusy = errors.New("the key set changes faster than a key can be added")
)

// Store keeps the two halves. NewRedis is the one implementation.
type Store interface {
	// Public reads the document of an instance's public keys, "" where there is none.
	Public(ctx context.Context, instance string) (string, error)
	// Private reads a sealed private key, "" where there is none.
	Private(ctx context.Context, instance, kid string) (string, error)
	// Replace puts the document after where before still stands ("" for none), the sealed key beside it
	// unless its kid is "", and moves the registry's revision; all or nothing. It reports whether it did.
	Replace(ctx context.Context, instance, before, after, kid, sealed string) (bool, error)
}

// Ring signs with the keys of all instances. Safe for concurrent use.
type Ring struct {
	store Store
	keys  *seal.Keys

	mu     sync.Mutex // guards opened; never held across I/O
	opened map[string]*signer
}

// New makes a Ring whose private keys are sealed under the master keys.
func New(store Store, keys *seal.Keys) *Ring {
	return &Ring{store: store, keys: keys, opened: map[string]*signer{}}
}

// document is the stored form of an instance's public keys: {"active":kid,"jwks":{"keys":[…]}}, as
// registry.KeySet reads it. The active key stands first.
type document struct {
	Active string `json:"active"`
	JWKS   struct {
		Keys []json.RawMessage `json:"keys"`
	} `json:"jwks"`
}

// published is what Ensure asks of a public key.
type published struct {
	KeyID     string `json:"kid"`
	Algorithm string `json:"alg"`
}

// Ensure makes the instance sign with the algorithm (one of oauth.SigningAlgorithms; RSA keys have 2048
// bits). Where its active key is of another, a key of the algorithm that was published before signs again, or
// a new one is made; the others stay published, so that tokens which they signed go on verifying. created
// reports whether this call changed the key set; of many callers at once one does. Two round trips where the
// key is there already or a first one is made.
func (r *Ring) Ensure(ctx context.Context, instance, algorithm string) (bool, error) {
	if !slices.Contains(oauth.SigningAlgorithms, algorithm) {
		return false, fmt.Errorf("make a signing key: %q is not an algorithm to sign with", algorithm)
	}
	for range attempts {
		before, err := r.store.Public(ctx, instance)
		if err != nil {
			return false, fmt.Errorf("read the key set of %s: %w", instance, err)
		}
		set, keys, err := parseDocument(before)
		if err != nil {
			return false, fmt.Errorf("read the key set of %s: %w", instance, err)
		}
		if signs(set, keys, algorithm) {
			return false, nil
		}
		done, err := r.change(ctx, instance, algorithm, before, set, keys)
		if err != nil || done {
			return done, err
		}
	}
	return false, ErrBusy
}

// change promotes a published key of the algorithm or adds one, unless somebody else wrote since before was
// read.
func (r *Ring) change(
	ctx context.Context, instance, algorithm, before string, set document, keys []published,
) (bool, error) {
	earlier, err := r.earlier(ctx, instance, algorithm, keys)
	if err != nil {
		return false, err
	}
	var kid, sealed string
	if earlier >= 0 {
		key := set.JWKS.Keys[earlier]
		set.JWKS.Keys = slices.Insert(slices.Delete(set.JWKS.Keys, earlier, earlier+1), 0, key)
		set.Active = keys[earlier].KeyID
	} else {
		made, err := generate(algorithm)
		if err != nil {
			return false, err
		}
		if kid, sealed, err = r.sealed(instance, made); err != nil {
			return false, err
		}
		set.JWKS.Keys = slices.Insert(set.JWKS.Keys, 0, json.RawMessage(made.public))
		set.Active = kid
	}
	after, err := json.Marshal(set)
	if err != nil {
		return false, fmt.Errorf("write the key set of %s: %w", instance, err)
	}
	done, err := r.store.Replace(ctx, instance, before, string(after), kid, sealed)
	if err != nil {
		return false, fmt.Errorf("write the key set of %s: %w", instance, err)
	}
	return done, nil
}

// earlier finds a published key of the algorithm whose private half is still there, -1 if there is none: so a
// set grows to one key for each algorithm at most, however often the algorithm is changed to and fro.
func (r *Ring) earlier(ctx context.Context, instance, algorithm string, keys []published) (int, error) {
	for i, key := range keys {
		if key.Algorithm != algorithm {
			continue
		}
		sealed, err := r.store.Private(ctx, instance, key.KeyID)
		if err != nil {
			return -1, fmt.Errorf("read signing key %s of %s: %w", key.KeyID, instance, err)
		}
		if sealed != "" {
			return i, nil
		}
	}
	return -1, nil
}

func (r *Ring) sealed(instance string, made *pair) (string, string, error) {
	sealed, err := r.keys.Seal(place(instance, made.kid), made.private)
	if err != nil {
		return "", "", fmt.Errorf("seal a signing key of %s: %w", instance, err)
	}
	return made.kid, sealed, nil
}

// place binds a sealed key, so that one instance's key copied to another's place does not open.
func place(instance, kid string) string { return "keyring/" + instance + "/" + kid }

func parseDocument(text string) (document, []published, error) {
	var set document
	if text == "" {
		return set, nil, nil
	}
	if err := json.Unmarshal([]byte(text), &set); err != nil {
		return set, nil, fmt.Errorf("it is not {\"active\",\"jwks\"}: %w", err)
	}
	keys := make([]published, len(set.JWKS.Keys))
	for i, one := range set.JWKS.Keys {
		if err := json.Unmarshal(one, &keys[i]); err != nil {
			return set, nil, fmt.Errorf("keys[%d]: %w", i, err)
		}
	}
	return set, keys, nil
}

// signs reports whether the active key is of the algorithm.
func signs(set document, keys []published, algorithm string) bool {
	return slices.ContainsFunc(keys, func(key published) bool {
		return key.KeyID == set.Active && key.Algorithm == algorithm
	})
}

// Sign makes a compact JWS of the payload with the protected header alg, kid, typ "at+jwt". It returns
// ErrNoKey where the store has no such key. One round trip for a key not used before in this process, else
// none.
func (r *Ring) Sign(ctx context.Context, instance, kid string, payload []byte) (string, error) {
	key, err := r.open(ctx, instance, kid)
	if err != nil {
		return "", err
	}
	compact, err := key.sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign with key %s of %s: %w", kid, instance, err)
	}
	return compact, nil
}

// open returns an opened key. Two requests may load the same key at once; that costs a round trip and nothing
// else.
func (r *Ring) open(ctx context.Context, instance, kid string) (*signer, error) {
	name := place(instance, kid)
	if key := r.held(name); key != nil {
		return key, nil
	}
	sealed, err := r.store.Private(ctx, instance, kid)
	if err != nil {
		return nil, fmt.Errorf("read signing key %s of %s: %w", kid, instance, err)
	}
	if sealed == "" {
		return nil, fmt.Errorf("signing key %s of %s: %w", kid, instance, ErrNoKey)
	}
	clear, err := r.keys.Open(name, sealed)
	if err != nil {
		return nil, fmt.Errorf("open signing key %s of %s: %w", kid, instance, err)
	}
	key, err := newSigner(kid, clear)
	if err != nil {
		return nil, fmt.Errorf("open signing key %s of %s: %w", kid, instance, err)
	}
	r.hold(name, key)
	return key, nil
}

func (r *Ring) held(name string) *signer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.opened[name]
}

func (r *Ring) hold(name string, key *signer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.opened) >= maxOpened {
		clear(r.opened)
	}
	r.opened[name] = key
}
