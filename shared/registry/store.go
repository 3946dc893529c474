package registry

import (
	"context"
	"errors"
)

// Store keeps the entries of a registry. It knows their shapes, not their meaning. Implementations: NewMemory for tests, NewRedis for
// everything else; storetest holds them to one contract. A Store is safe for concurrent use and sets its own deadline on each call.
//
// What stands where in Redis (prefix kg: or the cell's):
//
//	{s}                       hash   the Snapshot: field → entry, and the field revision; and the Store's own: turn (the number and id of
//	                                 the last change), pending (a change that is under way), audit (number and hash of the newest entry)
//	{s}:names:<kind>          set    names of all consumers, or <instance>/<id> of all clients
//	{s}:audit                 list   the audit trail, an AuditEntry's JSON each, oldest first
//	{c:<name>}                hash   a consumer: entry, version; for a day after its removal the version alone
//	{k:<instance>/<id>}       hash   a client, in the same way
//	{i:<digest>}              hash   an index: consumer name → version LF entry; for a day after a removal version SP Unix time
//
// Space has the full names. A version begins with the turn of the change that wrote it, so that a writer who comes late, after
// another has completed his change and gone on, finds a later one and writes nothing.
type Store interface {
	// Fields reads the Snapshot's hash whole, without what is the Store's own. An empty store gives an empty map. One round trip.
	Fields(ctx context.Context) (map[string]string, error)
	// Revision reads the revision alone, "" in an empty store. One round trip.
	Revision(ctx context.Context) (string, error)
	// Entries reads objects of a kind by name, and the revision, in one round trip. What does not exist is absent from the map.
	Entries(ctx context.Context, kind Kind, names ...string) (map[string]Entry, string, error)
	// Indexed reads, for each index, the entries that stand in it by consumer name, and the revision, in one round trip.
	Indexed(ctx context.Context, indexes ...string) ([]map[string]Entry, string, error)
	// Names lists all objects of a kind, in no order.
	Names(ctx context.Context, kind Kind) ([]string, error)
	// Write carries out one change; see Change. The error is ErrMoved where Expect does not hold; then nothing was written. After any
	// other the change may have been written, or begun: the next Write, or Complete, completes it. One round trip without a Name, three
	// with one; one more where somebody else wrote before.
	Write(ctx context.Context, c Change) error
	// Complete ends a change that its writer left half done. One round trip where there is none.
	Complete(ctx context.Context) error
	// Audited reads at most limit entries of the audit trail behind the first after ones, as they are stored, and what the registry
	// remembers of the newest. One round trip.
	Audited(ctx context.Context, after, limit int64) ([]string, AuditHead, error)
}

// AuditHead is the newest entry of an audit trail; zero where there is none.
type AuditHead struct {
	Seq  int64
	Hash string
}

// ErrMoved says that the revision is not the one that a Change expects.
var ErrMoved = errors.New("the registry has changed meanwhile")

// ExpectEmpty is the Expect of a change of a registry that does not exist yet.
const ExpectEmpty = "-"

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

// Change is one change of a registry. Without a Name it is one atomic write. With one, the object stands in other slots than the
// Snapshot: a first atomic write has the fields, the audit entry, and the object as pending; then come the object and its indexes; a last
// atomic write ends it. The revision moves with the first and with the last, so that nobody keeps what he read in between. Whoever
// writes next completes what is pending, so that a writer may die anywhere.
type Change struct {
	Expect   string            // the revision that must still stand, or ExpectEmpty; "": any
	Next     string            // the revision that stands afterwards; "": the Store makes one
	Audit    *AuditEntry       // to append in the first write; the Store fills in Seq, ID, Previous and Hash
	Set      map[string]string // fields of the Snapshot
	Kind     Kind              // of Name, where an object changes
	Name     string
	Entry    *Entry   // the object's new entry; nil with a Name: the object is removed
	Index    []string // indexes that lead to the object now
	Unindex  []string // indexes that no longer do
	Unset    []string // fields to remove, with the last write
	Revision bool     // move the revision even where nothing else is written
}
