package registry

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"maps"
	"slices"
	"sync"
)

// memory is a Store for tests of what stands on a registry: the contract of storetest, without a socket.
type memory struct {
	mu      sync.Mutex // guards all below
	fields  map[string]string
	names   map[Kind]map[string]struct{}
	entries map[Kind]map[string]Entry
	indexes map[string]map[string]Entry
}

// NewMemory makes an empty Store that lives and dies with the process.
func NewMemory() Store {
	return &memory{
		fields:  map[string]string{},
		names:   map[Kind]map[string]struct{}{},
		entries: map[Kind]map[string]Entry{},
		indexes: map[string]map[string]Entry{},
	}
}

func (m *memory) Fields(ctx context.Context) (map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.fields), ctx.Err()
}

func (m *memory) Revision(ctx context.Context) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fields[fieldRevision], ctx.Err()
}

func (m *memory) Entries(ctx context.Context, kind Kind, names ...string) (map[string]Entry, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := map[string]Entry{}
	for _, name := range names {
		if entry, there := m.entries[kind][name]; there {
			found[name] = entry
		}
	}
	return found, m.fields[fieldRevision], ctx.Err()
}

func (m *memory) Indexed(ctx context.Context, indexes ...string) ([]map[string]Entry, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := make([]map[string]Entry, len(indexes))
	for i, index := range indexes {
		found[i] = map[string]Entry{}
		maps.Copy(found[i], m.indexes[index])
	}
	return found, m.fields[fieldRevision], ctx.Err()
}

func (m *memory) Names(ctx context.Context, kind Kind) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.names[kind])), ctx.Err()
}

func (m *memory) Write(ctx context.Context, c Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.Copy(m.fields, c.Set)
	m.writeObject(c)
	for _, field := range c.Unset {
		delete(m.fields, field)
	}
	if len(c.Set) > 0 || c.movesRevisionLast() {
		m.fields[fieldRevision] = newEdition()
	}
	return nil
}

func (m *memory) ResealField(ctx context.Context, field, before, after string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fields[field] != before {
		return false, ctx.Err()
	}
	m.fields[field] = after
	return true, ctx.Err()
}

func (m *memory) ResealEntry(
	ctx context.Context, kind Kind, name string, before Entry, after string, indexes []string,
) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	again := Entry{Version: before.Version, Value: after}
	for _, index := range indexes {
		if m.indexes[index][name].Version == before.Version {
			m.indexes[index][name] = again
		}
	}
	if m.entries[kind][name] != before {
		return false, ctx.Err()
	}
	m.entries[kind][name] = again
	return true, ctx.Err()
}

func (m *memory) writeObject(c Change) {
	if c.Name == "" {
		return
	}
	if m.names[c.Kind] == nil {
		m.names[c.Kind], m.entries[c.Kind] = map[string]struct{}{}, map[string]Entry{}
	}
	if c.Entry == nil {
		delete(m.entries[c.Kind], c.Name)
		delete(m.names[c.Kind], c.Name)
	} else {
		entry := Entry{Version: newEdition(), Value: c.Entry.Value}
		m.names[c.Kind][c.Name], m.entries[c.Kind][c.Name] = struct{}{}, entry
		for _, index := range c.Index {
			if m.indexes[index] == nil {
				m.indexes[index] = map[string]Entry{}
			}
			m.indexes[index][c.Name] = entry
		}
	}
	for _, index := range c.Unindex {
		delete(m.indexes[index], c.Name)
	}
}

// movesRevisionLast reports whether the last part of the change moves the revision: where it removes
// fields, where it is asked for, where an object was written after the fields, for a process that loaded in
// between remembers that the object is not there, and where a consumer changed: an authorizer that admits
// nothing, and so compares no version, must notice too, also while a long apply goes on or after one was cut.
func (c Change) movesRevisionLast() bool {
	return c.Revision || len(c.Unset) > 0 || c.Name != "" && (len(c.Set) > 0 || c.Kind == KindConsumer)
}

// editionBytes tell two editions apart among all that a deployment will ever have, and print as 16
// characters.
const editionBytes = 8

// newEdition names a revision or a version: random, so that two writers, or a store that came back older,
// never repeat one.
func newEdition() string {
	b := make([]byte, editionBytes)
	_, _ = rand.Read(b) // crypto/rand.Read never returns an error
	return hex.EncodeToString(b)
}
