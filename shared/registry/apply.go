package registry

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"keyless/shared/seal"
)

// ApplyOptions say how a Config is applied.
type ApplyOptions struct {
	Prune  bool             // remove what the Config lacks
	DryRun bool             // write nothing and show no generated secret
	Now    func() time.Time // clock of the Report; nil: time.Now
}

// Report says what Apply did, or with DryRun would do. After an error it says what was done before it.
type Report struct {
	At        time.Time         `json:"at"`
	Changes   []Changed         `json:"changes"`
	Extra     []string          `json:"extra,omitempty"` // what want lacks: "consumer old"; none with Prune
	Generated []GeneratedSecret `json:"generated,omitempty"`
	Revision  string            `json:"revision"` // of the registry afterwards
}

// Changed is one object that was written.
type Changed struct {
	Action string `json:"action"` // add, change or remove
	Kind   string `json:"kind"`   // a Kind, or the key of a list of the Config in the singular
	Name   string `json:"name"`   // a client's is instance/id
}

// The actions of a Changed.
const (
	ActionAdd    = "add"
	ActionChange = "change"
	ActionRemove = "remove"
)

// GeneratedSecret is told once: the registry keeps a form of it that nobody can read, or only with the master
// key. ID is the secret's id, "client_id" for a generated client id, "jwt.value" for a consumer's value.
type GeneratedSecret struct {
	Object string `json:"object"` // such as "client acme/nightly-report"
	ID     string `json:"id"`
	Secret Secret `json:"secret,omitempty"` // clear; empty in a dry run
}

// ErrConcurrent says that two processes made a new registry at once; applying again is safe.
var ErrConcurrent = errors.New("another apply began this registry at the same time: apply again")

// Apply makes the registry in the store equal to want, or, without Prune, adds and changes what want has and
// lists the rest. The error is Faults where want cannot be applied; then nothing was written.
//
// Everything is judged first, together with what stays in the registry. Then each object is one Change, in an
// order in which no reference ever dangles: what is referred to comes first and goes last. A run that was cut
// is completed by the next: it leaves the field "applying" behind, on which the next one writes every
// consumer again, so that no index stays unwritten. Applying the same again writes nothing and keeps the
// revision; secrets that want does not name are generated once and kept.
//
// Round trips: two reads and one per 500 clients and consumers; one to four per change. Two runs at once end
// in a mixture of both, each object whole.
func Apply(ctx context.Context, store Store, keys *seal.Keys, want *Config, o ApplyOptions) (Report, error) {
	report := Report{At: clock(o.Now)}
	if keys == nil {
		return report, errors.New("apply: no master key to seal secrets with")
	}
	if faults := Validate(want); len(faults) > 0 {
		return report, faults
	}
	have, err := readStored(ctx, store, keys)
	if err != nil {
		return report, err
	}
	target := newTarget(want, have, keys, o)
	if len(target.faults) > 0 {
		return report, target.faults
	}
	if !o.Prune {
		target.keepExtras(have)
		report.Extra = target.extra
	}
	if faults := target.explain(Validate(target.config)); len(faults) > 0 {
		return report, faults
	}
	steps, err := plan(target, have)
	if err != nil || len(steps) == 0 && !have.cut() {
		report.Revision = have.snapshot.Revision
		return report, err
	}
	if !o.DryRun {
		if err := begin(ctx, store, keys, have); err != nil {
			return report, err
		}
	}
	return carryOut(ctx, store, keys, steps, have, report, o.DryRun)
}

func clock(now func() time.Time) time.Time {
	if now == nil {
		return time.Now()
	}
	return now()
}

// fieldApplying stands in the Snapshot's hash while an apply runs.
const fieldApplying = "applying"

// begin marks the registry as being changed, and gives a new one its pepper.
func begin(ctx context.Context, store Store, keys *seal.Keys, have *stored) error {
	set := map[string]string{fieldApplying: "1", fieldFormat: strconv.Itoa(FormatVersion)}
	if have.newPepper {
		sealed, err := keys.Seal(placePepper, have.pepper)
		if err != nil {
			return fmt.Errorf("seal the pepper: %w", err)
		}
		set[fieldPepper] = sealedPrefix + sealed
	}
	if err := store.Write(ctx, Change{Set: set}); err != nil {
		return fmt.Errorf("begin to apply: %w", err)
	}
	return samePepper(ctx, store, keys, have)
}

// samePepper makes sure that the hashes of this run are made with the pepper that the registry keeps.
func samePepper(ctx context.Context, store Store, keys *seal.Keys, have *stored) error {
	if !have.newPepper {
		return nil
	}
	fields, err := store.Fields(ctx)
	if err != nil {
		return fmt.Errorf("read the pepper back: %w", err)
	}
	kept, err := open(keys, placePepper, Secret(fields[fieldPepper]))
	if err != nil {
		return fmt.Errorf("read the pepper back: %w", err)
	}
	if string(kept) != string(have.pepper) {
		return ErrConcurrent
	}
	return nil
}

func carryOut(
	ctx context.Context, store Store, keys *seal.Keys, steps []step, have *stored, report Report, dry bool,
) (Report, error) {
	for _, s := range steps {
		if !dry {
			if err := store.Write(ctx, s.change); err != nil {
				return report, fmt.Errorf("apply %s: %w", s.what(), err)
			}
		}
		if s.told.Action != "" {
			report.Changes = append(report.Changes, s.told)
		}
		report.Generated = append(report.Generated, s.generated...)
	}
	if dry {
		report.Revision = have.snapshot.Revision
		return report, nil
	}
	if err := store.Write(ctx, Change{Unset: []string{fieldApplying}}); err != nil {
		return report, fmt.Errorf("end to apply: %w", err)
	}
	if err := samePepper(ctx, store, keys, have); err != nil {
		return report, err
	}
	revision, err := store.Revision(ctx)
	report.Revision = revision
	return report, err
}
