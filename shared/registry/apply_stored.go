package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"keyless/shared/seal"
)

// entriesAtOnce bounds the entries of one read, so that it stays within the store's deadline.
const entriesAtOnce = 500

// stored is a registry as it is kept: secrets sealed and hashed.
type stored struct {
	fields    map[string]string
	snapshot  *Snapshot            // opened by no key
	clients   map[string]*Client   // by instance/id
	consumers map[string]*Consumer // by name
	pepper    []byte
	newPepper bool
	brought   string // the new pepper's sealed form, where a Config brought it
}

// cut reports whether an apply began and did not end.
func (h *stored) cut() bool { return h.fields[fieldApplying] != "" }

func readStored(ctx context.Context, store Store, keys *seal.Keys, brought Secret) (*stored, error) {
	have, err := readObjects(ctx, store)
	if err != nil {
		return nil, err
	}
	return have, have.openPepper(keys, brought)
}

// openPepper opens the pepper of the hashes. A new registry takes the one that a Config brings, or a new one; another one than its own
// would make every hash worthless that came with it.
func (h *stored) openPepper(keys *seal.Keys, brought Secret) error {
	if own := h.fields[fieldPepper]; own != "" {
		clear, err := open(keys, placePepper, Secret(own))
		if err != nil {
			return err
		}
		h.pepper = []byte(clear)
	}
	h.newPepper = h.pepper == nil
	if brought == "" {
		if h.newPepper {
			h.pepper = seal.NewPepper()
		}
		return nil
	}
	clear, err := open(keys, placePepper, brought)
	switch {
	case err != nil:
		return Faults{{"pepper", "does not open: it was exported under another master key; leave it and all hashes out"}}
	case h.newPepper:
		h.pepper, h.brought = []byte(clear), string(brought)
	case string(h.pepper) != string(clear):
		return Faults{{"pepper", "is that of another registry, in which the hashes were made; leave it and them out"}}
	}
	return nil
}

func readObjects(ctx context.Context, store Store) (*stored, error) {
	fields, err := store.Fields(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the registry: %w", err)
	}
	have := &stored{fields: fields}
	if have.snapshot, err = newSnapshot(fields, nil); err != nil {
		return nil, err
	}
	if have.clients, err = readAll[Client](ctx, store, KindClient); err != nil {
		return nil, err
	}
	have.consumers, err = readAll[Consumer](ctx, store, KindConsumer)
	return have, err
}

func readAll[T any](ctx context.Context, store Store, kind Kind) (map[string]*T, error) {
	names, err := store.Names(ctx, kind)
	if err != nil {
		return nil, fmt.Errorf("list every %s: %w", kind, err)
	}
	objects := make(map[string]*T, len(names))
	for part := range slices.Chunk(names, entriesAtOnce) {
		entries, _, err := store.Entries(ctx, kind, part...)
		if err != nil {
			return nil, fmt.Errorf("read every %s: %w", kind, err)
		}
		for name, entry := range entries {
			object := new(T)
			if err := json.Unmarshal([]byte(entry.Value), object); err != nil {
				return nil, fmt.Errorf("read %s %s: %w", kind, name, err)
			}
			objects[name] = object
		}
	}
	return objects, nil
}

// Load reads a registry whole, as a Config in which secrets stand as they are stored, sealed or hashed. Lists
// are in the order of their names. Round trips: three and one per 500 clients and consumers; what is written
// meanwhile may be in it or not.
func Load(ctx context.Context, store Store) (*Config, error) {
	have, err := readObjects(ctx, store)
	if err != nil {
		return nil, err
	}
	s := have.snapshot
	config := &Config{
		Version: 1, Pepper: Secret(have.fields[fieldPepper]), Currency: s.Currency, GlobalAuthentication: s.Global, Prices: s.Prices,
		Instances: ordered(s.Instances), Domains: ordered(s.Domains), Upstreams: ordered(s.Upstreams),
		APIs: ordered(s.APIs), Groups: ordered(s.Groups), Consumers: ordered(have.consumers),
	}
	at := map[string]*Instance{}
	for i := range config.Instances {
		at[config.Instances[i].ID] = &config.Instances[i]
	}
	for _, c := range ordered(have.clients) {
		if in := at[c.Instance]; in != nil {
			in.Clients = append(in.Clients, c)
		}
	}
	return config, nil
}

// Export reads a registry whole in the form of the file: as Load, with hashes in the form "hash: v1:…" where there is nothing but a
// hash, and without what only the registry knows. Applied to an empty store under the same master key it makes the same registry.
func Export(ctx context.Context, store Store) (*Config, error) {
	config, err := Load(ctx, store)
	if err != nil {
		return nil, err
	}
	for i := range config.Instances {
		for n := range config.Instances[i].Clients {
			for k := range config.Instances[i].Clients[n].Secrets {
				s := &config.Instances[i].Clients[n].Secrets[k]
				s.Value = written(s.Value, s.Hash)
			}
		}
	}
	for i := range config.Consumers {
		if keys := config.Consumers[i].APIKey; keys != nil {
			for k := range keys.Keys {
				keys.Keys[k].Value = written(keys.Keys[k].Value, keys.Keys[k].Hash)
			}
		}
	}
	hide(reflect.ValueOf(config))
	return config, nil
}

// written is a stored secret as a file has it.
func written(value Secret, hash string) Secret {
	if value == "" && hash != "" {
		return Secret(hashPrefix + hash)
	}
	return value
}

// ordered lists objects by name.
func ordered[T any](objects map[string]*T) []T {
	list := make([]T, 0, len(objects))
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		list = append(list, *objects[name])
	}
	return list
}
