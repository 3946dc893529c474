package registry

import "context"

// Store keeps the entries of a registry. It knows their shapes, not their meaning. Implementations: NewMemory for tests, NewRedis for
// everything else; storetest holds them to one contract. A Store is safe for concurrent use and sets its own deadline on each call.
//
// What stands where in Redis (prefix kg: or the cell's):
//
//	{s}                       hash   the Snapshot: field → entry, and the field revision
//	{s}:names:<kind>          set    names of all consumers, or <instance>/<id> of all clients
//	{c:<name>}                hash   a consumer: entry, version
//	{k:<instance>/<id>}       hash   a client: entry, version
//	{i:<digest>}              hash   an index: consumer name → version LF entry (Space has the full names)
type Store interface {
	// Fields reads the Snapshot's hash whole. An empty store gives an empty map. One round trip.
	Fields(ctx context.Context) (map[string]string, error)
	// Revision reads the revision alone, "" in an empty store. One round trip.
	Revision(ctx context.Context) (string, error)
	// Entries reads objects of a kind by name, and the revision, in one round trip. What does not exist is absent from the map.
	Entries(ctx context.Context, kind Kind, names ...string) (map[string]Entry, string, error)
	// Indexed reads, for each index, the entries that stand in it by consumer name, and the revision, in one round trip.
	Indexed(ctx context.Context, indexes ...string) ([]map[string]Entry, string, error)
	// Names lists all objects of a kind, in no order.
	Names(ctx context.Context, kind Kind) ([]string, error)
	// Write carries out one change; see Change. One round trip for each slot that it touches.
	Write(ctx context.Context, c Change) error
}

// Kind is a kind of object that is stored as an entry of its own.
type Kind string

// The kinds of entries.
const (
	KindConsumer Kind = "consumer"
	KindClient   Kind = "client"
)

// Entry is a stored object: its JSON, and the version that names this edition of it.
type Entry struct {
	Version string
	Value   string
}

// Change is one change of a registry. Its parts are written in the order of the fields, so that a reader never finds a reference to
// what is not there yet, and a removed object is gone before what leads to it. Each part is atomic; the revision moves with every
// part that touches the Snapshot's hash, so that a change is seen on the next request.
type Change struct {
	Set      map[string]string // fields of the Snapshot; atomic, with the revision
	Kind     Kind              // of Name, where an object changes
	Name     string
	Entry    *Entry   // the object's new entry; nil with a Name: the object is removed
	Index    []string // indexes that lead to the object now
	Unindex  []string // indexes that no longer do
	Unset    []string // fields to remove; atomic, with the revision
	Revision bool     // move the revision even where Set and Unset are empty
}
