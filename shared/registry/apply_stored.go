package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
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
}

// cut reports whether an apply began and did not end.
func (h *stored) cut() bool { return h.fields[fieldApplying] != "" }

func readStored(ctx context.Context, store Store, keys *seal.Keys) (*stored, error) {
	have, err := readObjects(ctx, store)
	if err != nil {
		return nil, err
	}
	text, there := have.fields[fieldPepper]
	if !there {
		have.pepper, have.newPepper = seal.NewPepper(), true
		return have, nil
	}
	clear, err := open(keys, placePepper, Secret(text))
	if err != nil {
		return nil, err
	}
	have.pepper = []byte(clear)
	return have, nil
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
		Version: 1, Currency: s.Currency, GlobalAuthentication: s.Global, Prices: s.Prices,
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

// ordered lists objects by name.
func ordered[T any](objects map[string]*T) []T {
	list := make([]T, 0, len(objects))
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		list = append(list, *objects[name])
	}
	return list
}
