package registry

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"time"
)

// archiver is what a Store must do more for Dump and Restore. NewRedis does it.
type archiver interface {
	Store
	// Raw reads the Snapshot's hash with the Store's own fields, and the sealed signing keys. Two round trips.
	Raw(ctx context.Context) (Raw, error)
	// Clear empties the registry but for its audit trail: from then on it is a registry that was never applied to.
	Clear(ctx context.Context, turn string) error
	// Place writes entries and their indexes, which nobody reads before Open.
	Place(ctx context.Context, version string, objects []pending) error
	// Open writes the names, and at last, in one step, the audit trail where there is one, the signing keys and the fields.
	Open(ctx context.Context, raw Raw, names map[Kind][]string, audit []string) error
}

// Raw is what stands in a store beside entries, indexes and the audit trail.
type Raw struct {
	Fields   map[string]string
	Keyrings map[string]map[string]string // instance → kid → sealed private key
}

const (
	// backupFormat is that of the file; a reader refuses a newer one.
	backupFormat = 1
	// dumpAttempts bounds how often a dump begins anew because the registry changed while it was read.
	dumpAttempts = 5
	// maxBackupLine bounds a line: the longest is an entry with many keys and a long description.
	maxBackupLine = 16 << 20
)

// backupLine is one line of a backup: a JSON object with one of these.
type backupLine struct {
	Backup  int               `json:"backup,omitempty"` // the format; the first line
	MadeAt  time.Time         `json:"made_at,omitzero"`
	Field   string            `json:"field,omitempty"`
	Kind    Kind              `json:"kind,omitempty"`
	Name    string            `json:"name,omitempty"`
	Keyring string            `json:"keyring,omitempty"`
	Keys    map[string]string `json:"keys,omitempty"`
	Audit   bool              `json:"audit,omitempty"`
	Text    string            `json:"text,omitempty"`
	SHA256  string            `json:"sha256,omitempty"` // of all lines before; the last line
}

// Dumped says what a backup holds.
type Dumped struct {
	MadeAt    time.Time `json:"made_at"`
	Revision  string    `json:"revision"`
	Instances int       `json:"instances"`
	Clients   int       `json:"clients"`
	Consumers int       `json:"consumers"`
	Keys      int       `json:"signing_keys"`
	Audit     int       `json:"audit_entries"`
}

// ErrNoArchive says that a store keeps no backup.
var ErrNoArchive = errors.New("this store can be neither dumped nor restored")

// Dump writes a backup of the whole registry: the Snapshot, clients and consumers, signing keys and the audit trail, every secret as it
// is stored, sealed or hashed. Counters, ledger and revocations are not part of it. The file is JSON, a line each, and ends with its
// checksum. What is written is the registry at one revision; ErrBusy says that it changed all the time.
func Dump(ctx context.Context, store Store, now time.Time, w io.Writer) (Dumped, error) {
	archive, can := store.(archiver)
	if !can {
		return Dumped{}, ErrNoArchive
	}
	for attempt := range dumpAttempts {
		if err := pause(ctx, attempt); err != nil {
			return Dumped{}, err
		}
		d := &dump{archive: archive, now: now.UTC()}
		same, err := d.read(ctx)
		if err != nil {
			return Dumped{}, err
		}
		if same {
			return d.write(w)
		}
	}
	return Dumped{}, ErrBusy
}

type dump struct {
	archive archiver
	now     time.Time
	raw     Raw
	entries map[Kind]map[string]string
	audit   []string
}

// read reads everything, and reports whether the registry was the same before and after.
func (d *dump) read(ctx context.Context) (bool, error) {
	if err := d.archive.Complete(ctx); err != nil {
		return false, err
	}
	var err error
	if d.raw, err = d.archive.Raw(ctx); err != nil {
		return false, err
	}
	if d.raw.Fields[fieldRevision] == "" {
		return false, ErrEmpty
	}
	d.entries = map[Kind]map[string]string{}
	for _, kind := range []Kind{KindClient, KindConsumer} {
		if d.entries[kind], err = entryTexts(ctx, d.archive, kind); err != nil {
			return false, err
		}
	}
	head := parseHead(d.raw.Fields[fieldAudit])
	for int64(len(d.audit)) < head.Seq {
		texts, _, err := d.archive.Audited(ctx, int64(len(d.audit)), min(MaxAuditPage, head.Seq-int64(len(d.audit))))
		if err != nil {
			return false, err
		}
		if len(texts) == 0 {
			break // the trail is cut: VerifyAudit says so, and a backup of the rest is better than none
		}
		d.audit = append(d.audit, texts...)
	}
	revision, err := d.archive.Revision(ctx)
	return revision == d.raw.Fields[fieldRevision] && d.raw.Fields[fieldPending] == "", err
}

func entryTexts(ctx context.Context, store Store, kind Kind) (map[string]string, error) {
	names, err := store.Names(ctx, kind)
	if err != nil {
		return nil, fmt.Errorf("list every %s: %w", kind, err)
	}
	texts := map[string]string{}
	for part := range slices.Chunk(names, entriesAtOnce) {
		entries, _, err := store.Entries(ctx, kind, part...)
		if err != nil {
			return nil, fmt.Errorf("read every %s: %w", kind, err)
		}
		for name, entry := range entries {
			texts[name] = entry.Value
		}
	}
	return texts, nil
}

func (d *dump) write(w io.Writer) (Dumped, error) {
	out := &lineWriter{w: bufio.NewWriter(w), sum: sha256.New()}
	out.line(backupLine{Backup: backupFormat, MadeAt: d.now})
	done := Dumped{MadeAt: d.now, Revision: d.raw.Fields[fieldRevision], Audit: len(d.audit)}
	for _, field := range slices.Sorted(maps.Keys(d.raw.Fields)) {
		out.line(backupLine{Field: field, Text: d.raw.Fields[field]})
		if len(field) > len(fieldInstance) && field[:len(fieldInstance)] == fieldInstance {
			done.Instances++
		}
	}
	for _, kind := range []Kind{KindClient, KindConsumer} {
		for _, name := range slices.Sorted(maps.Keys(d.entries[kind])) {
			out.line(backupLine{Kind: kind, Name: name, Text: d.entries[kind][name]})
		}
	}
	done.Clients, done.Consumers = len(d.entries[KindClient]), len(d.entries[KindConsumer])
	for _, instance := range slices.Sorted(maps.Keys(d.raw.Keyrings)) {
		out.line(backupLine{Keyring: instance, Keys: d.raw.Keyrings[instance]})
		done.Keys += len(d.raw.Keyrings[instance])
	}
	for _, text := range d.audit {
		out.line(backupLine{Audit: true, Text: text})
	}
	out.line(backupLine{SHA256: hex.EncodeToString(out.sum.Sum(nil))})
	if out.err == nil {
		out.err = out.w.Flush()
	}
	if out.err != nil {
		return Dumped{}, fmt.Errorf("write the backup: %w", out.err)
	}
	return done, nil
}

// lineWriter writes lines and sums them up. It keeps the first error.
type lineWriter struct {
	w   *bufio.Writer
	sum hash.Hash
	err error
}

func (l *lineWriter) line(line backupLine) {
	text, err := json.Marshal(line)
	if err == nil {
		text = append(text, '\n')
		_, _ = l.sum.Write(text) // a hash returns no error
		_, err = l.w.Write(text)
	}
	if l.err == nil {
		l.err = err
	}
}
