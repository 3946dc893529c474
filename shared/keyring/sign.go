package keyring

import (
	"context"
	"fmt"
)

// maxOpened bounds the private keys that a process holds in clear: one for each instance in use. When it is
// reached all are dropped, and those in use come back with one round trip each.
const maxOpened = 256

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

func (r *Ring) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.opened, name)
}

// place binds a sealed key, so that one instance's key copied to another's place does not open.
func place(instance, kid string) string { return "keyring/" + instance + "/" + kid }
