package registry

// Space names the Redis keys of one deployment: the cell (KEYLESS_CELL, default kg) before all, and one hash tag per subject, so that
// everything about a subject stands in one slot of a cluster. Names pass oauth.ValidName or are hashed, so no text of a caller chooses
// a slot.
type Space string

// Snapshot is the hash of the Snapshot's fields and the revision.
func (s Space) Snapshot() string { return string(s) + ":{s}" }

// Names is the set of the names of all objects of a kind.
func (s Space) Names(kind Kind) string { return string(s) + ":{s}:names:" + string(kind) }

// Audit is the list of the audit trail's entries.
func (s Space) Audit() string { return string(s) + ":{s}:audit" }

// Keyring is the hash of an instance's sealed private keys.
func (s Space) Keyring(instance string) string { return string(s) + ":{s}:keyring:" + instance }

// Entry is the hash of a consumer or client: the fields entry and version.
func (s Space) Entry(kind Kind, name string) string {
	if kind == KindClient {
		return string(s) + ":{k:" + name + "}"
	}
	return string(s) + ":{c:" + name + "}"
}

// Index is the hash of the consumers that a credential leads to.
func (s Space) Index(digest string) string { return string(s) + ":{i:" + digest + "}" }

// Counter is the count of one limit of a subject in one window. Tag is d, a, c or g (domain, API, consumer, group).
func (s Space) Counter(tag, subject, limit, window string) string {
	return string(s) + ":{" + tag + ":" + subject + "}:n:" + limit + ":" + window
}

// Reservation remembers what one request took from a subject.
func (s Space) Reservation(tag, subject, requestID string) string {
	return string(s) + ":{" + tag + ":" + subject + "}:r:" + requestID
}

// FieldRevision and FieldVersion are the hash fields that an admission compares.
const (
	FieldRevision = fieldRevision
	FieldVersion  = "version"
	FieldEntry    = "entry"
)

// FieldKeySet is the Snapshot's field that holds an instance's public keys, a KeySet.
func FieldKeySet(instance string) string { return fieldKeySet + instance }

// Once is the memory of something that may be used once.
func (s Space) Once(digest string) string { return string(s) + ":{o:" + digest + "}" }
