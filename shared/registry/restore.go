package registry

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"keyless/shared/seal"
)

// RestoreOptions say how a backup is restored.
type RestoreOptions struct {
	Force bool // also into a store that holds a registry, which is replaced
	By    Actor
	Now   func() time.Time // nil: time.Now
}

// Restored says what Restore did.
type Restored struct {
	Dumped              // what the backup held; Revision is the registry's now
	NotBefore time.Time `json:"not_before"` // no token of our instances that was issued earlier holds
	Replaced  bool      `json:"replaced"`   // the store held a registry
	KeptAudit bool      `json:"kept_audit"` // the store's audit trail goes on where that of the backup ends
}

// Errors of a restore; nothing was written.
var (
	ErrBackup    = errors.New("the file is not a whole backup")
	ErrMasterKey = errors.New("the backup was made under another master key")
	ErrNotEmpty  = errors.New("the store holds a registry")
)

// turnsAhead is by how much versions jump in a restore, so that whatever was on its way to the store comes late.
const turnsAhead = 1_000_000

// Restore puts the registry of a backup into a store: what Dump wrote, with indexes made anew, under a new revision. What was revoked
// since, and what was revoked before, is not in the backup, so that no token of our own instances holds that was issued before now, and
// every key set of others is fetched anew. While it runs the registry is empty for readers; one that was cut is run again, with Force.
// The error is ErrBackup, ErrMasterKey or ErrNotEmpty where nothing was written.
func Restore(ctx context.Context, store Store, keys *seal.Keys, r io.Reader, o RestoreOptions) (Restored, error) {
	archive, can := store.(archiver)
	if !can {
		return Restored{}, ErrNoArchive
	}
	d, made, err := readBackup(r)
	if err != nil {
		return Restored{}, err
	}
	if _, err := open(keys, placePepper, Secret(d.raw.Fields[fieldPepper])); err != nil || keys == nil {
		return Restored{}, ErrMasterKey
	}
	had, err := archive.Raw(ctx)
	if err != nil {
		return Restored{}, err
	}
	done := Restored{Dumped: d.counts(made), Replaced: had.Fields[fieldRevision] != ""}
	if done.Replaced && !o.Force {
		return Restored{}, ErrNotEmpty
	}
	objects, names, err := d.objects()
	if err != nil {
		return Restored{}, err
	}
	turn := max(turnOf(had), turnOf(d.raw)) + turnsAhead
	version := fmt.Sprintf("v%010d%s", turn, newEdition()[:tailLength])
	if err := clearStore(ctx, archive, turn, version); err != nil {
		return Restored{}, err
	}
	if err := archive.Place(ctx, fmt.Sprintf("v%010d%s", turn+1, newEdition()[:tailLength]), objects); err != nil {
		return Restored{}, err
	}
	audit := d.audit
	if done.KeptAudit, err = goesOn(ctx, archive, d.audit); err != nil {
		return Restored{}, err
	}
	if done.KeptAudit {
		audit = nil
		d.raw.Fields[fieldAudit] = had.Fields[fieldAudit]
	}
	done.NotBefore = clock(o.Now).UTC().Truncate(time.Second).Add(time.Second)
	d.raw.Fields[fieldEarliest] = strconv.FormatInt(done.NotBefore.Unix(), 10)
	d.raw.Fields[fieldEdition] = randomText(editionBytes)
	d.raw.Fields[fieldTurn] = fmt.Sprintf("%d %s", turn+1, newEdition())
	d.raw.Fields[fieldRevision] = newEdition()
	if err := archive.Open(ctx, d.raw, names, audit); err != nil {
		return Restored{}, err
	}
	if done, err = done.recorded(ctx, store, o); err != nil {
		return done, err
	}
	return done, done.begun(ctx, o)
}

// begun waits for the second from which tokens hold again, so that whoever is told of the restore can ask for one.
func (done Restored) begun(ctx context.Context, o RestoreOptions) error {
	timer := time.NewTimer(done.NotBefore.Sub(clock(o.Now)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// recorded writes the restore into the audit trail.
func (done Restored) recorded(ctx context.Context, store Store, o RestoreOptions) (Restored, error) {
	done.Revision = newEdition()
	err := store.Write(ctx, Change{Revision: true, Next: done.Revision, Audit: &AuditEntry{
		At: clock(o.Now).UTC(), Who: o.By.Who, RequestID: o.By.RequestID, Action: ActionRestore,
		Note: fmt.Sprintf("a backup of %s", done.MadeAt.Format(time.RFC3339)),
	}})
	return done, err
}

// clearStore removes what a store holds, the entries first: once their names are gone nobody finds them any more.
func clearStore(ctx context.Context, archive archiver, turn int64, version string) error {
	clients, err := entryTexts(ctx, archive, KindClient)
	if err != nil {
		return err
	}
	consumers, err := readAll[Consumer](ctx, archive, KindConsumer)
	if err != nil {
		return err
	}
	var gone []pending
	for name := range clients {
		gone = append(gone, pending{Kind: KindClient, Name: name})
	}
	for name, c := range consumers {
		gone = append(gone, pending{Kind: KindConsumer, Name: name, Unindex: indexes(c)})
	}
	if err := archive.Place(ctx, version, gone); err != nil {
		return err
	}
	return archive.Clear(ctx, fmt.Sprintf("%d %s", turn, newEdition()))
}

// goesOn reports whether the store's audit trail is that of the backup, and what was written since.
func goesOn(ctx context.Context, archive archiver, audit []string) (bool, error) {
	last := int64(len(audit))
	if last == 0 {
		return true, nil
	}
	texts, _, err := archive.Audited(ctx, last-1, 1)
	return err == nil && len(texts) == 1 && texts[0] == audit[last-1], err
}

func turnOf(raw Raw) int64 {
	number, _, _ := strings.Cut(raw.Fields[fieldTurn], " ")
	n, _ := strconv.ParseInt(number, 10, 64) // a store of an earlier version counts from none
	return n
}

// objects are the entries of a backup with their indexes, and their names.
func (d *dump) objects() ([]pending, map[Kind][]string, error) {
	var objects []pending
	names := map[Kind][]string{}
	for kind, texts := range d.entries {
		for _, name := range slices.Sorted(maps.Keys(texts)) {
			p := pending{Kind: kind, Name: name, Entry: []byte(texts[name])}
			if kind == KindConsumer {
				var c Consumer
				if err := json.Unmarshal(p.Entry, &c); err != nil {
					return nil, nil, fmt.Errorf("%w: consumer %s cannot be read", ErrBackup, name)
				}
				p.Index = indexes(&c)
			}
			objects = append(objects, p)
			names[kind] = append(names[kind], name)
		}
	}
	return objects, names, nil
}

func (d *dump) counts(made time.Time) Dumped {
	counts := Dumped{
		MadeAt: made, Revision: d.raw.Fields[fieldRevision], Audit: len(d.audit),
		Clients: len(d.entries[KindClient]), Consumers: len(d.entries[KindConsumer]),
	}
	for field := range d.raw.Fields {
		if strings.HasPrefix(field, fieldInstance) {
			counts.Instances++
		}
	}
	for _, ring := range d.raw.Keyrings {
		counts.Keys += len(ring)
	}
	return counts
}

// readBackup reads a backup whole and checks its sum, so that nothing is written of one that is cut or was changed.
func readBackup(r io.Reader) (*dump, time.Time, error) {
	d := &dump{
		raw:     Raw{Fields: map[string]string{}, Keyrings: map[string]map[string]string{}},
		entries: map[Kind]map[string]string{KindClient: {}, KindConsumer: {}},
	}
	var made time.Time
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxBackupLine)
	sum, ended := sha256.New(), false
	for n := 0; lines.Scan(); n++ {
		var line backupLine
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil || ended || (n == 0) != (line.Backup != 0) {
			return nil, made, ErrBackup
		}
		if line.SHA256 != "" {
			ended = line.SHA256 == hex.EncodeToString(sum.Sum(nil))
			continue
		}
		_, _ = sum.Write(append(slices.Clone(lines.Bytes()), '\n')) // a hash returns no error
		switch {
		case line.Backup > backupFormat:
			return nil, made, fmt.Errorf("%w of this version: it was written by a newer one", ErrBackup)
		case line.Backup != 0:
			made = line.MadeAt
		case line.Field != "":
			d.raw.Fields[line.Field] = line.Text
		case line.Kind == KindClient || line.Kind == KindConsumer:
			d.entries[line.Kind][line.Name] = line.Text
		case line.Keyring != "":
			d.raw.Keyrings[line.Keyring] = line.Keys
		case line.Audit:
			d.audit = append(d.audit, line.Text)
		}
	}
	if err := lines.Err(); err != nil || !ended {
		return nil, made, ErrBackup
	}
	if format, err := strconv.Atoi(d.raw.Fields[fieldFormat]); err != nil || format > FormatVersion {
		return nil, made, fmt.Errorf("%w of this version: its registry was written by a newer one", ErrBackup)
	}
	delete(d.raw.Fields, fieldPending)
	return d, made, nil
}
