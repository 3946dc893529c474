package registry

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"maps"
	"slices"
	"sync"
	"time"
)

// memory is a Store for tests of what stands on a registry: the contract of storetest, without a socket.
type memory struct {
	mu      sync.Mutex // guards all below
	fields  map[string]string
	names   map[Kind]map[string]struct{}
	entries map[Kind]map[string]Entry
	indexes map[string]map[string]Entry
	used    map[string]map[string]time.Time // by client, then by secret
	audit   []string
	head    AuditHead
}

// NewMemory makes an empty Store that lives and dies with the process.
func NewMemory() Store {
	return &memory{
		fields:  map[string]string{},
		names:   map[Kind]map[string]struct{}{},
		entries: map[Kind]map[string]Entry{},
		indexes: map[string]map[string]Entry{},
		used:    map[string]map[string]time.Time{},
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
	if err := ctx.Err(); err != nil || c.empty() {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	revision := m.fields[fieldRevision]
	if c.Expect != "" && c.Expect != revision && (c.Expect != ExpectEmpty || revision != "") {
		return ErrMoved
	}
	w := newWriting(c)
	if c.Audit != nil {
		entry, head, err := c.Audit.after(m.head, w.id)
		if err != nil {
			return err
		}
		m.audit, m.head = append(m.audit, entry), head
	}
	maps.Copy(m.fields, c.Set)
	m.writeObject(c.Kind, c.Name, c.Entry, w.pending)
	for _, field := range c.Unset {
		delete(m.fields, field)
	}
	delete(m.fields, fieldRevision)
	switch {
	case c.moves():
		m.fields[fieldRevision] = w.next
	case revision != "":
		m.fields[fieldRevision] = revision
	}
	return nil
}

// Complete has nothing to do: a change is one step under the lock.
func (m *memory) Complete(ctx context.Context) error { return ctx.Err() }

func (m *memory) Audited(ctx context.Context, after, limit int64) ([]string, AuditHead, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := int64(len(m.audit))
	return slices.Clone(m.audit[min(after, all):min(after+limit, all)]), m.head, ctx.Err()
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

func (m *memory) writeObject(kind Kind, name string, object *Entry, p pending) {
	if name == "" {
		return
	}
	if m.names[kind] == nil {
		m.names[kind], m.entries[kind] = map[string]struct{}{}, map[string]Entry{}
	}
	if object == nil {
		delete(m.entries[kind], name)
		delete(m.names[kind], name)
		if kind == KindClient {
			delete(m.used, name)
		}
	} else {
		entry := Entry{Version: newEdition(), Value: object.Value}
		m.names[kind][name], m.entries[kind][name] = struct{}{}, entry
		for _, index := range p.Index {
			if m.indexes[index] == nil {
				m.indexes[index] = map[string]Entry{}
			}
			m.indexes[index][name] = entry
		}
	}
	for _, index := range p.Unindex {
		delete(m.indexes[index], name)
	}
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
